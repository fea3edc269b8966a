"""Kill -9 at random moments while the audit log is written: what was acknowledged is there, the chain holds."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from edge.audit import verify
from tests.audit_fakes import open_log

CUTS = 100
SIZES = {"segment_bytes": 1500, "total_bytes": 9000}
ROOT = Path(__file__).parent.parent.parent


def write_until_killed(folder):
    """Runs in the child: appends for ever, and says after each entry which one is safe."""
    log = open_log(folder, **SIZES)
    print(json.dumps(log.state()[0]), flush=True)
    number = 0
    while True:
        number += 1
        log.append("stop", reason="x" * (number % 90))
        os.write(1, b"%d\n" % log.state()[0])


@pytest.mark.slow
def test_a_hundred_power_cuts(tmp_path):
    rng = random.Random(11)
    safe, heads = 0, []
    for _ in range(CUTS):
        # a fresh interpreter is the slow part: fork from this one instead
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            os.dup2(write, 1)
            try:
                write_until_killed(tmp_path)
            finally:
                os._exit(9)
        os.close(write)
        with os.fdopen(read, "rb") as said:
            first = int(said.readline())
            assert first >= safe
            for _ in range(rng.randint(0, 4)):  # in entries too, since on a busy machine a time may hold none
                safe = int(said.readline())
            time.sleep(rng.uniform(0.0, 0.03))
            os.kill(child, signal.SIGKILL)
            safe = max([first, safe, *(int(line) for line in said.read().split(b"\n")[:-1])])
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        log = open_log(tmp_path, **SIZES)
        assert log.state()[0] >= safe
        heads.append(log.head())
        log.close()
        found = verify.examine(tmp_path, heads[-1])
        assert found.problems == []
        assert found.last.number >= safe
    assert safe > CUTS
    assert all(verify.examine(tmp_path, signed).problems == [] for signed in heads)


def torn_at(folder, limit):
    """A child that dies in the middle of a write: its file size limit is a cut at an exact byte."""
    code = (
        "import resource, signal, sys; from pathlib import Path; from tests.audit_fakes import open_log\n"
        "log = open_log(Path(sys.argv[1]))\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)\n"
        "while True: log.append('stop', reason='y' * 70); print(log.state()[0], flush=True)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), str(limit)], capture_output=True, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    return max(map(int, done.stdout.split()), default=0)


def test_a_cut_within_an_entry_loses_only_that_entry(tmp_path):
    sizes = (300, 301, 350, 399)
    for limit in sizes:
        folder = tmp_path / str(limit)
        safe = torn_at(folder, limit)
        log = open_log(folder)
        events = [entry.event for entry in log.entries()]
        assert events.count("stop") == safe - 1
        assert events[-1] == "tail-cut"
        assert verify.examine(folder, log.head()).problems == []
