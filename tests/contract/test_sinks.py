"""What every sink promises, asked of each: nothing lost, nothing twice, whatever batch it comes in."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pyarrow.parquet as pq
import pytest

from edge.gaps import Gap, Place
from edge.listen import Opened, Rejected, Sink, open_sink
from edge.listen.client import Connection
from edge.listen.sinks.base import SinkError
from edge.records import FaceReport, Measure, PlateReport, Trigger
from tests import postgres

VECTOR = bytes(range(128))


def plate(seq: int, camera: str = "cam-1", boot: int = 1) -> Opened:
    report = PlateReport(
        camera=camera, boot=boot, seq=seq, time=1_795_000_000.125 + 3600 * seq, grant="g1", track=seq, box=(1, 2, 3, 4),
        text="NŠ001ĆĐ", confidence=0.987, country="RS" if seq % 2 else "",
        trigger=Trigger('a"\\b\t', Measure.SPEED, 61.3, 1_795_000_000.5),
    )  # fmt: skip
    return Opened(report, 250)


def face(seq: int) -> Opened:
    report = FaceReport(
        camera="cam-1", boot=1, seq=seq, time=1_795_000_000.0, grant="g2", track=seq, box=(1, 2, 3, 4), vector=VECTOR,
        scale=0.01, quality=88.0, model=b"\x01" * 8, entry="p-1", similarity=0.953,
    )  # fmt: skip
    return Opened(report, 380)


def gap(count: int, time: int = 1_795_000_000) -> Gap:
    return Gap(
        camera="cam-1", id="00112233aabbccdd", reason="full", count=count, first=Place(1, 5), last=Place(1, 4 + count),
        time=time,
    )  # fmt: skip


@dataclass
class Store:
    """A sink's place: how to open it, and what lies in it."""

    open: Callable[[], Sink]
    reports: Callable[[], list[dict[str, Any]]]
    gaps: Callable[[], list[dict[str, Any]]]

    @property
    def ids(self) -> list[tuple[str, int, int]]:
        return sorted((entry["camera"], entry["boot"], entry["seq"]) for entry in self.reports())


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    with postgres.server() as address:
        yield address


