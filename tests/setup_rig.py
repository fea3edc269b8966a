"""What tests of the setup page share: the real page on the loopback, over TLS, with a camera process and checks that
say what they are told."""

from __future__ import annotations

import http.client
import ipaddress
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from edge.aiming import Answer, Measures
from edge.enrol.claim import Claim
from edge.setup import certificate, code, page, serve
from edge.setup.addresses import Addresses
from edge.setup.camera import Camera
from edge.setup.checks import NAMES, Result
from edge.setup.door import Door
from edge.setup.guard import Guard
from edge.setup.local import Place
from edge.setup.page import COOKIE
from edge.setup.steps import Steps
from edge.trial import TrialState
from edge.vision.aim.server import Server
from tests.offices import free_port
from tests.rig import wait_for

CLAIM = f"vidik://enrol.example:8443/cam-1?claim={'A' * 32}&pin={'B' * 43}&until=1767225600"
CAMERA = """[vision]
camera = "cam-1"
source = "/dev/video0"
inbox = "run/inbox"
trust = "trust.toml"
grants = "grants"
state = "state"
signing_key = "k"
signing_certificate = "c"

[uplink]
camera = "cam-1"
host = "broker.example"
ca = "ca"
certificate = "c"
key = "k"
signing_certificate = "s"
inbox = "run/inbox"
spool = "spool"
"""


def enrolled(folder: Path) -> None:
    """Leaves ``folder`` as an enrolment does, as far as the page looks at it."""
    (folder / "camera.toml").write_text(CAMERA)
    (folder / "identity" / "made").mkdir(parents=True)
    (folder / "identity" / "current").symlink_to("made")


class ToldTrial:
    """A test report whose fate is told beforehand."""

    def __init__(self, outcome: TrialState) -> None:
        self._outcome = outcome
        self.sent = 0

    def send(self) -> None:
        self.sent += 1

    def state(self) -> TrialState:
        return self._outcome if self.sent else TrialState("idle", "No test report was sent yet.")


@dataclass
class ToldChecks:
    """Checks that say what they are told: all well, but for those named in ``bad``."""

    bad: set[str] = field(default_factory=set)
    again: int = 0

    def run(self) -> list[Result]:
        facts = {"cause": "so", "free": "1", "need": "2", "host": "h", "port": 1, "days": 3, "names": "n", "count": 6}
        well = {"accelerator": "accelerator_none"}
        return [
            Result(name, "bad", f"{name}_bad", facts)
            if name in self.bad
            else Result(name, "ok", well.get(name, f"{name}_ok"), facts)
            for name in NAMES
        ]

    def send_again(self) -> None:
        self.again += 1


class Visitor:
    """A browser without a screen: keeps its cookies, says where it comes from."""

    def __init__(self, port: int, tls: ssl.SSLContext, source: str = "127.0.0.1", host: str = "127.0.0.1") -> None:
        self.port, self.tls, self.source, self.host = port, tls, source, host
        self.cookies: dict[str, str] = {}
        self.set_cookies: list[str] = []
        self.body = ""

    @property
    def origin(self) -> str:
        return f"https://{self.host}:{self.port}"

    def ask(
        self, method: str, path: str, body: bytes | Iterator[bytes] | None = None, **headers: str
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPSConnection(
            self.host, self.port, timeout=20, context=self.tls, source_address=(self.source, 0)
        )
        sent = {"Cookie": "; ".join(f"{name}={value}" for name, value in self.cookies.items())}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, sent)
        answer = connection.getresponse()
        self.body = answer.read().decode("utf-8", "replace")
        connection.close()
        for cookie in answer.headers.get_all("Set-Cookie") or []:
            self.set_cookies.append(cookie)
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    def get(self, path: str, **headers: str) -> int:
        return self.ask("GET", path, **headers).status

    @property
    def proof(self) -> str:
        """Of the page that was shown last."""
        found = re.search(r'name="proof" value="([0-9a-f]{64})"', self.body)
        return "" if found is None else found[1]

    def post(self, path: str, **fields: str) -> http.client.HTTPResponse:
        """As a form of the page shown last does."""
        fields = {"proof": self.proof} | fields
        return self.ask("POST", path, urlencode(fields).encode(), Origin=self.origin, Sec_Fetch_Site="same-origin")

    def enter(self, typed: str) -> int:
        self.get("/")
        return self.post("/code", code=typed).status


class SetupPage:
    """The page of the camera in ``folder``. ``clock``: seconds of setup mode, to be set forward."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port, self.now = folder, free_port(), 0.0
        self.places = [Place(ipaddress.ip_interface("127.0.0.1/32"))]
        self.told: list[str] = []  # the addresses served, whenever they changed
        self.said: list[tuple[str, str]] = []
        self.claims: list[Claim] = []
        self.checks = ToldChecks()
        self.answer = Answer(Measures(width=1920, height=1080, focus=70.0, tested=6), b"\xff\xd8masked\xff\xd9")
        self.printed = code.make(folder)
        certificate.make(folder)
        self.tls = ssl.create_default_context(cafile=str(folder / certificate.CERTIFICATE))
        self.tls.check_hostname = False  # the certificate itself is pinned
        self.door = Door(code.checker(folder), lambda: self.now)
        self.enrol: Callable[[Claim], object] = self._enrol

    def visitor(self, source: str = "127.0.0.1") -> Visitor:
        return Visitor(self.port, self.tls, source)

    def inside(self) -> Visitor:
        """A technician who has come in."""
        visitor = self.visitor()
        assert visitor.enter(self.printed) == 303
        return visitor

    def listens(self, host: str = "127.0.0.1") -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((host, self.port)) == 0

    @contextmanager
    def running(self) -> Iterator[SetupPage]:
        sealed = self.folder / "sealed"
        server = Server(self.folder / "aim", self._look, sealed.exists)
        camera = Camera(self.folder / "aim")
        steps = Steps(self.folder, camera, self.checks, self._enrolling, self._say)  # type: ignore[arg-type]
        addresses = Addresses(lambda: self.places, self.port)
        running = serve.Running(
            self.folder / certificate.CERTIFICATE, self.folder / certificate.KEY, lambda: self.door.left
        )
        guarded = Guard(page.application(steps, self.door, running.finish), addresses.places, self.port)
        addresses.follow()
        self.thread = threading.Thread(
            target=running.run, args=(guarded, addresses, lambda: self.told.append(addresses.hosts))
        )
        looking = threading.Thread(target=server.run)
        looking.start()
        self.thread.start()
        try:
            wait_for(lambda: self.told)
            yield self
        finally:
            self.door.shut()
            self.thread.join(20)
            camera.close()
            if not sealed.exists():
                sealed.write_text("ended by the test")
            looking.join(20)
            server.close()

    def _look(self, scan: bool) -> Answer:
        return self.answer if scan else Answer(self.answer.measures, self.answer.picture)

    def _enrolling(self, claim: Claim) -> None:
        self.enrol(claim)  # what it is when it is needed

    def _enrol(self, claim: Claim) -> None:
        self.claims.append(claim)
        enrolled(self.folder)

    def _say(self, state: str, reason: str) -> None:
        self.said.append((state, reason))


__all__ = ["CLAIM", "COOKIE", "SetupPage", "ToldChecks", "ToldTrial", "Visitor", "enrolled"]
