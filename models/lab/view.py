"""``vidik view``: what the camera's stages see in files, drawn for people. Never from a device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import Annotated

import typer

from edge import config
from edge.behaviour import Behaviour
from edge.grant.gate import Description
from edge.vision import build, sources
from edge.vision.best_shot import BestShots
from edge.vision.describe import doubt
from edge.vision.detect import Detect
from edge.vision.privacy import PrivacyZones
from edge.vision.rules import Rules
from edge.vision.track import Track, Tracker
from edge.vision.values import Detection, FaceTemplate, Frame, Pixels, PlateText
from models.lab import console, media, overlay, stages
from models.lab.labels import Progress
from models.lab.read import ranked as ranked_plates
from models.lab.still import StillPath, analyse_still

SENT, SEEN = (90, 220, 60), (0, 190, 255)  # green: the camera would send it; amber: it would not
MOST = 60
"""Pictures on one sheet."""

app = console.command()


@app.command()
def view(
    source: Annotated[Path, typer.Argument(help="A video file, a picture, or a folder of pictures. No device.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Where to write: .mp4 or .avi for a video, else .png.")],
    settings: Annotated[
        Path | None, typer.Option("--config", help="A camera's configuration: its lines, zones and rules, for a video.")
    ] = None,
) -> None:
    """Draw what the camera sees in a file: boxes, texts, confidences, tracks; with --config also its rules at work."""
    media.refuse_device(source)
    camera = None if settings is None else config.load(settings, config.Vision)
    if source.is_file() and source.suffix.lower() not in media.SUFFIXES:
        follower = Follower(build.detect(), build.best_shots(), build.describe(), camera)
        with console.progress("frames") as progress:
            count = video(source, out, follower, progress)
        typer.echo(f"{count} frames written to {out}")
        return
    if camera is not None:
        raise media.MediaError(f"{source} is no video, and behaviour takes time: leave --config out, or name a video.")
    images = media.find_images([source])
    plates, faces = stages.plates(), stages.faces()
    with console.progress() as progress:
        media.save(out, sheet(images[:MOST], plates, faces, progress))
    left = len(images) - MOST
    typer.echo(f"{min(len(images), MOST)} pictures drawn on {out}" + (f", {left} left out" if left > 0 else ""))


def sheet(
    images: Sequence[Path], plates: StillPath[PlateText], faces: StillPath[FaceTemplate], progress: Progress
) -> Pixels:
    """``images`` annotated on one sheet; a single one in its own size. Raises ``MediaError``."""
    cells = []
    for done, image in enumerate(images):
        progress(done, len(images))
        pixels = media.load(image)
        annotate(pixels, plates, faces)
        cells.append(pixels if len(images) == 1 else media.scaled(pixels, min(1.0, 640 / pixels.shape[1])))
    progress(len(images), len(images))
    return cells[0] if len(cells) == 1 else media.contact_sheet(cells, columns=min(4, len(cells)))


def annotate(pixels: Pixels, plates: StillPath[PlateText], faces: StillPath[FaceTemplate]) -> None:
    """Draws the plates and faces of one picture into it."""
    seen = pixels.copy()  # faces are looked for in the picture as it was, without the plates' boxes
    for plate in ranked_plates(analyse_still(seen, plates)):
        _draw(pixels, plate.detection, caption(plate.description), stages.reported(plate))
    for face in analyse_still(seen, faces).seen:
        _draw(pixels, face.detection, caption(face.description), stages.reported(face))


def caption(seen: Description | None) -> str:
    """What is known of an object, in a few characters."""
    if isinstance(seen, PlateText):
        return f"{seen.text} {seen.confidence:.2f} {seen.country}".strip()
    if isinstance(seen, FaceTemplate):
        return f"quality {seen.quality:.0f}"
    return ""


class Follower:
    """The camera's stages over a video, up to the point where a grant would be asked.

    ``camera`` is whose privacy zones and rules apply, if any. ``known`` holds what was said of each track last, by
    track number.
    """

    def __init__(
        self,
        detect: Detect,
        best_shots: BestShots,
        describe: Callable[..., Description | None],
        camera: config.Vision | None = None,
    ) -> None:
        self.behaviour = Behaviour() if camera is None else camera.behaviour
        self.blank = PrivacyZones(() if camera is None else camera.privacy)
        self._rules = Rules(self.behaviour)
        self._look = build.look(config.Look())
        self._detect = detect
        self._tracker = Tracker()
        self._best_shots = best_shots
        self._describe = describe
        self.known: dict[int, Description] = {}

    def step(self, frame: Frame) -> list[tuple[Track, Detection]]:
        """The tracks seen in ``frame``, which has been blanked, each with its detection."""
        detections = self._detect(frame, self._look.plan(frame, self._tracker.live))
        pairs = self._tracker.update(frame, detections)
        for track, detection in pairs:
            self._best_shots.offer(frame, track, detection)
        self._rules.watch(frame, self._tracker.live)
        for track, shots, _ in self._best_shots.ripe(frame.monotonic, self._tracker.live):
            seen = self._describe(track, shots)
            if seen is not None:
                self.known[track.number] = seen
            track.settled = doubt(seen) is None
        return pairs


def video(source: Path, out: Path, follower: Follower, progress: Progress) -> int:
    """Writes ``source`` with boxes, track numbers and texts to ``out`` (.mp4 or .avi). Returns its frame count.

    Raises ``VidikError`` when either cannot be used. A text appears once the camera would have read it.
    """
    with sources.open_source(str(source)) as footage:
        frames = iter(footage)
        first = list(islice(frames, 2))
        if not first:
            raise media.MediaError(f"The video {source} has no frame that can be decoded. Check the file.")
        rate = 25.0 if len(first) < 2 else 1 / (first[1].monotonic - first[0].monotonic)
        count = 0
        with media.VideoOut(out, first[0].width, first[0].height, rate) as writer:
            for frame in _same_size(chain(first, frames)):
                writer.add(_drawn(frame, follower))
                count += 1
                progress(count, 0)
    return count


def _same_size(frames: Iterator[Frame]) -> Iterator[Frame]:
    size = None
    for frame in frames:
        size = size or frame.pixels.shape
        if frame.pixels.shape == size:  # a video file has one frame size; a stream may switch, the copy cannot
            yield frame


def _drawn(frame: Frame, follower: Follower) -> Pixels:
    frame = follower.blank(frame)
    pairs = follower.step(frame)
    pixels = frame.pixels.copy()
    overlay.draw_places(pixels, follower.behaviour)
    for track, detection in pairs:
        known = follower.known.get(track.number)
        label = f"#{track.number} {caption(known) if known else f'{detection.score:.2f}'}"
        _draw(pixels, detection, label, known is not None and doubt(known) is None)
        overlay.draw_triggers(pixels, detection.box, track.tripped.values())
    return pixels


def _draw(pixels: Pixels, detection: Detection, label: str, sent: bool) -> None:
    colour = SENT if sent else SEEN
    media.draw_box(pixels, detection.box, label, colour)
    media.draw_points(pixels, [(float(x), float(y)) for x, y in detection.points], colour)
