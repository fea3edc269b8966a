"""The fault suite: real processes, real Mosquitto, real TLS, and everything going wrong at random.

``python -m tests.faults.chaos --runs 500`` makes 500 runs; ``--seed N --runs 1`` makes one of them again. In each
run vision hands reports over while faults strike; then the faults end, and every report that was handed over must
have come to the subscriber, or be covered by a gap announcement that counts it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from edge import gaps
from edge.gaps import Account, Gap
from edge.mqtt import Handler, Link
from provisioning.broker import Mosquitto
from tests.faults import vision
from tests.faults.proxy import Proxy
from tests.rig import CAMERA, Rig, environment

ACCOUNT_SECONDS = 120.0  # for everything to be accounted for once the faults are over; the machine may be busy
SETTLE = 4.0
ANSWER = 4.0


class Persistent(Mosquitto):
    """Saves what it holds every second."""

    def _configuration(self, folder: Path) -> str:
        return super()._configuration(folder).replace("autosave_interval 5", "autosave_interval 1")


class Forgetful(Mosquitto):
    """Keeps nothing over a restart."""

    def _configuration(self, folder: Path) -> str:
        return super()._configuration(folder).replace("persistence true", "persistence false")


class Subscriber(Handler):
    """Keeps what comes, by report and by gap; acknowledges at once."""

    def __init__(self, rig: Rig, port: int) -> None:
        self.reports: Counter[tuple[int, int]] = Counter()
        self.gaps: dict[str, Gap] = {}
        self.account = Account()
        self.broken: list[str] = []
        self._lock = threading.Lock()
        self.link = Link(rig.address("subscriber", port), "chaos", self, session_seconds=300, longest_pause=0.3,
                         keepalive=5)  # fmt: skip
        self.link.start()

    def opened(self, version: int, window: int) -> None:
        for channel in ("plate", "gap", "status"):
            self.link.subscribe(f"vidik/v1/{CAMERA}/{channel}")

    def received(self, topic: str, payload: bytes, number: int, retained: bool) -> None:
        with self._lock:
            try:
                self._take(topic.rsplit("/", 1)[-1], payload)
            except Exception as error:  # any surprise is a finding, and must not end the thread
                self.broken.append(f"{topic}: {error!r}")
        self.link.acknowledge(number)

    def _take(self, channel: str, payload: bytes) -> None:
        if channel == "gap":
            gap = gaps.decode(payload, CAMERA)
            self.gaps[gap.id] = gap
            self.account.announced(gap)
        elif channel == "plate":
            place = vision.place(payload)
            self.reports[place] += 1
            self.account.came(place)
        else:
            for boot, seq in json.loads(payload).get("sent", []):
                self.account.stated((boot, seq))

    def unaccounted(self, handed_over: set[tuple[int, int]]) -> set[tuple[int, int]]:
        """What neither came nor is counted by an announcement."""
        with self._lock:
            missing, announced = handed_over - set(self.reports), list(self.gaps.values())
        for gap in announced:
            inside = {place for place in missing if gap.covers(gaps.Place(*place))}
            if gap.count is None or len(inside) <= gap.count:
                missing -= inside
        return missing


@dataclass
class World:
    """One camera, one broker, one subscriber, and the network between them."""

    rig: Rig
    folder: Path
    chance: random.Random
    persistent: bool
    flood: bool
    boot: int = 0
    full: Path | None = None
    died: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.disk = self.folder / "disk"
        self.disk.mkdir()
        self.mounted = os.geteuid() == 0 and self._mount()
        settings = self.rig.broker_settings
        kind = Persistent if self.persistent else Forgetful
        self.broker = kind(type(settings)(self.folder / "broker", settings.ca, settings.certificate, settings.key))
        self.broker.start()
        self.uplink_way = Proxy(self.broker.port, self.chance.randrange(1 << 30))
        self.subscriber_way = Proxy(self.broker.port, self.chance.randrange(1 << 30))
        self.offset = self.folder / "offset"
        self.offset.write_text("0")
        self._configure()
        self.subscriber = Subscriber(self.rig, self.subscriber_way.port)
        self.uplink = self.start_uplink()
        self.vision = self.start_vision()

    def _mount(self) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", "size=12m", "tmpfs", str(self.disk)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def _configure(self) -> None:
        identity = self.rig.folder
        (self.folder / "camera.toml").write_text(f"""[uplink]
