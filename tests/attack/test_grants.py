"""Attempts to make a camera report what nobody may have reported, through its grants, its trust and its clock.

Every attack ends at the same place: an object in front of the camera, and nothing reported about it.
"""

from __future__ import annotations

import cbor2
import pytest

from edge import clock
from edge.grant import document, gate, signed, trust
from edge.grant.document import ListedFace, Revocation
from edge.grant.gate import Permit
from edge.grant.signed import Kind
from edge.grant.store import GrantStore
from tests import law
from tests.law import (
    AUTHORITY,
    CAMERA,
    DAY,
    FACES,
    NOW,
    OPERATOR,
    PLATE,
    STRANGER,
    TRUST,
    Book,
    FakeClock,
    changed,
    make,
    template,
)  # fmt: skip

SEEN = (PLATE, template(1), template(9))


class Camera:
    """A camera with its grants and its clock; ``reported`` is what it would say of everything in ``SEEN``."""

    def __init__(self, folder):
        self.folder, self.book, self.clock = folder, Book(), FakeClock()
        for place in ("grants", "incoming", "state"):
            (folder / place).mkdir()
        clock.record(folder / "state" / "newest", NOW - 10)
        self.boot()

    def boot(self, synchronised=True):
        state = self.folder / "state"
        self.keeper = clock.Timekeeper(self.clock, state / "newest", self.book, lambda: synchronised)
        self.store = GrantStore(
            self.folder / "grants", TRUST, CAMERA,
            state=state, incoming=self.folder / "incoming", journal=self.book,
        )  # fmt: skip

    def receives(self, content, suffix="grant"):
        (self.folder / "incoming" / f"x.{suffix}").write_bytes(content)
        self.reported()

    def reported(self):
        trusted = self.keeper.tick()
        terms = self.store.terms(self.clock.now)
        decisions = [gate.decide(seen, each, CAMERA, self.clock.now) for seen in SEEN for each in terms]
        return [d.seen for d in decisions if isinstance(d, Permit)] if trusted else []

    def reason(self):
        return self.book.of("grant-refused")[-1]["reason"]


@pytest.fixture
def camera(tmp_path):
    return Camera(tmp_path)


def test_the_honest_case_reports(camera):
    camera.receives(document.sign(make(**FACES), [AUTHORITY, OPERATOR]))
    assert len(camera.reported()) == 1
    camera.receives(document.sign(make(), [AUTHORITY]))
    assert len(camera.reported()) == 2


@pytest.mark.parametrize(
    ("grant", "signers", "reason"),
    [
        (make(), [STRANGER], "No signer"),  # forged, or signed by oneself
        (make(), [], "No signer"),  # not signed at all
        (make(), [OPERATOR], "role authority"),  # too few
        (make(**FACES), [AUTHORITY], "role operator"),
        (make(**FACES), [AUTHORITY, STRANGER], "role operator"),
        (make(cameras=("cam-2",)), [AUTHORITY], "another camera"),
        (make(not_before=NOW - 9, not_after=NOW - 1), [AUTHORITY], "has expired"),
        (make(not_after=NOW + 366 * DAY), [AUTHORITY], "longer than"),
        (make(**{**FACES, "not_after": NOW + 31 * DAY}), [AUTHORITY, OPERATOR], "longer than"),
        (make(**{**FACES, "scope": "open", "faces": ()}), [AUTHORITY, OPERATOR], "rules out"),
        # an open list in disguise: a threshold that everybody reaches, a template that is similar to everybody
        (make(**{**FACES, "faces": (law.entry("p-1", 1, 0.01),)}), [AUTHORITY, OPERATOR], "threshold"),
        (make(**{**FACES, "faces": (ListedFace("p-1", b"\x50" * 128, 1.0, 0.95),)}), [AUTHORITY, OPERATOR], "length 1"),
        (make(recipients=(bytes(32),)), [AUTHORITY], "key that cannot be used"),
    ],
)
def test_a_grant_that_does_not_count(camera, grant, signers, reason):
    camera.receives(document.sign(grant, signers))
    assert camera.reported() == []
    assert reason in camera.reason()


def test_truncated_anywhere(camera):
    whole = document.sign(make(), [AUTHORITY])
    for end in range(0, len(whole), 7):
        camera.receives(whole[:end])
    camera.receives(whole[:-1])
    camera.receives(whole + b"\0")
    assert camera.reported() == []


def test_signatures_moved_to_another_grant(camera):
    real, wish = cbor2.loads(document.sign(make(cameras=("cam-2",)), [AUTHORITY])), document.encode(make())
    real.value[2] = wish
    camera.receives(cbor2.dumps(real))
    assert "does not hold" in camera.reason()
    assert camera.reported() == []


def test_resigned_by_somebody_else_beside_the_old_signatures(camera):
    real = document.sign(make(cameras=("cam-2",)), [AUTHORITY])
    wish = signed.add(signed.draft(document.encode(make()), Kind.GRANT), Kind.GRANT, STRANGER)
    mixed = cbor2.loads(wish)
    mixed.value[3] += cbor2.loads(real).value[3]
    camera.receives(cbor2.dumps(mixed))
    assert camera.reported() == []


def test_a_strangers_signature_under_the_authoritys_name(camera):
    forged, real = (cbor2.loads(document.sign(make(), [key])) for key in (STRANGER, AUTHORITY))
    real.value[3][0][2] = forged.value[3][0][2]
    camera.receives(cbor2.dumps(real))
    assert "does not hold" in camera.reason()
    assert camera.reported() == []


