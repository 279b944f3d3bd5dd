"""Notebook 07b: the values of the orbit correlation change places; what a turned view does to a gradient."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from eqssl_edu.contrastive import InfoNCE, orbit_correlation
from eqssl_edu.contrastive.features import unit
from eqssl_edu.data import digits
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.errors import typed
from eqssl_edu.evaluation import recalibrated
from eqssl_edu.groups import FiniteGroup, dihedral, random_elements
from eqssl_edu.lessons.notebook_00 import Table
from eqssl_edu.plots import COLOURS, row
from eqssl_edu.views import RandomView
from eqssl_edu.widgets import ByHand

__all__ = ["change_of_gradient", "eight_bars", "multiply_adds", "origins"]

D4 = dihedral(4)
LETTERS, INKS = "abcdefgh", (*COLOURS[:6], "#777777", "#8a6d00")


@typed
def eight_bars(group: FiniteGroup, z: Tensor, w: Tensor) -> ByHand:
    """The values of kappa of two tables (C, |G|) as bars that keep letter and colour while z and w are moved.

    Arguments:
        group: of at most eight elements.
        z, w: features of one view each.
    """
    names = [group.element_name(g) for g in group.elements]

    def draw(first: int, second: int) -> str:
        kappa = _kappa(group, z, w, first, second)
        places = origins(group, z, w, first, second)
        scale = 150 / float(kappa.abs().max())
        bars = [_bar(f"κ[{names[g]}]", float(kappa[g]), scale, places[g]) for g in group.elements]
        moved = f"z is moved by {names[first]}, w by {names[second]}"
        text = f"{moved}. κ[e] = {kappa[0]:+.3f}, mean {kappa.mean():+.3f}, largest {kappa.max():+.3f}."
        return row([f"<div>{''.join(bars)}</div>"], text)

    return ByHand(draw, first=range(group.order), second=range(group.order))


@typed
def origins(group: FiniteGroup, z: Tensor, w: Tensor, first: int, second: int) -> list[int]:
    """For each element the one at which the same value of kappa stood before z and w were moved."""
    before, after = _kappa(group, z, w, 0, 0), _kappa(group, z, w, first, second)
    return (after[:, None] - before).abs().argmin(dim=1).tolist()


def _kappa(group: FiniteGroup, z: Tensor, w: Tensor, first: int, second: int) -> Tensor:
    moved = (unit(group.transform_features(x, g)[None].double()) for x, g in ((z, first), (w, second)))
    return orbit_correlation(group, *moved)[0, 0]


def _bar(name: str, value: float, scale: float, origin: int) -> str:
    length, start = scale * abs(value), 150 + scale * min(value, 0)
    bar = f"position:absolute;left:{start:.0f}px;width:{length:.0f}px;height:18px;background:{INKS[origin]}"
    return (
        f'<div style="display:flex;gap:10px;line-height:22px;background:white;color:#1a1a1a">'
        f'<span style="width:96px;white-space:nowrap">{name} = </span><span style="width:60px">{value:+.3f}</span>'
        f'<b style="width:14px">{LETTERS[origin]}</b>'
        f'<span style="position:relative;width:300px;height:18px"><span style="{bar}"></span></span></div>'
    )


@typed
def change_of_gradient(seed: int) -> Table:
    """How much turned views change the gradient of InfoNCE at all weights of a D4 network, relative to its size.

    Each of 2 x 64 views is turned by its own element of D4: after the shift, the scale and the noise ("last"), or
    before them ("first"); the other random numbers are the same.

    Arguments:
        seed: of the weights, of the views and of the turns.
    """
    images = digits().train.images[:64].double()
    torch.manual_seed(seed)
    network = recalibrated(GroupCNN(D4, 1, (4, 8, 16)).double(), images)
    elements = [random_elements(D4, images, torch.Generator().manual_seed(seed + k)) for k in (1, 2)]

    def views(turn: Callable[[Callable[[Tensor], Tensor], Tensor], Tensor]) -> list[Tensor]:
        draws = torch.Generator().manual_seed(seed)
        return [turn(lambda x: RandomView()(x, draws), g) for g in elements]

    kinds_of_views = {
        "upright": views(lambda view, g: view(images)),
        "turned last": views(lambda view, g: D4.transform(view(images), g)),
        "turned first": views(lambda view, g: view(D4.transform(images, g))),
    }

    def gradient(kind: str, pair: list[Tensor]) -> Tensor:
        loss = InfoNCE(D4, kind)(*(network(x) for x in pair))
        return torch.cat([g.flatten() for g in torch.autograd.grad(loss, list(network.parameters()))])

    rows = {}
    for kind in ("plain", "mean", "max", "soft"):
        upright, *others = (gradient(kind, pair) for pair in kinds_of_views.values())
        changes = (float((each - upright).norm() / upright.norm()) for each in others)
        rows[kind] = dict(zip(list(kinds_of_views)[1:], changes, strict=True))
    words = dict.fromkeys(("turned last", "turned first"), "{:.0e}".format)
    return Table(rows, "How much the gradient at the weights changes, relative to its size; float64", words)


@typed
def multiply_adds(
    kappa: Callable[[FiniteGroup, Tensor, Tensor], Tensor], group: FiniteGroup, batch: int, channels: int
) -> int:
    """How many multiplications, each with its addition, a function kappa(group, z, w) of two batches does."""
    z, w = torch.randn(2, batch, channels, group.order)
    with FlopCounterMode(display=False) as counter:
        kappa(group, z, w)
    return counter.get_total_flops() // 2
