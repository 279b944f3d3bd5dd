"""The page of the experiment rotation."""

from __future__ import annotations

from eqssl_edu.gsets import GSet
from eqssl_edu.theory import label_cap
from experiments.figures import Intervals
from experiments.pages import (
    UNORIENTED,
    Results,
    number,
    oriented,
    percent,
    points,
    table,
    verdict,
)
from experiments.rotation import CELLS, GROUP, METHODS, RANDOM, TURNED
from experiments.runs import Cell

__all__ = ["figures", "limits", "page"]


def limits(cell: Cell, data: str) -> tuple[float, float]:
    """Smallest loss in nats and highest accuracy: an invariant head, or data without an orientation, know nothing."""
    blind = cell.method == "invariant head" or cell.condition == "turned" or not oriented(data)
    floor = label_cap(GSet.regular(GROUP), tuple(GROUP.elements) if blind else (0,))
    return float(floor.nats), float(floor.accuracy)


def figures(raw: dict) -> dict[str, Intervals]:
    """Pretext accuracy with caps, and the probes."""
    results, pretext = Results(raw, CELLS), [Cell("upright", method) for method in METHODS]
    panels = {
        "pretext": {cell.method: results.mean(cell, "accuracy") for cell in pretext},
        "probe, pooled features": {cell.method: results.mean(cell, "probe_upright") for cell in pretext},
        "probe, worst orientation": {cell.method: results.mean(cell, "probe_worst") for cell in pretext},
    }
    marks = {"pretext": {cell.method: limits(cell, raw["settings"]["data"])[1] for cell in pretext}}
    return {
        raw["name"]: Intervals("Rotation prediction, upright images", panels, marks, "accuracy (dotted: cap)")
    }


def page(raw: dict) -> str:
    """The whole page, from the raw runs alone."""
    results, data = Results(raw, CELLS), raw["settings"]["data"]
    trained = [cell for cell in CELLS if cell.method not in RANDOM]
    pretext = [
        [
            cell.condition,
            cell.method,
            f"{results.of(cell, 'parameters')[0]:,}",
            f"{results.of(cell, 'multiplications')[0] / 1e6:.2f} M",
            percent(results.mean(cell, "accuracy")),
            "25.0",
            f"{100 * limits(cell, data)[1]:.1f}",
            number(results.mean(cell, "loss")),
            f"{limits(cell, data)[0]:.3f}",
        ]
        for cell in trained
    ]
    reference = Cell("upright", METHODS[0])
    others = [Cell("upright", method) for method in METHODS[1:]]
    keys = {
        "accuracy": "pretext",
        "probe_upright": "probe, pooled, upright",
        "probe_worst": "probe, pooled, worst orientation",
        "regular_upright": "probe, all features, upright",
    }
    differences = [
        (label, cell.method, results.difference(cell, reference, key))
        for key, label in keys.items()
        for cell in others
    ]
    probes = [
        [
            cell.condition,
            cell.method,
            *(percent(results.mean(cell, f"probe_{key}")) for key in ("upright", "mean", "worst")),
            percent(results.mean(cell, "regular_upright")),
        ]
        for cell in CELLS
    ]
    untrained = [
        (cell.condition, cell.method, results.difference(cell, Cell("upright", control), "probe_upright"))
        for cell, control in (
            (reference, RANDOM[0]),
            (Cell("upright", "invariant head"), RANDOM[0]),
            (Cell("upright", "free head"), RANDOM[0]),
            (Cell("upright", "CNN, equal parameters"), RANDOM[1]),
            (Cell("upright", "symmetrised CNN"), RANDOM[2]),
            (Cell("turned", TURNED[0]), RANDOM[0]),
            (Cell("turned", TURNED[1]), RANDOM[1]),
        )
    ]
    equal = [f"{label}: {method} and {METHODS[0]}" for label, method, d in differences if not d.excludes_zero]
    equal += [f"probe against no training: {c}, {m}" for c, m, d in untrained if not d.excludes_zero]
    drawn = figures(raw)[raw["name"]].panels
    seen = "; ".join(
        f"{panel}: " + ", ".join(f"{method} {100 * value.mean:.1f} %" for method, value in rows.items())
        for panel, rows in drawn.items()
    )
    return f"""# Rotation prediction

By how many quarter turns was the image turned? A C4 network with equivariant labels, the same network with naive heads,
and the controls that might do as well: plain CNNs with as many parameters and with as much compute, and the
*symmetrised* CNN (a plain CNN on the four turned copies), which is an equivariant network too and here costs as much as
the C4 network. "Upright": images as they come. "Turned": each image was turned at random before the task turned it, so
that nothing is left to find out.{"" if oriented(data) else UNORIENTED}

{results.setting()} ([raw runs](raw/{raw["name"]}.json))

## Pretext task

Accuracy in % on all four copies of test images, next to chance and to the highest that theory allows (cap); loss in
nats next to its floor; multiplications of one image. (Each "turned" test image was turned once, by a draw that is the
same for all networks. So an accuracy there may lie a little above the cap, by the luck of that draw.)

{table(["images", "network", "parameters", "cost", "accuracy", "chance", "cap", "loss", "floor"], pretext)}

![Three panels with one row for each of six networks, means and intervals. {seen}.]({raw["name"]}.svg)

## Downstream

A linear probe for the classes on 32 principal components, trained on upright images; accuracy in %. "Pooled" features
do not change when the picture is turned (a plain CNN has nothing to pool over); "all features" keep the group axis.

{table(["images", "network", "pooled, upright", "mean of 4 turns", "worst turn", "all features, upright"], probes)}

## Differences

Against the equivariant head, upright images, in percentage points:

{table(["measure", "network", "difference", "verdict"], [[k, m, points(d), verdict(d)] for k, m, d in differences])}

Against the same network without training (probe on pooled features, upright):

{table(["images", "network", "difference", "verdict"], [[c, m, points(d), verdict(d)] for c, m, d in untrained])}

## What does not separate

{chr(10).join(f"- {line}" for line in equal) if equal else "Every comparison above separates."}
"""
