"""A process full of cameras: ``python -m provisioning.fleet.worker``, settings as JSON on standard input's first line.

Every second it writes a line of figures (JSON). The line ``stop`` on standard input ends the making of reports; when
the broker has taken everything, the last line tells how many each camera has made, and the process ends with its input.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec

from edge.address import Address
from edge.uplink.pace import Pace
from provisioning.fleet.camera import Broker, Camera, Counts

_TICK = 0.02  # seconds


class Settings(msgspec.Struct):
    """``first`` and ``count``: which cameras; ``rate``: reports a second of each; ``folder``: their certificates."""

    folder: str
    host: str
    port: int
    first: int
    count: int
    rate: float
    ramp: float  # connections opened a second


class Figures(msgspec.Struct):
    """One second of the process. ``latencies``: seconds from sending to the broker's answer."""

    time: float
    connected: int
    connects: int
    made: int
    taken: int
    waiting: int
    latencies: list[float] = []
    final: dict[int, int] = {}


def name(number: int) -> str:
    """The camera id."""
    return f"fleet-{number:05d}"


async def _run(settings: Settings) -> None:
    counts = Counts()
    cameras = [_camera(settings, settings.first + i, counts) for i in range(settings.count)]
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    clockwork = asyncio.create_task(_turn(cameras, settings, counts))
    stop = asyncio.create_task(commands.readline())
    await asyncio.wait({clockwork, stop}, return_when=asyncio.FIRST_COMPLETED)
    if clockwork.done():
        clockwork.result()
    clockwork.cancel()
    clockwork = asyncio.create_task(_turn(cameras, settings, counts, making=False))
    while stop.result() and any(camera.waiting for camera in cameras):  # noqa: ASYNC110 - polling once a tick is fine
        await asyncio.sleep(_TICK)
    clockwork.cancel()
    _say(cameras, counts, final=True)
    await commands.readline()


def _camera(settings: Settings, number: int, counts: Counts) -> Camera:
    folder = Path(settings.folder)
    files = folder / f"{name(number)}.pem", folder / f"{name(number)}.key"
    tls = Address(settings.host, settings.port, folder / "ca.pem", *files).tls()
    return Camera(number, name(number), Broker(settings.host, settings.port, tls), Pace(), counts)


_tasks: list[asyncio.Task[None]] = []  # one for each camera that was started


async def _turn(cameras: list[Camera], settings: Settings, counts: Counts, making: bool = True) -> None:
    """The clockwork: starts cameras at the ramp's pace, lets them make and send reports, says figures."""
    loop = asyncio.get_running_loop()
    began = next_line = loop.time()
    due: list[float] = []
    while True:
        now = loop.time()
        while making and len(_tasks) < min(len(cameras), 1 + (now - began) * settings.ramp):
            due.append(now + (len(_tasks) % 97) / 97 / settings.rate)  # cameras are not in step
            _tasks.append(asyncio.create_task(cameras[len(_tasks)].run()))
        for i, camera in enumerate(cameras[: len(_tasks)]):
            while making and due[i] <= now:
                camera.make(due[i])
                due[i] += 1 / settings.rate
            camera.step(now)
        if now >= next_line:
            next_line += 1.0
            _say(cameras, counts)
        await asyncio.sleep(_TICK)


def _say(cameras: list[Camera], counts: Counts, final: bool = False) -> None:
    latencies, counts.latencies = counts.latencies, []
    said = Figures(
        asyncio.get_running_loop().time(), counts.connected, counts.connects,
        sum(camera.made for camera in cameras), counts.taken, sum(camera.waiting for camera in cameras), latencies,
        {camera.number: camera.made for camera in cameras} if final else {},
    )  # fmt: skip
    sys.stdout.buffer.write(msgspec.json.encode(said) + b"\n")
    sys.stdout.buffer.flush()


def main() -> None:
    """Runs until its input ends."""
    asyncio.run(_run(msgspec.json.decode(sys.stdin.buffer.readline(), type=Settings)))


if __name__ == "__main__":
    main()
