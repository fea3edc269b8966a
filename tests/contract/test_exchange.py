"""Documents down and statements up, through the real uplink process and a real broker."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from edge.audit import Audit
from edge.clock import SystemClock
from edge.grant import document
from edge.grant.document import Revocation
from edge.grant.store import GrantStore
from edge.mqtt import Handler, Link
from edge.notices import Notices
from edge.signing import KeySigner
from edge.uplink import documents
from edge.uplink.documents import Documents
from edge.uplink.downlink import Downlink
from provisioning import pki
from provisioning.access import SUBSCRIBER
from tests import law
from tests.rig import CAMERA, Rig, end, environment, wait_for

GRANT = law.make(not_before=int(time.time()) - 100, not_after=int(time.time()) + 3600)


class Citizen(Handler):
    """Anybody who may subscribe: keeps the latest of every topic, and whether it was retained."""

    def __init__(self, rig, port, pattern):
        self.latest, self.retained, self._pattern = {}, set(), pattern
        self.link = Link(rig.address("subscriber", port), "citizen", self)

    def __enter__(self):
        self.link.start()
        return self

    def __exit__(self, *_):
        self.link.close(2)

    def opened(self, version, window):
        for channel in SUBSCRIBER.reads if self._pattern.endswith("#") else [""]:
            self.link.subscribe(self._pattern.removesuffix("#") + channel)

    def received(self, topic, payload, number, retained):
        self.latest[topic.rsplit("/", 1)[-1]] = payload
        if retained:
            self.retained.add(topic.rsplit("/", 1)[-1])
        self.link.acknowledge(number)


def vidik(*arguments, folder):
    return subprocess.run(
        [sys.executable, "-c", "from edge.cli import main; main()", *map(str, arguments)],
        cwd=folder, capture_output=True, text=True, check=False, env=environment(),
    )  # fmt: skip


def stating(folder):
    """The vision process's side: log and notices of a camera that holds a grant."""
    issued = pki.load(folder, f"{CAMERA}-signing")
    signer = KeySigner(issued.key, issued.certificate)
    audit = Audit(folder / "audit", SystemClock(), CAMERA, signer)
    return audit, Notices(
        folder / "notices", audit, SystemClock(), signer, camera=CAMERA, software="1", models={"m": "ab" * 32}
    )


def test_card_and_head_are_retained_and_the_commands_accept_them(rig, broker, tmp_path):
    audit, notices = stating(tmp_path)
    audit.append("boot", boot=1, software="1")
    notices.tick([GRANT])
    uplink = rig.uplink(rig.config(broker.port))
    with Citizen(rig, broker.port, f"vidik/v1/{CAMERA}/#") as early:
        wait_for(lambda: {"card", "audit"} <= early.latest.keys())
    audit.append("grant-began", grant=GRANT.id)  # goes on after the head was published
    with Citizen(rig, broker.port, f"vidik/v1/{CAMERA}/#") as late:
        wait_for(lambda: {"card", "audit"} <= late.latest.keys())
    assert {"card", "audit"} <= late.retained
    (tmp_path / "card.json").write_bytes(late.latest["card"])
    (tmp_path / "head.cose").write_bytes(late.latest["audit"])
    checked = vidik("card", "verify", "card.json", "--ca", "ca.pem", "--camera", CAMERA, folder=tmp_path)
    assert (checked.returncode, "find a car" in checked.stdout) == (0, True), checked.stderr
    whole = vidik("audit", "verify", "audit", "--head", "head.cose", "--ca", "ca.pem", folder=tmp_path)
    assert (whole.returncode, "is whole" in whole.stdout) == (0, True), whole.stdout + whole.stderr
    notices.tick([])  # the grant is over: the card that stands at the broker says so soon
    with Citizen(rig, broker.port, f"vidik/v1/{CAMERA}/card") as later:
        wait_for(lambda: later.latest.get("card", late.latest["card"]) != late.latest["card"])
    audit.close()
    assert end(uplink) == 0


def test_statements_come_again_after_the_broker_has_forgotten(rig, broker, tmp_path):
    audit, notices = stating(tmp_path)
    notices.tick([])
    uplink = rig.uplink(rig.config(broker.port))
    with Citizen(rig, broker.port, f"vidik/v1/{CAMERA}/#") as before:
        wait_for(lambda: {"card", "audit"} <= before.latest.keys())
    broker.stop()
    (tmp_path / "broker" / "mosquitto.db").unlink(missing_ok=True)
    broker.restart()
    with Citizen(rig, broker.port, f"vidik/v1/{CAMERA}/#") as after:
        wait_for(lambda: {"card", "audit"} <= after.latest.keys(), 90)
    audit.close()
    assert end(uplink) == 0


def test_listeners_are_not_bothered(rig, broker, tmp_path):
    audit, notices = stating(tmp_path)
    notices.tick([GRANT])
    uplink = rig.uplink(rig.config(broker.port))
    rig.keys = {}
    with rig.listening(broker.port) as collector, Citizen(rig, broker.port, f"vidik/v1/{CAMERA}/#") as citizen:
        wait_for(lambda: {"card", "audit", "status"} <= citizen.latest.keys() and len(collector.findings) >= 2)
    assert {type(found).__name__ for found in collector.findings} == {"Connection", "Status"}
    audit.close()
    assert end(uplink) == 0


