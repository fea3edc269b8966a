"""Measures identification: 400 AT&T probes, lists of 1,000 templates, thresholds of a stated false match rate.

Run ``python -m models.face_embedder.identify`` with ``VIDIK_SHARED`` set. There are only 40 people, so the list of a
probe is filled up like this, and the figures must be read with it:

* probes of subjects 21 to 40 meet one template of each of these 20 subjects, and 980 templates of subjects 1 to 20;
* probes of subjects 1 to 20 the other way round.

The 980 are the 200 photos of the other half in five forms each (as it is, mirrored, darker, flatter, softer), less the
last 20: not 980 people, and their scores go together, which is why intervals come from drawing *people* again. A
probe's own template is that of the subject's next photo, never of the same one. The curve in
``edge/vision/face_threshold.py`` comes from pairs within subjects 1 to 20; nearly all comparisons here are between the
halves, and no figure here chose anything.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from typing import NamedTuple

import cv2
import numpy as np

from edge.vision.face_embedder import FaceEmbedder, align, quantise
from edge.vision.face_threshold import CURVE, threshold
from edge.vision.values import Floats, Pixels
from models.face_embedder import att
from models.face_embedder.figures import Labels, Numbers, tail_threshold_at

LIST = 1000
RATES = (1e-3, 1e-4, 1e-5)
DRAWS = 400
BOUND_DRAWS = 200
TAIL = 0.02  # share of the highest scores to which the tail is fitted


class Half(NamedTuple):
    """Twenty subjects: templates as the camera would compare them, ``(n, 128)``, and whose; and their five forms."""

    templates: Numbers
    subjects: Labels
    forms: Numbers
    form_subjects: Labels


class Trial(NamedTuple):
    """Every probe against its list: cosines ``(400, 1000)``, whose template each is, whose the probe is."""

    cosines: Numbers
    listed: Labels
    probes: Labels


def forms(crop: Pixels) -> list[Pixels]:
    """An aligned crop as it is, mirrored, darker, flatter and softer."""
    real = crop.astype(np.float32)
    softer = np.asarray(cv2.GaussianBlur(real, (0, 0), 1.5))
    changed = [real[:, ::-1], real * 0.6, 90 + (real - real.mean()) * 0.6, softer]
    return [crop, *(np.ascontiguousarray(np.clip(c, 0, 255).astype(np.uint8)) for c in changed)]


def half(subjects: range) -> Half:
    """All photos of ``subjects``, found, aligned, embedded and quantised by the product."""
    embedder = FaceEmbedder()

    def template(crop: Pixels) -> Floats:
        made = quantise(embedder.embed_aligned(crop), 0.0)
        return made.vector.astype(np.float32) * np.float32(made.scale)

    found = [(face.subject, forms(align(face.photo, face.detection.points))) for face in att.faces(subjects)]
    rows = [[template(form) for form in made] for _, made in found]
    owner = np.array([subject for subject, _ in found])
    by_form = np.array(rows, np.float64).transpose(1, 0, 2)
    return Half(by_form[0], owner, by_form.reshape(-1, by_form.shape[2]), np.tile(owner, len(by_form)))


def trial(own: Half, other: Half) -> Trial:
    """The probes of ``own`` against their own subjects' next photos and the forms of ``other``."""
    people = np.unique(own.subjects)
    fill = LIST - len(people)
    cosines, listed = [], []
    for probe, subject in enumerate(own.subjects):
        position = int(np.flatnonzero(np.flatnonzero(own.subjects == subject) == probe)[0])
        following = [int(np.roll(np.flatnonzero(own.subjects == person), -1)[position]) for person in people]
        templates = np.concatenate([own.templates[following], other.forms[:fill]])
        cosines.append(templates @ own.templates[probe])
        listed.append(np.concatenate([people, other.form_subjects[:fill]]))
    return Trial(np.array(cosines), np.array(listed), own.subjects)


def joined(one: Trial, other: Trial) -> Trial:
    """Both trials as one."""
    return Trial(*(np.concatenate(parts) for parts in zip(one, other, strict=True)))


