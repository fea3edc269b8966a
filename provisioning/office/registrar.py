"""Who gets a certificate: claims are made and honoured here, certificates renewed and revoked. No network.

A claim is good for one certificate of each purpose. Whoever asks again with the same key, because an answer was
lost on the way, gets the same certificate again; whoever asks with another key is refused.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID

from edge.enrol.claim import Claim
from edge.errors import VidikError
from provisioning import pki
from provisioning.office.folder import Settings
from provisioning.office.inventory import Camera, Certificate, Inventory, InventoryError, StoredClaim

CONNECTION, SIGNING = "connection", "signing"
PURPOSES = (CONNECTION, SIGNING)
_AGAIN = 86_400  # seconds within which a renewal that is asked for again gets the same answer
_SECRET_BYTES = 24
_CERTIFY = {CONNECTION: pki.certify_connection, SIGNING: pki.certify_signing}


class Refused(VidikError):
    """A request that is not honoured. ``status``: the matching status of HTTP."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def make_claim(
    inventory: Inventory, camera: str, settings: Settings, pin: str, *, now: int, seconds: int, replace: bool = False
) -> Claim:
    """A new claim for ``camera``, valid for ``seconds``; earlier ones become worthless. Raises ``InventoryError``.

    A camera that has an identity gets a claim only with ``replace``: using it revokes the old certificates.
    """
    secret = secrets.token_urlsafe(_SECRET_BYTES)
    with inventory.change():
        known = _known(inventory, camera)
        if known.state == "retired":
            raise InventoryError(f"The camera {camera} is retired. Add the device under a new id.")
        if known.state == "enrolled" and not replace:
            raise InventoryError(
                f"The camera {camera} has an identity already. With --replace a new device takes its place, and the "
                "old certificates are revoked when the claim is used."
            )
        inventory.void_claims(camera)
        inventory.add_claim(StoredClaim(_digest(secret), camera, now, now + seconds, void=False))
        inventory.note("claim made", camera, f"until {now + seconds}")
    return Claim(settings.enrol_host, settings.enrol_port, camera, secret, pin, now + seconds)


def withdraw(inventory: Inventory, camera: str, state: str, reason: str, now: int) -> int:
    """Revokes all certificates and claims of ``camera`` and sets its ``state``; returns how many certificates."""
    with inventory.change():
        _known(inventory, camera)
        alive = [held for held in inventory.certificates(camera) if held.revoked is None and held.until >= now]
        _revoke(inventory, alive, now, reason)
        inventory.void_claims(camera)
        inventory.set_state(camera, state)
        inventory.note(state, camera, f"{reason}; {len(alive)} certificates")
    return len(alive)


def record(inventory: Inventory, issued: x509.Certificate, holder: str, purpose: str, claim: str | None = None) -> None:
    """Enters a certificate that was issued."""
    inventory.add_certificate(
        Certificate(
            0, f"{issued.serial_number:x}", holder, purpose, _fingerprint(issued.public_key()), claim,
            int(issued.not_valid_before_utc.timestamp()), int(issued.not_valid_after_utc.timestamp()), None, None,
            issued.public_bytes(Encoding.DER),
        )
    )  # fmt: skip
    inventory.note("issued", holder, f"{purpose} {issued.serial_number:x}")


