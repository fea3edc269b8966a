"""Documents of the law as files: grants, revocations and trust files, told apart, put into words, counted."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.errors import VidikError
from edge.grant import document, signed, trust, words
from edge.grant.document import Grant, Revocation
from edge.grant.signed import GrantError, Kind
from edge.grant.trust import Trust
from edge.grant.words import Language, Line

SUFFIXES = {Kind.GRANT: ".grant", Kind.REVOCATION: ".revocation", Kind.TRUST: ".trust"}


@dataclass(frozen=True, slots=True)
class Document:
    """A document as it lies in a file: its bytes, its kind, and what it says (not yet whether that counts)."""

    signed: bytes
    kind: Kind
    says: Grant | Revocation | Trust


def read(path: Path) -> Document:
    """The document in ``path``. Raises ``GrantError``."""
    try:
        if path.stat().st_size > signed.LARGEST:
            raise GrantError(f"{path} is over the limit of {signed.LARGEST} bytes. It is no document of ours.")
        return parse(path.read_bytes())
    except OSError as error:
        raise GrantError(f"The file {path} cannot be read: {error.strerror}. Check the path.") from error


def parse(content: bytes) -> Document:
    """The document in ``content``. Raises ``GrantError``."""
    for kind in Kind:
        try:
            inner = signed.content(content, kind)
        except GrantError:
            continue
        return Document(content, kind, _decode(inner, kind))
    raise GrantError("The file is neither a grant nor a revocation nor a trust file. Fetch it again.")


def _decode(content: bytes, kind: Kind) -> Grant | Revocation | Trust:
    match kind:
        case Kind.GRANT:
            return document.decode(content)
        case Kind.REVOCATION:
            return document.decode_revocation(content)
        case Kind.TRUST:
            return trust.decode(content)


def say(says: Grant | Revocation | Trust, language: Language) -> str:
    """What a document says, in plain words."""
    match says:
        case Grant():
            return words.table(words.describe(says, language))
        case Revocation():
            return words.table(words.describe_revocation(says, language))
        case Trust():
            return words.table(list(_trust_lines(says)))


def check(found: Document, known: Trust, camera: str = "") -> None:
    """Raises ``GrantError`` unless ``found`` counts where ``known`` is the trust file, and for ``camera`` if given."""
    match found.kind:
        case Kind.GRANT:
            grant = trust.verify(found.signed, known)
            if camera and camera not in grant.cameras:
                raise GrantError(f"Grant {grant.id} is for other cameras than {camera}.")
        case Kind.REVOCATION:
            trust.verify_revocation(found.signed, known)
        case Kind.TRUST:
            trust.successor(found.signed, known)


def signers(found: Document, known: Trust | None) -> Iterator[str]:
    """Who signed, one line each. Names and the truth of a signature are only known with a trust file."""
    keys = known.keys() if known is not None else {}
    for signature in signed.signatures(found.signed, found.kind):
        kid = signature.kid.hex()
        if signature.kid not in keys:
            yield f"key {kid}" + (", which the trust file does not name" if known is not None else ", not checked")
            continue
        person, key = keys[signature.kid]
        try:
            signed.check(signature, key)
            yield f"{person.name} ({person.role}, key {kid})"
        except Exception:  # the COSE library raises many types; each means the same here
            yield f"NOT {person.name}: a signature in their name does not hold"


def load_trust(path: Path) -> Trust:
    """The trust file in ``path``, in either form: TOML as provisioned, or a signed document. Raises ``GrantError``."""
    if path.suffix == SUFFIXES[Kind.TRUST]:
        found = read(path)
        if isinstance(found.says, Trust):
            return found.says
        raise GrantError(f"{path} is not a trust file.")
    return trust.load(path)


def name(says: Grant | Revocation | Trust) -> str:
    """What a file with this document is called."""
    match says:
        case Grant():
            return f"{says.id}.{says.serial}.grant"
        case Revocation():
            return f"{says.grant}.{says.serial}.revocation"
        case Trust():
            return f"{says.version}.trust"


def language(text: str) -> Language:
    """A language by its code. Raises ``VidikError`` for one that is not spoken here."""
    for known in words.LANGUAGES:
        if known == text:
            return known
    raise VidikError(f"The language {text!r} is not spoken here. Choose one of: {', '.join(words.LANGUAGES)}.")


def _trust_lines(says: Trust) -> Iterator[Line]:
    yield Line("Trust file", f"version {says.version}, until {words.when(says.expires)}")
    for person in says.signer:
        yield Line(person.role, words.plain(person.name))
    for function in ("plates", "faces"):
        rules = says.rules(function)
        need = f"{rules.listed.authority} of authority, {rules.listed.operator} of operator; at most {rules.days} days"
        yield Line(function, f"signatures needed: {need}")
    yield Line("Everybody's faces", "ALLOWED" if says.open_faces else "ruled out")
