"""The office as a source of updates: what it offers this camera, the bundle, and what it is told in return."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import msgspec

from edge import config
from edge.address import Address
from edge.enrol import client, identity
from edge.enrol.client import HttpService
from edge.errors import VidikError
from edge.update.image import Image
from edge.update.policy import Offer
from edge.update.state import Outcome

PATH = "/vidik/v1/update"


class Source(Protocol):
    """An office, as the camera sees it. Methods raise ``EnrolError``, or ``TryLater``."""

    def offer(self, image: Image) -> Offer | None:
        """What a camera with ``image`` should install, if anything."""

    def download(self, digest: str, begin: int) -> Iterator[bytes]:
        """The bundle with the given digest, from its byte ``begin`` on, in pieces."""

    def report(self, outcome: Outcome) -> None:
        """Tells what became of an offer."""

    def close(self) -> None: ...


class _Answer(msgspec.Struct, frozen=True):
    offer: Offer | None


class HttpSource:
    """The office behind its enrolment service."""

    def __init__(self, service: HttpService) -> None:
        self._service = service

    def offer(self, image: Image) -> Offer | None:
        content = self._service.ask(
            "GET", f"{PATH}?board={image.board}&version={image.version}&channel={image.channel}"
        )
        try:
            return msgspec.json.decode(content, type=_Answer).offer
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise VidikError(
                f"The office's offer of an update is of another form: {error}. Tell the office."
            ) from error

    def download(self, digest: str, begin: int) -> Iterator[bytes]:
        return self._service.stream(f"{PATH}/bundle/{digest}", begin)

    def report(self, outcome: Outcome) -> None:
        self._service.ask("POST", PATH, msgspec.json.encode(outcome))

    def close(self) -> None:
        self._service.close()


def connect(configuration: Path) -> Source:
    """The office of the camera whose configuration is given, over mutual TLS with its connection certificate.

    Raises ``VidikError``.
    """
    uplink = config.load(configuration, config.Uplink)
    held = identity.in_force(configuration.parent / identity.IDENTITY)
    try:
        if held is None:
            raise FileNotFoundError(configuration.parent / identity.IDENTITY / identity.CURRENT)
        where = json.loads((held / identity.DEPLOYMENT).read_bytes())["enrol"]
        address = Address(where["host"], where["port"], uplink.ca, uplink.certificate, uplink.key)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VidikError(f"Where the office is cannot be read: {error}. Enrol the camera first.") from error
    return HttpSource(client.by_certificate(address))