class Registrar:
    """Answers requests for certificates with the issuing CA ``ca``. Threads may share it."""

    def __init__(
        self, inventory: Inventory, ca: pki.Issued, now: Callable[[], float] = lambda: datetime.now(UTC).timestamp()
    ) -> None:
        self._inventory, self._ca, self._now = inventory, ca, now

    def enrol(self, camera: str, secret: str, purpose: str, request: bytes) -> x509.Certificate:
        """The certificate for a claim. ``request``: PKCS #10 in DER. Raises ``Refused``."""
        with self._inventory.change():
            claim = self._honoured(camera, secret)
            key = _requested_key(request, camera)
            before = self._inventory.issued_for(claim.digest, purpose)
            if before is not None:
                return _same(before, key)
            now = int(self._now())
            replaced = [
                held for held in self._inventory.certificates(camera)
                if held.purpose == purpose and held.revoked is None and held.until >= now
            ]  # fmt: skip
            _revoke(self._inventory, replaced, now, "superseded")
            self._inventory.set_state(camera, "enrolled")
            return self._issue(camera, purpose, key, claim.digest)

    def check(self, camera: str, secret: str) -> None:
        """Whether the claim is honoured, without using it. Raises ``Refused``."""
        self._honoured(camera, secret)

    def renew(self, peer: bytes, purpose: str, request: bytes) -> x509.Certificate:
        """A new certificate for the camera that connected with the certificate ``peer`` (DER). Raises ``Refused``.

        A connection may change its key. A signing key may not change this way: otherwise whoever takes over a
        camera's uplink could give himself a key to sign reports with.
        """
        with self._inventory.change():
            shown = self._shown(peer)
            camera = shown.holder
            key = _requested_key(request, camera)
            held = [
                one for one in self._inventory.certificates(camera)
                if one.purpose == purpose and one.key == _fingerprint(key) and one.revoked is None
            ]  # fmt: skip
            if purpose == SIGNING and not held:
                raise Refused(403, f"{camera} asks to renew a signing key that it never had. That takes a new claim.")
            now = int(self._now())
            latest = held[-1] if held else None
            renewed = latest is not None and latest.claim is None and latest.number > shown.number
            if latest is not None and renewed and now - latest.issued < _AGAIN:
                return x509.load_der_x509_certificate(latest.der)
            return self._issue(camera, purpose, key, None)

    def camera_of(self, peer: bytes | None) -> str:
        """The camera that connected with the certificate ``peer`` (DER), if it showed one. Raises ``Refused``."""
        if peer is None:
            raise Refused(403, "This needs the camera's connection certificate. Enrol with a new claim.")
        return self._shown(peer).holder

    def refuse(self, camera: str, source: str, refusal: Refused) -> None:
        """Puts a refusal down in the journal."""
        self._inventory.note("refused", camera, f"{source}: {refusal}")

    def _issue(self, camera: str, purpose: str, key: ec.EllipticCurvePublicKey, claim: str | None) -> x509.Certificate:
        issued = _CERTIFY[purpose](self._ca, camera, key)
        record(self._inventory, issued, camera, purpose, claim)
        return issued

    def _honoured(self, camera: str, secret: str) -> StoredClaim:
        claim = self._inventory.claim(_digest(secret))
        if claim is None or claim.camera != camera:
            raise Refused(401, "The claim is not known. Make a new one at the office.")
        if claim.void:
            raise Refused(403, f"The claim for {camera} was withdrawn. Make a new one at the office.")
        if self._now() > claim.until:
            raise Refused(403, f"The claim for {camera} has expired. Make a new one at the office.")
        return claim

    def _shown(self, peer: bytes) -> Certificate:
        try:
            known = self._inventory.certificate(x509.load_der_x509_certificate(peer).serial_number)
        except ValueError as error:
            raise Refused(401, "The client certificate cannot be read. Enrol again with a new claim.") from error
        if known is None or known.der != peer or known.purpose != CONNECTION or known.revoked is not None:
            raise Refused(403, "The client certificate is not one of a camera here. Enrol again with a new claim.")
        return known


def _known(inventory: Inventory, camera: str) -> Camera:
    known = inventory.camera(camera)
    if known is None:
        raise InventoryError(f"The camera {camera} is not in the inventory. Add it first: vidik provision add.")
    return known


def _revoke(inventory: Inventory, certificates: Iterable[Certificate], now: int, reason: str) -> None:
    for certificate in certificates:
        inventory.revoke(certificate.serial, now, reason)
        inventory.note("revoked", certificate.holder, f"{certificate.purpose} {certificate.serial} {reason}")


def _same(before: Certificate, key: ec.EllipticCurvePublicKey) -> x509.Certificate:
    if before.key != _fingerprint(key):
        raise Refused(409, f"The claim for {before.holder} was used already, with another key. Make a new one.")
    if before.revoked is not None:
        raise Refused(403, f"What the claim for {before.holder} was used for is revoked. Make a new one.")
    return x509.load_der_x509_certificate(before.der)


def _requested_key(request: bytes, camera: str) -> ec.EllipticCurvePublicKey:
    """The key in a certificate request whose sender has shown that he holds its private part."""
    try:
        parsed = x509.load_der_x509_csr(request)
        key, names = parsed.public_key(), parsed.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        genuine = parsed.is_signature_valid
    except Exception as error:  # hostile requests make the library raise errors of many types
        raise Refused(400, f"That is no certificate request (PKCS #10): {type(error).__name__}.") from error
    if not genuine:
        raise Refused(400, "The signature of the certificate request does not hold.")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise Refused(400, "The certificate request is not for a P-256 key.")
    if [str(name.value) for name in names] != [camera]:
        raise Refused(400, "The certificate request names another camera than the one that asks.")
    return key


def _fingerprint(key: object) -> str:
    assert isinstance(key, ec.EllipticCurvePublicKey)  # nothing else is certified here
    return hashlib.sha256(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)).hexdigest()


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
