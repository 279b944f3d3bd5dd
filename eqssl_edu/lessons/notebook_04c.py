"""Notebook 04c: what escnn's kernels reach, networks for eight rotations and for all, trained."""

from __future__ import annotations

import plotly.graph_objects as go
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.data import digits
from eqssl_edu.diagnostics import rotation_error, turn_features
from eqssl_edu.encoders import Encoder
from eqssl_edu.errors import typed
from eqssl_edu.groups import FiniteGroup, cyclic
from eqssl_edu.layers import GroupConv2d, LiftingConv2d
from eqssl_edu.lessons.notebook_03 import blur
from eqssl_edu.lessons.notebook_04 import SIGNED, chart, noise
from eqssl_edu.lessons.reading_digits import Reader, taught
from eqssl_edu.plots import picture, row
from eqssl_edu.rotate import rotate
from eqssl_edu.shapes import Images
from eqssl_edu.steerable import EscnnMaps, SteerableCNN, enn, gspaces, load_r2conv
from eqssl_edu.widgets import ByHand

__all__ = [
    "calibrated", "carry_over", "error_at_45", "escnn_kernels", "follow", "following",
    "function_of_a_turn", "load_into_escnn", "open_cutoff", "reading", "smooth_digits", "train_three",
]  # fmt: skip

C4, C8 = cyclic(4), cyclic(8)


@typed
def escnn_kernels(r2conv: nn.Module) -> Float[Tensor, "weight entries"]:
    """Every expanded kernel of an escnn convolution, flattened: one row for each weight. Their rank is its reach."""
    with torch.no_grad():
        rows = [r2conv.basisexpansion(one).flatten() for one in torch.eye(len(r2conv.weights))]
    return torch.stack(rows).double()


@typed
def load_into_escnn(r2conv: nn.Module, layer: GroupConv2d) -> float:
    """Give an escnn convolution the weights that come nearest to our layer; returns the relative residual."""
    rows, wanted = escnn_kernels(r2conv), layer.expanded_weight().detach().double().flatten()
    weights = torch.linalg.lstsq(rows.T, wanted[:, None], driver="gelsd").solution[:, 0]
    with torch.no_grad():
        r2conv.weights.copy_(weights)
        kernel, _ = r2conv.expand_parameters()
    return float((kernel.double().flatten() - wanted).norm() / wanted.norm())


def _convolution(plane, source, fields: int, highest: int, **options):
    """escnn's 3 x 3 convolution from one field to regular ones, with frequencies up to the highest off the centre."""
    inputs, outputs = enn.FieldType(plane, [source]), enn.FieldType(plane, fields * [plane.regular_repr])
    cutoff = {"frequencies_cutoff": lambda radius: highest * (radius > 0)}
    return enn.R2Conv(inputs, outputs, 3, bias=False, **cutoff, **options)


@typed
def error_at_45(highest: int, seed: int = 0) -> float:
    """The error of a C8 layer with frequencies up to the highest, on noise blurred by 2 pixels, at 45 degrees."""
    plane, images = gspaces.rot2dOnR2(8), blur(noise(2, 1, 65, 65, seed=seed), 2.0)
    torch.manual_seed(seed)
    layer = EscnnMaps(_convolution(plane, plane.trivial_repr, 8, highest, padding=1))
    with torch.no_grad():
        return rotation_error(layer(rotate(images, 45.0)), layer(images), 45.0, C8, margin=4)


def open_cutoff() -> ByHand:
    """escnn's 3 x 3 kernels up to a frequency: what they reach, what a random kernel loses, the error at 45 degrees."""
    plane, kernel = gspaces.rot2dOnR2(4), noise(3, 3, seed=3).double()

    def draw(highest_frequency: int) -> str:
        waves = escnn_kernels(_convolution(plane, plane.trivial_repr, 1, highest_frequency))[:, :9]
        near = (waves.T @ torch.linalg.lstsq(waves.T, kernel.reshape(9, 1)).solution).reshape(3, 3)
        parts = {"random kernel": kernel, "within reach": near, "lost": kernel - near}
        pictures = [
            picture(w.reshape(3, 3), f"wave {i}", True, side=52) for i, w in enumerate(waves, start=1)
        ]
        pictures += [picture(part, name, True, (-2, 2), 110) for name, part in parts.items()]
        all_kernels = escnn_kernels(_convolution(plane, plane.regular_repr, 1, highest_frequency))
        reached, lost = (
            torch.linalg.matrix_rank(all_kernels, rtol=1e-5),
            (kernel - near).norm() / kernel.norm(),
        )
        text = f"Frequencies up to {highest_frequency}: C4 reaches <b>{reached} of 36</b> dimensions, the random "
        text += f"kernel loses <b>{lost:.0%}</b>. A C8 layer on a smooth picture at 45 degrees: error "
        return row(pictures, f"{text}<b>{error_at_45(highest_frequency):.0%}</b>. {SIGNED}")

    return ByHand(draw, highest_frequency=range(2, 5))


@typed
def carry_over(theirs: Encoder, ours: Encoder) -> None:
    """The weights of a SteerableCNN into a GroupCNN: base kernels and batch norms; both are in evaluation mode then."""

    def parts(network: nn.Module, *kinds: type) -> list[nn.Module]:
        return [module for module in network.modules() if isinstance(module, kinds)]

    for layer, r2conv in zip(parts(ours, LiftingConv2d, GroupConv2d), parts(theirs, enn.R2Conv), strict=True):
        load_r2conv(layer, r2conv)
    norms = zip(parts(ours, nn.BatchNorm3d), parts(theirs, nn.BatchNorm3d), strict=True)
    for norm, source in norms:
        norm.load_state_dict(source.state_dict())
    ours.eval(), theirs.eval()


