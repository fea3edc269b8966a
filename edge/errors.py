"""The root of every error Vidik raises on purpose."""

from __future__ import annotations


class VidikError(Exception):
    """An error a person can act on: the message names the cause and the next step, in one paragraph."""
