"""From the false alarms that an operator accepts to the cosine from which a face counts as a listed person's.

Three steps, each a pure function: alarms a day at a stated number of passers-by give the chance that one passer-by
raises one; divided by the length of the list that is the false match rate of one comparison (a union bound: however
alike the listed persons are, the camera's rate is not higher); the embedder's calibration curve turns it into a cosine.
"""

from __future__ import annotations

import math
from itertools import pairwise

from edge.errors import VidikError

CURVE = (
    (1e-1, 0.9064),
    (1e-2, 0.9274),
    (1e-3, 0.9359),
    (1e-4, 0.9418),
    (1e-5, 0.9492),
    (1e-6, 0.9579),
    (1e-7, 0.9630),
)
"""False match rate of one comparison and the cosine that gives it, from impostor pairs of the calibration subjects: the
upper end of the 95 % interval over people, since a few people who look alike decide it; beyond 1e-3 extrapolated. See
the card in ``models/face_embedder``."""


class ThresholdError(VidikError):
    """No threshold gives what is asked for."""


def match_rate(alarms_per_day: float, passers_per_day: float, listed: int) -> float:
    """The false match rate of one comparison at which ``passers_per_day`` persons, each compared once with ``listed``
    templates, raise at most ``alarms_per_day`` false alarms on average. Raises ``ThresholdError``."""
    if not (alarms_per_day > 0 and passers_per_day > 0 and listed > 0):
        raise ThresholdError(
            f"{alarms_per_day:g} false alarms a day, {passers_per_day:g} passers-by and {listed} listed persons make "
            "no rate. Each must be more than nothing: no threshold rules out every false alarm."
        )
    return min(1.0, alarms_per_day / passers_per_day) / listed


def threshold(rate: float) -> float:
    """The cosine from which one comparison is a match, at the false match rate ``rate``: linear in its logarithm.

    Above the curve's highest rate its cosine is kept. Raises ``ThresholdError`` below the lowest.
    """
    if not rate >= CURVE[-1][0] * (1 - 1e-9):
        raise ThresholdError(
            f"The face model cannot promise a false match rate of {rate:.1g} a comparison: {CURVE[-1][0]:g} is the "
            "least it was calibrated for. Accept more false alarms a day, name fewer persons, or split the list "
            "over grants for places with fewer passers-by."
        )
    for (high, above), (low, below) in pairwise(CURVE):
        if rate >= low:
            share = min(1.0, max(0.0, math.log(high / rate) / math.log(high / low)))
            return above + share * (below - above)
    return CURVE[-1][1]
