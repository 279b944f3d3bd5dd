"""The exercises of notebook 04: steering a kernel, aliases, the base kernel, kernels within the band limit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from eqssl_edu.errors import got
from eqssl_edu.exercises.verdict import Wrong, ask, need_shape, same
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.layers import GroupConv2d

__all__ = ["KERNELS", "alias", "base_kernel", "steer", "within_reach"]

KERNELS: dict[str, Tensor] = {
    "blur": torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]),
    "edge": torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]),
    "saddle": torch.tensor([[0.0, -1, 0], [1, 0, 1], [0, -1, 0]]),
    "one corner": torch.tensor([[1.0, 0, 0], [0, 0, 0], [0, 0, 0]]),
    "checkerboard": torch.tensor([[1.0, -1, 1], [-1, 1, -1], [1, -1, 1]]),
}


def steer(answer: Callable[..., Any]) -> str:
    """A function (cosine, sine, k, degrees) -> the wave of frequency k turned by the angle."""
    angles = torch.linspace(0, 2 * math.pi, 26, dtype=torch.float64)[:25].reshape(5, 5)
    for k, degrees in ((1, 30.0), (3, 30.0), (2, 100.0)):
        cosine, sine, turn = torch.cos(k * angles), torch.sin(k * angles), math.radians(degrees)
        value = need_shape(ask(answer, cosine, sine, k, degrees), (5, 5), "height and width")
        if same(value, torch.cos(k * (angles - turn))):
            continue
        reason = f"For frequency {k} and {degrees:g} degrees the result is not the turned wave."
        if same(value, torch.cos(k * (angles + turn))):
            raise Wrong(reason, "It is turned the other way: look at the sign of the sine.")
        if same(value, torch.cos(k * angles - turn)):
            raise Wrong(
                reason, "The weights are cos(k angle) and sin(k angle): a wave of frequency k turns k-fold."
            )
        if same(value, math.cos(k * degrees) * cosine + math.sin(k * degrees) * sine):
            raise Wrong(reason, "torch.cos and math.cos want radians: math.radians(degrees).")
        raise Wrong(reason, "Mix the two kernels with the weights of the addition theorem above.")
    return "Right for three frequencies and angles: two stored kernels give all angles."


def alias(answer: Any) -> str:
    """The second frequency whose wave looks like a slower one at eight places: 6 (like 2)."""
    if isinstance(answer, bool) or not isinstance(answer, int):
        raise Wrong(f"The answer must be an integer, {got(answer)}.", "It is the number beside the slider.")
    if answer == 6:
        return "6 looks like 2. In general, k looks like 8 - k."
    if answer == 5:
        raise Wrong(
            "5 is the first one; it looks like 3.", "Move the slider on, until the sentence says it again."
        )
    if answer < 5:
        raise Wrong(
            f"No slower wave has the values of frequency {answer}.", "Read the sentence below the drawing."
        )
    raise Wrong(
        f"{answer} looks like {min(answer % 8, -answer % 8)}, but it is not the second.",
        "Count upwards from 0.",
    )


def base_kernel(answer: Callable[..., Any]) -> str:
    """A function (expanded kernel, group) -> the weight of GroupConv2d."""
    generator = torch.Generator().manual_seed(0)
    for group in (cyclic(4), dihedral(2)):
        layer = GroupConv2d(group, 2, 3, 3)
        with torch.no_grad():
            layer.weight.copy_(torch.randn(layer.weight.shape, generator=generator))
            expanded, n = layer.expanded_weight(), group.order
        value = need_shape(
            ask(answer, expanded.clone(), group),
            tuple(layer.weight.shape),
            "output channel, input channel, group element, height and width",
        )
        if same(value, layer.weight.detach()):
            continue
        reason = f"For {group.name} these are not the base kernels."
        if same(value, expanded[: len(expanded) // n].unflatten(1, (-1, n))):
            raise Wrong(
                reason, "Those are the first rows. Row c'|G| + g is copy g of channel c': take every |G|-th."
            )
        if same(value, expanded[::n].unflatten(1, (n, -1)).transpose(1, 2)):
            raise Wrong(
                reason, "The rows are right. Plane c|G| + h is channel c, element h: unflatten to (C, |G|)."
            )
        for g in range(1, n):
            if same(value, expanded[g::n].unflatten(1, (-1, n))):
                raise Wrong(reason, f"That is the copy of element {g}. The identity is element 0.")
        raise Wrong(reason, "Take every |G|-th row, beginning with row 0, and unflatten axis 1 to (C, |G|).")
    return "Right for C4 and D2: the copy that the identity has not turned."


REACH = {"blur": "frequency 0", "edge": "frequency 1", "saddle": "frequency 2"}
BEYOND = {
    "one corner": "a single pixel off the centre needs fast waves too, to be zero at its neighbours",
    "checkerboard": "around the centre it changes its sign eight times: frequency 4",
}


def within_reach(answer: Any) -> str:
    """The names of the kernels that escnn's six 3 x 3 waves reach up to a fifth of their size."""
    if isinstance(answer, str) or not isinstance(answer, (set, list, tuple)):
        raise Wrong(
            f"The answer must be a list of names, {got(answer)}.",
            "Keep the list, delete what is out of reach.",
        )
    unknown = sorted(set(map(str, answer)) - KERNELS.keys())
    if unknown:
        raise Wrong(f"There is no kernel '{unknown[0]}'.", f"The kernels are: {', '.join(KERNELS)}.")
    for name, reason in BEYOND.items():
        if name in answer:
            raise Wrong(f"'{name}' is out of reach.", f"Think again: {reason}.")
    for name, frequency in REACH.items():
        if name not in answer:
            raise Wrong(
                f"'{name}' is within reach, and you left it out.",
                f"Around the centre it is (almost) {frequency}.",
            )
    return "Frequencies 0, 1 and 2 are there, faster waves are not."
