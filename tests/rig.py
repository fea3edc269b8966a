"""What tests of the delivery share: keys, certificates, configurations and processes of one deployment."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import x25519

from edge import seal
from edge.address import Address
from edge.handover import Item, Key, Kind
from edge.listen.client import Connection, Listener, read_ca
from edge.listen.opener import Finding, Opened
from edge.records import PlateReport
from provisioning import pki
from provisioning.broker import Settings

ROOT = Path(__file__).parent.parent
CAMERA = "cam-1"


class Rig:
    """A deployment in ``folder``: a CA, a broker's certificate, the cameras ``cam-1`` and ``cam-2``, a subscriber."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = pki.make_ca("Test")
        self.ca.save(folder, "ca")
        pki.issue_server(self.ca, ["localhost", "127.0.0.1"]).save(folder, "broker")
        for name in ("subscriber", "office"):
            pki.issue_subscriber(self.ca, name).save(folder, name)
        for camera in (CAMERA, "cam-2"):
            pki.issue_connection(self.ca, camera).save(folder, camera)
            pki.issue_signing(self.ca, camera).save(folder, f"{camera}-signing")
        self.recipient = x25519.X25519PrivateKey.generate()
        self.keys = {seal.key_id(self.recipient.public_key()): self.recipient}
        self._processes: list[subprocess.Popen[bytes]] = []
        self.signing_key = pki.load(folder, f"{CAMERA}-signing").key
        self._sealer = seal.Sealer(self.signing_key)

    @property
    def broker_settings(self) -> Settings:
        return Settings(
            self.folder / "broker", self.folder / "ca.pem", self.folder / "broker.pem", self.folder / "broker.key",
            cameras=(CAMERA, "cam-2"),
        )  # fmt: skip

    @property
    def inbox(self) -> Path:
        return self.folder / "inbox"

    def address(self, name: str, port: int, host: str = "localhost") -> Address:
        return Address(host, port, self.folder / "ca.pem", self.folder / f"{name}.pem", self.folder / f"{name}.key")

    def sealed(self, seq: int, boot: int = 1, camera: str = CAMERA, text: str = "BG1234AA") -> bytes:
        report = PlateReport(
            camera=camera, boot=boot, seq=seq, time=1.7e9 + seq, grant="g1", track=seq, box=(1, 2, 3, 4),
            text=text, confidence=0.99, country="RS",
        )  # fmt: skip
        return self._sealer.seal(report, self.recipient.public_key())

    def item(self, seq: int, retention: int = 3600) -> Item:
        return Item(Kind.PLATE, Key(1, seq), retention, self.sealed(seq))

    def config(self, port: int) -> Path:
        path = self.folder / "camera.toml"
        path.write_text(
            f"""[uplink]
camera = "{CAMERA}"
host = "localhost"
port = {port}
ca = "ca.pem"
certificate = "{CAMERA}.pem"
key = "{CAMERA}.key"
signing_certificate = "{CAMERA}-signing.pem"
inbox = "inbox"
spool = "spool.sqlite"
notices = "notices"
incoming = "incoming"
stated = "stated"
"""
        )
        return path

    def uplink(self, config: Path) -> subprocess.Popen[bytes]:
        """The real uplink process, logging to ``uplink.log``."""
        with (self.folder / "uplink.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "edge.uplink", "--config", str(config)], stderr=log, env=environment()
            )
        self._processes.append(process)
        return process

    def close(self) -> None:
        """Leaves no process behind, also when a test has failed."""
        for process in self._processes:
            process.kill()
            process.wait()

    @contextmanager
    def listening(self, port: int) -> Iterator[Collector]:
        """A subscriber in this process, with the recipient's key."""
        with listening(self.address("subscriber", port), self.keys) as collector:
            yield collector


@contextmanager
def listening(address: Address, keys: Mapping[bytes, x25519.X25519PrivateKey]) -> Iterator[Collector]:
    """What a subscriber in this process receives with ``keys``, from the broker at ``address``, while this lasts."""
    with Listener(address, read_ca(address.ca), keys) as listener:
        collector = Collector(listener)
        thread = threading.Thread(target=collector.run, daemon=True)
        thread.start()
        try:
            yield collector
        finally:
            listener.stop()
            thread.join(60)


class Collector:
    """Keeps all findings of a listener."""

    def __init__(self, listener: Listener) -> None:
        self.listener = listener
        self.findings: list[Finding | Connection] = []

    def run(self) -> None:
        for finding in self.listener:
            self.findings.append(finding)

    @property
    def numbers(self) -> list[int]:
        """The sequence numbers of the opened reports, in order of arrival."""
        return [finding.report.seq for finding in self.findings if isinstance(finding, Opened)]

    def of(self, kind: type[Finding | Connection]) -> list[Finding | Connection]:
        return [finding for finding in self.findings if isinstance(finding, kind)]


def environment() -> dict[str, str]:
    """For child processes: they find the packages even where nothing is installed."""
    return dict(os.environ, PYTHONPATH=str(ROOT))


def wait_for(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Waits until ``condition`` holds; an assertion error after ``seconds``."""
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "did not happen in time"
        time.sleep(0.02)


def end(process: subprocess.Popen[bytes]) -> int:
    """Ends ``process`` in order, by force if need be; returns its exit code."""
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        return process.wait(10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
