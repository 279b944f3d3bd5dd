"""The page of the experiment free-orbit."""

from __future__ import annotations

from experiments.figures import Intervals
from experiments.free_orbit import BATCH, CELLS, GROUPS, METHODS
from experiments.pages import Results, number, table
from experiments.runs import Cell

__all__ = ["figures", "page"]


def figures(raw: dict) -> dict[str, Intervals]:
    """How many times faster a step with one copy is."""
    results = Results(raw, CELLS)
    return {
        raw["name"]: Intervals(
            "One copy of each image instead of all",
            {name: {m: results.mean(Cell(name, m), "speedup") for m in METHODS} for name in GROUPS},
            {name: dict.fromkeys(METHODS, float(group.order)) for name, group in GROUPS.items()},
            "times faster (dotted: |G|)",
        )
    }


def page(raw: dict) -> str:
    """The whole page, from the raw runs alone."""
    results = Results(raw, CELLS)
    rows = [
        [
            cell.condition,
            cell.method,
            *(f"{max(results.of(cell, f'{key}_difference')):.1e}" for key in ("loss", "gradient", "path")),
            number(results.mean(cell, "speedup"), 2),
            str(GROUPS[cell.condition].order),
        ]
        for cell in CELLS
    ]
    worst = max(max(results.of(Cell(g, METHODS[0]), "gradient_difference")) for g in GROUPS)
    least = min(min(results.of(Cell(g, METHODS[1]), "gradient_difference")) for g in GROUPS)
    speed = "; ".join(
        f"{name}, {m}: {results.mean(Cell(name, m), 'speedup').mean:.2f}" for name in GROUPS for m in METHODS
    )
    steps = 512 // BATCH * raw["settings"]["epochs"]
    return f"""# The orbit is free

Rotation prediction is usually trained on all |G| turned copies of each image. For an equivariant network with
equivariant labels the loss of every copy is the same number, and so is its gradient: one copy of each image, turned by
any element, gives the same step. (Batch norms take their statistics over batch *and* group, so this holds in training
mode.) For a plain CNN it does not hold.

Each run takes a new network and {BATCH} images, and compares the step with one random copy of each to the step with
every copy, in float64. "Path": both go on from one start by {steps} plain gradient steps, with new images each; the
distance of their weights at the end is given relative to the way they went. "Times faster" is measured in float32,
forward and backward, in pairs; the ratio scatters with whatever else the machine does, so read it as "about |G|".

{results.setting()} ([raw runs](raw/{raw["name"]}.json))

Largest difference over all seeds, and mean speed-up with its interval:

{table(["group", "network", "loss (nats)", "gradient, relative", "path, relative", "times faster", "copies"], rows)}

![How many times faster a step with one copy is than a step with all, by group and network, with a dotted line at the
number of copies. {speed}.]({raw["name"]}.svg)

The gradient of the equivariant network differs by at most {worst:.0e}, which is rounding; that of the plain CNN by at
least {least:.2f} of its length. So the copies are work without effect for the first and more data for the second:
rotation augmentation does exactly nothing to an equivariant network with equivariant labels.
"""
