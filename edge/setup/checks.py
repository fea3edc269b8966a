"""Whether the camera can be left alone: each check says ok, wait or bad, why, and what to do next.

What a check says is a name in the catalogue (``check.disk_bad``) and the facts that fill it in.
"""

from __future__ import annotations

import shutil
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, NamedTuple

from cryptography import x509

from edge import clock, config, durable
from edge.address import Address
from edge.aiming import Measures
from edge.enrol import check, identity
from edge.enrol.identity import CA, CONFIG, CONNECTION, IDENTITY, SIGNING
from edge.errors import VidikError
from edge.setup.trial import Trial
from edge.trial import TrialState

_CONNECT = 5.0  # seconds for the broker to answer
_REFUSAL = 0.7  # seconds in which a broker that does not know a certificate says so, under TLS 1.3
_SYNCHRONISED = Path("/run/systemd/timesync/synchronized")  # the page's sandbox may not ask the kernel
_SPARE = 64 << 20  # bytes of the data partition that are not for reports
NAMES = ("clock", "uplink", "broker", "certificate", "disk", "accelerator", "models", "trial")


class Result(NamedTuple):
    """``says``: the catalogue's text, without its table."""

    name: str
    state: Literal["ok", "wait", "bad"]
    says: str
    facts: Mapping[str, str | int] = {}


@dataclass(slots=True)
class Checks:
    """All checks of the camera in ``folder``. ``measures`` come from the camera process, ``now`` in UTC."""

    folder: Path
    measures: Callable[[], Measures]
    trial: Trial
    is_synchronised: Callable[[], bool] = lambda: clock.synchronised() or _SYNCHRONISED.exists()
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    _sent: bool = field(default=False)

    def run(self) -> list[Result]:
        """Every check, in the order in which they depend on each other. Takes some seconds when the broker is away.
        Sends the test report, once, when the way is free. Raises ``VidikError`` without a usable configuration."""
        uplink = config.load(self.folder / CONFIG, config.Uplink)
        network = self._network(uplink)
        broker = self._broker(uplink) if network.state == "ok" else Result("broker", "wait", "broker_wait")
        measures = self.measures()
        results = [
            self._clock(), network, broker, self._certificate(uplink.camera), self._disk(uplink),
            accelerator(measures), models(measures),
        ]  # fmt: skip
        return [*results, self._trial(broker.state == "ok")]

    def send_again(self) -> None:
        """Sends another test report."""
        self.trial.send()
        self._sent = True

    def _clock(self) -> Result:
        good = self.is_synchronised() and clock.trustworthy(self.now().timestamp())
        return Result("clock", "ok", "clock_ok") if good else Result("clock", "bad", "clock_bad")

    @staticmethod
    def _network(uplink: config.Uplink) -> Result:
        facts: dict[str, str | int] = {"host": uplink.host, "port": uplink.port}
        try:
            socket.create_connection((uplink.host, uplink.port), _CONNECT).close()
        except OSError as error:
            return Result("uplink", "bad", "uplink_bad", facts | {"cause": _cause(error)})
        return Result("uplink", "ok", "uplink_ok", facts)

    @staticmethod
    def _broker(uplink: config.Uplink) -> Result:
        address = Address(uplink.host, uplink.port, uplink.ca, uplink.certificate, uplink.key)
        try:
            with (
                socket.create_connection((uplink.host, uplink.port), _CONNECT) as plain,
                address.tls().wrap_socket(plain, server_hostname=uplink.host) as secured,
            ):
                secured.settimeout(_REFUSAL)
                if secured.recv(1) == b"":  # a broker that takes the certificate waits for us to speak
                    return Result("broker", "bad", "broker_bad", {"cause": "it hung up"})
        except TimeoutError:
            return Result("broker", "ok", "broker_ok")
        except (OSError, VidikError) as error:
            return Result("broker", "bad", "broker_bad", {"cause": _cause(error)})
        return Result("broker", "bad", "broker_bad", {"cause": "it is no MQTT broker"})

    def _certificate(self, camera: str) -> Result:
        try:
            days = min(self._days(purpose, camera) for purpose in (CONNECTION, SIGNING))
        except (VidikError, OSError, ValueError) as error:
            return Result("certificate", "bad", "certificate_bad", {"cause": _cause(error)})
        return Result("certificate", "ok", "certificate_ok", {"days": days})

    def _days(self, purpose: str, camera: str) -> int:
        held = identity.in_force(self.folder / IDENTITY)
        if held is None:
            raise ValueError("there are none")
        issued = x509.load_pem_x509_certificate((held / f"{purpose}.pem").read_bytes())
        authorities = x509.load_pem_x509_certificates((held / CA).read_bytes())
        if check.name_of(issued) != camera:
            raise ValueError(f"they name {check.name_of(issued)}")
        now = self.now()
        for one in (issued, *check.chain(issued, [*authorities])):
            begins, ends = one.not_valid_before_utc, one.not_valid_after_utc
            if not begins <= now < ends:
                raise ValueError(f"one holds from {begins:%Y-%m-%d} to {ends:%Y-%m-%d}")
        return (issued.not_valid_after_utc - now).days

    def _disk(self, uplink: config.Uplink) -> Result:
        probe = self.folder / "setup" / "probe"
        try:
            durable.write(probe, b"probe")
            probe.unlink()
            free = shutil.disk_usage(self.folder).free
        except OSError as error:
            return Result("disk", "bad", "disk_fail", {"cause": _cause(error)})
        need = uplink.spool_bytes + _SPARE
        facts = {"free": f"{free / (1 << 30):.1f}", "need": f"{need / (1 << 30):.1f}"}
        return Result("disk", "ok", "disk_ok", facts) if free >= need else Result("disk", "bad", "disk_bad", facts)

    def _trial(self, way_is_free: bool) -> Result:
        if not self._sent:
            if not way_is_free:
                return Result("trial", "wait", "trial_none")
            self.send_again()
        return trial(self.trial.state())


def accelerator(measures: Measures) -> Result:
    """What the camera process says of the accelerator."""
    if not measures.tested and not measures.faults:
        return Result("accelerator", "wait", "accelerator_wait")
    if measures.tested and measures.faults:
        return Result("accelerator", "bad", "accelerator_bad", {"cause": measures.faults[0]})
    if measures.accelerator == "cpu":
        return Result("accelerator", "ok", "accelerator_none")
    return Result("accelerator", "ok", "accelerator_ok", {"kind": measures.accelerator})


def models(measures: Measures) -> Result:
    """What the camera process says of the models' self-test."""
    if measures.tested:
        return Result("models", "ok", "models_ok", {"count": measures.tested})
    if measures.faults:
        return Result("models", "bad", "models_bad", {"cause": measures.faults[0]})
    return Result("models", "wait", "models_wait")


def trial(found: TrialState) -> Result:
    """How far the test report has got."""
    match found.state:
        case "confirmed":
            return Result("trial", "ok", "trial_ok", {"names": ", ".join(found.confirmed)})
        case "failed":
            return Result("trial", "bad", "trial_bad", {"cause": found.says})
        case "waiting":
            return Result("trial", "wait", "trial_wait", {"names": ", ".join(found.missing)})
    return Result("trial", "wait", "trial_none")


def passed(results: list[Result]) -> bool:
    """Whether the camera may be sealed: every check there is, and every one well."""
    return tuple(result.name for result in results) == NAMES and all(result.state == "ok" for result in results)


def _cause(error: Exception) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.verify_message if isinstance(error, ssl.SSLCertVerificationError) else error.reason) or "TLS"
    return str(error.strerror if isinstance(error, OSError) and error.strerror else error)[:300]
