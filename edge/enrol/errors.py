"""What can go wrong between a camera and its office."""

from __future__ import annotations

from edge.errors import VidikError


class EnrolError(VidikError):
    """The camera gets no identity this way; somebody has to do something about it."""


class TryLater(EnrolError):
    """The service cannot be reached or has no time now: the same request may succeed later."""
