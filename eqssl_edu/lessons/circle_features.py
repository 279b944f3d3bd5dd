"""Notebooks 09 and 09b: features that are functions on a circle, of networks with random weights."""

from __future__ import annotations

from functools import cache

import torch
from jaxtyping import Float64
from torch import Tensor

from eqssl_edu.circle import CircleGroup, turn_features
from eqssl_edu.encoders import Encoder, GroupCNN
from eqssl_edu.errors import typed
from eqssl_edu.evaluation import recalibrated
from eqssl_edu.groups import cyclic
from eqssl_edu.lessons.dials import circle
from eqssl_edu.lessons.turned_letters import BY_HAND, shown, smooth_letters, turned_picture
from eqssl_edu.plots import COLOURS, row
from eqssl_edu.pretext.angle import on_disc
from eqssl_edu.rotate import rotate
from eqssl_edu.shapes import Images
from eqssl_edu.steerable import SteerableCNN
from eqssl_edu.widgets import ByHand

__all__ = ["carried_error", "features_of", "turn_function", "untrained"]


@cache
def untrained(name: str, seed: int) -> Encoder:
    """A network over "C4" or "SO(2)" with random weights, in float64; its batch norms know the letters."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = (
            SteerableCNN("SO(2)", channels=(4, 8))
            if name == "SO(2)"
            else GroupCNN(cyclic(4), channels=(4, 8))
        )
        return recalibrated(encoder, smooth_letters().float()).double().eval()


@typed
@torch.no_grad()
def features_of(encoder: Encoder, images: Images, degrees: float) -> Float64[Tensor, "batch feature group"]:
    """The features of images turned by an angle."""
    return encoder(on_disc(rotate(images.double(), degrees)))


@typed
def carried_error(name: str, degrees: float, seed: int) -> float:
    """How far the features of turned test letters are from the turned features, as a part of what moves in them.

    ``turn_features`` turns those of SO(2); for C4 it is the best of its four elements. An untrained network.
    """
    encoder, images = untrained(name, seed), smooth_letters()
    upright, turned = (features_of(encoder, images, angle) for angle in (0.0, degrees))
    group, moving = encoder.group, (upright - upright.mean(dim=2, keepdim=True)).norm()
    if isinstance(group, CircleGroup):
        guesses = [turn_features(group, upright, degrees)]
    else:
        guesses = [group.transform_features(upright, g) for g in group.elements]
    return min(float((turned - guess).norm() / moving) for guess in guesses)


@typed
def turn_function(seed: int) -> ByHand:
    """A letter turned by hand; beside it one channel of an untrained C4 network and one of an SO(2) network.

    The dashed curve is the function of the upright letter, turned by ``turn_features`` without looking again.
    """
    letters, nets = shown(smooth_letters()), {name: untrained(name, seed) for name in ("C4", "SO(2)")}

    @cache
    def channel(name: str, letter: str, degrees: float) -> Tensor:
        z, first = (features_of(nets[name], letters[letter], angle)[0] for angle in (degrees, 0.0))
        chosen = int(first.std(dim=1).argmax())  # the one that moves most
        return (z[chosen] - first[chosen].mean()) / (first[chosen] - first[chosen].mean()).abs().max()

    def fine(z: Tensor) -> list[float]:
        """Its function at 120 angles: the Fourier series through the samples."""
        coefficients = torch.fft.rfft(z)[: nets["SO(2)"].group.frequency + 1]
        return torch.fft.irfft(coefficients, n=120).mul(120 / len(z)).tolist()

    def draw(degrees: int, letter: str) -> str:
        four, z = (channel(name, letter, degrees) for name in ("C4", "SO(2)"))
        first = channel("SO(2)", letter, 0)
        carried = turn_features(nets["SO(2)"].group, first[None], float(degrees))[0]
        solid = f'stroke="{COLOURS[0]}" stroke-width="0.06"'
        dashed = f'stroke="{COLOURS[1]}" stroke-width="0.05" stroke-dasharray="0.12 0.1"'
        return row(
            [
                turned_picture(letters[letter], degrees),
                circle({}, [(90 * i, float(v)) for i, v in enumerate(four)], "C4: four numbers"),
                circle({solid: fine(z), dashed: fine(carried)}, [], "SO(2): a function"),
            ],
            "Dashed: the function of the upright letter, turned by hand. For the four numbers there is such a line at "
            "0, 90, 180 and 270 degrees only.",
        )  # fmt: skip

    return ByHand(draw, **BY_HAND)
