"""Which broker is tried next, in which version, after which pause."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge import mqtt_brokers
from edge.address import Address
from edge.mqtt_brokers import Attempt, Brokers

STEADY = 100.0


def brokers(count=1, longest=60.0):
    return Brokers([Address(f"b{number}", 8883, *[Path("x")] * 3) for number in range(count)], longest)


def tried(made, *attempts):
    """The hosts that are tried, one after the other, if these attempts follow each other."""
    hosts = [made.current.address.host]
    for attempt, seconds in attempts:
        made.after(attempt, seconds)
        hosts.append(made.current.address.host)
    return hosts


UNREACHABLE = Attempt(1), 1.0
WORKED = Attempt(1, connected=True, answered=True), STEADY
HUNG_UP = Attempt(1, connected=True, answered=True), 1.0
USELESS = Attempt(1, connected=True, answered=True, over=True, useless=True), STEADY
RENEWED = Attempt(1, connected=True, answered=True, over=True), STEADY


def test_the_next_broker_takes_over_and_the_first_is_preferred_again():
    assert tried(brokers(3), UNREACHABLE, UNREACHABLE, WORKED) == ["b0", "b1", "b2", "b0"]
    assert tried(brokers(2), UNREACHABLE, UNREACHABLE, UNREACHABLE) == ["b0", "b1", "b0", "b1"]


def test_a_broker_that_hangs_up_or_takes_nothing_is_left_for_the_next():
    assert tried(brokers(2), HUNG_UP) == ["b0", "b1"]
    assert tried(brokers(2), USELESS) == ["b0", "b1"]
    assert tried(brokers(2), RENEWED) == ["b0", "b0"]


def test_there_is_no_pause_before_the_next_broker_and_one_after_the_last(monkeypatch):
    monkeypatch.setattr(mqtt_brokers.random, "uniform", lambda low, high: high)
    made = brokers(3)
    assert [made.after(*UNREACHABLE) for _ in range(9)] == [0, 0, 0.5, 0, 0, 1, 0, 0, 2]


def test_pauses_double_up_to_the_longest_and_start_again_after_success(monkeypatch):
    monkeypatch.setattr(mqtt_brokers.random, "uniform", lambda low, high: high)
    made = brokers(longest=5)
    assert [made.after(*UNREACHABLE) for _ in range(6)] == [0.5, 1, 2, 4, 5, 5]
    assert [made.after(*HUNG_UP), made.after(*WORKED), made.after(*UNREACHABLE)] == [5, 0.5, 1]


def test_pauses_have_full_jitter():
    made = brokers(longest=8)
    for _ in range(10):
        made.after(*UNREACHABLE)
    pauses = [made.after(*UNREACHABLE) for _ in range(2000)]
    assert min(pauses) < 0.1
    assert max(pauses) > 7.9
    assert sum(pauses) / len(pauses) == pytest.approx(4, abs=0.4)


def test_the_version_is_each_brokers_own():
    made = brokers(2)
    refused = Attempt(1, connected=True, answered=True, wrong_version=True)
    assert made.after(refused, 0.1) == 0.0
    assert made.current.address.host == "b0"
    assert [broker.version for broker in made.all] == [4, 5]
