"""A report as a row of a table: the same columns for PostgreSQL and Parquet."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from edge.records import PlateReport, Report, Trigger

COLUMNS = (
    "camera", "boot", "seq", "kind", "taken", "grant_id", "track", "box", "rule", "measure", "measured",
    "text", "confidence", "country", "vector", "scale", "quality", "model", "entry", "similarity",
)  # fmt: skip


def row(report: Report) -> tuple[Any, ...]:
    """The values of ``COLUMNS``; None for what this kind of report does not have.

    ``taken``: when the picture was taken, a datetime in UTC. ``box``: x, y, width, height in thousandths of the
    frame. ``rule``, ``measure``, ``measured``: what was tripped, what of it was measured, and its value in the
    unit that docs/rules.md gives. ``vector``: 128 signed bytes, real value times ``scale``.
    """
    taken = datetime.fromtimestamp(report.time, UTC)
    plate = isinstance(report, PlateReport)
    head = (report.camera, report.boot, report.seq, "plate" if plate else "face", taken, report.grant, report.track,
            list(report.box), *_tripped(report.trigger))  # fmt: skip
    if isinstance(report, PlateReport):
        return (*head, report.text, report.confidence, report.country or None, None, None, None, None, None, None)
    return (*head, None, None, None, report.vector, report.scale, report.quality, report.model, report.entry or None,
            report.similarity)  # fmt: skip


def _tripped(trigger: Trigger | None) -> tuple[Any, ...]:
    return (None, None, None) if trigger is None else (trigger.rule, trigger.measure.word, trigger.value)
