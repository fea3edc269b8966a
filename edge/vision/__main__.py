"""The vision process: ``python -m edge.vision --config camera.toml``. It opens no network connection."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import sys
import time
from pathlib import Path

from edge import config, systemd
from edge.clock import SystemClock
from edge.errors import VidikError
from edge.secrecy import dump_no_core
from edge.vision import build, health
from edge.vision.pipeline import Pipeline

_FINISH = 60.0  # seconds to wait for the uplink when the footage has ended
_STOP = 0.8  # and when told to stop: all has to be over in two

log = logging.getLogger("edge.vision")


def main() -> int:
    """Runs until the source ends or SIGTERM; prints a summary as one JSON line. 0 when all was handed over."""
    parser = argparse.ArgumentParser(prog="python -m edge.vision", description="The vision process of a camera.")
    parser.add_argument("--config", type=Path, required=True, help="the camera's TOML file")
    given = parser.parse_args()
    systemd.log_to_journal("vidik-vision")
    dump_no_core()
    try:
        assembly = build.assemble(config.load(given.config, config.Vision), SystemClock(), given.config)
        assembly.health.start()
        try:
            return run(assembly.pipeline)
        finally:
            assembly.close()
    except VidikError as error:
        print(error, file=sys.stderr)
        systemd.notify(f"STATUS={error}")
        health.put(config.notices_of(given.config) / health.FILE, last_words(error))
        return 2


def last_words(error: VidikError) -> dict[str, object]:
    """The health of a camera that cannot run, and why."""
    return {"time": round(time.time(), 1), "state": "failing", "causes": [str(error)]}


def run(pipeline: Pipeline) -> int:
    """Runs ``pipeline`` to its end and reports what became of everything it saw."""
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True
        pipeline.camera.close()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    log.info("running")
    try:
        pipeline.run()
    finally:
        pipeline.camera.close()
        left = pipeline.sender.drain(_STOP if stopped else _FINISH)
        pipeline.sender.close()
        print(json.dumps(summary(pipeline, left)), flush=True)
    if left:
        log.error("%d reports could not be handed over: is the uplink running?", left)
    return 1 if left else 0


def summary(pipeline: Pipeline, left: int = 0) -> dict[str, object]:
    """The counters of a run: frames, tracks seen, reported by kind, discarded by reason, not handed over."""
    return {
        "frames": pipeline.camera.delivered,
        "skipped": {reason.value: count for reason, count in pipeline.camera.skipped.items()},
        "tracks": pipeline.tracker.count,
        "reported": {kind.value: count for kind, count in pipeline.gate.reported.items()},
        "discarded": {reason.value: count for reason, count in pipeline.gate.discarded.items()},
        "dropped": pipeline.sender.dropped,
        "not_handed_over": left,
    }


if __name__ == "__main__":
    sys.exit(main())
