"""The audit log: what it takes, how it rotates and mends itself, and what its signed head says."""

from __future__ import annotations

import os
from itertools import pairwise

import cbor2
import pytest
from cwt import COSE, COSEKey
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.audit import Audit, AuditError, Tally, chain, head, limit, tally, verify
from edge.audit.head import HeadError
from tests.audit_fakes import CAMERA, ISSUED, NOW, SIGNER, FakeClock, filled, open_log


def test_entries_come_back_in_order_after_a_restart(tmp_path):
    log = open_log(tmp_path)
    log.append("boot", boot=1, software="1.0")
    log.close()
    log = open_log(tmp_path)
    log.append("grant-accepted", grant="g-1", serial=3, function="faces", until=1_795_100_000)
    found = list(log.entries())
    assert [entry.event for entry in found] == ["log-started", "boot", "grant-accepted"]
    assert [entry.number for entry in found] == [1, 2, 3]
    assert found[0].facts == {"camera": CAMERA}
    assert found[2].facts["serial"] == 3
    assert found[2].time == NOW * 1000
    assert len({entry.hash for entry in found}) == 3


@pytest.mark.parametrize(
    ("event", "facts"),
    [
        ("plate", {"text": "BG123AB"}),
        ("boot", {"text": "BG123AB"}),
        ("boot", {"boot": b"template"}),
        ("boot", {"boot": True}),
        ("boot", {"boot": 2**63}),
        ("hour", {"seen": {"plate": -1}}),
        ("hour", {"seen": {"plate": b"x"}}),
        ("hour", {"seen": {str(n): 1 for n in range(65)}}),
        ("hour", {"seen": {"x" * 49: 1}}),
    ],
)
def test_there_is_no_room_for_what_must_not_be_logged(tmp_path, event, facts):
    log = open_log(tmp_path)
    with pytest.raises(AuditError):
        log.append(event, **facts)
    assert len(list(log.entries())) == 1


def test_long_reasons_are_cut(tmp_path):
    log = open_log(tmp_path)
    log.append("grant-refused", reason="x" * 1000)
    assert len(list(log.entries())[-1].facts["reason"]) == 160


def test_one_process_at_a_time(tmp_path):
    log = open_log(tmp_path)
    with pytest.raises(AuditError, match="another process"):
        open_log(tmp_path)
    log.close()
    open_log(tmp_path).close()


def test_rotates_stays_bounded_and_verifiable(tmp_path):
    signed = filled(tmp_path, 400, segment_bytes=2000, total_bytes=8000)
    paths = chain.segments(tmp_path)
    assert 3 <= len(paths) <= 5
    assert sum(path.stat().st_size for path in paths) <= 8000
    found = verify.examine(tmp_path, signed)
    assert found.problems == []
    assert found.first.number > 100
    assert found.last.number == 400
    assert found.events["trimmed"] >= 1
    open_log(tmp_path, segment_bytes=2000, total_bytes=8000).close()
    assert verify.examine(tmp_path, signed).problems == []


def append_many(log, count):
    for _ in range(count):
        log.append("stop", reason="x")


def test_a_power_cut_between_anchor_and_removal_is_finished_later(tmp_path, monkeypatch):
    log = open_log(tmp_path, segment_bytes=600, total_bytes=2000)
    monkeypatch.setattr("edge.audit.segments.Segments.drop", lambda self, number: (_ for _ in ()).throw(OSError("cut")))
    with pytest.raises(AuditError, match="nothing is reported"):
        append_many(log, 70)
    monkeypatch.undo()
    assert verify.examine(tmp_path).problems == []
    before = len(chain.segments(tmp_path))
    log.append("stop", reason="again")
    assert len(chain.segments(tmp_path)) < before
    assert verify.examine(tmp_path, log.head()).problems == []


@pytest.mark.parametrize("kept", [1, 10, 33, 50])
def test_a_torn_entry_is_cut_and_said(tmp_path, kept):
    filled(tmp_path)
    path = chain.segments(tmp_path)[-1]
    whole = path.stat().st_size
    log = open_log(tmp_path)
    log.append("stop", reason="some reason that is long enough")
    log.close()
    os.truncate(path, whole + kept)
    assert verify.examine(tmp_path).problems != []
    log = open_log(tmp_path)
    assert list(log.entries())[-1].event == "tail-cut"
    assert list(log.entries())[-1].facts == {"bytes": kept}
    assert verify.examine(tmp_path, log.head()).problems == []


def test_zeros_at_the_end_are_a_torn_entry(tmp_path):
    signed = filled(tmp_path)
    with chain.segments(tmp_path)[-1].open("ab") as file:
        file.write(bytes(300))
    log = open_log(tmp_path)
    assert list(log.entries())[-1].facts == {"bytes": 300}
    assert verify.examine(tmp_path, signed).problems == []


