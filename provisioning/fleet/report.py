"""What a run of the fleet came to: figures, tables and the plot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from models.lab import plots
from provisioning.fleet.run import Result, Sample

_MIB = 1 << 20


def figures(result: Result) -> dict[str, Any]:
    """The run in numbers: rates in reports a second, times in seconds, memory in MiB, CPU in cores."""
    marks = result.marks
    steady = _between(result, "all connected", "broker ends") + _between(result, "drained", "no further reports")
    storm = _between(result, "broker is back", "all connected again")
    drain = _between(result, "broker is back", "drained")
    broker_memory = max((sample.memory for sample in result.samples), default=0)
    return {
        "plan": asdict(result.plan),
        "made": result.made,
        "lost": result.lost,
        "duplicates": result.duplicates,
        "connections": result.connects,
        "seconds to connect all": round(marks["all connected"], 1),
        "seconds to reconnect all": round(marks["all connected again"] - marks["broker is back"], 1),
        "seconds from its return to no backlog": round(marks["drained"] - marks["broker is back"], 1),
        "most reports waiting": max((sample.waiting for sample in result.samples), default=0),
        "steady: made a second": _rate(steady, lambda sample: sample.made),
        "steady: taken by the broker a second": _rate(steady, lambda sample: sample.taken),
        "most taken by the broker in a second": _peak(drain),
        "steady: broker's answer, ms, p50/p95/p99": _percentiles([x for sample in steady for x in sample.answers]),
        "steady: making to arrival, ms, p50/p95/p99": _percentiles([x for sample in steady for x in sample.arrivals]),
        "steady: broker's CPU": round(float(np.mean([sample.cpu for sample in steady])), 2) if steady else None,
        "reconnecting: broker's CPU at most": round(max((sample.cpu for sample in storm), default=0.0), 2),
        "broker's memory at most": round(broker_memory / _MIB),
    }


def plot(result: Result, path: Path) -> None:
    """Writes the course of the run to the PNG ``path``. Raises ``PlotError``."""
    made, axes = plots.figure(3)
    samples = result.samples
    times = np.array([sample.time for sample in samples])
    steps = np.maximum(np.diff(times), 1e-3)

    def rate(value: Callable[[Sample], int]) -> Any:
        return np.diff([value(sample) for sample in samples]) / steps

    flow, latency, load = axes
    flow.plot(times[1:], rate(lambda sample: sample.made), label="made", color="grey")
    flow.plot(times[1:], rate(lambda sample: sample.taken), label="taken by the broker")
    flow.plot(times[1:], rate(lambda sample: sample.arrived), label="arrived, first time")
    flow.set_ylabel("reports a second")
    backlog = flow.twinx()
    backlog.fill_between(times, [sample.waiting for sample in samples], color="tab:red", alpha=0.15)
    backlog.set_ylabel("reports waiting at the cameras (red area)")
    flow.legend(loc="upper left")
    for share, style in ((50, "-"), (99, ":")):
        for values, name, colour in ((_answers, "broker's answer", "tab:blue"), (_arrivals, "to arrival", "tab:green")):
            line = [np.percentile(values(sample), share) * 1000 if values(sample) else np.nan for sample in samples]
            latency.plot(times, line, style, color=colour, label=f"{name}, p{share}")
    latency.set_yscale("log")
    latency.set_ylabel("milliseconds")
    latency.legend()
    load.plot(times, [sample.connected for sample in samples], color="tab:purple", label="cameras connected")
    load.set_ylabel("cameras connected")
    cores = load.twinx()
    cores.plot(times, [sample.cpu for sample in samples], color="tab:orange")
    cores.set_ylabel("broker's CPU, cores (orange)")
    for axis in axes:
        axis.set_xlabel("seconds")
        axis.axvspan(result.marks["broker ends"], result.marks["broker is back"], color="black", alpha=0.1)
        axis.grid(alpha=0.3)
    plan = result.plan
    made.suptitle(
        f"{plan.cameras:,} cameras, {plan.rate:,.0f} reports a second, the broker gone for {plan.outage:.0f} s: "
        f"{result.made:,} made, {result.lost:,} lost, {result.duplicates:,} duplicates"
    )
    plots.save(made, path)


def _answers(sample: Sample) -> Sequence[float]:
    return sample.answers


def _arrivals(sample: Sample) -> Sequence[float]:
    return sample.arrivals


def _between(result: Result, begin: str, end: str) -> list[Sample]:
    return [sample for sample in result.samples if result.marks[begin] <= sample.time <= result.marks[end]]


def _rate(samples: list[Sample], value: Callable[[Sample], int]) -> float | None:
    """Mean rate over neighbouring samples; the two stretches of steady load are not joined."""
    pairs = [(a, b) for a, b in pairwise(samples) if b.time - a.time < 5]
    seconds = sum(b.time - a.time for a, b in pairs)
    return round(sum(value(b) - value(a) for a, b in pairs) / seconds, 1) if pairs else None


def _peak(samples: list[Sample]) -> int:
    pairs = pairwise(samples)
    return round(max(((b.taken - a.taken) / (b.time - a.time) for a, b in pairs), default=0.0))


def _percentiles(seconds: list[float]) -> list[float] | None:
    return [round(float(value) * 1000, 1) for value in np.percentile(seconds, [50, 95, 99])] if seconds else None
