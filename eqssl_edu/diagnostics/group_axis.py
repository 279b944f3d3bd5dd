"""Where the group stands in what a network gives, and which of its elements stands where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from eqssl_edu.errors import got, need_instance, need_integer
from eqssl_edu.groups import FiniteGroup

__all__ = ["GroupAxis"]


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

    def place(self, output: Tensor) -> int | None:
        """Where the group stands, 1 or 2; None if it cannot."""
        flat = output.ndim in (2, 4)
        axes = output.ndim + flat
        axis = self.axis + axes * (self.axis < 0)
        if axis not in (1, 2) or axes not in (3, 5):
            return None
        length, n = output.shape[1 if flat else axis], self.group.order
        return axis if length == n or (flat and length % n == 0) else None

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
