"""The runs of the campaign at real size that notebook 11 reads: ``python -m experiments benchmark``, tier cpu.

``campaign_runs.json`` beside this file holds what the raw runs say of the C4 network, one number a run and way to ask.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cache
from itertools import combinations, permutations
from pathlib import Path
from statistics import fmean

import torch
from scipy import stats

from eqssl_edu.errors import typed
from eqssl_edu.evaluation import interval, paired_interval
from eqssl_edu.exercises import check
from eqssl_edu.lessons.notebook_00 import Table
from eqssl_edu.plots import COLOURS
from eqssl_edu.widgets import ByHand

__all__ = [
    "WAYS",
    "by_hand",
    "card",
    "corrected",
    "dice_tables",
    "found",
    "headlines",
    "library_holm",
    "make_runs",
    "methods",
    "runs",
    "separate",
    "sides",
]

Correction = Callable[[list[float]], Sequence[float]]
TABLE = Path(__file__).with_suffix(".json")
WAYS = {
    "linear_1": "linear probe, 1 % of the labels",
    "linear_10": "linear probe, 10 % of the labels",
    "linear_100": "linear probe, all labels",
    "all_features": "linear probe of all features",
    "nearest": "nearest neighbours",
    "orbits": "nearest orbits",
}


@typed
def make_runs(folder: Path) -> None:
    """Write ``campaign_runs.json`` from the raw runs in a folder; of a data set only methods with all seeds."""
    kept: dict[str, dict[str, dict[str, list[float]]]] = {}
    every = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]
    [seeds] = {run["settings"]["seeds"] for run in every}
    for run in every:
        if run["network"] == "C4":
            measures = kept.setdefault(run["data"], {}).setdefault(run["method"], {})
            for key, value in run.items():
                if key.rpartition("_")[0] in WAYS or key == "pretext_accuracy":
                    measures.setdefault(key, []).append(value)
    for data, each in kept.items():
        kept[data] = {name: of for name, of in each.items() if len(of["nearest_upright"]) == seeds}
    lines = [
        f" {json.dumps(data)}: {{\n"
        + ",\n".join(f"  {json.dumps(name)}: {json.dumps(of)}" for name, of in each.items())
        + "\n }"
        for data, each in kept.items()
        if each
    ]
    TABLE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


@cache
def runs() -> dict[str, dict[str, dict[str, list[float]]]]:
    """Data set -> method -> measure -> one number for each pretraining seed, in the order of the seeds."""
    return json.loads(TABLE.read_text(encoding="utf-8"))


@typed
def methods(data: str = "rotated-mnist") -> list[str]:
    """Those with all seeds on a data set: pretext tasks, losses, and the two controls."""
    order = ("no training", "rotation", "jigsaw", "relative", "InfoNCE", "supervised")
    return sorted(
        runs()[data], key=lambda name: ([name.startswith(each) for each in order].index(True), name)
    )


@typed
def found(method: str, measure: str, data: str = "rotated-mnist") -> list[float]:
    """One number for each seed: "linear_100_upright", "orbits_worst", "pretext_accuracy", ..."""
    return runs()[data][method][measure]


# -- 11.2: a table and its raw runs ---------------------------------------------------------------------------------


@typed
def by_hand() -> ByHand:
    """The shipped runs of the campaign: a dot for each seed, the mean and its 95 % interval as a bar."""

    def draw(asked: str, data: str = "rotated-mnist") -> str:
        way = next(key for key, said in WAYS.items() if said == asked)
        every = {name: found(name, f"{way}_upright", data) for name in methods(data)}
        low, high = min(map(min, every.values())), max(map(max, every.values()))
        rows = [_dots(name, values, low, high) for name, values in every.items()]
        seeds = len(every["no training"])
        words = f"From {low:.1%} at the left to {high:.1%} at the right; {seeds} seeds each, bars are 95 % intervals."
        return card("".join(rows) + f'<div style="margin-top:6px">{words}</div>')

    more = {"data": list(runs())} if len(runs()) > 1 else {}
    return ByHand(draw, asked=list(WAYS.values()), **more)


def _dots(name: str, values: Sequence[float], low: float, high: float) -> str:
    """A line of the drawing: a name, dots over the interval of their mean, and the mean in words."""
    span, mean = (high - low) or 1.0, interval(values)

    def x(value: float) -> float:
        return 10 + 380 * min(max((value - low) / span, 0), 1)

    left, width = x(mean.low), max(1, x(mean.high) - x(mean.low))
    bar = f'<rect x="{left:.1f}" y="9" height="6" width="{width:.1f}" fill="#cccccc"/>'
    dots = "".join(
        f'<circle cx="{x(v):.1f}" cy="12" r="4" fill="{COLOURS[0]}" fill-opacity="0.6"/>' for v in values
    )
    tick = f'<rect x="{x(mean.mean) - 1:.1f}" y="3" width="2" height="18" fill="#1a1a1a"/>'
    drawn = f'<svg aria-hidden="true" width="400" height="24" viewBox="0 0 400 24">{bar}{dots}{tick}</svg>'
    return (
        f'<div style="display:flex;gap:10px;line-height:24px"><span style="width:235px">{name}</span>{drawn}'
        f"<span><b>{mean.mean:.1%}</b> [{mean.low:.1%}, {mean.high:.1%}]</span></div>"
    )


def card(inner: str) -> str:
    return f'<div style="background:white;color:#1a1a1a;padding:6px">{inner}</div>'


@typed
def library_holm(p: Sequence[float]) -> list[float]:
    """The same as ``holm``: the chance of any false "separates" among all of these is at most the level.

    References:
        Holm, A simple sequentially rejective multiple test procedure (1979).
    """
    corrected, largest = [0.0] * len(p), 0.0
    for rank, place in enumerate(sorted(range(len(p)), key=p.__getitem__)):
        largest = max(largest, min(1.0, (len(p) - rank) * p[place]))
        corrected[place] = largest
    return corrected


@typed
def separate(holm: Correction, data: str = "rotated-mnist") -> Table:
    """All pairs of methods in the shipped runs, asked in each way: how many differences have p below 5 %.

    Arguments:
        holm: yours; as long as the check does not accept it, the library's.
        data: on which images.
    """
    below = {"p below 5 %": list, "corrected p below 5 %": holm if check("11.holm", holm) else library_holm}
    rows = {}
    for way, said in WAYS.items():
        p = {name: corrected(correct, way, data).values() for name, correct in below.items()}
        rows[said] = {"pairs": len(p["p below 5 %"])} | {
            name: sum(v < 0.05 for v in of) for name, of in p.items()
        }
    return Table(
        rows, "Pairs of methods, seed by seed", dict.fromkeys(next(iter(rows.values())), "{:.0f}".format)
    )


@typed
def corrected(holm: Correction, way: str, data: str = "rotated-mnist") -> dict[tuple[str, str], float]:
    """The corrected p of each pair of methods, asked in one of ``WAYS``."""
    pairs = list(combinations(methods(data), 2))
    values = [[found(name, f"{way}_upright", data) for name in pair] for pair in pairs]
    p = [float(stats.ttest_rel(*pair).pvalue) for pair in values]
    return dict(zip(pairs, map(float, holm(p)), strict=True))


@typed
def dice_tables(holm: Correction, seed: int, count: int = 400) -> Table:
    """Tables that dice have filled, ten methods with five seeds: in how many of them something has p below 5 %.

    Arguments:
        holm: yours; as long as the check does not accept it, the library's.
        seed: of the dice.
        count: of the tables.
    """
    correct = holm if check("11.holm", holm) else library_holm
    draws = torch.randn(count, 10, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    first, second = zip(*combinations(range(10), 2), strict=True)
    p = stats.ttest_rel(draws[:, list(first)], draws[:, list(second)], axis=2).pvalue.tolist()
    below = {"p below 5 %": p, "corrected p below 5 %": [correct(list(each)) for each in p]}
    row = {name: fmean(float(min(each)) < 0.05 for each in of) for name, of in below.items()}
    return Table({"something separates": row}, f"In {count} tables in which nothing is true")


# -- 11.3: headlines ------------------------------------------------------------------------------------------------


@typed
def sides(data: str = "rotated-mnist") -> dict[tuple[str, str], list[tuple[float, str, int]]]:
    """For each ordered pair of methods without labels: (points ahead, way to ask, seed) wherever the first is ahead."""
    ahead: dict[tuple[str, str], list[tuple[float, str, int]]] = {}
    for pair in permutations((name for name in methods(data) if name != "supervised"), 2):
        for way, said in WAYS.items():
            values = zip(*(found(name, f"{way}_upright", data) for name in pair), strict=True)
            won = [(100 * (x - y), said, seed) for seed, (x, y) in enumerate(values) if x > y]
            ahead[pair] = sorted(ahead.get(pair, []) + won, reverse=True)
    return ahead


@typed
def headlines(data: str = "rotated-mnist") -> ByHand:
    """Who shall win, and against whom? A true headline from the shipped runs, and what it leaves out."""
    known, ahead = [name for name in methods(data) if name != "supervised"], sides(data)
    count = len(WAYS) * len(found(known[0], "nearest_upright", data))

    def draw(winner: str, loser: str) -> str:
        if winner == loser:
            return card("Choose two.")
        there = ahead[winner, loser]
        best = "There is no such headline."
        if there:
            points, asked, seed = there[0]
            best = (
                f'<b style="font-size:20px">“{winner} beats {loser} by {points:.1f} points”</b><br>'
                f"({asked}, pretraining seed {seed})"
            )
        fair = "".join(
            f"<tr><td>{said}</td><td>{_difference(winner, loser, way, data)}</td></tr>"
            for way, said in WAYS.items()
        )
        return card(
            f"<p>{best}</p><p>It is ahead in <b>{len(there)} of {count}</b> comparisons of one seed, asked in one way. "
            f"All seeds, in points, with 95 % intervals:</p><table>{fair}</table>"
        )

    return ByHand(draw, winner=known, loser=known, start={"loser": known[1]})


def _difference(winner: str, loser: str, way: str, data: str) -> str:
    mean = paired_interval(*(found(name, f"{way}_upright", data) for name in (winner, loser)))
    return f"{100 * mean.mean:+.1f} [{100 * mean.low:+.1f}, {100 * mean.high:+.1f}]"
