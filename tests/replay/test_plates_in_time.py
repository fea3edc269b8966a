"""Plates over time with the real models: parked, side by side, blurred. Frames are drawn, in typefaces of packages."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x25519

from edge import config, seal
from edge.behaviour import Behaviour
from edge.grant.document import Grant
from edge.grant.gate import Terms
from edge.vision import build, image
from edge.vision.pipeline import Pipeline
from edge.vision.privacy import PrivacyZones
from edge.vision.report import Gate, Seal
from edge.vision.rules import Rules
from edge.vision.sources.base import MemorySource
from edge.vision.track import Tracker
from provisioning.demo import lettering
from tests.law import Count

START = 1_795_000_000.0
SIGNING = ec.generate_private_key(ec.SECP256R1())
RECIPIENT = x25519.X25519PrivateKey.generate()

pytestmark = pytest.mark.slow


class Grants:
    def terms(self, now):
        return [Terms(Grant(
            id="plates-1", serial=1, authority="", legal_basis="", purpose="", reference="", function="plates",
            cameras=("cam-1",), not_before=int(START), not_after=int(START) + 9000, retention=3600, scope="open",
            recipients=(RECIPIENT.public_key().public_bytes_raw(),), template_key=bytes(32),
        ))]  # fmt: skip


class Sent(list):
    def offer(self, item):
        self.append(item)


def street(rng):
    """A grey road with some texture, 640x360."""
    coarse = rng.integers(70, 120, (18, 32, 3)).astype(np.uint8)
    road = image.resize(coarse, 640, 360).astype(np.int16) + rng.integers(-6, 7, (360, 640, 3))
    return road.clip(0, 255).astype(np.uint8)


def put(picture, text, x, y, width=130, blur=0):
    """Draws a car's rear with a plate of ``width`` pixels at ``x``, ``y``; ``blur`` smears it over so many pixels."""
    height = width * 112 // 520
    picture[max(0, y - 60) : y + 40, max(0, x - 70) : x + width + 70] = (60, 40, 35)
    drawn = np.asarray(lettering.plate(text).convert("RGB"))[..., ::-1]
    picture[y : y + height, x : x + width] = image.resize(np.ascontiguousarray(drawn), width, height)
    if blur:
        kernel = np.ones(blur) / blur
        smear = picture[y - 8 : y + height + 8, x - 20 : x + width + 20]
        smear[:] = np.apply_along_axis(np.convolve, 1, smear.astype(float), kernel, "same").astype(np.uint8)
    return picture


def run(pictures, interval):
    numbers = itertools.count(1)
    sent = Sent()
    pipeline = Pipeline(
        camera=MemorySource(pictures, interval, START + 10),
        blank=PrivacyZones(()),
        look=build.look(config.Look()),
        detect=build.detect(),
        tracker=Tracker(),
        rules=Rules(Behaviour()),
        best_shots=build.best_shots(),
        describe=build.describe(),
        gate=Gate("cam-1", Grants(), lambda: True, Count()),
        seal=Seal("cam-1", 1, seal.Sealer(SIGNING), b"12345678", lambda: next(numbers)),
        sender=sent,
    )
    pipeline.run()
    signers = {seal.key_id(SIGNING.public_key()): SIGNING.public_key()}
    keys = {seal.key_id(RECIPIENT.public_key()): RECIPIENT}
    return [seal.open_sealed(item.sealed, "cam-1", signers, keys) for item in sent]


class Lazy:
    """Pictures made when they are asked for, so that ten minutes fit into memory."""

    def __init__(self, count, make):
        self.count, self.make = count, make

    def __iter__(self):
        return (self.make(i) for i in range(self.count))


def test_a_parked_car_in_view_for_ten_minutes_is_reported_once():
    rng = np.random.default_rng(3)
    base = street(rng)

    def make(i):
        noisy = put(base.copy(), "BG 417-PK", 250 + i % 2, 200).astype(np.int16) + rng.integers(-8, 9, (360, 640, 3))
        if i % 47 < 3:  # now and then a bus hides it
            noisy[120:300] = 30
        return noisy.clip(0, 255).astype(np.uint8)

    assert [r.text for r in run(Lazy(600, make), 1.0)] == ["BG417PK"]


def test_two_cars_side_by_side_are_two_reports():
    rng = np.random.default_rng(4)
    base = street(rng)

    def make(i):
        picture = put(base.copy(), "NS 318-VU", 40 + 5 * i, 230)
        return put(picture, "KG 119-ZX", 400 - 4 * i, 90)

    assert sorted(r.text for r in run(Lazy(45, make), 1 / 15)) == ["KG119ZX", "NS318VU"]


def test_a_plate_in_forty_blurred_and_two_sharp_frames_is_read_from_the_sharp_ones():
    rng = np.random.default_rng(5)
    base = street(rng)

    def make(i):
        return put(base.copy(), "SU 702-HD", 150 + 3 * i, 200, blur=0 if i in (13, 31) else 13)

    (report,) = run(Lazy(42, make), 1 / 15)
    assert report.text == "SU702HD"
    frame = round((report.time - START - 10) * 15)
    assert frame in (13, 31)
