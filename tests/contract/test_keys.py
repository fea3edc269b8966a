"""The camera's keys, in files and in a TPM alike: made, certified, and used for mutual TLS by the uplink process."""

from __future__ import annotations

import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import x25519
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from edge import config, seal, tpm
from edge.address import Address
from edge.enrol import __main__ as program
from edge.enrol import keys
from edge.enrol.errors import EnrolError
from edge.handover import Item, Key, Kind, Sender
from edge.records import PlateReport
from provisioning.broker import mosquitto
from provisioning.office import create, registrar
from provisioning.office.folder import Office
from tests import soft_tpm
from tests.offices import OfficeBroker, Server, free_port, make_office, passphrase_file
from tests.rig import ROOT, end, environment, listening, wait_for

CAMERAS = ("cam-1", "cam-2", "cam-3")


@pytest.fixture(params=["file", "tpm"])
def where(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[keys.Where]:
    if request.param == "file":
        yield "file"
        return
    with soft_tpm.running(tmp_path / "tpm") as reached:
        for name, value in reached.items():
            monkeypatch.setenv(name, value)
        yield "tpm"


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    folder = tmp_path_factory.mktemp("office") / "office"
    return make_office(folder, *CAMERAS, enrol_port=free_port(), broker_port=free_port())


@pytest.fixture(scope="module")
def server(office: Office) -> Iterator[Server]:
    running = Server(office)
    running.start()
    yield running
    running.stop()


def test_a_key_is_made_once_and_signs_its_requests(where: keys.Where, tmp_path: Path) -> None:
    path = tmp_path / "keys" / "connection.key"
    made = keys.at(path, where)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    request = x509.load_der_x509_csr(made.request("cam-1"))
    assert request.is_signature_valid
    assert request.public_key() == made.public_key()
    assert [name.value for name in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)] == ["cam-1"]
    before = path.read_bytes()
    again = keys.at(path)  # the file says where the key is
    assert type(again) is type(made)
    assert again.public_key() == made.public_key()
    assert path.read_bytes() == before
    assert keys.at(tmp_path / "keys" / "other.key", where).public_key() != made.public_key()


def test_what_is_no_key_is_refused(where: keys.Where, tmp_path: Path) -> None:
    path = tmp_path / "connection.key"
    for content in (b"", b"nonsense", tpm.LABEL + b"\nAAAA\n-----END TSS2 PRIVATE KEY-----\n"):
        path.write_bytes(content)
        with pytest.raises(EnrolError):
            keys.at(path, where).request("cam-1")


