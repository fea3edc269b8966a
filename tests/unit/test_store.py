"""The life of a grant on a camera: arrival, replacement, end; by hand, by the uplink, and across restarts."""

from __future__ import annotations

import logging
import os

import pytest

from edge.errors import VidikError
from edge.grant import document, intake, ledger, trust
from edge.grant.gate import Reason
from edge.grant.store import LEDGER, TRUST, GrantStore
from edge.grant.trust import Rules, TrustError
from tests import law
from tests.law import AUTHORITY, DAY, FACES, NOW, OPERATOR, PEOPLE, SUCCESSOR, Book, changed, digest, make, person


class Rig:
    """A camera's folders; ``start`` is a start of the camera."""

    def __init__(self, folder):
        self.hand, self.incoming, self.state = folder / "grants", folder / "incoming", folder / "state"
        for place in (self.hand, self.incoming, self.state):
            place.mkdir()
        self.book, self.ended = Book(), []
        self.start()

    def start(self, trusted=law.TRUST):
        self.store = GrantStore(
            self.hand, trusted, law.CAMERA, state=self.state, incoming=self.incoming, journal=self.book
        )
        self.store.closed.append(lambda grant: self.ended.append(grant.id))
        return self.store

    def held(self, now=NOW):
        for _ in range(1 + len(list(self.incoming.iterdir()))):  # one incoming file is worked off at a time
            terms = self.store.terms(now)
        return {t.grant.id: t.grant.serial for t in terms}

    def by_hand(self, grant, name=None, signers=(AUTHORITY, OPERATOR)):
        path = self.hand / f"{name or grant.id}.grant"
        path.write_bytes(document.sign(grant, signers))
        return path

    def by_uplink(self, content, suffix="grant"):
        path = self.incoming / f"{len(list(self.incoming.iterdir()))}.{suffix}"
        path.write_bytes(content)
        return path


@pytest.fixture
def rig(tmp_path):
    return Rig(tmp_path)


def revocation(serial=1, grant="plates-1", signers=(OPERATOR,)):
    revoked = document.Revocation(grant=grant, serial=serial, reason="found", time=NOW)
    return document.sign_revocation(revoked, signers)


def test_the_store_says_why_nothing_is_reported(tmp_path, caplog):
    caplog.set_level(logging.WARNING)
    store = GrantStore(tmp_path, law.TRUST, law.CAMERA)
    assert store.terms(NOW) == []
    assert "no valid grant" in caplog.text
    signed = document.sign(make(), [AUTHORITY])
    (tmp_path / "a.grant").write_bytes(signed[:-1])
    assert store.terms(NOW) == []
    assert "a.grant refused" in caplog.text
    (tmp_path / "a.grant").write_bytes(signed)
    assert [t.grant.id for t in store.terms(NOW)] == ["plates-1"]
    assert "in force" in caplog.text
    assert store.terms(NOW + 4000) == []
    assert "grant plates-1 serial 1: grant expired" in caplog.text


def test_accepted_by_hand_and_by_uplink(rig):
    kept = rig.by_hand(make())
    rig.by_uplink(document.sign(make(**FACES), [AUTHORITY, OPERATOR]))
    assert rig.held() == {"plates-1": 1, "faces-1": 1}
    assert kept.exists()
    assert list(rig.incoming.iterdir()) == []
    assert (rig.hand / "faces-1.1.grant").exists()
    accepted = {facts["grant"]: facts["until"] for facts in rig.book.of("grant-accepted")}
    assert accepted == {"plates-1": NOW + 3600, "faces-1": NOW + 3600}
    assert {facts["grant"] for facts in rig.book.of("grant-began")} == set(accepted)
    count = len(rig.book.entries)
    rig.start()
    assert rig.held() == {"plates-1": 1, "faces-1": 1}
    assert set(rig.book.names()[count:]) == {"trust", "grant-began"}  # a restart accepts nothing new


