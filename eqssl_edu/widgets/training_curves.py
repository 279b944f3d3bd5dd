"""What a training shows of itself: its curves, its readouts and its levels, as points and words of a front end."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any

__all__ = ["curve", "figures", "guides", "trail"]

POINTS_PER_CURVE = 120
POINTS_PER_TRAIL = 60


def curve(history: Sequence[Mapping[str, float]], expected: int) -> list[list[float | None]]:
    """The records of a run so far as points [step, loss, accuracy in % or None].

    Where more than ``POINTS_PER_CURVE`` records are ``expected`` from the whole run, a fixed number of them
    makes a point: their mean, at the step of the last one. So a thinned curve shows the run, not a choice of
    its noise, and a point, once it is complete, stays where it is.
    """
    size = max(1, -(-expected // POINTS_PER_CURVE))
    pieces = [history[start : start + size] for start in range(0, len(history), size)]

    def mean(piece: Sequence[Mapping[str, float]], name: str) -> float:
        return float(f"{sum(record[name] for record in piece) / len(piece):.5g}")

    def accuracy(piece: Sequence[Mapping[str, float]]) -> float | None:
        return round(100 * mean(piece, "accuracy"), 2) if "accuracy" in piece[0] else None

    return [[piece[-1]["step"], mean(piece, "loss"), accuracy(piece)] for piece in pieces]


def trail(readings: Sequence[Mapping[str, float]], name: str) -> list[list[float]]:
    """One readout of a run so far as points [step, value]: the finite ones, thinned evenly, the last one kept."""
    values = [(r["step"], r.get(name, math.nan)) for r in readings]
    points = [[step, float(f"{value:.5g}")] for step, value in values if math.isfinite(value)]
    stride = max(1, -(-len(points) // POINTS_PER_TRAIL))
    return points[(len(points) - 1) % stride :: stride]


def guides(models: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The horizontal lines of the accuracy chart: where guessing stands, and what a model cannot pass.

    One line for each value, [{"value": in %, "label": "chance 25 %"}]; a level that not all models share is
    labelled with the names of those that have it, or with their number if they are more than two.
    """
    levels: dict[float, list[str]] = {}
    for kind in ("chance", "cap"):
        of_kind: dict[float, list[str]] = {}
        for name, model in models.items():
            level = getattr(model, kind, None)  # of another kind of model it may be anything
            if isinstance(level, Real) and 0 <= level <= 1:
                of_kind.setdefault(round(100 * float(level), 1), []).append(name)
        for value, names in of_kind.items():
            those = ", ".join(names) if len(names) <= 2 else f"{len(names)} runs"
            whose = "" if len(names) == len(models) else f" of {those}"
            levels.setdefault(value, []).append(kind + whose)
    return [{"value": value, "label": f"{' = '.join(kinds)} {value:g} %"} for value, kinds in levels.items()]


def figures(value: float | None) -> str:
    """Three figures of a readout."""
    return "no value" if value is None else f"{value:.3g}"