def interval(wrong: Labels, tried: Trial, seed: int = 5) -> tuple[float, float]:
    """95 % interval of the false match rate: probe subjects and listed subjects are drawn again, with replacement."""
    rng = np.random.default_rng(seed)
    people, probe = np.unique(tried.probes, return_inverse=True)
    matches, comparisons = (np.zeros((len(people), len(people))) for _ in range(2))
    column = np.searchsorted(people, tried.listed)
    strangers = tried.listed != tried.probes[:, None]
    rows = np.broadcast_to(probe[:, None], column.shape)
    np.add.at(matches, (rows, column), wrong)
    np.add.at(comparisons, (rows, column), strangers)
    rates = []
    for _ in range(DRAWS):
        weights = np.bincount(rng.integers(0, len(people), len(people)), minlength=len(people)).astype(float)
        both = np.outer(weights, weights)
        rates.append(float((both * matches).sum() / max((both * comparisons).sum(), 1.0)))
    return float(np.quantile(rates, 0.025)), float(np.quantile(rates, 0.975))


def table(tried: Trial) -> Iterator[str]:
    """One line a rate: the listed found, false matches a comparison with their interval, probes with an alarm."""
    mates = tried.listed == tried.probes[:, None]
    yield "| rate asked for | cosine | listed person found | false match rate (95 %) | probes with a false alarm |"
    yield "| --- | --- | --- | --- | --- |"
    for rate in RATES:
        least = threshold(rate)
        over = tried.cosines >= least
        wrong = over & ~mates
        best = np.argmax(tried.cosines, axis=1)
        rows = np.arange(len(best))
        found = over[rows, best] & mates[rows, best]
        low, high = interval(wrong.astype(np.intp), tried)
        yield (
            f"| {rate:g} | {least:.4f} | {int(found.sum())} of {len(found)} "
            f"| {wrong.sum() / (~mates).sum():.1e} ({low:.1e} to {high:.1e}) | {int(wrong.any(axis=1).sum())} "
            f"(at most {rate * LIST * len(found):.0f} asked for) |"
        )


def curve(calibration: Half, seed: int = 0) -> Iterator[str]:
    """Cosine by false match rate from the impostor pairs of ``calibration``: as they are, and its 95 % interval
    when the 20 people are drawn again with replacement."""
    rng, people = np.random.default_rng(seed), np.unique(calibration.subjects)
    cosines = calibration.templates @ calibration.templates.T
    rows = [np.flatnonzero(calibration.subjects == person) for person in people]
    blocks = {(i, j): cosines[np.ix_(rows[i], rows[j])].ravel() for i in range(len(people)) for j in range(i)}
    drawn = []
    for _ in range(BOUND_DRAWS):
        times = np.bincount(rng.integers(0, len(people), len(people)), minlength=len(people))
        drawn.append(np.concatenate([np.tile(block, times[i] * times[j]) for (i, j), block in blocks.items()]))
    seen = np.concatenate(list(blocks.values()))
    for rate, used in CURVE:
        low, high = np.quantile([_cosine_at(scores, rate) for scores in drawn], [0.025, 0.975])
        yield f"curve: {rate:g}: {_cosine_at(seen, rate):.4f} ({low:.4f} to {high:.4f}), in use {used}"


def _cosine_at(scores: Numbers, rate: float) -> float:
    return tail_threshold_at(scores, rate) if rate <= TAIL else float(np.quantile(scores, 1 - rate))


def matching(templates: Numbers) -> Iterator[str]:
    """Milliseconds of comparing one face with lists of several lengths, as the gate does it."""
    rotation = np.linalg.qr(np.random.default_rng(1).normal(size=(128, 128)))[0].astype(np.float32)
    for length in (1000, 10_000):
        listed = np.resize(templates, (length, 128)).astype(np.float32)
        levels, face, spent = np.full(length, 0.94, np.float32), listed[7].copy(), []
        for _ in range(200):
            began = time.perf_counter()
            cosines = listed @ (rotation @ face)
            int(np.argmax(cosines - levels))
            spent.append(time.perf_counter() - began)
        yield f"matching {length} templates: {statistics.median(spent) * 1000:.3f} ms"


def main() -> None:
    """Prints the figures of the card."""
    calibration, evaluation = half(att.DEVELOPMENT), half(att.EVALUATION)
    for line in curve(calibration):
        print(line)
    print("\n".join(table(joined(trial(evaluation, calibration), trial(calibration, evaluation)))))
    print("\n".join(matching(evaluation.templates)))


if __name__ == "__main__":
    main()
