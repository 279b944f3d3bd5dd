"""Notebooks 09 and 09b: six letters of many typefaces, turned by any angle, and the models that are asked for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eqssl_edu.circle import FreeAngleHead, NumberHead
from eqssl_edu.data import glyph_atlas
from eqssl_edu.encoders import Encoder, GroupCNN
from eqssl_edu.errors import typed
from eqssl_edu.groups import cyclic
from eqssl_edu.lessons.dials import arrows_on
from eqssl_edu.pretext import AngleModel, AngleTask
from eqssl_edu.pretext.angle import on_disc
from eqssl_edu.rotate import rotate
from eqssl_edu.shapes import Images
from eqssl_edu.steerable import SteerableCNN
from eqssl_edu.training import Pretrainer
from eqssl_edu.twins import copied
from eqssl_edu.widgets import LiveTraining

__all__ = [
    "BATCH",
    "BY_HAND",
    "OwnTask",
    "drawings",
    "judges",
    "model_of",
    "new_encoder",
    "shown",
    "smooth_letters",
    "training",
    "turned_picture",
]

BATCH = 28  # three steps see each of the 84 drawings once
LETTERS = {"R": 3, "G": 0, "h": 4}  # those that are turned by hand: their places among the test letters
BY_HAND = {"degrees": range(0, 361, 10), "letter": list(LETTERS)}


@typed
def shown(images: Images) -> dict[str, Tensor]:
    """Of test letters those that are turned by hand, (1, 1, S, S) each."""
    return {letter: images[place : place + 1] for letter, place in LETTERS.items()}


@typed
def turned_picture(image: Images, degrees: int, arrows: Sequence[tuple[Tensor, str]] = ()) -> str:
    """A letter (1, 1, S, S), turned, with arrows on it."""
    return arrows_on(on_disc(rotate(image, degrees))[0, 0], arrows, f"turned by {degrees}°")


@typed
def drawings(kind: str, part: str) -> Images:
    """The letters GPQRhk in the typefaces of a part, 20 x 20 pixels: (84, 1, 20, 20) to train, (24, ...) to test.

    Arguments:
        kind: "C1", the letters; "C2", each beside its copy turned by 180 degrees, so that the drawing equals its
            half turn bit for bit.
        part: "train" or "test".
    """
    images = F.avg_pool2d(glyph_atlas(kind, part, 40), 2).flatten(0, 1)[:, None]
    # Sums in another order differ in the last bit.
    return images if kind == "C1" else (images + images.rot90(2, (-2, -1))) / 2


@cache
def smooth_letters() -> Images:
    """The test letters on 40 x 40 pixels, blurred: pictures that turn well, (24, 1, 40, 40), in float64."""
    drawn = F.avg_pool2d(glyph_atlas("C1", "test", 80), 2).flatten(0, 1)[:, None].double()
    return F.avg_pool2d(F.avg_pool2d(drawn, 5, 1, 2), 5, 1, 2)


class OwnTask(AngleTask):
    """By which angle was it turned, with a loss that the student wrote: (arrows (B, 2), degrees (B,)) -> (B,)."""

    @typed
    def __init__(
        self, loss: Callable[[Tensor, Tensor], Tensor] | None = None, symmetry: int = 1, within: float = 180.0
    ) -> None:
        super().__init__("SO2", symmetry, within)
        self.own = loss

    def loss(self, outputs: Tensor, labels: Tensor) -> Tensor:
        if self.own is None or outputs.ndim > 2:
            return super().loss(outputs, labels)
        return self.own(outputs, self.symmetry * labels)


@typed
def new_encoder(name: str, seed: int) -> Encoder:
    """A new encoder: "SO(2)", "C8", "C4", or "CNN"."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if name in ("SO(2)", "C8"):
            return SteerableCNN("SO(2)" if name == "SO(2)" else cyclic(8), channels=(3, 6, 12))
        return GroupCNN(
            cyclic(4 if name == "C4" else 1), channels=(4, 8, 16) if name == "C4" else (8, 16, 32)
        )


@typed
def model_of(name: str, task: AngleTask, seed: int, head: nn.Module | None = None) -> AngleModel:
    """A new model: one of the encoders with a head that turns, a CNN with a free "vector", or a CNN with a "number"."""
    encoder = new_encoder("CNN" if name in ("CNN", "number", "vector") else name, seed)
    if encoder.group.order == 1 and head is None:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            head = (NumberHead if name == "number" else FreeAngleHead)(encoder.out_channels, order=1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AngleModel(encoder, task, head)


@typed
def training(model: AngleModel, images: Images, seed: int, epochs: int, rate: float = 0.03) -> Pretrainer:
    """The training of a model, not yet begun."""
    return Pretrainer(model, images, epochs=epochs, batch_size=BATCH, lr=rate, seed=seed)


def judges(live: LiveTraining) -> dict[str, AngleModel]:
    """The models of a training in float64, once it has ended or was stopped."""
    live.wait()
    return {name: copied(run.model).double().cpu().eval() for name, run in live.runs.items()}
