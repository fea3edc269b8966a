"""CBOR (RFC 8949) from strangers: checked item by item before a library that builds objects sees it.

Accepted is what our own formats need: definite lengths, shortest heads, keys that are integers or text and
occur once, finite floats, ``false``, ``true`` and ``null``. Tags are refused except one that the caller names,
since a tag may make a decoder compile patterns, build huge numbers or follow references. So are deep nesting,
more items than the caller expects, and bytes after the end: time and memory stay in proportion to the input.
"""

from __future__ import annotations

from typing import Any

import cbor2

from edge.errors import VidikError

DEEPEST = 8  # levels of arrays and maps
_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_FALSE, _TRUE, _NULL = 20, 21, 22
_EXPONENT = {25: 0x7C00, 26: 0x7F80_0000, 27: 0x7FF0_0000_0000_0000}  # all ones in infinities and NaNs
_SMALLEST = {24: 24, 25: 1 << 8, 26: 1 << 16, 27: 1 << 32}  # what a head of this length is needed for


class CborError(VidikError):
    """Bytes that are not CBOR of the kind we read."""


def loads(content: bytes, *, tag: int | None = None, items: int = 256) -> Any:
    """The value in ``content``, of at most ``items`` items; with ``tag``, the value that this tag holds.

    Raises ``CborError``.
    """
    _check(content, tag, items)
    try:
        value = cbor2.loads(content)
    except Exception as error:  # text that is not UTF-8, for one
        raise CborError(f"not CBOR ({type(error).__name__})") from error
    return value if tag is None else value.value


class _Level:
    """An array or map that is being read: how many items are still to come, and the keys so far if it is a map."""

    __slots__ = ("keys", "left")

    def __init__(self, major: int, length: int) -> None:
        self.left = 2 * length if major == _MAP else length
        self.keys: set[bytes] | None = set() if major == _MAP else None

    def note(self, major: int, item: bytes) -> None:
        """Takes note of ``item``, which is a key when an odd number of items follows it in a map."""
        if self.keys is None or self.left % 2 == 0:
            return
        if major not in (_UNSIGNED, _NEGATIVE, _TEXT) or item in self.keys:
            raise CborError("a key that is no integer or text, or occurs twice")
        self.keys.add(item)


def _check(content: bytes, tag: int | None, items: int) -> None:
    at = 0
    if tag is not None:
        major, value, at = _head(content, 0)
        if (major, value) != (_TAG, tag):
            raise CborError("another kind of message")
    levels = [_Level(_ARRAY, 1)]
    while levels:
        level = levels[-1]
        if not level.left:
            levels.pop()
            continue
        level.left -= 1
        items -= 1
        begin = at
        major, value, at = _head(content, at)
        if major in (_BYTES, _TEXT):
            at += value
        elif major in (_ARRAY, _MAP):
            levels.append(_Level(major, value))
        if major == _TAG or items < 0 or len(levels) > DEEPEST + 1 or at > len(content):
            raise CborError("a tag, too many items, too deep, or cut short")
        level.note(major, content[begin:at])
    if at != len(content):
        raise CborError("bytes after the end")


def _head(content: bytes, at: int) -> tuple[int, int, int]:
    """Major type, argument, and where what follows begins."""
    if at >= len(content):
        raise CborError("cut short")
    major, info = content[at] >> 5, content[at] & 31
    at += 1
    if info < 24:
        value = info
    elif info < 28:
        end = at + (1 << (info - 24))
        if end > len(content):
            raise CborError("cut short")
        value, at = int.from_bytes(content[at:end], "big"), end
    else:
        raise CborError("an indefinite length")
    if major == _SIMPLE:
        _check_simple(info, value)
    elif info >= 24 and value < _SMALLEST[info]:
        raise CborError("a number in a longer form than it needs")
    return major, value, at


def _check_simple(info: int, value: int) -> None:
    mask = _EXPONENT.get(info)
    if mask is None and value not in (_FALSE, _TRUE, _NULL):
        raise CborError("a simple value without a meaning here")
    if mask is not None and value & mask == mask:
        raise CborError("a number that is not finite")
