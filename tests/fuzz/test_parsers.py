"""Every parser of outside bytes, given valid messages with something wrong: it reads them or raises its own error.

A short run belongs to the normal suite; ``FUZZ_SECONDS`` makes it longer (``make test-fuzz``). Each input is limited in
time and memory by what a single one may cost; a failure names the seed that brings it back.
"""

from __future__ import annotations

import os
import random
import resource
import signal
import time
import tracemalloc
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge import config, records, seal
from edge.errors import VidikError
from edge.grant import document, signed, trust
from edge.grant.store import GrantStore
from edge.handover import frame
from tests import law
from tests.fuzz import setup_page, statements, unattended, updates
from tests.fuzz.mutate import mutated
from tests.vectors import generate

SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
ROUNDS = 300  # a target, where no time is given
ONE_INPUT_SECONDS = 20  # far beyond the slowest, far below an endless loop
ONE_INPUT_BYTES = 64 << 20

PLATES, FACES, REVOCATION, TRUST = generate.documents()
CAMERA = generate.SIGNERS["camera"]
SIGNERS = {seal.key_id(CAMERA.public_key()): CAMERA.public_key()}
KEYS = {seal.key_id(key.public_key()): key for key in (*generate.RECIPIENTS, generate.HYBRID)}
SEALER = seal.Sealer(CAMERA)
X, Y = (key.public_key() for key in generate.RECIPIENTS)
PEOPLE = [generate.SIGNERS["authority"], generate.SIGNERS["operator"]]


def resigned(kind):
    """Mutates the content and signs it: what a mistaken or malicious signer could send."""

    def target(content):
        whole = signed.draft(content, kind)
        for key in PEOPLE:
            whole = signed.add(whole, kind, key)
        {
            signed.Kind.GRANT: lambda: trust.verify(whole, TRUST),
            signed.Kind.REVOCATION: lambda: trust.verify_revocation(whole, TRUST),
            signed.Kind.TRUST: lambda: trust.successor(whole, law.changed(TRUST, version=1)),
        }[kind]()

    return target


def genuine_but_wrong(inner):
    """An encrypted message that a genuine camera has signed, whatever it is."""
    header = {1: -7, 4: SEALER._kid}
    sealed = SEALER._cose.encode_and_sign(inner, SEALER._key, protected=header, unprotected={})
    seal.open_sealed(bytes(sealed), "cam-1", SIGNERS, KEYS)


def opened(sealed):
    seal.open_sealed(sealed, "cam-1", SIGNERS, KEYS)
    assert sealed in SEALED  # nobody but the camera can make another one


def framed(content):
    for item in frame.unpack(bytearray(content)):
        frame.pack(item)


def one(index, *recipients):
    return SEALER.seal(generate.reports()[index], *recipients)


def inner(*recipients):
    return seal.verify(one(1, *recipients), SIGNERS)


ITEM = frame.Item(frame.Kind.PLATE, frame.Key(1, 2), 3600, one(0, X))
ANSWER = frame.pack_acknowledgements([ITEM.key])
SEALED = [one(0, X), one(1, X, Y), one(1, generate.HYBRID.public_key())]
TARGETS = {
    "grant": (lambda c: trust.verify(c, TRUST), [document.sign(g, PEOPLE) for g in (PLATES, FACES)]),
    "grant, signed": (resigned(signed.Kind.GRANT), [document.encode(g) for g in (PLATES, FACES)]),
    "revocation": (lambda c: trust.verify_revocation(c, TRUST), [document.sign_revocation(REVOCATION, PEOPLE)]),
    "revocation, signed": (resigned(signed.Kind.REVOCATION), [document.encode(REVOCATION)]),
    "trust": (lambda c: trust.successor(c, law.changed(TRUST, version=1)), [trust.sign(TRUST, PEOPLE)]),
    "trust, signed": (resigned(signed.Kind.TRUST), [trust.encode(TRUST)]),
    "trust, stored": (trust.reload, [trust.sign(TRUST, PEOPLE)]),
    "report": (records.decode, [records.encode(report) for report in generate.reports()]),
    "sealed": (opened, SEALED),
    "sealed, signed": (genuine_but_wrong, [inner(X), inner(X, Y), inner(generate.HYBRID.public_key())]),
    "frames": (framed, [frame.pack(ITEM) * 2]),
    "acknowledgements": (lambda c: frame.unpack_acknowledgements(bytearray(c)), [ANSWER]),
}  # fmt: skip
TARGETS = {name: (*target, mutated) for name, target in TARGETS.items()} | statements.TARGETS
TARGETS |= updates.TARGETS | unattended.TARGETS | setup_page.TARGETS


