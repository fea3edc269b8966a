"""From a claim to an identity and its renewal: against the real service over TLS, and the desk that tests use."""

from __future__ import annotations

import base64
import os
import socket
import ssl
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.client import HTTPSConnection
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, pkcs7

from edge import config
from edge.address import Address
from edge.enrol import __main__ as program
from edge.enrol import check, client, procedure
from edge.enrol.claim import Claim
from edge.enrol.errors import EnrolError, TryLater
from edge.enrol.service import Service
from edge.listen.client import read_ca
from edge.listen.trust import check_signer
from edge.trial import recipients_of
from edge.trial_form import TrialError
from provisioning import pki
from provisioning.grant_draft import DraftError
from provisioning.office import cli, registrar
from provisioning.office.folder import Office
from provisioning.office.inventory import Inventory
from provisioning.office.limit import FailureLimit
from provisioning.office.registrar import CONNECTION, PURPOSES, SIGNING, Registrar
from tests.offices import Desk, Server, free_port, make_office, new_key, passphrase_file, request

CAMERAS = [f"cam-{number}" for number in range(40)]
LATER = timedelta(days=300)  # past two thirds of a certificate's life


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    return make_office(tmp_path_factory.mktemp("office") / "office", *CAMERAS, enrol_port=free_port())


@pytest.fixture(scope="module")
def server(office: Office) -> Iterator[Server]:
    running = Server(office)
    running.start()
    yield running
    assert running.stop() in (0, -15)


@pytest.fixture
def inventory(office: Office) -> Iterator[Inventory]:
    opened = office.inventory()
    yield opened
    opened.close()


@pytest.fixture(params=["service", "desk"])
def kind(request: pytest.FixtureRequest) -> str:
    if request.param == "service":
        request.getfixturevalue("server")
    return str(request.param)


class Way:
    """How a camera reaches the office: over TLS, or straight."""

    def __init__(self, kind: str, office: Office, desk: Registrar) -> None:
        self._straight, self._office, self._desk = kind == "desk", office, desk

    def by_claim(self, claim: Claim) -> Service:
        return Desk(self._office, self._desk, claim=claim) if self._straight else client.by_claim(claim)

    def by_certificate(self, address: Address) -> Service:
        if not self._straight:
            return client.by_certificate(address)
        peer = x509.load_pem_x509_certificate(address.certificate.read_bytes()).public_bytes(Encoding.DER)
        return Desk(self._office, self._desk, peer=peer)


@pytest.fixture(scope="module")
def ca(office: Office) -> pki.Issued:
    return office.issuing(passphrase_file(office.folder.parent))


@pytest.fixture
def way(kind: str, office: Office, inventory: Inventory, ca: pki.Issued) -> Way:
    return Way(kind, office, Registrar(inventory, ca))


_next = iter(CAMERAS)


@pytest.fixture
def claim(office: Office, inventory: Inventory) -> Claim:
    return claim_for(office, inventory, next(_next))


def claim_for(office: Office, inventory: Inventory, camera: str, again: bool = False) -> Claim:
    return registrar.make_claim(
        inventory, camera, office.settings(), office.pin(), now=int(time.time()), seconds=3600, replace=again
    )


def held(folder: Path, name: str) -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / "identity" / "current" / name).read_bytes())


def test_a_claim_becomes_an_identity_that_everybody_accepts(
    way: Way, claim: Claim, office: Office, inventory: Inventory, tmp_path: Path
) -> None:
    assert procedure.enrol(tmp_path, claim, way.by_claim, "street.mp4")
    settings = config.load(tmp_path / "camera.toml", config.Uplink)
    assert (settings.camera, settings.host, settings.port) == (claim.camera, "localhost", 8883)
    Address(settings.host, settings.port, settings.ca, settings.certificate, settings.key).tls()
    vision = config.load(tmp_path / "camera.toml", config.Vision)
    assert vision.source == "street.mp4"
    assert vision.trust.read_bytes() == office.trust.read_bytes()
    der = held(tmp_path, "signing.pem").public_bytes(Encoding.DER)
    assert check_signer(der, read_ca(office.ca))[0] == claim.camera
    assert settings.ca.read_bytes() == office.ca.read_bytes()
    for key in (settings.key, vision.signing_key):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
    serials = {f"{held(tmp_path, f'{purpose}.pem').serial_number:x}" for purpose in PURPOSES}
    assert serials == {one.serial for one in inventory.certificates(claim.camera)}


