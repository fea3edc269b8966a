"""What tests of provisioning share: an office, a trust file, and requests as a camera makes them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from edge.enrol.claim import Claim
from edge.enrol.errors import EnrolError
from provisioning import grant_keys
from provisioning.office import create, table
from provisioning.office.create import Secrets
from provisioning.office.folder import Office, Settings
from provisioning.office.inventory import Inventory
from provisioning.office.registrar import Refused, Registrar
from tests.rig import ROOT, environment, wait_for

SECRETS = Secrets("of the root, for tests", "of the issuing CA, for tests")


def make_office(folder: Path, *cameras: str, enrol_port: int = 8443, broker_port: int = 8883) -> Office:
    """An office with a trust file and ``cameras``, whose servers are on this machine."""
    settings = Settings(
        name="Test", broker_host="localhost", broker_port=broker_port, enrol_host="localhost", enrol_port=enrol_port
    )
    office = create.create(folder, settings, SECRETS)
    signers = [
        grant_keys.signer_block(role, role, ec.generate_private_key(ec.SECP256R1()).public_key())
        for role in ("authority", "operator")
    ]
    office.trust.write_text("expires = 4102444800\n" + "\n".join(signers))
    inventory = office.inventory()
    with inventory.change():
        for camera in cameras:
            inventory.add(table.camera(camera, "", "", 1))
    inventory.close()
    return office


def passphrase_file(folder: Path) -> Path:
    """The issuing CA's passphrase in a file."""
    path = folder / "passphrase"
    path.write_text(SECRETS.issuing)
    return path


def request(camera: str, key: ec.EllipticCurvePrivateKey) -> bytes:
    """A certificate request (PKCS #10, DER)."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, camera)])
    return (x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())).public_bytes(
        Encoding.DER
    )


def new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def camera_named(inventory: Inventory, name: str) -> str:
    """The state of a camera."""
    found = inventory.camera(name)
    assert found is not None
    return found.state


class Desk:
    """A service without a network: asks the registrar itself. ``claim`` for enrolment, ``peer`` (DER) for renewal."""

    def __init__(self, office: Office, registrar: Registrar, claim: Claim | None = None, peer: bytes = b"") -> None:
        self._office, self._registrar, self._claim, self._peer = office, registrar, claim, peer

    def authorities(self) -> list[x509.Certificate]:
        return x509.load_pem_x509_certificates(self._office.ca.read_bytes())

    def enrol(self, purpose: str, request: bytes) -> x509.Certificate:
        assert self._claim is not None
        try:
            return self._registrar.enrol(self._claim.camera, self._claim.secret, purpose, request)
        except Refused as refusal:
            raise EnrolError(str(refusal)) from refusal

    def renew(self, purpose: str, request: bytes) -> x509.Certificate:
        try:
            return self._registrar.renew(self._peer, purpose, request)
        except Refused as refusal:
            raise EnrolError(str(refusal)) from refusal

    def deployment(self) -> dict[str, Any]:
        try:
            if self._claim is None:
                self._registrar.camera_of(self._peer)
            else:
                self._registrar.check(self._claim.camera, self._claim.secret)
        except Refused as refusal:
            raise EnrolError(str(refusal)) from refusal
        return self._office.deployment(self._office.trust.read_bytes())

    def close(self) -> None:
        pass


class Server:
    """The enrolment service of ``office`` as a process of its own, on the port of the office's settings."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self._secret = passphrase_file(office.folder.parent)
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and returns when it accepts connections."""
        command = [sys.executable, "-c", "from edge.cli import main; main()", "provision", "serve"]
        options = ["--office", self.office.folder, "--host", "127.0.0.1", "--passphrase-file", self._secret]
        with (self.office.folder / "service.log").open("ab") as log:
            process = subprocess.Popen([*command, *options], stdout=log, stderr=log, env=environment(), cwd=ROOT)
        self._process = process

        def answers() -> bool:
            assert process.poll() is None, (self.office.folder / "service.log").read_text()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self.office.settings().enrol_port)) == 0

        wait_for(answers, 120.0)

    def kill(self) -> None:
        """As a crash would: SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self) -> int:
        """Ends it in order; returns its exit code."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(60)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class OfficeBroker:
    """Mosquitto in the office's broker folder, by its own start script, on the port of the office's settings."""

    def __init__(self, office: Office) -> None:
        self._folder, self._port = office.broker, office.settings().broker_port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Starts it and returns when it accepts connections."""
        with (self._folder / "broker.log").open("ab") as log:
            process = subprocess.Popen([self._folder / "start"], stdout=log, stderr=log, start_new_session=True)
        self._process = process

        def answers() -> bool:
            assert process.poll() is None, (self._folder / "broker.log").read_text()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", self._port)) == 0

        wait_for(answers, 60.0)

    def stop(self) -> None:
        """Ends it and everything it started."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGTERM)
            self._process.wait(60)
