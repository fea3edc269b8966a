"""``vidik provision fleet`` at a real broker: exit codes, JSON, a thousand cameras, and the real uplink process."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from edge.address import Address
from edge.mqtt import Message
from provisioning import pki
from provisioning.broker import Broker, mosquitto
from provisioning.office import table
from provisioning.office.inventory import Inventory
from provisioning.send_cli import deliver
from tests.brokers import running
from tests.client import Client
from tests.offices import free_port, make_office, passphrase_file
from tests.rig import CAMERA, Rig, end, environment, wait_for
from tests.statements import health, signed_card, status

MANY = 1_000


def command(rig: Rig, port: int, *options: str, who: str = "office") -> list[str]:
    return [
        sys.executable, "-c", "from edge.cli import main; main()", "provision", "fleet", "--certificate",
        str(rig.folder / f"{who}.pem"), "--key", str(rig.folder / f"{who}.key"), "--ca", str(rig.folder / "ca.pem"),
        "--host", "localhost", "--port", str(port), *options,
    ]  # fmt: skip


def fleet(rig: Rig, port: int, *options: str, who: str = "office") -> subprocess.CompletedProcess[str]:
    asked = command(rig, port, *options, who=who)
    return subprocess.run(asked, capture_output=True, text=True, check=False, env=environment(), cwd=rig.folder)


def leave(rig: Rig, port: int, camera: str, **payloads: bytes) -> None:
    """``camera`` leaves statements, retained."""
    with Client(rig, port, camera) as client:
        client.connected()
        numbers = [client.publish(f"vidik/v1/{camera}/{name}", payload, True) for name, payload in payloads.items()]
        wait_for(lambda: set(numbers) <= client.answers.keys())


def test_exit_codes_for_monitoring(rig: Rig, broker: Broker) -> None:
    none = fleet(rig, broker.port, "--once", "--timeout", "4")
    assert (none.returncode, "told nothing" in none.stderr) == (2, True)
    signing = {name: pki.load(rig.folder, f"{name}-signing") for name in (CAMERA, "cam-2")}
    leave(rig, broker.port, CAMERA, status=status(signing[CAMERA]), health=health(time.time()))
    well = fleet(rig, broker.port, "--json", "--timeout", "10")
    assert well.returncode == 0, well.stderr
    (line,) = json.loads(well.stdout)["cameras"]
    assert (line["camera"], line["state"], line["fps"]) == (CAMERA, "well", 14.9)
    leave(rig, broker.port, "cam-2", status=status(signing["cam-2"], state="offline"))
    lines = fleet(rig, broker.port, "--jsonl", "--only", "well", "--timeout", "10", who="subscriber")
    assert lines.returncode == 1  # about all cameras, whatever is shown
    assert [json.loads(each)["camera"] for each in lines.stdout.splitlines()] == [CAMERA]
    shown = fleet(rig, broker.port, "--once", "--timeout", "10")
    assert shown.returncode == 1
    assert "1 of 2 online" in shown.stdout
    assert "offline" in shown.stdout


def test_a_broker_that_is_not_there_cannot_be_asked(rig: Rig) -> None:
    asked = fleet(rig, free_port(), "--once", "--timeout", "1")
    assert asked.returncode == 2
    assert "The broker cannot be asked" in asked.stderr
    nowhere = fleet(rig, 1, "--once", "--host", "", "--timeout", "1")
    assert (nowhere.returncode, "Without an office" in nowhere.stderr) == (2, True)


def test_the_live_table_follows_and_ends_with_ctrl_c(rig: Rig) -> None:
    with running("mosquitto", rig.broker_settings) as broker:
        signing = pki.load(rig.folder, f"{CAMERA}-signing")
        leave(rig, broker.port, CAMERA, status=status(signing), health=health(time.time()))
        ours, theirs = pty.openpty()
        environ = environment() | {"TERM": "xterm", "COLUMNS": "120", "LINES": "30"}
        # a test run in a shell's background ignores SIGINT, and so would what it starts
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(
            command(rig, broker.port), stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, env=environ, cwd=rig.folder
        )
        signal.signal(signal.SIGINT, before)
        os.close(theirs)
        shown = b""

        def shows(text: bytes) -> bool:
            nonlocal shown
            if select.select([ours], [], [], 0.1)[0]:
                shown += os.read(ours, 1 << 16)
            return text in shown

        wait_for(lambda: shows(b"1 well"), 60)
        leave(rig, broker.port, CAMERA, status=status(signing, state="offline"))
        wait_for(lambda: shows(b"1 offline"), 60)
        process.send_signal(signal.SIGINT)
        os.set_blocking(ours, False)
        _, errors = process.communicate(timeout=20)
        os.close(ours)
        assert (process.returncode, errors) == (0, b"")


def test_the_real_uplink_as_the_fleet_sees_it(rig: Rig) -> None:
    with running("mosquitto", rig.broker_settings) as broker:
        signing = pki.load(rig.folder, f"{CAMERA}-signing")
        (rig.folder / "notices").mkdir()
        (rig.folder / "notices" / "health.json").write_bytes(health(time.time(), fps=12.5))
        (rig.folder / "notices" / "card.json").write_bytes(signed_card(signing, CAMERA, time.time()))
        (rig.folder / "notices" / "update.json").write_text('{"state":"good","version":"0.2","slot":"B","cause":""}')
        uplink = rig.uplink(rig.config(broker.port))

        def seen() -> dict[str, object]:
            found = fleet(rig, broker.port, "--jsonl", "--timeout", "5")
            return json.loads(found.stdout) if found.returncode == 0 else {}

        wait_for(lambda: seen().get("update") == "good 0.2 B", 60)
        assert (seen()["fps"], seen()["online"], seen()["state"]) == (12.5, True, "well")
        end(uplink)
        gone = fleet(rig, broker.port, "--jsonl", "--timeout", "5")
        assert (gone.returncode, json.loads(gone.stdout)["state"]) == (1, "offline")


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The office of a thousand cameras, and what each of them states: genuine, each signed with a key of its own."""
    folder = tmp_path_factory.mktemp("thousand")
    office = make_office(folder / "office", broker_port=free_port())
    ca = office.issuing(passphrase_file(folder))
    names = [f"cam-{number:04}" for number in range(MANY)]
    inventory: Inventory = office.inventory()
    with inventory.change():
        for number, name in enumerate([*names, "cam-lost"]):
            inventory.add(table.camera(name, f"Pole {number}", f"Street {number % 50}", 1))
            inventory.set_state(name, "enrolled")
    inventory.close()
    (folder / "stated").mkdir()
    now = time.time()
    for number, name in enumerate(names):
        signing = pki.issue_signing(ca, name)
        state = "offline" if number % 100 == 7 else "online"
        (folder / "stated" / f"{name}.status").write_bytes(status(signing, state=state, spool=number))
        (folder / "stated" / f"{name}.card").write_bytes(signed_card(signing, name, now))
        (folder / "stated" / f"{name}.health").write_bytes(health(now, fps=10 + number % 7))
    pki.issue_subscriber(ca, "desk").save(folder, "desk")
    pki.issue_server(ca, ["localhost", "127.0.0.1"]).save(folder, "broker")
    for name in (names[0], names[-1]):
        pki.issue_connection(ca, name).save(folder, name)
    return folder


