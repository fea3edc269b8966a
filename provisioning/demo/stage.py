"""The processes of a demonstration: a broker, and a camera's uplink and vision, kept alive and ended in order."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

from edge.errors import VidikError
from provisioning import deployment
from provisioning.broker import Broker, Settings, choose
from provisioning.deployment import Deployment

_CHECK = 0.2  # seconds between looks at whether everything still lives
_STOP = 5.0  # seconds a process has to end by itself


class StageError(VidikError):
    """A process of the demonstration ended badly."""


def without_network() -> list[str]:
    """The command prefix that takes all networking from a process; empty where this machine does not allow it."""
    for prefix in (["unshare", "--net"], ["unshare", "--map-root-user", "--net"]):
        if shutil.which(prefix[0]) is None:
            continue
        if subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0:
            return prefix
    return []


class Stage:
    """A broker and one camera over ``footage``. A process that dies is started again, as on a real unit."""

    def __init__(self, made: Deployment, footage: str, *, pace: bool = False) -> None:
        self.made = made
        self.restarts = 0
        self.isolated = without_network()
        self.broker: Broker = choose(_settings(made))
        self._footage = footage
        self._pace = pace
        self._logs = made.folder / "logs"
        self._uplink: subprocess.Popen[bytes] | None = None
        self._vision: subprocess.Popen[bytes] | None = None
        self._ending = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)

    def __enter__(self) -> Self:
        self._logs.mkdir(exist_ok=True)
        self.broker.start()
        deployment.configure(self.made, self._footage, self.broker.port, pace=self._pace)
        self._uplink = self._start("edge.uplink", [], None)
        self._keeper.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending.set()
        if self._keeper.is_alive():
            self._keeper.join()
        _end(self._vision)
        _end(self._uplink)
        self.broker.stop()

    def start_vision(self) -> None:
        """Starts the camera proper; from here on, reports may come."""
        self._vision = self._start("edge.vision", self.isolated, subprocess.PIPE)

    @property
    def watching(self) -> bool:
        """Whether vision still runs."""
        return self._vision is not None and self._vision.poll() is None

    @property
    def pids(self) -> dict[str, int]:
        """The process ids of vision and uplink, as far as they run."""
        running = {"vision": self._vision, "uplink": self._uplink}
        return {name: process.pid for name, process in running.items() if process is not None}

    def kill_uplink(self) -> None:
        """Ends the uplink as a crash would; it is started again at once."""
        assert self._uplink is not None
        self._uplink.kill()

    def stop_vision(self) -> None:
        """Asks vision to end now; its summary still comes."""
        if self._vision is not None:
            self._vision.terminate()

    def summary(self) -> dict[str, Any]:
        """What vision counted. Waits for its end. Raises ``StageError`` with the cause when it failed."""
        assert self._vision is not None
        output, _ = self._vision.communicate()
        lines = output.decode().splitlines()
        if not lines or self._vision.returncode not in (0, 1):
            raise StageError(f"The vision process ended badly. {self.last_words('edge.vision')}")
        counted: dict[str, Any] = json.loads(lines[-1])
        return counted

    def last_words(self, module: str) -> str:
        """The last line a process wrote to its log."""
        lines = self.log(module).read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return lines[-1] if lines else "It left no message."

    def log(self, module: str) -> Path:
        """The log of ``edge.vision`` or ``edge.uplink``."""
        return self._logs / f"{module}.log"

    def _start(self, module: str, prefix: list[str], output: int | None) -> subprocess.Popen[bytes]:
        command = [*prefix, sys.executable, "-m", module, "--config", str(self.made.config)]
        with self.log(module).open("ab") as log:
            # a session of its own, so that Ctrl-C ends everything from here, in order
            return subprocess.Popen(command, stdout=output or log, stderr=log, start_new_session=True)

    def _keep(self) -> None:
        while not self._ending.wait(_CHECK):
            if self._uplink is not None and (code := self._uplink.poll()) is not None:
                if code == 2:  # something a person has to mend: starting it again would not help
                    return
                self.restarts += 1
                self._uplink = self._start("edge.uplink", [], None)


def _settings(made: Deployment) -> Settings:
    office = made.office
    return Settings(made.folder / "broker", office / "ca.pem", office / "broker.pem", office / "broker.key")


def _end(process: subprocess.Popen[Any] | None) -> None:
    if process is None:
        return
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    output: IO[Any] | None = process.stdout
    if output is not None:
        output.close()
