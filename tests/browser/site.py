"""A whole deployment for the browser's test, from the commands a person types: office, broker, enrolment service, a
subscriber, and one camera that looks at a file."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

import cv2
import numpy as np
import segno

from edge import clock
from provisioning.demo.stage import without_network
from tests.offices import free_port
from tests.rig import environment, wait_for

CAMERA = "cam-0042"
_VIDIK = [sys.executable, "-c", "from edge.cli import main; main()"]


class Site:
    """Everything in ``folder``. ``ports``: of broker, enrolment service and setup page."""

    def __init__(self, folder: Path, clip: Path) -> None:
        self.folder, self.clip = folder, clip
        self.camera, self.office = folder / "camera", folder / "office"
        self.broker_port, self.enrol_port, self.page_port = free_port(), free_port(), free_port()
        self.code = self.fingerprint = ""
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._ending = threading.Event()

    # the office ----------------------------------------------------------------------------------------------

    def make_office(self) -> str:
        """Signers, recipient, office, one camera; returns its claim."""
        for name, role in (("court", "authority"), ("city", "operator")):
            self.vidik("grant", "key", "new", name, "--role", role, "--name", f"The {name}", "--trust", "trust.toml")
        self.vidik("grant", "key", "new", "desk", "--role", "recipient")
        where = ["--broker", f"localhost:{self.broker_port}", "--enrol", f"localhost:{self.enrol_port}"]
        self.vidik("provision", "init", "--name", "Test", *where, "--root", "stick", "--trust", "trust.toml")
        self.vidik("provision", "recipient", "desk.pub")
        self.vidik("provision", "subscriber", "police", "--out", "police")
        self.vidik("provision", "add", CAMERA, "--label", "Bridge, north")
        self.vidik("provision", "claim", CAMERA, "--as", "txt", "--out", "claims")
        (claim,) = (self.folder / "claims").rglob("*.txt")
        return claim.read_text().strip()

    def start_office(self) -> None:
        """Mosquitto by the office's own script, and the enrolment service."""
        self.start("broker", [str(self.office / "broker" / "start")])
        self.start("serve", [*_VIDIK, "provision", "serve", "--host", "127.0.0.1"])
        for name, port in (("broker", self.broker_port), ("serve", self.enrol_port)):
            wait_for(lambda name=name, port=port: self.answers(port, name), 120.0)

    def listen(self) -> None:
        """A subscriber, who opens reports and confirms test reports."""
        keys = ["--certificate", "police/police.pem", "--key", "police/police.key", "--recipient-key", "desk.key"]
        self.start(
            "listen", [*_VIDIK, "listen", "--jsonl", "--ca", "office/ca.pem", *keys, "--port", str(self.broker_port)]
        )

    @property
    def reports(self) -> list[dict[str, object]]:
        """What the subscriber has opened."""
        path = self.folder / "listen.out"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    # the camera ----------------------------------------------------------------------------------------------

    def print_label(self) -> None:
        """As when the camera is made."""
        said = self.run([sys.executable, "-m", "edge.setup", "--folder", str(self.camera), "--label"])
        found = re.fullmatch(r"address +https:\S+\ncode +(\S+)\ncertificate +([0-9A-F ]+)\n", said)
        assert found is not None, said
        self.code, self.fingerprint = found[1], found[2]

    def start_camera(self, before: Path) -> None:
        """Setup mode: camera process without network, page without camera, and the uplink once there is an identity.

        ``before``: what the camera sees until it is enrolled.
        """
        for name in ("run", "grants"):  # tmpfiles' work on a camera
            (self.camera / name).mkdir(parents=True, exist_ok=True)
        aim = [*without_network(), sys.executable, "-m", "edge.vision.aim"]
        self.start("aim", [*aim, "--folder", str(self.camera), "--source", str(before)])
        page = "edge.setup" if clock.synchronised() else "tests.browser.clocked_setup"
        serve = ["--interface", "lo", "--port", str(self.page_port), "--source", str(self.clip)]
        self.start("setup", [sys.executable, "-m", page, "--folder", str(self.camera), *serve])
        threading.Thread(target=self._uplink_once_enrolled, daemon=True).start()
        wait_for(lambda: self.answers(self.page_port, "setup"), 60.0)
        wait_for((self.camera / "run" / "aim" / "socket").exists, 60.0)

    def look(self) -> subprocess.Popen[bytes]:
        """The camera at work: vision, without network."""
        if not clock.synchronised():
            clock.record(self.camera / "state" / "newest", time.time())
        command = [*without_network(), sys.executable, "-m", "edge.vision"]
        return self.start("vision", [*command, "--config", str(self.camera / "camera.toml")])

    def _uplink_once_enrolled(self) -> None:
        while not self._ending.wait(0.2):
            if (self.camera / "identity" / "current").exists():
                config = ["--config", str(self.camera / "camera.toml")]
                self.start("uplink", [sys.executable, "-m", "edge.uplink", *config])
                return

    # processes -----------------------------------------------------------------------------------------------

    def vidik(self, *arguments: str) -> str:
        return self.run([*_VIDIK, *arguments])

    def run(self, command: list[str]) -> str:
        done = subprocess.run(
            command, capture_output=True, text=True, env=self._environment(), cwd=self.folder, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        with self._log(name, "out") as out, self._log(name, "log") as log:
            process = subprocess.Popen(
                command, stdout=out, stderr=log, env=self._environment(), cwd=self.folder, start_new_session=True
            )
        self._running[name] = process
        return process

    def ended(self, name: str, seconds: float = 30.0) -> int:
        """The exit code of a process that should end by itself."""
        return self._running[name].wait(seconds)

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def answers(self, port: int, name: str = "") -> bool:
        if name:
            assert self._running[name].poll() is None, self.log(name)
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def close(self) -> None:
        """Ends everything that was started here, and prints what each program said last: for a test that failed."""
        self._ending.set()
        for process in self._running.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in self._running.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        for name in self._running:
            print(f"{name}: {self.log(name)[-1000:].strip() or 'said nothing'}")

    def _log(self, name: str, kind: str) -> IO[bytes]:
        return (self.folder / f"{name}.{kind}").open("ab")

    def _environment(self) -> dict[str, str]:
        return environment() | {"VIDIK_PASSPHRASE": "for tests only", "VIDIK_OFFICE": str(self.office)}


def held_before(clip: Path, claim: str, path: Path) -> Path:
    """What the camera sees while somebody holds the claim's QR code before it: a film of the street and a sheet."""
    video = cv2.VideoCapture(str(clip))
    done, street = video.read()
    video.release()
    assert done
    code = np.array([[0 if dark else 255 for dark in row] for row in segno.make(claim, error="m").matrix], np.uint8)
    sheet = cv2.resize(np.pad(code, 4, constant_values=255), (400, 400), interpolation=cv2.INTER_NEAREST)
    height, width = street.shape[:2]
    x, y = (width - 400) // 2, (height - 400) // 2
    street[y : y + 400, x : x + 400] = cv2.cvtColor(sheet, cv2.COLOR_GRAY2BGR)
    film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 15.0, (width, height))
    for _ in range(30):
        film.write(street)
    film.release()
    return path
