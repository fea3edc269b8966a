"""Processes that hold pictures or keys leave no memory on the disk when they crash."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.rig import environment

PROCESSES = {
    "edge.vision": ["--config", "none.toml"],
    "edge.link": ["--config", "none.toml"],
    "edge.uplink": ["--config", "none.toml"],
    "edge.enrol": ["--folder", ".", "renew"],
    "edge.reset": ["--folder", ".", "--head", "head.cose", "--yes"],
}
RUN = """
import resource, runpy, sys
module, *sys.argv[1:] = sys.argv[1:]
try:
    resource.setrlimit(resource.RLIMIT_CORE, (1 << 20, 1 << 20))
except (OSError, ValueError):
    sys.exit("cannot be allowed")
try:
    runpy.run_module(module, run_name="__main__", alter_sys=True)
except SystemExit as end:
    print("ended with", end.code)
print(resource.getrlimit(resource.RLIMIT_CORE))
"""


@pytest.mark.parametrize("module", PROCESSES)
def test_no_core_is_dumped(module, tmp_path):
    made = subprocess.run(
        [sys.executable, "-c", RUN, module, *PROCESSES[module]],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    if "cannot be allowed" in made.stderr:
        pytest.skip("nobody may dump a core here, not even to try")
    assert made.stdout.splitlines()[-2:] == ["ended with 2", "(0, 0)"], made.stdout + made.stderr
