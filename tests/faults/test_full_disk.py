"""A medium that is truly full: a small file system of its own, filled to the last byte under a running account."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import pytest

from tests.rig import environment

SCRIPT = """
import sys
from pathlib import Path
from edge.audit import Account, verify
from edge.audit.account import RETRY
from tests.audit_fakes import FakeClock, open_log

place, clock = Path(sys.argv[1]), FakeClock()
account = Account(open_log(place / "audit", clock), clock)
filler = (place / "filler").open("wb", buffering=0)
try:
    while True:
        filler.write(bytes(4096))
except OSError:
    pass
said = 0
while account.whole and said < 500:  # what is left of the last block is used up first
    account.append("stop", reason="x" * 150)
    said += 1
assert not account.whole, "the disk was never full"
for _ in range(20):
    clock.now += RETRY
    account.append("stop", reason="y" * 150)
    said += 1
    account.tick()
assert not account.whole
filler.truncate(0)
clock.now += RETRY
account.tick()
assert account.whole
entries = list(account.audit.entries())
assert sum(entry.event == "stop" for entry in entries) == said
assert entries[-1].event == "resumed"
assert verify.examine(place / "audit", account.audit.head()).problems == []
print("kept", said)
"""


def private_mounts(command):
    """``command`` in a mount namespace of its own, where it may mount; None when this machine does not allow that."""
    for prefix in (["unshare", "--mount"], ["unshare", "--map-root-user", "--mount"]):
        tried = subprocess.run([*prefix, "true"], capture_output=True, check=False)
        if tried.returncode == 0:
            return [*prefix, "sh", "-c", *command]
    return None


def test_a_disk_that_is_truly_full_loses_nothing(tmp_path):
    mount = 'mount -t tmpfs -o size=192k none "$1" && exec "$0" -c "$2" "$1"'
    try:
        command = private_mounts([mount, sys.executable, str(tmp_path), SCRIPT])
    except FileNotFoundError:
        command = None
    done = command and subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment(), cwd=Path(__file__).parents[2]
    )
    if not done or "mount:" in done.stderr:
        warnings.warn("no file system can be mounted here: a truly full disk was not tested", stacklevel=1)
        pytest.skip("needs the right to mount a tmpfs")
    assert done.returncode == 0, done.stderr
    assert "kept" in done.stdout
