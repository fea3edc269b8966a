"""Measures the face embedder on the AT&T faces, with the product's own detection and alignment.

Run ``python -m models.face_embedder.evaluate`` with ``VIDIK_SHARED`` set; ``--float`` also measures the
network before quantisation, and needs what ``build.py`` needs. Verification figures come from subjects
21 to 40; thresholds from subjects 1 to 20 and from the photos of the face-api package, never the
other way round.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from edge.vision.face_detector import FaceDetector
from edge.vision.face_embedder import THRESHOLD, FaceEmbedder, align, quantise
from edge.vision.face_quality import face_quality
from edge.vision.values import Floats, Pixels, Region
from models.face_detector.evaluate import photos as demo_photos
from models.face_embedder import att, source
from models.face_embedder.degrade import degrade
from models.face_embedder.figures import (
    Labels,
    Numbers,
    auc,
    interval,
    pairs,
    rate_at,
    tail_threshold_at,
    threshold_at,
)
from models.lab import plots

RATES = (1e-2, 1e-3, 1e-4, 1e-5)


def vectors(faces: list[att.Face], embed: Callable[[Pixels], Floats]) -> tuple[Numbers, Labels]:
    """Embeddings ``(n, d)`` and subjects ``(n,)`` of ``faces``."""
    found = [embed(align(face.photo, face.detection.points)) for face in faces]
    return np.array(found, np.float64), np.array([face.subject for face in faces])


def detection() -> Iterator[str]:
    """In how many of the 400 photos a face is found, and how surely."""
    detector = FaceDetector()
    found = [att.detect(detector, photo) for _, photo in att.photos(range(1, 41))]
    one, none = sum(len(faces) == 1 for faces in found), sum(not faces for faces in found)
    lowest = min(faces[0].score for faces in found if faces)
    yield f"photos with one face {one}, none {none}, several {len(found) - one - none}; lowest score {lowest:.3f}"


def verification(name: str, found: Numbers, subjects: Labels) -> Iterator[str]:
    """AUC and rates of all pairs of the evaluation subjects."""
    scores = pairs(found, subjects)
    low, high = interval(found, subjects)
    yield f"{name}: {len(scores.genuine)} genuine, {len(scores.impostor)} impostor pairs"
    yield f"{name}: AUC {auc(scores):.5f} (95 % interval over people {low:.5f} to {high:.5f})"
    for rate in RATES[:2]:
        at = threshold_at(scores.impostor, rate)
        yield f"{name}: true positives at false positives {rate:g}: {rate_at(scores.genuine, at):.4f}"
    yield (
        f"{name}: at the default threshold {THRESHOLD}: true positives {rate_at(scores.genuine, THRESHOLD):.4f}, "
        f"false positives {rate_at(scores.impostor, THRESHOLD):.6f}"
    )


def demo_vectors(embedder: FaceEmbedder) -> Numbers:
    """Embeddings of the faces in the face-api photos; none of these people is in the AT&T faces."""
    detector = FaceDetector(0.55)
    return np.array(
        [
            embedder.embed(photo.pixels, found.points)
            for photo in demo_photos(source.unpack())
            for found in att.detect(detector, photo.pixels)
        ],
        np.float64,
    )


def thresholds(development: Numbers, subjects: Labels, strangers: Numbers) -> Iterator[str]:
    """Cosine by false match rate from impostor pairs that no evaluation subject is part of."""
    within = pairs(development, subjects).impostor
    across = (development @ strangers.T).ravel()
    yield f"impostor pairs: {len(within)} among AT&T 1-20, {len(across)} AT&T against face-api photos"
    yield f"median cosine among AT&T {np.median(within):.3f}, against face-api photos {np.median(across):.3f}"
    yield "| false match rate | AT&T pairs | tail fitted | AT&T against face-api photos |"
    yield "| --- | --- | --- | --- |"
    for rate in RATES:
        seen = f"{threshold_at(within, rate):.4f}" if rate * len(within) >= 1 else "too few pairs"
        other = f"{threshold_at(across, rate):.4f}" if rate * len(across) >= 1 else "too few pairs"
        yield f"| {rate:g} | {seen} | {tail_threshold_at(within, rate):.4f} | {other} |"


def degraded(faces: list[att.Face], embedder: FaceEmbedder, rounds: int = 4) -> Numbers:
    """Quality and share of missed matches of degraded photos against the good ones, ``(n, 2)``, worst quality first."""
    good, subjects = vectors(faces, embedder.embed_aligned)
    detector, rng = FaceDetector(0.3), np.random.default_rng(11)
    rows = []
    for index, face in [pair for _ in range(rounds) for pair in enumerate(faces)]:
        photo = degrade(face.photo, rng)
        for found in att.detect(detector, photo)[:1]:
            cosines = good @ embedder.embed(photo, found.points)
            mates = np.delete(cosines, index)[np.delete(subjects == face.subject, index)]
            rows.append((face_quality(photo, found.points, found), float((mates < THRESHOLD).mean())))
    return np.array(sorted(rows), np.float64)


def quality(table: Numbers) -> Iterator[str]:
    """Missed matches before and after the worst photos are discarded."""
    yield f"{len(table)} degraded photos; missed matches at {THRESHOLD} by share of worst quality discarded:"
    for share in (0.0, 0.1, 0.2, 0.3):
        kept = table[int(share * len(table)) :]
        yield f"  {share:.0%} (quality from {kept[0, 0]:.0f}): {kept[:, 1].mean():.4f}"


def plot(table: Numbers, path: Path) -> None:
    """Draws missed matches by quality, and by the share of worst photos discarded (ISO/IEC 29794-1 calls the second
    the error versus discard characteristic)."""
    made, (by_quality, by_share) = plots.figure(2)
    edges = [0, 40, 55, 65, 75, 85, 92, 96, 100.01]
    inside = [table[(table[:, 0] >= low) & (table[:, 0] < high)] for low, high in pairwise(edges)]
    shown = [(part[:, 0].mean(), part[:, 1].mean()) for part in inside if len(part) >= 10]
    by_quality.plot(*zip(*shown, strict=True), marker="o")
    by_quality.set(xlabel="quality", ylabel="missed matches", ylim=(0, 1), title="By quality")
    shares = np.linspace(0, 0.6, 31)
    by_share.plot(shares, [table[int(share * len(table)) :, 1].mean() for share in shares], label="worst quality first")
    by_share.axhline(table[:, 1].mean(), color="grey", linewidth=1, label="at random")
    by_share.set(xlabel="share discarded", ylabel="missed matches among the rest", title="Error versus discard")
    by_share.set_ylim(bottom=0)
    by_share.legend()
    plots.save(made, path)


def timing(face: att.Face, embedder: FaceEmbedder) -> Iterator[str]:
    """Median milliseconds of each stage in one thread."""
    detector, frame = FaceDetector(), np.zeros((1080, 1920, 3), np.uint8)
    photo, found = face.photo, face.detection
    embedding = embedder.embed(photo, found.points)
    stages: dict[str, Callable[[], Any]] = {
        "detect, one 480 px tile": lambda: detector.detect(frame, Region(300, 200, 780, 680)),
        "detect, whole 1080p frame": lambda: detector.detect(frame, Region(0, 0, 1920, 1080)),
        "align": lambda: align(photo, found.points),
        "align and embed": lambda: embedder.embed(photo, found.points),
        "quality": lambda: face_quality(photo, found.points, found),
        "quantise": lambda: quantise(embedding, 0.0),
    }
    for name, stage in stages.items():
        spent = []
        for _ in range(50):
            began = time.perf_counter()
            stage()
            spent.append(time.perf_counter() - began)
        yield f"{name}: {statistics.median(spent) * 1000:.2f} ms"


def float_network() -> Callable[[Pixels], Floats]:
    """The network as it was before quantisation, through the same runtime."""
    from ai_edge_litert.interpreter import Interpreter  # noqa: PLC0415 - TensorFlow is optional here

    from models.face_embedder.build import convert  # noqa: PLC0415
    from models.face_embedder.network import Embedder  # noqa: PLC0415

    interpreter = Interpreter(model_content=convert(Embedder(source.weights(source.unpack())), int8=False))
    interpreter.allocate_tensors()
    given, made = interpreter.get_input_details()[0]["index"], interpreter.get_output_details()[0]["index"]

    def embed(crop: Pixels) -> Floats:
        interpreter.set_tensor(given, crop[np.newaxis].astype(np.float32))
        interpreter.invoke()
        return np.array(interpreter.get_tensor(made)[0], np.float32)

    return embed


def report(with_float: bool) -> Iterator[str]:
    """All figures of the card."""
    embedder = FaceEmbedder()
    evaluation, development = list(att.faces(att.EVALUATION)), list(att.faces(att.DEVELOPMENT))
    yield from detection()
    found, subjects = vectors(evaluation, embedder.embed_aligned)
    yield from verification("int8", found, subjects)
    on_wire = np.array([quantise(v.astype(np.float32), 0.0).vector for v in found], np.float64)
    yield f"int8, template as sent: AUC {auc(pairs(on_wire, subjects)):.5f}"
    if with_float:
        yield from verification("float", *vectors(evaluation, float_network()))
    yield from thresholds(*vectors(development, embedder.embed_aligned), demo_vectors(embedder))
    yield from quality(degraded(evaluation, embedder))
    yield from timing(evaluation[0], embedder)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--float", action="store_true", help="also measure the network before quantisation")
    parser.add_argument("--quality", type=Path, metavar="PNG", help="only measure quality, and draw it here")
    given = parser.parse_args()
    if given.quality is not None:
        photos = degraded(list(att.faces(att.EVALUATION)), FaceEmbedder())
        print("\n".join(quality(photos)))
        plot(photos, given.quality)
        sys.exit()
    for line in report(given.float):
        print(line, flush=True)
