"""Rotation prediction: equivariant labels against naive heads and every control, and what is left downstream."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.data import Splits
from eqssl_edu.encoders import (
    GroupCNN,
    SymmetrizedEncoder,
    count_multiplications,
    count_parameters,
    matched_cnn,
)
from eqssl_edu.evaluation import recalibrated
from eqssl_edu.groups import random_elements
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import FreeHead, InvariantHead
from eqssl_edu.pretext import PretextModel, RotationTask
from eqssl_edu.theory import label_cap
from experiments.figures import Intervals
from experiments.pages import alternative_text, write_page
from experiments.pretraining import CHANNELS, GROUP, TurnedData, load, pretrain, probed, seeded
from experiments.results import Results
from experiments.runs import Cell, Experiment, Settings

__all__ = ["EXPERIMENT"]

METHODS = (
    "equivariant head",
    "invariant head",
    "free head",
    "CNN, equal parameters",
    "CNN, equal compute",
    "symmetrised CNN",
)
RANDOM = ("random C4 network", "random CNN, equal parameters", "random symmetrised CNN")
TURNED = ("equivariant head", "CNN, equal parameters")
CELLS = tuple(Cell("upright", method) for method in (*METHODS, *RANDOM))
CELLS += tuple(Cell("turned", method) for method in TURNED)
MEASURES = {
    "accuracy": "pretext",
    "probe_upright": "probe, pooled, upright",
    "probe_worst": "probe, pooled, worst orientation",
    "regular_upright": "probe, all features, upright",
}


def run(cell: Cell, seed: int, settings: Settings) -> dict:
    """One pretraining and its probe; a random network is only probed."""
    splits = load(settings.data)
    with seeded(seed):
        model = build(cell.method)
    numbers = {
        "parameters": count_parameters(model),
        "multiplications": count_multiplications(model, splits.test.images[:1]),
    }
    if cell.method in RANDOM:
        encoder = recalibrated(model.encoder, splits.train.images[:1000])
    else:
        trained = TurnedData(model, GROUP) if cell.condition == "turned" else model
        numbers |= pretrain(trained, splits.train.images, settings.epochs, seed)
        encoder = model.encoder
        loss, accuracy = model.evaluate(judged_images(splits, cell.condition))
        numbers |= {"loss": round(loss, 5), "accuracy": round(accuracy, 5)}
    return numbers | probed(encoder, splits) | probed(encoder, splits, "regular", pooled=False)


def judged_images(splits: Splits, condition: str) -> Float[Tensor, "count channel height width"]:
    """A thousand test images, as they are or each turned by a quarter turn of its own."""
    images = splits.test.images[:1000]
    if condition == "turned":
        images = GROUP.transform(images, random_elements(GROUP, images, torch.Generator().manual_seed(0)))
    return images


def build(method: str) -> PretextModel:
    """A network and its head; the controls are matched to the C4 network."""
    task, encoder = RotationTask(GROUP), GroupCNN(GROUP, 1, CHANNELS)
    if "symmetrised CNN" in method:
        # At equal parameters its four passes cost as much as the C4 network's one.
        return PretextModel(SymmetrizedEncoder(GROUP, matched_cnn(encoder)), task)
    if "CNN" in method:
        encoder = matched_cnn(encoder, by="flops" if method.endswith("compute") else "parameters")
        return PretextModel(encoder, task, FreeHead(task.labels, encoder.out_channels, 1))
    if method == "invariant head":
        return PretextModel(encoder, task, InvariantHead(task.labels, encoder.out_channels))
    if method == "free head":
        return PretextModel(encoder, task, FreeHead(task.labels, encoder.out_channels, GROUP.order))
    return PretextModel(encoder, task)


def limits(cell: Cell, oriented: bool) -> tuple[float, float]:
    """Smallest loss in nats and highest accuracy: an invariant head, or data without an orientation, know nothing."""
    blind = cell.method == "invariant head" or cell.condition == "turned" or not oriented
    floor = label_cap(GSet.regular(GROUP), tuple(GROUP.elements) if blind else (0,))
    return float(floor.nats), float(floor.accuracy)


def figure(results: Results) -> Intervals:
    """Pretext accuracy with caps, and the probes."""
    shown = {
        "pretext": "accuracy",
        "probe, pooled features": "probe_upright",
        "probe, worst orientation": "probe_worst",
    }
    cells = [Cell("upright", method) for method in METHODS]
    return Intervals(
        "Rotation prediction, upright images",
        {name: {cell.method: results.mean(cell, key) for cell in cells} for name, key in shown.items()},
        {"pretext": {cell.method: limits(cell, results.oriented)[1] for cell in cells}},
        "accuracy (dotted: cap)",
    )


def page(results: Results) -> str:
    """The whole page, from the raw runs alone."""
    reference = Cell("upright", METHODS[0])
    between = [
        (label, method, results.difference(Cell("upright", method), reference, key))
        for key, label in MEASURES.items()
        for method in METHODS[1:]
    ]
    controls = {
        reference: RANDOM[0],
        Cell("upright", "invariant head"): RANDOM[0],
        Cell("upright", "free head"): RANDOM[0],
        Cell("upright", "CNN, equal parameters"): RANDOM[1],
        Cell("upright", "symmetrised CNN"): RANDOM[2],
        Cell("turned", TURNED[0]): RANDOM[0],
        Cell("turned", TURNED[1]): RANDOM[1],
    }
    untrained = [
        (*cell, results.difference(cell, Cell("upright", control), "probe_upright"))
        for cell, control in controls.items()
    ]
    equal = [f"{label}: {method} and {METHODS[0]}" for label, method, d in between if not d.excludes_zero]
    equal += [f"probe against no training: {c}, {m}" for c, m, d in untrained if not d.excludes_zero]
    return write_page(
        "rotation_heads",
        results,
        cells=CELLS,
        limits={cell: limits(cell, results.oriented) for cell in CELLS if cell.method not in RANDOM},
        seen=alternative_text(figure(results).panels, lambda value: f"{100 * value.mean:.1f} %"),
        between=between,
        untrained=untrained,
        equal=equal,
    )


EXPERIMENT = Experiment(
    "rotation", ("glyphs", "digits", "mnist", "rotated-mnist"), 4, CELLS, run, page, figure
)