def test_no_private_key_of_the_tpm_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file holds what no library reads as a private key, and what another TPM cannot load."""
    path = tmp_path / "connection.key"
    with soft_tpm.running(tmp_path / "mine") as mine:
        for name, value in mine.items():
            monkeypatch.setenv(name, value)
        public = keys.at(path, "tpm").public_key()
        assert path.read_bytes().startswith(tpm.LABEL)
        with pytest.raises(ValueError):
            load_pem_private_key(path.read_bytes(), None)
        assert keys.at(path).public_key() == public
    with soft_tpm.running(tmp_path / "thief") as thief:
        for name, value in thief.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(EnrolError, match="TPM"):
            keys.at(path).request("cam-1")


def test_where_there_is_no_tpm_auto_means_a_file_and_tpm_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(tpm, "DEVICE", tmp_path / "none")
    monkeypatch.setenv("TPM2OPENSSL_TCTI", f"device:{tmp_path / 'none'}")
    assert isinstance(keys.at(tmp_path / "auto.key", "auto"), keys.FileKey)
    assert not caplog.records
    with pytest.raises(EnrolError, match="--keys file"):
        keys.at(tmp_path / "tpm.key", "tpm")
    assert not (tmp_path / "tpm.key").exists()
    (tmp_path / "none").write_bytes(b"")  # a device that does not answer
    assert isinstance(keys.at(tmp_path / "mute.key", "auto"), keys.FileKey)
    assert "tpm-unused" in caplog.text


def test_auto_takes_the_tpm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with soft_tpm.running(tmp_path / "tpm") as reached:
        for name, value in reached.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(tpm, "present", lambda: True)
        assert isinstance(keys.at(tmp_path / "connection.key", "auto"), keys.TpmKey)


def test_from_claim_to_reports_and_renewal(
    where: keys.Where, office: Office, server: Server, tmp_path: Path
) -> None:
    """Enrolment service, Mosquitto, uplink: all real, over mutual TLS with the key that was made here."""
    if mosquitto() is None:
        pytest.skip("needs Mosquitto")
    ca, inventory = office.issuing(passphrase_file(tmp_path)), office.inventory()
    camera = "cam-1" if where == "file" else "cam-2"
    subscriber = f"court-{where}"
    create.add_client(office, inventory, ca, subscriber, tmp_path, role="subscriber")
    claim = registrar.make_claim(
        inventory, camera, office.settings(), office.pin(), now=int(time.time()), seconds=3600
    )
    folder = tmp_path / "camera"
    assert program.main(["--folder", str(folder), "enrol", str(claim), "--keys", where]) == 0
    settings = config.load(folder / "camera.toml", config.Uplink)
    assert tpm.holds(settings.key.read_bytes()) == (where == "tpm")
    signing = load_pem_private_key((folder / "identity" / "current" / "signing.key").read_bytes(), None)
    recipient = x25519.X25519PrivateKey.generate()
    sealer = seal.Sealer(signing)  # type: ignore[arg-type]

    def item(seq: int) -> Item:
        report = PlateReport(
            camera=camera, boot=1, seq=seq, time=1.7e9 + seq, grant="g1", track=seq, box=(1, 2, 3, 4), text="BG1234AA",
            confidence=0.99, country="RS",
        )  # fmt: skip
        return Item(Kind.PLATE, Key(1, seq), 3600, sealer.seal(report, recipient.public_key()))

    address = Address(
        "localhost", settings.port, tmp_path / "ca.pem", tmp_path / f"{subscriber}.pem", tmp_path / f"{subscriber}.key"
    )
    broker = OfficeBroker(office)
    broker.start()
    log = (tmp_path / "uplink.log").open("ab")
    command = [sys.executable, "-m", "edge.uplink", "--config", str(folder / "camera.toml")]
    uplink = subprocess.Popen(command, stderr=log, env=environment(), cwd=ROOT)
    sender = Sender(settings.inbox)
    try:
        with listening(address, {seal.key_id(recipient.public_key()): recipient}) as collector:
            for seq in range(20):
                sender.offer(item(seq))
            wait_for(lambda: len(collector.numbers) == 20, 60.0)
            before = x509.load_pem_x509_certificate(settings.certificate.read_bytes())
            time.sleep(1.1)  # certificates know whole seconds only, and a renewed one must end later
            renew(folder, before.not_valid_before_utc.timestamp() + 300 * 86400)
            after = x509.load_pem_x509_certificate(settings.certificate.read_bytes())
            assert after.serial_number != before.serial_number
            assert after.public_key() == before.public_key()
            wait_for(lambda: (tmp_path / "uplink.log").read_text().count("connected mqtt=5") >= 2, 60.0)
            for seq in range(20, 40):
                sender.offer(item(seq))
            wait_for(lambda: len(collector.numbers) == 40, 60.0)
        assert uplink.poll() is None
    finally:
        sender.close()
        end(uplink)
        log.close()
        broker.stop()
        inventory.close()
    on_disk = b"".join(file.read_bytes() for file in (folder / "identity").rglob("connection.*"))
    assert (b"BEGIN PRIVATE KEY" in on_disk) == (where == "file")


def renew(folder: Path, now: float) -> None:
    """In a process of its own, as the timer does: a key in a TPM changes how all of a process's TLS is done."""
    program = (
        "import sys; from datetime import UTC, datetime; from pathlib import Path\n"
        "from edge.enrol import client, procedure\n"
        "now = datetime.fromtimestamp(float(sys.argv[2]), UTC)\n"
        "done = procedure.renew(Path(sys.argv[1]), now, client.by_certificate)\n"
        "assert done == ['connection', 'signing'], done\n"
    )
    subprocess.run([sys.executable, "-c", program, str(folder), str(now)], env=environment(), cwd=ROOT, check=True)
