"""The postbox: what other processes may state, and how it gets into the audit log though none of them is believed."""

from __future__ import annotations

import errno
import os
import pwd
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import msgspec
import pytest

from edge import durable
from edge.audit import Account, AuditError, collect, postbox, verify
from edge.audit.collect import AT_ONCE, LOOK, Collector
from edge.audit.limit import EACH_HOUR
from edge.audit.postbox import Post
from tests.audit_fakes import NOW, FakeClock, open_log


class Camera:
    """Audit log and postbox, put together as vision does it."""

    def __init__(self, folder, clock):
        self.folder, self.clock = folder, clock
        self.account = Account(open_log(folder / "audit", clock), clock)
        self.collector = Collector(folder / "events", self.account, clock)

    @property
    def box(self):
        return self.folder / "events"

    def look(self, seconds=LOOK):
        self.clock.now += seconds
        self.account.tick()
        self.collector.tick()

    def entries(self, *events):
        return [entry for entry in self.account.audit.entries() if entry.event in (events or postbox.OPEN)]

    def again(self):
        self.account.close()
        return Camera(self.folder, self.clock)

    def put(self, content, name="000000001-{id}.event"):
        """Puts a file there as a process may that does not use ``post``."""
        postbox.make(self.box)
        path = self.box / name.format(id=postbox.identity(content))
        path.write_bytes(content)
        return path

    def forge(self, event="update", facts=None, time=1000 * int(NOW), nonce="0" * 16):
        return self.put(msgspec.json.encode(Post(event=event, facts=facts or {}, time=time, nonce=nonce)))


@pytest.fixture
def camera(tmp_path):
    return Camera(tmp_path, FakeClock())


def test_what_was_posted_is_entered_in_order_with_its_time_its_user_and_its_id(camera, monkeypatch):
    monkeypatch.setattr("time.time", lambda: NOW - 500.25)
    ids = [postbox.post(camera.box, "provisioning", state=f"step {number}") for number in range(5)]
    ids.append(postbox.post(camera.box, "update", state="installed", software="1.2.3", reason="asked for"))
    camera.look()
    found = camera.entries()
    assert [entry.facts["state"] for entry in found] == [*(f"step {number}" for number in range(5)), "installed"]
    assert [entry.facts["post"] for entry in found] == ids
    assert {entry.facts["by"] for entry in found} == {pwd.getpwuid(os.getuid()).pw_name}
    assert found[-1].facts["software"] == "1.2.3"
    assert {entry.time for entry in found} == {1000 * int(NOW) - 500_250}
    assert list(camera.box.iterdir()) == []
    assert verify.examine(camera.folder / "audit", camera.account.audit.head()).problems == []


def test_what_was_posted_while_vision_did_not_run_is_entered_when_it_does(camera):
    posted = postbox.post(camera.box, "provisioning", state="ended")
    again = camera.again()
    again.look(0)
    assert [entry.facts["post"] for entry in again.entries()] == [posted]


def test_a_full_postbox_is_worked_off_bit_by_bit_and_in_order(camera):
    ids = [postbox.post(camera.box, "update", state=str(number)) for number in range(3 * AT_ONCE)]
    for ticks in (1, 2, 3):
        camera.look(0)
        assert len(list(camera.box.iterdir())) == (3 - ticks) * AT_ONCE
    assert [entry.facts["post"] for entry in camera.entries()] == ids[:EACH_HOUR]


def test_a_flood_does_not_push_the_past_out(camera):
    for number in range(3 * EACH_HOUR):
        postbox.post(camera.box, "update", state=str(number))
    for _ in range(3 * EACH_HOUR):
        camera.look(0)
    assert list(camera.box.iterdir()) == []
    assert len(camera.entries()) == EACH_HOUR
    camera.account.close()
    assert camera.entries("suppressed")[-1].facts == {"event": "update", "count": 2 * EACH_HOUR}


@pytest.mark.parametrize(
    ("event", "facts"),
    [
        ("grant-accepted", {"grant": "g-1"}),
        ("boot", {"boot": 1}),
        ("gossip", {}),
        ("update", {"plate": "BG123AB"}),
        ("update", {"state": 7}),
        ("update", {"state": b"template"}),
        ("update", {"by": "vidik-vision"}),
        ("update", {"post": "0" * 32}),
    ],
)
def test_other_processes_may_say_little(camera, event, facts):
    with pytest.raises(AuditError):
        postbox.post(camera.box, event, **facts)
    assert not camera.box.exists()


def test_a_long_reason_is_cut(camera):
    postbox.post(camera.box, "update", reason="ž" * 5000)
    camera.look()
    assert len(camera.entries()[0].facts["reason"]) == 160


