"""Which similarity in the contrastive loss? Five of them, on views that are turned or not."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import torch

from eqssl_edu.contrastive import ContrastiveModel, InfoNCE
from eqssl_edu.diagnostics import matched_temperature
from eqssl_edu.encoders import GroupCNN, count_parameters
from eqssl_edu.evaluation import extract, orbit_knn_accuracy, recalibrated
from eqssl_edu.layers import GroupMLP
from eqssl_edu.views import RandomView
from experiments.figures import Intervals
from experiments.pages import alternative_text, write_page
from experiments.pretraining import CHANNELS, DIMENSION, GROUP, load, pretrain, probed, seeded
from experiments.results import Results
from experiments.runs import Cell, Experiment, Settings

__all__ = ["EXPERIMENT"]

METHODS = ("plain", "mean", "max", "soft", "power3")
CONDITIONS = ("views turned", "views not turned")
CELLS = tuple(Cell(condition, method) for condition in CONDITIONS for method in METHODS)
UNTRAINED = Cell("no training", "random")
CELLS += (UNTRAINED,)
TEMPERATURE = 0.2
MEASURES = {"probe_upright": "probe, pooled features", "orbit_knn": "nearest orbits"}
PAIRS = (
    *((method, "plain") for method in METHODS[1:]),
    *((method, "mean") for method in ("max", "soft", "power3")),
)
# What a view changes is forgotten: ground, contrast and exact position, but not the letter.
CHANGES = {
    "scale": 0.15,
    "shift": 0.08,
    "rotation": 10.0,
    "texture": 0.4,
    "inversion": 0.5,
    "contrast": 0.3,
    "noise": 0.05,
}
# Two letters share the 16 pixels, light on an even ground: little texture, and no inversion.
CHANGES_OF_PAIRS = CHANGES | {"texture": 0.1, "inversion": 0.0}
# In a photograph the ground is part of the picture: other parts of it, and other colours.
CHANGES_OF_PHOTOGRAPHS = {
    "crop": 0.4,
    "shift": 0.08,
    "rotation": 10.0,
    "contrast": 0.4,
    "colour": 0.3,
    "noise": 0.05,
}


@lru_cache(maxsize=8)
def matched(similarity: str) -> float:
    """The temperature that gives a similarity the contrast of the plain one at 0.2 on random features (C7)."""
    if similarity == "plain":
        return TEMPERATURE
    features = torch.randn(256, DIMENSION, GROUP.order, generator=torch.Generator().manual_seed(0))
    return round(matched_temperature(GROUP, features, similarity, TEMPERATURE), 3)


def changes(data: str) -> dict[str, float]:
    """How a view of such images may differ from another one, as arguments of ``RandomView``."""
    return {"cifar10": CHANGES_OF_PHOTOGRAPHS, "glyphs-pose-even": CHANGES_OF_PAIRS}.get(data, CHANGES)


def run(cell: Cell, seed: int, settings: Settings) -> dict:
    """One pretraining and its probes; "random" is the encoder before any training."""
    splits = load(settings.data)
    with seeded(seed):
        encoder = GroupCNN(GROUP, splits.train.images.shape[1], CHANNELS)
        projector = GroupMLP(GROUP, (CHANNELS[-1], 64, DIMENSION))
    numbers = {"parameters": count_parameters(encoder)}
    if cell.method == "random":
        encoder = recalibrated(encoder, splits.train.images[:1000])
    else:
        views = RandomView(GROUP if cell.condition == "views turned" else None, **changes(settings.data))
        loss = InfoNCE(GROUP, cell.method, matched(cell.method))
        model = ContrastiveModel(encoder, loss, views, projector)
        images = splits.train.images
        numbers |= {"temperature": matched(cell.method)}
        numbers |= pretrain(model, images, settings.epochs, seed)
    numbers |= probed(encoder, splits)
    reference = extract(encoder, splits.train.images[:3000]), splits.train.labels[:3000]
    queries = extract(encoder, splits.test.images), splits.test.labels
    return numbers | {"orbit_knn": round(orbit_knn_accuracy(GROUP, reference, queries), 5)}


def figure(results: Results) -> Intervals:
    """Probe accuracy of each similarity under both conditions."""
    floor = results.mean(UNTRAINED, "probe_upright").mean
    return Intervals(
        "InfoNCE by similarity",
        {c: {m: results.mean(Cell(c, m), "probe_upright") for m in METHODS} for c in CONDITIONS},
        {c: dict.fromkeys(METHODS, floor) for c in CONDITIONS},
        "probe accuracy (dotted: no training)",
    )


def page(results: Results) -> str:
    """The whole page, from the raw runs alone."""
    turned, upright = CONDITIONS
    between = [
        (label, c, method, other, results.difference(Cell(c, method), Cell(c, other), key))
        for key, label in MEASURES.items()
        for c in CONDITIONS
        for method, other in PAIRS
    ]
    trained = [
        (MEASURES[key], *cell, results.difference(cell, UNTRAINED, key))
        for key in MEASURES
        for cell in CELLS[:-1]
    ]
    by_turning = {
        key: {m: results.difference(Cell(turned, m), Cell(upright, m), key) for m in METHODS}
        for key in MEASURES
    }
    equal = [f"{k}, {c}: {m} and {o}" for k, c, m, o, d in between if not d.excludes_zero]
    equal += [f"{k}, {c}: {m} and no training" for k, c, m, d in trained if not d.excludes_zero]
    equal += [
        f"{MEASURES[key]}: {m} with turned views and without"
        for key, differences in by_turning.items()
        for m, d in differences.items()
        if not d.excludes_zero
    ]
    return write_page(
        "contrastive_similarities",
        results,
        cells=CELLS,
        untrained=UNTRAINED,
        measures=MEASURES,
        changes=changes(results.data),
        temperature=TEMPERATURE,
        by_turning=by_turning,
        above_plain={m: d for k, c, m, o, d in between[: len(METHODS) - 1]},
        between=between,
        trained=trained,
        poses=list(poses(results)) if results.data.startswith("glyphs-pose") else [],
        seen=alternative_text(figure(results).panels, lambda value: f"{100 * value.mean:.1f} %"),
        equal=equal,
    )


def poses(results: Results) -> Iterator[dict]:
    """What came of the hypothesis about relative poses: by measure, all that was to be compared."""
    turned, _ = CONDITIONS
    for key, label in MEASURES.items():
        wanted = [(turned, method, UNTRAINED) for method in METHODS]
        wanted += [(c, m, Cell(c, "mean")) for c in CONDITIONS for m in ("max", "soft", "power3")]
        yield {
            "label": label,
            "best": max((results.mean(cell, key) for cell in CELLS[:-1]), key=lambda value: value.mean),
            "untrained": results.mean(UNTRAINED, key),
            "differences": [
                (c, m, "no training" if o == UNTRAINED else "mean", results.difference(Cell(c, m), o, key))
                for c, m, o in wanted
            ],
        }


EXPERIMENT = Experiment(
    "contrastive",
    ("glyphs", "glyphs-pose", "glyphs-pose-even", "digits", "mnist", "rotated-mnist", "cifar10"),
    6,
    CELLS,
    run,
    page,
    figure,
)
