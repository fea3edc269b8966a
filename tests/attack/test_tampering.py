"""Whoever holds the camera's disk cannot change its audit log without being found out."""

from __future__ import annotations

import os
import random

import pytest

from edge.audit import AuditError, chain, head, verify
from edge.audit.log import ANCHOR
from tests.audit_fakes import CAMERA, NOW, FakeClock, filled, open_log


def entries_of(path):
    """The header and the raw bytes of each entry of a segment."""
    content = path.read_bytes()
    begin = chain.start(content)
    links = list(chain.walk(content, begin.hash))
    return content[: chain.HEADER_BYTES], [content[link.offset : link.end] for link in links]


def put(path, begin, entries):
    path.write_bytes(begin + b"".join(entries))


def problems(folder, signed=None):
    return verify.examine(folder, signed).problems


def test_every_flipped_bit_of_every_segment_is_found(tmp_path):
    filled(tmp_path, 14, segment_bytes=400)
    assert problems(tmp_path) == []
    for path in chain.segments(tmp_path):
        whole = path.read_bytes()
        for position in range(len(whole)):
            broken = bytearray(whole)
            broken[position] ^= 1 << position % 8
            path.write_bytes(broken)
            assert problems(tmp_path), (path.name, position)
        path.write_bytes(whole)


def test_every_removed_entry_is_found_and_named(tmp_path):
    signed = filled(tmp_path)
    path = chain.segments(tmp_path)[0]
    begin, entries = entries_of(path)
    for gone in range(len(entries) - 1):
        put(path, begin, entries[:gone] + entries[gone + 1 :])
        assert any(f"entry {gone + 1} is missing" in problem for problem in problems(tmp_path))
    put(path, begin, entries[:-1])
    assert problems(tmp_path) == []  # the end alone: only the published head shows it
    assert "The end is missing" in problems(tmp_path, signed)[0]


def test_every_two_entries_exchanged_are_found(tmp_path):
    filled(tmp_path)
    path = chain.segments(tmp_path)[0]
    begin, entries = entries_of(path)
    for first in range(len(entries)):
        for second in range(first + 1, len(entries)):
            mixed = list(entries)
            mixed[first], mixed[second] = mixed[second], mixed[first]
            put(path, begin, mixed)
            assert problems(tmp_path)


def test_every_truncation_is_found_against_the_head(tmp_path):
    signed = filled(tmp_path)
    path = chain.segments(tmp_path)[0]
    for size in range(path.stat().st_size - 1, 0, -1):
        os.truncate(path, size)
        assert problems(tmp_path, signed)


def test_a_log_written_anew_is_not_the_published_one(tmp_path):
    signed = filled(tmp_path / "real")
    clock = FakeClock()
    clock.now = NOW + 1
    log = open_log(tmp_path / "anew", clock)
    for boot in range(20):
        log.append("boot", boot=boot, software="1.0")
    assert problems(tmp_path / "anew") == []
    assert any("written anew" in problem for problem in problems(tmp_path / "anew", signed))


def test_a_removed_segment_is_found_wherever_it_stood(tmp_path):
    signed = filled(tmp_path, 60, segment_bytes=500)
    for path in chain.segments(tmp_path):
        whole = path.read_bytes()
        path.unlink()
        assert problems(tmp_path, signed), path.name
        path.write_bytes(whole)
    assert problems(tmp_path, signed) == []


def test_the_oldest_part_cannot_be_dropped_in_the_camera_s_name(tmp_path):
    signed = filled(tmp_path, 400, segment_bytes=2000, total_bytes=8000)
    anchor = (tmp_path / ANCHOR).read_bytes()
    chain.segments(tmp_path)[0].unlink()
    assert any("missing at the beginning" in problem for problem in problems(tmp_path, signed))
    (tmp_path / ANCHOR).unlink()
    assert any("no anchor vouches" in problem for problem in problems(tmp_path, signed))
    (tmp_path / ANCHOR).write_bytes(anchor[:-1] + b"x")
    assert any("does not hold" in problem for problem in problems(tmp_path, signed))


def test_a_log_wiped_by_a_thief_starts_over_and_the_head_shows_it(tmp_path):
    signed = filled(tmp_path)
    for path in chain.segments(tmp_path):
        path.unlink()
    with pytest.raises(AuditError, match="no audit log"):
        problems(tmp_path, signed)
    log = open_log(tmp_path)
    log.append("boot", boot=1)
    assert "The end is missing" in problems(tmp_path, signed)[0]


def test_every_flipped_bit_of_a_head_is_found(tmp_path):
    signed = filled(tmp_path)
    for position in range(len(signed)):
        broken = bytearray(signed)
        broken[position] ^= 1 << position % 8
        with pytest.raises(head.HeadError):
            head.read(bytes(broken))


def test_random_surgery_is_found(tmp_path):
    signed = filled(tmp_path, 40)
    path = chain.segments(tmp_path)[0]
    whole = path.read_bytes()
    rng = random.Random(7)
    for _ in range(300):
        a, b, c = (rng.randrange(len(whole)) for _ in range(3))
        mixed = whole[: min(a, b)] + whole[c : c + rng.randrange(1, 60)] + whole[max(a, b) :]
        if mixed == whole:
            continue
        path.write_bytes(mixed)
        assert problems(tmp_path, signed)
    assert head.read(signed)[0].camera == CAMERA
