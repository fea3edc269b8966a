"""One run of the fleet: connect, steady load, a broker restart, the drain, steady load again; then count."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import psutil
from cryptography.hazmat.primitives.serialization import Encoding

from edge.errors import VidikError
from provisioning import pki
from provisioning.broker import Mosquitto, mosquitto
from provisioning.broker import Settings as BrokerSettings
from provisioning.fleet import worker
from provisioning.fleet.counter import Counter
from provisioning.fleet.worker import Figures

_PROJECT = Path(__file__).parents[2]
_LONGEST_WAIT = 600.0  # seconds for any phase of a run
_LAST_SECONDS = 30.0  # without any arrival, after which what is missing counts as lost
_FILES_PER_CAMERA = 3

Progress = Callable[[str, float, float], None]


class FleetError(VidikError):
    """The fleet cannot run."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``rate``: reports a second of all cameras together. Durations in seconds. ``crash``: SIGKILL, not SIGTERM."""

    cameras: int = 1_000
    rate: float = 1_000.0
    ramp: float = 150.0
    steady: float = 30.0
    outage: float = 10.0
    crash: bool = False
    workers: int = 2


@dataclass(slots=True)
class Sample:
    """One second. ``cpu``: of the broker, cores. ``memory``: of the broker, bytes. Latencies in seconds."""

    time: float
    connected: int
    made: int
    taken: int
    waiting: int
    arrived: int
    cpu: float
    memory: int
    arrivals: list[float]
    answers: list[float]


@dataclass(slots=True)
class Result:
    """All seconds of a run, and what became of every report. ``marks``: moments by name (seconds since the start)."""

    plan: Plan
    samples: list[Sample] = field(default_factory=list)
    marks: dict[str, float] = field(default_factory=dict)
    made: int = 0
    lost: int = 0
    duplicates: int = 0
    connects: int = 0


class _Worker:
    """A process of cameras, and the latest that it has said."""

    def __init__(self, settings: worker.Settings, folder: Path) -> None:
        self.latest = Figures(0.0, 0, 0, 0, 0, 0)
        self.answers: list[float] = []
        self._log = (folder / f"worker-{settings.first}.log").open("wb")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "provisioning.fleet.worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log, cwd=_PROJECT,
        )  # fmt: skip
        assert self._process.stdin is not None
        self._process.stdin.write(msgspec.json.encode(settings) + b"\n")
        self._process.stdin.flush()
        threading.Thread(target=self._read, daemon=True).start()

    @property
    def dead(self) -> bool:
        return self._process.poll() is not None

    def stop(self) -> None:
        """No further reports."""
        assert self._process.stdin is not None
        self._process.stdin.write(b"stop\n")
        self._process.stdin.flush()

    def take_answers(self) -> list[float]:
        answers, self.answers = self.answers, []
        return answers

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.latest = msgspec.json.decode(line, type=Figures)
            self.answers += self.latest.latencies


def run(plan: Plan, progress: Progress) -> Result:
    """Runs ``plan`` with a Mosquitto of its own. Raises ``FleetError``."""
    if mosquitto() is None:
        raise FleetError("The fleet needs Mosquitto, which is not installed. Install the package mosquitto.")
    _raise_file_limit(_FILES_PER_CAMERA * plan.cameras + 1_000)
    with tempfile.TemporaryDirectory(prefix="vidik-fleet-") as name, ExitStack() as stack:
        folder = Path(name)
        _certificates(folder, plan.cameras, progress)
        broker = Mosquitto(BrokerSettings(
            folder / "broker", folder / "ca.pem", folder / "broker.pem", folder / "broker.key", subscribers=("counter",)
        ))  # fmt: skip
        broker.start()
        stack.callback(broker.stop)
        counter = Counter(folder, broker.port)
        counter.start()
        stack.callback(counter.close)
        workers = _workers(plan, folder, broker.port)
        for each in workers:
            stack.callback(each.close)
        play = _Play(Result(plan), broker, counter, workers, progress)
        with _sampling(play):
            _act(play)
        return play.result


@dataclass(slots=True)
class _Play:
    """Everything that takes part in a run."""

    result: Result
    broker: Mosquitto
    counter: Counter
    workers: list[_Worker]
    progress: Progress
    began: float = field(default_factory=time.monotonic)

    @property
    def connected(self) -> int:
        return sum(each.latest.connected for each in self.workers)

    @property
    def waiting(self) -> int:
        return sum(each.latest.waiting for each in self.workers)

    def mark(self, what: str) -> None:
        self.result.marks[what] = time.monotonic() - self.began

    def pause(self, seconds: float, what: str) -> None:
        began = time.monotonic()
        while (passed := time.monotonic() - began) < seconds:
            self.progress(what, passed, seconds)
            time.sleep(0.2)

    def wait(self, done: Callable[[], bool], what: str, state: Callable[[], tuple[float, float]]) -> None:
        until = time.monotonic() + _LONGEST_WAIT
        while not done():
            if any(each.dead for each in self.workers) or time.monotonic() > until:
                raise FleetError(f"The fleet got stuck while {what}. Try fewer cameras or a lower rate here.")
            self.progress(what, *state())
            time.sleep(0.1)


