"""Which similarity in the contrastive loss? Five of them, on views that are turned or not."""

from __future__ import annotations

from functools import lru_cache

import torch

from eqssl_edu.contrastive import ContrastiveModel, GroupMLP, InfoNCE
from eqssl_edu.diagnostics import matched_temperature
from eqssl_edu.encoders import GroupCNN, count_parameters
from eqssl_edu.evaluation import extract, orbit_knn_accuracy, probe_orientations, recalibrated
from eqssl_edu.groups import cyclic
from eqssl_edu.views import RandomView
from experiments.pretraining import load, pretrain, seeded
from experiments.runs import Cell, Settings

__all__ = ["CELLS", "CONDITIONS", "GROUP", "METHODS", "changes", "matched", "run"]

GROUP = cyclic(4)
METHODS = ("plain", "mean", "max", "soft", "power3")
CONDITIONS = ("views turned", "views not turned")
CELLS = tuple(Cell(condition, method) for condition in CONDITIONS for method in METHODS)
CELLS += (Cell("no training", "random"),)
CHANNELS, DIMENSION, TEMPERATURE = (8, 16, 32), 32, 0.2
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
        numbers |= pretrain(model, images, settings.epochs, seed, batch_size=64, lr=3e-3)
    scores = probe_orientations(encoder, splits, GROUP, DIMENSION)
    numbers |= {f"probe_{key}": round(score, 5) for key, score in scores._asdict().items()}
    reference = extract(encoder, splits.train.images[:3000]), splits.train.labels[:3000]
    queries = extract(encoder, splits.test.images), splits.test.labels
    return numbers | {"orbit_knn": round(orbit_knn_accuracy(GROUP, reference, queries), 5)}
