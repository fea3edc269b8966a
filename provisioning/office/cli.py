"""``vidik provision``: the deployment office. Makes a deployment, brings cameras into it and takes them out again."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from edge.errors import VidikError
from edge.grant import trust as trust_file
from edge.grant.words import plain
from provisioning import broker_cli, grant_draft, passphrase, pki
from provisioning.office import backup as backups
from provisioning.office import broker_files, camera_cli, create, revocation, table, update_cli
from provisioning.office.cli_parts import HERE, Folder, PassphraseFile, existing, inventory_of
from provisioning.office.folder import OfficeError, Settings
from provisioning.overview import cli as overview_cli

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__)


@app.command()
def init(
    office: Folder = HERE,
    *,
    name: Annotated[str, typer.Option(help="What the deployment is called.")],
    broker: Annotated[str, typer.Option(help="Where cameras reach the broker: HOST or HOST:PORT.")],
    enrol: Annotated[str, typer.Option(help="Where they reach the enrolment service: HOST or HOST:PORT.")],
    root: Annotated[Path | None, typer.Option(help="Where the root goes, such as a stick, if elsewhere.")] = None,
    trust: Annotated[Path | None, typer.Option(help="The trust file, if the signers have made it already.")] = None,
    root_passphrase_file: Annotated[Path | None, typer.Option(help="A file with the passphrase for the root.")] = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Make an office: root, issuing CA, inventory, and the files of broker and enrolment service."""
    (broker_host, broker_port), (enrol_host, enrol_port) = _address(broker, 8883), _address(enrol, 8443)
    fields = {"name": name, "broker_host": broker_host, "broker_port": broker_port}
    try:
        settings = msgspec.convert(fields | {"enrol_host": enrol_host, "enrol_port": enrol_port}, Settings)
    except msgspec.ValidationError as error:
        raise OfficeError(f"An office cannot be made of that: {error}.") from error
    if trust is not None:
        trust_file.load(trust)
    secrets = create.Secrets(
        passphrase.ask("the new root key", root_passphrase_file, confirm=True),
        passphrase.ask("the new issuing CA's key", passphrase_file, confirm=True),
    )
    made = create.create(office, settings, secrets, root)
    if trust is not None:
        pki.write(made.trust, trust.read_bytes(), mode=0o644)
    where = root or made.folder / "root"
    typer.echo(f"The office is made: {office}\nThe root's key is needed again in years only. Move it offline: {where}")


@app.command()
def trust(file: Annotated[Path, typer.Argument(help="The trust file (TOML).")], office: Folder = HERE) -> None:
    """Take the trust file that cameras will get from now on. Enrolled ones change theirs by signed versions."""
    office_ = existing(office)
    loaded = trust_file.load(file)
    pki.write(office_.trust, file.read_bytes(), mode=0o644)
    with inventory_of(office_) as inventory:
        inventory.note("trust file", str(file.name), f"version {loaded.version}")
    typer.echo(f"Taken: version {loaded.version}, {len(loaded.signer)} signers.")


@app.command()
def recipient(
    file: Annotated[Path, typer.Argument(help="A recipient's public key (.pub), as vidik grant key new makes it.")],
    office: Folder = HERE,
) -> None:
    """Keep a recipient's public key, for grants to name, and for the test reports of cameras that are put up."""
    office_ = existing(office)
    grant_draft.recipient(file)
    if file.suffix != ".pub":
        raise OfficeError(f"{file} does not end in .pub, as a recipient's public key does. Name that file.")
    pki.write(office_.folder / "recipients" / file.name, file.read_bytes(), mode=0o644)
    typer.echo(f"Kept: {office_.folder / 'recipients' / file.name}")


