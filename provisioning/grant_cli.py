"""``vidik grant``: the tools of authorities and operators. They work offline and never touch a network."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from edge.errors import VidikError
from edge.grant import document, signed, trust, words
from edge.grant.document import Grant, Revocation
from edge.grant.signed import Kind
from edge.grant.trust import Trust
from provisioning import grant_draft, grant_files, grant_keys, keyfile, passphrase, pki
from provisioning.grant_files import Document

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__)
app.add_typer(grant_keys.app, name="key")

File = Annotated[Path, typer.Argument(help="A grant, revocation or trust file.")]
Key = Annotated[Path, typer.Option("--key", help="Your private key.")]
TrustFile = Annotated[Path | None, typer.Option("--trust", help="The deployment's trust file.")]
PassphraseFile = Annotated[Path | None, typer.Option(help="A file with the passphrase of the key.")]
Yes = Annotated[bool, typer.Option("--yes", help="Agree to what is shown: for scripts.")]
Tongue = Annotated[str, typer.Option("--language", help="Language of the plain words: en or sr.")]
Install = Annotated[
    Path | None, typer.Option("--install", help="Put the file here when it counts: a camera's grants folder.")
]


@app.command()
def new(
    source: Annotated[Path, typer.Argument(help="The grant as a TOML file; docs/grants.md shows one.")],
    *,
    key: Annotated[Path | None, typer.Option("--key", help="Sign it with this key at once.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write the grant; default: beside the TOML file.")] = None,
    passphrase_file: PassphraseFile = None,
    yes: Yes = False,
    language: Tongue = "en",
) -> None:
    """Make a grant from a TOML file, show what it allows, and sign it if a key is named."""
    grant = grant_draft.load(source)
    made = grant_files.parse(signed.draft(document.encode(grant), Kind.GRANT))
    path = out or source.with_suffix(".grant")
    if path.exists():
        raise VidikError(f"{path} exists already. Name another file with --out, or move that one away.")
    _show(made, language)
    if key is not None:
        made = _signed(made, key, passphrase_file, yes)
    _write(path, made)
    _say_signers(made, None)


@app.command()
def sign(
    file: File,
    *,
    key: Key,
    passphrase_file: PassphraseFile = None,
    yes: Yes = False,
    language: Tongue = "en",
    trust_file: TrustFile = None,
    install: Install = None,
) -> None:
    """Show what a document allows, and add your signature to it. The order of signers does not matter."""
    found = grant_files.read(file)
    known = _trust(trust_file, install)
    _show(found, language)
    found = _signed(found, key, passphrase_file, yes)
    _write(file, found)
    _say_signers(found, known)
    _install(found, known, install)


@app.command()
def inspect(file: File, trust_file: TrustFile = None, language: Tongue = "en") -> None:
    """Show what a document says and who signed it. Whether that counts is for verify to say."""
    found = grant_files.read(file)
    _show(found, language)
    _say_signers(found, _trust(trust_file))


@app.command()
def verify(
    file: File,
    trust_file: Annotated[Path, typer.Option("--trust", help="The deployment's trust file.")],
    camera: Annotated[str, typer.Option(help="Also check that it holds for this camera.")] = "",
    install: Install = None,
) -> None:
    """Say whether cameras with this trust file will accept a document: exit code 0 if so, 2 with the reason if not."""
    found, known = grant_files.read(file), grant_files.load_trust(trust_file)
    grant_files.check(found, known, camera)
    if isinstance(found.says, Grant) and found.says.not_after <= time.time():
        raise VidikError(f"Grant {found.says.id} is signed as it should be, but has expired. Ask for a new one.")
    typer.echo(f"{file} counts: enough of the right people signed it.")
    _install(found, known, install)


@app.command()
def revoke(
    file: Annotated[Path, typer.Argument(help="The grant to take back.")],
    *,
    key: Key,
    reason: Annotated[str, typer.Option(help="Why, for the audit log.")],
    out: Annotated[Path | None, typer.Option(help="Where to write the revocation; default: beside the grant.")] = None,
    passphrase_file: PassphraseFile = None,
    yes: Yes = False,
    language: Tongue = "en",
    trust_file: TrustFile = None,
    install: Install = None,
) -> None:
    """Take a grant back, in all its versions up to this one. One signature, of either role, is enough."""
    found = grant_files.read(file)
    known = _trust(trust_file, install)
    if not isinstance(found.says, Grant):
        raise VidikError(f"{file} is not a grant. Name the grant that is to be taken back.")
    taken = Revocation(grant=found.says.id, serial=found.says.serial, reason=reason, time=int(time.time()))
    made = grant_files.parse(signed.draft(document.encode(taken), Kind.REVOCATION))
    _show(made, language)
    made = _signed(made, key, passphrase_file, yes)
    _write(out or file.with_suffix(".revocation"), made)
    _say_signers(made, known)
    _install(made, known, install)


@app.command()
def templates(
    photos: Annotated[list[Path], typer.Argument(help="Photos, one of each sought person, named after the entry.")],
    *,
    out: Annotated[Path | None, typer.Option(help="Where to write the entries; default: to the screen.")] = None,
    least: Annotated[float, typer.Option(min=0, max=100, help="Refuse a photo whose quality is lower.")] = 60.0,
) -> None:
    """Make list entries from photos of sought persons, ready for a grant's TOML file. No photo is kept."""
    try:
        from provisioning.face_templates import Enroller  # noqa: PLC0415 - only photos need the models
    except ModuleNotFoundError as error:
        raise VidikError(
            f"Photos need the face models, and the module {error.name} is not installed here. "
            "Install them: pip install 'vidik[office,vision]'."
        ) from error
    if out is not None and out.exists():
        raise VidikError(f"{out} exists already. Name another file with --out, or move that one away.")
    enroller = Enroller(least)
    people = [enroller.photo(photo, photo.stem) for photo in photos]
    names = [person.entry for person in people]
    if len(set(names)) < len(names):
        raise VidikError(f"Two photos would make one entry: {', '.join(sorted(names))}. Give their files other names.")
    for person in people:
        typer.echo(person.words(), err=True)
    made = "\n".join(person.toml() for person in people)
    if out is None:
        typer.echo(made)
        return
    pki.write(out, made.encode(), mode=0o600)
    typer.echo(f"Written: {out}. Put its entries into the file of the grant.")


