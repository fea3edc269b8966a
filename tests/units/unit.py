"""A camera in a container, with its office, its broker, and a technician's stick."""

from __future__ import annotations

import os
import shutil
import stat
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from rich.console import Console

from edge import seal
from edge.address import Address
from provisioning import grant_keys
from provisioning.broker import mosquitto
from provisioning.demo.cli import default_clip
from provisioning.office import create, registrar
from tests.offices import OfficeBroker, Server, free_port, make_office, passphrase_file
from tests.rig import Collector, listening
from tests.units import machine
from tests.units.machine import Machine

CAMERA = "cam-1"
ENROL = 883  # the user, as in image-build/units/sysusers.d


class Unit:
    """A camera, its office and its broker. ``prepare`` changes the camera's root folder before it boots."""

    def __init__(self, folder: Path, prepare: Callable[[Path], object] | None = None) -> None:
        self.office = make_office(folder / "office", CAMERA, enrol_port=free_port(), broker_port=free_port())
        self.authority = ec.generate_private_key(ec.SECP256R1())
        signers = [
            grant_keys.signer_block(role, role, key.public_key())
            for role, key in (("authority", self.authority), ("operator", ec.generate_private_key(ec.SECP256R1())))
        ]
        self.office.trust.write_text("expires = 4102444800\n" + "\n".join(signers))
        self.server, self.broker = Server(self.office), OfficeBroker(self.office)
        self.recipient = x25519.X25519PrivateKey.generate()
        (self.office.folder / "recipients" / "police.pub").write_bytes(seal_bytes(self.recipient))
        self.media = folder / "media"
        self.media.mkdir()
        self.device = folder / "video0"
        os.mknod(self.device, 0o666 | stat.S_IFCHR, os.makedev(81, 0))
        self.device.chmod(0o666)  # so that it is the sandbox which keeps others away
        self.clip = folder / "clip.avi"
        shutil.copyfile(default_clip(Console(stderr=True)), self.clip)
        binds = {self.clip: "/srv/clip.avi", self.device: "/dev/video0"}
        root = machine.installed()
        if prepare is not None:
            prepare(root)
        self.machine = Machine(root, self.media, binds)
        self.secret = ""

    def start(self) -> None:
        self.server.start()
        self.broker.start()
        self.machine.wait()

    def bring(self, name: str, content: bytes) -> None:
        (self.media / name).write_bytes(content)
        for path in (self.media, self.media / name):
            os.chown(path, ENROL, ENROL)

    def claim(self) -> bytes:
        inventory = self.office.inventory()
        made = registrar.make_claim(
            inventory, CAMERA, self.office.settings(), self.office.pin(), now=int(time.time()), seconds=3600,
            replace=True,
        )  # fmt: skip
        inventory.close()
        self.secret = made.secret
        return f"{made}\n".encode()

    @contextmanager
    def subscribed(self, name: str, folder: Path) -> Iterator[Collector]:
        """What the new subscriber ``name`` receives, with the recipient's key, while this lasts."""
        ca, inventory = self.office.issuing(passphrase_file(self.office.folder.parent)), self.office.inventory()
        create.add_client(self.office, inventory, ca, name, folder, role="subscriber")
        inventory.close()
        self.broker.stop()  # it learns of the subscriber
        self.broker.start()
        port = self.office.settings().broker_port
        address = Address("localhost", port, self.office.ca, folder / f"{name}.pem", folder / f"{name}.key")
        keys = {seal.key_id(self.recipient.public_key()): self.recipient}
        with listening(address, keys) as collector:
            yield collector

    def stop(self) -> None:
        self.machine.stop()
        self.broker.stop()
        self.server.kill()


def brought_up(folder: Path, prepare: Callable[[Path], object] | None = None) -> Iterator[Unit]:
    """A unit that has booted, for a fixture; skips, loudly, where that cannot be."""
    lacking = machine.missing() or ("" if mosquitto() else "needs mosquitto")
    if lacking:
        warnings.warn(f"the units were not run: this {lacking}", stacklevel=1)
        pytest.skip(lacking)
    made = Unit(folder, prepare)
    try:
        made.start()
        yield made
    finally:
        made.stop()


def seal_bytes(key: x25519.X25519PrivateKey) -> bytes:
    return key.public_key().public_bytes_raw()