@pytest.mark.parametrize("origin", ["hand", "uplink"])
def test_a_higher_serial_takes_the_place_and_the_older_never_returns(rig, origin):
    one, two = make(), make(serial=2, purpose="find another car")

    def bring(grant, name):
        if origin == "hand":
            return rig.by_hand(grant, name)
        return rig.by_uplink(document.sign(grant, [AUTHORITY]))

    old = bring(one, "old")
    rig.held()
    before = rig.store.terms(NOW)[0]
    bring(two, "young")
    assert rig.held() == {"plates-1": 2}
    assert before.closed is Reason.SUPERSEDED
    assert not old.exists()
    assert len(list(rig.hand.glob("*.grant"))) == 1
    assert rig.book.of("grant-superseded")[0]["serial"] == 1
    bring(one, "old")
    assert rig.held() == {"plates-1": 2}
    assert "older than" in rig.book.of("grant-refused")[-1]["reason"]
    for path in rig.hand.glob("*.grant"):  # even when the newer one is gone
        path.unlink()
    bring(one, "old")
    rig.start()
    assert rig.held() == {}


@pytest.mark.parametrize("early", [False, True])
def test_revoked_is_wiped_at_once_and_stays_so(rig, early):
    if early:  # the revocation may overtake the grant
        rig.by_uplink(revocation(), "revocation")
        assert rig.held() == {}
    rig.by_hand(make(scope="listed", plates=(digest(bytes(32)),)))
    if not early:
        assert rig.held() == {"plates-1": 1}
        before = rig.store.terms(NOW)[0]
        rig.by_uplink(revocation(), "revocation")
    assert rig.held() == {}
    assert early or (before.closed, before.plates, any(before.key)) == (Reason.REVOKED, set(), False)
    assert early or rig.ended == ["plates-1"]
    assert early or rig.book.of("wiped")[0]["count"] == 1
    assert rig.book.of("grant-revoked")
    assert list(rig.hand.iterdir()) == []
    rig.start()
    rig.by_hand(make())
    assert rig.held() == {}
    assert "was revoked" in rig.book.of("grant-refused")[-1]["reason"]
    rig.by_hand(make(serial=2))
    assert rig.held() == {"plates-1": 2}


def test_a_revocation_by_hand_that_stays_there_is_no_news(rig):
    (rig.hand / "r.revocation").write_bytes(revocation())
    rig.by_hand(make(serial=2))
    assert rig.held() == {"plates-1": 2}
    rig.start()
    assert rig.held() == {"plates-1": 2}
    assert len(rig.book.of("grant-revoked")) == 1


def test_a_stranger_revokes_nothing(rig):
    rig.by_hand(make())
    rig.by_uplink(revocation(signers=[law.STRANGER]), "revocation")
    assert rig.held() == {"plates-1": 1}
    assert "No signer" in rig.book.of("grant-refused")[-1]["reason"]


def test_expired_is_wiped_at_the_first_frame_and_stays_so_whatever_the_clock_says(rig):
    path = rig.by_hand(make(**FACES))
    assert rig.held(NOW + 3599.9) == {"faces-1": 1}
    before = rig.store.terms(NOW + 3599.9)[0]
    assert rig.store.terms(NOW + 3600.0) == []
    assert (before.closed, before.entries) == (Reason.EXPIRED, ())
    assert not path.exists()
    assert [name for name in rig.book.names() if name.startswith(("grant-exp", "wiped"))] == ["grant-expired", "wiped"]
    rig.by_hand(make(**FACES))
    assert rig.held(NOW) == {}
    rig.start()
    assert rig.held(NOW) == {}
    assert "is over" in rig.book.of("grant-refused")[-1]["reason"]


def test_what_expired_while_the_camera_was_off_is_wiped_at_the_start(rig):
    path = rig.by_hand(make())
    rig.held()
    rig.start()
    assert rig.held(NOW + DAY) == {}
    assert rig.book.of("grant-expired")
    assert not path.exists()