@pytest.mark.parametrize("kind", [Kind.REVOCATION, Kind.TRUST])
def test_a_document_of_one_kind_passed_off_as_another(camera, kind):
    body = signed.draft(document.encode(make()), kind)
    for key in (AUTHORITY, OPERATOR):
        body = signed.add(body, kind, key)
    camera.receives(body)
    disguised = cbor2.loads(body)
    disguised.value[0] = cbor2.dumps({3: str(Kind.GRANT)})
    camera.receives(cbor2.dumps(disguised))
    assert camera.reported() == []


def test_a_grant_for_plates_turned_into_one_for_faces(camera):
    camera.receives(document.sign(make(), [AUTHORITY]))
    assert camera.reported() == [PLATE]
    turned = make(function="faces", serial=2)
    original = cbor2.loads(document.sign(make(serial=2), [AUTHORITY]))
    original.value[2] = document.encode(turned)
    camera.receives(cbor2.dumps(original))  # the signature no longer holds
    camera.receives(document.sign(turned, [AUTHORITY, OPERATOR]))  # an id keeps its function
    camera.receives(document.sign(changed(turned, id="other"), [AUTHORITY]))  # too few for faces
    assert camera.reported() == [PLATE]


def test_an_old_grant_played_back(camera):
    wide, narrow = make(), make(serial=2, scope="listed", plates=(law.digest(bytes(32), "NS001AA"),))
    camera.receives(document.sign(wide, [AUTHORITY]))
    camera.receives(document.sign(narrow, [AUTHORITY]))
    assert camera.reported() == []
    for _ in range(2):
        camera.receives(document.sign(wide, [AUTHORITY]))
        assert "older than" in camera.reason()
        assert camera.reported() == []
        camera.boot()


def test_a_revoked_grant_played_back(camera):
    whole = document.sign(make(), [AUTHORITY])
    camera.receives(whole)
    revoked = Revocation(grant="plates-1", serial=1, reason="", time=NOW)
    camera.receives(document.sign_revocation(revoked, [OPERATOR]), "revocation")
    for _ in range(2):
        camera.receives(whole)
        assert "was revoked" in camera.reason()
        assert camera.reported() == []
        camera.boot()


@pytest.mark.parametrize("reboot", [False, True])
def test_the_clock_set_back_does_not_revive_an_expired_grant(camera, reboot):
    whole = document.sign(make(), [AUTHORITY])
    camera.receives(whole)
    camera.clock.pass_time(3600)
    assert camera.reported() == []
    camera.clock.now = NOW  # by a forged time server, so even "synchronised"
    if reboot:
        camera.boot()
    camera.receives(whole)
    assert camera.reported() == []
    assert not camera.keeper.trusted
    assert "is over" in camera.reason()
    states = [facts["state"] for facts in camera.book.of("clock")]
    assert states[-1] == "locked"
    assert reboot or "jump" in states


def test_the_clock_set_back_within_a_grant_locks_the_camera(camera):
    camera.receives(document.sign(make(not_before=NOW - 5 * DAY, not_after=NOW + DAY), [AUTHORITY]))
    assert camera.reported() == [PLATE]
    camera.clock.now -= DAY
    assert camera.reported() == []
    camera.clock.pass_time(DAY)
    assert camera.reported() == [PLATE]


def test_the_clock_set_forward_ends_a_grant_and_lengthens_none(camera):
    camera.receives(document.sign(make(), [AUTHORITY]))
    camera.receives(document.sign(make(id="later", not_before=NOW + 2 * DAY, not_after=NOW + 3 * DAY), [AUTHORITY]))
    camera.clock.now += DAY
    assert camera.reported() == []
    camera.clock.now -= DAY
    assert camera.reported() == []
    assert [facts["milliseconds"] for facts in camera.book.of("clock") if facts["state"] == "jump"] == [
        DAY * 1000, -DAY * 1000
    ]  # fmt: skip


def test_a_camera_that_never_knew_the_time_reports_nothing(tmp_path):
    camera = Camera(tmp_path)
    (tmp_path / "state" / "newest").unlink()
    camera.boot(synchronised=False)
    camera.receives(document.sign(make(), [AUTHORITY]))
    assert camera.reported() == []


def test_trust_cannot_be_taken_over_rolled_back_or_skipped(camera):
    mine = changed(TRUST, version=2, open_faces=True, signer=(*TRUST.signer, law.person("Me", "authority", STRANGER)))
    for following, signers in (
        (mine, [STRANGER]),
        (mine, [STRANGER, OPERATOR]),
        (mine, [AUTHORITY, STRANGER]),
        (changed(mine, version=3), [AUTHORITY, OPERATOR]),
        (changed(mine, version=1), [AUTHORITY, OPERATOR]),
    ):
        camera.receives(trust.sign(following, signers), "trust")
        assert camera.store.trust == TRUST
    second = changed(TRUST, version=2)
    camera.receives(trust.sign(second, [AUTHORITY, OPERATOR]), "trust")
    assert camera.store.trust == second
    camera.boot()
    camera.receives(trust.sign(TRUST, [AUTHORITY, OPERATOR]), "trust")
    assert camera.store.trust == second


def test_an_expired_trust_file_cannot_be_kept_in_use_by_withholding_the_next(camera):
    camera.receives(document.sign(make(not_after=NOW + 300 * DAY), [AUTHORITY]))
    camera.store.trust = changed(TRUST, expires=NOW + 100)
    camera.clock.pass_time(99)
    assert camera.reported() == [PLATE]
    camera.clock.pass_time(1)
    assert camera.reported() == []
