"""``python scripts/draw_fleet.py``: draws ``docs/fleet-view.svg``, ``vidik provision fleet`` with a made-up fleet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from provisioning.overview import board, judge
from provisioning.overview.board import View
from provisioning.overview.judge import Line, Order, Permit, State

PATH = Path(__file__).parent.parent / "docs" / "fleet-view.svg"
WIDTH = 150


def picture() -> str:
    """The picture."""
    now = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
    plates = Permit(function="plates", id="plates-7", until=now + timedelta(days=12))
    faces = Permit(function="faces", id="faces-3", until=now + timedelta(hours=31))
    usual = {
        "online": True, "since": "2026-05-28T06:12:00Z", "version": "0.1.0", "fps": 14.9, "permits": (plates,),
        "certificate_days": 241, "update": "good 0.1.0 A",
    }  # fmt: skip
    lines = [
        Line(camera="cam-0001", state=State.WELL, label="Bridge, north", place="44.81 20.46", **usual),
        Line(camera="cam-0002", state=State.WELL, label="Bridge, south", place="44.80 20.46",
             **usual | {"permits": (plates, faces), "fps": 15.0}),
        Line(camera="cam-0003", state=State.DEGRADED, label="Station", place="44.81 20.45", waiting=1240,
             causes=("the camera runs hot: tiles are left out",), **usual | {"fps": 11.2}),
        Line(camera="cam-0004", state=State.DEGRADED, label="Harbour", place="44.82 20.45",
             causes=("update failed: no boot",), **usual | {"update": "failed 0.2.0 B", "permits": ()}),
        Line(camera="cam-0005", state=State.FAILING, label="Tunnel", place="44.79 20.47", lost=3,
             causes=("no picture for 40 s: the camera was opened 6 times",), **usual | {"fps": 0.0}),
        Line(camera="cam-0006", state=State.OFFLINE, label="Ring road", place="44.78 20.51",
             **usual | {"online": False, "fps": None, "since": "2026-06-01T09:40:00Z"}),
        Line(camera="cam-0007", state=State.UNHEARD, label="Depot", place="44.77 20.44", certificate_days=360),
        Line(camera="cam-0008", state=State.NEW, label="School", place="44.80 20.48"),
    ]  # fmt: skip
    shown = judge.ordered(lines, Order.STATE)
    made = board.table(View(lines, shown, now), "Belgrade · MQTT 5", WIDTH, len(lines))
    return board.picture(made, WIDTH, "vidik provision fleet")


if __name__ == "__main__":
    PATH.write_text(picture(), encoding="utf-8")