def test_damage_is_kept_as_evidence_and_the_log_goes_on(tmp_path):
    signed = filled(tmp_path)
    path = chain.segments(tmp_path)[-1]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    log = open_log(tmp_path)
    last = list(log.entries())[-1]
    assert last.event == "damage-found"
    assert (tmp_path / last.facts["file"]).stat().st_size == last.facts["bytes"]
    assert verify.examine(tmp_path, log.head()).problems == []
    assert verify.examine(tmp_path, signed).problems != []


def test_a_segment_without_a_header_is_put_aside(tmp_path):
    filled(tmp_path, 30, segment_bytes=600)
    path = chain.segments(tmp_path)[-1]
    path.write_bytes(b"?" * 500)
    log = open_log(tmp_path, segment_bytes=600)
    assert list(log.entries())[-1].event == "damage-found"
    assert verify.examine(tmp_path, log.head()).problems == []


def test_a_full_disk_refuses_and_loses_nothing(tmp_path, monkeypatch):
    log = open_log(tmp_path)
    real = os.write
    monkeypatch.setattr("edge.audit.segments.os.write", lambda fd, data: real(fd, bytes(data)[:7]) and _full())
    with pytest.raises(AuditError, match="No space"):
        log.append("stop", reason="first")
    monkeypatch.undo()
    log.append("stop", reason="second")
    assert [entry.event for entry in log.entries()] == ["log-started", "tail-cut", "stop"]
    assert verify.examine(tmp_path, log.head()).problems == []


def _full():
    raise OSError(28, "No space left on device")


def test_a_flood_is_counted_not_written(tmp_path):
    clock = FakeClock()
    log = open_log(tmp_path, clock)
    for _ in range(1000):
        log.append("grant-refused", reason="forged")
    log.append("grant-accepted", grant="g-1")
    assert sum(entry.event == "grant-refused" for entry in log.entries()) == limit.EACH_HOUR
    clock.now += 3600
    log.append("stop", reason="x")
    suppressed = [entry.facts for entry in log.entries() if entry.event == "suppressed"]
    assert suppressed == [{"event": "grant-refused", "count": 1000 - limit.EACH_HOUR}]
    log.append("grant-refused", reason="forged")
    assert list(log.entries())[-1].event == "grant-refused"


def test_the_tally_writes_an_hour(tmp_path):
    clock = FakeClock()
    log = open_log(tmp_path, clock)
    counts = Tally(log, clock)
    counts.seen("face", 5)
    counts.discarded("not listed", 4)
    counts.reported("face")
    assert not counts.tick()
    clock.now += 3600
    assert counts.tick()
    assert list(log.entries())[-1].facts == {
        "seconds": 3600, "seen": {"face": 5}, "discarded": {"not listed": 4}, "reported": {"face": 1}, "lost": {},
    }  # fmt: skip
    clock.now += 3600
    assert counts.tick()
    assert list(log.entries())[-1].facts["seen"] == {}


def test_the_sums_of_a_day(tmp_path):
    clock = FakeClock()
    log = open_log(tmp_path, clock)
    counts = Tally(log, clock)
    for _ in range(48):
        counts.seen("plate", 2)
        clock.now += 3600
        counts.tick()
    clock.now = clock.now // 86400 * 86400 + 10
    sums = tally.last_day(log.entries(), clock.now)
    assert sums.seen == {"plate": 48}
    assert sums.end - sums.begin == 86400
    assert sums.end <= clock.now


def test_the_head_is_a_cose_message_others_can_check(tmp_path):
    log = open_log(tmp_path)
    log.append("boot", boot=1)
    stated, certificate = head.read(log.head())
    assert (stated.camera, stated.number, stated.hash) == (CAMERA, 2, list(log.entries())[-1].hash)
    assert certificate == SIGNER.certificate
    numbers = ISSUED.key.public_key().public_numbers()
    key = COSEKey.new({1: 2, 3: -7, -1: 1, -2: numbers.x.to_bytes(32, "big"), -3: numbers.y.to_bytes(32, "big")})
    assert cbor2.loads(COSE.new().decode(log.head(), key))[1] == CAMERA


@settings(max_examples=200)
@given(st.binary(max_size=300))
def test_garbage_is_no_head(content):
    with pytest.raises(HeadError):
        head.read(content)


@settings(max_examples=60)
@given(st.binary(max_size=2000), st.booleans())
def test_garbage_never_breaks_reader_verifier_or_camera(tmp_path_factory, content, with_header):
    folder = tmp_path_factory.mktemp("audit")
    begin = chain.header(chain.Start(1, chain.GENESIS)) if with_header else b""
    (folder / chain.name(1)).write_bytes(begin + content)
    found = verify.examine(folder)
    assert found.problems or (with_header and not content)
    log: Audit = open_log(folder)
    log.append("stop", reason="x")
    assert verify.examine(folder, log.head()).problems == []
    log.close()


def test_numbers_only_grow_and_hashes_chain(tmp_path):
    filled(tmp_path, 60, segment_bytes=700)
    log = open_log(tmp_path)
    assert all(after.number == before.number + 1 for before, after in pairwise(log.entries()))
