"""Kill -9 at random moments while grants arrive, replace each other and are revoked, all of it audited.

Never is an accepted grant lost, never does an older one come back, and the audit log's chain always holds.
"""

from __future__ import annotations

import os
import random
import signal
import time
from dataclasses import dataclass, field

import pytest

from edge.audit import verify
from edge.grant import document
from edge.grant.document import Revocation
from edge.grant.store import GrantStore
from tests import law
from tests.audit_fakes import open_log
from tests.law import AUTHORITY, NOW, OPERATOR, make

CUTS = 100
IDS = ("plates-1", "plates-2", "plates-3")


def store_of(folder, journal):
    return GrantStore(
        folder / "grants", law.TRUST, law.CAMERA, state=folder / "state", incoming=folder / "incoming", journal=journal
    )


def held_by(store):
    return {terms.grant.id: terms.grant.serial for terms in store.terms(NOW)}


def steps(seed, serial):
    """Endless steps ``(kind, id, serial)``: ever newer grants, old ones again, now and then a revocation."""
    chance = random.Random(seed)
    while True:
        serial += 1
        name, kind = chance.choice(IDS), chance.choice(["grant", "grant", "grant", "again", "revocation"])
        yield kind, name, chance.randint(1, serial) if kind == "again" else serial


def work_until_killed(folder, seed, serial):
    """Runs in the child: takes step after step, and says each before and after."""
    store = store_of(folder, open_log(folder / "audit"))
    store.terms(NOW)
    for kind, name, number in steps(seed, serial):
        os.write(1, f"begin {kind} {name} {number}\n".encode())
        if kind == "revocation":
            content = document.sign_revocation(Revocation(grant=name, serial=number, reason="", time=NOW), [OPERATOR])
        else:
            content = document.sign(make(id=name, serial=number), [AUTHORITY])
        fresh = folder / "incoming" / "x.new"
        fresh.write_bytes(content)
        fresh.rename(folder / "incoming" / f"x.{'revocation' if kind == 'revocation' else 'grant'}")
        os.write(1, b"put\n")
        held = held_by(store)
        os.write(1, f"end {' '.join(str(held.get(each, 0)) for each in IDS)}\n".encode())


@dataclass
class Model:
    """What should be: the serial in force of each id (0: none), and the highest one that may never return."""

    held: dict = field(default_factory=lambda: dict.fromkeys(IDS, 0))
    over: dict = field(default_factory=lambda: dict.fromkeys(IDS, 0))

    def after(self, kind, name, number):
        held, over = dict(self.held), dict(self.over)
        if kind == "revocation":
            over[name] = max(over[name], number)
            held[name] = held[name] if held[name] > number else 0
        elif number > over[name]:
            held[name] = number
            over[name] = number - 1
        return Model(held, over)


@pytest.mark.slow
def test_a_hundred_power_cuts(tmp_path):
    chance, model, done, serial = random.Random(3), Model(), 0, 0
    for place in ("grants", "incoming", "state"):
        (tmp_path / place).mkdir()
    for cut in range(CUTS):
        lines = chance.randint(1, 6) if cut % 5 else 0
        said, status = run_and_kill(tmp_path, cut, serial, chance.uniform(0.0, 0.02), lines)
        assert status == -signal.SIGKILL
        outcomes = [model]
        for word, *facts in (line.decode().split() for line in said):
            if word == "begin":
                kind, name, number = facts[0], facts[1], int(facts[2])
                serial = max(serial, number)
                outcomes = [model, model.after(kind, name, number)]
            elif word == "put":
                outcomes = outcomes[1:]  # it lies there: from now on it is not lost
            else:
                model = outcomes[-1]
                outcomes = [model]
                assert dict(zip(IDS, map(int, facts), strict=True)) == model.held
                done += 1
        log = open_log(tmp_path / "audit")
        found = dict.fromkeys(IDS, 0) | held_by(store_of(tmp_path, log))
        # the step that was cut short is done now, unless its file was not there yet; nothing else may have changed
        assert found in [outcome.held for outcome in outcomes], (cut, said[-2:])
        model = next(outcome for outcome in reversed(outcomes) if outcome.held == found)
        assert verify.examine(tmp_path / "audit", log.head()).problems == []
        log.close()
    assert done > CUTS / 2  # or nothing was at stake


def run_and_kill(folder, seed, serial, seconds, lines):
    """Forks a camera, kills it so long after it has said so many lines; what it said, and how it ended.

    Counted in lines, since on a busy machine nothing at all may happen in a time.
    """
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            os.dup2(write, 1)
            work_until_killed(folder, seed, serial)
        finally:
            os._exit(9)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        said = [pipe.readline() for _ in range(lines)]
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        said += pipe.read().splitlines(keepends=True)
    whole = [line for line in said if line.endswith(b"\n")]
    return whole, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
