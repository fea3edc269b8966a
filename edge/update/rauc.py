"""RAUC by its command ``rauc``: the only place that knows it. Tried with RAUC 1.8 and written for all later ones.

The command talks to RAUC's service over D-Bus, except for the verification of a bundle, which it does itself.
"""

from __future__ import annotations

import configparser
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography import x509

from edge.update.bundle import BundleError
from edge.update.slots import RaucError, Slots

SYSTEM = Path("/etc/rauc/system.conf")
_SLOT_CLASS = "rootfs"
_SECONDS, _INSTALL_SECONDS = 120.0, 3600.0
_EXPIRED = ("certificate has expired", "certificate is not yet valid")  # as OpenSSL says it


class Rauc:
    """RAUC with the configuration ``system``."""

    def __init__(self, system: Path = SYSTEM) -> None:
        self._system = system

    def keyring(self) -> Sequence[x509.Certificate]:
        parsed = configparser.ConfigParser(interpolation=None, delimiters=("=",), strict=False)
        try:
            parsed.read_string(self._system.read_text(encoding="utf-8"))
            path = self._system.parent / parsed["keyring"]["path"]
            return x509.load_pem_x509_certificates(path.read_bytes())
        except (OSError, ValueError, KeyError, configparser.Error) as error:
            raise RaucError(
                f"The keyring that {self._system} names cannot be read: {error}. Flash the image."
            ) from error

    def verify(self, bundle: Path) -> None:
        done = self._run(_SECONDS, "info", "--output-format=json", str(bundle))
        if done.returncode == 0:
            return
        if expired := next((words for words in _EXPIRED if words in done.stderr), ""):
            raise BundleError(f"its signer's {expired}, by this camera's clock")
        raise BundleError(f"its signature does not hold: it was changed or damaged ({_last(done)})")

    def install(self, bundle: Path) -> None:
        self._do(_INSTALL_SECONDS, "install", str(bundle))

    def slots(self) -> Slots:
        said = self._do(_SECONDS, "status", "--output-format=json")
        try:
            stated = json.loads(said)
            named: dict[str, Any] = {name: slot for each in stated["slots"] for name, slot in each.items()}
            places = {name: slot for name, slot in named.items() if slot["class"] == _SLOT_CLASS}
            booted = next(name for name, slot in places.items() if slot["state"] == "booted")
            good = {name: slot["boot_status"] == "good" for name, slot in places.items()}
        except (ValueError, KeyError, TypeError, AttributeError, StopIteration) as error:
            raise RaucError(
                f"RAUC's status is of another form ({type(error).__name__}). Look at: rauc status."
            ) from error
        return Slots(booted, stated.get("boot_primary"), good)

    def mark_good(self) -> None:
        self._do(_SECONDS, "status", "mark-good")

    def mark_bad(self) -> None:
        self._do(_SECONDS, "status", "mark-bad", "booted")

    def prefer_other(self) -> None:
        self._do(_SECONDS, "status", "mark-active", "other")

    def _do(self, seconds: float, *arguments: str) -> str:
        done = self._run(seconds, *arguments)
        if done.returncode != 0:
            raise RaucError(f"rauc {arguments[0]} failed: {_last(done)}")
        return done.stdout

    def _run(self, seconds: float, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = ["rauc", f"--conf={self._system}", *arguments]
        try:
            return subprocess.run(
                command, capture_output=True, text=True, errors="replace", timeout=seconds, check=False,
                stdin=subprocess.DEVNULL,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise RaucError(f"rauc {arguments[0]} does not run: {error}. Install the package rauc.") from error


def _last(done: subprocess.CompletedProcess[str]) -> str:
    """What RAUC complained of in the end, in one line."""
    said = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    telling = [line for line in said if "LastError" in line or "failed" in line.lower()] or said
    return telling[-1].removeprefix("LastError: ")[:160] if telling else f"exit status {done.returncode}"
