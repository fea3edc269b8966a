"""Starts an MQTT broker for a deployment: Mosquitto where it is installed, the embedded one otherwise.

Both demand a client certificate of the deployment's CA and take its common name as the user. A camera may
write only its own reports and statements and read only what is meant for it; subscribers read everything and
write nothing but confirmations of test reports.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from edge.errors import VidikError
from provisioning import pki

CAMERA_WRITES = ("plate", "face", "trial", "status", "card", "audit", "gap", "health")
CAMERA_READS = ("grant", "config", "confirm", "signal/+")
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

    ``subscribers``: the common names that may read all cameras. ``offices``: those that may hand documents down to
    cameras, and nothing else. ``cameras``: those of the cameras, which only RabbitMQ and NATS need to know; the
    others apply one pattern to all. ``port``: 0 takes a free one. ``listen``: the address to serve.
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
            self._process = subprocess.Popen(
                command, cwd=_PROJECT, stdout=output, stderr=output, start_new_session=True, env=self._environment()
            )
        until = time.monotonic() + self.start_seconds
        while time.monotonic() < until and self._process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
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
    rules, main = folder / "acl", folder / "mosquitto.conf"
    pki.write(rules, access_rules(settings.subscribers, settings.offices).encode(), 0o600)
    pki.write(main, _mosquitto(settings, folder).encode(), 0o600)
    return [main, rules]


def _mosquitto(settings: Settings, folder: Path) -> str:
    return f"""# Written by Vidik. Mutual TLS only; the certificate's common name is the user.
listener {settings.port} {settings.listen}
cafile {settings.ca.resolve()}
certfile {settings.certificate.resolve()}
keyfile {settings.key.resolve()}
tls_version tlsv1.2
require_certificate true
use_identity_as_username true
allow_anonymous false
acl_file {folder / "acl"}
user {getpass.getuser()}

# What comes in goes out at once to subscribers that are there. What waits for one that is away is saved
# every five seconds; saving on every change would limit the broker to some hundred reports a second.
max_inflight_messages 0
max_queued_messages 100000
persistence true
persistence_location {folder}/
autosave_interval 5
log_dest stderr
log_type error
log_type warning
log_type notice
"""


def access_rules(subscribers: Sequence[str], offices: Sequence[str] = ()) -> str:
    """The access control list in Mosquitto's form."""
    lines = [f"pattern write vidik/v1/%u/{channel}" for channel in CAMERA_WRITES]
    lines += [f"pattern read vidik/v1/%u/{channel}" for channel in CAMERA_READS]
    for name in subscribers:
        lines += ["", f"user {name}", "topic read vidik/v1/+/#", "topic write vidik/v1/+/confirm"]
    for name in offices:
        lines += ["", f"user {name}", "topic write vidik/v1/+/grant"]
    return "\n".join(lines) + "\n"


def free_port() -> int:
    """A TCP port of the loopback interface that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port
