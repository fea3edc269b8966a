"""A report as a row of a table: the same columns for PostgreSQL and Parquet."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from edge.records import PlateReport, Report

COLUMNS = (
    "camera", "boot", "seq", "kind", "taken", "grant_id", "track", "box", "triggers", "text", "confidence", "country",
    "vector", "scale", "quality", "model", "entry", "similarity",
)  # fmt: skip


def row(report: Report) -> tuple[Any, ...]:
    """The values of ``COLUMNS``; None for what this kind of report does not have.

    ``taken``: when the picture was taken, a datetime in UTC. ``box``: x, y, width, height in thousandths of the
    frame. ``vector``: 128 signed bytes, real value times ``scale``.
    """
    taken = datetime.fromtimestamp(report.time, UTC)
    plate = isinstance(report, PlateReport)
    head = (report.camera, report.boot, report.seq, "plate" if plate else "face", taken, report.grant, report.track,
            list(report.box), list(report.triggers))  # fmt: skip
    if isinstance(report, PlateReport):
        return (*head, report.text, report.confidence, report.country or None, None, None, None, None, None, None)
    return (*head, None, None, None, report.vector, report.scale, report.quality, report.model, report.entry or None,
            report.similarity)  # fmt: skip
