"""``python -m models.golden``: writes down what every shipped model makes of the test card, for the cameras' self-test.

Run it after a model was changed, on a machine whose results are trusted.
"""

from __future__ import annotations

import json

from edge.vision import runtime, selftest


def record() -> dict[str, object]:
    """The golden outputs of all models of the manifest, by SHA-256."""
    folder = runtime.models_dir()
    entries = runtime.manifest(folder).values()
    found = {e.sha256: selftest.digest(selftest.answer(runtime.load(e.name))) for e in entries}
    lines = ",\n".join(f"{json.dumps(sha)}: {json.dumps(kept)}" for sha, kept in sorted(found.items()))
    (folder / selftest.FILE).write_text("{\n" + lines + "\n}\n", encoding="utf-8")
    return dict(found)


if __name__ == "__main__":
    print(f"{len(record())} models")