@contextmanager
def bounded(what):
    """Fails when one input takes too long."""

    def late(*_):
        raise AssertionError(f"{what}: one input took more than {ONE_INPUT_SECONDS} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(ONE_INPUT_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def resident():
    """The most memory this process has had, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def rounds(seed):
    """Seeds of single inputs: a fixed number, or as many as the time allows."""
    until = time.monotonic() + SECONDS / (len(TARGETS) + 1)
    number = 0
    while (time.monotonic() < until) if SECONDS else (number < ROUNDS):
        yield seed * 1_000_000_007 + number
        number += 1


@pytest.mark.timeout(0)
@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_reads_or_refuses(name):
    parse, corpus, mutate = TARGETS[name]
    for whole in corpus:  # the unchanged ones are read, or the rest would prove nothing
        parse(whole)
    first = int(os.environ.get("FUZZ_SEED", random.SystemRandom().randrange(10**6)))
    refused = tried = 0
    for seed in rounds(first):
        chance = random.Random(seed)
        content = mutate(chance.choice(corpus), chance)
        with bounded(f"{name}, seed {seed}"):
            try:
                parse(content)
            except VidikError:
                refused += 1
            except Exception as error:
                shown = content[:200].hex() + ("…" if len(content) > 200 else "")
                raise AssertionError(f"{name}, seed {seed}: {type(error).__name__} on {shown}") from error
        tried += 1
    assert refused
    print(f"{name}: {tried} inputs, {refused} refused; resident at most {resident()} MiB")


def test_memory_stays_in_proportion():
    chance = random.Random(8)
    tracemalloc.start()
    try:
        for name, (parse, corpus, mutate) in TARGETS.items():
            for _ in range(25):
                content = mutate(chance.choice(corpus), chance)
                tracemalloc.reset_peak()
                with suppress(VidikError):
                    parse(content)
                assert tracemalloc.get_traced_memory()[1] < ONE_INPUT_BYTES, name
    finally:
        tracemalloc.stop()
    assert resident() < 4096


@pytest.mark.timeout(0)
def test_a_camera_survives_whatever_lies_in_its_folders(tmp_path):
    """The whole way from a file to a decision, with documents of every kind mixed up."""
    corpus = [document.sign(PLATES, PEOPLE), document.sign_revocation(REVOCATION, PEOPLE), trust.sign(TRUST, PEOPLE)]
    first = int(os.environ.get("FUZZ_SEED", random.SystemRandom().randrange(10**6)))
    store = GrantStore(
        tmp_path / "grants", law.changed(TRUST, version=1), "cam-1",
        state=tmp_path / "state", incoming=tmp_path, journal=law.Book(),
    )  # fmt: skip
    for seed in rounds(first):
        chance = random.Random(seed)
        suffix = chance.choice(["grant", "revocation", "trust"])
        (tmp_path / f"x.{suffix}").write_bytes(mutated(chance.choice(corpus), chance))
        with bounded(f"store, seed {seed}"):
            store.terms(generate.NOW + 1)
        assert not list(tmp_path.glob("x.*"))


toml = st.recursive(
    st.integers(-(2**63), 2**63 - 1).map(str) | st.floats().map(str)
    | st.sampled_from(["true", "''", '"a"', "1979-05-27", "1979-05-27T00:00:00Z", "0001-01-01T00:00:00+23:59"])
    | st.text("abc/._-0\x7f\"'\\\n", max_size=8),
    lambda value: st.lists(value, max_size=3).map(lambda parts: f"[{', '.join(parts)}]"),
    max_leaves=4,
)  # fmt: skip
names = st.sampled_from([
    "camera", "source", "inbox", "trust", "grants", "incoming", "state", "signing_key", "signing_certificate", "pace",
    "host", "port", "ca", "certificate", "key", "spool", "spool_bytes", "look", "expires", "signer", "version", "faces",
])  # fmt: skip


@pytest.mark.timeout(0)
@settings(max_examples=200 if not SECONDS else 2000)
@given(st.sampled_from(["[vision]", "[uplink]", "[vision.look]", "[[signer]]", ""]), st.lists(st.tuples(names, toml)))
def test_configuration_and_first_trust_file_are_read_or_refused(tmp_path_factory, table, lines):
    path: Path = tmp_path_factory.getbasetemp() / "fuzz.toml"
    path.write_text("\n".join([table, *(f"{name} = {value}" for name, value in lines)]), encoding="utf-8")
    for table_type in (config.Vision, config.Uplink):
        with pytest.raises(VidikError):
            config.load(path, table_type)
    with pytest.raises(VidikError):
        trust.load(path)
