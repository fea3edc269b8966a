"""When the medium fails: the account waits, the gate is shut, nothing is lost, and all goes on when it works again."""

from __future__ import annotations

import errno
import os
from types import SimpleNamespace

import numpy as np
import pytest

from edge import durable
from edge.audit import Account, AuditError, Tally, account, verify
from edge.audit.account import RETRY
from edge.clock import Timekeeper
from edge.grant import document
from edge.grant.document import Revocation
from edge.grant.gate import Reason
from edge.grant.store import GrantStore
from edge.notices import CARD, Notices
from edge.vision.report import Gate
from edge.vision.values import Kind, PlateText
from tests import law
from tests.audit_fakes import SIGNER, FakeClock, open_log
from tests.law import AUTHORITY, OPERATOR, make


class Disk:
    """Everything the camera writes goes through here; ``full`` makes all of it fail."""

    def __init__(self, monkeypatch):
        self.full = False
        real_write, real_open = os.write, os.open

        def write(descriptor, content):
            self._check()
            return real_write(descriptor, content)

        def open_(path, flags, *rest):
            if flags & (os.O_WRONLY | os.O_RDWR):
                self._check()
            return real_open(path, flags, *rest)

        monkeypatch.setattr("edge.audit.segments.os", SimpleNamespace(**{**vars(os), "write": write, "open": open_}))
        monkeypatch.setattr(durable, "os", SimpleNamespace(**{**vars(os), "open": open_}))

    def _check(self):
        if self.full:
            raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def disk(monkeypatch):
    return Disk(monkeypatch)


@pytest.fixture
def clock():
    made = FakeClock()
    made.now = float(law.NOW)
    return made


class Camera:
    """Everything of a camera that keeps account, put together as the vision process does it."""

    def __init__(self, folder, clock):
        self.folder, self.clock = folder, clock
        self.log = open_log(folder / "audit", clock)
        self.account = Account(self.log, clock)
        self.tally = Tally(self.account, clock)
        self.keeper = Timekeeper(clock, folder / "newest", self.account, lambda: True)
        for place in ("grants", "incoming"):
            (folder / place).mkdir(exist_ok=True)
        self.store = GrantStore(
            folder / "grants", law.TRUST, law.CAMERA, state=folder, incoming=folder / "incoming", journal=self.account
        )
        self.notices = Notices(
            folder / "notices", self.log, clock, SIGNER, camera=law.CAMERA, software="1", models={}
        )
        kept = lambda: all(part.kept for part in (self.keeper, self.store, self.notices)) and self.account.whole  # noqa: E731
        self.gate = Gate(law.CAMERA, self.store, lambda: self.keeper.trusted, self.tally, kept)
        self.watch()

    def watch(self, seconds=0.0):
        """A frame comes, after ``seconds``."""
        self.clock.now += seconds
        self.keeper.tick()
        held = [terms.grant for terms in self.store.terms(self.clock.now)]
        self.account.tick()
        self.tally.tick()
        self.notices.tick(held)

    def reports(self):
        """Whether a plate that is seen now is reported."""
        track = SimpleNamespace(kind=Kind.PLATE, settled=False, tripped={}, answered=set(), reported=False, last=0.0)
        frame = SimpleNamespace(wall=self.clock.now, monotonic=self.clock.monotonic(), pixels=np.zeros(0))
        return bool(list(self.gate(track, PlateText(f"BG{self.clock.now % 1000:03.0f}AB", 0.99), frame, True)))

    def events(self):
        return [entry.event for entry in self.log.entries()]


def grant(**changes):
    return document.sign(make(**changes), [AUTHORITY])


@pytest.fixture
def camera(tmp_path, clock, disk):
    (tmp_path / "grants").mkdir()
    (tmp_path / "grants" / "a.grant").write_bytes(grant(not_after=law.NOW + 90_000))
    made = Camera(tmp_path, clock)
    assert made.reports()
    return made


def test_a_full_disk_shuts_the_gate_and_the_camera_goes_on(camera, disk, caplog):
    disk.full = True
    camera.tally.reported("plate", 5)
    camera.watch(3600)  # the hourly entry cannot be written
    assert not camera.account.whole
    assert not camera.reports()
    assert camera.gate.discarded[Reason.ACCOUNT] == 1
    for _ in range(50):
        camera.watch(0.5)
        assert not camera.reports()
    assert caplog.text.count("audit-fails") == 1
    disk.full = False
    camera.watch(RETRY)
    assert camera.reports()
    entries = list(camera.log.entries())
    hours = [entry for entry in entries if entry.event == "hour"]
    assert hours[0].facts["reported"] == {"plate": 6}  # 1 at the start and these 5: nothing was lost
    assert hours[0].time == 1000 * (law.NOW + 3600)  # when it happened, not when it was written
    assert [entry.event for entry in entries][-1] == "resumed"
    assert entries[-1].facts["seconds"] >= 25
    assert verify.examine(camera.folder / "audit", camera.log.head()).problems == []


