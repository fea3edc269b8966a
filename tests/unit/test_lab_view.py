"""Annotated copies of pictures and videos, with fakes for the models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from lab_fakes import BLACK, face_path, picture, plate_path, sized

from edge import config
from edge.errors import VidikError
from edge.vision.best_shot import BestShots
from edge.vision.detect import Detect
from edge.vision.sources import open_source
from edge.vision.track import Track
from edge.vision.values import Box, Detection, Kind, Pixels, PlateText, Region, Shot
from models.lab import media, overlay, view


class WhiteSpot:
    """Finds the brightest part of a picture and calls it a plate."""

    def detect(self, pixels: Pixels, region: Region) -> list[Detection]:
        ys, xs = np.nonzero(pixels[:, :, 0] > 200)
        box = Box(float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1))
        corners = np.array([[box.x0, box.y0], [box.x1, box.y0], [box.x1, box.y1], [box.x0, box.y1]], np.float32)
        return [Detection(Kind.PLATE, box, 0.9, corners)]


def footage(path: Path, frames: int) -> Path:
    with media.VideoOut(path, 320, 96, 10) as out:
        for i in range(frames):
            pixels = np.zeros((96, 320, 3), np.uint8)
            pixels[40:60, 20 + 4 * i : 90 + 4 * i] = 255
            out.add(pixels)
    return path


def follower(text: PlateText) -> view.Follower:
    def describe(track: Track, shots: Sequence[Shot]) -> PlateText:
        return text

    return view.Follower(
        Detect({Kind.PLATE: WhiteSpot(), Kind.FACE: Nothing()}), BestShots({Kind.PLATE: sized}), describe
    )


class Nothing:
    def detect(self, pixels: Pixels, region: Region) -> list[Detection]:
        return []


def share_of(pixels: Pixels, colour: media.Colour) -> float:
    return float((np.abs(pixels.astype(int) - colour).max(axis=2) < 60).mean())


def test_a_video_is_copied_frame_by_frame_with_its_tracks(tmp_path: Path) -> None:
    watched = follower(PlateText("BG1", 0.99))
    source, out = footage(tmp_path / "in.avi", 30), tmp_path / "out.avi"
    assert view.video(source, out, watched, lambda done, of: None) == 30
    assert {number: seen.text for number, seen in watched.known.items() if isinstance(seen, PlateText)} == {1: "BG1"}
    with open_source(str(out)) as made:
        frames = [frame.pixels for frame in made]
    assert len(frames) == 30
    # amber while it is only seen, green from when the camera would have sent it
    assert share_of(frames[1], view.SEEN) > 0.01 > share_of(frames[1], view.SENT)
    assert share_of(frames[-1], view.SENT) > 0.01 > share_of(frames[-1], view.SEEN)


def test_an_unsure_text_stays_amber(tmp_path: Path) -> None:
    out = tmp_path / "out.avi"
    view.video(footage(tmp_path / "in.avi", 30), out, follower(PlateText("BG1", 0.2)), lambda done, of: None)
    with open_source(str(out)) as made:
        assert share_of(list(made)[-1].pixels, view.SENT) < 0.01


def test_a_file_that_is_no_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "in.mp4").write_bytes(b"no video")
    with pytest.raises(VidikError, match=r"in\.mp4"):
        view.video(tmp_path / "in.mp4", tmp_path / "out.mp4", follower(PlateText("A", 1)), lambda done, of: None)


def test_a_sheet_shows_plates_in_their_colour_and_faces(tmp_path: Path) -> None:
    images = [picture(tmp_path / f"{i}.png") for i in range(5)]
    plates = plate_path({10.0: PlateText("BG1", 0.99)}, [Box(10, 40, 110, 60)])
    sheet = view.sheet(images, plates, face_path([Box(300, 10, 360, 80)]), lambda done, of: None)
    assert sheet.shape[1] == 4 * (480 + 4)
    assert share_of(sheet, view.SENT) > 0.005
    assert view.sheet(images[:1], plates, face_path([]), lambda done, of: None).shape == BLACK.shape


def test_places_privacy_and_triggers_are_drawn(tmp_path: Path) -> None:
    camera = tmp_path / "camera.toml"
    paths = "".join(f'{name} = "x"\n' for name in ("inbox", "trust", "grants", "state", "signing_key"))
    camera.write_text(f"""[vision]
camera = "cam-1"
source = "x"
{paths}signing_certificate = "x"
privacy = [[[0.9, 0], [1, 0], [1, 1], [0.9, 1]]]
behaviour.lines.gate = [[0.3, 0.1], [0.3, 0.9]]
behaviour.zones.bay = [[0.5, 0.1], [0.8, 0.1], [0.8, 0.9], [0.5, 0.9]]
behaviour.rules = [{{ kind = "line", name = "over", line = "gate" }}]
""")
    watched = view.Follower(
        Detect({Kind.PLATE: WhiteSpot(), Kind.FACE: Nothing()}), BestShots({Kind.PLATE: sized}),
        lambda track, shots: None, config.load(camera, config.Vision),
    )  # fmt: skip
    out = tmp_path / "out.avi"
    source = tmp_path / "in.avi"
    with media.VideoOut(source, 320, 96, 10) as video:
        for i in range(20):
            pixels = np.full((96, 320, 3), 100, np.uint8)
            pixels[40:60, 20 + 6 * i : 90 + 6 * i] = 255
            video.add(pixels)
    view.video(source, out, watched, lambda done, of: None)
    with open_source(str(out)) as made:
        frames = [frame.pixels for frame in made]
    assert frames[5][:, 295:].max() < 60  # blanked, and drawn so
    assert share_of(frames[0], overlay.PLACE) > 0.01
    assert share_of(frames[0], overlay.TRIPPED) < 0.001 < share_of(frames[-1], overlay.TRIPPED)
