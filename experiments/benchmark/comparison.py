"""What comes first on a GPU: does it compute what the CPU computes, and can a step be recorded?"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from eqssl_edu.training import Pretrainer
from experiments.benchmark.models import build
from experiments.benchmark.plan import METHODS, Run, Tier, arms
from experiments.benchmark.recorded import WARM, Recorded
from experiments.pretraining import seeded

__all__ = ["MOST", "Errors", "compare", "recording_fits"]

MOST = 1e-4  # of a relative error in single precision
SMALL = Tier("small", 1, 1, 8, {}, 8, (), 16, ("C4", "plain", "symmetrised", "D4"), ("cifar10", "mnist"))
SIDES = {"mnist": (1, 28), "cifar10": (3, 32)}


class Errors(NamedTuple):
    """Relative errors of one arm: of features, loss, and all gradients together."""

    arm: str
    features: float
    loss: float
    gradients: float

    def __str__(self) -> str:
        return (
            f"{self.arm}: features {self.features:.0e}, loss {self.loss:.0e}, gradients {self.gradients:.0e}"
        )


class Smooth(TorchFunctionMode):
    """A block in which a ReLU has no kink: one pixel that rounding lifts over it changes a gradient by 1e-3."""

    def __torch_function__(self, function, _types, arguments=(), options=None):
        if function in (torch.relu, F.relu):
            return F.softplus(arguments[0])
        return function(*arguments, **(options or {}))


def models(tier: Tier, networks: tuple[str, ...]) -> Iterator[tuple[Run, nn.Module, Tensor]]:
    """Every arm that trains, small, with a batch of images for it; of digits the C4 network's alone."""
    for data, network, method in arms(tier):
        if method != METHODS[0] and network in (networks if data == tier.data[0] else networks[:1]):
            channels, side = SIDES[data]
            shape = tier.batch, channels + (method == "supervised"), side, side
            images = torch.rand(shape, generator=torch.Generator().manual_seed(0))
            if method == "supervised":
                images[:, -1] = torch.arange(tier.batch)[:, None, None] % 10 / 255
            run = Run(data, network, method, 0)
            with seeded(0):
                yield run, build(run, tier, channels), images


def compare(device: torch.device, tier: Tier = SMALL) -> Iterator[Errors]:
    """One training step of every arm: single precision on the device against double precision on the CPU.

    Random numbers are drawn on the CPU for both.

    Raises:
        ArithmeticError: when an error exceeds ``MOST``.
    """
    with torch.backends.cudnn.flags(allow_tf32=False), Smooth():
        for run, model, images in models(tier, tier.networks):
            reference = step(copy.deepcopy(model).double(), images.double())
            found = step(model.to(device), images.to(device))
            errors = [
                float((a.cpu().double() - b).norm() / b.norm()) for a, b in zip(found, reference, strict=True)
            ]
            row = Errors(f"{run.data}, {run.network}, {run.method}", *errors)
            if not max(errors) <= MOST:
                raise ArithmeticError(f"{device} differs from the CPU by more than {MOST:g}: {row}")
            yield row


def step(model: nn.Module, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Features in eval mode, the loss of a step, and its gradient as one vector."""
    channels = getattr(model.encoder, "in_channels", None) or model.encoder.module.in_channels
    with torch.no_grad():
        features = model.eval().encoder(images[:, :channels])
    loss = model.train().training_step(images, torch.Generator().manual_seed(0))["loss"]
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    return features, loss.detach(), torch.cat([each.flatten() for each in gradients])


def recording_fits(device: torch.device, tier: Tier = SMALL) -> bool:
    """Whether steps can be recorded for every arm and train as they do unrecorded; says why not."""
    for run, model, images in models(tier, tier.networks[:1]):
        try:
            usual, recorded = (
                losses(each, images, device) for each in (copy.deepcopy(model), Recorded(model))
            )
        except Exception as problem:  # whatever it is, the campaign can do without
            print(f"no recording, {run}: {type(problem).__name__}: {str(problem)[:300]}", flush=True)
            return False
        off = max(abs(a - b) / abs(b) for a, b in zip(recorded, usual, strict=True))
        if not off <= MOST:
            print(f"no recording, {run}: losses differ by {off:.0e}", flush=True)
            return False
    return True


def losses(model: nn.Module, images: Tensor, device: torch.device) -> list[float]:
    """Of a few steps on one batch, some of them after the recording."""
    how = {"epochs": WARM + 3, "batch_size": len(images), "lr": 1e-3, "precision": "32-true"}
    how |= {"accelerator": device.type, "channels_last": device.type == "cuda"}
    with torch.backends.cudnn.flags(allow_tf32=False, deterministic=True):
        trainer = Pretrainer(model, images, **how)
        for _ in trainer.steps():
            pass
    return [record["loss"] for record in trainer.history]