def test_a_forged_acceptance_of_a_grant_is_refused(camera):
    path = camera.forge("grant-accepted", {"grant": "plates-1", "scope": "open"})
    camera.look()
    assert camera.entries("grant-accepted") == []
    assert "grant-accepted" in camera.entries("post-refused")[0].facts["reason"]
    assert not path.exists()


@pytest.mark.parametrize(
    "facts", [{"plate": "BG123AB"}, {"state": 3}, {"by": "vidik-update"}, {"post": "0" * 32}, {"reason": "x" * 3900}]
)
def test_forged_facts_are_refused_or_cut(camera, facts):
    camera.forge("update", facts)
    camera.look()
    assert all(set(entry.facts) <= {"reason", "post", "by"} for entry in camera.entries())
    assert all(len(str(fact)) <= 160 for entry in camera.entries() for fact in entry.facts.values())
    assert len(camera.entries("post-refused")) == ("reason" not in facts)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\xff\x00" * 40,
        b"[" * 4000,
        b"x" * 5000,
        b'{"event":"update","facts":{"state":"\xff"},"time":1,"nonce":"0000000000000000"}',
        b'{"event":"update","fa\xffcts":{},"time":1,"nonce":"0000000000000000"}',
        b'{"event":"update","facts":{"state":true},"time":1,"nonce":"0000000000000000"}',
        b'{"event":"update","facts":{},"time":-1,"nonce":"0000000000000000"}',
        b'{"event":"update","facts":{},"time":1e400,"nonce":"0000000000000000"}',
        b'{"event":"update","facts":{},"time":1,"nonce":"0000000000000000","more":1}',
    ],
)
def test_what_is_no_post_is_refused_and_the_rest_taken_in(camera, content):
    camera.put(content)
    posted = postbox.post(camera.box, "update", state="fetched")
    camera.look()
    assert [entry.facts["post"] for entry in camera.entries()] == [posted]
    assert len(camera.entries("post-refused")) == 1
    assert list(camera.box.iterdir()) == []


@pytest.mark.parametrize("name", ["README", "000000001.event", "1-{id}.event", "000000002-" + 32 * "0" + ".event"])
def test_a_wrong_name_is_refused(camera, name):
    camera.put(b"{}", name)
    camera.look()
    assert len(camera.entries("post-refused")) == 1
    assert list(camera.box.iterdir()) == []


def test_neither_links_nor_pipes_nor_folders_are_followed(camera, tmp_path):
    secret = tmp_path / "secret"
    content = msgspec.json.encode(Post(event="update", facts={}, time=0, nonce="0" * 16))
    secret.write_bytes(content)
    postbox.make(camera.box)
    name = f"{{}}-{postbox.identity(content)}.event"
    (camera.box / name.format("000000001")).symlink_to(secret)
    os.mkfifo(camera.box / name.format("000000002"))
    (camera.box / name.format("000000003")).mkdir()
    camera.look()
    assert camera.entries() == []
    assert len(camera.entries("post-refused")) == 3
    assert list(camera.box.iterdir()) == []
    assert secret.exists()


def test_what_cannot_be_removed_is_refused_once_and_in_nobodys_way(camera):
    stuck = camera.box / f"000000001-{'0' * 32}.event"
    (stuck / "inner").mkdir(parents=True)
    for _ in range(5):
        camera.look()
    assert len(camera.entries("post-refused")) == 1
    assert "cannot be removed" in camera.collector.trouble
    posted = postbox.post(camera.box, "update", state="fetched")
    camera.look()
    assert [entry.facts["post"] for entry in camera.entries()] == [posted]


def test_what_cannot_be_read_is_kept_and_taken_in_when_it_can(camera, monkeypatch):
    posted = postbox.post(camera.box, "update", state="fetched")
    real = os.open

    def deny(path, *rest, **options):
        if str(path).endswith(".event"):
            raise PermissionError(errno.EACCES, "Permission denied")
        return real(path, *rest, **options)

    with monkeypatch.context() as denied:
        denied.setattr(os, "open", deny)
        camera.look()
        camera.look()
    assert camera.entries() == []
    assert "cannot be read: Permission denied" in camera.collector.trouble
    again = camera.again()
    again.look()
    assert [entry.facts["post"] for entry in again.entries()] == [posted]
    assert again.collector.trouble == ""


def test_a_post_that_is_played_back_is_not_entered_again(camera):
    postbox.post(camera.box, "update", state="fetched")
    (path,) = camera.box.iterdir()
    content = path.read_bytes()
    camera.look()
    for again in (camera, camera.again()):
        again.put(content)
        again.look()
        assert len(again.entries()) == 1
        assert list(again.box.iterdir()) == []


def test_nothing_comes_from_the_future(camera):
    camera.forge(time=1000 * int(NOW) + 10**9)
    camera.look(7)
    assert camera.entries()[0].time == 1000 * (int(NOW) + 7)