@app.command()
def subscriber(
    name: Annotated[str, typer.Argument(help="The subscriber's name at the broker.")],
    out: Annotated[Path, typer.Option(help="Where its certificate and key go.")],
    office: Folder = HERE,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Give a subscriber a certificate, and let it receive reports at the broker."""
    _add_client(office, name, out, "subscriber", passphrase_file)


@app.command()
def sender(
    name: Annotated[str, typer.Argument(help="The sender's name at the broker.")],
    out: Annotated[Path, typer.Option(help="Where its certificate and key go.")],
    office: Folder = HERE,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Give whoever hands grants to cameras (vidik send) and looks after them a certificate; it receives no reports."""
    _add_client(office, name, out, "sender", passphrase_file)


app.command()(camera_cli.add)
app.command()(camera_cli.claim)
app.command()(broker_cli.broker)
app.command(name="list")(camera_cli.list_)
app.command()(overview_cli.fleet)
app.command()(camera_cli.revoke)
app.command()(camera_cli.retire)
app.command()(update_cli.bundle)
app.add_typer(update_cli.keys, name="update-key")
app.add_typer(update_cli.release, name="release")


@app.command()
def crl(office: Folder = HERE, passphrase_file: PassphraseFile = None) -> None:
    """Write the revocation list, if it is not up to date. The running service does so by itself."""
    office_ = existing(office)
    ca = office_.issuing(passphrase_file)
    with inventory_of(office_) as inventory:
        written = revocation.refresh(office_, inventory, ca, datetime.now(UTC))
    typer.echo(f"{'Written' if written else 'Up to date'}: {office_.crl}")


@app.command()
def renew(office: Folder = HERE, passphrase_file: PassphraseFile = None) -> None:
    """New certificates for broker and enrolment service, and a new revocation list. Cameras renew by themselves."""
    office_ = existing(office)
    ca = office_.issuing(passphrase_file)
    with inventory_of(office_) as inventory:
        create.renew_servers(office_, inventory, ca)
        office_.crl.unlink(missing_ok=True)
        revocation.refresh(office_, inventory, ca, datetime.now(UTC))
    broker_files.write(office_, office_.settings())
    typer.echo("Renewed. Restart the broker and the enrolment service.")


@app.command()
def journal(office: Folder = HERE) -> None:
    """Show who asked for what, what was issued, and what was refused."""
    with inventory_of(existing(office)) as inventory:
        for when, event, subject, detail in inventory.journal():
            typer.echo(f"{table.date(when)}  {event:<15} {plain(f'{subject}  {detail}')}".rstrip())


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="The new backup, such as office.tar.gz.")], office: Folder = HERE
) -> None:
    """Write a backup of everything, and check it by restoring it beside itself. Lock it away."""
    count = backups.write(existing(office), file)
    probe = file.with_name(f".{file.name}.check")
    try:
        backups.restore(file, probe)
    finally:
        shutil.rmtree(probe, ignore_errors=True)
    typer.echo(f"{file}: {count} files, restored for a check and found whole.")


@app.command()
def restore(file: Annotated[Path, typer.Argument(help="The backup.")], office: Folder = HERE) -> None:
    """Bring an office back from a backup, when every file of it is whole."""
    backups.restore(file, office)
    typer.echo(f"Restored and found whole: {office}")


@app.command()
def check(office: Folder = HERE) -> None:
    """Say whether the office is whole. Exit code 0 if so, 1 with every problem found."""
    problems = backups.check(existing(office))
    for problem in problems:
        typer.echo(f"PROBLEM: {problem}")
    typer.echo("The office is NOT whole." if problems else "The office is whole.")
    raise typer.Exit(1 if problems else 0)


@app.command()
def serve(
    office: Folder = HERE,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "0.0.0.0",  # noqa: S104 - cameras come from outside
    port: Annotated[int | None, typer.Option(help="The port to listen on; default: the one of init.")] = None,
    passphrase_file: PassphraseFile = None,
) -> None:
    """Run the enrolment service: claims in, certificates out. Also keeps the revocation list fresh."""
    from provisioning.office import serve as serving  # noqa: PLC0415 - the other commands need no web server

    office_ = existing(office)
    ca = office_.issuing(passphrase_file)
    with inventory_of(office_) as inventory:
        typer.echo(f"Enrolment service of {office_.settings().name}; Ctrl-C ends it.", err=True)
        serving.run(office_, inventory, ca, host, port)


def _add_client(folder: Path, name: str, out: Path, role: create.Role, passphrase_file: Path | None) -> None:
    office = existing(folder)
    ca = office.issuing(passphrase_file)
    with inventory_of(office) as inventory:
        create.add_client(office, inventory, ca, name, out, role=role)
    typer.echo(f"Certificate, key and CA for {name}: {out}\nThe broker has to read its new access rules: restart it.")


def _address(given: str, port: int) -> tuple[str, int]:
    host, colon, after = given.rpartition(":")
    if not colon or "]" in after:  # no port; brackets are for addresses of IPv6
        return given.strip("[]"), port
    if not after.isdecimal():
        raise VidikError(f"{given!r} is neither HOST nor HOST:PORT. Give, for example, broker.example:8883.")
    return host.strip("[]"), int(after)