def _act(play: _Play) -> None:
    plan, broker, result = play.result.plan, play.broker, play.result
    play.wait(lambda: play.connected >= plan.cameras, "connecting", lambda: (play.connected, plan.cameras))
    play.mark("all connected")
    play.pause(plan.steady, "steady load")
    play.mark("broker ends")
    (broker.kill if plan.crash else broker.stop)()
    play.pause(plan.outage, "no broker")
    broker.restart()
    play.mark("broker is back")
    play.wait(lambda: play.connected >= plan.cameras, "reconnecting", lambda: (play.connected, plan.cameras))
    play.mark("all connected again")
    peak = max(1, play.waiting)
    play.wait(lambda: play.waiting < max(plan.rate, plan.cameras), "draining", lambda: (peak - play.waiting, peak))
    play.mark("drained")
    play.pause(plan.steady, "steady load")
    for each in play.workers:
        each.stop()
    play.mark("no further reports")
    play.wait(lambda: all(each.latest.final for each in play.workers), "delivering the rest", lambda: (0, 1))
    made = {camera: count for each in play.workers for camera, count in each.latest.final.items()}
    arrived, until = -1, 0.0
    while play.counter.lost(made) and (play.counter.distinct > arrived or time.monotonic() < until):
        if play.counter.distinct > arrived:
            arrived, until = play.counter.distinct, time.monotonic() + _LAST_SECONDS
        time.sleep(0.1)
    play.mark("end")
    result.made, result.lost, result.duplicates = sum(made.values()), play.counter.lost(made), play.counter.duplicates
    result.connects = sum(each.latest.connects for each in play.workers)


def _workers(plan: Plan, folder: Path, port: int) -> list[_Worker]:
    share = -(-plan.cameras // plan.workers)
    return [
        _Worker(
            worker.Settings(
                str(folder), "localhost", port, first, min(share, plan.cameras - first), plan.rate / plan.cameras,
                plan.ramp / plan.workers,
            ),
            folder,
        )
        for first in range(0, plan.cameras, share)
    ]  # fmt: skip


def _certificates(folder: Path, cameras: int, progress: Progress) -> None:
    ca = pki.make_ca("Fleet")
    ca.save(folder, "ca")
    pki.issue_server(ca, ["localhost", "127.0.0.1"]).save(folder, "broker")
    pki.issue_subscriber(ca, "counter").save(folder, "counter")
    for number in range(cameras):
        issued, name = pki.issue_connection(ca, worker.name(number)), worker.name(number)
        (folder / f"{name}.pem").write_bytes(issued.certificate.public_bytes(Encoding.PEM))
        (folder / f"{name}.key").write_bytes(pki.private_pem(issued.key))
        progress("certificates", number + 1, cameras)


@contextmanager
def _sampling(play: _Play) -> Iterator[None]:
    ended = threading.Event()

    def sample() -> None:
        meter = _Meter()
        while not ended.wait(1.0):
            cpu, memory = meter.read(play.broker.pid)
            said = [each.latest for each in play.workers]
            play.result.samples.append(Sample(
                time.monotonic() - play.began, play.connected, sum(s.made for s in said), sum(s.taken for s in said),
                play.waiting, play.counter.distinct, cpu, memory, play.counter.take_latencies(),
                [value for each in play.workers for value in each.take_answers()],
            ))  # fmt: skip

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


class _Meter:
    """What the broker's process uses, from one second to the next."""

    def __init__(self) -> None:
        self._process: psutil.Process | None = None
        self._cpu = self._time = 0.0

    def read(self, pid: int | None) -> tuple[float, int]:
        """Cores used since the last call, and bytes of memory; nothing while there is no broker."""
        now = time.monotonic()
        try:
            if pid is None:
                raise psutil.NoSuchProcess(0)
            if self._process is None or self._process.pid != pid:
                self._process, self._cpu, self._time = psutil.Process(pid), 0.0, now - 1.0
            times, memory = self._process.cpu_times(), self._process.memory_info().rss
        except psutil.Error:
            self._process = None
            return 0.0, 0
        used = times.user + times.system
        cores = (used - self._cpu) / (now - self._time)
        self._cpu, self._time = used, now
        return cores, memory


def _raise_file_limit(files: int) -> None:
    """For this process and its children. Raises ``FleetError``."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < files:
        raise FleetError(f"The fleet needs {files} open files, {hard} are allowed. Raise the limit: ulimit -n {files}.")
    if soft < files:
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, hard))