def test_nothing_is_taken_in_while_the_log_cannot_be_kept(camera, monkeypatch):
    posted = postbox.post(camera.box, "update", state="fetched")
    with monkeypatch.context() as full:
        full.setattr(camera.account.audit, "append_at", _full)
        camera.look()  # it is entered, but only in memory
        assert not camera.account.whole
        second = postbox.post(camera.box, "update", state="installed")
        camera.look()
        assert len(list(camera.box.iterdir())) == 2
    camera.look(30)
    camera.look(30)
    assert [entry.facts["post"] for entry in camera.entries()] == [posted, second]
    assert list(camera.box.iterdir()) == []


def test_a_postbox_that_cannot_be_used_is_a_trouble_and_no_crash(camera):
    camera.box.write_text("in the way")
    camera.look()
    assert "no other process is heard" in camera.collector.trouble
    camera.box.unlink()
    postbox.post(camera.box, "update", state="fetched")
    camera.look()
    assert camera.collector.trouble == ""
    assert len(camera.entries()) == 1


def test_a_full_postbox_takes_no_more_and_says_so(camera, monkeypatch):
    monkeypatch.setattr(postbox, "MOST", 3)
    for _ in range(3):
        postbox.post(camera.box, "update", state="fetched")
    with pytest.raises(AuditError, match="full: 3 events wait"):
        postbox.post(camera.box, "update", state="fetched")


def test_a_disk_that_is_full_is_said_to_who_posts(camera, monkeypatch):
    monkeypatch.setattr(durable, "settle", _no_space)
    with pytest.raises(AuditError, match="No space left"):
        postbox.post(camera.box, "update", state="fetched")


def test_a_scan_of_a_flooded_folder_is_bounded(camera, monkeypatch):
    monkeypatch.setattr(postbox, "SCANNED", 5)
    for number in range(30):
        camera.put(b"x", f"rubbish {number}")
    camera.look()
    assert len(list(camera.box.iterdir())) == 25
    for _ in range(10):
        camera.look()
    assert list(camera.box.iterdir()) == []


def test_half_of_a_post_is_left_alone_and_later_swept_up(camera):
    postbox.make(camera.box)
    half = camera.box / f".000000001-{'0' * 32}.event.new"
    half.write_bytes(b'{"ev')
    camera.look()
    assert half.exists()
    os.utime(half, (1, 1))
    camera.look()
    assert not half.exists()
    assert camera.entries() == []


def test_only_the_group_reads_whatever_the_mask(camera):
    before = os.umask(0o077)
    try:
        postbox.post(camera.box, "update", state="fetched")
    finally:
        os.umask(before)
    (path,) = camera.box.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert path.stat().st_gid == camera.box.stat().st_gid
    assert stat.S_IMODE(camera.box.stat().st_mode) == 0o3770


@pytest.mark.skipif(os.getuid() != 0, reason="changing users needs root")
def test_another_user_of_the_group_posts_and_is_named_but_removes_nothing():
    with tempfile.TemporaryDirectory() as folder:  # nobody may not enter pytest's
        Path(folder).chmod(0o755)
        _two_users(Camera(Path(folder), FakeClock()))


def _two_users(camera):
    nobody, users = pwd.getpwnam("nobody"), pwd.getpwnam("daemon").pw_gid
    postbox.make(camera.box)
    os.chown(camera.box, -1, users)
    camera.box.chmod(0o3770)
    own = postbox.post(camera.box, "update", state="fetched")
    child = os.fork()
    if child == 0:
        done = 1
        try:
            os.setgroups([users])
            os.setgid(nobody.pw_gid)
            os.setuid(nobody.pw_uid)
            postbox.post(camera.box, "provisioning", state="began")
            for path in camera.box.glob("000000001-*"):
                try:
                    path.unlink()
                except PermissionError:
                    done = 0
        finally:
            os._exit(done)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    camera.look()
    assert camera.entries()[0].facts["post"] == own
    assert [entry.facts["by"] for entry in camera.entries()] == [pwd.getpwuid(0).pw_name, "nobody"]


def test_who_only_posts_loads_neither_cbor_nor_cryptography():
    code = "import sys, edge.audit.postbox; print({'cbor2', 'cryptography', 'edge.audit.log'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_the_newest_part_of_the_log_is_enough_to_know_what_was_taken_in(camera, monkeypatch):
    monkeypatch.setattr(camera.account.audit, "entries", _fail)
    assert list(collect._known(camera.account)) == []  # a duplicate can be told by its ID; a camera that stops is worse


def _full(*_):
    raise AuditError("full")


def _fail(*_):
    raise AuditError("unreadable")


def _no_space(*_):
    raise OSError(errno.ENOSPC, "No space left on device")
