"""The page of the experiment jigsaw-actions."""

from __future__ import annotations

from eqssl_edu.gsets import GSet
from eqssl_edu.theory import inconsistency_floor
from experiments.figures import Curves
from experiments.jigsaw_actions import CELLS, CONDITIONS, GROUP, METHODS
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
from experiments.runs import Cell

__all__ = ["figures", "floor", "page"]


def floor(condition: str, method: str, data: str) -> tuple[float, float]:
    """Smallest loss in nats and highest accuracy that a network of this kind can reach on such data."""
    if method == "plain CNN":
        return 0.0, 1.0
    true, assumed = GSet.jigsaw(GROUP, 2, "conjugation"), GSet.jigsaw(GROUP, 2, method)
    symmetry = tuple(GROUP.elements) if condition == "turned" or not oriented(data) else (0,)
    nats, accuracy = inconsistency_floor(true, assumed, symmetry)
    return float(nats), float(accuracy)


def figures(raw: dict) -> dict[str, Curves]:
    """Training loss of each method under both conditions, with its floor."""
    results = Results(raw, CELLS)
    return {
        raw["name"]: Curves(
            "Jigsaw 2 x 2 on C4: training loss and its floor",
            {c: {m: results.curve(Cell(c, m)) for m in METHODS} for c in CONDITIONS},
            {c: {m: floor(c, m, raw["settings"]["data"])[0] for m in METHODS} for c in CONDITIONS},
            raw["settings"]["epochs"],
            "cross entropy (nats)",
        )
    }


def page(raw: dict) -> str:
    """The whole page, from the raw runs alone."""
    results, data = Results(raw, CELLS), raw["settings"]["data"]
    pretext = [
        [
            condition,
            method,
            percent(results.mean(cell, "accuracy")),
            f"{100 / 24:.1f}",
            f"{100 * floor(*cell, data)[1]:.1f}",
            number(results.mean(cell, "loss")),
            f"{floor(*cell, data)[0]:.3f}",
            number(results.mean(cell, "train_loss")),
        ]
        for condition in CONDITIONS
        for method in METHODS
        for cell in [Cell(condition, method)]
    ]
    differences = [
        (
            condition,
            method,
            other,
            results.difference(Cell(condition, method), Cell(condition, other), "accuracy"),
        )
        for condition in CONDITIONS
        for method, other in (
            ("left", "conjugation"),
            ("trivial", "conjugation"),
            ("plain CNN", "conjugation"),
            ("left", "plain CNN"),
            ("trivial", "plain CNN"),
        )
    ]
    probes = [
        [
            condition,
            method,
            *(percent(results.mean(cell, f"probe_{key}")) for key in ("upright", "mean", "worst")),
        ]
        for condition in CONDITIONS
        for method in (*METHODS, "random")
        for cell in [Cell(condition, method)]
    ]
    gains = [
        (c, m, results.difference(Cell(c, m), Cell(c, "random"), "probe_upright"))
        for c in CONDITIONS
        for m in METHODS
    ]
    order = {
        condition: sorted(METHODS, key=lambda m: -results.mean(Cell(condition, m), "accuracy").mean)
        for condition in CONDITIONS
    }
    compared = [
        (
            condition,
            method,
            results.difference(Cell(condition, method), Cell(condition, "conjugation"), "probe_upright"),
        )
        for condition in CONDITIONS
        for method in METHODS[1:]
    ]
    equal = [f"{c}: {m} and {o} (pretext)" for c, m, o, d in differences if not d.excludes_zero]
    equal += [f"{c}: {m} and conjugation (probe, upright)" for c, m, d in compared if not d.excludes_zero]
    equal += [f"{c}: {m} and no training (probe, upright)" for c, m, d in gains if not d.excludes_zero]
    curves = figures(raw)[raw["name"]].panels
    ends = "; ".join(
        f"{condition}: "
        + ", ".join(f"{method} {losses[-1]:.2f}" for method, losses in curves[condition].items())
        for condition in CONDITIONS
    )
    return f"""# Jigsaw labels: which action?

The tiles of a 2 x 2 jigsaw are permuted, and a network says by which of the 24 permutations. If the input is turned,
the right label moves by conjugation. A C4 network whose head assumes another action contradicts its own equivariance.
On upright images the left and the trivial action contradict nothing; on images without an orientation they do, and
theory gives the price: the floor of the loss. Does training obey it?

"Upright" are the images as they come. "Turned" are the same, each turned by its own random quarter turn at every step.{
        "" if oriented(data) else UNORIENTED
    }
Tiles have a gap and a jitter of one pixel. The plain CNN has as many parameters as the C4 network and a free head.

{results.setting()} ([raw runs](raw/{raw["name"]}.json))

## Pretext task

Test accuracy in % next to chance and to the highest accuracy that theory allows (cap); test loss in nats next to its
floor, and the training loss at the end. On a *finite* set of images a loss below the floor would mean memorised images.

{table(["images", "action", "accuracy", "chance", "cap", "test loss", "floor", "training loss"], pretext)}

![Training loss of four methods over the epochs, left panel upright images, right panel turned ones, dashed lines at
the floors. At the end: {ends}.]({raw["name"]}.svg)

The order of the methods is {", ".join(order["upright"])} on upright images and {
        ", ".join(order["turned"])
    } on turned
ones. Differences in accuracy, in percentage points:

{
        table(
            ["images", "method", "against", "difference", "verdict"],
            [[c, m, o, points(d), verdict(d)] for c, m, o, d in differences],
        )
    }

## Downstream

A linear probe for the classes on 32 principal components of the encoder's pooled features (whole images), trained on
upright images and tested in all four orientations; accuracy in %. "random" is the same C4 encoder before training, with
recalibrated batch norms. The plain CNN was given no turned images when "upright"; it has nothing to pool over.

{table(["images", "method", "upright", "mean of 4 turns", "worst turn"], probes)}

Differences on upright test images, in percentage points:

{
        table(
            ["images", "method", "against", "difference", "verdict"],
            [[c, m, "conjugation", points(d), verdict(d)] for c, m, d in compared]
            + [[c, m, "no training", points(d), verdict(d)] for c, m, d in gains],
        )
    }

## What does not separate

{chr(10).join(f"- {line}" for line in equal) if equal else "Every comparison above separates."}

A random encoder is the control for every probe: what does not beat it has learned nothing that the probe can read. A
CNN with equal compute and a symmetrised CNN are compared on the page about rotation only.
"""
