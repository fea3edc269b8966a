"""Power cuts between other processes, the postbox and the audit log: what was posted is in the log, once, in order."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from edge.audit import Account, limit, postbox, verify
from edge.audit.collect import Collector
from tests.audit_fakes import FakeClock, open_log
from tests.faults.test_enrolment_power_cuts import Power, cuts, tear

KILLS = 40


@pytest.fixture
def power(monkeypatch: pytest.MonkeyPatch) -> Power:
    return Power(monkeypatch)


def collect(folder: Path) -> list[str]:
    """What vision does at its start, and the IDs that stand in the log afterwards."""
    clock = FakeClock()
    account = Account(open_log(folder / "audit", clock), clock)
    Collector(folder / "events", account, clock).tick()
    ids = [str(entry.facts["post"]) for entry in account.audit.entries() if "post" in entry.facts]
    head = account.audit.head()
    account.close()
    assert verify.examine(folder / "audit", head).problems == []
    return ids


def test_a_cut_at_every_step_of_posting(power: Power, tmp_path: Path) -> None:
    for number, at in enumerate(cuts()):
        folder = tmp_path / str(number)
        folder.mkdir()
        posted: list[str] = []

        def post(folder: Path = folder, posted: list[str] = posted) -> None:
            posted.append(postbox.post(folder / "events", "update", state="fetched"))

        finished = power.run(post, at)
        tear(folder)
        found = collect(folder)
        assert found == posted or (not posted and len(found) <= 1)  # what was not acknowledged may be there or not
        if finished:
            assert number > 6
            return
    pytest.fail("posting has more steps than this test cuts")


def test_a_cut_at_every_step_of_taking_in(power: Power, tmp_path: Path) -> None:
    for number, at in enumerate(cuts()):
        folder = tmp_path / str(number)
        folder.mkdir()
        posted = [postbox.post(folder / "events", "provisioning", state=str(step)) for step in range(2)]

        def take(_: int, folder: Path = folder, at: tuple[int, bool] = at) -> None:
            os._exit(0 if power.run(lambda: collect(folder), at) else 1)

        taker, silent = child(take)  # a process of its own, so that nothing but files outlives the cut
        finished = os.waitstatus_to_exitcode(os.waitpid(taker, 0)[1]) == 0
        os.close(silent)
        tear(folder / "events")
        assert collect(folder) == posted
        assert list((folder / "events").iterdir()) == []
        if finished:
            assert number > 12
            return
    pytest.fail("taking in has more steps than this test cuts")


def child(work: Callable[[int], None]) -> tuple[int, int]:
    """Runs ``work``, which is given where to write, in a process of its own; its number and where to read."""
    reading, writing = os.pipe()
    number = os.fork()
    if number == 0:
        os.close(reading)
        try:
            work(writing)
        finally:
            os._exit(9)
    os.close(writing)
    return number, reading


@pytest.mark.slow
def test_processes_killed_while_they_post_and_take_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limit, "EACH_HOUR", 10**9)
    rng = random.Random(7)
    folder, count = tmp_path / "events", 0
    acknowledged: list[tuple[int, str]] = []

    def post(writing: int) -> None:
        number = count
        while True:
            try:
                posted = postbox.post(folder, "update", state=str(number := number + 1))
            except postbox.AuditError:
                time.sleep(0.01)
                continue
            os.write(writing, json.dumps([number, posted]).encode() + b"\n")

    def take(_: int) -> None:
        clock = FakeClock()
        account = Account(open_log(tmp_path / "audit", clock), clock)
        collector = Collector(folder, account, clock)
        while True:
            clock.now += 1
            collector.tick()

    for _ in range(KILLS):
        (poster, said), (taker, silent) = child(post), child(take)
        time.sleep(rng.uniform(0.02, 0.12))
        for number in rng.sample([poster, taker], 2):
            os.kill(number, signal.SIGKILL)
            os.waitpid(number, 0)
        with os.fdopen(said, "rb") as lines:
            told = [tuple(json.loads(line)) for line in lines.read().split(b"\n")[:-1]]
        os.close(silent)
        acknowledged += told
        count = max([count, *(number for number, _ in told)]) + 1  # one may be there that was not acknowledged
    while any(folder.iterdir()):
        found = collect(tmp_path)
        for half in folder.glob(".*"):
            os.utime(half, (1, 1))
    assert len(acknowledged) > KILLS
    assert len(found) == len(set(found))
    places = {posted: place for place, posted in enumerate(found)}
    assert [posted for _, posted in acknowledged if posted not in places] == []
    order = [places[posted] for _, posted in acknowledged]
    assert order == sorted(order)
