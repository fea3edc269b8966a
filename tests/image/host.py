"""What a city runs, on this machine: the office with its enrolment service, the broker, and a subscriber with the key.

Machines reach it under 10.0.2.2, which QEMU's user network maps to the loopback address.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, x25519

from edge import seal
from edge.address import Address
from edge.grant.document import Grant
from edge.listen.client import Listener, read_ca
from edge.listen.opener import Opened
from provisioning import grant_keys, grants, pki
from provisioning.office import create, registrar, table
from provisioning.office.folder import Office, Settings
from tests.image import images
from tests.image.machine import MachineError, say
from tests.offices import SECRETS, OfficeBroker, Server, free_port, passphrase_file
from tests.rig import ROOT, Collector, environment

OUTSIDE = "10.0.2.2"
_DAY = 86400


class Host:
    """Office, broker and subscriber for ``cameras`` in ``folder``."""

    def __init__(self, folder: Path, cameras: Iterable[str]) -> None:
        settings = Settings(
            name="Test", broker_host=OUTSIDE, broker_port=free_port(), enrol_host=OUTSIDE, enrol_port=free_port()
        )
        self.folder, self.cameras = folder, tuple(cameras)
        self.office: Office = create.create(folder / "office", settings, SECRETS)
        self._signer = ec.generate_private_key(ec.SECP256R1())
        others = ec.generate_private_key(ec.SECP256R1())  # the trust file wants an operator, plates do not
        signers = {"authority": self._signer, "operator": others}
        blocks = [grant_keys.signer_block(role, role, key.public_key()) for role, key in signers.items()]
        self.office.trust.write_text("expires = 4102444800\n" + "\n".join(blocks))
        ca = self.office.issuing(passphrase_file(folder))
        inventory = self.office.inventory()
        with inventory.change():
            for camera in self.cameras:
                inventory.add(table.camera(camera, "", "", 1))
        create.add_client(self.office, inventory, ca, "court", folder / "court", role="subscriber")
        inventory.close()
        # the subscriber is on this machine and knows the broker by another name than the cameras do
        pki.issue_server(ca, [OUTSIDE, "127.0.0.1"]).save(self.office.broker, "broker")
        # development images take what this checkout signs, and the office checks it before it offers it
        self.office.updates.mkdir(exist_ok=True, mode=0o700)
        shutil.copyfile(images.development_signer().ca, self.office.updates / "development.pem")
        self._recipient = x25519.X25519PrivateKey.generate()
        self.service, self.broker = Server(self.office), OfficeBroker(self.office)
        self._listener: Listener | None = None

    def start(self) -> None:
        self.broker.start()
        self.service.start()
        settings, court = self.office.settings(), self.folder / "court"
        address = Address("127.0.0.1", settings.broker_port, self.office.ca, court / "court.pem", court / "court.key")
        keys = {seal.key_id(self._recipient.public_key()): self._recipient}
        self._listener = Listener(address, read_ca(self.office.ca), keys)
        self._listener.__enter__()
        self.received = Collector(self._listener)
        self._thread = threading.Thread(target=self.received.run, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        if self._listener is not None:
            self._listener.stop()
            self._thread.join(30)
            self._listener.__exit__(None, None, None)
        self.service.kill()
        self.broker.stop()

    def grant(self, folder: Path) -> Path:
        """A grant for all plates on all cameras."""
        now = int(time.time())
        public = self._recipient.public_key().public_bytes_raw()
        grant = Grant(
            id="test", serial=1, authority="A court", legal_basis="None: a test", purpose="To test", reference="T 1",
            function="plates", cameras=self.cameras, not_before=now - 300, not_after=now + _DAY, recipients=(public,),
            retention=3600, template_key=grants.new_key(), scope="open",
        )  # fmt: skip
        folder.mkdir(exist_ok=True)
        return grants.write(grant, [self._signer], folder)

    def claim(self, camera: str) -> str:
        inventory = self.office.inventory()
        made = registrar.make_claim(
            inventory, camera, self.office.settings(), self.office.pin(), now=int(time.time()), seconds=_DAY,
            replace=True,
        )  # fmt: skip
        inventory.close()
        return f"{made}\n"

    def reports(self, camera: str) -> list[Opened]:
        """The reports of ``camera`` that came and could be opened."""
        findings = list(self.received.findings)
        return [found for found in findings if isinstance(found, Opened) and found.report.camera == camera]

    def wait_report(self, camera: str, more_than: int = 0, timeout: float = 900) -> Opened:
        """Waits for another report of ``camera`` than the first ``more_than``."""
        deadline = time.monotonic() + timeout
        while len(self.reports(camera)) <= more_than:
            if time.monotonic() > deadline:
                others = [type(found).__name__ for found in self.received.findings[-10:]]
                raise MachineError(f"no report of {camera} in {timeout:.0f} s; last findings: {others}")
            time.sleep(1)
        found = self.reports(camera)[-1]
        say(f"report {found.report.text!r} of {camera}")
        return found

    def vidik(self, *arguments: str | Path) -> str:
        """The office's command line."""
        command = [sys.executable, "-c", "from edge.cli import main; main()", "provision", *map(str, arguments)]
        done = subprocess.run(
            [*command, "--office", str(self.office.folder)], capture_output=True, text=True, env=environment(),
            cwd=ROOT, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def offer(self, bundle: Path, version: str) -> None:
        """Takes ``bundle`` into the office and offers it to every camera."""
        self.vidik("release", "add", bundle)
        self.vidik("release", "start", version, "--percent", "100", "--error-threshold", "100")