def test_a_thousand_cameras(thousand: Path, rig: Rig) -> None:
    """They are heard in one go, and none is missed: the broker may send no faster than the program reads."""
    settings = replace(
        rig.broker_settings, ca=thousand / "office" / "ca.pem", certificate=thousand / "broker.pem",
        key=thousand / "broker.key", offices=("desk",), port=free_port(),
    )  # fmt: skip
    with running("mosquitto", settings) as broker:
        rules = rig.folder / "broker" / "acl"  # one client brings in what a thousand would
        broker.stop()
        rules.write_text(rules.read_text() + "\nuser cam-0000\ntopic readwrite #\n")
        program = subprocess.Popen(
            [str(mosquitto()), "-c", str(rig.folder / "broker" / "mosquitto.conf")], stderr=subprocess.DEVNULL
        )
        try:
            messages = [
                Message(f"vidik/v1/{file.stem}/{file.suffix[1:]}", file.read_bytes(), retain=True)
                for file in (thousand / "stated").iterdir()
            ]
            bringer = Address(
                "localhost", broker.port, settings.ca, thousand / "cam-0000.pem", thousand / "cam-0000.key"
            )  # fmt: skip
            deliver(messages, bringer, 60.0)
            asked = [
                sys.executable, "-c", "from edge.cli import main; main()", "provision", "fleet", "--office",
                str(thousand / "office"), "--certificate", str(thousand / "desk.pem"), "--key",
                str(thousand / "desk.key"), "--host", "localhost", "--port", str(broker.port), "--timeout", "60",
            ]  # fmt: skip
            began = time.monotonic()
            done = subprocess.run([*asked, "--json"], capture_output=True, text=True, check=False, env=environment())
            took = time.monotonic() - began
            assert done.returncode == 1, done.stderr
            found = json.loads(done.stdout)
            assert found["counts"] == {"offline": 10, "unheard": 1, "well": MANY - 10}
            assert {line["camera"] for line in found["cameras"] if line["state"] == "unheard"} == {"cam-lost"}
            assert sum(line["waiting"] for line in found["cameras"]) == sum(range(MANY))
            assert took < 60, took
            picture = rig.folder / "fleet.svg"
            drawn = subprocess.run(
                [*asked, "--svg", str(picture), "--match", "Street 7"], capture_output=True, text=True, check=False,
                env=environment(),
            )  # fmt: skip
            assert drawn.returncode == 1, drawn.stderr
            assert picture.read_text(encoding="utf-8").count("cam-") >= 20
        finally:
            program.terminate()
            program.wait(20)
