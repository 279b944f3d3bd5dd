"""What all experiments do alike: data by name, seeded models, one training, turned data, one probe."""

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
from eqssl_edu.evaluation import probe_orientations
from eqssl_edu.groups import FiniteGroup, cyclic, random_elements
from eqssl_edu.training import Pretrainer

__all__ = ["CHANNELS", "DIMENSION", "GROUP", "TurnedData", "load", "pretrain", "probed", "seeded"]

GROUP, CHANNELS = cyclic(4), (8, 16, 32)  # of the network that most of them train
DIMENSION = 32  # of what a probe reads, whatever the network

POINTS = 20  # of a stored learning curve
SIDE = 16  # pixels
HUB = {"mnist": "ylecun/mnist", "cifar10": "uoft-cs/cifar10"}


@lru_cache(maxsize=4)
def load(name: str) -> Splits:
    """The images of an experiment.

    Arguments:
        name: "digits"; "glyphs" (capitals), "glyphs-pose" (relative poses of a pair of letters) or "glyphs-pose-even"
            (the same without textures); "mnist", "rotated-mnist" or "cifar10" (from the folders ``mnist`` and
            ``cifar10`` in the environment variable EQSSL_DATA, else from the hub). All are 16 x 16 pixels: ten seeds
            have to end in an hour on one core.
    """
    if name == "digits":
        return digits(SIDE)
    if name.startswith("glyphs"):
        kind = "pose" if "pose" in name else "capitals"
        return glyphs(kind, counts=(4000, 1000, 1000), size=SIDE, textured=not name.endswith("even"))
    folder, kind = os.environ.get("EQSSL_DATA"), "cifar10" if name == "cifar10" else "mnist"
    source = Path(folder, kind) if folder else HUB[kind]
    limits = {"train": 5000, "test": 2000}
    known, test = (load_images(source, split, SIDE, limit) for split, limit in limits.items())
    cut = len(known.images) * 4 // 5
    parts = [ImageSet(known.images[part], known.labels[part]) for part in (slice(cut), slice(cut, None))]
    parts.append(test)
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


def probed(encoder: nn.Module, splits: Splits, name: str = "probe", pooled: bool = True) -> dict:
    """Accuracies of a linear probe on the test images: upright, and mean and worst over the four orientations."""
    scores = probe_orientations(encoder, splits, GROUP, DIMENSION, pooled)
    return {f"{name}_{key}": round(score, 5) for key, score in scores._asdict().items()}


def pretrain(model: nn.Module, images: Tensor, epochs: int, seed: int) -> dict:
    """Train to the last step (which is the checkpoint that is judged); loss, accuracy, seconds, and the curve.

    All methods of one seed see the same batches in the same order and draw the same random numbers.
    """
    trainer = Pretrainer(model, images, epochs=epochs, batch_size=64, lr=3e-3, seed=seed)
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
