"""Enrolment and renewal, step by step. Whatever is interrupted goes on where it was when it is run again.

At every moment the camera has the old identity or the new one: keys are on the medium before they are certified, and
a new identity takes the place of the old one in one step, once all of it is there and has been checked.
"""

from __future__ import annotations

import json
import logging
import tomllib
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from msgspec import Meta

from edge import config
from edge.address import Address
from edge.enrol import check, configuration, identity, keys
from edge.enrol.claim import Claim
from edge.enrol.configuration import Overlay
from edge.enrol.errors import EnrolError
from edge.enrol.identity import CA, CONFIG, CONNECTION, DEPLOYMENT, IDENTITY, SEALED, SIGNING, SIGNING_REQUEST, TRUST
from edge.enrol.service import Service

_LARGEST_TRUST = 64 << 10  # characters
RecipientName = Annotated[str, Meta(min_length=1, max_length=64)]
RecipientKey = Annotated[str, Meta(max_length=4096)]
_log = logging.getLogger("vidik.enrol")


class Place(msgspec.Struct, frozen=True):
    """Where a server is."""

    host: Annotated[str, Meta(min_length=1, max_length=253)]
    port: config.Port


class Deployment(msgspec.Struct, frozen=True):
    """What a service hands over besides certificates. ``recipients``: raw public keys in base64, for ``edge.trial``."""

    broker: Place
    enrol: Place
    trust: Annotated[str, Meta(min_length=1, max_length=_LARGEST_TRUST)]
    recipients: Annotated[dict[RecipientName, RecipientKey], Meta(max_length=64)] = {}


def enrol(
    folder: Path, claim: Claim, connect: Callable[[Claim], Service], source: str = "/dev/video0", *,
    overlay: Overlay | None = None, seal: bool = False, where: keys.Where = "auto",
) -> bool:  # fmt: skip
    """Gives the camera in ``folder`` the identity that ``claim`` stands for; returns whether that was news.

    A camera without a configuration gets one to start with, for the camera device ``source`` and with what ``overlay``
    says. With ``seal`` the camera is sealed before the identity is in force. A sealed camera stays with its deployment:
    a claim of another root is refused. ``where`` the connection's key is made; the signing key, which signs every
    report, lies in a file. Raises ``EnrolError``; the identity in force, if any, is then as it was.
    """
    home = folder / IDENTITY
    _check_name(folder / CONFIG, claim.camera)
    made = identity.begin(home, claim)
    if identity.in_force(home) == made:
        return False
    connection_key, signing_key = keys.at(made / f"{CONNECTION}.key", where), keys.at(made / f"{SIGNING}.key")
    signing_request = signing_key.request(claim.camera)
    service = connect(claim)
    try:
        authorities = service.authorities()
        connection = service.enrol(CONNECTION, connection_key.request(claim.camera))
        signing = service.enrol(SIGNING, signing_request)
        deployment = _deployment(service.deployment())
    finally:
        service.close()
    check.certificate(connection, connection_key.public_key(), claim.camera, CONNECTION)
    check.certificate(signing, signing_key.public_key(), claim.camera, SIGNING)
    chain = check.chain(signing, authorities)
    if not check.same_root(chain, check.chain(connection, authorities)):
        raise EnrolError("The enrolment service's certificates lead to two roots. Tell the office.")
    _check_deployment(folder, chain)
    kept = {name: msgspec.to_builtins(getattr(deployment, name)) for name in ("broker", "enrol", "recipients")}
    files = {
        CA: _pem(*chain), f"{CONNECTION}.pem": _pem(connection), f"{SIGNING}.pem": _pem(signing),
        SIGNING_REQUEST: signing_request, TRUST: deployment.trust.encode(), DEPLOYMENT: json.dumps(kept).encode(),
    }  # fmt: skip
    identity.fill(made, files)
    if not (folder / CONFIG).exists():
        text = configuration.text(claim.camera, deployment.broker.host, deployment.broker.port, source, overlay)
        configuration.check(text, folder / CONFIG)
        identity.make_folders(folder, "run", "grants", "state", "spool", "events")
        # a network camera's address may hold a password
        identity.fill(folder, {CONFIG: text.encode()}, mode=0o640)
    if seal:
        identity.seal(folder)
    identity.commit(home, made)
    _log.info("enrolled camera=%s serial=%x", claim.camera, connection.serial_number)
    return True


def due(folder: Path) -> datetime:
    """When the first of the camera's certificates should be renewed. Raises ``EnrolError``."""
    held = _held(folder)
    return min(check.due(_certificates(held / f"{purpose}.pem")[0]) for purpose in (CONNECTION, SIGNING))