def test_a_camera_learns_who_may_open_its_test_reports(
    way: Way, claim: Claim, office: Office, inventory: Inventory, tmp_path: Path
) -> None:
    key = x25519.X25519PrivateKey.generate().public_key()
    (tmp_path / "court.pub").write_bytes(key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(DraftError):
        cli.recipient(office.trust, office.folder)
    cli.recipient(tmp_path / "court.pub", office.folder)
    try:
        procedure.enrol(tmp_path / "camera", claim, way.by_claim)
    finally:
        (office.folder / "recipients" / "court.pub").unlink()
    assert dict(recipients_of(tmp_path / "camera")) == {"court": key}
    procedure.enrol(tmp_path / "later", claim_for(office, inventory, next(_next)), way.by_claim)
    with pytest.raises(TrialError, match="vidik provision recipient"):
        recipients_of(tmp_path / "later")
    kept = (tmp_path / "later" / "identity" / "current" / "trust.toml").read_bytes()
    cli.recipient(tmp_path / "court.pub", office.folder)
    try:
        assert procedure.refresh(tmp_path / "later", way.by_certificate) == ["court"]
    finally:
        (office.folder / "recipients" / "court.pub").unlink()
    assert dict(recipients_of(tmp_path / "later")) == {"court": key}
    assert (tmp_path / "later" / "identity" / "current" / "trust.toml").read_bytes() == kept
    assert procedure.renew(tmp_path / "later", datetime.now(UTC), way.by_certificate) == []  # all of it still there


def test_enrolling_again_with_the_same_claim_changes_nothing(way: Way, claim: Claim, tmp_path: Path) -> None:
    procedure.enrol(tmp_path, claim, way.by_claim)
    before = held(tmp_path, "connection.pem")
    assert not procedure.enrol(tmp_path, claim, way.by_claim)
    assert held(tmp_path, "connection.pem") == before


def test_a_claim_is_no_good_for_a_second_device(way: Way, claim: Claim, tmp_path: Path) -> None:
    procedure.enrol(tmp_path / "one", claim, way.by_claim)
    with pytest.raises(EnrolError, match="used already"):
        procedure.enrol(tmp_path / "two", claim, way.by_claim)
    assert not (tmp_path / "two" / "camera.toml").exists()
    assert not (tmp_path / "two" / "identity" / "current").exists()


def test_one_of_many_devices_with_the_same_claim_wins(
    way: Way, claim: Claim, inventory: Inventory, tmp_path: Path
) -> None:
    def attempt(number: int) -> bool:
        try:
            return procedure.enrol(tmp_path / str(number), claim, way.by_claim)
        except EnrolError:
            return False

    with ThreadPoolExecutor(8) as pool:
        won = list(pool.map(attempt, range(8)))
    # each purpose goes to one device; who has one of them only has no identity
    assert sum(won) <= 1
    assert len([one for one in inventory.certificates(claim.camera) if one.purpose == CONNECTION]) == 1
    assert len([one for one in inventory.certificates(claim.camera) if one.purpose == SIGNING]) <= 1


def test_an_unknown_claim_is_refused(way: Way, claim: Claim, tmp_path: Path) -> None:
    with pytest.raises(EnrolError, match="not known"):
        procedure.enrol(tmp_path, replace(claim, secret="x" * 32), way.by_claim)


def test_a_claim_for_another_camera_is_refused_before_anything_is_asked(
    way: Way, claim: Claim, office: Office, inventory: Inventory, tmp_path: Path
) -> None:
    procedure.enrol(tmp_path, claim, way.by_claim)
    other = claim_for(office, inventory, next(_next))
    with pytest.raises(EnrolError, match="other camera"):
        procedure.enrol(tmp_path, other, way.by_claim)
    assert inventory.certificates(other.camera) == []


def test_nothing_is_renewed_before_its_time(way: Way, claim: Claim, tmp_path: Path) -> None:
    procedure.enrol(tmp_path, claim, way.by_claim)
    issued = held(tmp_path, "connection.pem")
    life = issued.not_valid_after_utc - issued.not_valid_before_utc
    due = procedure.due(tmp_path)
    assert issued.not_valid_before_utc + life * 2 / 3 <= due <= issued.not_valid_before_utc + life * 0.72
    assert procedure.renew(tmp_path, due - timedelta(seconds=1), way.by_certificate) == []


def test_a_renewal_keeps_the_keys(way: Way, claim: Claim, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    procedure.enrol(tmp_path, claim, way.by_claim)
    before = {purpose: held(tmp_path, f"{purpose}.pem") for purpose in PURPOSES}
    age(tmp_path, way, monkeypatch)
    assert set(procedure.renew(tmp_path, datetime.now(UTC) + LATER, way.by_certificate)) == set(PURPOSES)
    for purpose, old in before.items():
        renewed = held(tmp_path, f"{purpose}.pem")
        assert renewed.serial_number != old.serial_number
        assert renewed.public_key() == old.public_key()
        check.certificate(renewed, renewed.public_key(), claim.camera, purpose)  # type: ignore[arg-type]


def age(folder: Path, way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the camera believe that its certificates end sooner: otherwise new ones would end no later than those of
    the same second, and a service that was asked just before gives the same certificate again."""
    desk = way._desk
    monkeypatch.setattr(pki, "LIFE", timedelta(days=396))
    inventory = desk._inventory
    for purpose in PURPOSES:
        key = held(folder, f"{purpose}.pem").public_key()
        camera = check.name_of(held(folder, f"{purpose}.pem"))
        issued = registrar._CERTIFY[purpose](desk._ca, camera, key)  # type: ignore[arg-type]
        with inventory.change():
            registrar.record(inventory, issued, camera, purpose)
            # as if it had been issued long ago
            inventory._execute("UPDATE certificate SET issued = issued - 8640000 WHERE holder = ?", camera)
        (folder / "identity" / "current" / f"{purpose}.pem").write_bytes(issued.public_bytes(Encoding.PEM))
    monkeypatch.undo()


def test_a_revoked_camera_cannot_renew(way: Way, claim: Claim, inventory: Inventory, tmp_path: Path) -> None:
    procedure.enrol(tmp_path, claim, way.by_claim)
    registrar.withdraw(inventory, claim.camera, "revoked", "key-compromise", int(time.time()))
    before = held(tmp_path, "connection.pem")
    with pytest.raises(EnrolError):
        procedure.renew(tmp_path, datetime.now(UTC) + LATER, way.by_certificate)
    assert held(tmp_path, "connection.pem") == before


# what only the real service can be asked


def test_nothing_is_sent_to_a_server_that_the_claim_does_not_pin(server: Server, claim: Claim, tmp_path: Path) -> None:
    with pytest.raises(EnrolError, match="Nothing was sent"):
        procedure.enrol(tmp_path, replace(claim, pin="A" * 43), client.by_claim)


def test_an_impostor_hears_no_secret(office: Office, ca: pki.Issued, claim: Claim, tmp_path: Path) -> None:
    pki.issue_server(ca, ["localhost"]).save(tmp_path, "impostor")  # even one with a certificate of the deployment
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "impostor.pem", tmp_path / "impostor.key")
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with context.wrap_socket(connection, server_side=True) as tls:
                heard.append(tls.recv(1000))

        thread = threading.Thread(target=serve)
        thread.start()
        with pytest.raises(EnrolError, match="Nothing was sent"):
            client.by_claim(replace(claim, host="127.0.0.1", port=listener.getsockname()[1]))
        thread.join(60)
    assert heard == [b""]


@pytest.mark.parametrize(
    "sent", [b"", b"HTTP/1.1 200 OK\r\nContent-Le", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nMII"]
)
def test_an_answer_that_was_cut_off_is_worth_another_try(office: Office, claim: Claim, sent: bytes) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(office.service / "server.pem", office.service / "server.key")
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with context.wrap_socket(connection, server_side=True) as tls:
                tls.recv(1000)
                tls.sendall(sent)

        thread = threading.Thread(target=serve)
        thread.start()
        service = client.by_claim(replace(claim, host="127.0.0.1", port=listener.getsockname()[1]))
        with pytest.raises(TryLater):
            service.authorities()
        service.close()
        thread.join(60)


def test_a_service_that_is_not_there_is_worth_another_try(claim: Claim) -> None:
    with pytest.raises(TryLater):
        client.by_claim(replace(claim, port=free_port()))


def ask(office: Office, method: str, path: str, body: bytes = b"", **headers: str) -> tuple[int, str, bytes]:
    """One request of a stock HTTP client that trusts the deployment's CA."""
    context = ssl.create_default_context(cafile=str(office.ca))
    connection = HTTPSConnection("localhost", office.settings().enrol_port, timeout=60, context=context)
    connection.request(method, path, body or None, headers)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, answer.getheader("Content-Type", ""), content


def basic(camera: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{camera}:{secret}".encode()).decode()


def test_est_as_any_client_speaks_it(server: Server, office: Office, claim: Claim, inventory: Inventory) -> None:
    status, kind, content = ask(office, "GET", "/.well-known/est/cacerts")
    assert (status, kind) == (200, "application/pkcs7-mime; smime-type=certs-only")
    assert len(pkcs7.load_der_pkcs7_certificates(base64.b64decode(content))) == 2
    key = new_key()
    wanted = base64.b64encode(request(claim.camera, key))
    who = basic(claim.camera, claim.secret)
    kinds = {"Content-Type": "application/pkcs10"}
    status, _, _ = ask(office, "POST", "/.well-known/est/simpleenroll", wanted, **kinds)
    assert status == 401
    status, _, content = ask(office, "POST", "/.well-known/est/simpleenroll", wanted, Authorization=who, **kinds)
    assert status == 200
    (issued,) = pkcs7.load_der_pkcs7_certificates(base64.b64decode(content))
    assert issued.public_key() == key.public_key()
    pem = b"-----BEGIN CERTIFICATE REQUEST-----\n" + wanted + b"\n-----END CERTIFICATE REQUEST-----\n"
    path = "/.well-known/est/connection/simpleenroll"
    assert ask(office, "POST", path, pem, Authorization=who) == (200, kind, content)  # asked again: the same answer
    for path, body, expected in [
        ("/.well-known/est/other/simpleenroll", wanted, 404), ("/.well-known/est/simpleenroll", b"\xff", 400),
        ("/.well-known/est/simpleenroll", b"A" * 20_000, 413), ("/.well-known/est/simplereenroll", wanted, 403),
    ]:  # fmt: skip
        assert ask(office, "POST", path, body, Authorization=who)[0] == expected
    assert ask(office, "GET", "/vidik/v1/deployment", Authorization="Basic !!!")[0] == 401
    status, kind, content = ask(office, "GET", "/vidik/v1/crl")
    assert (status, kind) == (200, "application/pkix-crl")
    x509.load_der_x509_crl(content)
    refusals = [subject for _, event, subject, _ in inventory.journal() if event == "refused"]
    assert claim.camera in refusals


def test_the_programs_of_a_camera(
    server: Server, claim: Claim, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "claim.txt").write_text(f"{claim}\n")
    folder = ["--folder", str(tmp_path / "camera"), "--patience", "0"]
    assert program.main([*folder, "enrol", str(tmp_path / "claim.txt")]) == 0
    assert claim.camera in capsys.readouterr().out
    assert program.main([*folder, "renew"]) == 0
    assert "Next renewal" in capsys.readouterr().out
    assert program.main([*folder, "enrol", "vidik://no"]) == 2
    away = replace(claim, port=free_port(), secret="y" * 32)
    assert program.main([*folder, "enrol", str(away)]) == 3
    assert claim.secret not in capsys.readouterr().err
    assert os.path.islink(tmp_path / "camera" / "identity" / "current")  # noqa: PTH114


def test_who_fails_too_often_has_to_wait() -> None:
    limit = FailureLimit(most=3, seconds=60.0)
    for _ in range(3):
        assert limit.wait("a", 100.0) == 0.0
        limit.failed("a", 100.0)
    assert limit.wait("a", 110.0) == 50.0
    assert limit.wait("b", 110.0) == 0.0
    assert limit.wait("a", 160.0) == 0.0
