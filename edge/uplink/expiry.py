"""Until when certificates hold. Reads just that much of X.509 (RFC 5280, 4.1), since the library that reads all of it
would take a quarter of this process's memory."""

from __future__ import annotations

from datetime import UTC, datetime

_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18
_LENGTH_BYTES = 4


def ends(certificate: bytes) -> float:
    """When the DER ``certificate`` ends, in seconds since the epoch, UTC. Raises ``ValueError``."""
    _, outer, _ = _item(certificate)
    _, rest, _ = _item(outer)
    kind, _, after = _item(rest)
    if kind == _VERSION:
        _, _, after = _item(after)  # the serial number
    _, _, after = _item(after)  # the signature's algorithm
    _, _, after = _item(after)  # the issuer
    kind, validity, _ = _item(after)
    if kind != _SEQUENCE:
        raise ValueError("the certificate states no validity")
    _, _, after = _item(validity)
    return _time(*_item(after)[:2])


def _item(data: bytes) -> tuple[int, bytes, bytes]:
    """The kind and content of the first item in ``data``, and what follows it."""
    if len(data) < 2:
        raise ValueError("the certificate ends too early")
    length, at = data[1], 2
    if length & 0x80:
        count = length & 0x7F
        if not 0 < count <= _LENGTH_BYTES:
            raise ValueError("the certificate has an impossible length")
        length, at = int.from_bytes(data[2 : 2 + count], "big"), 2 + count
    if at + length > len(data):
        raise ValueError("the certificate ends too early")
    return data[0], data[at : at + length], data[at + length :]


def _time(kind: int, text: bytes) -> float:
    stated = text.decode("ascii")
    if kind == _UTC_TIME:
        stated = ("19" if stated[:2] >= "50" else "20") + stated
    elif kind != _GENERALIZED_TIME:
        raise ValueError("the certificate's end is no time")
    return datetime.strptime(stated, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()
