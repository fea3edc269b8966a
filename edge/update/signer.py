"""Which of the two CAs for updates a bundle's signer belongs to. Pure functions.

The CAs are told apart by the organisational unit of their subjects, as ``vidik provision update-key`` makes them.
That is a name, and proves nothing by itself: a CA counts because it is in the image's keyring, and RAUC verifies that
the signature leads there.
"""

from __future__ import annotations

from collections.abc import Iterable

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.x509.oid import NameOID

from edge.update.bundle import BundleError
from edge.update.image import Channel

RELEASE, DEVELOPMENT = "Vidik release updates", "Vidik development updates"  # organisational units of the CAs
_CHANNELS: dict[str, Channel] = {RELEASE: "release", DEVELOPMENT: "development"}


def check(signer: x509.Certificate, keyring: Iterable[x509.Certificate], channel: Channel) -> None:
    """Raises ``BundleError`` unless the image of ``channel`` takes what ``signer`` signed. ``keyring``: its CAs.

    A development image takes what any CA of its keyring signed, a release image what the release CA signed.
    """
    above = next((ca for ca in keyring if is_issued_by(signer, ca)), None)
    by = channel_of(signer.issuer if above is None else above.subject)
    if by == "development" and channel == "release":
        raise BundleError("it is signed by the development CA, and this is a release image")
    if above is None:
        raise BundleError(f"it is signed by a CA that this image does not know ({_words(signer.issuer)})")
    if by is None and channel == "release":
        raise BundleError(f"it is signed by a CA that is none for updates ({_words(above.subject)})")


def channel_of(name: x509.Name) -> Channel | None:
    """What a CA with the given subject signs for; None for any other CA."""
    units = [str(unit.value) for unit in name.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)]
    return _CHANNELS.get(units[0]) if len(units) == 1 else None


def _words(name: x509.Name) -> str:
    return "".join(character if character.isprintable() else "?" for character in name.rfc4514_string())[:100]


def is_issued_by(below: x509.Certificate, above: x509.Certificate) -> bool:
    """Whether ``above`` is the CA right over ``below``."""
    try:
        below.verify_directly_issued_by(above)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
