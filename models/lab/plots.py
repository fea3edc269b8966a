"""The plots of ``vidik lab``: the one place of the lab that imports matplotlib (extra ``lab``)."""

from __future__ import annotations

from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from edge.errors import VidikError
from models.lab.faces_eval import Detections
from models.lab.plate_metrics import Rate, by_width, confusions
from models.lab.plates_eval import Evaluation
from models.lab.verification import Reals, Verification


class PlotError(VidikError):
    """The plot cannot be made."""


def figure(columns: int) -> tuple[Any, Any]:
    """A figure with ``columns`` axes side by side. Raises ``PlotError`` without matplotlib."""
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415 - slow to import; an extra
    except ImportError as error:
        raise PlotError("Plots need matplotlib, which is not installed. Run: pip install 'vidik[lab]'.") from error
    made = Figure(figsize=(5.5 * columns, 4.5), layout="constrained")
    return made, np.atleast_1d(made.subplots(1, columns))


def save(made: Any, path: Path) -> None:
    """Writes the figure to ``path``. Raises ``PlotError``."""
    try:
        made.savefig(path, dpi=120)
    except (OSError, ValueError) as error:
        raise PlotError(f"The plot {path} cannot be written: {error}. Choose another file (.png).") from error


def plates(result: Evaluation, path: Path) -> None:
    """Recall and exact rate by width, reliability of the confidence, and the most frequent confusions."""
    made, axes = figure(3)
    rows = by_width(result.outcomes)
    for name, rates in {
        "found": [Rate(r.detected, r.boxes) for r in rows],
        "exact": [Rate(r.exact, r.readable) for r in rows],
        "refused": [Rate(r.refused, r.readable) for r in rows],
    }.items():
        _with_intervals(axes[0], [r.name for r in rows], rates, name)
    axes[0].set(xlabel="plate width, px", ylabel="share (95 % interval)", ylim=(-0.02, 1.02), title="By width")
    axes[0].legend()
    _reliability(axes[1], result)
    common = confusions(result.outcomes).most_common(15)
    axes[2].barh([f"{a or '-'} → {b or '-'}" for (a, b), _ in common][::-1], [n for _, n in common][::-1])
    axes[2].set(title="Confusions (true → read)", xlabel="characters")
    save(made, path)


def _with_intervals(axis: Any, names: list[str], rates: list[Rate], label: str) -> None:
    shown = [(i, r) for i, r in enumerate(rates) if r.value is not None]
    values = np.array([r.part / r.whole for _, r in shown])
    spread = np.array([r.interval for _, r in shown]).reshape(-1, 2).T
    axis.errorbar([i for i, _ in shown], values, yerr=np.abs(spread - values), marker="o", capsize=3, label=label)
    axis.set_xticks(range(len(names)), names, rotation=30)


def _reliability(axis: Any, result: Evaluation) -> None:
    axis.plot([0, 1], [0, 1], color="grey", linewidth=1)
    if result.confidences:
        sure, right = (np.array(v, float) for v in zip(*result.confidences, strict=True))
        edges = np.quantile(sure, np.linspace(0, 1, 9))
        bins = np.clip(np.searchsorted(edges, sure, side="right") - 1, 0, 7)
        used = [b for b in range(8) if (bins == b).any()]
        axis.plot([sure[bins == b].mean() for b in used], [right[bins == b].mean() for b in used], marker="o")
    axis.set(title="Reliability", xlabel="stated confidence", ylabel="share exactly right", ylim=(-0.02, 1.02))


def det(curves: dict[str, Verification], path: Path) -> None:
    """Detection error trade-off curves on normal-deviate axes (Martin et al., 1997)."""
    made, axes = figure(1)
    for name, figures in curves.items():
        inside = (figures.det > 0).all(axis=1) & (figures.det < 1).all(axis=1)
        points = figures.det[inside]
        axes[0].plot(_deviate(points[:, 0]), _deviate(points[:, 1]), label=f"{name}, AUC {figures.auc.value:.4f}")
    ticks = [0.0001, 0.001, 0.01, 0.05, 0.2, 0.5]
    places = _deviate(np.array(ticks))
    axes[0].set_xticks(places, [f"{100 * t:g} %" for t in ticks])
    axes[0].set_yticks(places, [f"{100 * t:g} %" for t in ticks])
    low, high = places[0] - 0.2, places[-1] + 0.2
    axes[0].set(xlabel="false match rate", ylabel="false non-match rate", xlim=(low, high), ylim=(low, high))
    axes[0].grid(alpha=0.4)
    axes[0].legend()
    save(made, path)


def _deviate(rates: Reals) -> Reals:
    return np.array([NormalDist().inv_cdf(float(r)) for r in rates])


def faces_by_height(found: Detections, path: Path) -> None:
    """Recall of face detection by face height."""
    made, axes = figure(1)
    rows = found.by_height()
    _with_intervals(axes[0], [name for name, _ in rows], [rate for _, rate in rows], "found")
    axes[0].set(xlabel="face height, px", ylabel="share found (95 % interval)", ylim=(-0.02, 1.02), title="Recall")
    save(made, path)
