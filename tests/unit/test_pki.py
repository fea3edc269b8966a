"""Certificates: each good for one purpose, and checked on the receiving side."""

from __future__ import annotations

import ssl
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from edge.listen.trust import REPORT_SIGNING, TrustError, check_signer
from provisioning import pki
from provisioning.pki import Issued, PkiError


@pytest.fixture(scope="module")
def ca() -> Issued:
    return pki.make_ca("Test")


def der(issued: Issued) -> bytes:
    return issued.certificate.public_bytes(Encoding.DER)


def test_a_signing_certificate_names_its_camera(ca: Issued) -> None:
    issued = pki.issue_signing(ca, "cam-7")
    camera, key = check_signer(der(issued), ca.certificate)
    assert camera == "cam-7"
    assert key == issued.key.public_key()


def test_no_other_certificate_makes_a_signer(ca: Issued) -> None:
    others = [
        pki.issue_connection(ca, "cam-7"),
        pki.issue_server(ca, ["cam-7"]),
        pki.issue_subscriber(ca, "cam-7"),
        pki.issue_signing(pki.make_ca("Test"), "cam-7"),  # of another CA with the same name
    ]
    for issued in others:
        with pytest.raises(TrustError):
            check_signer(der(issued), ca.certificate)
    with pytest.raises(TrustError):
        check_signer(der(ca), ca.certificate)


def test_a_certificate_under_another_certificate_makes_no_signer(ca: Issued) -> None:
    camera = pki.issue_signing(ca, "cam-7")
    forged = pki.issue_signing(Issued(camera.certificate, camera.key), "cam-8")
    with pytest.raises(TrustError):
        check_signer(der(forged), ca.certificate)


@pytest.mark.parametrize("days", [-1, 398])
def test_a_signing_certificate_holds_only_in_its_time(ca: Issued, days: int) -> None:
    moment = datetime.now(UTC) + timedelta(days=days)
    with pytest.raises(TrustError, match="expired or not valid yet"):
        check_signer(der(pki.issue_signing(ca, "cam-7")), ca.certificate, moment)


def test_a_changed_or_oversized_certificate_makes_no_signer(ca: Issued) -> None:
    content = bytearray(der(pki.issue_signing(ca, "cam-7")))
    for position in range(0, len(content), 7):
        changed = bytearray(content)
        changed[position] ^= 1
        with pytest.raises(TrustError):
            check_signer(bytes(changed), ca.certificate)
    for untrusted in (b"", b"0", bytes(5000), b"0\x82\xff\xff" * 2000):
        with pytest.raises(TrustError):
            check_signer(untrusted, ca.certificate)


def certify(ca: Issued, key: ec.EllipticCurvePublicKey, *names: str) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in names])
    return pki.certify(ca, key, subject, REPORT_SIGNING).public_bytes(Encoding.DER)


@pytest.mark.parametrize("names", [(), ("cam-1", "cam-2"), ("Cam 1",), ("cam/1",), ("+",)])
def test_a_signing_certificate_must_name_exactly_one_camera(ca: Issued, names: tuple[str, ...]) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(TrustError, match="not one camera id"):
        check_signer(certify(ca, key, *names), ca.certificate)


def test_a_signing_key_must_be_on_p_256(ca: Issued) -> None:
    with pytest.raises(TrustError, match="P-256"):
        check_signer(certify(ca, ec.generate_private_key(ec.SECP384R1()).public_key(), "cam-1"), ca.certificate)