def test_a_grant_sent_reaches_the_camera_and_a_revocation_ends_it(rig, broker, tmp_path):
    (tmp_path / "sought.grant").write_bytes(document.sign(GRANT, [law.AUTHORITY]))
    taken = Revocation(grant=GRANT.id, serial=GRANT.serial, reason="found", time=int(time.time()))
    (tmp_path / "sought.revocation").write_bytes(document.sign_revocation(taken, [law.OPERATOR]))
    files = ("--ca", "ca.pem", "--certificate", "office.pem", "--key", "office.key", "--port", broker.port)
    sent = vidik("send", "sought.grant", "--camera", CAMERA, *files, folder=tmp_path)  # the camera is still away
    assert sent.returncode == 0, sent.stderr
    store = GrantStore(tmp_path / "grants", law.TRUST, CAMERA, state=tmp_path, incoming=tmp_path / "incoming")
    uplink = rig.uplink(rig.config(broker.port))
    wait_for(lambda: [terms.grant.id for terms in store.terms(time.time())] == [GRANT.id])
    sent = vidik("send", "sought.revocation", "--camera", CAMERA, *files, folder=tmp_path)
    assert sent.returncode == 0, sent.stderr
    wait_for(lambda: store.terms(time.time()) == [])
    assert list((tmp_path / "grants").iterdir()) == []
    assert end(uplink) == 0


def test_only_the_office_may_send(rig, broker, tmp_path):
    (tmp_path / "x.grant").write_bytes(document.sign(GRANT, [law.AUTHORITY]))
    incoming = tmp_path / "incoming"
    uplink = rig.uplink(rig.config(broker.port))
    for name in ("subscriber", "cam-2"):
        sent = vidik(
            "send", "x.grant", "--camera", CAMERA, "--ca", "ca.pem", "--certificate", f"{name}.pem", "--key",
            f"{name}.key", "--port", broker.port, "--seconds", "3", folder=tmp_path,
        )  # fmt: skip
        assert not broker.mqtt5 or sent.returncode == 2  # MQTT 3.1.1 cannot say that it refused
    time.sleep(0.5)
    assert not incoming.exists() or not list(incoming.iterdir())
    assert end(uplink) == 0


class Quiet:
    """A link that only notes what it is told."""

    def __init__(self):
        self.done, self.patterns, self.sent = [], [], []

    def acknowledge(self, number):
        self.done.append(number)

    def subscribe(self, pattern):
        self.patterns.append(pattern)


@pytest.fixture
def alone(tmp_path):
    rig = Rig(tmp_path)
    inlets = [Documents(tmp_path / "incoming")]
    made = Downlink(CAMERA, "1", rig.address(CAMERA, 1), b"x", changed=lambda: None, inlets=inlets)
    made._link = Quiet()
    return made


def test_a_flood_of_documents_fills_nothing_and_the_last_comes_again(alone, tmp_path, monkeypatch):
    alone.opened(5, 10)
    document_ = document.sign(GRANT, [law.AUTHORITY])
    for number in range(documents.MOST_WAITING + 5):
        alone.received("vidik/v1/cam-1/grant", document_ + bytes([number]), number, True)
    waiting = list((tmp_path / "incoming").iterdir())
    assert len(waiting) == documents.MOST_WAITING
    assert len(alone._link.done) == documents.MOST_WAITING + 5
    waiting[0].unlink()
    alone.attend()
    assert alone._link.patterns == ["vidik/v1/cam-1/grant"]
    later = time.monotonic() + documents.ASK_AGAIN
    monkeypatch.setattr(time, "monotonic", lambda: later)
    alone.attend()
    assert alone._link.patterns == ["vidik/v1/cam-1/grant"] * 2
    alone.attend()
    assert len(alone._link.patterns) == 2


@pytest.mark.parametrize(
    ("topic", "payload"),
    [
        ("vidik/v1/cam-2/grant", document.sign(GRANT, [law.AUTHORITY])),
        ("vidik/v1/cam-1/grant", b""),
        ("vidik/v1/cam-1/grant", b"nothing of ours"),
        ("vidik/v1/cam-1/grant", document.sign(GRANT, [law.AUTHORITY]) + bytes(documents.LARGEST)),
        ("vidik/v1/cam-1/grant", bytes(100) + document.sign(GRANT, [law.AUTHORITY])),
    ],
    ids=["of another camera", "cleared", "garbage", "too long", "shifted"],
)
def test_what_is_no_document_is_not_kept(alone, tmp_path, topic, payload):
    alone.opened(5, 10)
    alone.received(topic, payload, 7, True)
    assert alone._link.done == [7]
    assert not (tmp_path / "incoming").exists() or not list((tmp_path / "incoming").iterdir())
