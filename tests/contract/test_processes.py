"""The real processes together: hand-over, uplink, broker, ``vidik listen``."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from edge.handover import Sender
from edge.update import signs
from provisioning.broker import Broker, choose
from tests.rig import Rig, end, environment, wait_for


@pytest.fixture
def broker(rig: Rig) -> Iterator[Broker]:
    made = choose(rig.broker_settings)
    made.start()
    yield made
    made.stop()


def listen(rig: Rig, port: int, *options: str) -> subprocess.Popen[bytes]:
    pem = rig.recipient.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (rig.folder / "recipient.key").write_bytes(pem)
    files = {"--ca": "ca.pem", "--certificate": "subscriber.pem", "--key": "subscriber.key"}
    arguments = [part for option, name in files.items() for part in (option, str(rig.folder / name))]
    return subprocess.Popen(
        [sys.executable, "-m", "edge.listen.cli", *arguments, "--port", str(port), *options],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(),
    )  # fmt: skip


def test_reports_come_out_as_json_lines(rig: Rig, broker: Broker) -> None:
    key = str(rig.folder / "recipient.key")
    listening = listen(rig, broker.port, "--jsonl", "--count", "30", "--recipient-key", key)
    uplink = rig.uplink(rig.config(broker.port))
    sender = Sender(rig.inbox)
    for seq in range(30):
        sender.offer(rig.item(seq))
    out, warnings = listening.communicate(timeout=60)
    assert [json.loads(line)["seq"] for line in out.splitlines()] == list(range(30))
    assert listening.returncode == 0
    assert b"30 opened" in warnings
    assert sender.drain(5) == 0
    sender.close()
    assert end(uplink) == 0


def test_without_the_key_only_the_origin_is_shown(rig: Rig, broker: Broker) -> None:
    listening = listen(rig, broker.port, "--jsonl")
    uplink = rig.uplink(rig.config(broker.port))
    sender = Sender(rig.inbox)
    sender.offer(rig.item(1))
    assert listening.stderr is not None
    warnings = b""
    while b"sealed to a key" not in warnings:
        line = listening.stderr.readline()
        assert line, warnings
        warnings += line
    listening.terminate()
    out, rest = listening.communicate(timeout=20)
    assert (out, listening.returncode) == (b"", 0)
    assert b"1 sealed" in rest
    sender.close()
    end(uplink)


def test_the_uplink_ends_cleanly_with_and_without_a_broker(rig: Rig, broker: Broker) -> None:
    for port in (broker.port, 1):
        uplink = rig.uplink(rig.config(port))
        wait_for(rig.inbox.exists)
        time.sleep(0.5)
        assert end(uplink) == 0
        assert not rig.inbox.exists()


def test_the_uplink_states_whether_it_is_connected_as_a_new_image_has_to_show(rig: Rig, broker: Broker) -> None:
    def lacking() -> str:
        return "; ".join(signs.read(rig.folder / "notices", rig.folder / "stated", time.time()))

    assert "the uplink states nothing" in lacking()
    uplink = rig.uplink(rig.config(broker.port))
    wait_for(lambda: "uplink" not in lacking(), 30.0)
    broker.kill()
    wait_for(lambda: "the uplink is not connected" in lacking(), 30.0)
    end(uplink)


def test_the_log_of_the_uplink_holds_no_payload_and_no_key(rig: Rig, broker: Broker) -> None:
    with rig.listening(broker.port) as collector:
        uplink = rig.uplink(rig.config(broker.port))
        sender = Sender(rig.inbox)
        sender.offer(rig.item(1))
        wait_for(lambda: collector.numbers == [1])
        broker.kill()
        time.sleep(0.5)
        sender.close()
        assert end(uplink) == 0
    log = (rig.folder / "uplink.log").read_bytes()
    assert b"started" in log
    assert b"disconnected" in log
    assert b"PRIVATE" not in log
    assert b"BG1234AA" not in log
    assert len(log.splitlines()) < 20
    assert max(map(len, log.splitlines())) < 300
