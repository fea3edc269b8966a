"""The camera's figures for Prometheus: which there are, where they are served, and what is never among them."""

from __future__ import annotations

import json
import socket
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from edge.handover import Key
from edge.uplink.expiry import ends
from edge.uplink.figures import Ages, Figures
from edge.uplink.metrics import Endpoint, Figuring
from provisioning import pki
from provisioning.ports import free_port

NOW = 1_795_000_000.0
HEALTH = {
    "camera": "cam-1", "time": NOW - 3, "state": "degraded", "causes": ["camera lost: the cable is out"], "fps": 14.9,
    "frame_ms": 41.5, "latency_ms": {"p50": 60.0, "p95": 92.5}, "frames": 1234,
    "skipped": {"dropped": 5, "too large": 1, "spared": 0}, "temperature": 51.5, "left_out": "nothing",
    "certificate_days": 80, "models_on": {"plate-detector": "cpu"}, "night": True,
}  # fmt: skip
FIGURES = Figures(
    connected=True, spool=12, spool_bytes=3456, oldest=78.5, accepted=100, published=88, gaps=2, connections=3,
    dropped={"full": 4}, trouble="disk full",
)  # fmt: skip


@pytest.fixture
def served(tmp_path: Path) -> Iterator[int]:
    (tmp_path / "health.json").write_text(json.dumps(HEALTH))
    port = free_port()
    endpoint = Endpoint(port, Figuring(lambda: FIGURES, lambda: 79, tmp_path, lambda: NOW))
    yield port
    endpoint.close()


def scraped(port: int, host: str = "127.0.0.1") -> dict[tuple[str, ...], float]:
    with urllib.request.urlopen(f"http://{host}:{port}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_the_figures_of_both_processes_are_served(served: int) -> None:
    found = scraped(served)
    assert {name: value for name, value in found.items() if not name[0].startswith("vidik_uplink_process")} == {
        ("vidik_uplink_connected",): 1, ("vidik_spool_reports",): 12, ("vidik_spool_bytes",): 3456,
        ("vidik_spool_oldest_seconds",): 78.5, ("vidik_spool_failing",): 1, ("vidik_uplink_connections_total",): 3,
        ("vidik_reports_accepted_total",): 100, ("vidik_reports_published_total",): 88,
        ("vidik_uplink_refused_total",): 0, ("vidik_gaps_announced_total",): 2,
        ("vidik_handover_rejected_total",): 0, ("vidik_reports_lost_total", "full"): 4,
        ("vidik_uplink_certificate_days",): 79,
        ("vidik_health", "ok"): 0, ("vidik_health", "degraded"): 1, ("vidik_health", "failing"): 0,
        ("vidik_health_age_seconds",): 3, ("vidik_frames_per_second",): 14.9, ("vidik_frame_seconds",): 0.0415,
        ("vidik_temperature_celsius",): 51.5, ("vidik_certificate_days",): 80, ("vidik_night",): 1,
        ("vidik_frames_total",): 1234, ("vidik_frames_skipped_total", "dropped"): 5,
        ("vidik_frames_skipped_total", "too large"): 1, ("vidik_frames_skipped_total", "spared"): 0,
        ("vidik_latency_seconds", "0.5"): 0.06, ("vidik_latency_seconds", "0.95"): 0.0925,
    }  # fmt: skip
    assert found["vidik_uplink_process_resident_memory_bytes",] > 1e6


def test_only_the_loopback_interface_listens(served: int) -> None:
    """As the kernel shows it; 0100007F is 127.0.0.1, and the last word of ::1 is 01000000."""
    listening = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            _, local, _, state, *_ = line.split()
            address, _, port = local.partition(":")
            if int(port, 16) == served and state == "0A":
                listening.add(address)
    assert "0100007F" in listening
    assert listening <= {"0100007F", "0" * 24 + "01000000"}


@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="no IPv6 here")
def test_the_loopback_of_ipv6_is_served_too_where_there_is_one(served: int) -> None:
    try:
        with socket.create_connection(("::1", served), 5):
            pass
    except OSError:
        pytest.skip("no IPv6 loopback here")
    assert scraped(served, "[::1]")["vidik_spool_reports",] == 12


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b'{"time": 1}', b"\xff" * 99, b"x" * (1 << 17),
        b'{"time": 1, "state": "ok", "skipped": {"a\\nvidik_forged 1": 3}}',
        b'{"time": 1, "state": "ok", "skipped": {"BG123AB": 3}}',
        b'{"time": 1, "state": "ok", "fps": "fast"}',
        b'{"time": 1, "state": "o\xffk"}',
        b'{"time": 1, "state": "ok", "causes": ' + b"[" * 5000,
        b'{"time": 1, "state": "ok", "frames": 1e300}',
    ],
)  # fmt: skip
def test_a_health_that_is_none_leaves_the_rest(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "health.json").write_bytes(content)
    names = {metric.name for metric in Figuring(lambda: FIGURES, lambda: None, tmp_path).collect()}
    assert "vidik_spool_reports" in names
    assert "vidik_health" not in names
    assert "vidik_uplink_certificate_days" not in names


