"""``python -m edge.uplink --config camera.toml``: the uplink process."""

from __future__ import annotations

import argparse
import logging
import signal
import ssl
import sys
import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType

from edge import config, systemd
from edge.address import Address
from edge.errors import VidikError
from edge.handover import Receiver
from edge.renewal import Renewal
from edge.secrecy import dump_no_core
from edge.uplink.confirmations import Confirmations
from edge.uplink.deliver import Deliver
from edge.uplink.documents import Documents
from edge.uplink.downlink import Downlink, Inlet
from edge.uplink.expiry import ends
from edge.uplink.figures import Figures
from edge.uplink.notices import Notices
from edge.uplink.pace import Pace
from edge.uplink.publisher import Publisher
from edge.uplink.signals import Signals
from edge.uplink.spool import Spool
from edge.uplink.statement import Statement

_FAREWELL_SECONDS = 1.0
_LOOK_SECONDS = 5.0  # renewed certificates are looked for this often
_PULSE_SECONDS = 1.0  # the service manager hears this often that the loop works
_PEM_END = "-----END CERTIFICATE-----"
_log = logging.getLogger("vidik.uplink")


class MissingFileError(VidikError):
    """A file that the configuration names cannot be read."""


def main(arguments: list[str] | None = None) -> int:
    """Runs until SIGTERM or SIGINT. Returns 0, or 2 after an error that a person has to mend."""
    parser = argparse.ArgumentParser(prog="edge.uplink", description="Delivers sealed reports to the broker.")
    parser.add_argument("--config", type=Path, required=True, help="the camera's configuration, with a table [uplink]")
    path: Path = parser.parse_args(arguments).config
    dump_no_core()
    systemd.log_to_journal("vidik-uplink")
    try:
        run(config.load(path, config.Uplink))
    except VidikError as error:
        print(f"The uplink cannot run. {error}", file=sys.stderr)
        systemd.notify(f"STATUS={error}")
        return 2
    return 0


def run(settings: config.Uplink) -> None:
    """The process, from its settings. Raises ``VidikError`` when something it needs is missing or unusable."""
    certificate = _read(settings.signing_certificate)
    spool = Spool(settings.spool, settings.spool_bytes)
    inbox = Receiver(settings.inbox, systemd.passed_socket())
    addresses = [
        Address(host, port, settings.ca, settings.certificate, settings.key)
        for host, port in [(settings.host, settings.port), *((each.host, each.port) for each in settings.fallback)]
    ]
    inlets: list[Inlet] = []
    if settings.incoming is not None:
        inlets += [Documents(settings.incoming), Confirmations(settings.incoming.with_name(config.CONFIRMATIONS))]
    inlets += [] if settings.signals is None else [Signals(settings.signals)]
    publisher = Downlink(
        settings.camera, _version(), addresses, certificate, inbox.wake, keepalive=settings.keepalive, inlets=inlets
    )
    pace = Pace(
        settle=settings.settle_seconds, answer=settings.answer_seconds, drain=settings.drain_rate,
        commit=settings.commit_seconds, keep_unheard=settings.wait_for_subscribers,
    )  # fmt: skip
    notices = None if settings.notices is None else Notices(settings.notices)
    look = _Look(settings, publisher)
    deliver = Deliver(inbox, spool, publisher, pace, notices=notices, days=look.days)
    pulse = _Pulse(deliver, Statement(settings.stated))
    stopping = False

    def stop(_: int, __: FrameType | None) -> None:
        nonlocal stopping
        stopping = True
        inbox.wake()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    metrics = _metrics(settings, pulse, look)
    try:
        publisher.start()
        _log.info("started camera=%s broker=%s:%d spool=%d", settings.camera, settings.host, settings.port, len(spool))
        while not stopping:
            deliver.step()
            look()
            publisher.attend()
            pulse()
        systemd.notify("STOPPING=1")
        publisher.close(_FAREWELL_SECONDS)
        deliver.finish()
        _log.info("stopped spool=%d", len(spool))
    finally:
        inbox.close()
        spool.close()
        metrics()


def _metrics(settings: config.Uplink, pulse: _Pulse, look: _Look) -> Callable[[], None]:
    """Serves the metrics, if the configuration wants them; returns what ends that."""
    if settings.metrics_port is None:
        return lambda: None
    from edge.uplink.metrics import Endpoint, Figuring  # noqa: PLC0415 - who does not want it does not carry it

    figuring = Figuring(lambda: pulse.figures, look.days, settings.notices)
    return Endpoint(settings.metrics_port, figuring).close


class _Pulse:
    """Tells the service manager that the loop works, and how things stand. ``figures`` are those of the last second."""

    def __init__(self, deliver: Deliver, statement: Statement) -> None:
        self.figures = Figures()
        self._deliver, self._statement = deliver, statement
        self._next = 0.0
        self._said = ""

    def __call__(self) -> None:
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _PULSE_SECONDS
        self.figures = self._deliver.figures()
        self._statement.take(self.figures)
        lines = ["WATCHDOG=1"] if self._said else ["READY=1", "WATCHDOG=1"]
        if self.figures.words != self._said:
            self._said = self.figures.words
            lines.append(f"STATUS={self._said}")
        systemd.notify(*lines)


class _Look:
    """Has an eye on keys and certificates; once renewed and usable, they are used for a new connection."""

    def __init__(self, settings: config.Uplink, publisher: Publisher) -> None:
        self._signing, self._publisher = settings.signing_certificate, publisher
        self._address = Address(settings.host, settings.port, settings.ca, settings.certificate, settings.key)
        self._files = Renewal([settings.ca, settings.certificate, settings.key, settings.signing_certificate])
        self._certificates = [settings.certificate, settings.signing_certificate]
        self._ends = self._end()
        self._pending = False
        self._next = 0.0

    def days(self) -> int | None:
        """How many days the certificates of this camera still hold; None where they cannot be read."""
        return None if self._ends is None else int((self._ends - time.time()) // 86400)

    def _end(self) -> float | None:
        try:
            return min(ends(_der(path)) for path in self._certificates)
        except (OSError, ValueError):
            return None

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
        self._ends = self._end()
        self._publisher.abandon("certificates were renewed", useless=False)


def _read(path: Path) -> bytes:
    """The DER bytes of the PEM certificate in ``path``."""
    try:
        return _der(path)
    except (OSError, ValueError) as error:
        raise MissingFileError(
            f"The signing certificate {path} cannot be read: {error}. Provision the camera, or mend the configuration."
        ) from error


def _der(path: Path) -> bytes:
    """The first certificate in the PEM file ``path``, as DER."""
    first, end, _ = path.read_text(encoding="ascii").partition(_PEM_END)
    return ssl.PEM_cert_to_DER_cert(first + end)


def _version() -> str:
    try:
        return version("vidik")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "unknown"


if __name__ == "__main__":
    sys.exit(main())
