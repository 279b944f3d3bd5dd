"""Where the group stands in what a network gives, and which of its elements stands where."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.errors import got, need_instance, need_integer, typed
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.rotate import disc_mask, rotate
from eqssl_edu.shapes import Images
from eqssl_edu.twins import Twin

__all__ = ["GroupAxis", "find_order"]

ROUNDING = 1e-4  # relative: an order whose error is smaller fits (in half precision ten roundings)


class GroupAxis(NamedTuple):
    """A group axis as a user says it, in features (B, C, |G|) or maps (B, C, |G|, H, W).

    Arguments:
        group: the group.
        axis: 2, or 1 if the group comes before the channels; negative ones count from the end. The two axes may be
            flattened into one, (B, C |G|, H, W): the axis is where the group stands once they are split.
        order: ``order[i]`` is the element, in the numbering of ``group``, that stands at index i of the axis. None
            is our own order, 0 .. |G| - 1.

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> clockwise = GroupAxis(cyclic(4), axis=2, order=[0, 3, 2, 1])
        >>> clockwise.ours(torch.tensor([[[0.0, 270.0, 180.0, 90.0]]])).tolist()
        [[[0.0, 90.0, 180.0, 270.0]]]
    """

    group: FiniteGroup
    axis: int
    order: Sequence[int] | None = None

    @classmethod
    def said(
        cls, group: FiniteGroup | None, group_axis: int | None, order: Sequence[int] | None
    ) -> GroupAxis:
        """The words of a user, checked; the axis is 2 if they do not say it."""
        need_instance("group", group, FiniteGroup)
        axis = need_integer("group_axis", 2 if group_axis is None else group_axis)
        if axis not in (1, 2, -1, -2, -3, -4):
            raise ValueError(f"group_axis must be 2 or 1, or count from the end, got {axis}")
        if order is not None:
            need_instance("order", order, Iterable)
            order = [need_integer("order", g, 0, group.order - 1) for g in order]
            if len(set(order)) != group.order or len(order) != group.order:
                raise ValueError(f"order must hold each of 0 .. {group.order - 1} once, {got(order)}")
        return cls(group, axis, order)

    def place(self, output: Tensor, split: bool = True) -> int | None:
        """Where the group stands, 1 or 2; None if it cannot, or (without ``split``) only in flattened axes."""
        axes = 5 if output.ndim > 3 else 3
        axis = self.axis + axes * (self.axis < 0)
        if axis not in (1, 2) or output.ndim not in (axes - split, axes):
            return None
        length = output.shape[axis if output.ndim == axes else 1]
        fits = length == self.group.order if output.ndim == axes else length % self.group.order == 0
        return axis if fits else None

    def ours(self, output: Tensor) -> Tensor:
        """The output as (B, C, |G|) or (B, C, |G|, H, W), elements in our order."""
        axis, n = self.place(output), self.group.order
        if axis is None:
            raise ValueError(
                f"group_axis must be an axis of {n} elements ({self.group.name}), got {self.axis} for an output of "
                f"shape {tuple(output.shape)}"
            )
        if output.ndim in (2, 4):
            output = output.unflatten(1, (n, -1) if axis == 1 else (-1, n))
        output = output.movedim(axis, 2)
        if self.order is None:
            return output
        return output.index_select(2, torch.as_tensor(self.order, device=output.device).argsort())

    def act(self, output: Tensor, g: int) -> Tensor:
        """The action of an element on an output of the network, in its own layout."""
        ours = self.ours(output)
        action = self.group.transform_maps if ours.ndim == 5 else self.group.transform_features
        moved = action(ours, g)
        if self.order is not None:
            moved = moved.index_select(2, torch.as_tensor(self.order, device=output.device))
        return moved.movedim(2, self.place(output)).reshape(output.shape)


@typed
@torch.no_grad()
def find_order(
    model: Callable[[Tensor], Tensor], images: Images, group: FiniteGroup, group_axis: int | None = None
) -> list[int] | None:
    r"""The order in which the elements of a group stand on an axis, measured: noise is turned by each of them.

    If the axis carries a regular representation, column i of $f(g x)$ is a turned column of $f(x)$. Where the first
    column comes from, under each g, names every column; whether all columns agree is then measured. Such an order is
    known up to a translation from the right, which changes no error: the first column is called 0.

    Arguments:
        model: f. It runs in evaluation mode and stays as it was.
        images: examples: noise of their shape, type and range is turned.
        group: the group. Elements that do not map the grid to itself are turned approximately.
        group_axis: see ``GroupAxis``; 2 by default.

    Returns:
        ``order[i]`` is the element at index i: 0, 1, 2, ... if that fits; None if no order does.

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> def clockwise(x):  # column i: how the image, turned back by -90 i degrees, looks to one filter
        ...     return torch.stack([torch.rot90(x, i, (2, 3))[..., :2].sum((2, 3)) for i in range(4)], 2)
        >>> find_order(clockwise, torch.rand(1, 1, 8, 8), cyclic(4))
        [0, 3, 2, 1]
    """
    said = GroupAxis.said(group, group_axis, None)
    model = Twin(model)
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(images.shape, generator=generator, device="cpu").to(images)
    if not group.exact_on_grid:  # smooth, so that turns between the pixels are nearly exact
        small = noise[..., ::4, ::4]
        noise = torch.nn.functional.interpolate(small, noise.shape[-2:], mode="bicubic")
    low, high = images.aminmax()
    noise = low + noise * (high - low if high > low else 1.0)
    upright = said.ours(model(noise))
    quarters = {g for g in group.elements if group.degrees(g) % 90 == 0}
    distances = {}  # of each column of f(g x) from each turned column of f(x)
    for g in group.elements:
        turned, expected = said.ours(model(_turn(group, noise, g))), upright
        if upright.ndim == 5:
            inside = 1 if g in quarters else disc_mask(upright.shape[-1]).to(upright)
            turned, expected = inside * turned, inside * _turn(group, upright, g)
        columns = (y.movedim(2, 0).flatten(1).double() for y in (turned, expected))
        distances[g] = torch.cdist(*columns, compute_mode="donot_use_mm_for_euclid_dist")
    bound = float(upright.double().norm()) * max(ROUNDING, 10 * torch.finfo(upright.dtype).eps)
    for order in (list(group.elements), _named_by_the_first(group, distances)):
        if bound > 0 and _fits(group, order, distances, quarters, bound):
            return order
    return None


def _turn(group: FiniteGroup, maps: Float[Tensor, "*axes"], g: int) -> Float[Tensor, "*axes"]:
    return rotate(maps.flip(-1) if g >= group.rotations else maps, group.degrees(g))


def _named_by_the_first(group: FiniteGroup, distances: dict[int, Tensor]) -> list[int]:
    """If column 0 of f(g x) is column j of f(x), turned, then g^-1 stands at j; no column gets two names."""
    order: dict[int, int] = {}
    for g, distance in distances.items():
        nearest = [j for j in distance[0].argsort().tolist() if j not in order]
        order[nearest[0]] = int(group.inverse[g])
    return [order[j] for j in group.elements]


def _fits(
    group: FiniteGroup, order: list[int], distances: dict[int, Tensor], quarters: set[int], bound: float
) -> bool:
    """Is each column where the order says: up to rounding, or (between the pixels) nearest to it?"""
    for g, distance in distances.items():
        comes_from = [order.index(int(group.product[group.inverse[g], h])) for h in order]
        error = distance[torch.arange(group.order), comes_from].norm()
        if not (error <= bound if g in quarters else distance.argmin(1).tolist() == comes_from):
            return False
    return True
