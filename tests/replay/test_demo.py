"""The whole product over its default clip: both processes, a real broker, mutual TLS, sealed reports."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter

import pytest

from edge.vision import sources
from provisioning import deployment
from provisioning.demo.stage import without_network

from .conftest import play

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def played(tmp_path_factory, clip, sought):
    def prepare(made):
        deployment.grant_plates(made)
        deployment.grant_faces(made, sought)

    return play(tmp_path_factory.mktemp("demo"), clip, prepare)


def test_every_readable_plate_is_reported_exactly_once_and_right(played, truth):
    readable = Counter(plate["text"] for plate in truth["plates"] if plate["best_width"] >= 100)
    assert len(readable) >= 5
    small = {plate["text"] for plate in truth["plates"]} - set(readable)
    assert Counter(text for text in played.texts if text not in small) == readable


def test_every_sought_person_is_reported_exactly_once(played, truth, sought):
    assert Counter(played.entries) == Counter(face["person"] for face in truth["faces"])
    assert set(played.entries) == {entry.entry for entry in sought}


def test_reports_are_small(played):
    sizes = {"plate": 340, "face": 480}
    seen = Counter()
    for topic, payload in played.payloads:
        channel = topic.rsplit("/", 1)[-1]
        if channel in sizes:
            assert len(payload) + len(topic) <= sizes[channel]
            seen[channel] += 1
    assert seen["plate"] >= 5
    assert seen["face"] >= 2


def test_neither_broker_nor_wire_sees_pictures_or_texts(played, truth, clip):
    with sources.open_source(str(clip)) as source:
        pixels = next(iter(source)).pixels
    raw = [pixels[y, 200:216].tobytes() for y in range(0, pixels.shape[0], 16)]
    raw = [row for row in raw if len(set(row)) > 8]  # a plain sky could be anything
    assert len(raw) > 5
    magic = [b"\xff\xd8\xff", b"\x89PNG", b"RIFF", b"WEBP", b"ftyp"]
    texts = [plate["text"].encode() for plate in truth["plates"]]
    everything = b"".join(payload for _, payload in played.payloads) + played.wire
    assert len(played.wire) > 5000
    for forbidden in [*raw, *magic, *texts]:
        assert forbidden not in everything
    for text in texts:
        assert text.decode() not in played.log


def test_both_processes_and_the_subscriber_agree_on_the_count(played):
    assert sum(played.counted["reported"].values()) == len(played.reports)
    assert played.counted["not_handed_over"] == 0


PAST = {"not_before": 1_700_000_000, "not_after": 1_700_009_000}
CASES = {
    "missing": (lambda made: None, "no valid grant"),
    "expired": (lambda made: deployment.grant_plates(made, **PAST), "expired"),
    "for another camera": (lambda made: deployment.grant_plates(made, cameras=("cam-other",)), "another camera"),
    "with a flipped bit": (lambda made: flip(deployment.grant_plates(made)), "refused"),
}


def flip(path):
    signed = bytearray(path.read_bytes())
    signed[len(signed) // 2] ^= 1
    path.write_bytes(signed)


@pytest.mark.parametrize("case", CASES)
def test_without_a_valid_grant_nothing_is_reported_and_the_log_says_why(case, tmp_path, short_clip):
    prepare, reason = CASES[case]
    played = play(tmp_path, short_clip, prepare)
    assert played.counted["tracks"] > 0
    assert played.reports == []
    assert {topic.rsplit("/", 1)[-1] for topic, _ in played.payloads} <= {"status", "card", "audit", "health"}
    assert reason in played.log


@pytest.fixture(scope="module")
def short_clip(tmp_path_factory, clip, truth):
    """Some pictures of the clip in which a readable plate stands: enough to see something and say nothing."""
    from edge.vision.image import cv2  # the test writes pictures; the product has no such function

    folder = tmp_path_factory.mktemp("pictures")
    plate = max(truth["plates"], key=lambda p: p["best_width"])
    wanted = sorted(int(row[0]) for row in plate["seen"] if row[5] > 0.95)
    wanted = set(wanted[:: max(1, len(wanted) // 12)])
    with sources.open_source(str(clip)) as source:
        for frame in source:
            if frame.index in wanted:
                cv2.imwrite(str(folder / f"{frame.index:04}.png"), frame.pixels)
    return folder


def test_vision_works_in_a_namespace_without_any_network(tmp_path, short_clip):
    prefix = without_network()
    if not prefix:
        pytest.skip("this machine does not let a test make network namespaces")
    code = "import socket; socket.create_connection(('127.0.0.1', 9), 1)"
    refused = subprocess.run([*prefix, sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "unreachable" in refused.stderr  # even the loopback is gone in there
    played = play(tmp_path, short_clip, deployment.grant_plates)
    assert len(played.reports) >= 1
    assert json.dumps(played.counted)
