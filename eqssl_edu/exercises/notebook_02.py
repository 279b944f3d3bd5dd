"""The exercises of notebooks 2 to 2d: an error, two convolutions, a norm, and what keeps sizes exact."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eqssl_edu.diagnostics import equivariance_error as library_error
from eqssl_edu.errors import got
from eqssl_edu.exercises.between_layers import exact_rule, exact_size, halve, harmless, network, norm
from eqssl_edu.exercises.four_tests import EXACT, as_layer, four_tests, need_linear, of_class
from eqssl_edu.exercises.judging import ask, judge, need, noise, number, same, scalar
from eqssl_edu.exercises.verdict import second_hint
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral
from eqssl_edu.gsets import GSet

__all__ = [
    "equivariance_error",
    "exact_rule",
    "exact_size",
    "group_convolution",
    "halve",
    "harmless",
    "lifting",
    "network",
    "norm",
    "rank",
]

C4, D4 = cyclic(4), dihedral(4)


@second_hint("Two lines: expected = group.transform(f(x), g), and a quotient with expected in it.")
def equivariance_error(answer: object) -> str:
    """A function (f, images, group, g) -> relative error of f(g x) against g f(x)."""
    x, kernel = noise(2, 1, 6, 6), noise(3, 1, 3, 3, seed=1)
    convolution = partial(F.conv2d, weight=kernel, padding=1)

    def error(f: Callable[[Tensor], Tensor], g: int) -> Tensor:
        value = ask(answer, f, x, D4, g)
        reason = f"The error must be a number, {got(value)}."
        need(hasattr(value, "__float__"), reason, "Return the quotient of the two norms.")
        hint = "One number for the whole batch: take each norm over all images and pixels together."
        return scalar(value, "It gave {count} numbers; wanted was one.", hint)

    for g in (1, 5):
        value = error(convolution, g)
        wanted = library_error(convolution, x, D4, transform_outputs=D4.transform)[g]
        y, y_turned = convolution(x), convolution(D4.transform(x, g))
        difference = y_turned - D4.transform(y, g)
        unturned = (y_turned - y).norm() / y.norm()
        back = (y_turned - D4.transform(y, int(D4.inverse[g]))).norm() / y.norm()
        absolute, mean = [difference.norm(), difference.abs().max()], difference.mean()
        hints = {
            "You compared f(g x) with f(x). A turned input gives a turned output.": unturned,
            "That is an absolute error; it grows with the weights.": absolute,
            "You turned f(x) back instead of forth.": back,
            "Positive and negative differences cancel in a mean.": mean,
            "Say the formula in words, and then each of its parts as one call.": True,
        }
        reason = f"For a random convolution and g = {g} it gave {value:.4f}; the error is {wanted:.4f}."
        judge(value, wanted, reason, hints)
    reason = "ReLU commutes with every turn, but the error is not 0."
    judge(error(torch.relu, 1), 0.0, reason, {"Does the function use its argument f?": True})
    return "Right for a convolution (it fails) and for ReLU (it passes)."


def _convolution(answer: object, move: Callable, copies: dict[str, Callable], swapped: str) -> None:
    """The four tests of a lifting (``move`` turns images) or of a group convolution (it moves maps), over C4 and D4.

    ``copies`` are typical mistakes: hint -> (group, weight, g) -> copy g; ``swapped`` is the hint for whoever lets the
    copies lie in another order than channel by channel.
    """
    for group, channels in ((C4, 2), (D4, 1)):
        planes = [] if move is FiniteGroup.transform else [group.order]
        shape, inputs = (2, channels, *planes, 3, 3), noise(3, channels, *planes, 6, 6)
        layer, weight, biases = as_layer(of_class(answer, group, channels, 2, 3, 1, 1), inputs)
        usual = [part.shape for part in biases.values()] == [(2,)]
        labels = GSet.regular(group).times(GSet.grid(group, 3))
        orbits = (GSet.regular(group).times(labels) if planes else labels).orbits

        def wrong(
            copy: Callable, x: Tensor, w: Tensor, dim: int, group=group, biases=biases, shape=shape
        ) -> Tensor:
            stacked = torch.stack([copy(group, w.view(shape), g) for g in group.elements], dim).flatten(0, 1)
            expanded, planes = (each.flatten(1, -3) for each in (stacked, x))
            bias = torch.cat([*biases.values()]).repeat_interleave(group.order)
            return F.conv2d(planes, expanded, bias, 1, 1).unflatten(1, (-1, group.order))

        mistakes = {hint: partial(wrong, copy, dim=1) for hint, copy in copies.items()}
        mistakes[swapped] = partial(wrong, move, dim=0)
        four_tests(
            layer,
            inputs,
            weight,
            group,
            (partial(move, group), group.transform_maps),
            torch.zeros(3, 2, group.order, 6, 6),
            "(B, C', |G|, H', W')",
            2 * channels * len(orbits),
            mistakes if usual else {},
            f"Over {group.name}",
        )
        need_linear(layer, inputs, weight)
        hint = "bias=True adds one number for each output channel, the same to all |G| maps."
        need(biases, "With bias=True it has no bias.", hint)
        # With a stride of 2, without padding and bias: every other pixel of the same maps, away from the border.
        other, _, _ = as_layer(of_class(answer, group, channels, 2, 3, 2, 0, False), inputs)
        whole = layer(inputs, weight) - layer(0 * inputs, weight)
        found = ask(other, inputs[..., 1:, 1:], weight)
        reason = "With stride=2, padding=0, bias=False it does not give every other pixel of the same maps."
        hint = "Are all arguments used? And is it one filter, at every place?"
        need(same(found, whole[..., 2:-1:2, 2:-1:2], EXACT), reason, hint)


@second_hint(
    "Copy g is self.group.transform(self.weight, g). Make a list of them, one for each g in the group."
)
def lifting(answer: object) -> str:
    """A class (group, in_channels, out_channels, kernel_size, stride, padding, bias): images to regular maps."""
    copies = {
        "All |G| copies are the same. What makes copy g differ from copy e?": lambda group, w, g: w,
        "The maps step along the row, but the wrong way: which turn must copy g have?": lambda group, w, g: (
            group.transform(w, int(group.inverse[g]))
        ),
    }
    swapped = "Every copy is right, but they lie in another order: channel by channel, with its |G| copies together."
    _convolution(answer, FiniteGroup.transform, copies, swapped)
    return "It passes all four tests, over C4 and over D4."


@second_hint(
    "Copy g is the weight acted on as if it were a feature map. One method of the group does both moves."
)
def group_convolution(answer: object) -> str:
    """A class as in ``lifting``: regular maps to regular maps."""
    inverse = FiniteGroup.transform_maps
    copies = {
        "All |G| copies are the same. What does g do to a filter with a group axis?": lambda group, w, g: w,
        "Every plane is turned, and none has moved along the group axis.": FiniteGroup.transform,
        "The planes have moved along the group axis, and none is turned.": lambda group, w, g: w[
            :, :, group.product[group.inverse[g]]
        ],
        "Planes are turned by g, but they step the wrong way: plane h of the copy comes from g^-1 h.": (
            lambda group, w, g: group.transform(w[:, :, group.product[g]], g)
        ),
        "Both moves are made, but by the inverse of g.": lambda group, w, g: inverse(
            group, w, int(group.inverse[g])
        ),
    }
    swapped = "Every copy is right, but they lie in another order: leave expanded_weight as it was."
    _convolution(answer, FiniteGroup.transform_maps, copies, swapped)
    return "It passes all four tests, over C4 and over D4."


class _Mixed(nn.Module):
    """Twelve weights that reach ``rank`` kernels of twenty numbers."""

    def __init__(self, rank: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(noise(1, 3, 2, 2))
        self.mix = noise(20, rank) @ noise(rank, 12, seed=1)

    def expanded_weight(self) -> Tensor:
        return (self.mix @ self.weight.flatten()).view(4, 5)


@second_hint(
    "Inside the loop: all weights to 0, number i of the flattened weights to 1, then take the expanded kernel."
)
def rank(answer: object) -> str:
    """A function (layer with weight and expanded_weight) -> rank of the map from one to the other."""
    for wanted in (7, 12, 3):
        value = number(
            ask(answer, _Mixed(wanted)), "The rank must be a whole number", "Return it.", whole=True
        )
        reason = f"A layer whose 12 weights reach {wanted} independent kernels got {value}."
        hints = {
            "Every line of the matrix is the same: the weights must change inside the loop.": value == 1,
            "Every line of the matrix is zero: in line i, which weight is not?": value == 0,
            "That is how many weights there are. How many kernels can they make?": value == 12,
            "That is the rank of one kernel as a matrix. Flatten each kernel to one line.": value == 4,
            "One line of the matrix for each weight: the kernel when only this weight is 1.": True,
        }
        judge(value, wanted, reason, hints)
    return "Right for three layers, one of full rank and two not."
