"""What all experiments do alike: data by name, seeded models, one training, turned data."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.data import ImageSet, Splits, digits, glyphs, load_images, rotated
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.pretext import random_elements
from eqssl_edu.training import Pretrainer

__all__ = ["TurnedData", "load", "pretrain", "seeded"]

POINTS = 20  # of a stored learning curve


@lru_cache(maxsize=4)
def load(name: str) -> Splits:
    """The images of an experiment.

    Arguments:
        name: "digits"; "glyphs" (capitals) or "glyphs-pose" (relative poses of a pair of letters); "mnist" or
            "rotated-mnist" (from the folder ``mnist`` in the environment variable EQSSL_DATA, else from the hub).
    """
    if name == "digits":
        return digits(16)
    if name.startswith("glyphs"):
        kind = "pose" if name == "glyphs-pose" else "capitals"
        return glyphs(kind, counts=(4000, 1000, 1000), size=16)  # small: ten seeds have to end in an hour
    folder = os.environ.get("EQSSL_DATA")
    source = Path(folder, "mnist") if folder else "ylecun/mnist"
    train, test = load_images(source, "train", limit=12_000), load_images(source, "test")
    cut = len(train.images) * 5 // 6
    parts = [ImageSet(train.images[part], train.labels[part]) for part in (slice(cut), slice(cut, None))] + [
        test
    ]
    if name == "rotated-mnist":
        parts = [ImageSet(rotated(part.images, seed), part.labels) for seed, part in enumerate(parts)]
    return Splits(*parts)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Build a model with its own random numbers, whatever was drawn before; PyTorch's generator is put back."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


class TurnedData(nn.Module):
    """Trains a model on data that is invariant under a group: every image is turned anew at every step."""

    def __init__(self, model: nn.Module, group: FiniteGroup) -> None:
        super().__init__()
        self.model, self.group = model, group

    def training_step(
        self, images: Float[Tensor, "batch channel height width"], generator: torch.Generator
    ) -> dict[str, Tensor]:
        turned = self.group.transform(images, random_elements(self.group, images, generator))
        return self.model.training_step(turned, generator)


def pretrain(model: nn.Module, images: Tensor, epochs: int, seed: int, batch_size: int, lr: float) -> dict:
    """Train to the last step (which is the checkpoint that is judged); loss, accuracy, seconds, and the curve.

    All methods of one seed see the same batches in the same order and draw the same random numbers.
    """
    trainer = Pretrainer(model, images, epochs=epochs, batch_size=batch_size, lr=lr, seed=seed)
    for _ in trainer.steps():
        pass
    edges = [round(i * len(trainer.history) / POINTS) for i in range(POINTS + 1)]
    pieces = [trainer.history[a:b] for a, b in itertools.pairwise(edges) if b > a]
    means = {
        key: [sum(r[key] for r in piece) / len(piece) for piece in pieces] for key in ("loss", "accuracy")
    }
    return {
        "steps": trainer.total_steps,
        "train_loss": round(means["loss"][-1], 5),
        "train_accuracy": round(means["accuracy"][-1], 5),
        "curve": [round(value, 4) for value in means["loss"]],
        "seconds": round(trainer.seconds, 2),
    }
