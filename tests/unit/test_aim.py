"""Setup mode's camera: nothing is encoded that was not masked, and what it measures is right."""

from __future__ import annotations

import ast
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from edge import aiming, config
from edge.aiming import AimingError, Answer, Measures
from edge.errors import VidikError
from edge.vision import image
from edge.vision.aim import mask as masks
from edge.vision.aim import meters
from edge.vision.aim.__main__ import Settings, machine
from edge.vision.aim.eye import Eye, Machine, Newest
from edge.vision.aim.mask import Mask
from edge.vision.aim.server import Server
from edge.vision.sources import MemorySource, Source
from edge.vision.values import Box, Detection, Frame, Kind, Masked, Pixels
from tests.rig import wait_for

EDGE = Path(__file__).parent.parent.parent / "edge"
SIZE = (360, 640)  # height, width


def picture(value: int = 200) -> np.ndarray:
    return np.full((*SIZE, 3), value, np.uint8)


def frame(monotonic: float = 0.0, value: int = 200) -> Frame:
    return Frame(picture(value), 0, monotonic, 0.0)


def detection(kind: Kind, box: tuple[float, float, float, float], score: float = 0.9) -> Detection:
    x0, y0, x1, y1 = box
    points = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], np.float32)
    return Detection(kind, Box(*box), score, points)


class Told:
    """A detector that finds what it was told."""

    def __init__(self, *found: Detection) -> None:
        self.found = list(found)

    def detect(self, pixels: np.ndarray, region: object) -> list[Detection]:
        return list(self.found)


def eye(masking: Mask | None, pictures: list[np.ndarray], **given: object) -> Eye:
    frames = Newest(lambda: MemorySource(pictures))
    return Eye(frames, masking, lambda: (), lambda: Machine(tested=6), **given)  # type: ignore[arg-type]


# masking comes first ---------------------------------------------------------------------------------------


