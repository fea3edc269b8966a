"""The deployment office: what it makes, whom it gives claims, and what its backups are worth."""

from __future__ import annotations

import re
import shlex
import stat
import tarfile
import time
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from typer.main import get_command
from typer.testing import CliRunner

from edge.enrol import claim as claims
from edge.enrol.claim import ClaimError
from edge.errors import VidikError
from edge.listen.client import read_ca
from edge.listen.trust import check_signer
from provisioning import keyfile, pki, statements
from provisioning.office import backup, broker_files, create, registrar, revocation, table
from provisioning.office.cli import app
from provisioning.office.folder import Office, OfficeError
from provisioning.office.inventory import Inventory, InventoryError
from provisioning.office.registrar import CONNECTION, PURPOSES, SIGNING, Refused, Registrar
from provisioning.office.table import TableError
from tests.offices import SECRETS, camera_named, make_office, new_key, passphrase_file, request

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of an office: making the keys' encryption anew for every test would take long."""
    folder = tmp_path_factory.mktemp("template")
    backup.write(make_office(folder / "office", "cam-1", "cam-2"), folder / "office.tar.gz")
    return folder / "office.tar.gz"


@pytest.fixture
def office(template: Path, tmp_path: Path) -> Office:
    return backup.restore(template, tmp_path / "office")


@pytest.fixture
def inventory(office: Office):
    opened = office.inventory()
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def ca(template: Path) -> pki.Issued:
    return Office(template.parent / "office").issuing(passphrase_file(template.parent))


@pytest.fixture
def desk(inventory: Inventory, ca: pki.Issued) -> Registrar:
    return Registrar(inventory, ca)


def claim_for(office: Office, inventory: Inventory, camera: str = "cam-1", seconds: int = 3600, replace: bool = False):
    return registrar.make_claim(
        inventory, camera, office.settings(), office.pin(), now=int(time.time()), seconds=seconds, replace=replace
    )


def test_the_chain_makes_signers_and_only_the_issuing_ca_does(office: Office, ca: pki.Issued) -> None:
    issuing, root = x509.load_pem_x509_certificates(office.ca.read_bytes())
    issuing.verify_directly_issued_by(root)
    der = pki.issue_signing(ca, "cam-1").certificate.public_bytes(pki.serialization.Encoding.DER)
    assert check_signer(der, read_ca(office.ca))[0] == "cam-1"
    assert statements.read_ca(office.ca) == issuing
    with pytest.raises(VidikError):
        check_signer(der, root)


def test_the_cas_may_do_no_more_than_they_must(office: Office) -> None:
    issuing, root = x509.load_pem_x509_certificates(office.ca.read_bytes())
    lengths = [
        one.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length for one in (issuing, root)
    ]
    assert lengths == [0, 1]
    usage = issuing.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (usage.key_cert_sign, usage.crl_sign, usage.digital_signature) == (True, True, False)


def test_no_certificate_outlives_its_issuer(monkeypatch: pytest.MonkeyPatch) -> None:
    root = pki.make_root("Root")
    monkeypatch.setattr(pki, "CA_LIFE", timedelta(days=10))
    issuing = pki.make_issuing(root, "Issuing")
    issued = pki.issue_connection(issuing, "cam-1").certificate
    assert issued.not_valid_after_utc == issuing.certificate.not_valid_after_utc


