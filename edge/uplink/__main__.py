"""``python -m edge.uplink --config camera.toml``: the uplink process."""

from __future__ import annotations

import argparse
import logging
import signal
import ssl
import sys
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType

from edge import config
from edge.address import Address
from edge.errors import VidikError
from edge.handover import Receiver
from edge.secrecy import dump_no_core
from edge.uplink.confirmations import Confirmations
from edge.uplink.deliver import Deliver
from edge.uplink.documents import Documents
from edge.uplink.downlink import Downlink, Inlet
from edge.uplink.notices import Notices
from edge.uplink.pace import Pace
from edge.uplink.publisher import Publisher
from edge.uplink.renewal import Renewal
from edge.uplink.signals import Signals
from edge.uplink.spool import Spool

_FAREWELL_SECONDS = 1.0
_LOOK_SECONDS = 5.0  # renewed certificates and new notices are looked for this often
_log = logging.getLogger("vidik.uplink")


class MissingFileError(VidikError):
    """A file that the configuration names cannot be read."""


def main(arguments: list[str] | None = None) -> int:
    """Runs until SIGTERM or SIGINT. Returns 0, or 2 after an error that a person has to mend."""
    parser = argparse.ArgumentParser(prog="edge.uplink", description="Delivers sealed reports to the broker.")
    parser.add_argument("--config", type=Path, required=True, help="the camera's configuration, with a table [uplink]")
    path: Path = parser.parse_args(arguments).config
    dump_no_core()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s uplink %(message)s")
    try:
        run(config.load(path, config.Uplink))
    except VidikError as error:
        print(f"The uplink cannot run. {error}", file=sys.stderr)
        return 2
    return 0


def run(settings: config.Uplink) -> None:
    """The process, from its settings. Raises ``VidikError`` when something it needs is missing or unusable."""
    certificate = _read(settings.signing_certificate)
    spool = Spool(settings.spool, settings.spool_bytes)
    inbox = Receiver(settings.inbox)
    addresses = [
        Address(host, port, settings.ca, settings.certificate, settings.key)
        for host, port in [(settings.host, settings.port), *((each.host, each.port) for each in settings.fallback)]
    ]
    inlets: list[Inlet] = []
    if settings.incoming is not None:
        inlets += [Documents(settings.incoming), Confirmations(settings.incoming / config.CONFIRMATIONS)]
    inlets += [] if settings.signals is None else [Signals(settings.signals)]
    publisher = Downlink(
        settings.camera, _version(), addresses, certificate, inbox.wake, keepalive=settings.keepalive, inlets=inlets
    )
    pace = Pace(
        settle=settings.settle_seconds, answer=settings.answer_seconds, drain=settings.drain_rate,
        commit=settings.commit_seconds, keep_unheard=settings.wait_for_subscribers,
    )  # fmt: skip
    notices = None if settings.notices is None else Notices(settings.notices)
    deliver = Deliver(inbox, spool, publisher, pace, notices=notices)
    look = _Look(settings, publisher)
    stopping = False

    def stop(_: int, __: FrameType | None) -> None:
        nonlocal stopping
        stopping = True
        inbox.wake()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    try:
        publisher.start()
        _log.info("started camera=%s broker=%s:%d spool=%d", settings.camera, settings.host, settings.port, len(spool))
        while not stopping:
            deliver.step()
            look()
            publisher.attend()
        publisher.close(_FAREWELL_SECONDS)
        deliver.finish()
        _log.info("stopped spool=%d", len(spool))
    finally:
        inbox.close()
        spool.close()


class _Look:
    """Has an eye on keys and certificates; once renewed and usable, they are used for a new connection."""

    def __init__(self, settings: config.Uplink, publisher: Publisher) -> None:
        self._signing, self._publisher = settings.signing_certificate, publisher
        self._address = Address(settings.host, settings.port, settings.ca, settings.certificate, settings.key)
        self._files = Renewal([settings.ca, settings.certificate, settings.key, settings.signing_certificate])
        self._pending = False
        self._next = 0.0

    def __call__(self) -> None:
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _LOOK_SECONDS
        self._pending |= self._files.happened()
        if not self._pending:
            return
        try:
            self._address.tls()
            self._publisher.certify(_read(self._signing))
        except VidikError as error:  # half of them are new: a moment later all of them are
            _log.warning("renewal-incomplete error=%s", error)
            return
        self._pending = False
        self._publisher.abandon("certificates were renewed", useless=False)


def _read(path: Path) -> bytes:
    """The DER bytes of the PEM certificate in ``path``."""
    try:
        return ssl.PEM_cert_to_DER_cert(path.read_text(encoding="ascii"))
    except (OSError, ValueError) as error:
        raise MissingFileError(
            f"The signing certificate {path} cannot be read: {error}. Provision the camera, or mend the configuration."
        ) from error


def _version() -> str:
    try:
        return version("vidik")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"


if __name__ == "__main__":
    sys.exit(main())
