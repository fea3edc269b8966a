"""One listed person among others: one report, and no trace of the others anywhere.

The clip is made here from still portraits that glide across a plain picture, one person after the other. The ten
people are subjects 21 to 30 of the AT&T faces, from the shared folder; where that is missing, the two persons whose
public-domain photos come with Python packages take their place. What the vision process sees is computed once more in
the test, by the same stages over the same clip, so that the test knows the templates that must not be found.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from edge import config, seal
from edge.behaviour import Behaviour
from edge.grant import rotation
from edge.grant.document import decode
from edge.grant.gate import Terms
from edge.grant.signed import Kind, content
from edge.vision import build, image, sources
from edge.vision.describe import Describe
from edge.vision.face_embedder import FaceEmbedder
from edge.vision.face_threshold import match_rate, threshold
from edge.vision.image import cv2  # the test writes a video; the product has no such function
from edge.vision.pipeline import Pipeline
from edge.vision.plate_reader import PlateReader
from edge.vision.privacy import PrivacyZones
from edge.vision.report import Gate, Seal
from edge.vision.rules import Rules
from edge.vision.track import Tracker
from edge.vision.values import FaceTemplate, Frame
from provisioning import deployment
from provisioning.demo import photos as public
from provisioning.face_templates import Enroller
from tests.law import Count

from .conftest import play

pytestmark = pytest.mark.slow

FPS, SECONDS, SIZE = 8, 2.5, (384, 288)
LISTED = "sought"


def portraits(shared):
    """For each person, the listed one first, two photos (BGR): one to walk with, one to be enrolled from."""
    folder = shared / "data" / "faces-att"
    return [[image.decode((folder / f"s{s}" / f"{n}.pgm").read_bytes()) for n in (1, 2)] for s in range(21, 31)]


def public_portraits():
    """The same of the two public-domain portraits: one photo serves for both."""
    found = []
    for name, path in public.photos().items():
        x0, y0, x1, y1 = public.PORTRAITS[name].face
        photo = image.decode(path.read_bytes())
        grown = photo[max(0, y0 - 70) : y1 + 40, max(0, x0 - 50) : x1 + 50]
        found.append([image.resize(grown, 120, 120 * grown.shape[0] // grown.shape[1]), photo])
    return found


def film(path, people):
    """Everybody walks through, one after the other, left and right by turns."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), FPS, SIZE)
    for number, person in enumerate(people):
        photo = image.resize(person[0], 120, 120 * person[0].shape[0] // person[0].shape[1])
        for step in range(int(FPS * SECONDS)):
            frame = np.full((SIZE[1], SIZE[0], 3), 90, np.uint8)
            x, y = 20 + 200 * (number % 2) + step, 60
            frame[y : y + photo.shape[0], x : x + 120] = photo
            writer.write(frame)
    writer.release()


class Pipe:
    """Sits on the hand-over between vision and uplink and writes down what passes, in both directions."""

    def __init__(self, folder):
        self.bytes, self.folder = bytearray(), folder
        self.server = socket.socket(socket.AF_UNIX)
        self.server.bind(str(folder / "tap"))
        self.server.listen()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            near, _ = self.server.accept()
            far = socket.socket(socket.AF_UNIX)
            try:
                far.connect(str(self.folder / "inbox"))
            except OSError:  # the uplink is not back yet: vision tries again
                near.close()
                continue
            for one, other in ((near, far), (far, near)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one, other):
        with contextlib.suppress(OSError):
            while data := one.recv(65536):
                self.bytes += data
                other.sendall(data)
        with contextlib.suppress(OSError):
            other.shutdown(socket.SHUT_RDWR)


class Seen:
    """The stages of the vision process once more, in this process, keeping every embedding and template."""

    def __init__(self, footage, grant):
        self.embeddings, self.templates, sent = [], [], []
        embedder = FaceEmbedder()
        embed, describe = embedder.embed, Describe(PlateReader(), embedder)

        def remember(pixels, points):
            self.embeddings.append(embed(pixels, points).copy())
            return embed(pixels, points)

        def keep(track, shots):
            made = describe(track, shots)
            if isinstance(made, FaceTemplate):
                self.templates.append(FaceTemplate(made.vector.copy(), made.scale, made.quality))
            return made

        embedder.embed = remember
        terms, numbers = Terms(grant), itertools.count(1)
        sealer = seal.Sealer(ec.generate_private_key(ec.SECP256R1()))
        grants = type("Grants", (), {"terms": lambda self, now: [terms]})()
        sender = type("Sent", (), {"offer": lambda self, item: sent.append(item)})()
        source = sources.open_source(str(footage), wall_start=grant.not_before + 400.0)
        self.pipeline = Pipeline(
            source, PrivacyZones(()), build.look(config.Look()), build.detect(), Tracker(), Rules(Behaviour()),
            build.best_shots(), keep,
            Gate(grant.cameras[0], grants, lambda: True, Count()),
            Seal(grant.cameras[0], 1, sealer, b"12345678", lambda: next(numbers)), sender,
        )  # fmt: skip
        self.pipeline.run()
        self.sent = sent


def forms(template, embedding, matrix):
    """Every form in which a face could lie about: quantised and real, both lengths, as it is and rotated."""
    real = template.vector.astype(np.float64) * template.scale
    turned = rotation.rotated(template, matrix)
    vectors = [real, embedding, matrix.astype(np.float64) @ real, turned.vector * np.float64(turned.scale)]
    bare = [template.vector, turned.vector]
    return [v.tobytes() for v in bare] + [v.astype(t).tobytes() for v in vectors for t in (np.float32, np.float64)]


def traces(template, embedding, matrix):
    """Pieces of each form: one is enough to say that it is there."""
    for form in forms(template, embedding, matrix):
        yield from (form[:32], form[len(form) // 2 :][:32], form[-32:])


def files(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(scope="module", params=["public", "AT&T"])
def people(request):
    return public_portraits() if request.param == "public" else portraits(request.getfixturevalue("shared"))


def test_one_report_and_no_trace_of_anybody_else(people, tmp_path):
    clip, listed = tmp_path / "clip.mp4", people[0][1]
    film(clip, people)
    level = threshold(match_rate(1, 1000, 1))
    entry = Enroller(least=30).entry(LISTED, Frame(listed, 0, 0.0, 0.0)).listed(level)
    grants, pipes, memory = [], [], []

    def prepare(made):
        grants.append(deployment.grant_faces(made, [entry]))

    def amend(made):
        text = made.config.read_text().replace('inbox = "run/inbox"', 'inbox = "run/tap"', 1)
        made.config.write_text(text)
        pipes.append(Pipe(made.camera_folder / "run"))

    def during(stage, played):
        while stage.watching:
            time.sleep(0.1)
        with contextlib.suppress(OSError, KeyError):
            memory.append(memory_of(stage.pids["uplink"]))

    home = tmp_path / "home"
    home.mkdir()
    played = play(home, clip, prepare, during=during, amend=amend)
    grant = decode(content(grants[0].read_bytes(), Kind.GRANT))
    seen = Seen(clip, grant)

    assert played.entries == [LISTED]
    assert played.counted["reported"] == {"face": 1}
    assert played.counted["discarded"]["not listed"] == len(people) - 1
    assert len(seen.sent) == 1

    matrix = rotation.matrix(grant.template_key)
    mine = np.frombuffer(entry.vector, np.int8) * np.float32(entry.scale)
    others = [(t, e) for t, e in zip(seen.templates, seen.embeddings, strict=True) if e @ mine < level]
    assert len(others) >= len(people) - 1
    places = files(home) | {"hand-over": bytes(pipes[0].bytes), "wire": played.wire, "log": played.log.encode()}
    places |= {f"payload of {topic}": payload for topic, payload in played.payloads}
    assert len(places["hand-over"]) > 300
    for template, embedding in others:
        for trace in traces(template, embedding, matrix):
            assert [str(name) for name, held in places.items() if trace in held] == []
        for form, held in itertools.product(forms(template, embedding, matrix), memory):
            assert form[:32] not in held, "in the memory of the uplink"
    # the search can find: the listed person's template is in the report, as its recipient opens it
    (report,) = played.reports
    reported = [t for t in seen.templates if rotation.rotated(t, matrix).vector.tobytes() == report.vector]
    assert len(reported) >= 1


def memory_of(pid):
    """What a process has in memory that it may write to."""
    regions = []
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            span, access = line.split()[:2]
            start, stop = (int(part, 16) for part in span.split("-"))
            if access.startswith("rw") and stop - start < 1 << 28:
                with contextlib.suppress(OSError, OverflowError):
                    regions.append(os.pread(memory.fileno(), stop - start, start))
    return b"".join(regions)