@cache
def calls(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    called = [node.func for node in ast.walk(tree) if isinstance(node, ast.Call)]
    return {getattr(func, "id", getattr(func, "attr", "")) for func in called}


def users(name: str) -> set[str]:
    return {str(path.relative_to(EDGE)) for path in EDGE.rglob("*.py") if name in calls(path)}


def test_only_masking_makes_masked_pictures_and_only_those_are_encoded() -> None:
    assert users("Masked") == {"vision/aim/mask.py"}
    assert users("imencode") == {"vision/image.py"}
    for other in ("imwrite", "imencodemulti", "imwritemulti", "VideoWriter"):
        assert users(other) == set(), other
    with pytest.raises(TypeError, match="masked"):
        image.jpeg(picture(), 70)  # type: ignore[arg-type]


def test_the_encoder_sees_only_what_was_masked_before() -> None:
    seen: list[object] = []

    def spy(given: Masked, quality: int) -> bytes:
        seen.append(given)
        return image.jpeg(given, quality)

    face, plate = (100.0, 100.0, 160.0, 180.0), (300.0, 200.0, 420.0, 230.0)
    looking = eye(
        Mask({Kind.FACE: Told(detection(Kind.FACE, face)), Kind.PLATE: Told(detection(Kind.PLATE, plate))}),
        [picture()], encode=spy,
    )  # fmt: skip
    answer = looking.look(scan=False)
    looking.frames.close()
    assert [type(given) for given in seen] == [Masked]
    decoded = image.decode(answer.picture)
    assert decoded is not None
    assert decoded.shape == (120, 213, 3)
    for x0, y0, x1, y1 in (face, plate):
        assert decoded[int(y0 / 3) : int(y1 / 3), int(x0 / 3) : int(x1 / 3)].max() < 12
    assert decoded[10, 10].min() > 180  # and the street is still there
    assert answer.measures.masked == 2


def test_a_frame_is_shown_a_third_as_wide_and_never_wider_than_640_pixels() -> None:
    for width, shown in ((1920, 640), (1280, 426), (3840, 640)):
        pixels = np.zeros((width * 9 // 16, width, 3), np.uint8)
        assert masks.mask(Frame(pixels, 0, 0.0, 0.0), [], []).pixels.shape[1] == shown


def test_the_frame_itself_is_left_as_it_was() -> None:
    given = frame()
    Mask({Kind.FACE: Told(detection(Kind.FACE, (10, 10, 60, 60)))})(given, [((0, 0), (1, 0), (1, 1))])
    assert given.pixels.min() == 200


def test_privacy_zones_are_black() -> None:
    shown = masks.mask(frame(), [], [((0.5, 0.0), (1.0, 0.0), (1.0, 1.0), (0.5, 1.0))])
    assert shown.pixels[:, 108:].max() == 0
    assert shown.pixels[:, :100].min() == 200


def test_what_a_detector_loses_for_a_moment_stays_blank_for_a_second() -> None:
    told = Told(detection(Kind.FACE, (100, 100, 160, 180)))
    masking = Mask({Kind.FACE: told})
    masking(frame(0.0), [])
    told.found = []
    assert masking(frame(0.9), []).picture.pixels[47, 43].max() == 0
    assert masking(frame(1.1), []).picture.pixels[47, 43].min() == 200


def test_a_plate_is_blanked_with_all_that_belongs_to_it() -> None:
    corners = masks.corners(detection(Kind.PLATE, (300, 200, 400, 225)))
    x0, y0, x1, y1 = corners[0][0], corners[0][1], corners[2][0], corners[2][1]
    assert x0 <= 300 - 30
    assert x1 >= 400 + 30
    assert y0 <= 200 - 15
    assert y1 >= 225 + 15


def test_detectors_are_asked_about_every_part_of_the_frame() -> None:
    for kind in Kind:
        seen = np.zeros((1080, 1920), bool)
        whole, *tiles = masks.regions(kind, 1920, 1080)
        assert whole == (0, 0, 1920, 1080)
        for x0, y0, x1, y1 in tiles:
            seen[y0:y1, x0:x1] = True
        assert seen.all(), kind


def test_without_models_nothing_is_shown_and_the_page_hears_why() -> None:
    looking = Eye(
        Newest(lambda: MemorySource([picture()])), None, lambda: (), lambda: Machine(faults=("the file is altered",))
    )
    answer = looking.look(scan=True)
    looking.frames.close()
    assert answer.picture == b""
    assert "no picture is shown" in answer.measures.trouble
    assert answer.measures.faults == ("the file is altered",)


def test_with_a_broken_configuration_nothing_is_shown() -> None:
    def broken() -> tuple[()]:
        raise VidikError("privacy zone 1 crosses itself")

    looking = Eye(Newest(lambda: MemorySource([picture()])), Mask({}), broken, Machine)
    answer = looking.look(scan=False)
    looking.frames.close()
    assert answer.picture == b""
    assert answer.measures.trouble == "privacy zone 1 crosses itself"


def test_a_claim_is_read_only_when_asked_for() -> None:
    import segno

    claim = f"vidik://enrol.example:8443/cam-0042?claim={'A' * 32}&pin={'B' * 43}&until=1767225600"
    code = np.array([[0 if dark else 255 for dark in row] for row in segno.make(claim, error="m").matrix], np.uint8)
    large = np.pad(code, 4, constant_values=255).repeat(4, 0).repeat(4, 1)
    sheet = image.resize(np.repeat(large[..., None], 3, 2), 300, 300)
    held = picture(120)
    held[30:330, 150:450] = sheet
    looking = eye(Mask({}), [held])
    assert looking.look(scan=False).measures.claim == ""
    assert looking.look(scan=True).measures.claim == claim
    looking.frames.close()


# what is measured ------------------------------------------------------------------------------------------


def test_focus_falls_with_every_blur_and_does_not_depend_on_contrast() -> None:
    rng = np.random.default_rng(1)
    blocks = np.kron(rng.integers(40, 220, (45, 80)), np.ones((8, 8))).astype(np.float32)
    scores = [meters.focus(np.asarray(blocks, np.uint8))]
    scores += [meters.focus(np.asarray(image.blurred(blocks, n, n), np.uint8)) for n in (3, 5, 9, 15)]
    assert scores == sorted(scores, reverse=True)
    assert scores[0] > 75
    assert scores[-1] < 45
    assert meters.focus(np.asarray(blocks / 3, np.uint8)) == pytest.approx(scores[0], abs=2)
    assert meters.focus(np.zeros(SIZE, np.uint8)) == 0


@pytest.mark.parametrize("degrees", [-6.0, -2.0, 0.0, 3.0, 7.0])
def test_tilt_is_that_of_upright_edges(degrees: float) -> None:
    turn = np.radians(degrees)
    y, x = np.mgrid[:720, :1280].astype(np.float64)
    across = (x - 640) * np.cos(turn) - (y - 360) * np.sin(turn)  # poles, seen by a camera turned clockwise
    poles = np.where((across % 160) < 40, 60, 200).astype(np.uint8)
    assert meters.tilt(poles) == pytest.approx(degrees, abs=0.5)


def test_tilt_is_not_guessed() -> None:
    assert meters.tilt(np.full((720, 1280), 90, np.uint8)) is None


def test_plates_are_measured_along_their_sides_and_forgotten_after_a_minute() -> None:
    meter = meters.PlateMeter()
    tilted = Detection(
        Kind.PLATE, Box(0, 0, 90, 60), 0.9, np.array([[0, 0], [80, 60], [75, 75], [-5, 15]], np.float32)
    )
    unsure, face = detection(Kind.PLATE, (0, 0, 300, 60), 0.3), detection(Kind.FACE, (0, 0, 300, 300))
    assert meter.update(frame(0.0), [tilted, unsure, face]) == (1, 100.0, 100.0)
    assert meter.update(frame(30.0), [detection(Kind.PLATE, (0, 0, 60, 20))]) == (2, 100.0, 80.0)
    assert meter.update(frame(61.0), []) == (1, 60.0, 60.0)
    assert meter.update(frame(200.0), []) == (0, 0.0, 0.0)


# configuration and source ----------------------------------------------------------------------------------

TOML = """[vision]
camera = "cam-1"
source = "{source}"
inbox = "i"
trust = "t"
grants = "g"
state = "s"
signing_key = "k"
signing_certificate = "c"
privacy = {privacy}
"""


def test_a_privacy_zone_counts_as_soon_as_it_is_stored(tmp_path: Path) -> None:
    settings = Settings(tmp_path, "/dev/video0")
    assert settings.privacy() == ()
    assert settings.name() == "/dev/video0"
    path = tmp_path / "camera.toml"
    path.write_text(TOML.format(source="a.mp4", privacy="[]"))
    assert settings.privacy() == ()
    assert settings.name() == "a.mp4"
    fresh = tmp_path / "fresh"
    fresh.write_text(TOML.format(source="a.mp4", privacy="[[[0, 0], [1, 0], [1, 1]]]"))
    fresh.replace(path)
    assert settings.privacy() == (((0, 0), (1, 0), (1, 1)),)
    path.write_text("nonsense")
    with pytest.raises(config.ConfigError):
        settings.privacy()


def test_a_source_that_fails_is_tried_again_and_a_file_begins_anew() -> None:
    tries = []

    def open_source() -> MemorySource:
        tries.append(1)
        if len(tries) == 1:
            raise VidikError("cannot open it")
        return MemorySource([picture()])

    frames = Newest(open_source)
    wait_for(lambda: frames.trouble == "cannot open it")
    first, second = frames.take(5.0), frames.take(5.0)
    frames.close()
    assert first is not None
    assert second is not None
    assert second.monotonic > first.monotonic
    assert frames.trouble == ""


def test_a_frame_stays_what_it_was_while_the_source_goes_on() -> None:
    """What is masked must be what is shown, and sources fill the next frame into the same memory."""

    class Reusing(Source):
        def _pictures(self) -> Iterator[tuple[Pixels, float]]:
            memory = picture(10)
            for number in range(10_000):
                memory[:] = number % 200
                yield memory, number / 15

    frames = Newest(lambda: Reusing(0.0))
    for _ in range(20):
        taken = frames.take(5.0)
        assert taken is not None
        before = taken.pixels.copy()
        time.sleep(0.005)
        assert (taken.pixels == before).all()
        assert taken.pixels.min() == taken.pixels.max()
    frames.close()


def test_another_source_is_opened_when_the_configuration_names_one() -> None:
    name = ["one"]
    endless = [picture()] * 100_000
    opened: list[str] = []

    def open_source() -> MemorySource:
        opened.append(name[0])
        return MemorySource(endless)

    frames = Newest(open_source, lambda: name[0])
    assert frames.take(5.0) is not None
    name[0] = "two"
    wait_for(lambda: opened[-1] == "two")
    frames.close()


def test_the_machine_says_what_does_not_work() -> None:
    assert machine(config.Accelerator(), None, 6, "") == Machine("cpu", 6, ())
    assert machine(config.Accelerator(kind="gpu"), None, 0, "x" * 900).faults == ("x" * 500,)


# the socket ------------------------------------------------------------------------------------------------


def pair() -> tuple[socket.socket, socket.socket]:
    one, other = socket.socketpair()
    one.settimeout(5)
    other.settimeout(5)
    return one, other


@pytest.mark.parametrize("scan", [False, True])
def test_a_question_and_its_answer_cross_unchanged(scan: bool) -> None:
    page, camera = pair()
    given = Answer(Measures(width=1920, height=1080, focus=61.5, tilt=-1.0, claim="vidik://"), b"\xff\xd8picture")

    def serve() -> None:
        assert aiming.asked(camera) is scan
        aiming.answer(camera, given)

    thread = threading.Thread(target=serve)
    thread.start()
    assert aiming.ask(page, scan) == given
    thread.join()


@pytest.mark.parametrize(
    "untrusted",
    [
        b"", b"VW", b"XX\1\0\0\2\0\0\0\0{}", b"VW\2\0\0\2\0\0\0\0{}", b"VW\1\0\xff\xff\0\0\0\0",
        b"VW\1\0\0\2\x7f\xff\xff\xff{}",
        b"VW\1\0\0\2\0\0\0\0[]", b"VW\1\0\0\2\0\0\0\0{]", b'VW\1\0\0\x0b\0\0\0\0{"focus":9}'[:20],
        b"VW\1\0\0\2\0\0\0\4{}GIF8", b'VW\1\0\0\x0d\0\0\0\0{"focus":1e9}', b'VW\1\0\0\x0a\0\0\0\0{"new": 1}',
    ],
)  # fmt: skip
def test_whatever_the_camera_says_the_page_reads_or_refuses(untrusted: bytes) -> None:
    page, camera = pair()
    camera.sendall(untrusted)
    camera.shutdown(socket.SHUT_WR)
    with pytest.raises(AimingError):
        aiming.ask(page, scan=False)


@pytest.mark.parametrize("untrusted", [b"", b"VQ", b"XQ\1\0", b"VQ\2\0", b"VQ\1\2", b"VQ\1\xff"])
def test_whatever_the_page_asks_the_camera_answers_or_hangs_up(untrusted: bytes) -> None:
    page, camera = pair()
    page.sendall(untrusted)
    page.shutdown(socket.SHUT_WR)
    with pytest.raises(AimingError):
        aiming.asked(camera)


def test_an_answer_out_of_bounds_is_not_sent() -> None:
    _, camera = pair()
    with pytest.raises(AimingError, match="larger"):
        aiming.answer(camera, Answer(Measures(), bytes(aiming.LARGEST_PICTURE + 1)))


def nothing(scan: bool) -> Answer:
    return Answer(Measures(), b"")


class Times:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def serve(server: Server) -> tuple[threading.Thread, list[str]]:
    why: list[str] = []
    thread = threading.Thread(target=lambda: why.append(server.run()))
    thread.start()
    return thread, why


def connected(path: Path) -> socket.socket:
    page = socket.socket(socket.AF_UNIX)
    page.settimeout(5)
    page.connect(str(path))
    return page


def test_the_camera_ends_when_it_is_sealed_or_left_alone_or_after_twenty_minutes(tmp_path: Path) -> None:
    for sealed, passed, expected in ((True, 0, "sealed"), (False, 91, "no page"), (False, 1201, "over")):
        clock = Times()
        over = threading.Event()
        server = Server(tmp_path / "aim", nothing, over.is_set, clock=clock, sleep=lambda _: None)
        thread, why = serve(server)
        page = connected(tmp_path / "aim")
        assert aiming.ask(page, scan=False) == Answer(Measures(), b"")
        assert thread.is_alive()
        clock.now = passed
        if sealed:
            over.set()
        thread.join(30)
        server.close()
        assert expected in why[0]
        assert not (tmp_path / "aim").exists()


def test_pages_come_and_go_and_looks_are_not_hurried(tmp_path: Path) -> None:
    slept: list[float] = []
    over = threading.Event()
    server = Server(tmp_path / "aim", lambda scan: Answer(Measures(focus=1.0), b""), over.is_set, sleep=slept.append)
    thread, _ = serve(server)
    for _ in range(2):
        with connected(tmp_path / "aim") as page:
            for _ in range(3):
                aiming.ask(page, scan=False)
    assert sum(wait > 0.1 for wait in slept) >= 4
    with connected(tmp_path / "aim") as page:
        page.sendall(b"GET / HTTP/1.1\r\n")
        with suppress(ConnectionResetError):
            assert page.recv(1) == b""
    over.set()
    thread.join(30)
    server.close()


def test_only_its_own_user_and_group_get_at_the_socket(tmp_path: Path) -> None:
    server = Server(tmp_path / "aim", lambda _: Answer(Measures(), b""), lambda: True)
    assert (tmp_path / "aim").stat().st_mode & 0o777 == 0o660
    server.close()
    (tmp_path / "aim").write_text("in the way")
    with pytest.raises(VidikError, match="in the way"):
        Server(tmp_path / "aim", lambda _: Answer(Measures(), b""), lambda: True)
