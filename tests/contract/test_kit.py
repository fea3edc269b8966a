"""The subscriber kit at a real broker: groups, asyncio, names and the ONVIF events."""

from __future__ import annotations

import asyncio
import json
import threading
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from edge.listen import Listener, Opened, Rejected, Status, aio, open_sink, read_ca
from edge.listen.sinks.base import SinkError
from provisioning.broker import Mosquitto, mosquitto
from tests.client import Client
from tests.contract.test_sinks import face, plate
from tests.rig import CAMERA, Collector, Rig, wait_for
from tests.unit.test_listen import status


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Rig:
    return Rig(tmp_path_factory.mktemp("kit"))


@pytest.fixture(scope="module")
def port(rig: Rig) -> Iterator[int]:
    if mosquitto() is None:
        warnings.warn("Mosquitto is not installed: the subscriber kit was not tested at a broker", stacklevel=1)
        pytest.skip("needs Mosquitto: groups and names")
    broker = Mosquitto(rig.broker_settings)
    broker.start()
    yield broker.port
    broker.stop()


@pytest.fixture
def camera(rig: Rig, port: int) -> Iterator[Client]:
    with Client(rig, port, CAMERA) as client:
        client.connected()
        client.publish(f"vidik/v1/{CAMERA}/status", status(rig), retain=True)
        yield client


def listener(rig: Rig, port: int, **options: object) -> Listener:
    return Listener(rig.address("subscriber", port), read_ca(rig.folder / "ca.pem"), rig.keys, **options)  # type: ignore[arg-type]


def send(rig: Rig, camera: Client, numbers: range, boot: int) -> None:
    for seq in numbers:
        camera.publish(f"vidik/v1/{CAMERA}/plate", rig.sealed(seq, boot))


def collecting(made: Listener) -> Collector:
    collector = Collector(made)
    threading.Thread(target=collector.run, daemon=True).start()
    wait_for(lambda: collector.findings)
    return collector


def test_a_group_shares_the_reports(rig: Rig, port: int, camera: Client) -> None:
    with listener(rig, port, name="a", group="g") as first, listener(rig, port, name="b", group="g") as second:
        both = [collecting(first), collecting(second)]
        wait_for(lambda: all(len(each.findings) > 1 for each in both))  # each has the camera's status
        send(rig, camera, range(60), boot=1)
        wait_for(lambda: sum(len(each.numbers) for each in both) == 60)
        assert sorted(both[0].numbers + both[1].numbers) == list(range(60))
        assert min(len(each.numbers) for each in both) > 0
        assert not any(each.of(Rejected) for each in both)
        for made in (first, second):
            made.stop()


def test_a_name_and_a_checkpoint_outlive_the_listener(rig: Rig, port: int, camera: Client, tmp_path: Path) -> None:
    options = {"name": "archive", "state": tmp_path / "state"}
    with listener(rig, port, **options) as first:
        batches = first.batches(most=10, wait=0.1)
        while not any(isinstance(finding, Status) for finding in next(batches)):
            pass  # with the retained status, the subscription to plates stands as well
        send(rig, camera, range(5), boot=2)
        got = _until(batches, 5)
        assert got == list(range(5))
        first.done()
    send(rig, camera, range(5, 9), boot=2)
    with listener(rig, port, **options) as second:
        assert _until(second.batches(most=10, wait=0.1), 4) == [5, 6, 7, 8]
        # not told that these are dealt with
    with listener(rig, port, **options) as third:
        assert _until(third.batches(most=10, wait=0.1), 4) == [5, 6, 7, 8]
        third.done()


def _until(batches: Iterator[list[object]], count: int) -> list[int]:
    got: list[int] = []
    for batch in batches:
        got += [finding.report.seq for finding in batch if isinstance(finding, Opened)]
        if len(got) >= count:
            return got
    return got


def test_asyncio_gets_the_same_and_can_be_cancelled(rig: Rig, port: int, camera: Client) -> None:
    async def receive(made: Listener, count: int) -> list[int]:
        got: list[int] = []
        async for batch in aio.batches(made, wait=0.1):
            got += [finding.report.seq for finding in batch if isinstance(finding, Opened)]
            if not got:
                await asyncio.to_thread(send, rig, camera, range(1), 3)
            if len(got) >= count:
                break
        return got

    async def give_up(made: Listener) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await receive(made, 1_000)

    with listener(rig, port) as made:
        assert asyncio.run(receive(made, 1)) == [0]
    with listener(rig, port) as made:
        asyncio.run(give_up(made))


@pytest.fixture
def management_system(rig: Rig, port: int) -> Iterator[int]:  # port: skipped where there is no Mosquitto
    """Another broker, where the subscriber may publish: a camera's certificate is used, and its own subtree."""
    made = Mosquitto(replace(rig.broker_settings, folder=rig.folder / "system"))
    made.start()
    yield made.port
    made.stop()


def test_onvif_events_reach_the_management_system(
    rig: Rig, management_system: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = rig.folder / "onvif.toml"
    settings.write_text(
        f'host = "localhost"\nport = {management_system}\nca = "ca.pem"\ncertificate = "cam-2.pem"\nkey = "cam-2.key"\n'
    )
    # the access rules of this broker are the cameras', so the events go where cam-2 may write
    monkeypatch.setattr("edge.listen.sinks.onvif._TOPIC", "vidik/v1/cam-2/plate")
    sink = open_sink(f"onvif:{settings}")
    with Client(rig, management_system, "subscriber", "vidik/v1/#") as system:
        system.connected()

        def heard() -> bool:
            sink.write([plate(0)])
            return bool(system.messages)

        wait_for(heard)  # the subscription stands
        sink.write([plate(9)])
        wait_for(lambda: b"cam-1/1/9" in system.messages[-1][1])  # all before it has come
        system.messages.clear()
        sink.write([plate(1), Rejected("cam-1", "plate", "forged")])
        sink.write([face(2)])
        sink.write([])
        wait_for(lambda: len(system.messages) == 2)
        first, second = (json.loads(payload) for _, payload in system.messages)
    sink.close()
    assert first == {
        "UtcTime": "2026-11-18T12:06:40.125Z",
        "Source": {"VideoSource": "cam-1", "Rule": 'a"\\b\t'},
        "Key": {"ObjectId": "1"},
        "Data": {"PlateNumber": "NŠ001ĆĐ", "Likelihood": 0.987, "CountryCode": "RS", "ReportId": "cam-1/1/1"},
    }
    assert second["Data"] == {"Entry": "p-1", "Likelihood": 0.953, "ReportId": "cam-1/1/2"}


def test_onvif_events_that_are_not_taken_have_to_come_again(
    rig: Rig, management_system: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = rig.folder / "onvif.toml"
    settings.write_text(
        f'host = "localhost"\nport = {management_system}\nca = "ca.pem"\ncertificate = "cam-2.pem"\nkey = "cam-2.key"\n'
    )
    sink = open_sink(f"onvif:{settings}")
    with pytest.raises(SinkError, match="come again"):
        sink.write([plate(1)])  # its own topic, which this broker's rules forbid
    sink.close()
    monkeypatch.setattr("edge.listen.sinks.onvif._SECONDS", 0.1)
    settings.write_text(settings.read_text().replace(str(management_system), "1"))
    unreachable = open_sink(f"onvif:{settings}")
    with pytest.raises(SinkError, match="not to be had"):
        unreachable.write([plate(1)])
    unreachable.close()
