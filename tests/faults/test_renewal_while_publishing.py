"""Renewal while reports flow without a pause, and the end of a camera that is revoked, with the real Mosquitto.

Vision's part is played by a thread that hands over twenty reports a second, whatever happens. The uplink is the real
process, the same one from the beginning to the end.
"""

from __future__ import annotations

import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from edge import config, seal
from edge.address import Address
from edge.enrol import procedure
from edge.gaps import Gap
from edge.handover import Item, Key, Kind, Sender
from edge.listen.opener import Rejected
from edge.records import PlateReport
from provisioning.broker import mosquitto
from provisioning.office import create, registrar, revocation
from provisioning.office.inventory import Inventory
from provisioning.office.registrar import Registrar
from tests.contract.test_office_broker import Client
from tests.offices import Desk, OfficeBroker, free_port, make_office, passphrase_file
from tests.rig import ROOT, Collector, end, environment, listening, wait_for

CAMERA = "cam-1"
EVERY = 0.05  # seconds between two reports
MINUTE = 60.0


class Flow:
    """Reports to ``court``, numbered from 1, until ``stop``."""

    def __init__(self, settings: config.Uplink, signing: Path) -> None:
        self.recipient = x25519.X25519PrivateKey.generate()
        self.count = 0
        self._sealer = seal.Sealer(load_pem_private_key(signing.read_bytes(), None))  # type: ignore[arg-type]
        self._sender = Sender(settings.inbox)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.wait(EVERY):
            seq = self.count + 1
            report = PlateReport(
                camera=CAMERA, boot=1, seq=seq, time=1.7e9 + seq, grant="g1", track=seq, box=(1, 2, 3, 4),
                text="BG1234AA", confidence=0.99, country="RS",
            )  # fmt: skip
            sealed = self._sealer.seal(report, self.recipient.public_key())
            self._sender.offer(Item(Kind.PLATE, Key(1, seq), 3600, sealed))
            self.count = seq

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()
        assert self._sender.drain(30) == 0
        self._sender.close()


