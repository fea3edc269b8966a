"""Runs another program over pictures: ``python peer_script.py rapidocr|face_recognition < jobs > results``.

Stands alone, so that it can run in an environment of the peer's own. A job is a JSON line with ``path`` and,
for a video, ``frame``. The first result line is ``{"ready": version}`` or ``{"error": why}``; then one line a job:
``ms`` (of one decoded picture on one thread), ``cpu_ms`` (processor time of it), and ``texts`` (all lines of text) or
``vectors`` and ``boxes`` (largest face first; left, top, right, bottom).
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

for _variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_variable] = "1"  # before anything loads a library that reads it

Run = Callable[[Any], dict[str, Any]]


def rapidocr() -> tuple[str, Run]:
    """RapidOCR, detector and recogniser as it comes, one thread."""
    from rapidocr import RapidOCR  # noqa: PLC0415

    threads = {f"EngineConfig.onnxruntime.{kind}_op_num_threads": 1 for kind in ("intra", "inter")}
    engine = RapidOCR(params={**threads, "Global.log_level": "error"})
    return version("rapidocr"), lambda pixels: {"texts": list(engine(pixels).txts or ())}


def face_recognition() -> tuple[str, Run]:
    """face_recognition (dlib), its defaults: HOG detector with one doubling of the picture, small-model landmarks."""
    import face_recognition as peer  # noqa: PLC0415

    def run(pixels: Any) -> dict[str, Any]:
        rgb = pixels[:, :, ::-1].copy()
        boxes = sorted(peer.face_locations(rgb), key=lambda b: (b[0] - b[2]) * (b[1] - b[3]), reverse=True)
        return {
            "vectors": [vector.tolist() for vector in peer.face_encodings(rgb, boxes)],
            "boxes": [[left, top, right, bottom] for top, right, bottom, left in boxes],
        }

    return version("face-recognition"), run


class Pictures:
    """Decodes jobs; frames of a video must be asked for in rising order."""

    def __init__(self) -> None:
        self._video: Any = None
        self._path = ""
        self._next = 0

    def load(self, path: str, frame: int | None) -> Any:
        """BGR pixels of a picture file, or of a frame of a video; None when there is none."""
        import cv2  # noqa: PLC0415

        if frame is None:
            return cv2.imread(path)
        if path != self._path:
            self._video, self._path, self._next = cv2.VideoCapture(path), path, 0
        while self._next < frame:
            self._video.grab()
            self._next += 1
        self._next += 1
        return self._video.read()[1]


def main() -> None:
    """Reads all jobs, then works through them."""
    try:
        name, run = {"rapidocr": rapidocr, "face_recognition": face_recognition}[sys.argv[1]]()
    except BaseException as error:  # a peer may even call exit() when a part of it is missing
        print(json.dumps({"error": f"{type(error).__name__}: {error}"}), flush=True)
        return
    print(json.dumps({"ready": name}), flush=True)
    pictures = Pictures()
    for number, line in enumerate(sys.stdin):
        job = json.loads(line)
        pixels = pictures.load(job["path"], job.get("frame"))
        if number == 0:
            run(pixels)  # warm up
        start, busy = time.perf_counter(), time.process_time()
        result = run(pixels)
        spent = {"ms": (time.perf_counter() - start) * 1000, "cpu_ms": (time.process_time() - busy) * 1000}
        print(json.dumps({**spent, **result}), flush=True)


if __name__ == "__main__":
    main()
