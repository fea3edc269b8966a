"""Gate and seal at work: from a description to sealed bytes, with everything refused counted by reason."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from edge import clock
from edge.grant import document, gate
from edge.grant.document import Grant
from edge.grant.gate import Description, Discard, Permit, Reason, Terms
from edge.handover import Item, Key
from edge.handover import Kind as Topic
from edge.records import FaceReport, PlateReport, Report
from edge.seal import Sealer
from edge.vision.describe import doubt
from edge.vision.track import Track
from edge.vision.values import FaceTemplate, Frame, Kind, PlateText, Shot

_REPEAT = 30.0  # seconds after its last sighting within which the same plate or person is not news
_ALIKE = str.maketrans("ČĆĐŠŽOQI", "CCDSZ001")  # a second look may settle on the other of two like letters

_log = logging.getLogger(__name__)


class Grants(Protocol):
    """Where the verified grants come from."""

    def terms(self, now: float) -> list[Terms]: ...


class Tally(Protocol):
    """Where the counts go that the audit log publishes."""

    def seen(self, what: str) -> None: ...
    def reported(self, what: str) -> None: ...
    def discarded(self, reason: str) -> None: ...


class Gate:
    """Asks the pure gate for every grant, and remembers for a moment what was reported, against repeats.

    ``trusted`` says whether the clock can be trusted now, ``kept`` whether what happens can be put on record. Every
    decision is counted in ``tally``; a reason for refusal is logged when it first occurs.
    """

    def __init__(
        self, camera: str, grants: Grants, trusted: Callable[[], bool], tally: Tally,
        kept: Callable[[], bool] = lambda: True,
    ) -> None:  # fmt: skip
        self._camera = camera
        self._grants = grants
        self._trusted = trusted
        self._tally = tally
        self._kept = kept
        self._recent: dict[tuple[str, str], Track] = {}
        self.reported: Counter[Kind] = Counter()
        self.discarded: Counter[Reason] = Counter()

    def waits(self, track: Track, frame: Frame, final: bool) -> bool:
        """Whether nothing may be reported of ``track`` unless it trips a rule: then there is neither use nor reason
        to read it. When this is the last look at it (``final``), that is what became of it."""
        grants = [t.grant for t in self._grants.terms(frame.wall) if t.closed is None]
        function = "plates" if track.kind is Kind.PLATE else "faces"
        open_to_it = [
            grant for grant in grants
            if grant.function == function and grant.id not in track.answered
            and gate.standing(grant, self._camera, frame.wall) is None
        ]  # fmt: skip
        if not open_to_it or not all(gate.awaits_trigger(grant, track.tripped) for grant in open_to_it):
            return False
        if final:
            self._settle(track, Reason.NOT_TRIGGERED)
        return True

    def __call__(self, track: Track, seen: Description | None, frame: Frame, final: bool) -> Iterator[Permit]:
        """The permits to report ``seen``. A track is counted once: when it is first reported, or refused with no
        better try to follow. It stays open for grants that would still report it if it tripped a rule."""
        permits, refusals = self._decide(track, seen, frame)
        track.answered.update(permit.grant.id for permit in permits)
        if permits and not track.reported:
            track.reported = True
            self._count(track.kind, None)
        if final or ((permits or Reason.REPEAT in refusals) and Reason.NOT_TRIGGERED not in refusals):
            self._settle(track, refusals[0])
        yield from permits

    def forget(self, grant: Grant) -> None:
        """Drops what is remembered of reports under ``grant``."""
        self._recent = {key: last for key, last in self._recent.items() if key[0] != grant.id}

    def _settle(self, track: Track, refusal: Reason | None) -> None:
        track.settled = True
        if not track.reported:
            self._count(track.kind, refusal)

    def _count(self, kind: Kind, refusal: Reason | None) -> None:
        self._tally.seen(kind.value)
        if refusal is None:
            self.reported[kind] += 1
            self._tally.reported(kind.value)
            return
        if not self.discarded[refusal]:
            _log.info("discarded for the first time since the start: %s", refusal.value)
        self.discarded[refusal] += 1
        self._tally.discarded(refusal.value)

    def _decide(self, track: Track, seen: Description | None, frame: Frame) -> tuple[list[Permit], list[Reason]]:
        grants = self._grants.terms(frame.wall)  # always: what is over is wiped even if nothing could be reported
        if not self._trusted() or not clock.trustworthy(frame.wall):
            return [], [Reason.CLOCK]
        if not self._kept():
            return [], [Reason.ACCOUNT]
        poor = doubt(seen)
        if poor is not None or seen is None:
            return [], [poor or Reason.UNSURE]
        left = [terms for terms in grants if terms.grant.id not in track.answered]
        decisions = [gate.decide(seen, terms, self._camera, frame.wall, track.tripped) for terms in left]
        decisions = [self._fresh(decision, seen, track, frame.monotonic) for decision in decisions]
        permits = [d for d in decisions if isinstance(d, Permit)]
        # a grant for the other function says nothing about this object, so it names the reason last
        refusals = [d.reason for d in decisions if isinstance(d, Discard)]
        return permits, sorted(refusals, key=lambda r: r is Reason.NO_GRANT) or [Reason.NO_GRANT]

    def _fresh(
        self, decision: Permit | Discard, seen: Description, track: Track, now: float
    ) -> Permit | Discard:
        if isinstance(decision, Discard):
            return decision
        what = seen.text.translate(_ALIKE) if isinstance(seen, PlateText) else decision.entry
        if not what:
            return decision  # open scope for faces: nobody is remembered
        # the tracks themselves are kept: they know when their object was last in view, however long it stays
        self._recent = {key: last for key, last in self._recent.items() if now - last.last <= _REPEAT}
        key = decision.grant.id, what
        known = key in self._recent
        self._recent[key] = track
        if known:
            track.answered.add(decision.grant.id)
        return Discard(Reason.REPEAT) if known else decision


class Seal:
    """Builds the report a permit allows, numbers it, and seals it to the grant's recipients."""

    def __init__(self, camera: str, boot: int, sealer: Sealer, model: bytes, count: Callable[[], int]) -> None:
        """``model`` is the start of the face embedder's SHA-256, ``count`` gives the next report number."""
        self._camera = camera
        self._boot = boot
        self._sealer = sealer
        self._model = model
        self._count = count

    def __call__(self, permit: Permit, track: Track, shot: Shot, frame: Frame) -> Item:
        """The sealed report of what is permitted; time and place are those of ``shot``, taken out of ``frame``."""
        report = self._report(permit, track, shot, frame)
        sealed = self._sealer.seal(report, *document.recipients(permit.grant))
        topic = Topic.PLATE if isinstance(report, PlateReport) else Topic.FACE
        return Item(topic, Key(report.boot, report.seq), permit.grant.retention, sealed)

    def _report(self, permit: Permit, track: Track, shot: Shot, frame: Frame) -> Report:
        seen, box = permit.seen, shot.box
        share = (box.x0 / frame.width, box.y0 / frame.height, box.width / frame.width, box.height / frame.height)
        x, y, width, height = (min(1000, max(0, round(1000 * part))) for part in share)
        common: dict[str, Any] = {
            "camera": self._camera, "boot": self._boot, "seq": self._count(), "time": shot.wall,
            "grant": permit.grant.id, "track": track.number, "box": (x, y, width, height),
            "trigger": permit.trigger,
        }  # fmt: skip
        if isinstance(seen, FaceTemplate):
            return FaceReport(
                vector=seen.vector.tobytes(), scale=seen.scale, quality=seen.quality, model=self._model,
                entry=permit.entry, similarity=max(0.0, permit.similarity), **common,
            )  # fmt: skip
        return PlateReport(
            text=seen.text, confidence=seen.confidence, country=seen.country, alternates=seen.alternates, **common
        )