class Deployment:
    """An office with its broker, a subscriber, and one camera that has enrolled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.office = make_office(folder / "office", CAMERA, enrol_port=free_port(), broker_port=free_port())
        self.ca = self.office.issuing(passphrase_file(folder))
        self.inventory: Inventory = self.office.inventory()
        self.desk = Registrar(self.inventory, self.ca)
        create.add_client(self.office, self.inventory, self.ca, "court", folder, role="subscriber")
        self.broker = OfficeBroker(self.office)
        self.broker.start()
        claim = registrar.make_claim(
            self.inventory, CAMERA, self.office.settings(), self.office.pin(), now=int(time.time()), seconds=3600
        )
        self.camera = folder / "camera"
        procedure.enrol(self.camera, claim, lambda claim: Desk(self.office, self.desk, claim))
        self.uplink_settings = config.load(self.camera / "camera.toml", config.Uplink)

    def renew(self) -> x509.Certificate:
        """Renews both certificates, as the camera's timer does; returns the connection's old one."""
        old = x509.load_pem_x509_certificate(self.uplink_settings.certificate.read_bytes())
        time.sleep(1.1)  # certificates know whole seconds only, and a renewed one must end later
        peer = old.public_bytes(Encoding.DER)
        due = old.not_valid_before_utc + timedelta(days=300)
        renewed = procedure.renew(self.camera, due, lambda _: Desk(self.office, self.desk, peer=peer))
        assert renewed == ["connection", "signing"]
        return old

    def publish_list(self) -> None:
        assert revocation.refresh(self.office, self.inventory, self.ca, datetime.now(UTC))

    def gets_in(self, certificate: Path, key: Path) -> bool:
        """Whether the broker takes a new connection with this certificate."""
        place = self.folder / "try"
        place.mkdir(exist_ok=True)
        for name, content in (("ca.pem", self.office.ca), (f"{CAMERA}.pem", certificate), (f"{CAMERA}.key", key)):
            (place / name).write_bytes(content.read_bytes())
        client = Client(place, CAMERA, self.office.settings().broker_port)
        client.link.start()
        wait_for(lambda: client.opens or client.closes)
        client.link.close(2)
        return client.opens > 0

    def close(self) -> None:
        self.broker.stop()
        self.inventory.close()


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Deployment]:
    if mosquitto() is None:
        warnings.warn("Mosquitto is not installed: renewal while publishing was not tested", stacklevel=1)
        pytest.skip("needs Mosquitto")
    made = Deployment(tmp_path)
    yield made
    made.close()


@contextmanager
def uplink(made: Deployment) -> Iterator[subprocess.Popen[bytes]]:
    with (made.folder / "uplink.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "edge.uplink", "--config", str(made.camera / "camera.toml")],
            stderr=log, env=environment(), cwd=ROOT,
        )  # fmt: skip
    try:
        yield process
    finally:
        end(process)


@contextmanager
def subscribed(made: Deployment, flow: Flow) -> Iterator[Collector]:
    folder = made.folder
    court = Address(
        "localhost", made.uplink_settings.port, folder / "ca.pem", folder / "court.pem", folder / "court.key"
    )
    keys = {seal.key_id(flow.recipient.public_key()): flow.recipient}
    with listening(court, keys) as collector:
        yield collector


def said(made: Deployment) -> str:
    return (made.folder / "uplink.log").read_text()


def test_a_renewal_in_the_middle_of_reports_loses_none_and_restarts_nothing(made: Deployment) -> None:
    with uplink(made) as process:
        flow = Flow(made.uplink_settings, made.camera / "identity" / "current" / "signing.key")
        try:
            with subscribed(made, flow) as collector:
                wait_for(lambda: len(collector.numbers) > 40, 120.0)
                old_files = made.folder / "old.pem", made.folder / "old.key"
                old_files[0].write_bytes(made.uplink_settings.certificate.read_bytes())
                old_files[1].write_bytes(made.uplink_settings.key.read_bytes())
                before = flow.count
                old = made.renew()
                wait_for(lambda: said(made).count("connected mqtt=") == 2, 60.0)  # by itself, with the new certificate
                with made.inventory.change():
                    made.inventory.revoke(f"{old.serial_number:x}", int(time.time()), "superseded")
                made.publish_list()
                listed = time.monotonic()
                wait_for(lambda: not made.gets_in(*old_files), MINUTE)
                assert time.monotonic() - listed < MINUTE
                assert made.gets_in(made.uplink_settings.certificate, made.uplink_settings.key)
                wait_for(lambda: flow.count > before + 200, 120.0)
                flow.stop()
                wait_for(lambda: len(collector.numbers) >= flow.count, 120.0)
                assert sorted(collector.numbers) == list(range(1, flow.count + 1))
                assert collector.of(Rejected) == []
                assert collector.of(Gap) == []
            assert process.poll() is None  # the same process all the time
        finally:
            flow._ended.set()


def test_a_revoked_camera_is_refused_at_its_next_connection_and_keeps_its_reports(made: Deployment) -> None:
    with uplink(made) as process:
        flow = Flow(made.uplink_settings, made.camera / "identity" / "current" / "signing.key")
        try:
            with subscribed(made, flow) as collector:
                wait_for(lambda: len(collector.numbers) > 20, 120.0)
                registrar.withdraw(made.inventory, CAMERA, "revoked", "key-compromise", int(time.time()))
                made.publish_list()
                listed = time.monotonic()
                certificate, key = made.uplink_settings.certificate, made.uplink_settings.key
                wait_for(lambda: not made.gets_in(certificate, key), MINUTE)
                assert time.monotonic() - listed < MINUTE
                opened = said(made).count("connected mqtt=")
                made.broker.stop()
                handed_over = flow.count  # what the broker has of it may still come; of what follows, nothing can
                made.broker.start()  # its next connection
                refused = said(made).count("disconnected")
                # the first may be of the broker's end; pauses have grown while the test itself pushed the camera out
                wait_for(lambda: said(made).count("disconnected") >= refused + 2, 180.0)
                assert said(made).count("connected mqtt=") == opened
                assert flow.count > handed_over >= max(collector.numbers)
                assert collector.of(Gap) == []
                flow.stop()  # all of it is taken and kept: nobody knows yet whether the camera is enrolled again
            assert process.poll() is None
        finally:
            flow._ended.set()
    kept = int(said(made).rpartition("stopped spool=")[2].split()[0])
    assert kept >= flow.count - len(set(collector.numbers)) > 0
