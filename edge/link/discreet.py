"""Keeps a camera's password out of what is written down."""

from __future__ import annotations

from urllib.parse import unquote, urlsplit

_HIDDEN = "***"
_LONGEST = 300  # characters of a line


class Discreet:
    """Hides, in lines about ``address``, the address's user and password however they are written."""

    def __init__(self, address: str) -> None:
        rest = address.partition("://")[2]
        words: set[str] = set()
        # a slash in a password should be %2F; where it is not, all up to the last @ is hidden
        for who in (urlsplit(address).netloc.rpartition("@")[0], rest.rpartition("@")[0]):
            user, _, password = who.partition(":")
            words |= {text for part in (who, user, password) for text in (part, unquote(part)) if text}
        self._words = sorted(words, key=len, reverse=True)

    def __call__(self, line: str) -> str:
        """``line`` as it may be written down."""
        for word in self._words:
            line = line.replace(word, _HIDDEN)
        return line[:_LONGEST]
