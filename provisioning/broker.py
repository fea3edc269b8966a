"""Starts an MQTT broker for a deployment: Mosquitto where it is installed, the embedded one otherwise.

Both demand a client certificate of the deployment's CA and take its common name as the user, who may do what
``access`` says.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from edge.errors import VidikError
from provisioning import mosquitto as mosquitto_files
from provisioning.mosquitto import Listener
from provisioning.ports import free_port, serves

_PROJECT = Path(__file__).parents[1]  # where "python -m" finds the embedded broker without an installation


class BrokerError(VidikError):
    """The broker does not start."""


class Broker(Protocol):
    """A broker process on the loopback interface. ``mqtt5`` tells whether it speaks version 5."""

    mqtt5: bool

    @property
    def port(self) -> int: ...

    def start(self) -> None:
        """Starts it and returns when it accepts connections. Raises ``BrokerError``."""

    def stop(self) -> None:
        """Ends it in order."""

    def kill(self) -> None:
        """Ends it as a crash would: SIGKILL."""

    def restart(self) -> None:
        """Starts it again on the same port, after ``stop`` or ``kill``."""


@dataclass(frozen=True, slots=True)
class Settings:
    """``folder`` holds the broker's configuration, log and stored messages; the other paths are PEM files.

    ``subscribers``: the common names that may receive reports. ``offices``: those that may hand documents down to
    cameras. ``cameras``: those of the cameras, which only RabbitMQ and NATS need to know; the others apply one
    pattern to all. ``port``: 0 takes a free one. ``listen``: the address to serve. ``crl``: for Mosquitto.
    """

    folder: Path
    ca: Path
    certificate: Path
    key: Path
    subscribers: Sequence[str] = ("subscriber",)
    port: int = 0
    offices: Sequence[str] = ("office",)
    cameras: Sequence[str] = ()
    listen: str = "127.0.0.1"
    crl: Path | None = None


def choose(settings: Settings) -> Broker:
    """The best broker this machine has."""
    return Mosquitto(settings) if mosquitto() is not None else Embedded(settings)


def mosquitto() -> str | None:
    """Where the Mosquitto program is, if it is installed. Debian keeps it outside of users' search path."""
    return shutil.which("mosquitto", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")


class ChildBroker:
    """What the brokers share: one child process that listens on one port."""

    start_seconds = 15.0
    stop_seconds = 5.0
    mqtt5 = False

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._port = settings.port
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        return self._port

    @property
    def pid(self) -> int | None:
        """The process, while it runs."""
        return self._process.pid if self._process is not None else None

    def start(self) -> None:
        self._settings.folder.mkdir(parents=True, exist_ok=True)
        self._port = self._port or free_port()
        self._run(self._prepare())

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        self.stop()
        self._run(self._prepare())

    def _prepare(self) -> list[str]:
        """Writes the configuration; returns the command."""
        raise NotImplementedError

    def _environment(self) -> dict[str, str] | None:
        """The child's environment; None for our own."""
        return None

    def _run(self, command: list[str]) -> None:
        log = self._settings.folder / "broker.log"
        with log.open("ab") as output:
            # a session of its own: Ctrl-C at the terminal is for whoever supervises us, who stops us last
            # and its own folder, for whatever it writes where it stands
            self._process = subprocess.Popen(
                command, cwd=self._settings.folder, stdout=output, stderr=output, start_new_session=True,
                env=self._environment(),
            )  # fmt: skip
        until = time.monotonic() + self.start_seconds
        while time.monotonic() < until and self._process.poll() is None:
            if serves(self._process.pid, self._port):  # and not another program, which was quicker
                return
            time.sleep(0.05)
        self.kill()
        raise BrokerError(f"The broker does not start on port {self._port}. Its log says why: {log}")

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        # the whole session: some brokers are started by a script, which ends before they do
        until = time.monotonic() + self.stop_seconds
        with suppress(ProcessLookupError):
            os.killpg(process.pid, how)
            while time.monotonic() < until:
                process.poll()  # a child that nobody waits for would stay in the session
                os.killpg(process.pid, 0)
                time.sleep(0.02)
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Mosquitto(ChildBroker):
    """Mosquitto 2, MQTT 5 and 3.1.1, sessions and retained messages kept in the folder."""

    mqtt5 = True

    def _prepare(self) -> list[str]:
        program = mosquitto()
        if program is None:
            raise BrokerError("Mosquitto is not installed. Install the package mosquitto, or use the embedded broker.")
        write_mosquitto(replace(self._settings, port=self._port))
        return [program, "-c", str(self._settings.folder.resolve() / "mosquitto.conf")]


class Embedded(ChildBroker):
    """amqtt in a process of its own: MQTT 3.1.1 only, nothing kept over a restart. For trying things out."""

    mqtt5 = False

    def _environment(self) -> dict[str, str]:
        return dict(os.environ, PYTHONPATH=os.pathsep.join([str(_PROJECT), os.environ.get("PYTHONPATH", "")]))

    def _prepare(self) -> list[str]:
        settings = self._settings
        command = [sys.executable, "-m", "provisioning.embedded_broker", "--port", str(self._port)]
        for option, file in (("--ca", settings.ca), ("--certificate", settings.certificate), ("--key", settings.key)):
            command += [option, str(file.resolve())]
        for name in settings.subscribers:
            command += ["--subscriber", name]
        for name in settings.offices:
            command += ["--office", name]
        return command


def write_mosquitto(settings: Settings) -> list[Path]:
    """Writes Mosquitto's configuration and access rules into the folder; returns the files."""
    folder = settings.folder.resolve()
    listener = Listener(
        settings.port, settings.listen, settings.ca.resolve(), settings.certificate.resolve(), settings.key.resolve(),
        None if settings.crl is None else settings.crl.resolve(), folder, getpass.getuser(),
    )  # fmt: skip
    return mosquitto_files.write(folder, listener, settings.subscribers, settings.offices)
