"""``vidik grant key``: key pairs for signers and recipients, each made on its owner's own machine."""

from __future__ import annotations

import json
import time
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from edge.errors import VidikError
from edge.grant import words
from edge.seal import key_id
from provisioning import keyfile, passphrase, pki

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, no_args_is_help=True, help=__doc__)
_YEAR = 365 * 86_400


class Role(StrEnum):
    """What a key is for."""

    AUTHORITY = "authority"
    OPERATOR = "operator"
    RECIPIENT = "recipient"


@app.callback()
def _group() -> None:
    """Key pairs for signers and recipients."""


@app.command()
def new(
    file: Annotated[Path, typer.Argument(help="The key's file without suffix: makes FILE.key and FILE.pub.")],
    role: Annotated[Role, typer.Option(help="What the key is for.")],
    name: Annotated[str, typer.Option(help="The signer's full name, as people will read it.")] = "",
    trust: Annotated[Path | None, typer.Option(help="Also add the signer to this trust file, made if missing.")] = None,
    passphrase_file: Annotated[Path | None, typer.Option(help="A file with the passphrase for the key.")] = None,
) -> None:
    """Make a key pair. A signer's is for this deployment's grants; a recipient's is what reports are sealed to."""
    private, public = file.with_name(f"{file.name}.key"), file.with_name(f"{file.name}.pub")
    for path in (private, public):
        if path.exists():
            raise VidikError(f"{path} exists already. Choose another name: a key that is gone cannot be made again.")
    if role is Role.RECIPIENT:
        _recipient(private, public)
    else:
        key = ec.generate_private_key(ec.SECP256R1())
        block = signer_block(name or file.name, role, key.public_key())
        extended = extend_trust(trust, block) if trust is not None else b""
        keyfile.save(key, private, passphrase.ask(f"the new key {private}", passphrase_file, confirm=True))
        pki.write(public, block.encode(), mode=0o644)
        if trust is not None:
            pki.write(trust, extended, mode=0o644)
            typer.echo(f"Added to the trust file: {trust}")
        typer.echo(f"Key {key_id(key.public_key()).hex()} of {name or file.name} ({role}).")
    typer.echo(f"Private, stays here: {private}\nPublic, to be passed on: {public}")


def _recipient(private: Path, public: Path) -> None:
    key = x25519.X25519PrivateKey.generate()
    # read by a program at every start, so a passphrase would only lie beside it: the file's mode protects it
    pki.write(private, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), mode=0o600)
    pem = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    pki.write(public, pem, mode=0o644)
    typer.echo(f"Key {words.fingerprint(key.public_key().public_bytes_raw())} of a recipient, without passphrase.")


def signer_block(name: str, role: str, key: ec.EllipticCurvePublicKey) -> str:
    """A signer as it stands in a trust file."""
    # JSON strings are valid TOML
    fields = {"name": words.plain(name), "role": str(role), "key": keyfile.public_der(key)}
    lines = [f"{field} = {json.dumps(value, ensure_ascii=False)}" for field, value in fields.items()]
    return "\n".join(["[[signer]]", *lines, ""])


def extend_trust(path: Path, block: str) -> bytes:
    """The trust file ``path`` with the signers of ``block`` more; a fresh one, good for a year, when there is none."""
    try:
        before = path.read_text(encoding="utf-8") if path.exists() else _fresh()
        present = tomllib.loads(before).get("signer", [])
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise VidikError(f"The trust file {path} cannot be extended: {error}. Mend it first.") from error
    for added in tomllib.loads(block)["signer"]:
        if any(person.get("name") == added["name"] for person in present):
            raise VidikError(f"The trust file {path} names {added['name']} already. Choose another name.")
    return f"{before.rstrip()}\n\n{block}".encode()


def _fresh() -> str:
    until = int(time.time()) + _YEAR
    return f"version = 1\nexpires = {until}  # {words.when(until)}\nopen_faces = false\n"