@pytest.mark.parametrize(
    ("grant", "cause"),
    [
        (make(not_after=NOW - 1, not_before=NOW - 2), "has expired"),
        (make(cameras=("cam-2",)), "for another camera"),
        (make(**FACES, cameras=("cam-2",)), "for another camera"),
    ],
)
def test_what_cannot_apply_here_is_refused(rig, grant, cause):
    rig.by_uplink(document.sign(grant, [AUTHORITY, OPERATOR]))
    assert rig.held() == {}
    assert cause in rig.book.of("grant-refused")[0]["reason"]
    assert list(rig.hand.iterdir()) == []


def test_one_id_and_serial_is_one_grant(rig):
    rig.by_hand(make(), "a")
    assert rig.held() == {"plates-1": 1}
    rig.by_hand(make(), "copy")  # the same again is fine, signed anew or not
    rig.by_hand(make(retention=7200), "b")
    assert rig.held() == {"plates-1": 1}
    assert rig.store.terms(NOW)[0].grant.retention == 3600
    assert "something else" in rig.book.of("grant-refused")[0]["reason"]
    rig.by_hand(make(**{**FACES, "id": "plates-1", "serial": 2}), "c")
    assert rig.held() == {"plates-1": 1}
    assert "this id is of a grant for plates" in rig.book.of("grant-refused")[1]["reason"]


def test_removing_the_file_withdraws_the_grant(rig):
    path = rig.by_hand(make())
    rig.held()
    before = rig.store.terms(NOW)[0]
    content = path.read_bytes()
    path.unlink()
    assert rig.held() == {}
    assert before.closed is Reason.WITHDRAWN
    path.write_bytes(content)
    assert rig.held() == {"plates-1": 1}
    path.write_bytes(content[:-1])
    assert rig.held() == {}
    path.write_bytes(document.sign(make(id="plates-2"), [AUTHORITY]))
    assert rig.held() == {"plates-2": 1}
    path.write_bytes(document.sign(make(id="plates-3"), [AUTHORITY]))
    assert rig.held() == {"plates-3": 1}


def test_unchanged_grants_keep_their_terms(rig):
    rig.by_hand(make())
    before = rig.store.terms(NOW)[0]
    rig.by_hand(make(id="plates-2"))
    assert rig.store.terms(NOW)[0] is before


FOLLOWING = changed(
    law.TRUST, version=2, signer=(PEOPLE[0], person("S. Successor", "operator", SUCCESSOR)),
    faces=Rules(7, law.TRUST.change, law.TRUST.change),
)  # fmt: skip


@pytest.mark.parametrize("origin", ["hand", "uplink"])
def test_a_new_trust_file_takes_effect_and_survives(rig, origin):
    rig.by_hand(make(**FACES))
    rig.by_hand(make())
    assert set(rig.held()) == {"faces-1", "plates-1"}
    signed = trust.sign(FOLLOWING, [AUTHORITY, OPERATOR, SUCCESSOR])
    if origin == "hand":
        (rig.hand / "2.trust").write_bytes(signed)
    else:
        rig.by_uplink(signed, "trust")
    assert set(rig.held()) == {"plates-1"}  # the faces' operator is no longer one
    assert rig.ended == ["faces-1"]
    assert [facts["version"] for facts in rig.book.of("trust")] == [1, 2]
    assert rig.start().trust == FOLLOWING
    assert set(rig.held()) == {"plates-1"}
    rig.by_uplink(trust.sign(law.TRUST, [AUTHORITY, OPERATOR]), "trust")  # back to the first: refused
    rig.held()
    assert rig.store.trust == FOLLOWING
    assert len(rig.book.of("trust-refused")) == 1
    assert rig.start(changed(law.TRUST, version=3)).trust.version == 3  # provisioned again by hand


