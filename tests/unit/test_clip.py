"""The rendered street: what its truth says is what its pixels show, and the same every time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from edge.errors import VidikError
from edge.vision.sources import open_source
from edge.vision.values import Pixels
from provisioning.demo import cars, clip, lettering, photos, script
from provisioning.demo.actors import Car, Post, Scene, Walker
from provisioning.demo.actors import Path as Way
from provisioning.demo.raster import Camera, Layer, Panel, Sprite, draw

SIZE = (640, 360)
LANE = -1.95


def car(way: Way, *, towards: bool = True) -> Car:
    return Car("BG 123-AB", "hatchback", (40, 80, 140), way, towards)


def still(x: float, z: float) -> Way:
    return Way(((0.0, x, z),))


def rendered(folder: Path, *actors: Car | Walker | Post, seconds: float = 0.2) -> tuple[list[Pixels], dict[str, Any]]:
    film, truth = folder / "film.mp4", folder / "film.json"
    clip.render(film, truth, None, *SIZE, scene=Scene(seconds, 15.0, actors))
    with open_source(str(film)) as source:
        return [frame.pixels for frame in source], json.loads(truth.read_text())


def test_default_scene_holds_what_the_demonstration_promises() -> None:
    scene = script.default()
    driven = [actor for actor in scene.actors if isinstance(actor, Car)]
    walking = [actor for actor in scene.actors if isinstance(actor, Walker)]
    assert 20 <= scene.seconds <= 24
    assert scene.fps == 15
    assert len({one.text for one in driven}) == len(driven) >= 7
    assert {one.towards for one in driven} == {True, False}
    assert any(set(one.text) & set("ČĆĐŠŽ") for one in driven)
    assert any(len(one.path.keys) == 1 for one in driven), "one is parked throughout"
    assert any(one.side_text and one.shape == "van" for one in driven)
    assert {one.person for one in walking if one.person} == set(photos.photos())


def test_no_two_cars_of_the_default_scene_touch() -> None:
    scene = script.default()
    driven = [(actor, cars.BODIES[actor.shape]) for actor in scene.actors if isinstance(actor, Car)]
    for time in np.arange(0, scene.seconds, 1 / scene.fps):
        there = [
            (*actor.path.at(time), body)
            for actor, body in driven
            if len(actor.path.keys) == 1 or actor.path.begins <= time <= actor.path.ends
        ]
        for index, (x, z, body) in enumerate(there):
            for other_x, other_z, other in there[:index]:
                apart = (
                    abs(x - other_x) > (body.wide + other.wide) / 2 or abs(z - other_z) > (body.long + other.long) / 2
                )
                assert apart, f"collision after {time:.1f} s at x {x:.1f}, z {z:.1f}"


def test_film_has_the_frames_and_the_size_asked_for(tmp_path: Path) -> None:
    counted: list[tuple[int, int]] = []
    scene = Scene(0.4, 15.0, (car(still(LANE, 12)),))
    clip.render(
        tmp_path / "a.mp4", tmp_path / "a.json", lambda done, total: counted.append((done, total)), *SIZE, scene
    )
    with open_source(str(tmp_path / "a.mp4")) as source:
        shapes = {frame.pixels.shape for frame in source}
    assert shapes == {(360, 640, 3)}
    assert source.delivered == 6
    assert counted == [(done, 6) for done in range(1, 7)]
    truth = json.loads((tmp_path / "a.json").read_text())
    assert (truth["width"], truth["height"], truth["fps"], truth["frames"]) == (640, 360, 15.0, 6)


def test_the_same_scene_gives_the_same_film(tmp_path: Path) -> None:
    actors = (
        car(Way(((0.0, LANE, 14.0), (1.0, LANE, 9.0)))),
        Walker(Way(((0, -0.5, 6), (1, -0.5, 5))), (9, 9, 9), (9, 9, 9)),
    )
    first, truth = rendered(tmp_path, *actors)
    again, truth_again = rendered(tmp_path, *actors)
    assert truth == truth_again
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))


def test_the_plate_is_where_the_truth_says(tmp_path: Path) -> None:
    """The box holds a light plate with a blue band at its left, in a dark holder."""
    frames, truth = rendered(tmp_path, car(still(LANE, 10.5)))
    (plate,) = truth["plates"]
    assert (plate["text"], plate["first"], plate["last"]) == ("BG123AB", 0, 2)
    _, x0, y0, x1, y1, share = plate["seen"][0]
    assert share == 1.0
    assert plate["best_width"] == pytest.approx(x1 - x0, abs=1)
    inside = frames[0][round(y0) + 2 : round(y1) - 2, round(x0) : round(x1)].astype(float)
    band, rest = inside[:, 2:5].mean((0, 1)), inside[:, 8:-4].mean((0, 1))
    assert band[0] > band[2] + 50
    assert rest.min() > 110
    below = frames[0][round(y1) + 2, round(x0) + 8 : round(x1) - 8]
    assert below.mean() < 60


def test_what_stands_in_front_hides_and_does_not_count(tmp_path: Path) -> None:
    _, free = rendered(tmp_path, car(still(LANE, 18.0)))
    _, behind = rendered(tmp_path, car(still(LANE, 18.0)), car(still(LANE, 12.5)))
    assert free["plates"][0]["seen"][0][5] == 1.0
    (nearer,) = behind["plates"]
    assert nearer["best_width"] > free["plates"][0]["best_width"], "the plate behind a car is not in the truth at all"


@pytest.mark.parametrize("person", ["collins", "hopper"])
def test_the_face_is_where_the_truth_says(tmp_path: Path, person: str, detector: Callable[[Pixels], Any]) -> None:
    way = Way(((0.0, -0.6, 3.2), (1.0, -0.6, 2.8)))
    frames, truth = rendered(tmp_path, Walker(way, (90, 60, 50), (50, 50, 60), person))
    (face,) = truth["faces"]
    assert face["person"] == person
    _, x0, y0, x1, y1, _ = face["seen"][0]
    found = detector(frames[0])
    assert len(found) == 1, "one face and nothing else in the street that looks like one"
    x, y = found[0].box.centre
    assert x0 < x < x1
    assert y0 < y < y1
    assert 0.6 < found[0].box.height / (y1 - y0) < 1.5


@pytest.fixture(scope="module")
def detector() -> Callable[[Pixels], Any]:
    """Faces in the whole frame, by the product's own detector on the squares that cover it."""
    from edge.vision.face_detector import FaceDetector
    from edge.vision.nms import merge
    from edge.vision.values import Region

    network = FaceDetector()

    def detect(pixels: Pixels) -> Any:
        found = [one for x in (0, 140, 280) for one in network.detect(pixels, Region(x, 0, x + 360, 360))]
        return merge(found)

    return detect


