"""``python -m edge.uplink --config camera.toml``: the uplink process."""

from __future__ import annotations

import argparse
import logging
import signal
import ssl
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType

from edge import config
from edge.address import Address
from edge.errors import VidikError
from edge.handover import Receiver
from edge.uplink.deliver import Deliver
from edge.uplink.exchange import Exchange
from edge.uplink.spool import Spool

_FAREWELL_SECONDS = 1.0
_log = logging.getLogger("vidik.uplink")


class MissingFileError(VidikError):
    """A file that the configuration names cannot be read."""


def main(arguments: list[str] | None = None) -> int:
    """Runs until SIGTERM or SIGINT. Returns 0, or 2 after an error that a person has to mend."""
    parser = argparse.ArgumentParser(prog="edge.uplink", description="Delivers sealed reports to the broker.")
    parser.add_argument("--config", type=Path, required=True, help="the camera's configuration, with a table [uplink]")
    path: Path = parser.parse_args(arguments).config
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
    address = Address(settings.host, settings.port, settings.ca, settings.certificate, settings.key)
    publisher = Exchange(
        settings.camera, _version(), address, certificate, changed=inbox.wake,
        notices=settings.notices, incoming=settings.incoming,
    )  # fmt: skip
    deliver = Deliver(inbox, spool, publisher)
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
            publisher.attend()
        publisher.close(_FAREWELL_SECONDS)
        deliver.finish()
        _log.info("stopped spool=%d", len(spool))
    finally:
        inbox.close()
        spool.close()


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