def smooth_digits() -> Images:
    """Eight digits (8, 1, 40, 40), blurred by 1.5 pixels, with room to turn."""
    return blur(F.pad(digits(16).test.images[:8], [12] * 4), 1.5)


@typed
def calibrated(symmetry: FiniteGroup | str, seed: int = 0) -> Encoder:
    """An untrained SteerableCNN with the batch statistics of the smooth digits, in evaluation mode."""
    torch.manual_seed(seed)
    encoder = SteerableCNN(symmetry, channels=(4, 8))
    with torch.no_grad():
        for _ in range(30):
            encoder(smooth_digits())
    return encoder.eval()


def _oriented(z: Tensor) -> Tensor:
    """The part of the features (B, C, |G|) that changes along the group axis."""
    return z - z.mean(dim=-1, keepdim=True)


@typed
def follow(encoder: Encoder, images: Images, degrees: float) -> float:
    """How well the oriented part of the features moves with a turn: relative error."""
    with torch.no_grad():
        z, z_turned = (_oriented(encoder(each)) for each in (images, rotate(images, degrees)))
    return float((z_turned - turn_features(encoder.group, z, degrees)).norm() / z.norm())


@typed
def following(encoders: dict[str, Encoder]) -> go.Figure:
    """Curves: how well the features of each network follow a turn by 0 to 90 degrees."""
    angles, images = range(0, 91, 5), smooth_digits()
    curves = {
        name: [follow(each, images, float(angle)) for angle in angles] for name, each in encoders.items()
    }
    words = ("angle of the turn (degrees)", "relative error of the oriented part")
    return chart(angles, curves, "How well the features follow a turn", *words)


@typed
def function_of_a_turn(encoder: Encoder) -> ByHand:
    """A feature of SO(2) as a function on the circle: of the turned digit, and of the upright digit, shifted."""
    digit, turns = smooth_digits()[:1], list(range(0, 361, 10))
    with torch.no_grad():
        z = torch.cat([_oriented(encoder(rotate(digit, float(angle)))) for angle in turns])
    z = z[:, int(z[0].norm(dim=1).argmax())]  # the channel that changes most: (37, 8)
    limit = 1.2 * float(z.abs().max())

    def function(samples: Tensor) -> Float[Tensor, " angles"]:
        """The values at 0, 3, ..., 357 degrees."""
        return torch.stack([turn_features(encoder.group, samples, -3.0 * i)[0] for i in range(120)])

    def draw(turn: int) -> str:
        of_turned, shifted = z[turns.index(turn)], turn_features(encoder.group, z[0], float(turn))
        strips = {
            "upright digit: its function, from 0 to 357 degrees": z[0],
            f"upright digit: its function, shifted by {turn} degrees": shifted,
            "turned digit: its function": of_turned,
        }
        values = [function(samples) for samples in strips.values()]
        pictures = [  # one below the other: each fills a line
            picture(strip.expand(6, -1), name, True, (-limit, limit), 700)
            for name, strip in zip(strips, values, strict=True)
        ]
        pictures.append(picture(rotate(digit, float(turn))[0, 0], "digit", side=110))
        apart = float((values[1] - values[2]).abs().max() / values[2].abs().max())
        text = f"Digit turned by {turn}°. Largest distance of the last two: <b>{apart:.1%}</b> of the largest value."
        return row(pictures, f"{text} {SIGNED}")

    return ByHand(draw, start={"turn": 20}, turn=range(0, 361, 10))


# -- trained -------------------------------------------------------------------------------------------------

TURNS = range(0, 91, 15)  # from 90 degrees on all three networks repeat themselves


@typed
def train_three(turned: bool, seed: int = 0, epochs: int = 6) -> dict[str, list[float]]:
    """C4, C8 and SO(2) trained to read digits (upright, or each turned anew): accuracies at 0, 15, ..., 90 degrees.

    One recipe for all: two stages of 4 and 12 channels, the largest value along the group axis, a linear layer, Adam.
    """
    data, accuracies = digits(12), {}
    images, unseen = (F.pad(part.images, [2] * 4) for part in (data.train, data.test))  # room to turn
    recipe = {"epochs": epochs, "batch_size": 32, "rate": 0.03, "turned": turned, "seed": seed}
    for name, symmetry in {"C4": C4, "C8": C8, "SO(2)": "SO(2)"}.items():
        torch.manual_seed(seed)
        network = taught(
            Reader(SteerableCNN(symmetry, channels=(4, 12))), images, data.train.labels, **recipe
        )
        with torch.no_grad():
            answers = [network(rotate(unseen, float(turn))).argmax(dim=1) for turn in TURNS]
        accuracies[name] = [float((answer == data.test.labels).float().mean()) for answer in answers]
    return accuracies


@typed
def reading(title: str, accuracies: dict[str, list[float]]) -> go.Figure:
    """Curves: which part of 300 unseen digits each network reads right, over the angle of the turn."""
    figure = chart(TURNS, accuracies, title, "angle of the turn (degrees)", "read right")
    return figure.update_yaxes(range=[0, 1])
