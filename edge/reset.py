"""``python -m edge.reset``: makes a camera forget whose it was. Needs no network.

Wiped are identity, grants, spool, state and audit log, and the camera is no longer sealed; the configuration stays
without them useless. First a signed head of the audit log goes to a file that the technician takes along: it proves how
far the log had got, and that its end was a reset. Stop the camera's processes before. A reset that a power cut
interrupts goes on when it is run again.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from edge import config, durable
from edge.audit import Audit
from edge.clock import SystemClock
from edge.config import Vision
from edge.enrol import identity, media
from edge.enrol.identity import CONFIG, IDENTITY, SEALED
from edge.errors import VidikError
from edge.secrecy import dump_no_core
from edge.signing import KeySigner

_BEGUN = "reset.begun"


class ResetError(VidikError):
    """The camera was not reset, or not to the end."""


def reset(folder: Path, head: Path) -> None:
    """Resets the camera in ``folder``; the signed head of its audit log goes to the new file ``head``.

    Raises ``VidikError``; before the head is on the medium, nothing was wiped.
    """
    settings, uplink = config.load(folder / CONFIG, config.Vision), config.load(folder / CONFIG, config.Uplink)
    begun = folder / _BEGUN
    try:
        if not begun.exists():
            if head.exists():
                raise ResetError(f"{head} exists already. Name another file: heads are evidence.")
            durable.write(head, _last_head(settings), mode=0o644)
            durable.write(begun, b"")
        kept_in = (settings.grants, settings.incoming, settings.notices, settings.events, uplink.spool.parent)
        for kept in (*kept_in, settings.state):
            if kept is not None:
                _wipe(kept)
        identity.erase(folder / IDENTITY)
        for name in (media.USED, media.REPLACED, SEALED, CONFIG):
            (folder / name).unlink(missing_ok=True)
        begun.unlink()
    except OSError as error:
        raise ResetError(f"The reset stopped: {error}. Check the data partition, and run it again.") from error


def main(arguments: list[str] | None = None) -> int:
    """Returns 0, or 2 after an error that a person has to mend."""
    parser = argparse.ArgumentParser(prog="python -m edge.reset", description="Makes a camera forget whose it was.")
    parser.add_argument("--folder", type=Path, required=True, help="the camera's folder, with its camera.toml")
    parser.add_argument("--head", type=Path, required=True, help="where the audit log's last signed head goes")
    parser.add_argument("--yes", action="store_true", required=True, help="wipe identity, grants, spool and audit log")
    given = parser.parse_args(arguments)
    dump_no_core()
    try:
        reset(given.folder, given.head)
    except VidikError as error:
        print(error, file=sys.stderr)
        return 2
    print(f"The camera is reset. The audit log's last head: {given.head}")
    return 0


def _last_head(settings: Vision) -> bytes:
    """The head of the audit log, whose last entry says that it ends here."""
    try:
        key = load_pem_private_key(settings.signing_key.read_bytes(), password=None)
        certificate = x509.load_pem_x509_certificate(settings.signing_certificate.read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise ResetError(
            f"The signing key or its certificate cannot be read: {error}. Without them the audit log's end cannot be "
            "signed: export the log itself, then erase the data partition."
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ResetError(f"The key {settings.signing_key} is not one of a camera. Erase the data partition instead.")
    audit = Audit(settings.state / "audit", SystemClock(), settings.camera, KeySigner(key, certificate))
    try:
        audit.append("provisioning", state="reset")
        return audit.head()
    finally:
        audit.close()


def _wipe(folder: Path) -> None:
    """Erases everything in ``folder``; links are removed, not followed."""
    if folder.is_symlink() or not folder.is_dir():
        return
    for entry in folder.iterdir():
        if entry.is_symlink() or not (entry.is_dir() or entry.is_file()):
            entry.unlink()
        elif entry.is_dir():
            _wipe(entry)
            entry.rmdir()
        else:
            durable.erase(entry)


if __name__ == "__main__":
    sys.exit(main())
