"""The consumer in Node.js at a real broker. Run by ``make test-node``, which installs what it needs."""

from __future__ import annotations

import json
import shutil
import subprocess
import warnings
from pathlib import Path

import pytest

from provisioning.broker import Mosquitto, mosquitto
from tests.client import Client
from tests.rig import CAMERA, Rig, wait_for
from tests.unit.test_listen import status

HERE = Path(__file__).parent


def test_it_verifies_opens_and_prints_each_report_once(tmp_path: Path) -> None:
    if mosquitto() is None or shutil.which("node") is None or not (HERE / "node_modules").is_dir():
        warnings.warn("the consumer in Node.js was not tested: run make test-node", stacklevel=1)
        pytest.skip("needs Mosquitto, node, and npm install in tests/node (make test-node)")
    rig = Rig(tmp_path)
    (tmp_path / "recipient.raw").write_bytes(rig.recipient.private_bytes_raw())
    broker = Mosquitto(rig.broker_settings)
    broker.start()
    try:
        command = ["node", HERE / "consume.mjs", "localhost", str(broker.port), "ca.pem", "subscriber.pem",
                   "subscriber.key", "recipient.raw", "20"]  # fmt: skip
        consumer = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        with Client(rig, broker.port, CAMERA) as camera:
            camera.connected()
            camera.publish(f"vidik/v1/{CAMERA}/status", status(rig), retain=True)
            forged = Rig(tmp_path / "other").sealed(7)

            def send() -> bool:
                """Everything, again and again until the consumer has subscribed and ended."""
                camera.publish(f"vidik/v1/{CAMERA}/plate", forged)
                for seq in range(20):
                    camera.publish(f"vidik/v1/{CAMERA}/plate", rig.sealed(seq))
                return consumer.poll() is not None

            wait_for(send, 60)
        printed, complaints = consumer.communicate(timeout=30)
    finally:
        broker.stop()
    reports = [json.loads(line) for line in printed.splitlines()]
    assert sorted(report["seq"] for report in reports) == list(range(20))
    assert {report["text"] for report in reports} == {"BG1234AA"}
    assert "unknown signer" in complaints