def test_a_person_without_a_photo_shows_no_face(tmp_path: Path, detector: Callable[[Pixels], Any]) -> None:
    way = Way(((0.0, -0.6, 4.0), (1.0, -0.6, 5.0)))
    frames, truth = rendered(tmp_path, Walker(way, (90, 60, 50), (50, 50, 60)))
    assert truth["faces"] == []
    assert detector(frames[0]) == []


def test_a_way_goes_through_its_points_and_knows_its_speed() -> None:
    way = Way(((1.0, 0.0, 0.0), (2.0, 0.0, 10.0), (4.0, 0.0, 30.0)))
    assert way.at(2.0) == (0.0, 10.0)
    assert way.at(1.5)[1] == pytest.approx(5.0)
    assert way.speed(3.0) == pytest.approx((0.0, 10.0))
    assert (way.begins, way.ends) == (1.0, 4.0)


CAMERA = Camera(200, 100, 100.0, (100.0, 50.0), 2.0, 0.1)


def test_ground_is_the_inverse_of_projection() -> None:
    points = np.array([[0.0, 0.0, 5.0], [-2.0, 0.0, 9.0], [3.0, 0.0, 30.0]])
    pixels, _ = CAMERA.project(points)
    x, z = CAMERA.ground(pixels[:, 0], pixels[:, 1])
    assert np.allclose(np.stack([x, z], 1), points[:, ::2])
    assert np.isnan(CAMERA.ground(np.array([100.0]), np.array([0.0]))[1]).all(), "the sky has no ground"


def panel(depth: float) -> Panel:
    corners = np.array([[-1, 3, depth], [1, 3, depth], [1, 1, depth], [-1, 1, depth]], float)
    return Panel(Sprite(Image.new("RGBA", (64, 64), (255, 0, 0, 255))), corners)


def test_a_panel_covers_its_projection_and_is_culled_from_behind() -> None:
    shown = panel(5.0)
    layer = draw(CAMERA, [shown], cull=True)
    assert layer is not None
    frame = np.zeros((100, 200, 3), np.uint8)
    layer.onto(frame)
    pixels, _ = CAMERA.project(shown.corners)
    (x0, y0), (x1, y1) = pixels.min(0), pixels.max(0)
    assert (frame[..., 2] > 127).sum() == pytest.approx((x1 - x0) * (y1 - y0), rel=0.08)
    assert frame[..., :2].max() == 0
    assert layer.cover((x0 + 2, y0 + 2, x1 - 2, y1 - 2)) == pytest.approx(1.0, abs=0.02)
    assert draw(CAMERA, [Panel(shown.sprite, shown.corners[[1, 0, 3, 2]])], cull=True) is None
    assert draw(CAMERA, [panel(-5.0)], cull=False) is None


def test_smear_spreads_along_the_movement_and_keeps_the_light() -> None:
    layer = Layer((0, 0, 41, 41))
    layer.pixels[18:23, 18:23] = 255
    layer.smear(8.0, 0.0)
    rows, columns = np.nonzero(layer.pixels[..., 3] > 20)
    assert columns.max() - columns.min() > 8
    assert rows.max() - rows.min() <= 6
    assert layer.pixels[..., 3].sum() == pytest.approx(25 * 255, rel=0.05)


def test_plate_has_the_standards_shape_and_marks() -> None:
    for words in ("BG 1234-AB", "ŠA 123-ČĆ"):
        picture = np.asarray(lettering.plate(words).convert("RGB")).astype(int)
        assert picture.shape == (226, 1040, 3)
        assert picture[60, 40, 2] > picture[60, 40, 0] + 80, "blue band"
        red = (picture[..., 0] > 150) & (picture[..., 1] < 80)
        assert 300 < np.nonzero(red)[1].mean() < 420, "the shield between area and numbers"


def test_a_missing_package_is_named_with_the_next_step() -> None:
    with pytest.raises(VidikError, match=r"package nosuch is missing: install .*vidik\[demo\]"):
        lettering.package_file("nosuch", "a.png")


def test_photos_are_the_originals() -> None:
    for path in photos.photos().values():
        picture = cv2.imread(str(path))
        assert picture is not None
        assert min(picture.shape[:2]) >= 512