def test_without_a_health_there_are_the_uplinks_figures(tmp_path: Path) -> None:
    for notices in (None, tmp_path):
        names = {metric.name for metric in Figuring(lambda: FIGURES, lambda: 3, notices).collect()}
        assert "vidik_spool_reports" in names
        assert "vidik_health" not in names


def test_a_port_that_is_taken_does_not_stop_the_uplink(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        endpoint = Endpoint(other.getsockname()[1], Figuring(lambda: FIGURES, lambda: 3, None))
    assert "metrics-fail address=127.0.0.1" in caplog.text
    endpoint.close()


@settings(max_examples=200)
@given(st.lists(st.tuples(st.floats(0, 100), st.integers(1, 5), st.booleans()), max_size=60))
def test_the_age_of_the_oldest_report_is_what_it_is(steps: list[tuple[float, int, bool]]) -> None:
    """Against a list of all reports with their times."""
    now = 0.0
    ages, waiting, seq = Ages(lambda: now, None), [], 0
    for seconds, count, leaves in steps:
        now += seconds
        for _ in range(count):
            seq += 1
            waiting.append((Key(1, seq), now))
        ages.came(Key(1, seq))
        if leaves:
            del waiting[: 2 * count]
        oldest = waiting[0] if waiting else None
        assert ages.of(oldest[0] if oldest else None) == pytest.approx(now - oldest[1] if oldest else 0.0)


def test_reports_from_before_have_waited_since_the_start_at_least() -> None:
    now = 10.0
    ages = Ages(lambda: now, Key(3, 50))
    now = 15.0
    assert ages.of(Key(2, 7)) == 5.0
    ages.came(Key(4, 1))
    now = 16.0
    assert ages.of(Key(3, 50)) == 6.0
    assert ages.of(Key(4, 1)) == 1.0
    assert ages.of(None) == 0.0


def test_what_is_remembered_of_ages_is_bounded() -> None:
    now = 0.0
    ages = Ages(lambda: now, None)
    for seq in range(1, 10_000):
        now += 1
        ages.came(Key(1, seq))
    assert len(ages._keys) < 2048
    assert 9_000 < ages.of(Key(1, 1)) <= 9_999


@pytest.mark.parametrize("year", [2027, 2049, 2050, 2099])  # from 2050 on in another form
def test_the_end_of_a_certificate_is_read(year: int) -> None:
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([])
    end = datetime(year, 12, 31, 23, 59, 58, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 7, datetime(2026, 1, 1, tzinfo=UTC), end)
    der = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
    assert ends(der) == end.timestamp()
    for cut in range(0, len(der) - 80, 37):
        with pytest.raises(ValueError):
            ends(der[:cut])


def test_the_end_of_a_cameras_certificate_is_read() -> None:
    made = pki.issue_connection(pki.make_ca("Test"), "cam-1").certificate
    assert ends(made.public_bytes(Encoding.DER)) == made.not_valid_after_utc.timestamp()


@given(st.binary(max_size=300))
def test_what_is_no_certificate_is_an_error_and_no_crash(content: bytes) -> None:
    try:
        ends(content)
    except ValueError:
        return
    assert content
