"""The face path on a scene with five people, beside face_recognition (dlib) on frames of the same scene.

The scene is made: photos of five AT&T subjects, faces some 80 pixels high, glide over a street photo enlarged to
1920x1080, for four seconds. Each program knows the five by one other photo each, and says of every face it finds whose
it is. The camera works as it does on a street: scheduler, tracks, best shot, one embedding a track. The peer has no
notion of time, so it looks at single frames, spread evenly. Time is processor time of one thread.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge import config
from edge.vision import build, image
from edge.vision.best_shot import BestShots
from edge.vision.detect import Detect
from edge.vision.face_detector import FAINT, FaceDetector
from edge.vision.face_embedder import FaceEmbedder, cosine
from edge.vision.face_quality import face_quality
from edge.vision.track import Track, Tracker
from edge.vision.values import Box, FaceTemplate, Frame, Kind, Pixels
from models.lab import media, stages
from models.lab.bench.peers import Peer
from models.lab.faces import ranked
from models.lab.labels import Progress
from models.lab.still import analyse_still

WIDTH, HEIGHT, FPS, FRAMES = 1920, 1080, 15, 60
SHOWN, KNOWN = "3.pgm", "7.pgm"  # the photo that walks, and the one each program knows the person by
_SIZE = 92, 112  # of an AT&T photo; its face is some 80 pixels high
_PLACES = ((120, 200), (480, 520), (860, 260), (1240, 600), (1620, 380))
_SPEED = (2.0, 0.5)  # pixels a frame


@dataclass(frozen=True, slots=True)
class Scene:
    """What is in view: the ground and the people's photos."""

    ground: Pixels
    people: list[Pixels]

    def frame(self, number: int) -> Frame:
        """The picture at ``number``."""
        pixels = self.ground.copy()
        for person, photo in enumerate(self.people):
            x0, y0, x1, y1 = map(round, self.where(person, number))
            pixels[y0:y1, x0:x1] = photo
        return Frame(pixels, number, number / FPS, 1.8e9 + number / FPS)

    def where(self, person: int, number: int) -> Box:
        """The whole photo of ``person`` in the picture ``number``; the face is about its middle."""
        (x, y), side = _PLACES[person], (-1) ** person
        left, top = x + side * _SPEED[0] * number, y + _SPEED[1] * number
        return Box(round(left), round(top), round(left) + _SIZE[0], round(top) + _SIZE[1])

    def whose(self, box: Box, number: int) -> int | None:
        """The person on whose photo the middle of ``box`` lies."""
        x, y = box.centre
        for person in range(len(self.people)):
            area = self.where(person, number)
            if area.x0 <= x < area.x1 and area.y0 <= y < area.y1:
                return person
        return None


def measure(street: Path, people: Sequence[Path], python: str, sampled: int, progress: Progress) -> dict[str, Any]:
    """Both programs over the scene of the five folders ``people``, on the photo ``street``."""
    ground = image.resize(media.load(street), WIDTH, HEIGHT)
    scene = Scene(ground, [media.load(folder / SHOWN) for folder in people])
    known = [media.load(folder / KNOWN) for folder in people]
    numbers = [int(n) for n in np.linspace(FPS, FRAMES - 1, sampled)]
    found = {"frames": FRAMES, "sampled": sampled, "vidik": _ours(scene, known, numbers)}
    return found | {"face_recognition": _theirs(scene, known, numbers, python, progress)}


def _ours(scene: Scene, known: Sequence[Pixels], numbers: Sequence[int]) -> dict[str, Any]:
    path = stages.faces()
    listed = [_only(path, photo) for photo in known]
    look, tracker, embedder = build.look(config.Look()), Tracker(), FaceEmbedder()
    detect, shots = Detect({Kind.FACE: FaceDetector(FAINT)}), BestShots({Kind.FACE: face_quality})
    said: dict[int, int] = {}
    spent, followed, right = [], 0, 0
    for number in range(FRAMES):
        frame = scene.frame(number)
        began = time.thread_time()
        glances = [glance for glance in look.plan(frame, tracker.live) if glance.kind is Kind.FACE]
        for track, detection in tracker.update(frame, detect(frame, glances)):
            shots.offer(frame, track, detection)
        for track, best, _ in shots.ripe(frame.monotonic, tracker.live):
            said[track.number] = _nearest(embedder.template(best[0]), listed)
            track.settled = True
        spent.append((time.thread_time() - began) * 1000)
        if number in numbers:
            owners = {scene.whose(track.predicted(frame.monotonic), number) for track in tracker.live}
            followed += len(owners - {None})
    right = sum(
        any(_of(scene, t, person) and said.get(t.number) == person for t in tracker.live) for person in range(5)
    )
    return {
        "ms_mean": round(statistics.fmean(spent[1:]), 1),  # the first picture is covered at once
        "ms_most": round(max(spent[1:]), 1),
        "found": followed / (5 * len(numbers)),
        "named_right": right / 5,
        "strangers": sum(all(not _of(scene, t, person) for person in range(5)) for t in tracker.live),
    }


def _of(scene: Scene, track: Track, person: int) -> bool:
    return scene.whose(track.box, round(track.last * FPS)) == person


def _only(path: Any, photo: Pixels) -> FaceTemplate:
    return ranked(analyse_still(photo, path))[0][1]


def _nearest(template: FaceTemplate, listed: Sequence[FaceTemplate]) -> int:
    return int(np.argmax([cosine(template.vector, other.vector) for other in listed]))


def _theirs(
    scene: Scene, known: Sequence[Pixels], numbers: Sequence[int], python: str, progress: Progress
) -> dict[str, Any]:
    peer = Peer("face_recognition", python)
    if peer.missing:
        peer.close()
        return {"missing": peer.missing}
    spent: list[float] = []
    found = right = strangers = 0
    with tempfile.TemporaryDirectory(prefix="vidik-bench-") as folder:
        listed = []
        for photo in known:  # with room about it and enlarged, as its detector wants it
            wide = np.pad(photo, ((40, 40), (40, 40), (0, 0)), mode="edge")
            media.save(Path(folder) / "known.png", image.resize(wide, 2 * wide.shape[1], 2 * wide.shape[0]))
            vectors = peer.run(Path(folder) / "known.png")["vectors"]
            listed.append(np.array(vectors[0]) if vectors else np.full(128, 1e3))
        for done, number in enumerate(numbers):
            progress(done, len(numbers))
            frame = scene.frame(number)
            media.save(Path(folder) / "frame.png", frame.pixels)
            result = peer.run(Path(folder) / "frame.png")
            spent.append(result["cpu_ms"])
            seen = {}
            for box, vector in zip(result["boxes"], result["vectors"], strict=True):
                person = scene.whose(Box(*box), number)
                strangers += person is None
                if person is not None:
                    distances = [float(np.linalg.norm(np.array(vector) - other)) for other in listed]
                    seen[person] = int(np.argmin(distances)) == person
            found, right = found + len(seen), right + sum(seen.values())
    peer.close()
    return {
        "version": peer.version,
        "ms_mean": round(statistics.fmean(spent), 1),
        "ms_most": round(max(spent), 1),
        "found": found / (5 * len(numbers)),
        "named_right": right / (5 * len(numbers)),
        "strangers": strangers,
    }
