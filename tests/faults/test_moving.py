"""The real uplink while brokers and certificates change under it."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.handover import Sender
from provisioning import pki
from tests.faults.test_rogue_broker import good
from tests.rig import CAMERA, Rig, end, wait_for
from tests.unit.fake_broker import FakeBroker, Session


class Good(FakeBroker):
    """Takes everything; says who came, with which certificate and in which status."""

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        self.taken: set[bytes] = set()
        self.serials: list[str] = []
        super().__init__(folder, self._take, host)

    def _take(self, session: Session, _: int) -> None:
        self.serials.append(session.certificate["serialNumber"])
        good(session, self.taken)


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


@pytest.fixture
def sender(rig: Rig) -> Iterator[Sender]:
    made = Sender(rig.inbox)
    yield made
    made.close()


@pytest.mark.slow
def test_another_broker_takes_over(rig: Rig, sender: Sender) -> None:
    first, second = Good(rig.folder), Good(rig.folder)
    config = rig.config(first.port)
    config.write_text(config.read_text() + f'\n[[uplink.fallback]]\nhost = "localhost"\nport = {second.port}\n')
    uplink = rig.uplink(config)
    sender.offer(rig.item(1))
    wait_for(lambda: len(first.taken) == 1, 60)
    first.close()
    first.drop()
    sender.offer(rig.item(2))
    wait_for(lambda: len(second.taken) == 2, 60)  # also the one that the first may have lost
    assert end(uplink) == 0
    second.close()


@pytest.mark.slow
def test_a_broker_may_be_on_ipv6(rig: Rig, sender: Sender) -> None:
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            pass
    except OSError:
        pytest.skip("this machine has no IPv6")
    pki.issue_server(rig.ca, ["localhost", "::1"]).save(rig.folder, "broker")
    broker = Good(rig.folder, "::1")
    config = rig.config(broker.port)
    config.write_text(config.read_text().replace('"localhost"', '"::1"'))
    uplink = rig.uplink(config)
    sender.offer(rig.item(1))
    wait_for(lambda: len(broker.taken) == 1, 60)
    assert end(uplink) == 0
    broker.close()


@pytest.mark.slow
def test_renewed_certificates_are_used_without_a_restart(rig: Rig, sender: Sender) -> None:
    broker = Good(rig.folder)
    uplink = rig.uplink(rig.config(broker.port))
    sender.offer(rig.item(1))
    wait_for(lambda: len(broker.taken) == 1, 60)
    pki.issue_connection(rig.ca, CAMERA).save(rig.folder / "new", "camera")
    (rig.folder / "new" / "camera.pem").replace(rig.folder / f"{CAMERA}.pem")
    time.sleep(6)  # half of it is new: nothing happens
    assert len(broker.serials) == 1
    (rig.folder / "new" / "camera.key").replace(rig.folder / f"{CAMERA}.key")
    wait_for(lambda: len(broker.serials) == 2, 60)
    assert len(set(broker.serials)) == 2
    sender.offer(rig.item(2))
    wait_for(lambda: len(broker.taken) == 2, 60)
    assert end(uplink) == 0
    broker.close()
