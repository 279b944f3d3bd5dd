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
from eqssl_edu.evaluation import probe_orientations, recalibrated
from eqssl_edu.groups import cyclic, random_elements
from eqssl_edu.layers import FreeHead, InvariantHead
from eqssl_edu.pretext import PretextModel, RotationTask
from experiments.pretraining import TurnedData, load, pretrain, seeded
from experiments.runs import Cell, Settings

__all__ = ["CELLS", "GROUP", "METHODS", "RANDOM", "TURNED", "run"]

GROUP = cyclic(4)
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
CHANNELS, DIMENSION = (8, 16, 32), 32


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
        numbers |= pretrain(trained, splits.train.images, settings.epochs, seed, batch_size=64, lr=3e-3)
        encoder = model.encoder
        loss, accuracy = model.evaluate(judged_images(splits, cell.condition))
        numbers |= {"loss": round(loss, 5), "accuracy": round(accuracy, 5)}
    for name, pooled in (("probe", True), ("regular", False)):
        scores = probe_orientations(encoder, splits, GROUP, DIMENSION, pooled)
        numbers |= {f"{name}_{key}": round(score, 5) for key, score in scores._asdict().items()}
    return numbers


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