@app.command(name="trust")
def trust_(
    source: Annotated[Path, typer.Argument(help="The next version of the trust file, as TOML.")],
    current: Annotated[Path, typer.Option("--current", help="The trust file in use.")],
    out: Annotated[Path | None, typer.Option(help="Where to write it; default: beside the TOML file.")] = None,
) -> None:
    """Make the next version of a trust file, ready for signing by enough people of the old one and the new."""
    following, before = trust.load(source), grant_files.load_trust(current)
    following = msgspec.structs.replace(following, version=before.version + 1)
    made = grant_files.parse(signed.draft(trust.encode(following), Kind.TRUST))
    _show(made, "en")
    _write(out or source.with_suffix(".trust"), made)


def _show(found: Document, language: str) -> None:
    spoken = grant_files.language(language)
    typer.echo(grant_files.say(found.says, spoken))
    typer.echo()


def _signed(found: Document, key: Path, passphrase_file: Path | None, yes: bool) -> Document:
    """``found`` with one more signature, after the signer has agreed to what was shown."""
    if isinstance(found.says, Grant) and found.says.not_after <= time.time():
        raise VidikError(f"The grant ended on {words.when(found.says.not_after)}. Make a new one instead.")
    passphrase.agree("Sign this?", yes)
    private = keyfile.load(key, passphrase_file)
    return grant_files.parse(signed.add(found.signed, found.kind, private))


def _write(path: Path, found: Document) -> None:
    # the key inside a grant opens its list: nobody but its owner needs to read the file
    pki.write(path, found.signed, mode=0o600)
    typer.echo(f"Written: {path}")


def _say_signers(found: Document, known: Trust | None) -> None:
    names = list(grant_files.signers(found, known))
    typer.echo("Signed by: " + ("; ".join(names) if names else "nobody yet"))
    if known is None or not names:
        return
    try:
        grant_files.check(found, known)
        typer.echo("This is enough for the deployment.")
    except signed.GrantError as error:
        typer.echo(f"Not enough yet: {error}")


def _install(found: Document, known: Trust | None, folder: Path | None) -> None:
    """Puts ``found`` into a camera's folder, if it counts. Raises ``GrantError``."""
    if folder is not None and known is not None:
        grant_files.check(found, known)
        _write(folder / grant_files.name(found.says), found)


def _trust(path: Path | None, install: Path | None = None) -> Trust | None:
    if path is None and install is not None:
        raise VidikError("To install a document its signatures must be checked first: name the trust file (--trust).")
    return grant_files.load_trust(path) if path is not None else None
