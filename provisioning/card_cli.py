"""``vidik card``: check a camera's public card, make its page and its sticker."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from edge.card import Card, CardError, moment
from edge.errors import VidikError
from provisioning import card_page, card_sticker, grant_files, pki, statements

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__)
File = Annotated[Path, typer.Argument(help="The signed card, as the camera publishes it (retained on its topic card).")]
Ca = Annotated[Path, typer.Option("--ca", help="The deployment's CA certificate (PEM).")]
Hours = Annotated[float, typer.Option(help="How old a card may be; cameras renew theirs every day.", min=0.0)]
_AHEAD = 600  # seconds by which a camera's clock may be ahead of ours


@app.command()
def verify(file: File, ca: Ca, hours: Hours = 48.0, camera: Annotated[str, typer.Option(help="Whose.")] = "") -> None:
    """Check who signed a card and how old it is; print what it says as JSON."""
    stated = _checked(file, ca, hours)
    if camera and stated.camera != camera:
        raise CardError(f"This is the card of {stated.camera}, not of {camera}. Somebody put it in the wrong place.")
    typer.echo(msgspec.json.format(msgspec.json.encode(stated), indent=2).decode())
    typer.echo(f"Genuine: signed by the camera {stated.camera} of this deployment on {stated.issued}.", err=True)


@app.command()
def html(
    file: File,
    ca: Ca,
    out: Annotated[Path, typer.Option("--out", help="Where to write the page.")],
    *,
    language: Annotated[str, typer.Option("--language", help="en or sr.")] = "en",
    address: Annotated[str, typer.Option(help="Where the signed card can be fetched; https.")] = "",
    hours: Hours = 48.0,
) -> None:
    """Render the public page of a card, after checking it: static, without scripts."""
    page = card_page.render(_checked(file, ca, hours), grant_files.language(language), address)
    _write(out, page.encode())


@app.command()
def qr(
    address: Annotated[str, typer.Argument(help="The address of the camera's public page; https.")],
    out: Annotated[Path, typer.Option("--out", help="Where to write it: .svg (the sticker) or .png (the code alone).")],
    camera: Annotated[str, typer.Option(help="The camera's id, for the sticker.")] = "",
) -> None:
    """Make the sticker for the pole."""
    if out.suffix == ".svg":
        if not camera:
            raise VidikError("The sticker names its camera. Give the id with --camera.")
        _write(out, card_sticker.svg(address, camera))
    elif out.suffix == ".png":
        _write(out, card_sticker.png(address))
    else:
        raise VidikError(f"{out} is neither an .svg nor a .png file. Name one of the two.")


def _checked(file: Path, ca: Path, hours: float) -> Card:
    stated = statements.check_card(statements.read_file(file), statements.read_ca(ca))
    age = time.time() - moment(stated.issued).timestamp()
    if age > hours * 3600:
        raise CardError(
            f"The card of {stated.camera} is genuine but {age / 3600:.0f} hours old: the camera is silent, or somebody "
            "holds its newer cards back. Allow older ones with --hours."
        )
    if age < -_AHEAD:
        raise CardError(f"The card of {stated.camera} is dated in the future, {stated.issued}. Check both clocks.")
    return stated


def _write(path: Path, content: bytes) -> None:
    pki.write(path, content, mode=0o644)
    typer.echo(f"Written: {path}")