def test_when_the_trust_file_expires_nothing_holds_until_the_next_one(rig):
    short = changed(law.TRUST, expires=NOW + 100)
    rig.start(short)
    path = rig.by_hand(make())
    assert rig.held(NOW + 99) == {"plates-1": 1}
    assert rig.held(NOW + 100) == {}
    assert rig.book.of("grant-revoked")[0]["reason"] == "trust file expired"
    assert path.exists()
    rig.by_hand(make(id="plates-2"))
    assert rig.held(NOW + 100) == {}
    assert "has expired" in rig.book.of("grant-refused")[0]["reason"]
    rig.by_uplink(trust.sign(changed(short, version=2, expires=NOW + DAY), [AUTHORITY, OPERATOR]), "trust")
    assert rig.held(NOW + 101) == {"plates-1": 1, "plates-2": 1}


def test_a_grant_held_gets_the_new_trust_files_end(rig):
    rig.by_hand(make())
    rig.held()
    later = changed(law.TRUST, version=2, expires=law.TRUST.expires + DAY)
    rig.by_uplink(trust.sign(later, [AUTHORITY, OPERATOR]), "trust")
    rig.held()
    assert rig.store.terms(NOW)[0].trust_expires == later.expires


def test_what_is_no_plain_file_is_not_read(rig, tmp_path):
    os.mkfifo(rig.incoming / "a.grant")
    (tmp_path / "secret").write_text("x")
    (rig.incoming / "b.grant").symlink_to(tmp_path / "secret")
    (rig.incoming / "c.grant").mkdir()
    (rig.incoming / "d.grant").write_bytes(b"")
    with (rig.incoming / "e.grant").open("wb") as huge:
        huge.truncate(1 << 40)
    (rig.incoming / "half.grant.new").write_bytes(b"being written")
    assert rig.held() == {}
    reasons = [facts["reason"] for facts in rig.book.of("grant-refused")]
    assert [reason[:7] for reason in reasons] == ["Not a s", "e.grant"]
    assert {path.name[0] for path in rig.incoming.iterdir()} == set("abch")  # left alone
    for name in "abc":  # and if one takes the place of a file at the last moment
        with pytest.raises(document.GrantError, match=r"plain file|cannot be read"):
            intake.read(rig.incoming / f"{name}.grant")
    assert (tmp_path / "secret").read_text() == "x"


def test_a_flood_is_worked_off_one_at_a_time_and_said_in_bounds(rig):
    for number in range(200):
        (rig.incoming / f"{number:03}.grant").write_bytes(b"junk %d" % number)
    rig.store.terms(NOW)
    assert len(list(rig.incoming.iterdir())) == 199
    rig.held()
    assert list(rig.incoming.iterdir()) == []


def test_names_cannot_forge_log_lines(rig, caplog):
    (rig.incoming / "x\nWARNING grant evil in force.grant").write_bytes(b"")
    rig.held()
    assert all("\n" not in record.getMessage() for record in caplog.records)


def test_the_record_must_be_readable_and_is_bounded(rig, monkeypatch):
    rig.by_hand(make())
    rig.held()
    monkeypatch.setattr(ledger, "MOST", 1)
    rig.by_uplink(document.sign(make(id="plates-2"), [AUTHORITY]))
    assert rig.held() == {"plates-1": 1}
    assert "is full" in rig.book.of("grant-refused")[0]["reason"]
    (rig.state / LEDGER).write_text("{")
    with pytest.raises(VidikError, match="Provision"):
        rig.start()


def test_a_damaged_trust_file_stops_the_camera(rig):
    (rig.state / TRUST).write_bytes(b"no trust")
    with pytest.raises(document.GrantError):
        rig.start()
    (rig.state / TRUST).unlink()
    (rig.state / TRUST).mkdir()
    with pytest.raises(TrustError, match="Provision"):
        rig.start()


def test_a_folder_that_cannot_be_written_refuses_but_does_not_break(rig):
    rig.hand.rmdir()
    rig.hand.write_text("no folder")
    rig.by_uplink(document.sign(make(), [AUTHORITY]))
    assert rig.held() == {}
    assert rig.book.entries[1:] == []  # not refused: it waits
    rig.hand.unlink()
    assert rig.held(NOW + 2) == {"plates-1": 1}
