"""A test report by the real way: hand-over, uplink process, Mosquitto over mutual TLS, ``vidik listen``, and back."""

from __future__ import annotations

import subprocess
import time

import pytest

from edge.handover import Sender
from edge.listen.opener import Opened, Sealed, Tried
from edge.trial import Trial
from edge.uplink.spool import Spool
from provisioning.broker import mosquitto
from tests.brokers import running
from tests.contract.test_processes import listen
from tests.rig import end, listening, wait_for
from tests.trials import make_folder


@pytest.fixture
def broker(rig):
    with running("mosquitto", rig.broker_settings) as made:
        yield made


def folder_of(rig, broker):
    path = rig.config(broker.port)
    path.write_text(path.read_text() + "settle_seconds = 0.0\n")
    return make_folder(rig, court=rig.recipient.public_key().public_bytes_raw())


def test_the_command_answers_by_itself(rig, broker):
    folder = folder_of(rig, broker)
    uplink = rig.uplink(folder / "camera.toml")
    listening = listen(rig, broker.port, "--jsonl", "--recipient-key", str(rig.folder / "recipient.key"))
    try:
        with Trial(folder) as trial:
            wait_for(lambda: sent_and_confirmed(trial), 60)
            assert trial.state().confirmed == ("court",)
            said = b""
            while b"test report of cam-1: opened, and the camera told so" not in said:
                line = listening.stderr.readline()
                assert line, said
                said += line
    finally:
        listening.terminate()
        out, _ = listening.communicate(timeout=20)
    assert out == b""  # programs that read reports hear nothing of it
    assert end(uplink) == 0


def sent_and_confirmed(trial):
    """A subscriber that comes later hears no earlier test report: as a technician would, try again."""
    trial.send()
    until = time.monotonic() + 5.0
    while time.monotonic() < until:
        if trial.state().state == "confirmed":
            return True
        time.sleep(0.05)
    return False


def test_reports_and_their_account_are_not_touched(rig, broker):
    folder = folder_of(rig, broker)
    uplink = rig.uplink(folder / "camera.toml")
    sender = Sender(rig.inbox)
    with rig.listening(broker.port) as collector, Trial(folder) as trial:
        sender.offer(rig.item(1))
        wait_for(lambda: collector.numbers == [1])
        trial.send()
        wait_for(lambda: trial.state().state == "confirmed")
        sender.offer(rig.item(2))
        wait_for(lambda: collector.numbers == [1, 2])
        assert len(collector.of(Tried)) == 1
    sender.close()
    assert end(uplink) == 0
    spool = Spool(rig.folder / "spool.sqlite", 1 << 20)
    assert spool.sent() == [(1, 2)]
    assert (spool.losses, spool.dropped, len(spool)) == ([], {}, 0)
    spool.close()


def test_a_test_report_that_nobody_takes_holds_up_no_report(rig, broker):
    """Mosquitto says that nobody subscribes: the test report is dropped, and nothing is announced as lost."""
    folder = folder_of(rig, broker)
    uplink = rig.uplink(folder / "camera.toml")
    with Trial(folder) as trial:
        trial.send()
        wait_for(lambda: "The uplink has it" in trial.state().says)
        sender = Sender(rig.inbox)
        sender.offer(rig.item(1))
        assert sender.drain(10) == 0
        with rig.listening(broker.port) as collector:
            wait_for(lambda: collector.numbers == [1])
            time.sleep(0.5)
            assert not collector.of(Tried)
        assert trial.state().state == "waiting"
    sender.close()
    assert end(uplink) == 0


def test_a_subscriber_without_the_key_confirms_nothing(rig, broker):
    folder = folder_of(rig, broker)
    uplink = rig.uplink(folder / "camera.toml")
    with listening(rig.address("subscriber", broker.port), {}) as collector, Trial(folder) as trial:
        wait_for(lambda: collector.findings)
        wait_for(lambda: trial.send() or heard(collector), 60)
        assert trial.state().state != "confirmed"
    assert end(uplink) == 0


def heard(collector):
    until = time.monotonic() + 2.0
    while time.monotonic() < until and not collector.of(Sealed):
        time.sleep(0.05)
    return collector.of(Sealed)


def test_a_broker_that_lets_nobody_confirm_only_costs_the_confirmation(rig, broker):
    rules = rig.folder / "broker" / "acl"
    broker.stop()
    rules.write_text(rules.read_text().replace("topic write vidik/v1/+/confirm", ""))
    command = [mosquitto(), "-c", str(rig.folder / "broker" / "mosquitto.conf")]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        folder = folder_of(rig, broker)
        uplink = rig.uplink(folder / "camera.toml")
        with rig.listening(broker.port) as collector, Trial(folder) as trial:
            wait_for(lambda: trial.send() or heard_tried(collector), 60)
            sender = Sender(rig.inbox)
            sender.offer(rig.item(1))
            wait_for(lambda: collector.of(Opened))
            sender.close()
            assert trial.state().state == "waiting"
        assert end(uplink) == 0
    finally:
        process.terminate()
        process.wait(20)


def heard_tried(collector):
    until = time.monotonic() + 2.0
    while time.monotonic() < until and not collector.of(Tried):
        time.sleep(0.05)
    return collector.of(Tried)
