"""The page of the experiment contrastive."""

from __future__ import annotations

from experiments.contrastive import CELLS, CONDITIONS, METHODS, TEMPERATURE, changes
from experiments.figures import Intervals
from experiments.pages import Results, percent, points, table, verdict
from experiments.runs import Cell

__all__ = ["figures", "page"]

MEASURES = {"probe_upright": "probe, pooled features", "orbit_knn": "nearest orbits"}
HEADER = (
    "views",
    "similarity",
    "temperature",
    "task",
    "probe, upright",
    "mean of 4 turns",
    "worst turn",
    "nearest orbits",
)
# Each set of relative poses, and what its page says of the other one.
GROUNDS = {
    "glyphs-pose": "The letters are 6 pixels high and stand on textures, where they are hard to read; [another "
    "page](contrastive-glyphs-pose-even.md) has them on an even ground.",
    "glyphs-pose-even": "The letters are 6 pixels high and stand on an even ground. This set and its number of epochs "
    "were chosen after the runs with [letters on textures](contrastive-glyphs-pose.md) had stayed near chance, and "
    "after a trial with one seed; the hypothesis is older than both.",
}
PAIRS = (
    *((method, "plain") for method in METHODS[1:]),
    ("max", "mean"),
    ("soft", "mean"),
    ("power3", "mean"),
)


def figures(raw: dict) -> dict[str, Intervals]:
    """Probe accuracy of each similarity under both conditions."""
    results = Results(raw, CELLS)
    panels = {c: {m: results.mean(Cell(c, m), "probe_upright") for m in METHODS} for c in CONDITIONS}
    floor = results.mean(CELLS[-1], "probe_upright").mean
    marks = {c: dict.fromkeys(METHODS, floor) for c in CONDITIONS}
    return {
        raw["name"]: Intervals("InfoNCE by similarity", panels, marks, "probe accuracy (dotted: no training)")
    }


def page(raw: dict) -> str:
    """The whole page, from the raw runs alone."""
    results = Results(raw, CELLS)
    rows = [
        [
            cell.condition,
            cell.method,
            f"{results.of(cell, 'temperature')[0]:.3f}" if cell != CELLS[-1] else "",
            percent(results.mean(cell, "train_accuracy")) if cell != CELLS[-1] else "",
            *(percent(results.mean(cell, f"probe_{key}")) for key in ("upright", "mean", "worst")),
            percent(results.mean(cell, "orbit_knn")),
        ]
        for cell in CELLS
    ]
    between = [
        (
            label,
            condition,
            method,
            other,
            results.difference(Cell(condition, method), Cell(condition, other), key),
        )
        for key, label in MEASURES.items()
        for condition in CONDITIONS
        for method, other in PAIRS
    ]
    turning = [
        (label, method, results.difference(*(Cell(condition, method) for condition in CONDITIONS), key))
        for key, label in MEASURES.items()
        for method in METHODS
    ]
    trained = [
        (label, condition, method, results.difference(Cell(condition, method), CELLS[-1], key))
        for key, label in MEASURES.items()
        for condition in CONDITIONS
        for method in METHODS
    ]
    equal = [f"{k}, {c}: {m} and {o}" for k, c, m, o, d in between if not d.excludes_zero]
    equal += [f"{k}, {c}: {m} and no training" for k, c, m, d in trained if not d.excludes_zero]
    equal += [f"{k}: {m} with turned views and without" for k, m, d in turning if not d.excludes_zero]
    seen = "; ".join(
        f"{condition}: " + ", ".join(f"{m} {100 * value.mean:.1f} %" for m, value in rows_.items())
        for condition, rows_ in figures(raw)[raw["name"]].panels.items()
    )
    viewed = ", ".join(f"{name} {size:g}" for name, size in changes(raw["settings"]["data"]).items())
    return f"""# Which similarity in the contrastive loss?

InfoNCE asks two views of one image to be more similar than views of two images. Plain similarity compares the
features as they are; if each view was turned by its own element, it asks for features that no turn changes. Four
others are symmetric in the orbit correlation and absorb the turns: mean (pooling first), max, soft (log-sum-exp) and
power3 (triple correlation). Does it matter for what is learned? (The library's power2, canonical and maxpool were not
run.)

A C4 network with an equivariant projector. Views: {
        viewed
    }; "turned": each view by its own quarter turn as well. Each
similarity has the temperature that gives it the contrast of the plain one at {
        TEMPERATURE
    } on random features; on
those the losses see equal gaps, on others they need not.

{
        results.setting()
    } Runs with turned and with unturned views share network and batches; their second views draw other
random numbers, since the elements of the first ones are drawn in between. ([raw runs](raw/{
        raw["name"]
    }.json))

{summary(results)}

## Results

"Task": how often the partner is the most similar view, at the end of training (turned or unturned views; not to be
compared between the two). A linear probe for the classes on 32 principal components of pooled features, trained on
upright images; and nearest neighbours in the metric of orbits, which see relative orientations too. Accuracies in %.
The pooled features of a C4 network do not change by a quarter turn, so a probe reads all orientations alike, up to
rounding.

{table(HEADER, rows)}

![Probe accuracy of five similarities, left with turned views, right without, dotted line: no training.
{seen}.]({raw["name"]}.svg)

## Differences

Between similarities, in percentage points:

{
        table(
            ["measure", "views", "similarity", "against", "difference", "verdict"],
            [[*names, points(d), verdict(d)] for *names, d in between],
        )
    }

Trained against the same network without any training:

{
        table(
            ["measure", "views", "similarity", "difference", "verdict"],
            [[*names, points(d), verdict(d)] for *names, d in trained],
        )
    }

Turned views against unturned ones:

{
        table(
            ["measure", "similarity", "difference", "verdict"],
            [[*names, points(d), verdict(d)] for *names, d in turning],
        )
    }

{poses(results) if raw["settings"]["data"] in GROUNDS else ""}## What does not separate

{chr(10).join(f"- {line}" for line in equal) if equal else "Every comparison above separates."}
"""


