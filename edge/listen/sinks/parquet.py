"""Parquet: a folder with one file per batch, in subfolders by the day on which the pictures were taken.

Readers such as DuckDB, Spark and pandas take the folder as one table. Each file appears whole. Idempotence: on
opening, the ids of all files are read (three columns; ranges, so they need little memory), and what is there already
is left out. Ask for large batches (a minute's worth), or there will be many small files.
"""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from edge import durable
from edge.gaps import Gap
from edge.listen.client import Connection
from edge.listen.opener import Finding, Opened
from edge.listen.ranges import Ranges
from edge.listen.sinks.base import SinkError
from edge.listen.sinks.table import COLUMNS, row

_TYPES = (
    pa.string(), pa.int64(), pa.int64(), pa.string(), pa.timestamp("ms", "UTC"), pa.string(), pa.int64(),
    pa.list_(pa.int16()), pa.string(), pa.string(), pa.float32(), pa.timestamp("ms", "UTC"), pa.string(), pa.float32(),
    pa.string(), pa.binary(), pa.float32(), pa.float32(), pa.binary(), pa.string(), pa.float32(),
)  # fmt: skip
_SCHEMA = pa.schema(list(zip(COLUMNS, _TYPES, strict=True)))
_GAPS = pa.schema(
    [("camera", pa.string()), ("id", pa.string()), ("reason", pa.string()), ("count", pa.int64()),
     ("first_boot", pa.int64()), ("first_seq", pa.int64()), ("last_boot", pa.int64()), ("last_seq", pa.int64()),
     ("latest", pa.timestamp("s", "UTC"))]
)  # fmt: skip
_TAKEN = COLUMNS.index("taken")
_NOWHERE = (None, None)


class Parquet:
    """Writes into ``folder``: reports below ``reports/``, gaps below ``gaps/``. One writer at a time.

    Raises ``SinkError`` when it cannot.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._written: defaultdict[tuple[str, int], Ranges] = defaultdict(Ranges)
        self._gaps: set[tuple[str, str, int | None]] = set()
        try:
            for place in ("reports", "gaps"):
                (folder / place).mkdir(parents=True, exist_ok=True)
            for file in sorted(folder.glob("reports/**/*.parquet")):
                table = pq.read_table(file, columns=["camera", "boot", "seq"], partitioning=None)
                for camera, boot, seq in zip(*(column.to_pylist() for column in table.columns), strict=True):
                    self._written[camera, boot].add(seq)
            for file in sorted(folder.glob("gaps/*.parquet")):
                for said in pq.read_table(file, columns=["camera", "id", "count"]).to_pylist():
                    self._gaps.add((said["camera"], said["id"], said["count"]))
        except (OSError, pa.ArrowException) as error:
            raise SinkError(f"The Parquet folder {folder} cannot be used: {error}. Give another.") from error

    def write(self, findings: Sequence[Finding | Connection]) -> None:
        days: defaultdict[str, list[tuple[Any, ...]]] = defaultdict(list)
        batch = set()
        for finding in findings:
            if isinstance(finding, Opened):
                values = row(finding.report)
                camera, boot, seq = identity = values[:3]
                if identity not in batch and seq not in self._written[camera, boot]:
                    batch.add(identity)
                    days[_day(values[_TAKEN])].append(values)
        found = {(gap.camera, gap.id, gap.count): gap for gap in findings if isinstance(gap, Gap)}
        gaps = [gap for identity, gap in found.items() if identity not in self._gaps]
        try:
            for day, rows in days.items():
                self._put(f"reports/taken={day}", pa.Table.from_arrays(_columns(rows, _SCHEMA), schema=_SCHEMA))
                for camera, boot, seq, *_ in rows:
                    self._written[camera, boot].add(seq)
            if gaps:
                rows = [
                    (gap.camera, gap.id, gap.reason, gap.count, *(gap.first or _NOWHERE), *(gap.last or _NOWHERE),
                     gap.time)
                    for gap in gaps
                ]  # fmt: skip
                self._put("gaps", pa.Table.from_arrays(_columns(rows, _GAPS), schema=_GAPS))
                self._gaps |= found.keys()
        except (OSError, pa.ArrowException) as error:
            raise SinkError(f"The Parquet folder {self._folder} cannot be written: {error}. Make room.") from error

    def close(self) -> None:
        """Nothing is held open."""

    def _put(self, place: str, table: pa.Table) -> None:
        """One new file, on the medium and whole, or not there at all."""
        folder = self._folder / place
        folder.mkdir(exist_ok=True)
        path = folder / f"{secrets.token_hex(8)}.parquet"
        fresh = path.with_suffix(".new")
        pq.write_table(table, fresh, compression="zstd")
        durable.settle(fresh)
        fresh.replace(path)
        durable.settle(folder)
        durable.settle(folder.parent)


def _day(taken: datetime) -> str:
    return taken.date().isoformat()


def _columns(rows: Sequence[tuple[Any, ...]], schema: pa.Schema) -> list[pa.Array]:
    return [pa.array(values, kind) for values, kind in zip(zip(*rows, strict=True), schema.types, strict=True)]
