"""The office's broker folder, with the real Mosquitto: the chain holds, and the revocation list counts."""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from edge import config, seal
from edge.address import Address
from edge.enrol import procedure
from edge.handover import Item, Key, Kind, Sender
from edge.listen.opener import Rejected
from edge.mqtt import Handler, Link, Message
from edge.records import PlateReport
from provisioning import pki
from provisioning.broker import mosquitto
from provisioning.office import create, registrar, revocation
from provisioning.office.folder import Office
from provisioning.office.registrar import Registrar
from provisioning.send_cli import SendError, deliver
from tests.offices import Desk, OfficeBroker, free_port, make_office, passphrase_file
from tests.rig import ROOT, end, environment, listening, wait_for


class Client(Handler):
    """Counts how often it gets in, and how often not."""

    def __init__(self, folder: Path, name: str, port: int, *patterns: str) -> None:
        address = Address("localhost", port, folder / "ca.pem", folder / f"{name}.pem", folder / f"{name}.key")
        self.link = Link(address, name, self, longest_pause=0.5)
        self.opens = self.closes = 0
        self.patterns, self.heard = patterns, list[bytes]()

    def opened(self, version: int, window: int) -> None:
        for pattern in self.patterns:
            self.link.subscribe(pattern)
        self.opens += 1

    def received(self, topic: str, payload: bytes, number: int, retained: bool) -> None:
        self.heard.append(payload)
        self.link.acknowledge(number)

    def closed(self, reason: str) -> None:
        self.closes += 1


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    if mosquitto() is None:
        warnings.warn("Mosquitto is not installed: the office's broker folder was not tested", stacklevel=1)
        pytest.skip("needs Mosquitto")
    folder = tmp_path_factory.mktemp("office") / "office"
    return make_office(folder, "cam-1", "cam-2", "cam-3", enrol_port=free_port(), broker_port=free_port())


@pytest.fixture(scope="module")
def broker(office: Office) -> Iterator[OfficeBroker]:
    running = OfficeBroker(office)
    running.start()
    yield running
    running.stop()


def test_only_who_is_not_revoked_gets_in(office: Office, broker: OfficeBroker, tmp_path: Path) -> None:
    port = office.settings().broker_port
    ca = office.issuing(passphrase_file(tmp_path))
    inventory = office.inventory()
    (tmp_path / "ca.pem").write_bytes(office.ca.read_bytes())
    for camera in ("cam-1", "cam-2"):
        issued = pki.issue_connection(ca, camera)
        issued.save(tmp_path, camera)
        with inventory.change():
            registrar.record(inventory, issued.certificate, camera, registrar.CONNECTION)
    create.add_client(office, inventory, ca, "police", tmp_path, role="subscriber")

    for name in ("cam-1", "cam-2", "police"):
        client = Client(tmp_path, name, port)
        client.link.start()
        wait_for(lambda client=client: client.opens)
        client.link.close(2)

    registrar.withdraw(inventory, "cam-1", "revoked", "key-compromise", int(time.time()))
    assert revocation.refresh(office, inventory, ca, datetime.now(UTC))
    inventory.close()

    def refused() -> bool:
        client = Client(tmp_path, "cam-1", port)
        client.link.start()
        wait_for(lambda: client.opens or client.closes)
        client.link.close(2)
        return client.opens == 0

    wait_for(refused, 60.0)  # the promise is one minute
    other = Client(tmp_path, "cam-2", port)
    other.link.start()
    wait_for(lambda: other.opens)
    other.link.close(2)


