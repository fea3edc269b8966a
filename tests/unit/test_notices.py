"""Card and audit head on their way from the vision process to the uplink."""

from __future__ import annotations

import os

import msgspec
import pytest

from edge.audit import Tally, verify
from edge.audit.tally import DAY
from edge.grant.document import Grant
from edge.notices import CARD, HEAD, HEAD_EVERY, RETRY, Notices
from edge.uplink import notices as uplink
from provisioning import statements
from tests.audit_fakes import CA, CAMERA, NOW, SIGNER, FakeClock, open_log

GRANT = Grant(
    id="g-1", serial=1, authority="A", legal_basis="B", purpose="C", reference="D", function="plates",
    cameras=(CAMERA,), not_before=int(NOW), not_after=int(NOW) + 9000, recipients=(b"\x07" * 32,), retention=3600,
    template_key=bytes(32), scope="open",
)  # fmt: skip


@pytest.fixture
def clock():
    clock = FakeClock()
    clock.now = NOW // DAY * DAY + DAY + 40_000  # late morning: no midnight near, and after the certificates' start
    return clock


@pytest.fixture
def stating(tmp_path, clock):
    log = open_log(tmp_path / "audit", clock)
    made = Notices(tmp_path / "public", log, clock, SIGNER, camera=CAMERA, software="vidik 1", models={"m": "ab" * 32})
    return made, log, tmp_path / "public"


def stated(folder):
    return statements.card.read((folder / CARD).read_bytes())[0]


def test_a_grant_shows_and_goes(stating):
    made, _, public = stating
    made.tick([])
    assert stated(public).functions == ()
    made.tick([GRANT])
    assert [grant.id for grant in stated(public).grants] == ["g-1"]
    made.tick([msgspec.structs.replace(GRANT, serial=2)])
    assert stated(public).grants[0].serial == 2
    made.tick([])
    assert stated(public).grants == ()


def test_nothing_is_written_without_news(stating):
    made, _, public = stating
    made.tick([GRANT])
    before = {path.name: path.stat().st_mtime_ns for path in public.iterdir()}
    for _ in range(5):
        made.tick([GRANT])
    assert {path.name: path.stat().st_mtime_ns for path in public.iterdir()} == before


def test_heads_follow_the_log_but_not_too_fast(stating, clock, tmp_path):
    made, log, public = stating
    made.tick([])
    first = (public / HEAD).read_bytes()
    log.append("stop", reason="x")
    made.tick([])
    assert (public / HEAD).read_bytes() == first
    clock.now += HEAD_EVERY
    made.tick([])
    later = (public / HEAD).read_bytes()
    assert later != first
    assert verify.examine(tmp_path / "audit", later).problems == []
    assert verify.examine(tmp_path / "audit", first).problems == []


def test_a_new_day_brings_the_counts_of_the_last(stating, clock):
    made, log, public = stating
    counts = Tally(log, clock)
    made.tick([])
    assert stated(public).counters.seen == {}
    counts.seen("plate", 12)
    counts.discarded("unsure", 5)
    clock.now += 3600
    counts.tick()
    made.tick([])
    assert stated(public).counters.seen == {}  # not before the day is over
    clock.now += DAY
    made.tick([])
    assert stated(public).counters.seen == {"plate": 12}
    assert stated(public).counters.discarded == {"unsure": 5}


def test_a_folder_that_cannot_be_written_is_said_and_tried_again(tmp_path, clock, caplog):
    (tmp_path / "public").write_text("in the way")
    log = open_log(tmp_path / "audit", clock)
    made = Notices(tmp_path / "public", log, clock, SIGNER, camera=CAMERA, software="v", models={})
    for _ in range(3):
        made.tick([])
    assert not made.kept
    assert caplog.text.count("cannot be written") == 1
    (tmp_path / "public").unlink()
    clock.now += RETRY
    made.tick([])
    assert made.kept
    assert stated(tmp_path / "public").functions == ()


def test_the_uplink_passes_on_what_is_new(stating):
    made, _, public = stating
    seen = uplink.Notices(public)
    assert seen.news() == []
    made.tick([])
    assert [notice.channel for notice in seen.news()] == ["card", "audit"]
    assert seen.news() == []
    made.tick([GRANT])
    (notice,) = seen.news()
    assert (notice.channel, notice.content_type) == ("card", "application/jose+json")
    assert statements.check_card(notice.content, CA.certificate).functions == ("plates",)
    (public / "update.json").write_text("{}")
    (notice,) = seen.news()
    assert (notice.channel, notice.content_type) == ("update", "application/json")
    seen.forget()
    assert len(seen.news()) == 3


@pytest.mark.parametrize("obstacle", ["link", "pipe", "huge", "folder"])
def test_the_uplink_reads_plain_small_files_only(tmp_path, obstacle):
    path = tmp_path / CARD
    (tmp_path / "secret").write_text("secret")
    match obstacle:
        case "link":
            path.symlink_to(tmp_path / "secret")
        case "pipe":
            os.mkfifo(path)
        case "huge":
            path.write_bytes(bytes(uplink.LARGEST + 1))
        case "folder":
            path.mkdir()
    assert uplink.Notices(tmp_path).news() == []
