"""The brokers that tests run against, and what a subscriber may listen to on each of them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from provisioning.access import ROOT, SUBSCRIBER
from provisioning.broker import Broker, Embedded, Mosquitto, Settings, mosquitto
from provisioning.nats import NatsCluster, nats_server
from provisioning.rabbitmq import RabbitMq, rabbitmq

Kind = tuple[Callable[[Settings], Broker], Callable[[], str | None]]
SMALL: dict[str, Kind] = {"embedded": (Embedded, lambda: "always"), "mosquitto": (Mosquitto, mosquitto)}
SERVERS: dict[str, Kind] = {"nats": (NatsCluster, nats_server), "rabbitmq": (RabbitMq, rabbitmq)}
ALL = SMALL | (SERVERS if os.environ.get("VIDIK_TEST_BROKERS") else {})  # those that take minutes: make test-brokers
EVERYTHING = [f"{ROOT}/+/{channel}" for channel in SUBSCRIBER.reads]


@contextmanager
def running(name: str, settings: Settings) -> Iterator[Broker]:
    """The broker ``name``; skips the test, loudly, where it is not installed."""
    make, installed = (SMALL | SERVERS)[name]
    if installed() is None:
        warnings.warn(f"{name} is not installed: nothing was tested with it", stacklevel=3)
        pytest.skip(f"needs {name}")
    made = make(settings)
    made.start()
    try:
        yield made
    finally:
        made.stop()
