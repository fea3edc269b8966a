"""What tests of updates share: keys and bundles made by the real RAUC, a unit with two slots, an office on paper."""

from __future__ import annotations

import os
import shutil
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from edge.audit import postbox
from edge.enrol.errors import TryLater
from edge.update import fetch, health
from edge.update.image import Channel, Image
from edge.update.policy import Offer
from edge.update.rauc import Rauc
from edge.update.slots import Slots
from edge.update.state import Outcome, Said, Store
from edge.update.unit import FILE, Unit
from provisioning.office import bundles, update_keys
from provisioning.office.folder import Office
from provisioning.office.update_keys import Secrets
from tests.offices import make_office

BOARD = "vidik-generic-amd64"
NOW = 1_800_000_000.0  # seconds since the epoch; certificates are judged by the real clock
PASSPHRASE = "of the keys for updates, for tests"


def need_rauc() -> None:
    """Skips a test, loudly, where RAUC is not installed."""
    if shutil.which("rauc") is None or shutil.which("mksquashfs", path="/usr/bin:/usr/sbin:/bin") is None:
        warnings.warn("no RAUC here: tests of updates are skipped; install rauc and squashfs-tools", stacklevel=2)
        pytest.skip("needs rauc and squashfs-tools")


class Workshop:
    """An office with keys for updates of both kinds, and what is built with them, in ``folder``."""

    def __init__(self, folder: Path, *cameras: str, enrol_port: int = 8443) -> None:
        self.folder = folder
        self.office: Office = make_office(folder / "office", *cameras, enrol_port=enrol_port)
        self.secret = folder / "update-passphrase"
        self.secret.write_text(PASSPHRASE)
        self.keys: dict[Channel, Path] = {"release": folder / "release", "development": folder / "development"}
        for channel, keys in self.keys.items():
            update_keys.make(self.office, channel, keys, Secrets(PASSPHRASE, PASSPHRASE))
        self._built: dict[tuple[str, str, Channel], Path] = {}

    def bundle(self, version: str = "2026.12", board: str = BOARD, channel: Channel = "release") -> Path:
        """A bundle signed by ``channel``; the same one for the same question."""
        wanted = (version, board, channel)
        if wanted not in self._built:
            root = self.folder / "root.ext4"
            if not root.exists():
                _make_root(root)
            what = self.folder / "image.toml"
            what.write_text(Image(version=version, board=board, channel=channel, floor="0").toml())
            out = self.folder / f"{version}-{board}-{channel}.raucb"
            bundles.build(root, what, self.keys[channel], self.secret, out)
            self._built[wanted] = out
        return self._built[wanted]

    def system(self, channel: Channel) -> Path:
        """RAUC's configuration of an image of ``channel``, in a folder of its own."""
        folder = self.folder / f"system-{channel}"
        folder.mkdir(exist_ok=True)
        authorities = ("release",) if channel == "release" else ("release", "development")
        keyring = b"".join((self.folder / one / "ca.pem").read_bytes() for one in authorities)
        (folder / "keyring.pem").write_bytes(keyring)
        (folder / "system.conf").write_text(
            f"[system]\ncompatible={BOARD}\nbootloader=noop\n\n[keyring]\npath=keyring.pem\n\n"
            "[slot.rootfs.0]\ndevice=/dev/null\n"
        )
        return folder / "system.conf"


