"""The signing certificate is renewed while vision runs: statements carry the new one, the health counts its days."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from edge.audit import Audit, head
from edge.errors import VidikError
from edge.vision.certificate import Certified
from provisioning import pki
from tests.audit_fakes import CA, CAMERA, FakeClock


def put(path: Path, content: bytes) -> None:
    fresh = path.with_suffix(".new")
    fresh.write_bytes(content)
    fresh.replace(path)


def test_a_renewed_certificate_is_in_the_next_head_and_another_keys_is_not(tmp_path: Path) -> None:
    clock, path = FakeClock(), tmp_path / "signing.pem"
    first = pki.issue_signing(CA, CAMERA)
    put(path, first.certificate.public_bytes(Encoding.PEM))
    certified = Certified(first.key, path, clock)
    log = Audit(tmp_path / "audit", clock, CAMERA, certified.signer)
    assert head.read(log.head())[1] == first.certificate.public_bytes(Encoding.DER)
    again = pki.certify_signing(CA, CAMERA, first.key.public_key())
    put(path, again.public_bytes(Encoding.PEM))
    certified.tick()
    clock.now += 5
    certified.tick()
    assert head.read(log.head())[1] == again.public_bytes(Encoding.DER)
    days = certified.days
    assert days > 10
    clock.now += 86_400
    assert certified.facts() == {"certificate_days": days - 1}
    assert certified.troubles() == []

    put(path, pki.issue_signing(CA, CAMERA).certificate.public_bytes(Encoding.PEM))
    clock.now += 5
    certified.tick()
    assert "not of the key in use" in certified.troubles()[0]
    assert head.read(log.head())[1] == again.public_bytes(Encoding.DER)

    put(path, b"half of it")
    clock.now += 5
    certified.tick()
    assert "cannot be read" in certified.troubles()[0]
    path.unlink()
    clock.now += 5
    certified.tick()
    put(path, again.public_bytes(Encoding.PEM))
    clock.now += 5
    certified.tick()
    assert certified.troubles() == []
    log.close()


def test_without_a_certificate_there_is_no_start(tmp_path: Path) -> None:
    with pytest.raises(VidikError, match="Provision the camera again"):
        Certified(pki.issue_signing(CA, CAMERA).key, tmp_path / "none.pem", FakeClock())