def test_what_waits_keeps_its_order_and_is_bounded(tmp_path, disk, clock, monkeypatch):
    monkeypatch.setattr(account, "MOST_WAITING", 5)
    kept = Account(open_log(tmp_path, clock), clock)
    disk.full = True
    for boot in range(9):
        kept.append("boot", boot=boot)
    disk.full = False
    assert not kept.whole
    clock.now += RETRY
    kept.tick()
    assert kept.whole
    said = [(entry.event, dict(entry.facts)) for entry in kept.audit.entries()][1:]
    said = [each for each in said if each[0] != "tail-cut"]
    assert said[:5] == [("boot", {"boot": boot}) for boot in range(5)]
    assert said[5] == ("suppressed", {"event": "boot", "count": 4})
    assert said[6][0] == "resumed"
    kept.append("stop")
    assert next(iter(reversed(list(kept.audit.entries())))).event == "stop"


def test_a_medium_that_fails_is_not_hammered(tmp_path, disk, clock, monkeypatch):
    kept = Account(open_log(tmp_path, clock), clock)
    disk.full = True
    kept.append("boot", boot=1)
    tries = []
    monkeypatch.setattr(kept.audit, "append_at", lambda *_: tries.append(1) or _fail())
    for _ in range(100):
        kept.tick()
        kept.append("stop")
    assert tries == []
    clock.now += RETRY
    for _ in range(100):
        kept.tick()
    assert len(tries) == 1


def _fail():
    raise AuditError("full")


def test_what_may_not_be_said_is_still_a_mistake(tmp_path, clock):
    kept = Account(open_log(tmp_path, clock), clock)
    with pytest.raises(AuditError, match="no event"):
        kept.append("gossip", plate="BG123AB")


def test_ending_with_a_full_disk_ends_in_order(camera, disk, caplog):
    disk.full = True
    camera.keeper.close()
    camera.tally.flush()
    camera.account.append("stop")
    camera.account.close()
    assert "audit-lost entries=2" in caplog.text


def test_no_grant_is_accepted_that_is_not_on_record(camera, disk):
    disk.full = True
    (camera.folder / "incoming" / "b.grant").write_bytes(grant(id="plates-2"))
    for _ in range(5):
        camera.watch(2)
    assert [terms.grant.id for terms in camera.store.terms(camera.clock.now)] == ["plates-1"]
    assert (camera.folder / "incoming" / "b.grant").exists()  # it is not lost
    disk.full = False
    camera.watch(2)
    camera.watch(2)
    assert {terms.grant.id for terms in camera.store.terms(camera.clock.now)} == {"plates-1", "plates-2"}
    accepted = [entry for entry in camera.log.entries() if entry.event == "grant-accepted"]
    assert [entry.facts["grant"] for entry in accepted][-1] == "plates-2"


@pytest.mark.parametrize("folder", ["incoming", "grants"])
def test_a_revocation_counts_at_once_and_is_on_record_later(camera, disk, folder, clock):
    disk.full = True
    taken = document.sign_revocation(Revocation(grant="plates-1", serial=1, reason="", time=law.NOW), [OPERATOR])
    (camera.folder / folder / "x.revocation").write_bytes(taken)
    camera.watch()
    assert camera.store.terms(clock.now) == []
    assert not camera.store.kept
    assert not camera.reports()
    (camera.folder / "grants" / "again.grant").write_bytes(grant())  # played back meanwhile
    for _ in range(3):
        camera.watch(2)
        assert camera.store.terms(clock.now) == []
    disk.full = False
    camera.watch(2)
    camera.watch(2)
    assert camera.store.kept
    camera.log.close()
    again = Camera(camera.folder, clock)
    assert again.store.terms(clock.now) == []
    assert "grant-revoked" in again.events()
    assert not (camera.folder / "incoming" / "x.revocation").exists()


def test_what_expires_meanwhile_is_wiped_and_spent_later(camera, disk, clock):
    disk.full = True
    camera.watch(90_001)
    assert camera.store.terms(clock.now) == []
    disk.full = False
    camera.watch(2)
    camera.watch(2)
    assert b'"spent":true' in (camera.folder / "grants.json").read_bytes()
    assert camera.events().count("grant-expired") == 1
    assert "wiped" in camera.events()


def test_a_clock_that_cannot_be_noted_shuts_the_gate(camera, disk, clock):
    disk.full = True
    camera.watch(700)  # no entry is due, but the newest time is
    assert camera.account.whole
    assert not camera.keeper.kept
    assert not camera.reports()
    disk.full = False
    camera.watch(2)
    assert camera.reports()


def test_what_the_public_cannot_see_does_not_happen(camera, disk, clock):
    (camera.folder / "grants" / "b.grant").write_bytes(grant(id="plates-2"))
    shown = camera.folder / "notices"
    (shown / CARD).unlink()
    (shown / "audit.cose").unlink()
    shown.rmdir()
    shown.write_text("in the way")
    camera.watch(1)
    assert not camera.notices.kept
    assert not camera.reports()
    shown.unlink()
    camera.watch(2)
    assert camera.reports()
    assert b"payload" in (shown / CARD).read_bytes()