def test_a_sender_hands_documents_to_cameras_and_a_subscriber_does_not(
    office: Office, broker: OfficeBroker, tmp_path: Path
) -> None:
    ca = office.issuing(passphrase_file(tmp_path))
    inventory = office.inventory()
    create.add_client(office, inventory, ca, "desk", tmp_path, role="sender")
    create.add_client(office, inventory, ca, "archive", tmp_path, role="subscriber")
    inventory.close()
    broker.stop()
    broker.start()  # which reads the access rules
    port = office.settings().broker_port
    pki.issue_connection(ca, "cam-2").save(tmp_path, "cam-2")
    document = bytes(300_000)  # a list of two thousand
    for name in ("archive", "desk"):
        address = Address("localhost", port, tmp_path / "ca.pem", tmp_path / f"{name}.pem", tmp_path / f"{name}.key")
        messages = [Message("vidik/v1/cam-2/grant", document if name == "desk" else b"forged", retain=True)]
        if name == "archive":
            with pytest.raises(SendError, match="refused"):
                deliver(messages, address, 30.0)
        else:
            deliver(messages, address, 30.0)
    camera = Client(tmp_path, "cam-2", port, "vidik/v1/cam-2/grant")
    camera.link.start()
    wait_for(lambda: camera.heard)
    camera.link.close(2)
    assert camera.heard == [document]


def test_reports_go_on_through_a_renewal(office: Office, broker: OfficeBroker, tmp_path: Path) -> None:
    """From a claim to reports that a subscriber opens; then the connection certificate is renewed and the old one
    revoked, while the uplink runs on and the broker starts anew. Nothing is lost."""
    ca = office.issuing(passphrase_file(tmp_path))
    inventory = office.inventory()
    desk = Registrar(inventory, ca)
    create.add_client(office, inventory, ca, "court", tmp_path, role="subscriber")
    broker.stop()
    broker.start()  # which reads who may subscribe
    claim = registrar.make_claim(
        inventory, "cam-3", office.settings(), office.pin(), now=int(time.time()), seconds=3600
    )
    camera = tmp_path / "camera"
    procedure.enrol(camera, claim, lambda claim: Desk(office, desk, claim))
    settings = config.load(camera / "camera.toml", config.Uplink)
    key = load_pem_private_key((camera / "identity" / "current" / "signing.key").read_bytes(), None)
    recipient = x25519.X25519PrivateKey.generate()
    sealer = seal.Sealer(key)  # type: ignore[arg-type]

    def item(seq: int) -> Item:
        report = PlateReport(
            camera="cam-3", boot=1, seq=seq, time=1.7e9 + seq, grant="g1", track=seq, box=(1, 2, 3, 4), text="BG1234AA",
            confidence=0.99, country="RS",
        )  # fmt: skip
        return Item(Kind.PLATE, Key(1, seq), 3600, sealer.seal(report, recipient.public_key()))

    court = Address("localhost", settings.port, tmp_path / "ca.pem", tmp_path / "court.pem", tmp_path / "court.key")
    keys = {seal.key_id(recipient.public_key()): recipient}
    with (tmp_path / "uplink.log").open("ab") as log:
        uplink = subprocess.Popen(
            [sys.executable, "-m", "edge.uplink", "--config", str(camera / "camera.toml")],
            stderr=log, env=environment(), cwd=ROOT,
        )  # fmt: skip
    sender = Sender(settings.inbox)
    try:
        with listening(court, keys) as collector:
            for seq in range(50):
                sender.offer(item(seq))
            wait_for(lambda: len(collector.numbers) == 50, 120.0)

            old = x509.load_pem_x509_certificate(settings.certificate.read_bytes())
            later = old.not_valid_before_utc + timedelta(days=300)
            time.sleep(1.1)  # certificates know whole seconds only, and a renewed one must end later
            peer = old.public_bytes(Encoding.DER)
            assert procedure.renew(camera, later, lambda _: Desk(office, desk, peer=peer)) == ["connection", "signing"]
            with inventory.change():
                inventory.revoke(f"{old.serial_number:x}", int(time.time()), "superseded")
            revocation.refresh(office, inventory, ca, datetime.now(UTC))
            for seq in range(50, 75):
                sender.offer(item(seq))
            wait_for(lambda: len(collector.numbers) == 75, 120.0)  # what Mosquitto has taken is its own to lose
            broker.stop()
            for seq in range(75, 100):
                sender.offer(item(seq))
            broker.start()
            wait_for(lambda: len(collector.numbers) >= 100, 120.0)
            assert sorted(collector.numbers) == list(range(100))
            assert collector.of(Rejected) == []
        assert uplink.poll() is None  # the same process all the time
    finally:
        sender.close()
        end(uplink)
        inventory.close()
