"""What detection and reading of plates are judged by: pure functions over outcomes, no pictures."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

WIDTHS = (0, 40, 60, 80, 100, 130, 200, 1_000_000)
"""Edges of the bins of plate width, in pixels of the picture as it is."""


@dataclass(frozen=True, slots=True)
class Read:
    """One plate the camera saw: best ``text`` ("" when unreadable), ``reported`` when it would have been sent."""

    text: str
    reported: bool
    width: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one labelled plate: ``truth`` is "" when unreadable, ``read`` is None when not detected.

    ``width`` is the label's, in pixels; 0 when the label has no box.
    """

    truth: str
    width: float
    read: Read | None

    @property
    def exact(self) -> bool:
        """The best text is the truth, reported or not."""
        return self.read is not None and self.read.text == self.truth

    @property
    def edits(self) -> int:
        """Edits from the truth to the best text; the truth's length when nothing was read."""
        return distance(self.truth, self.read.text) if self.read is not None else len(self.truth)

    @property
    def wrong_report(self) -> bool:
        """Something was sent, and it is not the truth."""
        return self.read is not None and self.read.reported and not self.exact

    @property
    def refused(self) -> bool:
        """Detected, and nothing sent."""
        return self.read is not None and not self.read.reported


@dataclass(frozen=True, slots=True)
class Row:
    """Counts over the plates of one range of widths; rates are properties, None when their denominator is 0."""

    name: str
    boxes: int
    detected: int
    readable: int
    exact: int
    within_one: int
    refused: int
    reported: int
    wrong: int


@dataclass(frozen=True, slots=True)
class Rate:
    """``part`` of ``whole``, with the 95 % interval of Wilson (1927)."""

    part: int
    whole: int

    @property
    def value(self) -> float | None:
        return self.part / self.whole if self.whole else None

    @property
    def interval(self) -> tuple[float, float]:
        if not self.whole:
            return 0.0, 1.0
        z, n, p = 1.96, self.whole, self.part / self.whole
        middle, spread = p + z * z / (2 * n), z * sqrt(p * (1 - p) / n + z * z / (4 * n * n))
        return max(0.0, (middle - spread) / (1 + z * z / n)), min(1.0, (middle + spread) / (1 + z * z / n))

    @property
    def percent(self) -> str:
        """The value alone, as a number of per cent, for tables that state the whole elsewhere."""
        return f"{100 * self.part / self.whole:.1f}" if self.whole else "-"

    def __str__(self) -> str:
        return f"{100 * self.part / self.whole:.1f} % ({self.part}/{self.whole})" if self.whole else "-"


def fold(text: str) -> str:
    """``text`` with every letter O as digit 0, for labels and plates that do not tell them apart."""
    return text.replace("O", "0")


def distance(truth: str, text: str) -> int:
    """Least number of inserted, deleted and replaced characters (Levenshtein, 1966)."""
    return sum(a != b for a, b in alignment(truth, text))


def alignment(truth: str, text: str) -> list[tuple[str, str]]:
    """Pairs (true character, read character) of a least-edit alignment; "" stands for none."""
    rows, columns = len(truth) + 1, len(text) + 1
    cost = [[i + j if i * j == 0 else 0 for j in range(columns)] for i in range(rows)]
    for i in range(1, rows):
        for j in range(1, columns):
            swap = cost[i - 1][j - 1] + (truth[i - 1] != text[j - 1])
            cost[i][j] = min(swap, cost[i - 1][j] + 1, cost[i][j - 1] + 1)
    pairs: list[tuple[str, str]] = []
    i, j = rows - 1, columns - 1
    while i or j:
        if i and j and cost[i][j] == cost[i - 1][j - 1] + (truth[i - 1] != text[j - 1]):
            i, j = i - 1, j - 1
            pairs.append((truth[i], text[j]))
        elif i and cost[i][j] == cost[i - 1][j] + 1:
            i -= 1
            pairs.append((truth[i], ""))
        else:
            j -= 1
            pairs.append(("", text[j]))
    return pairs[::-1]


def row(name: str, outcomes: Iterable[Outcome]) -> Row:
    """Counts over ``outcomes``. Undetected plates count as not exact; reports are judged where the truth is known."""
    every = list(outcomes)
    readable = [o for o in every if o.truth]
    return Row(
        name=name,
        boxes=len(every),
        detected=sum(o.read is not None for o in every),
        readable=len(readable),
        exact=sum(o.exact for o in readable),
        within_one=sum(o.edits <= 1 for o in readable),
        refused=sum(o.refused for o in readable),
        reported=sum(o.read is not None and o.read.reported for o in readable),
        wrong=sum(o.wrong_report for o in readable),
    )


def by_width(outcomes: Sequence[Outcome]) -> list[Row]:
    """One ``Row`` for each bin of ``WIDTHS`` that has plates."""
    rows = []
    for low, high in pairwise(WIDTHS):
        inside = [o for o in outcomes if low <= o.width < high]
        if inside:
            rows.append(row(f"{low}-{high - 1}" if high < WIDTHS[-1] else f">= {low}", inside))
    return rows


def per_plate(outcomes: Iterable[Outcome]) -> float | None:
    """Mean over the different plates of the share of their boxes that were read exactly: each plate weighs the same."""
    plates: dict[str, list[bool]] = defaultdict(list)
    for outcome in outcomes:
        if outcome.truth:
            plates[outcome.truth].append(outcome.exact)
    return sum(sum(hits) / len(hits) for hits in plates.values()) / len(plates) if plates else None


def confusions(outcomes: Iterable[Outcome]) -> Counter[tuple[str, str]]:
    """How often which true character was read as which; "" stands for a lost or an invented one.

    Only texts within three edits count: beyond that the alignment says nothing about characters.
    """
    found: Counter[tuple[str, str]] = Counter()
    for outcome in outcomes:
        if outcome.truth and outcome.read and outcome.read.text and 0 < outcome.edits <= 3:
            found.update(pair for pair in alignment(outcome.truth, outcome.read.text) if pair[0] != pair[1])
    return found
