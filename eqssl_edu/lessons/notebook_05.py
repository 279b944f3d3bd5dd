"""Notebook 05: what an invariant network can say about a turn, three heads trained live, symmetric letters."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.data import digits, glyph_atlas
from eqssl_edu.diagnostics import equivariance_error
from eqssl_edu.encoders import GroupCNN, count_parameters
from eqssl_edu.errors import typed
from eqssl_edu.exercises import check
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import FreeHead, GSetHead, InvariantHead
from eqssl_edu.lessons.notebook_00 import Table
from eqssl_edu.plots import COLOURS, picture, row
from eqssl_edu.pretext import PretextModel, RotationTask
from eqssl_edu.shapes import Features, Images
from eqssl_edu.training import Pretrainer
from eqssl_edu.widgets import ByHand, LiveTraining

__all__ = [
    "KINDS",
    "OwnHead",
    "compare_heads",
    "label_sets",
    "over_the_orbit",
    "small_cnn",
    "symmetric_letters",
    "train_heads",
    "try_to_beat",
    "turn_and_ask",
]

C4, D4 = cyclic(4), dihedral(4)
CHANNELS = (8, 16)  # of the networks that are trained
KINDS = ("C1", "D1", "C2", "D2", "C4", "D4")  # of the symmetric letters
TEST = 8  # digits that are turned by hand

Logits = Callable[[Tensor], Tensor]


@typed
def small_cnn(seed: int) -> nn.Module:
    """A CNN with random weights, in double precision: images (B, 1, H, W) to four logits."""
    torch.manual_seed(seed)
    layers = (nn.Conv2d(1, 8, 5), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 4))
    return nn.Sequential(*layers).double().requires_grad_(False)


@typed
def turn_and_ask(invariant: Logits, cnn: Logits) -> ByHand:
    """A digit that the hand turns, and the four logits of two networks as strips."""
    images = digits(16).test.images[:TEST].double()

    def draw(digit: int, turn: int) -> str:
        x = C4.transform(images[digit : digit + 1], turn)
        strips = {"invariant network": invariant(x), "the CNN inside": cnn(x)}
        boxes = [picture(logits, name, True, (-0.25, 0.25), side=170) for name, logits in strips.items()]
        lines = [f"{name}: {', '.join(f'{v:+.3f}' for v in logits[0])}" for name, logits in strips.items()]
        text = (
            "Each strip is four logits, for 0, 90, 180 and 270 degrees: blue negative, orange positive.<br>"
        )
        return row([picture(x[0, 0], "image"), *boxes], text + "<br>".join(lines))

    return ByHand(draw, digit=range(TEST), turn=range(4), start={"turn": 1})


@typed
def over_the_orbit(confidence: float) -> list[float]:
    """The losses on the four turned copies, in nats, of one answer for all: so sure of 0 degrees, the rest alike."""
    return [-math.log(confidence)] + 3 * [-math.log((1 - confidence) / 3)]


def try_to_beat() -> ByHand:
    """``over_the_orbit`` as four bars and their mean, under a slider for the confidence in per cent."""

    def draw(confidence: int) -> str:
        losses = over_the_orbit(confidence / 100)
        bars = "".join(
            f'<div style="margin:3px 0"><span style="display:inline-block;width:170px">turned by {90 * g} degrees'
            f'</span><span style="display:inline-block;width:{70 * loss:.0f}px;height:12px;'
            f'background:{COLOURS[g > 0]}"></span> {loss:.2f}</div>'
            for g, loss in enumerate(losses)
        )
        return f"{bars}<b>Mean over the four copies: {sum(losses) / 4:.3f} nats.</b>"

    return ByHand(draw, confidence=range(5, 100, 5), start={"confidence": 80})


def label_sets() -> dict[str, GSet]:
    """Five sets of labels on which D4 acts."""
    return {
        "rotations and reflections": GSet.regular(D4),
        "the same, mirrors do not count": GSet.quotient(D4, (0, 4)),
        "eight neighbours of a patch": GSet.neighbours(D4),
        "orders of four tiles": GSet.jigsaw(D4, 2),
        "places on a 3 x 3 grid": GSet.grid(D4, 3),
    }


class OwnHead(nn.Module):
    """The student's universal head: ``universal_logits`` and one bias for each orbit of labels."""

    @typed
    def __init__(self, labels: GSet, in_channels: int, universal_logits: Callable) -> None:
        super().__init__()
        made = GSetHead(labels, in_channels)  # for its first weights
        self.weight, self.bias, self.labels, self.logits = made.weight, made.bias, labels, universal_logits

    def forward(self, features: Features) -> Float[Tensor, "batch label"]:
        logits = self.logits(features, self.weight, self.labels)
        return logits + self.bias[self.labels.orbit_index.to(self.bias.device)]


@typed
def train_heads(universal_logits: Callable, seed: int) -> LiveTraining:
    """Train rotation prediction with three heads on the same turned digits; all encoders begin alike.

    Arguments:
        universal_logits: yours; the library's ``GSetHead``, which is the same function, takes its place unless
            ``check("05.universal_logits", universal_logits)`` accepts it.
        seed: of the weights, of the order of the images and of the turns.
    """
    task, own = RotationTask(C4), check("05.universal_logits", universal_logits).ok
    width = CHANNELS[-1]
    heads = {
        "universal head": lambda: (
            OwnHead(task.labels, width, universal_logits) if own else GSetHead(task.labels, width)
        ),
        "free head": lambda: FreeHead(task.labels, width, order=4),
        "invariant head": lambda: InvariantHead(task.labels, width),
    }
    runs = {}
    for name, made in heads.items():
        torch.manual_seed(seed)
        model = PretextModel(GroupCNN(C4, channels=CHANNELS), task, made())
        images = digits(16).train.images
        runs[name] = Pretrainer(model, images, epochs=8, batch_size=64, lr=2e-2, seed=seed)
    return LiveTraining(runs, title="By how much was the digit turned?")


@typed
def compare_heads(live: LiveTraining) -> Table:
    """Wait for the training; then what each head reaches on 300 test digits in all four orientations.

    The error is that of ``equivariance_error``: how far the logits of a turned input are from the moved logits.
    """
    live.wait()
    rows, images = {}, digits(16).test.images
    for name, run in live.runs.items():
        model = copy.deepcopy(run.model).eval().cpu().double()
        loss, accuracy = model.evaluate(images)
        moves = model.task.labels.transform
        error = float(equivariance_error(model, images[:20].double(), C4, transform_outputs=moves).max())
        weights = count_parameters(model.head)
        rows[name] = {"accuracy": accuracy, "loss": loss, "error of equivariance": error, "weights": weights}
    words = {
        "accuracy": "{:.1%}".format,
        "loss": "{:.3f} nats".format,
        "error of equivariance": "{:.0e}".format,
        "weights": "{:.0f}".format,
    }
    return Table(rows, "300 test digits, each in all four orientations; one training run", words)


def symmetric_letters() -> Images:
    """A letter, repeated around the centre so that it has each of six symmetries: (6, 1, 24, 24), as in ``KINDS``."""
    return torch.stack([glyph_atlas(kind, "train", 24)[0, 0] for kind in KINDS])[:, None]