@pytest.fixture(params=["jsonl", "parquet", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    if request.param == "jsonl":
        path = tmp_path / "reports.jsonl"
        said = lambda: [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]  # noqa: E731
        return Store(
            lambda: open_sink(f"jsonl:{path}"),
            lambda: [entry for entry in said() if entry["kind"] != "gap"],
            lambda: [entry for entry in said() if entry["kind"] == "gap"],
        )
    if request.param == "parquet":
        folder = tmp_path / "lake"
        return Store(
            lambda: open_sink(f"parquet:{folder}"),
            lambda: [
                entry
                for file in folder.glob("reports/*/*.parquet")
                for entry in pq.read_table(file, partitioning=None).to_pylist()
            ],
            lambda: [entry for file in folder.glob("gaps/*.parquet") for entry in pq.read_table(file).to_pylist()],
        )
    address = request.getfixturevalue("database")

    def query(table: str) -> list[dict[str, Any]]:
        with psycopg.connect(address, row_factory=psycopg.rows.dict_row) as connection:
            return connection.execute(f"SELECT * FROM {table}").fetchall()

    open_sink(address).close()  # makes the tables
    with psycopg.connect(address) as connection:
        connection.execute("TRUNCATE vidik_report, vidik_gap")
    return Store(lambda: open_sink(address), lambda: query("vidik_report"), lambda: query("vidik_gap"))


def test_every_report_is_there_once_whatever_batches_it_comes_in(store: Store) -> None:
    chance = random.Random(6)
    reports = [plate(seq, camera, boot) for camera in ("cam-1", "cam-2") for boot in (1, 2) for seq in range(30)]
    for _ in range(3):  # a restart each time, and everything in another order
        sink = store.open()
        for _ in range(3):
            chance.shuffle(reports)
            at = 0
            while at < len(reports):
                step = chance.randint(1, 40)
                sink.write(reports[at : at + step] + reports[at : at + 2])
                at += step
        sink.close()
    expected = sorted((r.report.camera, r.report.boot, r.report.seq) for r in reports)
    assert store.ids == expected


def test_what_is_left_out(store: Store) -> None:
    sink = store.open()
    sink.write([])
    sink.write([Connection(True, "MQTT 5"), Rejected("cam-1", "plate", "forged")])
    sink.write([plate(1), Rejected("cam-1", "plate", "forged")])
    sink.close()
    assert store.ids == [("cam-1", 1, 1)]
    assert store.gaps() == []


def test_plates_and_faces_are_kept_whole(store: Store) -> None:
    sink = store.open()
    sink.write([plate(1), face(2)])
    sink.close()
    first, second = sorted(store.reports(), key=lambda entry: int(entry["seq"]))
    assert (first["kind"], first["text"], first["country"]) == ("plate", "NŠ001ĆĐ", "RS")
    trigger = first.get("trigger") or first
    assert trigger["rule"] == 'a"\\b\t'
    assert trigger.get("measured", trigger.get("value")) == pytest.approx(61.3)
    assert first["confidence"] == pytest.approx(0.987)
    assert list(first["box"]) == [1, 2, 3, 4]
    taken = first["taken"] if isinstance(first["taken"], str) else first["taken"].isoformat()
    assert taken.startswith("2026-11-18T12:06:40.125")
    vector = second["vector"]
    assert (bytes(value % 256 for value in vector) if isinstance(vector, list) else bytes(vector)) == VECTOR
    assert (second["kind"], second["entry"], second["similarity"]) == ("face", "p-1", pytest.approx(0.953))


def test_gaps_are_kept_and_grow(store: Store) -> None:
    for _ in range(2):
        sink = store.open()
        sink.write([gap(2)])
        sink.write([gap(3, 1_795_000_060), gap(3, 1_795_000_060)])
        sink.write([gap(2)])  # late
        sink.close()
    gaps = store.gaps()
    assert max(entry["count"] for entry in gaps) == 3
    assert len(gaps) <= 2  # of one id: a table keeps the latest, files keep what was said
    assert {entry["reason"] for entry in gaps} == {"full"}


def test_a_gap_may_have_no_ends(store: Store) -> None:
    sink = store.open()
    sink.write([Gap(camera="cam-1", id="ffffffffffffffff", reason="reset", count=None, first=None, last=None, time=1)])
    sink.close()
    assert [(entry["reason"], entry["count"]) for entry in store.gaps()] == [("reset", None)]


def test_a_line_that_a_crash_cut_short_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    sink = open_sink(f"jsonl:{path}")
    sink.write([plate(1), plate(2)])
    sink.close()
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:100])
    sink = open_sink(f"jsonl:{path}")
    assert path.read_bytes() == whole
    sink.write([plate(2), plate(3)])
    sink.close()
    assert [json.loads(line)["seq"] for line in path.read_text().splitlines()] == [1, 2, 3]


def test_lines_remember_the_latest_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.listen.sinks.lines._REMEMBERED", 5)
    sink = open_sink(f"jsonl:{tmp_path}/r.jsonl")
    for seq in range(20):
        sink.write([plate(seq)])
    sink.write([plate(seq) for seq in range(15, 20)])
    sink.close()
    assert len((tmp_path / "r.jsonl").read_text().splitlines()) == 20
    assert len(sink._written) == 5  # type: ignore[attr-defined]


def test_a_file_that_a_crash_left_half_written_is_not_read(tmp_path: Path) -> None:
    sink = open_sink(f"parquet:{tmp_path}")
    sink.write([plate(1)])
    (whole,) = tmp_path.glob("reports/*/*.parquet")
    whole.with_suffix(".new").write_bytes(whole.read_bytes()[:50])
    sink = open_sink(f"parquet:{tmp_path}")
    sink.write([plate(1), plate(2)])
    assert sum(pq.read_table(file, partitioning=None).num_rows for file in tmp_path.glob("reports/*/*.parquet")) == 2


def test_sinks_that_cannot_be_are_clear_errors(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for text in ("csv:x", "jsonl:", "jsonl", f"jsonl:{tmp_path}/file/x", f"parquet:{tmp_path}/file",
                 f"postgresql://nobody@/none?host={tmp_path}", f"onvif:{tmp_path}/none.toml"):  # fmt: skip
        with pytest.raises(SinkError):
            open_sink(text)
