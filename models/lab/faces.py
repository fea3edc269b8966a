"""``vidik faces``: the faces in pictures and their embeddings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from edge.vision.values import FaceTemplate
from models.lab import each, media, stages
from models.lab.console import AsJson, Paths, command
from models.lab.each import Line, xywh
from models.lab.still import Seen, Still

if TYPE_CHECKING:
    from rich.table import Table

app = command()


@app.command()
def faces(paths: Paths, as_json: AsJson = False) -> None:
    """Find the faces in pictures and print their embeddings."""
    images = media.find_images(paths)
    path = stages.faces()
    each.warm_up(path)
    each.run(each.lines(images, path, entries), table, as_json)


def ranked(still: Still[FaceTemplate]) -> list[tuple[Seen[FaceTemplate], FaceTemplate]]:
    """Faces with their templates, the most prominent first: by area of the box times score."""
    faces = [(seen, seen.description) for seen in still.seen if seen.description is not None]
    return sorted(faces, key=lambda face: -face[0].detection.box.area * face[0].detection.score)


def entries(still: Still[FaceTemplate]) -> Line:
    """The ``faces`` of a picture's line, the most prominent first.

    Embeddings are not rotated by any grant, so their cosine has a meaning.
    """
    return {"faces": [_entry(seen, template) for seen, template in ranked(still)]}


def _entry(seen: Seen[FaceTemplate], template: FaceTemplate) -> dict[str, Any]:
    return {
        "box": xywh(seen.detection.box),
        "score": round(seen.detection.score, 4),
        "quality": round(template.quality, 1),
        "landmarks": [[round(float(x), 1), round(float(y), 1)] for x, y in seen.detection.points],
        "embedding": template.vector.tolist(),
    }


def table(results: Iterable[Line]) -> Table:
    """The lines as a table for people; embeddings are left out."""
    from rich.table import Table  # noqa: PLC0415 - not needed for JSON

    out = Table("image", "score", "quality", "x, y, w, h", "ms")
    for line in results:
        name = line["image"]
        if "error" in line:
            out.add_row(name, f"[red]{line['error']}")
            continue
        for face in line["faces"]:
            box = ", ".join(f"{v:.0f}" for v in face["box"])
            out.add_row(name, f"{face['score']:.2f}", f"{face['quality']:.0f}", box, f"{line['ms']:.1f}")
            name = ""
        if not line["faces"]:
            out.add_row(name, "none", "", "", f"{line['ms']:.1f}")
    return out
