"""Kills processes in the middle of a stream of reports. Every report that was handed over must arrive."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge.handover import Sender
from provisioning.broker import Broker
from tests.brokers import SMALL, running
from tests.rig import Collector, Rig, end, wait_for

REPORTS = 250
PAUSE = 0.01  # seconds between reports


@pytest.fixture(params=sorted(SMALL))
def broker(request: pytest.FixtureRequest, rig: Rig) -> Iterator[Broker]:
    with running(request.param, rig.broker_settings) as made:
        yield made


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    made = Rig(tmp_path)
    yield made
    made.close()


class Stream:
    """Vision's part: hands reports over one by one, while other things happen."""

    def __init__(self, rig: Rig) -> None:
        self._items = [rig.item(seq) for seq in range(REPORTS)]
        self.sender = Sender(rig.inbox)
        self.offered = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        for item in self._items:
            self.sender.offer(item)
            self.offered += 1
            time.sleep(PAUSE)

    def wait_until(self, share: float) -> None:
        wait_for(lambda: self.offered >= share * REPORTS)

    def finish(self) -> None:
        """Everything is offered and acknowledged by the uplink."""
        self._thread.join()
        assert self.sender.drain(30) == 0
        assert self.sender.dropped == 0
        self.sender.close()


def assert_all_arrived(collector: Collector) -> None:
    wait_for(lambda: len(collector.numbers) >= REPORTS, 60)
    assert sorted(collector.numbers) == list(range(REPORTS))


def kill(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()


@pytest.mark.slow
def test_killing_the_uplink_loses_nothing(rig: Rig, broker: Broker) -> None:
    config = rig.config(broker.port)
    with rig.listening(broker.port) as collector:
        uplink = rig.uplink(config)
        stream = Stream(rig)
        for share in (0.2, 0.4, 0.6):
            stream.wait_until(share)
            kill(uplink)
            uplink = rig.uplink(config)
        stream.finish()
        assert_all_arrived(collector)
        assert end(uplink) == 0


@pytest.mark.slow
def test_killing_the_broker_loses_nothing(rig: Rig, broker: Broker) -> None:
    with rig.listening(broker.port) as collector:
        uplink = rig.uplink(rig.config(broker.port))
        stream = Stream(rig)
        for share in (0.2, 0.5, 0.8):
            stream.wait_until(share)
            broker.kill()
            time.sleep(0.3)  # reports go on arriving at the uplink meanwhile
            broker.restart()
        stream.finish()
        assert_all_arrived(collector)
        assert end(uplink) == 0


@pytest.mark.slow
def test_killing_both_at_once_loses_nothing(rig: Rig, broker: Broker) -> None:
    config = rig.config(broker.port)
    with rig.listening(broker.port) as collector:
        uplink = rig.uplink(config)
        stream = Stream(rig)
        for share in (0.3, 0.7):
            stream.wait_until(share)
            broker.kill()
            kill(uplink)
            uplink = rig.uplink(config)
            broker.restart()
        stream.finish()
        assert_all_arrived(collector)
        assert end(uplink) == 0


@pytest.mark.slow
def test_reports_wait_for_uplink_broker_and_subscriber_to_start(rig: Rig, broker: Broker) -> None:
    broker.kill()
    stream = Stream(rig)
    stream.wait_until(0.5)
    uplink = rig.uplink(rig.config(broker.port))
    stream.finish()
    broker.restart()
    time.sleep(1)  # connected, and nobody listens
    with rig.listening(broker.port) as collector:
        assert_all_arrived(collector)
    assert end(uplink) == 0
