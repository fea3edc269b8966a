"""The commands of the office that are about cameras: add, claim, list, revoke, retire."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from provisioning.office import qr, registrar, revocation, table
from provisioning.office.cli_parts import HERE, Folder, PassphraseFile, existing, inventory_of
from provisioning.office.folder import Office, OfficeError

_HOURS = 72
Camera = Annotated[str, typer.Argument(help="The camera's id.")]


class Form(StrEnum):
    """How a claim is handed over."""

    TERMINAL = "terminal"
    PNG = "png"
    SVG = "svg"
    TXT = "txt"


class Reason(StrEnum):
    """Why a certificate holds no longer."""

    COMPROMISE = "key-compromise"
    SUPERSEDED = "superseded"
    UNSPECIFIED = "unspecified"


def add(
    camera: Annotated[str, typer.Argument(help="The id of one camera.")] = "",
    label: Annotated[str, typer.Option(help="What people call it.")] = "",
    place: Annotated[str, typer.Option(help="Where it hangs.")] = "",
    csv: Annotated[Path | None, typer.Option(help="A CSV file of many: columns id, label, place.")] = None,
    office: Folder = HERE,
) -> None:
    """Enter one camera, or all cameras of a CSV file, into the inventory. All of them or none."""
    now = int(time.time())
    if (csv is None) == (not camera):
        raise OfficeError("Name one camera, or a file with --csv.")
    found = table.read(csv, now) if csv is not None else [table.camera(camera, label, place, now)]
    with inventory_of(existing(office)) as inventory, inventory.change():
        for one in found:
            inventory.add(one)
        inventory.note("added", found[0].id if len(found) == 1 else f"{len(found)} cameras")
    typer.echo(f"Added: {len(found)}.")


def claim(
    cameras: Annotated[list[str] | None, typer.Argument(help="The cameras; none with --all-new.")] = None,
    *,
    all_new: Annotated[bool, typer.Option("--all-new", help="For every camera that has no identity yet.")] = False,
    form: Annotated[Form, typer.Option("--as", help="A QR code, or the line itself.")] = Form.TERMINAL,
    out: Annotated[Path, typer.Option(help="The folder for pictures and files.")] = Path("claims"),
    hours: Annotated[int, typer.Option(min=1, max=8784, help="How long it may be used.")] = _HOURS,
    replace: Annotated[bool, typer.Option("--replace", help="Also for cameras that have an identity.")] = False,
    office: Folder = HERE,
) -> None:
    """Make claims, all or none: each turns one device into one camera, once. Treat them as keys until they are used."""
    office_ = existing(office)
    settings, pin, now = office_.settings(), office_.pin(), int(time.time())
    if bool(cameras) == all_new:
        raise OfficeError("Name the cameras, or use --all-new.")
    with inventory_of(office_) as inventory, inventory.change():
        wanted = [one.id for one in inventory.cameras() if one.state == "new"] if all_new else list(cameras or ())
        for one in wanted:
            made = registrar.make_claim(inventory, one, settings, pin, now=now, seconds=hours * 3600, replace=replace)
            if form is Form.TERMINAL:
                typer.echo(f"{qr.terminal(made)}\n{made}\n{one}, until {table.date(made.until)}")
            else:
                qr.write(made, out / f"{one}.{form}")
    if form is not Form.TERMINAL:
        typer.echo(f"Claims made: {len(wanted)}, in {out}.")


def list_(
    office: Folder = HERE,
    csv: Annotated[bool, typer.Option("--csv", help="As CSV, which add --csv takes.")] = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="One JSON object a line.")] = False,
) -> None:
    """Show every camera: its state, its open claim, and when its certificates end."""
    with inventory_of(existing(office)) as inventory:
        rows = table.rows(inventory, int(time.time()))
    if csv:
        typer.echo(table.export(rows), nl=False)
        return
    for row in rows:
        if jsonl:
            fields = msgspec.to_builtins(row.camera)
            fields |= {"claim_until": row.claim_until, "certificate_until": row.certificate_until}
            typer.echo(msgspec.json.encode(fields).decode())
        else:
            claim_said = f"claim until {table.date(row.claim_until)}" if row.claim_until else ""
            until = f"certificates until {table.date(row.certificate_until)}" if row.certificate_until else ""
            said = "  ".join(part for part in (until, claim_said, row.camera.label, row.camera.place) if part)
            typer.echo(f"{row.camera.id:<32}  {row.camera.state:<8}  {said}".rstrip())


def revoke(
    camera: Camera,
    reason: Annotated[Reason, typer.Option(help="What the revocation list says.")] = Reason.COMPROMISE,
    office: Folder = HERE,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Revoke all certificates and claims of a camera. It may come back with a new claim."""
    _withdraw(existing(office), camera, "revoked", reason, passphrase_file)


def retire(camera: Camera, office: Folder = HERE, passphrase_file: PassphraseFile = None) -> None:
    """Take a camera out of service for good: as revoke, and its id is never used again."""
    _withdraw(existing(office), camera, "retired", "ceased", passphrase_file)


def _withdraw(office: Office, camera: str, state: str, reason: str, passphrase_file: Path | None) -> None:
    ca = office.issuing(passphrase_file)
    now = datetime.now(UTC)
    with inventory_of(office) as inventory:
        count = registrar.withdraw(inventory, camera, state, reason, int(now.timestamp()))
        revocation.refresh(office, inventory, ca, now)
    typer.echo(f"{camera} is {state}: {count} certificates are on the revocation list {office.crl}.")
