"""Notebook 09: arrows of type k, of networks with random weights and of trained ones, and when they must be 0."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.circle import AngleHead, turn_arrows, von_mises_loss
from eqssl_edu.encoders import Encoder
from eqssl_edu.errors import typed
from eqssl_edu.exercises import check
from eqssl_edu.lessons.circle_features import features_of, untrained
from eqssl_edu.lessons.dials import arrows_on, circle
from eqssl_edu.lessons.notebook_00 import Table
from eqssl_edu.lessons.turned_letters import (
    BY_HAND,
    OwnTask,
    drawings,
    judges,
    new_encoder,
    shown,
    smooth_letters,
    training,
    turned_picture,
)
from eqssl_edu.plots import COLOURS, row
from eqssl_edu.precision import precise
from eqssl_edu.pretext import AngleModel
from eqssl_edu.pretext.angle import on_disc
from eqssl_edu.shapes import Features
from eqssl_edu.training import Pretrainer
from eqssl_edu.widgets import ByHand, LiveTraining

__all__ = [
    "OwnHead",
    "arrow_lengths",
    "fade",
    "faded_lengths",
    "headed",
    "library_arrow",
    "losses",
    "train_arrows",
    "turn_arrow",
]

EPOCHS = 30
ARROWS = {  # run -> kind of letters, symmetry of the label, type of the arrow
    "letters, type 1": ("C1", 1, 1),
    "symmetric letters, type 1": ("C2", 1, 1),
    "symmetric letters, type 2": ("C2", 2, 2),
}
COLOUR = COLOURS[0]


class OwnHead(AngleHead):
    """The student's arrow of type k as a head: (B, C, |G|) -> (B, 2)."""

    @typed
    def __init__(self, encoder: Encoder, k: int, arrow: Callable) -> None:
        super().__init__(encoder.group, encoder.out_channels, k)
        self.arrow = arrow

    def forward(self, features: Features) -> Float[Tensor, "batch 2"]:
        with torch.autocast(features.device.type, enabled=False):
            weight = torch.view_as_complex(self.weight[:, 0].contiguous())
            return _plain(self.arrow(precise(features), weight, self.frequencies[0]))


def _plain(arrows: Tensor) -> Tensor:
    """Arrows as pairs, also where they were written as complex numbers."""
    return torch.view_as_real(arrows.resolve_conj()) if arrows.is_complex() else arrows


def library_arrow(z: Tensor, weight: Tensor, k: int) -> Tensor:
    return (weight * torch.fft.rfft(z)[..., k].conj()).sum(dim=1) / z.shape[2]


def _own(arrow: Callable) -> Callable:
    return arrow if check("09.arrow", arrow) else library_arrow


