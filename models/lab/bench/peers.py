"""The camera's stages beside other programs, on the same pictures in the same run, each on one thread."""

from __future__ import annotations

import json
import statistics
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edge.vision.values import Box
from models.lab import faces_eval, media, stages
from models.lab.each import warm_up
from models.lab.faces_eval import Embeddings
from models.lab.labels import Picture, Progress
from models.lab.plate_metrics import Rate
from models.lab.still import analyse_still
from models.lab.verification import MISSING, Pairs, Reals, auc, roc

SCRIPT = Path(__file__).parent / "peer_script.py"
_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ČĆĐŠŽ")
_LEAST_WIDTH = 80  # pixels from which a plate's text is asked for


class Peer:
    """Another program at work, one picture at a time, in the environment of the interpreter ``python``."""

    def __init__(self, name: str, python: str) -> None:
        self._process = subprocess.Popen(
            [python, str(SCRIPT), name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self._process.stdout is not None
        assert self._process.stdin is not None
        self._jobs, self._results = self._process.stdin, self._process.stdout
        said = next(self._answers(), {"error": "it ended without a word"})
        self.missing: str | None = said.get("error")
        self.version = said.get("ready", "")

    def _answers(self) -> Iterator[dict[str, Any]]:
        for line in self._results:
            if line.startswith("{"):  # some libraries print greetings
                yield json.loads(line)

    def run(self, path: Path, frame: int | None = None) -> dict[str, Any]:
        """The peer's result for a picture, or for a frame of a video (asked for in rising order)."""
        self._jobs.write(json.dumps({"path": str(path), "frame": frame}) + "\n")
        self._jobs.flush()
        return next(self._answers())

    def close(self) -> None:
        """Ends the peer."""
        self._jobs.close()
        self._process.wait(30)
        self._results.close()


def plates(pictures: Sequence[Picture], most: int, python: str, progress: Progress) -> dict[str, Any]:
    """How many readable plates of 80 px and more in up to ``most`` ``pictures`` (0: all) we read, and RapidOCR reads.

    A plate is right when one of the program's texts for the picture is exactly that (the peer's: apart from spaces,
    marks and letter case). The peer does not tell plates from other writing, so what it reads beside is not held
    against it, nor against us.
    """
    wanted = [(p.path, texts) for p in pictures if (texts := _texts(p))]
    wanted = [wanted[i * len(wanted) // most] for i in range(most)] if 0 < most < len(wanted) else wanted
    path = stages.plates()
    warm_up(path)
    peer = Peer("rapidocr", python)
    ours, theirs = _Score(), _Score()
    for done, (image, texts) in enumerate(wanted):
        progress(done, len(wanted))
        still = analyse_still(media.load(image), path)
        ours.add(texts, {seen.description.text for seen in still.seen if seen.description}, still.milliseconds)
        if peer.missing is None:
            result = peer.run(image)
            theirs.add(texts, {_plain(text) for text in result["texts"]}, result["ms"])
    peer.close()
    found = {"pictures": len(wanted), "plates": sum(len(texts) for _, texts in wanted), "vidik": ours.figures()}
    return found | {"rapidocr": {"missing": peer.missing} if peer.missing else theirs.figures(peer.version)}


class _Score:
    def __init__(self) -> None:
        self._right: list[bool] = []
        self._ms: list[float] = []

    def add(self, wanted: set[str], read: set[str], milliseconds: float) -> None:
        self._right += [text in read for text in wanted]
        self._ms.append(milliseconds)

    def figures(self, version: str = "") -> dict[str, Any]:
        rate = Rate(sum(self._right), len(self._right))
        return {"exact": rate.value, "ms_median": round(statistics.median(self._ms), 2), "version": version}


def _texts(picture: Picture) -> set[str]:
    return {i.text for i in picture.labels if i.text and (i.box or Box(0, 0, 1e9, 1)).width >= _LEAST_WIDTH}


def _plain(text: str) -> str:
    return "".join(c for c in text.upper() if c in _LETTERS)


def faces(people: dict[str, list[Path]], python: str, progress: Progress) -> dict[str, Any]:
    """Verification of ``people``, every pair: ours and that of face_recognition. Faces not found count as no match."""
    images = [image for of in people.values() for image in of]
    path = stages.faces()
    warm_up(path)
    peer = Peer("face_recognition", python)
    ours, theirs = Embeddings(), Embeddings()
    for done, image in enumerate(images):
        progress(done, len(images))
        one = faces_eval.embed([image], path)
        ours.vectors |= one.vectors
        ours.milliseconds += one.milliseconds
        if peer.missing is None:
            result = peer.run(image)
            theirs.vectors[image] = np.array(result["vectors"][0]) if result["vectors"] else None
            theirs.milliseconds.append(result["ms"])
    peer.close()
    found = {"pictures": len(images), "people": len(people), "vidik": _verified(people, ours)}
    if peer.missing:
        return found | {"face_recognition": {"missing": peer.missing}}
    return found | {"face_recognition": {**_verified(people, theirs, distance=True), "version": peer.version}}


def _verified(people: dict[str, list[Path]], found: Embeddings, distance: bool = False) -> dict[str, Any]:
    pairs = faces_eval.pairs_of_people(people, found)
    both = pairs.scores > MISSING
    if distance:  # dlib's authors compare by Euclidean distance
        pairs = replace(pairs, scores=np.where(both, -_distances(people, found), -1e9))
    seen = Pairs(pairs.scores[both], pairs.genuine[both], pairs.people[both])
    return {
        "auc": round(_auc(pairs), 5),
        "auc_found": round(_auc(seen), 5),
        "not_found": len(found.missing),
        "ms_median": round(statistics.median(found.milliseconds), 2),
    }


def _auc(pairs: Pairs) -> float:
    fpr, tpr, _ = roc(pairs)
    return auc(fpr, tpr)


def _distances(people: dict[str, list[Path]], found: Embeddings) -> Reals:
    vectors = [found.vectors[image] for images in people.values() for image in images]
    known = np.stack([np.zeros(128) if v is None else v for v in vectors])
    one, other = np.triu_indices(len(known), 1)
    return np.asarray(np.linalg.norm(known[one] - known[other], axis=1))


def frames(video: Path, numbers: Sequence[int], python: str, progress: Progress) -> dict[str, Any]:
    """Milliseconds and faces of face_recognition on the frames ``numbers`` (rising) of ``video``."""
    peer = Peer("face_recognition", python)
    if peer.missing:
        peer.close()
        return {"missing": peer.missing}
    results = []
    for done, number in enumerate(numbers):
        progress(done, len(numbers))
        results.append(peer.run(video, number))
    peer.close()
    return {
        "frames": len(results),
        "ms_mean": round(statistics.fmean(r["ms"] for r in results), 1),
        "faces": sum(len(r["vectors"]) for r in results),
        "version": peer.version,
    }
