"""What the law costs: gate and seal by the report, and the look at clock, grants and account by the frame."""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from cryptography.hazmat.primitives.asymmetric import ec, x25519

from edge.audit import Account, Audit, Tally
from edge.clock import SystemClock, Timekeeper
from edge.grant import document, gate, trust
from edge.grant.document import Grant, ListedFace
from edge.grant.gate import Description, Permit, Terms
from edge.grant.store import GrantStore
from edge.hybrid import HybridPrivateKey
from edge.notices import Notices
from edge.seal import Sealer
from edge.signing import KeySigner
from edge.vision.report import Seal
from edge.vision.track import Track
from edge.vision.values import Box, FaceTemplate, Frame, Kind, PlateText, Shot
from provisioning import grant_keys, pki

_LISTED = 1000  # entries of a list: far more than a court will name
_ROLES = ("authority", "operator")
_PAINT = np.zeros((8, 8, 3), np.uint8)


def measure(rounds: int = 300) -> dict[str, Any]:
    """Milliseconds of processor time, median over ``rounds``: from a description to sealed bytes, and a frame in which
    nothing happens. Processor time, so that other programs on the machine do not count."""
    curve = [x25519.X25519PrivateKey.generate().public_key().public_bytes_raw() for _ in range(2)]
    hybrid = HybridPrivateKey.generate().public_key().raw
    plate, face = PlateText("BG123AB", 0.99), _template(0)
    cases: dict[str, tuple[Description, Grant]] = {
        "plate, one recipient": (plate, _grant("plates", curve[:1])),
        "plate, two recipients": (plate, _grant("plates", curve)),
        "plate, one hybrid recipient": (plate, _grant("plates", [hybrid])),
        f"face among {_LISTED} listed, one recipient": (face, _grant("faces", curve[:1])),
        f"face among {_LISTED} listed, two recipients": (face, _grant("faces", curve)),
    }
    reports = {name: _report(seen, grant, rounds) for name, (seen, grant) in cases.items()}
    return {"report": reports, "idle frame": _idle(rounds)}


def _report(seen: Description, grant: Grant, rounds: int) -> dict[str, float]:
    terms, numbers = Terms(grant), itertools.count()
    seal = Seal("cam-1", 1, Sealer(ec.generate_private_key(ec.SECP256R1())), bytes(8), lambda: next(numbers))
    kind = Kind.PLATE if isinstance(seen, PlateText) else Kind.FACE
    box = Box(0, 0, 4, 4)
    frame = Frame(_PAINT, 0, 0.0, float(grant.not_before))
    track, shot = Track(1, kind, box, 0.0, 0.0), Shot(_PAINT, np.zeros((4, 2), np.float32), box, 90.0, 0.0, frame.wall)
    permits: list[Permit] = []

    def decide() -> None:
        decision = gate.decide(seen, terms, "cam-1", frame.wall)
        assert isinstance(decision, Permit)
        permits[:] = [decision]

    sizes = []
    gated = _median(decide, rounds)
    sealed = _median(lambda: sizes.append(len(seal(permits[0], track, shot, frame).sealed)), rounds)
    return {"gate": gated, "seal": sealed, "both": round(gated + sealed, 4), "bytes": statistics.median(sizes)}


def _idle(rounds: int) -> float:
    """One frame's look at everything while a camera holds two grants and sees nothing."""
    clock, keys = SystemClock(), [ec.generate_private_key(ec.SECP256R1()) for _ in range(2)]
    ca = pki.make_ca("bench")
    issued = pki.issue_signing(ca, "cam-1")
    signer = KeySigner(issued.key, issued.certificate)
    with tempfile.TemporaryDirectory(prefix="vidik-bench-") as place:
        folder = Path(place)
        (folder / "trust.toml").write_bytes(_trust(folder / "trust.toml", keys))
        recipient = [x25519.X25519PrivateKey.generate().public_key().public_bytes_raw()]
        (folder / "grants").mkdir()
        for function in ("plates", "faces"):
            signed = document.sign(_grant(function, recipient), keys)
            (folder / "grants" / f"{function}.grant").write_bytes(signed)
        audit = Audit(folder / "audit", clock, "cam-1", signer)
        account = Account(audit, clock)
        keeper, tally = Timekeeper(clock, folder / "newest", account, lambda: True), Tally(account, clock)
        store = GrantStore(
            folder / "grants", trust.load(folder / "trust.toml"), "cam-1", state=folder, incoming=folder / "incoming",
            journal=account,
        )  # fmt: skip
        notices = Notices(folder / "notices", audit, clock, signer, camera="cam-1", software="1", models={})

        def watch() -> None:
            keeper.tick()
            held = [terms.grant for terms in store.terms(clock.wall())]
            account.tick()
            tally.tick()
            notices.tick(held)

        watch()
        spent = _median(watch, rounds)
        account.close()
    return spent


def _median(run: Callable[[], object], rounds: int) -> float:
    times = []
    for _ in range(rounds + 10):
        start = time.thread_time_ns()
        run()
        times.append((time.thread_time_ns() - start) / 1e6)
    return round(statistics.median(times[10:]), 4)


def _trust(path: Path, keys: list[ec.EllipticCurvePrivateKey]) -> bytes:
    people = zip(_ROLES, keys, strict=True)
    blocks = [grant_keys.signer_block(f"The {role}", role, key.public_key()) for role, key in people]
    return grant_keys.extend_trust(path, "\n".join(blocks))


def _template(seed: int) -> FaceTemplate:
    vector = np.random.default_rng(seed).standard_normal(128)
    scale = float(np.abs(vector / np.linalg.norm(vector)).max() / 127)
    whole = np.rint(vector / np.linalg.norm(vector) / scale).astype(np.int8)
    return FaceTemplate(whole, scale, 80.0)


def _grant(function: str, recipients: list[bytes]) -> Grant:
    faces = []
    if function == "faces":
        templates = [_template(seed) for seed in range(_LISTED)]
        faces = [ListedFace(f"p-{i}", t.vector.tobytes(), t.scale, 0.9) for i, t in enumerate(templates)]
    now = int(time.time())
    return Grant(
        id=f"bench-{function}", serial=1, authority="A court", legal_basis="none", purpose="measure", reference="1",
        function="faces" if faces else "plates", cameras=("cam-1",), not_before=now - 60, not_after=now + 3600,
        recipients=tuple(recipients), retention=3600, template_key=bytes(32), scope="listed" if faces else "open",
        faces=tuple(faces),
    )  # fmt: skip
