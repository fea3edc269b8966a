"""Trust files: whose signatures count for what, and how trust passes on."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from edge.grant import document, trust
from edge.grant.document import GrantError
from edge.grant.trust import Rule, Rules, TrustError
from tests.law import (
    AUTHORITY,
    DAY,
    FACES,
    NOW,
    OPERATOR,
    PEOPLE,
    STRANGER,
    SUCCESSOR,
    TRUST,
    changed,
    entry,
    make,
    person,
)  # fmt: skip

OPEN_FACES = {**FACES, "scope": "open", "faces": ()}


@pytest.mark.parametrize(
    ("grant", "signers", "cause"),
    [
        (make(), [STRANGER], "No signer"),
        (make(), [], "No signer"),
        (make(), [OPERATOR], "0 of 1 signatures needed from the role authority"),
        (make(**FACES), [AUTHORITY], "0 of 1 signatures needed from the role operator"),
        (make(**FACES), [AUTHORITY, AUTHORITY, STRANGER], "role operator"),
        (make(**OPEN_FACES), [AUTHORITY, OPERATOR], "rules out"),
        (make(not_after=NOW + 366 * DAY), [AUTHORITY], "longer than the 365 days"),
        (make(**{**FACES, "not_after": NOW + 31 * DAY}), [AUTHORITY, OPERATOR], "longer than the 30 days"),
        (make(**{**FACES, "faces": (entry("p-1", 1, 0.2),)}), [AUTHORITY, OPERATOR], "threshold below 0.9"),
    ],
)
def test_refused_with_the_cause(grant, signers, cause):
    with pytest.raises(GrantError, match=cause):
        trust.verify(document.sign(grant, signers), TRUST)


def test_strangers_may_sign_too_but_do_not_count():
    grant = make(**FACES)
    assert trust.verify(document.sign(grant, [STRANGER, AUTHORITY, OPERATOR]), TRUST) == grant


def test_open_faces_only_where_the_deployment_allows_them():
    grant = make(**OPEN_FACES)
    relaxed = changed(TRUST, open_faces=True)
    assert trust.verify(document.sign(grant, [AUTHORITY, OPERATOR]), relaxed) == grant


def test_thresholds_differ_by_scope():
    strict = changed(TRUST, plates=Rules(open=Rule(1, 1)))
    listed, every = make(scope="listed"), make()
    assert trust.verify(document.sign(listed, [AUTHORITY]), strict) == listed
    with pytest.raises(GrantError, match="role operator"):
        trust.verify(document.sign(every, [AUTHORITY]), strict)
    assert trust.verify(document.sign(every, [AUTHORITY, OPERATOR]), strict) == every


@pytest.mark.parametrize("signers", [[STRANGER], []])
def test_a_revocation_needs_one_of_us(signers):
    revocation = document.Revocation(grant="plates-1", serial=1, reason="", time=NOW)
    with pytest.raises(GrantError, match="No signer"):
        trust.verify_revocation(document.sign_revocation(revocation, signers), TRUST)


NEXT = changed(TRUST, version=2, signer=(PEOPLE[0], person("S. Successor", "operator", SUCCESSOR)))


def test_trust_passes_on_when_old_and_new_agree():
    assert trust.successor(trust.sign(NEXT, [AUTHORITY, OPERATOR, SUCCESSOR]), TRUST) == NEXT
    assert trust.reload(trust.sign(NEXT, [AUTHORITY, SUCCESSOR])) == NEXT


@pytest.mark.parametrize(
    ("following", "signers", "cause"),
    [
        (NEXT, [AUTHORITY, SUCCESSOR], "role operator"),  # the old operator did not agree
        (NEXT, [AUTHORITY, OPERATOR], "role operator"),  # the new one did not
        (NEXT, [STRANGER, SUCCESSOR], "role authority"),
        (changed(NEXT, version=1), [AUTHORITY, OPERATOR, SUCCESSOR], "2 comes next"),
        (changed(NEXT, version=3), [AUTHORITY, OPERATOR, SUCCESSOR], "2 comes next"),
    ],
)
def test_trust_does_not_pass_on(following, signers, cause):
    with pytest.raises(GrantError, match=cause):
        trust.successor(trust.sign(following, signers), TRUST)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"signer": PEOPLE[:1]}, "asks for 1 of the role operator and names 0"),
        ({"signer": (*PEOPLE, person("Twice", "operator", OPERATOR))}, "twice"),
        ({"signer": (*PEOPLE, changed(PEOPLE[0], key=person("x", "operator", STRANGER).key))}, "twice"),
        ({"faces": Rules(30, Rule(1, 0), Rule(1, 1))}, "authority alone allow faces"),
        ({"faces": Rules(30, Rule(1, 1), Rule(1, 0))}, "authority alone allow faces"),
        ({"plates": Rules(listed=Rule(2))}, "asks for 2"),
        ({"plates": Rules(days=4000)}, "schema"),
        ({"plates": Rules(listed=Rule(0))}, "schema"),
        ({"open_faces": True, "faces": Rules(30, Rule(1, 1), Rule(3, 1))}, "asks for 3"),
        ({"version": 0}, "schema"),
        ({"lowest_threshold": 0.0}, "schema"),
        ({"signer": (*PEOPLE, trust.Person("X", "operator", "bm8ga2V5"))}, "cannot be read"),
        ({"signer": (*PEOPLE, person("P", "operator", ec.generate_private_key(ec.SECP384R1())))}, "not a P-256"),
    ],
)
def test_an_unsound_trust_file_is_refused(changes, cause):
    with pytest.raises(TrustError, match=cause):
        trust.decode(trust.encode(changed(TRUST, **changes)))


TEXT = """expires = {expires}
open_faces = false
[[signer]]
name = "A. Authority"
role = "authority"
key = "{authority}"
[[signer]]
name = "O. Operator"
role = "operator"
key = "{operator}"
[faces]
days = 7
listed = {{ authority = 1, operator = 1 }}
open = {{ authority = 1, operator = 1 }}
"""


def test_the_first_trust_file_is_written_by_hand(tmp_path):
    path = tmp_path / "trust.toml"
    for expires in ("1795000000", "2026-11-18T11:06:40Z"):
        path.write_text(TEXT.format(expires=expires, authority=PEOPLE[0].key, operator=PEOPLE[1].key))
        loaded = trust.load(path)
        assert (loaded.expires, loaded.version, loaded.faces.days, loaded.plates.days) == (1795000000, 1, 7, 365)
        assert trust.decode(trust.encode(loaded)) == loaded
    without_counts = TEXT.format(expires=1, authority=PEOPLE[0].key, operator=PEOPLE[1].key).partition("listed")[0]
    for more, listed in (("", Rule(1, 1)), ("listed = { authority = 1 }\n", Rule(1, 1)), ("listed = {}", Rule(1, 1))):
        path.write_text(without_counts + more)
        assert trust.load(path).faces == Rules(7, listed, Rule(1, 1))
    path.write_text(without_counts + "listed = { authority = 1, operator = 0 }")
    with pytest.raises(TrustError, match="authority alone"):
        trust.load(path)
    for broken in ("", "expires = 2026-11-18", TEXT.format(expires='"soon"', authority="", operator=""), "\xff"):
        path.write_text(broken, encoding="latin-1")
        with pytest.raises(TrustError, match=r"trust\.toml"):
            trust.load(path)
    with pytest.raises(TrustError, match="Provision"):
        trust.load(tmp_path / "none.toml")