def test_private_keys_are_encrypted_or_closed_to_others(office: Office) -> None:
    for name in ("root", "issuing"):
        assert keyfile.is_encrypted((office.folder / name / "ca.key").read_bytes())
    for path in office.folder.rglob("*.key"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(office.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((office.folder / "inventory.sqlite").stat().st_mode) == 0o600


def test_the_wrong_passphrase_opens_nothing(office: Office, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("not the right one")
    with pytest.raises(VidikError, match="wrong passphrase"):
        office.issuing(tmp_path / "wrong")


def test_an_office_is_never_overwritten(office: Office) -> None:
    with pytest.raises(OfficeError, match="not empty"):
        create.create(office.folder, office.settings(), SECRETS)


def test_the_root_can_go_elsewhere_at_once(tmp_path: Path, office: Office) -> None:
    made = create.create(tmp_path / "second", office.settings(), SECRETS, root=tmp_path / "stick")
    assert (tmp_path / "stick" / "ca.key").exists()
    assert not (made.folder / "root").exists()
    assert backup.check(made) == []
    with pytest.raises(OfficeError, match="holds a root already"):
        create.create(tmp_path / "third", office.settings(), SECRETS, root=tmp_path / "stick")


# claims


def test_a_claim_says_all_that_a_camera_needs(office: Office, inventory: Inventory) -> None:
    made = claim_for(office, inventory)
    assert claims.parse(str(made)) == made
    assert claims.parse(f" {made}\n") == made
    assert (made.host, made.port, made.camera, made.pin) == ("localhost", 8443, "cam-1", office.pin())
    assert made.secret not in repr(made)


def test_a_claim_with_an_address_of_ipv6() -> None:
    made = claims.Claim("fd00::1", 8443, "cam-1", "s" * 32, "p" * 43, 1)
    assert claims.parse(str(made)) == made


@pytest.mark.parametrize(
    "text",
    ["", "vidik://", "https://localhost:1/cam-1", "vidik://h:70000/cam-1?claim={s}&pin={p}&until=1",
     "vidik://h:1/CAM?claim={s}&pin={p}&until=1", "vidik://h:1/cam-1?claim={s}&pin={p}", "x" * 2000],
)  # fmt: skip
def test_what_is_no_claim_is_refused(text: str) -> None:
    with pytest.raises(ClaimError):
        claims.parse(text.format(s="s" * 32, p="p" * 43))


def test_the_secret_is_not_kept(office: Office, inventory: Inventory) -> None:
    made = claim_for(office, inventory)
    inventory.close()
    for path in office.folder.rglob("*"):
        if path.is_file():
            assert made.secret.encode() not in path.read_bytes()


def test_a_claim_gives_one_certificate_of_each_purpose(office: Office, inventory: Inventory, desk: Registrar) -> None:
    made = claim_for(office, inventory)
    for purpose in PURPOSES:
        key = new_key()
        issued = desk.enrol("cam-1", made.secret, purpose, request("cam-1", key))
        assert issued.public_key() == key.public_key()
        assert [one.value for one in issued.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["cam-1"]
        again = desk.enrol("cam-1", made.secret, purpose, request("cam-1", key))  # the answer was lost on the way
        assert again == issued
        with pytest.raises(Refused, match="used already") as refused:
            desk.enrol("cam-1", made.secret, purpose, request("cam-1", new_key()))
        assert refused.value.status == 409
    assert len(inventory.certificates("cam-1")) == 2
    assert camera_named(inventory, "cam-1") == "enrolled"


def test_claims_that_are_not_honoured(office: Office, inventory: Inventory, desk: Registrar, ca: pki.Issued) -> None:
    first = claim_for(office, inventory)
    second = claim_for(office, inventory)
    wanted = request("cam-1", new_key())
    late = Registrar(inventory, ca, now=lambda: time.time() + 3700)
    for who, secret, by, status in [
        ("cam-1", "x" * 32, desk, 401), ("cam-2", second.secret, desk, 401), ("cam-1", first.secret, desk, 403),
        ("cam-1", second.secret, late, 403), ("cam-1", "", desk, 401),
    ]:  # fmt: skip
        with pytest.raises(Refused) as refused:
            by.enrol(who, secret, CONNECTION, wanted if who == "cam-1" else request(who, new_key()))
        assert refused.value.status == status
    assert inventory.certificates("cam-1") == inventory.certificates("cam-2") == []


def test_requests_that_prove_nothing(office: Office, inventory: Inventory, desk: Registrar) -> None:
    made = claim_for(office, inventory)
    good = request("cam-1", new_key())
    forged = bytearray(good)
    forged[-1] ^= 1
    for wanted in (
        b"",
        b"x" * 100,
        bytes(forged),
        request("cam-2", new_key()),
        request("cam-1", ec.generate_private_key(ec.SECP384R1())),
    ):
        with pytest.raises(Refused) as refused:
            desk.enrol("cam-1", made.secret, CONNECTION, wanted)
        assert refused.value.status == 400
    assert desk.enrol("cam-1", made.secret, CONNECTION, good)  # none of it used the claim up


def test_an_enrolled_camera_is_only_replaced_on_purpose(office: Office, inventory: Inventory, desk: Registrar) -> None:
    old = desk.enrol("cam-1", claim_for(office, inventory).secret, CONNECTION, request("cam-1", new_key()))
    with pytest.raises(InventoryError, match="--replace"):
        claim_for(office, inventory)
    made = claim_for(office, inventory, replace=True)
    assert inventory.revoked(int(time.time())) == []  # the old device works until the new one is there
    desk.enrol("cam-1", made.secret, CONNECTION, request("cam-1", new_key()))
    assert [one.serial for one in inventory.revoked(int(time.time()))] == [f"{old.serial_number:x}"]


# renewal


def enrolled(office: Office, inventory: Inventory, desk: Registrar):
    made, keys = claim_for(office, inventory), {purpose: new_key() for purpose in PURPOSES}
    issued = {name: desk.enrol("cam-1", made.secret, name, request("cam-1", key)) for name, key in keys.items()}
    return keys, issued, issued[CONNECTION].public_bytes(pki.serialization.Encoding.DER)


def test_a_renewal_is_answered_once(office: Office, inventory: Inventory, desk: Registrar) -> None:
    keys, issued, peer = enrolled(office, inventory, desk)
    renewed = desk.renew(peer, CONNECTION, request("cam-1", keys[CONNECTION]))
    assert renewed.serial_number != issued[CONNECTION].serial_number
    assert desk.renew(peer, CONNECTION, request("cam-1", keys[CONNECTION])) == renewed  # the answer was lost
    assert desk.renew(peer, CONNECTION, request("cam-1", new_key())) != renewed
    assert inventory.revoked(int(time.time())) == []  # until the camera has the new one, the old one must do


def test_a_signing_key_cannot_be_changed_by_who_has_the_connection(
    office: Office, inventory: Inventory, desk: Registrar
) -> None:
    keys, _, peer = enrolled(office, inventory, desk)
    assert desk.renew(peer, SIGNING, request("cam-1", keys[SIGNING])).public_key() == keys[SIGNING].public_key()
    for key in (new_key(), keys[CONNECTION]):
        with pytest.raises(Refused, match="never had"):
            desk.renew(peer, SIGNING, request("cam-1", key))


def test_renewals_that_are_refused(office: Office, inventory: Inventory, desk: Registrar, ca: pki.Issued) -> None:
    keys, issued, peer = enrolled(office, inventory, desk)
    wanted = request("cam-1", keys[CONNECTION])
    der = pki.serialization.Encoding.DER
    strangers = [
        b"",
        issued[SIGNING].public_bytes(der),
        pki.issue_connection(ca, "cam-1").certificate.public_bytes(der),
    ]
    for stranger in strangers:
        with pytest.raises(Refused):
            desk.renew(stranger, CONNECTION, wanted)
    with pytest.raises(Refused, match="names another camera"):
        desk.renew(peer, CONNECTION, request("cam-2", keys[CONNECTION]))
    registrar.withdraw(inventory, "cam-1", "revoked", "key-compromise", int(time.time()))
    with pytest.raises(Refused):
        desk.renew(peer, CONNECTION, wanted)


# revocation


def test_the_list_names_what_was_revoked_and_is_written_only_when_needed(
    office: Office, inventory: Inventory, desk: Registrar, ca: pki.Issued
) -> None:
    _, issued, _ = enrolled(office, inventory, desk)
    now = datetime.now(UTC)
    assert not revocation.refresh(office, inventory, ca, now)
    made = claim_for(office, inventory, replace=True)
    assert registrar.withdraw(inventory, "cam-1", "revoked", "key-compromise", int(now.timestamp())) == 2
    assert revocation.refresh(office, inventory, ca, now)
    assert not revocation.refresh(office, inventory, ca, now)
    listed = x509.load_pem_x509_crl(office.crl.read_bytes())
    assert listed.is_signature_valid(ca.certificate.public_key())  # type: ignore[arg-type]
    assert {entry.serial_number for entry in listed} == {one.serial_number for one in issued.values()}
    assert (office.broker / "crl.pem").read_bytes() == office.crl.read_bytes()
    with pytest.raises(Refused, match="withdrawn"):
        desk.enrol("cam-1", made.secret, CONNECTION, request("cam-1", new_key()))
    assert revocation.refresh(office, inventory, ca, now + timedelta(days=2))
    expired = now + pki.LIFE + timedelta(days=1)
    assert revocation.refresh(office, inventory, ca, expired)
    assert list(x509.load_pem_x509_crl(office.crl.read_bytes())) == []  # what has expired need not be named


def test_a_retired_camera_never_comes_back(office: Office, inventory: Inventory) -> None:
    registrar.withdraw(inventory, "cam-1", "retired", "ceased", int(time.time()))
    with pytest.raises(InventoryError, match="retired"):
        claim_for(office, inventory, replace=True)


def test_a_subscriber_cannot_take_a_cameras_name(
    office: Office, inventory: Inventory, ca: pki.Issued, tmp_path: Path
) -> None:
    with pytest.raises(OfficeError, match="id of a camera"):
        create.add_client(office, inventory, ca, "cam-1", tmp_path, role="subscriber")
    create.add_client(office, inventory, ca, "police", tmp_path, role="subscriber")
    create.add_client(office, inventory, ca, "desk", tmp_path, role="sender")
    assert (office.settings().subscribers, office.settings().senders) == (("police",), ("desk",))
    police, desk = ((office.broker / "acl").read_text().partition(f"user {name}\n")[2] for name in ("police", "desk"))
    assert "topic read vidik/v1/+/plate" in police.partition("user")[0]
    assert "topic write vidik/v1/+/grant" in desk
    assert "topic read vidik/v1/+/plate" not in desk
    assert (tmp_path / "ca.pem").read_bytes() == office.ca.read_bytes()


def test_renewing_the_servers_leaves_claims_good(office: Office, inventory: Inventory, ca: pki.Issued) -> None:
    pin, before = office.pin(), (office.service / "server.pem").read_bytes()
    create.renew_servers(office, inventory, ca)
    assert office.pin() == pin
    assert (office.service / "server.pem").read_bytes() != before


# inventory and table


def test_a_change_happens_whole_or_not_at_all(inventory: Inventory) -> None:
    def add_two() -> None:
        with inventory.change():
            inventory.add(table.camera("cam-9", "", "", 1))
            with inventory.change():
                inventory.add(table.camera("cam-1", "", "", 1))

    with pytest.raises(InventoryError, match="already"):
        add_two()
    assert inventory.camera("cam-9") is None


def test_an_export_can_be_imported(office: Office, inventory: Inventory, tmp_path: Path) -> None:
    with inventory.change():
        inventory.add(table.camera("cam-3", 'Čukarica, "north"', "44.78 20.41", 5))
    text = table.export(table.rows(inventory, 10))
    (tmp_path / "cameras.csv").write_text(text, encoding="utf-8")
    found = table.read(tmp_path / "cameras.csv", 7)
    assert [(one.id, one.label, one.place) for one in found][-1] == ("cam-3", 'Čukarica, "north"', "44.78 20.41")
    assert all(one.state == "new" for one in found)


@pytest.mark.parametrize(
    ("content", "said"),
    [("", "first line"), ("name\nx\n", "first line"), ("id\n", "0 cameras"), ("id\nUPPER\n", "line 2"),
     ("id,label\ncam-1\n", "as many fields"), ("id\ncam-1,x\n", "as many fields"), ("id\ncam-1\ncam-1\n", "twice"),
     ("id,label\ncam-1,a\x07b\n", "plain text"), ("id\n\xff", "cannot be read")],
)  # fmt: skip
def test_tables_that_are_refused(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "cameras.csv"
    path.write_bytes(content.encode("latin-1"))
    with pytest.raises(TableError, match=said):
        table.read(path, 1)


def test_an_inventory_of_another_form_is_refused(tmp_path: Path) -> None:
    Inventory(tmp_path / "i", make=True).close()
    made = Inventory(tmp_path / "i")
    made._execute("PRAGMA user_version=2")
    made.close()
    with pytest.raises(InventoryError, match="Update Vidik"):
        Inventory(tmp_path / "i")


# backups


def test_a_backup_brings_everything_back(office: Office, inventory: Inventory, desk: Registrar, tmp_path: Path) -> None:
    made = claim_for(office, inventory)
    key = new_key()
    issued = desk.enrol("cam-1", made.secret, CONNECTION, request("cam-1", key))
    backup.write(office, tmp_path / "b.tar.gz")
    assert stat.S_IMODE((tmp_path / "b.tar.gz").stat().st_mode) == 0o600
    back = backup.restore(tmp_path / "b.tar.gz", tmp_path / "back")
    found = back.inventory()
    assert found.certificate(issued.serial_number) == inventory.certificate(issued.serial_number)
    assert found.journal() == inventory.journal()
    found.close()
    assert back.pin() == office.pin()
    assert backup.check(back) == []


def repacked(
    source: Path, target: Path, change: dict[str, bytes | None], extra: dict[str, bytes] | None = None
) -> Path:
    """The archive ``source`` with other contents, or without those that are None."""
    with tarfile.open(source) as old, tarfile.open(target, "w:gz") as new:
        for entry in old:
            content = change.get(entry.name, old.extractfile(entry).read())  # type: ignore[union-attr]
            if content is not None:
                entry.size = len(content)
                new.addfile(entry, BytesIO(content))
        for name, content in (extra or {}).items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            new.addfile(entry, BytesIO(content))
    return target


def test_a_backup_that_is_not_whole_is_refused(template: Path, tmp_path: Path) -> None:
    whole = template.read_bytes()
    broken = [
        repacked(template, tmp_path / "changed", {"crl.pem": b"other"}),
        repacked(template, tmp_path / "less", {"trust.toml": None}),
        repacked(template, tmp_path / "more", {}, {"broker/more": b""}),
        repacked(template, tmp_path / "no-sums", {"SHA256SUMS.json": None}),
        repacked(template, tmp_path / "out", {}, {"../out": b""}),
    ]
    for name, content in (("cut", whole[: len(whole) // 2]), ("empty", b""), ("text", b"not an archive")):
        (tmp_path / name).write_bytes(content)
        broken.append(tmp_path / name)
    for path in broken:
        with pytest.raises(OfficeError):
            backup.restore(path, tmp_path / "back")
    assert not (tmp_path / "back").exists()
    assert not (tmp_path / "out" / "x").exists()
    with pytest.raises(OfficeError, match="overwritten"):
        backup.write(Office(template.parent / "office"), template)


def test_the_check_finds_what_does_not_fit(office: Office, tmp_path: Path) -> None:
    assert backup.check(office) == []
    other = pki.make_root("Other")
    issuing = pki.make_issuing(other, "Other issuing")
    place = office.broker
    kept = (place / "broker.pem").read_bytes()
    (place / "broker.pem").write_bytes(
        pki.issue_server(issuing, ["x"]).certificate.public_bytes(pki.serialization.Encoding.PEM)
    )
    assert backup.check(office) != []
    (place / "broker.pem").write_bytes(kept)
    inventory = office.inventory()
    with inventory.change():
        registrar.record(inventory, pki.issue_connection(issuing, "cam-1").certificate, "cam-1", CONNECTION)
    inventory.close()
    assert any("not of this CA" in problem for problem in backup.check(office))
    office.ca.write_bytes(pki.bundle(issuing.certificate, other.certificate))
    assert any("issuing/ca.pem" in problem for problem in backup.check(office))


# the commands


def run(office: Office, *arguments: str, code: int = 0) -> str:
    secret = passphrase_file(office.folder.parent)
    with_key = (
        ["--passphrase-file", str(secret)] if arguments[0] in ("revoke", "retire", "crl", "renew", "subscriber") else []
    )
    result = CliRunner().invoke(app, [*arguments, *with_key, "--office", str(office.folder)])
    if code == 0 and result.exception is not None:
        raise result.exception
    assert result.exit_code == code
    return result.output


def test_the_commands_of_a_cameras_life(office: Office, inventory: Inventory, desk: Registrar, tmp_path: Path) -> None:
    (tmp_path / "cameras.csv").write_text("id,label,place\n" + "".join(f"cam-{n},,\n" for n in range(10, 20)))
    assert "Added: 10" in run(office, "add", "--csv", str(tmp_path / "cameras.csv"))
    assert "vidik://localhost:8443/cam-10?" in run(office, "claim", "cam-10", "--hours", "1")
    run(office, "claim", "--all-new", "--as", "png", "--out", str(tmp_path / "claims"))
    assert len(list((tmp_path / "claims").glob("*.png"))) == 12
    assert (tmp_path / "claims" / "cam-10.png").read_bytes().startswith(b"\x89PNG")
    run(office, "claim", "cam-1", "--as", "svg", "--out", str(tmp_path / "claims"))
    assert b"<svg" in (tmp_path / "claims" / "cam-1.svg").read_bytes()
    run(office, "claim", "cam-1", "--as", "txt", "--out", str(tmp_path / "claims"))
    path = tmp_path / "claims" / "cam-1.txt"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    made = claims.read(path)
    for purpose in PURPOSES:
        desk.enrol("cam-1", made.secret, purpose, request("cam-1", new_key()))
    assert "cam-1 " in run(office, "list")
    assert '"state":"enrolled"' in run(office, "list", "--jsonl")
    assert "cam-1,,,enrolled," in run(office, "list", "--csv")
    assert "2 certificates" in run(office, "revoke", "cam-1")
    assert "retired" in run(office, "retire", "cam-2")
    assert "Up to date" in run(office, "crl")
    assert "Renewed" in run(office, "renew")
    assert "key-compromise" in run(office, "journal")
    run(office, "subscriber", "police", "--out", str(tmp_path / "police"))
    assert "whole" in run(office, "check")
    assert "found whole" in run(office, "backup", str(tmp_path / "b.tar.gz"))
    assert "whole" in run(Office(tmp_path / "back"), "restore", str(tmp_path / "b.tar.gz"))
    (office.folder / "crl.pem").write_bytes(b"")
    assert "PROBLEM" in run(office, "check", code=1)


def test_the_broker_folder_names_nothing_outside_itself(office: Office) -> None:
    broker_files.write(office, office.settings())
    for path in (office.broker / "mosquitto.conf", office.broker / "start"):
        assert str(office.folder) not in path.read_text()
    assert stat.S_IMODE((office.broker / "start").stat().st_mode) == 0o755


def test_every_command_of_the_guide_exists() -> None:
    guide = (ROOT / "docs" / "provisioning.md").read_text(encoding="utf-8")
    lines = re.findall(r"^    vidik provision (.*)$", guide, re.MULTILINE)
    commands = get_command(app).commands  # type: ignore[attr-defined]
    for line in lines:
        name, *rest = shlex.split(line)
        known = {option for parameter in commands[name].params for option in parameter.opts}
        assert {word for word in rest if word.startswith("--")} <= known, line
    documented = {line.split()[0] for line in lines}
    assert documented >= {"init", "add", "claim", "list", "revoke", "renew", "retire", "backup", "restore", "serve"}