def renew(folder: Path, now: datetime, connect: Callable[[Address], Service]) -> list[str]:
    """Renews what is due at ``now`` and returns the purposes that were. Raises ``VidikError``.

    Keys stay. The signing key is not touched, not even read: its stored request is sent again. Processes that run
    take up the new connection certificate when they connect the next time.
    """
    held = _held(folder)
    present = {purpose: _certificates(held / f"{purpose}.pem")[0] for purpose in (CONNECTION, SIGNING)}
    wanted = [purpose for purpose, issued in present.items() if check.due(issued) <= now]
    if not wanted:
        return []
    requests = {SIGNING: _read(held / SIGNING_REQUEST)}
    if CONNECTION in wanted:
        camera = check.name_of(present[CONNECTION])
        requests[CONNECTION] = keys.at(held / f"{CONNECTION}.key").request(camera)
    service = connect(_office(held))
    try:
        authorities = service.authorities()
        for purpose in wanted:
            renewed = service.renew(purpose, requests[purpose])
            _take(held, purpose, present[purpose], renewed, authorities)
    finally:
        service.close()
    return wanted


def refresh(folder: Path, connect: Callable[[Address], Service]) -> list[str]:
    """Asks the office anew who may open test reports (``edge.trial``); returns their names. Raises ``VidikError``."""
    held = _held(folder)
    service = connect(_office(held))
    try:
        recipients = _deployment(service.deployment()).recipients
    finally:
        service.close()
    kept = msgspec.json.decode(_read(held / DEPLOYMENT), type=dict[str, Any])
    identity.fill(held, {DEPLOYMENT: json.dumps(kept | {"recipients": recipients}).encode()})
    return sorted(recipients)


def _office(held: Path) -> Address:
    """The enrolment service, reached with the identity in ``held``."""
    where = msgspec.json.decode(_read(held / DEPLOYMENT))["enrol"]
    return Address(where["host"], where["port"], held / CA, held / f"{CONNECTION}.pem", held / f"{CONNECTION}.key")


def _take(
    held: Path, purpose: str, before: x509.Certificate, renewed: x509.Certificate, authorities: list[x509.Certificate]
) -> None:
    """Puts ``renewed`` in the place of ``before``, if it may take it."""
    key = before.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)  # checked when it came
    check.certificate(renewed, key, check.name_of(before), purpose)
    chain = check.chain(renewed, authorities)
    known = _certificates(held / CA)
    if not check.same_root(chain, known):
        raise EnrolError("The renewed certificate leads to another root. A change of the root needs new claims.")
    if renewed.not_valid_after_utc <= before.not_valid_after_utc:
        raise EnrolError(f"The renewed {purpose} certificate ends no later than the old one. Tell the office.")
    # CAs that are new come first, then those that still vouch for certificates of before
    bundle = [*chain[:-1], *(one for one in known if one not in chain[:-1])]
    if bundle != known:
        identity.fill(held, {CA: _pem(*bundle)})
    identity.fill(held, {f"{purpose}.pem": _pem(renewed)})
    _log.info("renewed purpose=%s serial=%x", purpose, renewed.serial_number)


def _deployment(answer: dict[str, Any]) -> Deployment:
    try:
        found = msgspec.convert(answer, Deployment)
        tomllib.loads(found.trust)  # whether it is of use is for vision to say, which knows what a grant is
    except (msgspec.ValidationError, tomllib.TOMLDecodeError) as error:
        raise EnrolError(f"The enrolment service's answer is of another form: {error}. Tell the office.") from error
    return found


def _check_name(path: Path, camera: str) -> None:
    if path.exists() and (named := config.load(path, config.Uplink).camera) != camera:
        raise EnrolError(f"The claim is for {camera}, and {path} is of {named}. Take the claim to the other camera.")


def _check_deployment(folder: Path, chain: list[x509.Certificate]) -> None:
    """Whoever has a stick must not be able to move a sealed camera to a deployment of his own."""
    held = identity.in_force(folder / IDENTITY)
    if held is not None and (folder / SEALED).exists() and not check.same_root(chain, _certificates(held / CA)):
        raise EnrolError(
            "The claim is of another deployment than this sealed camera's. Reset the camera first if it is to move."
        )


def _held(folder: Path) -> Path:
    held = identity.in_force(folder / IDENTITY)
    if held is None:
        raise EnrolError(f"The camera in {folder} has no identity yet. Enrol it with a claim first.")
    return held


def _certificates(path: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except (OSError, ValueError) as error:
        raise EnrolError(f"The certificate {path} cannot be read: {error}. Enrol with a new claim.") from error


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise EnrolError(f"{path} cannot be read: {error}. Enrol with a new claim.") from error


def _pem(*certificates: x509.Certificate) -> bytes:
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)
