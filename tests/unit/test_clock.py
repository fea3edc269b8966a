"""When time counts as trustworthy."""

from __future__ import annotations

import ctypes

import pytest

from edge.clock import EARLIEST, SAVE_EVERY, SLACK, SystemClock, Timekeeper, record, synchronised, trustworthy
from edge.errors import VidikError
from tests.law import DAY, NOW, Book, FakeClock


def keeper(folder, clock, book=None, is_synchronised=False):
    return Timekeeper(clock, folder / "newest", book or Book(), lambda: is_synchronised)


def test_the_first_time_must_come_from_a_synchronised_clock(tmp_path):
    clock, book, state = FakeClock(), Book(), {"synchronised": False}
    kept = Timekeeper(clock, tmp_path / "newest", book, lambda: state["synchronised"])
    assert not kept.trusted
    assert not (tmp_path / "newest").exists()
    state["synchronised"] = True
    assert kept.tick()
    state["synchronised"] = False  # the network may go away later
    clock.pass_time(DAY)
    assert kept.tick()
    assert book.of("clock") == [{"state": "locked", "reason": "never synchronised"}, {"state": "trusted"}]


def test_a_clock_that_was_never_set_is_not_believed_even_if_synchronised(tmp_path):
    assert not keeper(tmp_path, FakeClock(EARLIEST - 1), is_synchronised=True).trusted
    assert trustworthy(EARLIEST)
    assert not trustworthy(EARLIEST - 1)


def test_time_never_goes_back_across_starts(tmp_path):
    clock = FakeClock()
    record(tmp_path / "newest", NOW - DAY)
    kept = keeper(tmp_path, clock)
    clock.pass_time(SAVE_EVERY)
    kept.tick()
    for back, trusted in ((1.0, True), (SLACK + 1, False), (30 * DAY, False)):
        again = FakeClock(clock.now - back)
        assert keeper(tmp_path, again, is_synchronised=True).trusted is trusted
        again.pass_time(back)
        assert keeper(tmp_path, again).trusted


def test_small_steps_back_do_not_add_up(tmp_path):
    record(tmp_path / "newest", NOW)
    clock = FakeClock()
    outcomes = []
    for _ in range(4):
        clock.now -= SLACK / 2
        outcomes.append(keeper(tmp_path, clock).trusted)
    assert outcomes == [True, True, False, False]


def test_the_newest_time_is_saved_now_and_then_and_at_the_end(tmp_path):
    record(tmp_path / "newest", NOW - DAY)
    clock = FakeClock()
    kept, saved = keeper(tmp_path, clock), tmp_path / "newest"
    assert saved.read_text() == str(NOW)
    written = set()
    for _ in range(120):
        clock.pass_time(10)
        kept.tick()
        written.add(saved.read_text())
    assert written == {str(NOW), str(NOW + 600), str(NOW + 1200)}
    clock.pass_time(7)
    kept.tick()
    kept.close()
    assert saved.read_text() == str(NOW + 1207)


def test_a_clock_that_was_set_is_noticed_and_corrected(tmp_path):
    record(tmp_path / "newest", NOW - DAY)
    clock, book = FakeClock(), Book()
    kept = keeper(tmp_path, clock, book)
    clock.pass_time(60)
    kept.tick()
    assert kept.offset == pytest.approx(0)
    clock.now += 3600
    kept.tick()
    assert kept.offset == pytest.approx(3600)
    clock.now -= 2 * 3600
    assert not kept.tick()
    assert kept.offset == pytest.approx(-3600)
    jumps = [facts["milliseconds"] for facts in book.of("clock") if facts["state"] == "jump"]
    assert jumps == [3_600_000, -7_200_000]
    assert [facts["state"] for facts in book.of("clock")] == ["trusted", "jump", "jump", "locked"]
    assert (tmp_path / "newest").read_text() == str(NOW)


def test_a_record_that_cannot_be_read_stops_the_camera(tmp_path):
    (tmp_path / "newest").write_text("yesterday")
    with pytest.raises(VidikError, match="Provision"):
        keeper(tmp_path, FakeClock())
    with pytest.raises(VidikError, match="data partition"):
        record(tmp_path / "newest" / "below", NOW)


def test_the_real_clock_works():
    assert isinstance(synchronised(), bool)
    clock = SystemClock()
    assert clock.monotonic() <= clock.monotonic()
    assert trustworthy(clock.wall())


@pytest.mark.parametrize("there", [True, False])
def test_in_a_sandbox_without_the_clock_timesyncd_says_whether_it_is_synchronised(tmp_path, monkeypatch, there):
    class Forbidden:
        def adjtimex(self, _buffer):
            return -1

    monkeypatch.setattr(ctypes, "CDLL", lambda _name: Forbidden())
    if there:
        (tmp_path / "synchronized").touch()
    assert synchronised(tmp_path / "synchronized") is there
