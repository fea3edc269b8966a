"""``vidik lab``: measures the models on labelled pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from models.lab import console, each, faces_eval, fleet, labels, media, plates_eval, plots, stages, verification

app = console.command()
app.command("fleet")(fleet.fleet)


@app.callback()
def lab() -> None:
    """Measure the models on labelled pictures, and the delivery with a simulated fleet."""


@app.command("plates")
def plates(
    folder: Annotated[Path, typer.Argument(help="Folder of pictures with a labels file (CSV).")],
    labels_file: Annotated[Path | None, typer.Option("--labels", help="The labels file, when not labels.csv.")] = None,
    split: Annotated[str, typer.Option(help="Use only the rows of this split.")] = "",
    fold_o: Annotated[bool, typer.Option("--fold-o", help="Count O and 0 as one character.")] = False,
    least_width: Annotated[float, typer.Option(help="Plate width in pixels from which the summary counts.")] = 80,
    png: Annotated[Path | None, typer.Option(help="Write the plots here (needs the extra 'lab').")] = None,
    unmatched: Annotated[Path | None, typer.Option(help="Draw detections on no label on this PNG sheet.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON instead of tables.")] = False,
) -> None:
    """Measure detection and reading of plates.

    The labels file has the columns image,x,y,w,h,text[,readable][,split], or image,text. A detection counts as
    found when its intersection over union with a label is 0.3 or more.
    """
    pictures = labels.load(folder, labels.find_file(folder, labels_file), split)
    path = stages.plates()
    each.warm_up(path)
    with console.progress() as progress:
        result = plates_eval.evaluate(pictures, path, fold_o, progress)
    if as_json:
        typer.echo(json.dumps(plates_eval.summary(result, least_width), ensure_ascii=False))
    else:
        console.show(*plates_eval.tables(result, least_width))
    if png is not None:
        plots.plates(result, png)
    crops = plates_eval.unmatched_crops(result) if unmatched is not None else []
    if unmatched is not None and crops:
        media.save(unmatched, media.contact_sheet(crops, columns=5, width=320))


@app.command("faces")
def faces(
    folder: Annotated[Path, typer.Argument(help="Folder with one subfolder of pictures a person, or with labels.csv.")],
    pairs: Annotated[Path | None, typer.Option(help="CSV of pairs to verify: a,b,same.")] = None,
    people: Annotated[str, typer.Option(help="Folder name patterns to use, comma-separated.")] = "*",
    labels_file: Annotated[Path | None, typer.Option("--labels", help="Face boxes (CSV): measure detection.")] = None,
    median_height: Annotated[
        float | None, typer.Option(help="Resize pictures so that their median face has this height.")
    ] = None,
    png: Annotated[Path | None, typer.Option(help="Write the plot here (needs the extra 'lab').")] = None,
) -> None:
    """Measure verification (person folders, or --pairs) or detection (--labels) of faces."""
    path = stages.faces()
    each.warm_up(path)
    if labels_file is not None:
        with console.progress() as progress:
            found = faces_eval.detect(labels.load(folder, labels_file), path, median_height, progress)
        console.show(faces_eval.detection_table(found))
        if png is not None:
            plots.faces_by_height(found, png)
        return
    listed = faces_eval.load_pairs(pairs) if pairs else []
    persons = faces_eval.people_of(folder, people.split(",")) if not pairs else {}
    images = sorted({p for a, b, _ in listed for p in (a, b)} | {p for of in persons.values() for p in of})
    with console.progress() as progress:
        embedded = faces_eval.embed(images, path, progress)
    scored = faces_eval.score_pairs(listed, embedded) if pairs else faces_eval.pairs_of_people(persons, embedded)
    figures = verification.verify(scored)
    console.show(faces_eval.verification_table(folder.name, figures, embedded))
    if png is not None:
        plots.det({folder.name: figures}, png)