def connect(folder: Path, server: str, client: str, host: str) -> str:
    """The client's common name as the server sees it after a TLS handshake in memory. Raises ``ssl.SSLError``."""
    ends = []
    for name, side in ((server, ssl.Purpose.CLIENT_AUTH), (client, ssl.Purpose.SERVER_AUTH)):
        context = ssl.create_default_context(side, cafile=str(folder / "ca.pem"))
        context.verify_flags |= ssl.VERIFY_X509_STRICT  # the default from Python 3.13 on
        context.load_cert_chain(folder / f"{name}.pem", folder / f"{name}.key")
        context.verify_mode = ssl.CERT_REQUIRED
        ends.append(context)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = ends[0].wrap_bio(to_server, to_client, server_side=True)
    theirs = ends[1].wrap_bio(to_client, to_server, server_hostname=host)
    for _ in range(4):
        for end in (theirs, ours):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    subject = (ours.getpeercert() or {})["subject"]
    return dict(pair for names in subject for pair in names)["commonName"]


@pytest.fixture(scope="module")
def folder(ca: Issued, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    ca.save(folder, "ca")
    pki.issue_server(ca, ["broker.example", "127.0.0.1", "::1"]).save(folder, "server")
    pki.issue_connection(ca, "cam-1").save(folder, "connection")
    pki.issue_signing(ca, "cam-1").save(folder, "signing")
    pki.issue_subscriber(ca, "subscriber").save(folder, "subscriber")
    return folder


@pytest.mark.parametrize(("client", "name"), [("connection", "cam-1"), ("subscriber", "subscriber")])
@pytest.mark.parametrize("host", ["broker.example", "127.0.0.1", "::1"])
def test_clients_and_server_accept_each_other(folder: Path, client: str, name: str, host: str) -> None:
    assert connect(folder, "server", client, host) == name


@pytest.mark.parametrize(
    ("server", "client", "host"),
    [("server", "signing", "127.0.0.1"), ("server", "server", "127.0.0.1"),
     ("connection", "connection", "cam-1"), ("server", "connection", "other.example")],
)  # fmt: skip
def test_no_certificate_does_another_ones_work(folder: Path, server: str, client: str, host: str) -> None:
    with pytest.raises(ssl.SSLError):
        connect(folder, server, client, host)


def test_keys_are_for_their_owner_and_survive_the_disk(folder: Path) -> None:
    assert stat.S_IMODE((folder / "signing.key").stat().st_mode) == 0o600
    loaded = pki.load(folder, "signing")
    assert loaded.certificate.public_key() == loaded.key.public_key()
    assert not [file for file in folder.iterdir() if file.name.startswith(".")]


def test_writing_replaces_in_one_step_and_keeps_the_old_file_on_failure(tmp_path: Path) -> None:
    pki.write(tmp_path / "k", b"one", 0o600)
    before = (tmp_path / "k").stat().st_ino
    pki.write(tmp_path / "k", b"two", 0o600)
    assert (tmp_path / "k").stat().st_ino != before
    assert (tmp_path / "k").read_bytes() == b"two"
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(PkiError, match="cannot be written"):
        pki.write(tmp_path / "file" / "k", b"", 0o600)


@pytest.mark.parametrize("camera", ["", "Cam", "a/b", "+", "#", "-a", "a" * 33, "cam 1"])
def test_camera_ids_that_could_break_out_of_their_topic_are_refused(ca: Issued, camera: str) -> None:
    for issue in (pki.issue_connection, pki.issue_signing):
        with pytest.raises(PkiError):
            issue(ca, camera)


def test_the_ca_signs_certificates_and_revocation_lists_and_no_further_ca(ca: Issued) -> None:
    extensions = ca.certificate.extensions
    usage = extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (True, True, False)
    assert extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0


def test_serial_numbers_and_key_ids_tell_certificates_apart(ca: Issued) -> None:
    issued = [pki.issue_connection(ca, "cam-1").certificate for _ in range(3)]
    assert len({certificate.serial_number for certificate in issued}) == 3
    own = ca.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    for certificate in issued:
        named = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert named == own
        assert list(purposes) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_what_is_no_certificate_cannot_be_loaded(tmp_path: Path) -> None:
    with pytest.raises(PkiError, match="cannot be read"):
        pki.load(tmp_path, "missing")
