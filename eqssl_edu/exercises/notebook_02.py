"""The exercises of notebook 02: the error of a layer, an exact size, another lifting, harmless steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from eqssl_edu.diagnostics import equivariance_error as library_error
from eqssl_edu.errors import got
from eqssl_edu.exercises.verdict import Wrong, ask, need_shape, same
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral
from eqssl_edu.layers import LiftingConv2d, is_exact

__all__ = ["equivariance_error", "exact_size", "harmless", "lifting"]


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Random numbers in float64, the same every time."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def equivariance_error(answer: Callable[..., Any]) -> str:
    """A function (f, images, group, g) -> relative error of f(g x) against g f(x)."""
    group, x, kernel = dihedral(4), noise(2, 1, 6, 6), noise(3, 1, 3, 3, seed=1)

    def convolution(images: Tensor) -> Tensor:
        return F.conv2d(images, kernel, padding=1)

    for g in (1, 5):
        value = _one_number(ask(answer, convolution, x, group, g))
        expected = library_error(convolution, x, group, transform_outputs=group.transform)[g]
        if same(value, expected):
            continue
        y, y_turned = convolution(x), convolution(group.transform(x, g))
        difference = y_turned - group.transform(y, g)
        reason = (
            f"For a random convolution and g = {g} it gave {float(value):.4f}; the error is {expected:.4f}."
        )
        if same(value, (y_turned - y).norm() / y.norm()):
            raise Wrong(
                reason,
                "You compared f(g x) with f(x). A turned input gives a turned output: turn f(x) as well.",
            )
        if same(value, difference.norm()) or same(value, difference.abs().max()):
            raise Wrong(
                reason, "That is an absolute error; it grows with the weights. Divide by the norm of f(x)."
            )
        back = (y_turned - group.transform(y, int(group.inverse[g]))).norm() / y.norm()
        if same(value, back):
            raise Wrong(reason, "You turned f(x) back instead of forth: use g, not its inverse.")
        if same(value, difference.mean()):
            raise Wrong(
                reason, "Positive and negative differences cancel in a mean. Take the norm of the difference."
            )
        raise Wrong(
            reason, "The formula is norm(f(g x) - g f(x)) / norm(f(x)), with group.transform for both turns."
        )
    if not same(_one_number(ask(answer, torch.relu, x, group, 1)), 0.0):
        raise Wrong(
            "ReLU commutes with every turn, but the error is not 0.", "Does the function use its argument f?"
        )
    return "Right for a convolution (it fails) and for ReLU (it passes)."


def _one_number(value: Any) -> Tensor:
    try:
        numbers = torch.as_tensor(value)
    except (TypeError, ValueError, RuntimeError):
        raise Wrong(
            f"The error must be a number, {got(value)}.", "Return the quotient of the two norms."
        ) from None
    if numbers.numel() != 1:
        raise Wrong(
            f"It gave {numbers.numel()} numbers; wanted was one.",
            "One number for the whole batch: take each norm over all images and pixels together.",
        )
    return numbers.detach().squeeze()


def exact_size(answer: Any) -> str:
    """The smallest size of at least 30 at which three layers k3 s2 p1 in a row are all exact."""
    if not isinstance(answer, int) or isinstance(answer, bool):
        raise Wrong(
            f"The answer must be a whole number of pixels, {got(answer)}.",
            "Write the size that the slider shows.",
        )
    for start in range(30, max(answer, 30) + 1):
        sizes = [start]
        while len(sizes) < 4 and is_exact(sizes[-1], 3, 2, 1):
            sizes.append((sizes[-1] + 2 - 3) // 2 + 1)
        exact_layers = len(sizes) - 1
        if exact_layers == 3 and start < answer:
            raise Wrong(f"{answer} is too large: a smaller size does it too.", "Try every size from 30 on.")
    if answer < 30:
        raise Wrong(f"{answer} is less than 30.", "Start the slider S at 30 and go up.")
    if exact_layers == 0:
        raise Wrong(
            f"At {answer} already the first layer is red.",
            f"S + 2p - k = {answer} + 2 - 3 is odd, so a stride of 2 leaves one column over.",
        )
    if exact_layers < 3:
        raise Wrong(
            f"At {answer} only {exact_layers} of 3 layers are green: {' -> '.join(map(str, sizes))}, then red.",
            f"The next layer sees {sizes[-1]} pixels. Set S to {sizes[-1]} and look.",
        )
    return f"All three are green: {' -> '.join(map(str, sizes))} pixels."


def lifting(answer: Callable[..., Any]) -> str:
    """A function (images, kernel, group) -> lifted maps, by turning the images and never the kernel."""
    for group in (cyclic(4), dihedral(4)):
        x, kernel = noise(2, 3, 7, 7), noise(5, 3, 3, 3, seed=1)
        layer = LiftingConv2d(group, 3, 5, 3, bias=False).double()  # 5: no axis is as long as another
        with torch.no_grad():
            layer.weight.copy_(kernel)
            expected = layer(x)
        with _Convolutions() as used:
            value = ask(answer, x.clone(), kernel.clone(), group)
        need_shape(value, tuple(expected.shape), "(B, C', |G|, H', W'), the group third")
        if same(value, expected):
            if not all(torch.equal(weight, kernel) for weight in used.weights):
                raise Wrong(
                    "The maps are right, but a convolution saw another kernel than the one that was given.",
                    "That is the first way to lift. Here the kernel stays as it is, and only images are turned.",
                )
            continue
        reason = f"Under {group.name} the maps differ from the library's LiftingConv2d."
        if same(value, _lift(x, kernel, group, forth=False)):
            raise Wrong(
                reason,
                "You turned the image and forgot to turn the result back: map g must lie on the grid of x.",
            )
        if same(value, _lift(x, kernel, group, swap=True)):
            raise Wrong(
                reason,
                "The two turns are swapped. Undo g on the image (its inverse), convolve, then do g.",
            )
        if same(value, F.conv2d(x, kernel)[:, :, None].expand_as(expected)):
            raise Wrong(reason, "All maps are equal: inside the loop nothing depends on g.")
        raise Wrong(
            reason,
            "Map g is: turn x by the inverse of g, convolve with the one kernel, turn the result by g.",
        )
    return "The same maps as the library's for C4 and D4, and no convolution saw a turned kernel."


class _Convolutions(TorchFunctionMode):
    """Writes down the weights of all convolutions that run inside."""

    def __init__(self) -> None:
        super().__init__()
        self.weights: list[Tensor] = []

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is torch.conv2d:
            self.weights.append(kwargs["weight"] if "weight" in kwargs else args[1])
        return function(*args, **kwargs)


def _lift(x: Tensor, kernel: Tensor, group: FiniteGroup, forth: bool = True, swap: bool = False) -> Tensor:
    """Lifting by turning the image, with the two usual mistakes."""
    maps = []
    for g in group.elements:
        back = int(group.inverse[g])
        first, second = (g, back) if swap else (back, g)
        y = F.conv2d(group.transform(x, first), kernel)
        maps.append(group.transform(y, second) if forth else y)
    return torch.stack(maps, dim=2)


# What may stand between two group convolutions on maps (B, C, |G|, 16, 16)?
STEPS: dict[str, Callable[[Tensor], Tensor]] = {
    "ReLU": torch.relu,
    "softmax over the group axis": lambda maps: maps.softmax(dim=2),
    "one bias for each channel": lambda maps: maps + noise(maps.shape[1], seed=2)[:, None, None, None],
    "one bias for each channel and element": lambda maps: (
        maps + noise(*maps.shape[1:3], seed=2)[:, :, None, None]
    ),
    "sort along the group axis": lambda maps: maps.sort(dim=2).values,
    "max-pool 2 x 2, stride 2": lambda maps: F.max_pool3d(maps, (1, 2, 2)),
    "max-pool 3 x 3, stride 2": lambda maps: F.max_pool3d(maps, (1, 3, 3), (1, 2, 2)),
    "subtract the mean of each map": lambda maps: maps - maps.mean(dim=(-2, -1), keepdim=True),
}

WHY = {
    "softmax over the group axis": "it treats all elements alike, so a permutation of them passes through",
    "one bias for each channel": "the same number is added to all elements and all pixels of a channel",
    "one bias for each channel and element": "a turn carries map h to place gh, but the bias stays",
    "sort along the group axis": "the sorted values forget which element they came from and stay put",
    "max-pool 2 x 2, stride 2": "on 16 x 16, S + 2p - k = 14 is a multiple of the stride 2",
    "max-pool 3 x 3, stride 2": "on 16 x 16, S + 2p - k = 13 is no multiple of the stride 2",
    "subtract the mean of each map": "each map loses its own mean, wherever the map stands",
    "ReLU": "it looks at one number at a time",
}


def harmless(answer: Any) -> str:
    """The set of the steps in ``STEPS`` that commute with the action on regular maps."""
    if (
        isinstance(answer, str)
        or not isinstance(answer, (set, list, tuple))
        or not all(isinstance(s, str) for s in answer)
    ):
        raise Wrong(
            f"The answer must be a set of names, {got(answer)}.",
            "Write a list of names, as the cell prints them.",
        )
    unknown = sorted(set(answer) - STEPS.keys())
    if unknown:
        raise Wrong(f"There is no step '{unknown[0]}'.", f"The steps are: {'; '.join(STEPS)}.")
    group = dihedral(4)
    maps = noise(2, 3, group.order, 16, 16)
    for name, step in STEPS.items():
        error = library_error(step, maps, group, group.transform_maps, group.transform_maps).max()
        if name in answer and error > 1e-9:
            raise Wrong(
                f"'{name}' is not harmless: its equivariance error is {error:.2f}.",
                f"Think again: {WHY[name]}.",
            )
        if name not in answer and error < 1e-9:
            raise Wrong(f"'{name}' is harmless, and you left it out.", f"Think again: {WHY[name]}.")
    return "Each of the eight was measured on noise under D4: five pass, three do not."
