"""``vidik read``: the plates in pictures."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from edge.vision.values import PlateText
from models.lab import each, media, stages
from models.lab.console import AsJson, Paths, command
from models.lab.each import Line, xywh
from models.lab.still import Seen, Still

if TYPE_CHECKING:
    from rich.table import Table

app = command()


@app.command()
def read(paths: Paths, as_json: AsJson = False) -> None:
    """Read the plates in pictures."""
    images = media.find_images(paths)
    path = stages.plates()
    each.warm_up(path)
    each.run(each.lines(images, path, entries), table, as_json)


def ranked(still: Still[PlateText]) -> list[Seen[PlateText]]:
    """Plates, the likeliest first: the reader arbitrates, and the detector's score breaks ties.

    What shows no text counts as a plate only if the detector is sure enough to begin a track of it.
    """
    plates = [seen for seen in still.seen if seen.description or stages.begins_track(seen.detection)]
    return sorted(plates, key=lambda seen: (-confidence(seen), -seen.detection.score))


def confidence(seen: Seen[PlateText]) -> float:
    """Probability that the text is exactly right; 0 when nothing was read."""
    return seen.description.confidence if seen.description else 0.0


def entries(still: Still[PlateText]) -> Line:
    """The ``plates`` of a picture's line. A plate found but not read has the text "" and confidence 0."""
    return {"plates": [_entry(seen) for seen in ranked(still)]}


def _entry(seen: Seen[PlateText]) -> dict[str, Any]:
    return {
        "text": seen.description.text if seen.description else "",
        "confidence": round(confidence(seen), 4),
        "reported": stages.reported(seen),
        "box": xywh(seen.detection.box),
        "country": seen.description.country if seen.description else "",
    }


def table(results: Iterable[Line]) -> Table:
    """The lines as a table for people."""
    from rich.table import Table  # noqa: PLC0415 - not needed for JSON

    out = Table("image", "text", "confidence", "camera sends it", "country", "x, y, w, h", "ms")
    for line in results:
        name = line["image"]
        if "error" in line:
            out.add_row(name, f"[red]{line['error']}")
            continue
        for plate in line["plates"] or [{}]:
            box = ", ".join(f"{v:.0f}" for v in plate.get("box", ()))
            sure = f"{plate['confidence']:.3f}" if plate else ""
            sends = ("yes" if plate["reported"] else "no") if plate else ""
            text, country = plate.get("text", "none"), plate.get("country", "")
            out.add_row(name, text, sure, sends, country, box, f"{line['ms']:.1f}")
            name = ""
    return out
