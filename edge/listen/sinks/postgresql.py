"""PostgreSQL: COPY into a temporary table, from there into ``vidik_report``, whose primary key is the report's id.

What came before conflicts with itself and is left out, in whatever batch it comes again. The tables are made when
they are missing. Deleting what is older than the grant's retention is the owner's duty; ``taken`` has an index for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import psycopg

from edge.gaps import Gap
from edge.listen.client import Connection
from edge.listen.opener import Finding, Opened
from edge.listen.sinks.base import SinkError
from edge.listen.sinks.table import COLUMNS, row

_NAMES = ", ".join(COLUMNS)
_TABLES = """
CREATE TABLE IF NOT EXISTS vidik_report (
    camera text NOT NULL, boot bigint NOT NULL, seq bigint NOT NULL,
    kind text NOT NULL, taken timestamptz NOT NULL, grant_id text NOT NULL, track bigint NOT NULL,
    box smallint[] NOT NULL, rule text, measure text, measured real, tripped timestamptz,
    text text, confidence real, country text,
    vector bytea, scale real, quality real, model bytea, entry text, similarity real,
    received timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (camera, boot, seq)
);
CREATE INDEX IF NOT EXISTS vidik_report_taken ON vidik_report (taken);
CREATE INDEX IF NOT EXISTS vidik_report_text ON vidik_report (text);
CREATE TABLE IF NOT EXISTS vidik_gap (
    camera text NOT NULL, id text NOT NULL, reason text NOT NULL, count bigint,
    first_boot bigint, first_seq bigint, last_boot bigint, last_seq bigint,
    latest timestamptz NOT NULL,
    PRIMARY KEY (camera, id)
);
"""
_STAGE = "CREATE TEMPORARY TABLE vidik_stage (LIKE vidik_report) ON COMMIT DROP"
_TAKE_OVER = f"INSERT INTO vidik_report ({_NAMES}) SELECT {_NAMES} FROM vidik_stage ON CONFLICT DO NOTHING"  # noqa: S608
_GAP = """
INSERT INTO vidik_gap VALUES (%s, %s, %s, %s, %s, %s, %s, %s, to_timestamp(%s))
ON CONFLICT (camera, id) DO UPDATE SET
    count = EXCLUDED.count, first_boot = EXCLUDED.first_boot, first_seq = EXCLUDED.first_seq,
    last_boot = EXCLUDED.last_boot, last_seq = EXCLUDED.last_seq, latest = EXCLUDED.latest
WHERE vidik_gap.latest <= EXCLUDED.latest
"""
_MAKING_TABLES = 0x71D1C  # number of the lock under which subscribers that start together make them one by one


class PostgreSql:
    """Writes to the database at ``address`` (``postgresql://user@host/name``). Raises ``SinkError``.

    A lost connection is made anew by the next ``write``.
    """

    def __init__(self, address: str) -> None:
        self._address = address
        self._connection: psycopg.Connection | None = None
        self._connected()

    def write(self, findings: Sequence[Finding | Connection]) -> None:
        reports = [row(finding.report) for finding in findings if isinstance(finding, Opened)]
        gaps = [finding for finding in findings if isinstance(finding, Gap)]
        if not reports and not gaps:
            return
        try:
            connection = self._connected()
            with connection.transaction(), connection.cursor() as cursor:
                if reports:
                    cursor.execute(_STAGE)
                    cursor.execute("ALTER TABLE vidik_stage ALTER received DROP NOT NULL")
                    with cursor.copy(f"COPY vidik_stage ({_NAMES}) FROM STDIN") as copy:
                        for values in reports:
                            copy.write_row(values)
                    cursor.execute(_TAKE_OVER)
                for gap in gaps:
                    first, last = gap.first or (None, None), gap.last or (None, None)
                    cursor.execute(_GAP, (gap.camera, gap.id, gap.reason, gap.count, *first, *last, gap.time))
        except psycopg.Error as error:
            self.close()
            raise SinkError(f"PostgreSQL did not take a batch: {error}. It has to come again.") from error

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connected(self) -> psycopg.Connection:
        if self._connection is None or self._connection.closed:
            try:
                self._connection = psycopg.connect(self._address, autocommit=True)
                with self._connection.transaction():
                    self._connection.execute("SELECT pg_advisory_xact_lock(%s)", (_MAKING_TABLES,))
                    self._connection.execute(_TABLES)
            except psycopg.Error as error:
                self.close()
                raise SinkError(f"PostgreSQL is not to be had: {error}. Check its address and rights.") from error
        return self._connection
