"""Trainings in tests: a tiny task, its runs, and live trainings."""

import time

import torch
from torch import nn

from eqssl_edu.training import Pretrainer


def stopped(live):
    """After the first step of each run: what is said of a training must hold even then."""
    while live.running and not all(run.step for run in live.runs.values()):
        time.sleep(0.01)
    live.stop()
    live.wait()
    return live


class TinyTask(nn.Module):
    """Tells apart images that were turned by 0 or 180 degrees; a normalisation layer gives it buffers."""

    chance, cap = 0.5, 1.0

    def __init__(self, dtype: torch.dtype = torch.float32) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.norm = nn.BatchNorm2d(1, dtype=dtype)
        self.linear = nn.Linear(16, 2, dtype=dtype)
        with torch.no_grad():
            self.linear.weight.copy_(torch.randn(2, 16, generator=generator) / 4)
            self.linear.bias.zero_()
        self.seen: list[torch.Tensor] = []

    def training_step(self, images, generator):
        labels = torch.randint(2, (len(images),), generator=generator, device=images.device)
        turned = torch.where(labels.view(-1, 1, 1, 1).bool(), images.rot90(2, (-2, -1)), images)
        self.seen.append(torch.cat([images.flatten(1).sum(1).detach(), labels]))
        logits = self.linear(self.norm(turned).flatten(1))
        accuracy = (logits.argmax(1) == labels).float().mean()
        return {"loss": nn.functional.cross_entropy(logits, labels), "accuracy": accuracy}


def images(count: int = 50) -> torch.Tensor:
    ramp = torch.linspace(-1, 1, 16).view(1, 1, 4, 4)
    return ramp + torch.randn(count, 1, 4, 4, generator=torch.Generator().manual_seed(1))


def pretrainer(model: nn.Module | None = None, **changes) -> Pretrainer:
    arguments = {"images": images(), "epochs": 4, "batch_size": 12, "lr": 0.05, "seed": 5} | changes
    return Pretrainer(TinyTask() if model is None else model, accelerator="cpu", **arguments)


def same(left: dict, right: dict) -> bool:
    return all(torch.equal(left[name], right[name]) for name in left)