def _make_root(path: Path) -> None:
    """A root file system with 200 KB that do not shrink."""
    with path.open("wb") as file:
        file.write(bytes(range(256)) * 16)
        for _ in range(100):
            file.write(os.urandom(2048))
        file.truncate(-(-file.tell() // 4096) * 4096)


class Machine(Rauc):
    """A unit with the slots ``rootfs.0`` and ``rootfs.1`` under a boot loader as GRUB is set up with RAUC: it starts
    the first slot in its order that counts as good and was not tried before.

    Bundles are verified by the real RAUC, unless the machine is ``trusting``.
    """

    def __init__(self, system: Path, trusting: bool = False) -> None:
        super().__init__(system)
        self.trusting = trusting
        self.booted = "rootfs.0"
        self.order = ["rootfs.0", "rootfs.1"]
        self.ok = {"rootfs.0": True, "rootfs.1": False}
        self.tried = {"rootfs.0": False, "rootfs.1": False}
        self.content: dict[str, bytes] = {"rootfs.0": b"", "rootfs.1": b""}  # the installed bundle's digest
        self.starts = 0

    def verify(self, bundle: Path) -> None:
        if not self.trusting:
            super().verify(bundle)

    def other(self) -> str:
        return next(name for name in self.ok if name != self.booted)

    def install(self, bundle: Path) -> None:
        self.begin_install()
        other = self.other()
        self.content[other] = fetch.digest_of(bundle).encode()
        self.ok[other], self.tried[other] = True, False
        self.order = [other, self.booted]

    def able(self) -> list[str]:
        """What the boot loader would start, in its order."""
        return [name for name in self.order if self.ok[name] and not self.tried[name]]

    def begin_install(self) -> None:
        """What RAUC does first: the slot it is about to overwrite cannot be started any more."""
        self.ok[self.other()] = False
        self.content[self.other()] = b""

    def slots(self) -> Slots:
        good = {name: self.ok[name] and not self.tried[name] for name in self.ok}
        return Slots(self.booted, next(iter(self.able()), None), good)

    def mark_good(self) -> None:
        self.ok[self.booted], self.tried[self.booted] = True, False

    def mark_bad(self) -> None:
        self.ok[self.booted], self.tried[self.booted] = False, False

    def prefer_other(self) -> None:
        other = self.other()
        self.ok[other], self.tried[other] = True, False
        self.order = [other, self.booted]

    def start(self) -> str:
        """The power comes: returns the slot that the boot loader starts."""
        self.starts += 1
        if not self.able():  # all were tried: it starts over
            self.tried = dict.fromkeys(self.tried, False)
        assert self.able(), "the boot loader finds nothing to start"
        self.booted = self.able()[0]
        self.tried[self.booted] = True
        return self.booted


class Paper:
    """An office without a network: offers ``bundle`` under the number ``number``, and keeps what it is told.

    A download ends after ``patience`` bytes, if that is not None, as a bad network ends it.
    """

    def __init__(self, bundle: Path | None, version: str = "2026.12", board: str = BOARD, number: int = 1) -> None:
        self.bundle, self.version, self.board, self.number = bundle, version, board, number
        self.patience: int | None = None
        self.size: int | None = None  # other than it is
        self.told: list[Outcome] = []
        self.sent = 0

    def connect(self) -> Paper:
        return self

    def offer(self, image: Image) -> Offer | None:
        if self.bundle is None:
            return None
        size = self.bundle.stat().st_size if self.size is None else self.size
        digest = fetch.digest_of(self.bundle)
        return Offer(offer=self.number, version=self.version, board=self.board, size=size, digest=digest)

    def download(self, digest: str, begin: int) -> Iterator[bytes]:
        assert self.bundle is not None
        left = self.patience
        with self.bundle.open("rb") as file:
            file.seek(begin)
            while piece := file.read(10_000 if left is None else min(10_000, left)):
                self.sent += len(piece)
                left = None if left is None else left - len(piece)
                yield piece
                if left == 0:
                    raise TryLater("the network is gone")

    def report(self, outcome: Outcome) -> None:
        self.told.append(outcome)

    def close(self) -> None:
        pass


class Camera:
    """A camera in ``folder``, whose image is ``image``, on ``machine``. ``signs`` is what a new image lacks."""

    def __init__(self, folder: Path, machine: Machine, image: Image) -> None:
        self.folder, self.machine = folder, machine
        self.images = {machine.booted: image}
        self.boot = "boot 0"
        self.signs: list[str] = []

    def unit(self) -> Unit:
        image = self.images[self.machine.booted]
        return Unit(
            store=Store(self.folder / "update"), image=image, installer=self.machine, notices=self.folder / "notices",
            note=lambda state, version, reason: postbox.post(
                self.folder / "events", "update", state=state, software=version, reason=reason
            ),
            boot=self.boot, now=lambda: NOW,
        )  # fmt: skip

    def restart(self) -> str:
        """Power off and on: returns the slot that came up. Its image is the one that was installed there."""
        slot = self.machine.start()
        self.boot = f"boot {self.machine.starts}"
        shutil.rmtree(self.folder / "notices", ignore_errors=True)  # in memory
        return slot

    def check(self, deadline: float = 10.0) -> health.End:
        """The health check after a start, without waiting."""
        passed = iter(range(10_000))
        return health.check(
            self.unit(), lambda: self.signs, deadline, clock=lambda: float(next(passed)), sleep=lambda _: None
        )

    @property
    def said(self) -> Said:
        """What stands in public."""
        return msgspec.json.decode((self.folder / "notices" / FILE).read_bytes(), type=Said)

    def audit(self) -> list[tuple[str, str, str]]:
        """State, version and reason of every event in the postbox, in order."""
        posts = [
            msgspec.json.decode(path.read_bytes(), type=postbox.Post)
            for path in sorted((self.folder / "events").glob("*.event"))
        ]
        return [(str(p.facts["state"]), str(p.facts["software"]), str(p.facts["reason"])) for p in posts]


def strip_signature(bundle: Path, out: Path) -> Path:
    """``bundle`` as it was before it was signed."""
    content = bundle.read_bytes()
    length = int.from_bytes(content[-8:], "big")
    out.write_bytes(content[: -8 - length])
    return out


def plain_squashfs(folder: Path, out: Path) -> Path:
    """What somebody gets who packs a bundle's content by hand, and has no key."""
    folder.mkdir()
    (folder / "manifest.raucm").write_text(f"[update]\ncompatible={BOARD}\nversion=2026.12\n[bundle]\nformat=verity\n")
    (folder / "rootfs.ext4").write_bytes(bytes(100_000))
    subprocess.run(["mksquashfs", folder, out, "-quiet", "-no-progress"], check=True, capture_output=True)
    return out
