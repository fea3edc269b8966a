"""ONVIF Profile M events over MQTT, for video management systems that know those already.

Plates become ``RuleEngine/Recognition/LicensePlate`` and faces that matched an entry ``RuleEngine/Recognition/Face``,
in the JSON form of the ONVIF core specification (chapter on MQTT): topic ``{prefix}/{camera}/onvif-ej/{event}``. What
is published here is readable, so it goes to the management system's own broker, never to the cameras' one. Delivery
is at least once; ``ReportId`` tells repetitions apart.
"""

from __future__ import annotations

import threading
import tomllib
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from edge.address import Address
from edge.listen.client import Connection
from edge.listen.opener import Finding, Opened
from edge.listen.sinks.base import SinkError
from edge.mqtt import Handler, Link, Message
from edge.records import PlateReport, Report

_SECONDS = 30.0  # for the broker to take a batch
_REFUSED = 0x80
_TOPIC = "{prefix}/{camera}/onvif-ej/{event}"


class Target(msgspec.Struct, forbid_unknown_fields=True):
    """The management system's broker: the settings file. Paths are relative to it."""

    host: str
    port: int
    ca: str
    certificate: str
    key: str
    prefix: str = "vidik"


class Onvif(Handler):
    """Publishes to the broker that the TOML file at ``path`` describes. Raises ``SinkError``."""

    def __init__(self, path: Path) -> None:
        try:
            target = msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), Target)
        except (OSError, tomllib.TOMLDecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
            raise SinkError(
                f"The settings {path} cannot be used: {error}. Give host, port, ca, certificate and key."
            ) from error
        here = path.parent
        address = Address(target.host, target.port, here / target.ca, here / target.certificate, here / target.key)
        self._prefix = target.prefix
        self._changed = threading.Condition()
        self._up = False
        self._answers: dict[int, int] = {}
        self._link = Link(address, f"{target.prefix}-onvif", self, longest_pause=5.0)
        self._link.start()

    def write(self, findings: Sequence[Finding | Connection]) -> None:
        events = [event for finding in findings if isinstance(finding, Opened) for event in _events(finding.report)]
        if not events:
            return
        with self._changed:
            if not self._changed.wait_for(lambda: self._up, _SECONDS):
                raise SinkError("The management system's broker is not to be had. Check its address and certificates.")
            self._answers.clear()
        sent = [self._link.publish(self._message(*event)) for event in events]
        with self._changed:
            taken = self._changed.wait_for(lambda: not self._up or all(n in self._answers for n in sent), _SECONDS)
            if not taken or any(self._answers.get(number or 0, _REFUSED) >= _REFUSED for number in sent):
                raise SinkError("The management system's broker did not take all events. They have to come again.")

    def close(self) -> None:
        self._link.close(1.0)

    def opened(self, _: int, __: int) -> None:
        with self._changed:
            self._up = True
            self._changed.notify_all()

    def closed(self, _: str) -> None:
        with self._changed:
            self._up = False
            self._changed.notify_all()

    def acknowledged(self, number: int, code: int) -> None:
        with self._changed:
            self._answers[number] = code
            self._changed.notify_all()

    def _message(self, camera: str, event: str, content: dict[str, Any]) -> Message:
        topic = _TOPIC.format(prefix=self._prefix, camera=camera, event=event)
        return Message(topic, msgspec.json.encode(content))


def _events(report: Report) -> list[tuple[str, str, dict[str, Any]]]:
    """Camera, topic and content of the event that ``report`` is, if it is one."""
    if isinstance(report, PlateReport):
        name = "LicensePlate"
        data: dict[str, Any] = {"PlateNumber": report.text, "Likelihood": round(report.confidence, 3)}
        if report.country:
            data["CountryCode"] = report.country
    elif report.entry:
        name = "Face"
        data = {"Entry": report.entry, "Likelihood": round(report.similarity, 3)}
    else:
        return []  # an open scope's face is a vector that no management system knows what to do with
    content = {
        "UtcTime": datetime.fromtimestamp(report.time, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "Source": {"VideoSource": report.camera, "Rule": report.trigger.rule if report.trigger else report.grant},
        "Key": {"ObjectId": str(report.track)},
        "Data": data | {"ReportId": f"{report.camera}/{report.boot}/{report.seq}"},
    }
    return [(report.camera, f"RuleEngine/Recognition/{name}", content)]