camera = "{CAMERA}"
host = "localhost"
port = {self.uplink_way.port}
ca = "{identity}/ca.pem"
certificate = "{identity}/{CAMERA}.pem"
key = "{identity}/{CAMERA}.key"
signing_certificate = "{identity}/{CAMERA}-signing.pem"
inbox = "inbox"
spool = "disk/spool"
spool_bytes = {1 << 20}
keepalive = 5
settle_seconds = {SETTLE}
answer_seconds = {ANSWER}
drain_rate = 0
commit_seconds = {self.chance.choice([0, 0.1])}
""")

    def start_uplink(self) -> subprocess.Popen[bytes]:
        with (self.folder / "uplink.log").open("ab") as log:
            command = [sys.executable, "-m", "tests.faults.clocked_uplink", "--config", self.folder / "camera.toml"]
            return subprocess.Popen(command, stderr=log, env=environment() | {"CLOCK_OFFSET": str(self.offset)})

    def start_vision(self) -> subprocess.Popen[bytes]:
        self.boot += 1
        rate, size = (400, 2000) if self.flood else (60, 300)
        arguments = [self.folder / "inbox", self.folder / "acknowledged", self.boot, rate, size, 3600]
        return subprocess.Popen(
            [sys.executable, "-m", "tests.faults.vision", *map(str, arguments)], env=environment(), stderr=None
        )

    def handed_over(self) -> set[tuple[int, int]]:
        path = self.folder / "acknowledged"
        text = path.read_text() if path.exists() else ""
        return {tuple(json.loads(line)) for line in text.splitlines(keepends=True) if line.endswith("\n")}

    def revive(self) -> None:
        """Ends all faults."""
        self.disk_free()
        self.offset.write_text("0")
        self.uplink_way.heal()
        self.subscriber_way.heal()
        if self.broker._process is None or self.broker._process.poll() is not None:
            self.broker.restart()
        self.broker._process.send_signal(signal.SIGCONT)
        self.uplink.send_signal(signal.SIGCONT)
        if self.uplink.poll() is not None:
            self.died.append(f"the uplink ended by itself with {self.uplink.returncode}")

    def disk_full(self) -> None:
        if self.mounted:
            self.full = self.disk / "full"
            with suppress(OSError), self.full.open("wb", buffering=0) as file:
                while True:
                    file.write(bytes(4096))
        else:
            resource.prlimit(self.uplink.pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))

    def disk_free(self) -> None:
        if self.full is not None:
            self.full.unlink(missing_ok=True)
        with suppress(ProcessLookupError):
            resource.prlimit(self.uplink.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def close(self) -> None:
        self.subscriber.link.close(1)
        for process in (self.vision, self.uplink):
            process.kill()
            process.wait()
        self.broker.kill()
        self.uplink_way.close()
        self.subscriber_way.close()
        if self.mounted:
            subprocess.run(["umount", "-l", str(self.disk)], check=False)


def kill_vision(world: World) -> None:
    world.vision.kill()
    world.vision.wait()
    world.vision = world.start_vision()


def kill_uplink(world: World, meanwhile: Callable[[], None] = lambda: None) -> None:
    if world.uplink.poll() is not None:
        world.died.append(f"the uplink ended by itself with {world.uplink.returncode}")
    world.uplink.kill()
    world.uplink.wait()
    meanwhile()
    time.sleep(world.chance.uniform(0, 0.3))
    world.uplink = world.start_uplink()


def kill_broker(world: World) -> None:
    world.broker.kill()
    time.sleep(world.chance.uniform(0, 0.8))
    world.broker.restart()


def stop_broker(world: World) -> None:
    world.broker.restart()


def cut(world: World) -> None:
    way = world.chance.choice([world.uplink_way, world.uplink_way, world.subscriber_way])
    way.refuse = True
    way.cut()
    time.sleep(world.chance.uniform(0.1, 1.5))
    way.refuse = False


def stall(world: World) -> None:
    world.uplink_way.stall = True
    time.sleep(world.chance.uniform(0.2, 2.5))
    world.uplink_way.stall = False


def half_open(world: World) -> None:
    world.uplink_way.forget()


def late(world: World) -> None:
    world.uplink_way.delays = world.chance.choice([(2.0, 0.0), (0.0, 2.0), (1.0, 1.0)])
    time.sleep(world.chance.uniform(1, 4))
    world.uplink_way.delays = (0.0, 0.0)


def lossy(world: World) -> None:
    world.uplink_way.loss = 0.5
    time.sleep(world.chance.uniform(0.5, 3))
    world.uplink_way.loss = 0.0


def disk_full(world: World) -> None:
    world.disk_full()
    time.sleep(world.chance.uniform(0.2, 1.5))
    if world.chance.random() < 0.3:
        kill_uplink(world)
        time.sleep(world.chance.uniform(0, 0.5))
    world.disk_free()


def clock_jump(world: World) -> None:
    world.offset.write_text(str(world.chance.choice([-86400, -3600, -30, 30, 600, 7200, 86400 * 365])))


def freeze(world: World) -> None:
    process = world.chance.choice([world.uplink, world.broker._process])
    process.send_signal(signal.SIGSTOP)
    time.sleep(world.chance.uniform(0.2, 2))
    process.send_signal(signal.SIGCONT)


def damage(world: World) -> None:
    def spoil() -> None:
        path = world.disk / "spool"
        with suppress(sqlite3.Error):
            sqlite3.connect(path).execute("PRAGMA wal_checkpoint(TRUNCATE)")  # else there is not much in the file
        size = path.stat().st_size if path.exists() else 0
        if not size:
            return
        match world.chance.choice(["flip", "zero", "cut", "head"]):
            case "flip":
                with path.open("r+b") as file:
                    file.seek(world.chance.randrange(size))
                    file.write(world.chance.randbytes(3))
            case "zero":
                with path.open("r+b") as file:
                    file.seek(world.chance.randrange(size) // 4096 * 4096)
                    file.write(bytes(4096))
            case "cut":
                os.truncate(path, world.chance.randrange(size))
            case "head":
                with path.open("r+b") as file:
                    file.write(world.chance.randbytes(100))

    kill_uplink(world, spoil)


FAULTS = [kill_vision, kill_uplink, kill_uplink, kill_broker, kill_broker, stop_broker, cut, cut, stall, half_open,
          late, lossy, disk_full, clock_jump, freeze, damage]  # fmt: skip


@dataclass
class Outcome:
    seed: int
    faults: list[str]
    setting: str
    handed_over: int
    received: int
    again: int
    announced: dict[str, int]
    lost: list[tuple[int, int]]
    hidden: int
    wrong: list[str]
    seconds: float

    @property
    def good(self) -> bool:
        return not self.lost and not self.wrong and self.handed_over > 0


def run(seed: int, rig: Rig, root: Path) -> Outcome:
    """One run; everything in it follows from ``seed``, but for what the machine's timing adds."""
    chance, began = random.Random(seed), time.monotonic()
    world = World(rig, root / f"run-{seed}", chance, persistent=chance.random() < 0.5, flood=chance.random() < 0.15)
    chosen = [chance.choice(FAULTS) for _ in range(chance.randint(2, 5))]
    lost: set[tuple[int, int]] = set()
    try:
        until = time.monotonic() + 20
        while not world.handed_over() and time.monotonic() < until:
            time.sleep(0.05)
        for fault in chosen:
            time.sleep(chance.uniform(0, 0.8))
            fault(world)
        time.sleep(chance.uniform(0, 0.5))
        world.revive()
        world.vision.send_signal(signal.SIGTERM)
        try:
            # ended by the signal itself: it had not come so far as to hand anything over
            if world.vision.wait(ACCOUNT_SECONDS) not in {0, -signal.SIGTERM}:
                world.died.append("vision failed")
        except subprocess.TimeoutExpired:
            world.died.append("the uplink did not take everything")
        handed_over = world.handed_over()
        until = time.monotonic() + ACCOUNT_SECONDS
        while (lost := world.subscriber.unaccounted(handed_over)) and time.monotonic() < until:
            time.sleep(0.1)
        if world.uplink.poll() is not None:
            world.died.append(f"the uplink ended by itself with {world.uplink.returncode}")
        seen = {(s.boot, seq) for s in world.subscriber.account.missing() for seq in range(s.first, s.last + 1)}
        subscriber = world.subscriber
        return Outcome(
            seed, [fault.__name__ for fault in chosen], f"{'persistent' if world.persistent else 'forgetful'}"
            f"{' flood' if world.flood else ''}", len(handed_over), len(subscriber.reports),
            sum(subscriber.reports.values()) - len(subscriber.reports),
            {reason: sum(g.count or 0 for g in subscriber.gaps.values() if g.reason == reason)
             for reason in {g.reason for g in subscriber.gaps.values()}},
            sorted(lost), len(lost - seen), world.died + subscriber.broken, round(time.monotonic() - began, 1),
        )  # fmt: skip
    finally:
        world.close()


