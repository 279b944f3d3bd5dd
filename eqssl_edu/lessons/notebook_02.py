"""Pictures and measurements of notebooks 2 to 2d."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from functools import cache
from itertools import product

import plotly.graph_objects as go
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.data import digits
from eqssl_edu.data.letters import letters
from eqssl_edu.errors import typed
from eqssl_edu.groups import FiniteGroup, cyclic
from eqssl_edu.plots import image_grid, picture, row
from eqssl_edu.widgets import ByHand

__all__ = [
    "filter_and_turn",
    "kernel_rank",
    "left_and_right",
    "lifted",
    "measured_strides",
    "plane_norm_errors",
    "strides",
    "twist_and_shift",
    "two_letters",
]

C4 = cyclic(4)
NAMES = [C4.element_name(g) for g in C4.elements]
GREEN, ORANGE = "background:#00704f;color:white", "background:#f0c9a8;color:#333"
Case = tuple[int, int, int, int]  # size, kernel, stride, padding


@typed
@torch.no_grad()
def filter_and_turn(
    f: Callable[[Tensor], Tensor], image: Float[Tensor, "1 1 height width"], group: FiniteGroup
) -> go.Figure:
    """An image, g f(x), f(g x) and their difference, for a quarter turn g and a map f of images to images."""
    filter_then_turn, turn_then_filter = group.transform(f(image), 1), f(group.transform(image, 1))
    planes = [image, filter_then_turn, turn_then_filter, turn_then_filter - filter_then_turn]
    titles = ["image", "filter, then turn", "turn, then filter", "difference"]
    return image_grid(torch.cat(planes)[:, 0], titles, "A filter and a quarter turn", signed=True)


@typed
def lifted(kernel: Float[Tensor, "1 1 k k"]) -> ByHand:
    """The four turned copies of a filter, and what they answer to a digit, upright and turned: two sliders."""
    copies = torch.stack([C4.transform(kernel[0], g) for g in C4.elements])  # (|G|, 1, k, k)
    drawn = [picture(copy[0], f"filter {t}", True, side=92) for copy, t in zip(copies, NAMES, strict=True)]
    filters = row([picture(kernel[0, 0], "the filter", True, side=92), *drawn])

    def answers(image: Tensor, text: str) -> str:
        maps = F.conv2d(image, copies.to(image), padding=1)[0]
        shown = [picture(plane, f"map {t}", True, (-4, 4), 92) for plane, t in zip(maps, NAMES, strict=True)]
        return row([picture(image[0, 0], "image", side=92), *shown], text)

    def draw(digit: int, g: int) -> str:
        upright = digits(16).test.images[digit : digit + 1]
        text = f"The image turned by {NAMES[g]}: the old map e is now map {NAMES[g]}, and it is turned."
        return filters + answers(upright, "") + answers(C4.transform(upright, g), text)

    return ByHand(draw, digit=range(8), g=range(4), start={"g": 1})


@typed
def twist_and_shift(group: FiniteGroup) -> ByHand:
    """A filter with one letter for each element, and its copy g as ``transform_maps`` makes it: a slider for g."""
    stack = torch.stack([letters()[letter] for letter in "FGJPRbKE"[: group.order]])  # (|G|, 9, 9)
    names = [group.element_name(h) for h in group.elements]
    side = 90 if group.order < 8 else 68

    def draw(g: int) -> str:
        origin = [names[group.product[group.inverse[g], h]] for h in group.elements]
        texts = [f"{name}: from {old}" for name, old in zip(names, origin, strict=True)]
        copy = group.transform_maps(stack, g)
        before = [picture(plane, name, side=side) for plane, name in zip(stack, names, strict=True)]
        after = [picture(plane, text, side=side) for plane, text in zip(copy, texts, strict=True)]
        text = (
            f"Copy {names[g]}: every plane is moved by {names[g]}. The plane of e stands at {names[g]} now."
        )
        return row(before, "The filter itself: one plane for each element.") + row(after, text)

    return ByHand(draw, g=range(group.order), start={"g": group.order // 2 if group.order == 8 else 1})


@typed
@torch.no_grad()
def kernel_rank(layer: nn.Module) -> int:
    """How many independent kernels a layer reaches: the rank of the map from its ``weight`` to its kernel."""
    layer, kernels = copy.deepcopy(layer), []
    for i in range(layer.weight.numel()):
        layer.weight.zero_().view(-1)[i] = 1
        kernels.append(layer.expanded_weight().flatten())
    return int(torch.linalg.matrix_rank(torch.stack(kernels)))


@typed
@torch.no_grad()
def left_and_right(layers: Mapping[str, nn.Module]) -> go.Figure:
    """Output plane e of layers over C4, for a pixel in the plane to the left of e and for one to the right of it."""
    pixels = torch.zeros(2, 1, 4, 5, 5)
    pixels[0, 0, 1, 2, 2] = pixels[1, 0, 3, 2, 2] = 1  # planes r90 and r270
    planes = {f"{name}: {plane}": layer(pixels)[i, 0, 0]
              for name, layer in layers.items() for i, plane in enumerate(("r90", "r270"))}  # fmt: skip
    return image_grid(
        torch.stack(list(planes.values())),
        list(planes),
        "Output plane e, for a pixel in r90 or in r270",
        columns=4,
        signed=True,
    )


@typed
@torch.no_grad()
def plane_norm_errors(maps: Float[Tensor, "batch channel 4 height width"]) -> dict[str, float]:
    """The error of ``nn.BatchNorm2d`` with statistics for each of the C|G| planes, in each mode, after one batch."""
    norm, own = nn.BatchNorm2d(4 * maps.shape[1]).to(maps), torch.arange(len(maps)) % 4

    def error(g: int | Tensor) -> float:
        before, after = (
            norm(z.flatten(1, 2)).unflatten(1, (-1, 4)) for z in (maps, C4.transform_maps(maps, g))
        )
        return float((after - C4.transform_maps(before, g)).norm() / before.norm())

    errors = {"training mode, one g": error(1), "training mode, each its own g": error(own)}
    norm.eval()
    return errors | {"evaluation mode, one g": error(1)}


@cache
def measured_strides() -> dict[Case, bool]:
    """For 792 windows (size, kernel, stride, padding): does a convolution of noise commute with a quarter turn?"""
    exact, generator = {}, torch.Generator().manual_seed(0)
    for case in product(range(6, 17), range(1, 7), range(1, 5), range(3)):
        size, k, stride, padding = case
        x, kernel = (torch.randn(1, 1, n, n, generator=generator, dtype=torch.float64) for n in (size, k))
        y = F.conv2d(x, kernel, None, stride, padding)
        turned = F.conv2d(C4.transform(x, 1), C4.transform(kernel, 1), None, stride, padding)
        exact[case] = bool((turned - C4.transform(y, 1)).norm() < 1e-9 * y.norm())
    return exact


def strides() -> ByHand:
    """``measured_strides`` as a table: a row for each size, a column for each kernel, sliders for the rest."""

    def cell(*case: int) -> str:
        mark, style = ("exact", GREEN) if measured_strides()[case] else ("off", ORANGE)
        return f'<td style="{style};padding:2px 12px;text-align:center">{mark}</td>'

    def draw(stride: int, padding: int) -> str:
        head = "".join(f"<th>&nbsp;kernel {k}</th>" for k in range(1, 7))
        cells = {S: "".join(cell(S, k, stride, padding) for k in range(1, 7)) for S in range(6, 17)}
        lines = "".join(f"<tr><th>size {S}</th>{each}</tr>" for S, each in cells.items())
        return f"<table><tr><td></td>{head}</tr>{lines}</table>"

    return ByHand(draw, stride=range(1, 5), padding=range(3), start={"stride": 2, "padding": 1})


def two_letters() -> Float[Tensor, "2 1 20 20"]:
    """Two letters side by side, both upright; and the same with one of them turned about its own centre."""
    F_upright = letters()["F"]
    pairs = [torch.cat([F_upright, C4.transform(F_upright, g)], dim=1) for g in (0, 1)]
    return F.pad(torch.stack(pairs), (1, 1, 5, 6))[:, None].to(torch.get_default_dtype())
