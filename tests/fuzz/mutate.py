"""Structure-aware mutation: valid messages with one part of their CBOR replaced, and bytes changed at random."""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import Any

import cbor2

Random = random.Random
_LONG = 1 << 16  # bytes from which a message is left as it is: another round could make gigabytes of it
_TAGS = [0, 2, 4, 24, 28, 29, 35, 55799, 2**40]
_WORDS = re.compile(rb"[\w+/=.:-]+|\W")
_TEXTS = [
    b"0", b"-1", b"1e999", b"9" * 400, b"18446744073709551616", b"null", b"true", b'""', b'"\\ud800"', b"\xff\xfe",
    b"\0", b"[" * 2000, b'{"a":' * 500, b"{}", b"[]", b"\n", b"=", b'"', b"'''", b"[[signer]]",
    b"0001-01-01T00:00:00+23:59", b"9999-12-31T23:59:59Z", b"inf", b"nan", "\u202e".encode(), b"AAAA", b"...",
    b"a.b.c = 1\n", b"0x" + b"f" * 99,
]  # fmt: skip
_VALUES: list[Callable[[Random], Any]] = [
    lambda chance: chance.choice([0, 1, -1, 23, 24, 2**31, 2**63 - 1, 2**63, 2**64 - 1, -(2**63), -(2**64)]),
    lambda chance: chance.choice([0.0, -0.0, 1.5, 1e308, 5e-324, float("nan"), float("inf"), -float("inf")]),
    lambda chance: chance.choice([None, True, False, cbor2.undefined, cbor2.CBORSimpleValue(99)]),
    lambda chance: chance.randbytes(chance.choice([0, 1, 8, 16, 32, 64, 128, 1000])),
    lambda chance: chance.choice(["", "a", "faces", "open", "\x00\x1b[2J\n", "\u202e", "é" * 300, "9" * 40]),
    lambda chance: [0] * chance.choice([0, 1, 17, 300]),
    lambda chance: {chance.randrange(30): 0},
    lambda chance: nested(chance.choice([3, 9, 60])),
    lambda chance: cbor2.CBORTag(chance.choice(_TAGS), chance.choice(["(" * 50, b"\xff", [1, 2]])),
    lambda chance: 2 ** chance.choice([64, 500]),
]  # fmt: skip


def nested(depth: int) -> list[Any]:
    """Lists in lists."""
    inner: list[Any] = []
    for _ in range(depth):
        inner = [inner]
    return inner


def mutated(whole: bytes, chance: Random) -> bytes:
    """``whole`` (CBOR) with one to three things wrong, never much longer than any message may be."""
    for _ in range(chance.randint(1, 3)):
        if len(whole) < _LONG:
            whole = chance.choice([_structure, _structure, _structure, _bytes, _head])(whole, chance)
    return whole


def mutated_text(whole: bytes, chance: Random) -> bytes:
    """``whole`` (JSON, TOML) with one to three words in it replaced, removed, repeated or exchanged."""
    for _ in range(chance.randint(1, 3)):
        if len(whole) < _LONG:
            whole = _bytes(whole, chance) if chance.random() < 0.2 else _words(whole, chance)
    return whole


def mutated_bytes(whole: bytes, chance: Random) -> bytes:
    """``whole`` (DER, a segment of a log) with one to four bytes or runs of bytes wrong."""
    for _ in range(chance.randint(1, 4)):
        whole = _bytes(whole, chance)
    return whole


def _words(whole: bytes, chance: Random) -> bytes:
    words = _WORDS.findall(whole) or [b""]
    at, other = chance.randrange(len(words)), chance.randrange(len(words))
    match chance.randrange(6):
        case 0:
            del words[at]
        case 1:
            words[at] *= chance.choice([2, 40])
        case 2:
            words[at], words[other] = words[other], words[at]
        case _:
            words[at] = chance.choice(_TEXTS)
    return b"".join(words)


def _structure(whole: bytes, chance: Random) -> bytes:
    try:
        return cbor2.dumps(_replaced(cbor2.loads(whole), chance), canonical=chance.random() < 0.5)
    except Exception:  # a mutation before this one has left no CBOR
        return _bytes(whole, chance)


def _replaced(value: Any, chance: Random) -> Any:
    """``value`` with something in it replaced, removed, added, repeated or exchanged."""
    if isinstance(value, cbor2.CBORTag):
        tag = chance.choice([value.tag] * 9 + [16, 18, 96, 98])
        return cbor2.CBORTag(tag, _replaced(value.value, chance))
    if isinstance(value, bytes) and chance.random() < 0.7:
        return _within(value, chance)
    if isinstance(value, dict) and value and chance.random() < 0.9:
        return _in_map(dict(value), chance)
    if isinstance(value, list | tuple) and value and chance.random() < 0.9:
        return _in_list(list(value), chance)
    return chance.choice(_VALUES)(chance)


def _within(value: bytes, chance: Random) -> bytes:
    try:
        inner = cbor2.loads(value)
    except Exception:
        return _bytes(value, chance)
    nests = isinstance(inner, dict | list | cbor2.CBORTag)
    return cbor2.dumps(_replaced(inner, chance)) if nests else _bytes(value, chance)


def _in_map(value: dict[Any, Any], chance: Random) -> dict[Any, Any]:
    key = chance.choice(list(value))
    match chance.randrange(5):
        case 0:
            del value[key]
        case 1:
            value[chance.choice([0, 1, 99, -1, "extra", "serial", b"x", None])] = chance.choice(_VALUES)(chance)
        case _:
            value[key] = _replaced(value[key], chance)
    return value


def _in_list(value: list[Any], chance: Random) -> list[Any]:
    at = chance.randrange(len(value))
    match chance.randrange(6):
        case 0:
            del value[at]
        case 1:
            value *= chance.choice([2, 17, 300]) if len(value) < 30 else 2
        case 2:
            chance.shuffle(value)
        case _:
            value[at] = _replaced(value[at], chance)
    return value


def _bytes(whole: bytes, chance: Random) -> bytes:
    content = bytearray(whole or b"\0")
    at = chance.randrange(len(content))
    match chance.randrange(5):
        case 0:
            content[at] ^= 1 << chance.randrange(8)
        case 1:
            del content[at:]
        case 2:
            del content[at : at + chance.randint(1, 9)]
        case 3:
            content[at:at] = chance.randbytes(chance.randint(1, 9))
        case _:
            content[at] = chance.choice([0x00, 0x1B, 0x5B, 0x7F, 0x9B, 0x9F, 0xBB, 0xBF, 0xC2, 0xD8, 0xF7, 0xFB, 0xFF])
    return bytes(content)


def _head(whole: bytes, chance: Random) -> bytes:
    """A length that promises much more than there is."""
    at = chance.randrange(len(whole) + 1)
    lie = bytes([chance.choice([0x5B, 0x7B, 0x9B, 0xBB])]) + chance.choice([2**63, 2**32, 2**20]).to_bytes(8, "big")
    return whole[:at] + lie + whole[at:]
