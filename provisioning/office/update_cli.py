"""The commands of the office that are about updates: update-key, bundle, release."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Annotated

import typer

from edge.grant.words import plain
from edge.update import image as images
from provisioning import passphrase
from provisioning.office import bundles, rollouts, update_keys
from provisioning.office.cli_parts import HERE, Folder, existing, inventory_of
from provisioning.office.folder import OfficeError
from provisioning.office.rollouts import Rollouts
from provisioning.office.update_keys import Secrets

keys = typer.Typer(no_args_is_help=True, help="Keys that sign updates; those for releases stay offline.")
release = typer.Typer(no_args_is_help=True, help="Roll updates out to cameras, step by step.")
Named = Annotated[str, typer.Argument(help="The bundle's version, or the beginning of its digest.")]
Board = Annotated[str, typer.Option(help="The board, where bundles for several have that version.")]
SigningPassphrase = Annotated[Path | None, typer.Option(help="A file with the passphrase of the signer's key.")]
CaPassphrase = Annotated[Path | None, typer.Option(help="A file with the passphrase of the CA's key.")]


@keys.command("new")
def new(
    for_release: Annotated[bool, typer.Option("--release/--development", help="What is signed with them.")],
    out: Annotated[Path | None, typer.Option(help="Where they go; release keys outside of the office.")] = None,
    ca_passphrase_file: CaPassphrase = None,
    passphrase_file: SigningPassphrase = None,
    office: Folder = HERE,
) -> None:
    """Make a CA for updates and a signer under it, both encrypted. Images carry the CA's certificate."""
    office_ = existing(office)
    channel: images.Channel = "release" if for_release else "development"
    folder = update_keys.folder_for(office_, channel, out)
    secrets = Secrets(
        passphrase.ask(f"the new CA of {channel} updates", ca_passphrase_file, confirm=True),
        passphrase.ask(f"the new signer of {channel} updates", passphrase_file, confirm=True),
    )
    update_keys.make(office_, channel, folder, secrets)
    with inventory_of(office_) as inventory:
        inventory.note("update key made", channel, str(folder))
    typer.echo(
        f"Made in {folder}. ca.pem goes into the keyring of {channel} images. Lock ca.key away: it is needed again for "
        "the next signer only, in three years or when this one is lost."
    )


@keys.command("signer")
def signer(
    ca: Annotated[Path, typer.Argument(help="The folder with ca.pem and ca.key.")],
    out: Annotated[Path, typer.Option(help="Where the new signer goes.")],
    ca_passphrase_file: CaPassphrase = None,
    passphrase_file: SigningPassphrase = None,
) -> None:
    """Make the next signer under a CA for updates. Cameras take what it signs without a new image."""
    secret = passphrase.ask("the new signer", passphrase_file, confirm=True)
    update_keys.make_signer(ca, ca_passphrase_file, out, secret)
    typer.echo(f"Made in {out}.")


def bundle(
    root: Annotated[Path, typer.Argument(help="The image's root file system, or a folder with a manifest.raucm.")],
    *,
    image: Annotated[Path, typer.Option(help="The image.toml that lies in it.")],
    key: Annotated[Path, typer.Option(help="The folder of the signer: signing.key, signing.pem, ca.pem.")],
    out: Annotated[Path | None, typer.Option(help="The bundle; default: vidik-VERSION-BOARD.raucb.")] = None,
    passphrase_file: SigningPassphrase = None,
) -> None:
    """Build a signed bundle out of an image's root file system. Needs no office; do it where the keys are."""
    stated = images.load(image)
    made = bundles.build(root, image, key, passphrase_file, out or Path(f"vidik-{stated.version}-{stated.board}.raucb"))
    typer.echo(
        f"{made.path}: {made.version} for {made.board}, {made.channel}, {made.size} bytes\nSHA-256 {made.digest}"
    )


@release.command("add")
def add(file: Annotated[Path, typer.Argument(help="The bundle.")], office: Folder = HERE) -> None:
    """Take a bundle into the office, once every byte was checked. No camera hears of it before start."""
    office_ = existing(office)
    found = bundles.check(file, [update_keys.ca_file(office_, channel) for channel in update_keys.UNITS])
    office_.bundles.mkdir(parents=True, exist_ok=True, mode=0o700)
    kept = office_.bundles / f"{found.digest}.raucb"
    fresh = kept.with_suffix(".new")
    shutil.copyfile(file, fresh)
    fresh.replace(kept)
    with inventory_of(office_) as inventory:
        news = Rollouts(inventory).add(found, int(time.time()))
    typer.echo(f"{'Added' if news else 'There already'}: {found.version} for {found.board}, {found.channel}.")


@release.command("start")
def start(
    named: Named,
    percent: Annotated[str, typer.Option(help="To how many of the cameras; more with every further start.")] = "5",
    error_threshold: Annotated[str, typer.Option(help="Failures of those offered, percent, that stop it.")] = "2",
    board: Board = "",
    office: Folder = HERE,
) -> None:
    """Offer a bundle to a part of the cameras, or to a larger one. It stops by itself when too many fail."""
    share, threshold = _percent(percent), _percent(error_threshold)
    if share == 0.0:
        raise OfficeError("A rollout to 0 % of the cameras is none. Give more, or stop it.")
    with inventory_of(existing(office)) as inventory:
        known = Rollouts(inventory)
        begun = known.start(known.find(named, board), share, threshold, int(time.time()))
    typer.echo(f"Rollout {begun.number}: {begun.version} to {begun.percent:g} % of {begun.board}.")


@release.command("stop")
def stop(
    number: Annotated[int, typer.Argument(help="The rollout's number.")],
    why: Annotated[str, typer.Option(help="For the journal.")] = "by hand",
    office: Folder = HERE,
) -> None:
    """Make no more offers. What is installed stays; a camera in the middle of a download gets no more of it."""
    with inventory_of(existing(office)) as inventory:
        Rollouts(inventory).stop(number, plain(why), int(time.time()))
    typer.echo(f"Rollout {number} is stopped.")


@release.command("status")
def status(office: Folder = HERE) -> None:
    """Show bundles and rollouts: how many cameras got them, and what became of it."""
    now = int(time.time())
    with inventory_of(existing(office)) as inventory:
        known = Rollouts(inventory)
        for version, board, channel, digest in known.bundles():
            typer.echo(f"bundle {version} for {board}, {channel}, {digest[:16]}")
        for one in known.rollouts():
            _show(known, one, now)


def _show(known: Rollouts, one: rollouts.Rollout, now: int) -> None:
    counts = known.counts(one.number, now)
    state = "running" if one.ended is None else f"ended ({one.cause})"
    typer.echo(f"rollout {one.number}: {one.version} to {one.percent:g} % of {one.board}, {one.channel}: {state}")
    typer.echo(
        f"  offered {counts.offered}, under way {counts.offered - counts.good - counts.failed - counts.missing}, "
        f"good {counts.good}, failed {counts.failed}, missing {counts.missing}; threshold {one.threshold:g} %"
    )
    for camera, cause in known.failures(one.number, now):
        typer.echo(f"  {camera}: {plain(cause)}")


def _percent(given: str) -> float:
    try:
        found = float(given.strip().removesuffix("%"))
    except ValueError:
        found = -1.0
    if not 0.0 <= found <= 100.0:
        raise OfficeError(f"{given!r} is no percentage. Give one from 0 to 100, such as 5.")
    return found