def _weight(channels: int, seed: int) -> Tensor:
    numbers = torch.randn(2, channels, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.complex(*numbers)


@typed
def turn_arrow(arrow: Callable, seed: int) -> ByHand:
    """A letter turned by hand, with the arrow of type k that an untrained SO(2) network draws: solid.

    The pale arrow is that of the upright letter, turned by k times the angle.

    Arguments:
        arrow: yours; as long as ``check("09.arrow", arrow)`` does not accept it, the library's.
        seed: of all weights.
    """
    arrow, encoder, letters = _own(arrow), untrained("SO(2)", seed), shown(smooth_letters())
    weight = _weight(encoder.out_channels, seed)

    @cache
    def read(letter: str, degrees: int) -> dict[int, Tensor]:
        z = features_of(encoder, letters[letter], float(degrees))
        return {k: _plain(arrow(z, weight, k))[0] for k in (1, 2)}

    def draw(degrees: int, k: int, letter: str) -> str:
        first, now = read(letter, 0)[k], read(letter, degrees)[k]
        wanted, length = turn_arrows(first, float(degrees), k), first.norm()
        far = float((now - wanted).norm() / length)
        arrows = [(0.9 * wanted / length, "#999999"), (0.7 * now / length, COLOUR)]
        text = (f"The arrow of type {k} is where {k} x {degrees}° brings that of the upright letter, "
                f"up to {far:.1%} of its length.")  # fmt: skip
        return row([turned_picture(letters[letter], degrees, arrows)], text)

    return ByHand(draw, degrees=BY_HAND["degrees"], k=[1, 2], letter=BY_HAND["letter"])


@typed
def arrow_lengths(arrow: Callable, seed: int) -> Table:
    """The mean length of arrows of letters and of symmetric letters, as a part of that of letters; float64, untrained.

    Arguments:
        arrow: yours; as long as ``check("09.arrow", arrow)`` does not accept it, the library's.
        seed: of all weights.
    """
    arrow, rows = _own(arrow), {"letters": {}, "symmetric letters": {}}
    for name, k in (("C4", 1), ("SO(2)", 1), ("SO(2)", 2)):
        encoder = untrained(name, seed)
        weight = _weight(encoder.out_channels, seed)
        lengths = [
            float(
                _plain(arrow(features_of(encoder, drawings(kind, "test"), 0.0), weight, k)).norm(dim=1).mean()
            )
            for kind in ("C1", "C2")
        ]
        for line, length in zip(rows.values(), lengths, strict=True):
            line[f"{name}, type {k}"] = length / lengths[0]
    words = dict.fromkeys(rows["letters"], "{:.0e}".format)
    return Table(rows, "Mean length of the arrow, as a part of that of letters without a symmetry", words)


def headed(kind: str, symmetry: int, k: int, arrow: Callable | None, seed: int) -> Pretrainer:
    """A training of the SO(2) network: letters of a kind, labels modulo 360/symmetry, an arrow of type k."""
    encoder = new_encoder("SO(2)", seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = OwnHead(encoder, k, arrow) if arrow else AngleHead(encoder.group, encoder.out_channels, k)
    model = AngleModel(encoder, OwnTask(symmetry=symmetry), head)
    return training(model, drawings(kind, "train"), seed, EPOCHS)


@typed
def train_arrows(arrow: Callable, seed: int) -> LiveTraining:
    """Train an SO(2) network with arrows: of type 1 on letters, of type 1 and of type 2 on symmetric letters.

    Arguments:
        arrow: yours; as long as ``check("09.arrow", arrow)`` does not accept it, the library's.
        seed: of the weights, of the order of the letters and of the angles.
    """
    arrow = arrow if check("09.arrow", arrow) else None
    runs = {name: headed(*given, arrow, seed) for name, given in ARROWS.items()}
    return LiveTraining(runs, "By which angle was the letter turned? Answered by an arrow")


@typed
def losses(live: LiveTraining) -> dict[str, list[float]]:
    """Wait for a training; then the losses of each run in nats against uniform, as they were read."""
    live.wait()
    return {name: [record["loss"] for record in run.history] for name, run in live.runs.items()}


@typed
@torch.no_grad()
def faded_lengths(live: LiveTraining, seed: int) -> dict[str, float]:
    """The longest arrow at 100 % of ``fade``, as a part of the mean length at 0 %: of a trained and a new network."""
    models = {"trained": judges(live)["letters, type 1"]}
    models["untrained"] = headed("C1", 1, 1, None, seed).model.cpu().double().eval()
    images, found = drawings("C1", "test").double(), {}
    for name, model in models.items():
        ends = [torch.cat([_faded(x, share) for x in images]) for share in (0, 100)]
        whole, gone = (model.head(model.encoder(on_disc(x))).norm(dim=1) for x in ends)
        found[name] = float(gone.max() / whole.mean())
    return found


@typed
@torch.no_grad()
def fade(live: LiveTraining) -> ByHand:
    """A letter that fades into the mean of itself and its half turn, with the arrow that the trained network draws.

    Beside it the density of angles that the arrow means, against uniform.
    """
    model, letters = judges(live)["letters, type 1"], shown(drawings("C1", "test").double())

    @torch.no_grad()
    def draw(share: int, letter: str) -> str:
        x, first = (_faded(letters[letter][0], part) for part in (share, 0))
        o, whole = (model.head(model.encoder(on_disc(each)))[0] for each in (x, first))
        length, angles = float(o.norm()), torch.arange(120, dtype=torch.float64) * 3
        density = (-von_mises_loss(o.expand(120, 2), angles)).exp()
        ring = {f'stroke="{COLOUR}" stroke-width="0.05"': ((density - 1) / 5).clamp(-1, 1.2).tolist()}
        text = f"The arrow is {length:.3g} long: at its peak the density is {float(density.max()):.3g} times uniform."
        seen = arrows_on(on_disc(x)[0, 0], [(0.9 * o / whole.norm(), COLOUR)], f"{share} % of the way")
        return row([seen, circle(ring, [], "density of the angle")], text)

    return ByHand(draw, share=range(0, 101, 5), letter=BY_HAND["letter"])


def _faded(letter: Tensor, share: int) -> Tensor:
    """(1, S, S) -> (1, 1, S, S): so many percent on the way to the mean of the letter and its half turn."""
    return torch.lerp(letter, (letter + letter.rot90(2, (-2, -1))) / 2, share / 100)[None]
