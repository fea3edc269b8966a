"""A report as a row of a table: the same columns for PostgreSQL and Parquet."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from edge.records import PlateReport, Report

COLUMNS = (
    "camera", "boot", "seq", "kind", "taken", "grant_id", "track", "box", "rule", "measure", "measured",
    "tripped", "text", "confidence", "country", "vector", "scale", "quality", "model", "entry", "similarity",
)  # fmt: skip


def row(report: Report) -> tuple[Any, ...]:
    """The values of ``COLUMNS``; None for what this kind of report does not have.

    ``taken``: when the picture was taken, a datetime in UTC. ``box``: x, y, width, height in thousandths of the
    frame. ``rule``, ``measure``, ``measured`` and ``tripped`` are the trigger's, in the unit of its measure.
    ``vector``: 128 signed bytes, real value times ``scale``.
    """
    taken = datetime.fromtimestamp(report.time, UTC)
    plate = isinstance(report, PlateReport)
    trigger = report.trigger
    behaviour = (
        (trigger.rule, trigger.measure.word, trigger.value, datetime.fromtimestamp(trigger.time, UTC))
        if trigger is not None
        else (None, None, None, None)
    )
    head = (report.camera, report.boot, report.seq, "plate" if plate else "face", taken, report.grant, report.track,
            list(report.box), *behaviour)  # fmt: skip
    if isinstance(report, PlateReport):
        return (*head, report.text, report.confidence, report.country or None, None, None, None, None, None, None)
    return (*head, None, None, None, report.vector, report.scale, report.quality, report.model, report.entry or None,
            report.similarity)  # fmt: skip
