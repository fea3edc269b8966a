"""A PostgreSQL server of the tests' own: a fresh data directory, a Unix socket, no port."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from tests.rig import wait_for


def program(name: str) -> str | None:
    """Where a program of PostgreSQL is: Debian keeps them by version, outside of the search path."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return shutil.which(name, path=os.pathsep.join([*map(str, places), os.environ.get("PATH", "")]))


@contextmanager
def server() -> Iterator[str]:
    """Runs it, as ``nobody`` where we are root; the address of its database. Skips, loudly, where there is none."""
    initdb, postgres = program("initdb"), program("postgres")
    if initdb is None or postgres is None:
        warnings.warn("PostgreSQL is not installed: its sink was not tested", stacklevel=1)
        pytest.skip("needs PostgreSQL")
    folder = Path(tempfile.mkdtemp(prefix="vidik-pg-"))
    user = "nobody" if os.geteuid() == 0 else None
    if user is not None:
        shutil.chown(folder, user)
    data = folder / "data"
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    made = subprocess.run(
        [initdb, "-D", data, "-U", "vidik", "-A", "trust", "-E", "UTF8", "--no-sync"],
        user=user, env=environment, capture_output=True, text=True, check=False, cwd="/",
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [postgres, "-D", data, "-k", folder, "-c", "listen_addresses=", "-c", "fsync=off"],
            user=user, env=environment, stdout=log, stderr=log, cwd="/",
        )  # fmt: skip
    try:
        address = f"postgresql://vidik@/postgres?host={folder}"
        wait_for(lambda: _answers(address), 120)
        yield address
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _answers(address: str) -> bool:
    try:
        psycopg.connect(address).close()
    except psycopg.OperationalError:
        return False
    return True