def work(seeds: list[int], folder: Path) -> list[Outcome]:
    """Runs for ``seeds`` one after the other; what was lost or went wrong leaves its folder behind."""
    rig, outcomes = Rig(folder), []
    for seed in seeds:
        outcome = run(seed, rig, folder)
        outcomes.append(outcome)
        mark = "ok  " if outcome.good else "FAIL"
        print(f"{mark} seed={seed} {outcome.setting} {','.join(outcome.faults)} handed_over={outcome.handed_over} "
              f"received={outcome.received} again={outcome.again} announced={outcome.announced} "
              f"lost={len(outcome.lost)} {outcome.lost[:5]} unseen={outcome.hidden} {outcome.wrong} "
              f"{outcome.seconds}s", flush=True)  # fmt: skip
        if outcome.good:
            shutil.rmtree(folder / f"run-{seed}", ignore_errors=True)
    return outcomes


def main() -> int:
    parser = argparse.ArgumentParser(description="Random faults against the delivery.")
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30), help="of the first run; the next adds 1")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    print(f"{arguments.runs} runs from --seed {arguments.seed}", flush=True)
    root = Path(tempfile.mkdtemp(prefix="faults-"))
    seeds = [arguments.seed + number for number in range(arguments.runs)]
    shares = [seeds[worker :: arguments.workers] for worker in range(arguments.workers)]
    folders = [root / f"worker-{worker}" for worker in range(arguments.workers)]
    for folder in folders:
        folder.mkdir()
    with ProcessPoolExecutor(arguments.workers) as pool:
        outcomes = [outcome for found in pool.map(work, shares, folders) for outcome in found]
    bad = [outcome for outcome in outcomes if not outcome.good]
    announced: Counter[str] = Counter()
    for outcome in outcomes:
        announced.update(outcome.announced)
    print(f"{len(outcomes)} runs, {sum(len(o.faults) for o in outcomes)} faults, "
          f"{sum(o.handed_over for o in outcomes)} reports handed over, {sum(o.again for o in outcomes)} duplicates, "
          f"announced {dict(announced)}, lost {sum(len(o.lost) for o in outcomes)}, "
          f"bad runs: {[outcome.seed for outcome in bad]}")  # fmt: skip
    if bad:
        print(f"What they left is in {root}", file=sys.stderr)
        return 1
    shutil.rmtree(root, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