def summary(results: Results) -> str:
    """The two comparisons that the question is about, in two sentences."""
    turned, upright = CONDITIONS
    changed = {m: results.difference(Cell(turned, m), Cell(upright, m), "probe_upright") for m in METHODS}
    above = {
        m: results.difference(Cell(turned, m), Cell(turned, "plain"), "probe_upright") for m in METHODS[1:]
    }

    def listed(differences: dict) -> str:
        parts = (f"{m} {points(d)}{'' if d.excludes_zero else ' (*)'}" for m, d in differences.items())
        return ", ".join(parts)

    return (
        "**In short** (probe on pooled features, percentage points; (*): does not separate). "
        f"Turning the views changes: "
        f"{listed(changed)}. With turned views, against plain: {listed(above)}."
    )


def poses(results: Results) -> str:
    """What was expected of relative poses before the runs, and what came."""
    turned, untrained = CONDITIONS[0], CELLS[-1]
    cells = [Cell(condition, method) for condition in CONDITIONS for method in METHODS]
    lines = []
    for key, label in MEASURES.items():
        best = max((results.mean(cell, key) for cell in cells), key=lambda m: m.mean)
        lines.append(
            f"{label}: the best of all similarities {percent(best)} %, a network without training "
            f"{percent(results.mean(untrained, key))} %; chance is 25 %."
        )
        for method in METHODS:
            d = results.difference(Cell(turned, method), untrained, key)
            lines.append(f"{label}, {turned}: {method} against no training {points(d)}: {verdict(d)}.")
        for condition in CONDITIONS:
            for method in ("max", "soft", "power3"):
                d = results.difference(Cell(condition, method), Cell(condition, "mean"), key)
                lines.append(f"{label}, {condition}: {method} against mean {points(d)}: {verdict(d)}.")
    return f"""## The hypothesis about relative poses

The class of an image is the turn between its two letters. A turn of the whole picture does not change it. Expected
before the runs: mean pooling, which forgets how the channels stand to each other, loses here; max, soft and power3,
which turn whole feature vectors, do not. Pooling is part of the probe as well, so the nearest orbits are the fairer
measure. {GROUNDS[results.raw["settings"]["data"]]} What came:

{chr(10).join(f"- {line}" for line in lines)}

Read a difference next to the distance from no training: where nothing was learned, there is nothing that one of them
could have lost, and the hypothesis is neither confirmed nor refuted.

"""
