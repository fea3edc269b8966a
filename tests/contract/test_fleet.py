"""The simulated fleet, small: every report arrives although the broker goes away, in order or by SIGKILL."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from provisioning.broker import mosquitto
from provisioning.fleet import packets, report
from provisioning.fleet.run import FleetError, Plan, run


@pytest.mark.parametrize("crash", [False, True])
def test_a_small_fleet_loses_nothing(tmp_path: Path, crash: bool) -> None:
    if mosquitto() is None:
        warnings.warn("Mosquitto is not installed: the fleet was not tested", stacklevel=1)
        pytest.skip("needs Mosquitto")
    phases = []
    result = run(Plan(8, 40.0, 100.0, 2.0, 1.0, crash), lambda phase, *_: phases.append(phase))
    assert (result.lost, result.connects) == (0, 16)
    assert result.made > 100
    assert list(dict.fromkeys(phases))[:4] == ["certificates", "connecting", "steady load", "no broker"]
    figures = report.figures(result)
    assert figures["made"] == result.made
    assert figures["most reports waiting"] > 0
    report.plot(result, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")


def test_a_fleet_too_large_for_the_machine_says_so() -> None:
    if mosquitto() is None:
        pytest.skip("needs Mosquitto")
    with pytest.raises(FleetError, match="ulimit -n"):
        run(Plan(1 << 40), lambda *_: None)


def test_packets_are_split_wherever_they_are_cut() -> None:
    payload = bytes(300)
    whole = packets.publish("vidik/v1/x/plate", 7, payload, expires=60, content_type="application/cose", retain=False)
    buffer, found = bytearray(), []
    for byte in whole + packets.acknowledge(b"\x01\x02") + whole:
        buffer.append(byte)
        found += list(packets.split(buffer))
    assert [kind for kind, _ in found] == [packets.PUBLISH, packets.PUBACK, packets.PUBLISH]
    assert packets.publication(found[0][1]) == (b"\x00\x07", payload)
    assert packets.acknowledged(found[1][1]) == (0x102, 0)
    assert buffer == b""


def test_the_window_is_read_from_the_connack() -> None:
    assert packets.accepted(bytes([0, 0, 0])) == 65_535
    assert packets.accepted(bytes([0, 0x87, 0])) == 0
    assert packets.accepted(bytes([0, 0, 6, 0x22, 0, 10, 0x21, 0, 20])) == 20
