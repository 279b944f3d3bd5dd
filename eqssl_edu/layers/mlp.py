"""Equivariant heads: linear maps and multi-layer perceptrons from regular to regular features."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.errors import need_finite, need_positive, need_regular, need_widths, typed
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.layers.group_state import GroupState
from eqssl_edu.layers.weight_copies import moved_entries, places_of, transformed_copies
from eqssl_edu.shapes import Features

__all__ = ["FlatMLP", "GroupLinear", "GroupMLP"]


class GroupLinear(GroupState):
    r"""Every equivariant linear map from regular to regular features: a correlation on the group.

    $$ y[c', h] = \sum_{c, k} W[c', c, k]\, z[c, hk] + b_{c'} $$

    k is the element *from* h *to* the place that is read, so turning z turns y. The map has |G| times fewer
    weights than ``nn.Linear`` on the flattened features; with |G| = 1 it is ``nn.Linear``.

    Arguments:
        group: C_n or D_n, any n; over SO(2) and O(2) the map commutes with turns by every angle.
        in_channels: C of the features (B, C, |G|).
        out_channels: C' of the output (B, C', |G|).
        bias: one number per output channel, shared along the group axis.

    Example:
        >>> from eqssl_edu.groups import dihedral
        >>> G, layer = dihedral(4), GroupLinear(dihedral(4), 3, 5)
        >>> z = torch.randn(2, 3, 8)
        >>> torch.allclose(layer(G.transform_features(z, 5)), G.transform_features(layer(z), 5), atol=1e-5)
        True
    """

    @typed
    def __init__(self, group: FiniteGroup, in_channels: int, out_channels: int, bias: bool = True) -> None:
        super().__init__()
        need_positive(in_channels=in_channels, out_channels=out_channels)
        self.group, self.in_channels, self.out_channels = group, in_channels, out_channels
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, group.order))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.reset_parameters()
        # z[c, j] enters y[c', h] through W[c', c, h^-1 j]: copy h of the weights is their regular action.
        moved = moved_entries(group.transform_features, group, (in_channels, group.order))
        self.register_buffer("table", moved, persistent=False)
        self.register_buffer("places", places_of(moved), persistent=False)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """New random weights, of the variance that keeps a signal's size through a ReLU; the bias is zero."""
        scale = math.sqrt(2 / (self.in_channels * self.group.order))
        self.weight.copy_(torch.randn_like(self.weight) * scale)
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def extra_repr(self) -> str:
        return f"{self.group.name}, {self.in_channels}, {self.out_channels}, bias={self.bias is not None}"

    def expanded_weight(self) -> Float[Tensor, "out_width in_width"]:
        """The matrix of the plain linear map on flattened features that this layer is, (C'|G|, C|G|)."""
        width = self.out_channels * self.group.order
        return transformed_copies(self.weight, self.table, self.places, width, -1)

    def forward(self, features: Features) -> Float[Tensor, "batch out group"]:
        need_regular(features, self.group, self.in_channels, grid=False, like=self.weight)
        bias = None if self.bias is None else self.bias.repeat_interleave(self.group.order)
        flat = F.linear(features.flatten(1), self.expanded_weight(), bias)
        return flat.unflatten(1, (self.out_channels, self.group.order))


class GroupMLP(nn.Sequential):
    """An equivariant multi-layer perceptron, for use as projector or predictor.

    Linear maps on the group; between them batch norm and ReLU. ``nn.BatchNorm1d`` on (B, C, |G|) takes its
    statistics per channel over batch *and* group, which is what keeps the map equivariant, in training mode as
    well; on the flattened features it would not be (``FlatMLP``).

    Arguments:
        group: C_n or D_n, any n; over SO(2) and O(2) without hidden layers, since a ReLU of samples does not commute
            with turns between them.
        channels: widths C of input, hidden layers and output; at least two.
        norm_output: batch norm, without a learned scale, after the last map.

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> GroupMLP(cyclic(4), (16, 64, 32))(torch.randn(8, 16, 4)).shape
        torch.Size([8, 32, 4])
    """

    @typed
    def __init__(self, group: FiniteGroup, channels: Sequence[int], norm_output: bool = False) -> None:
        need_widths("channels", channels, least=2)
        if len(channels) > 2:
            need_finite(group, "a ReLU", "GroupLinear is equivariant")
        super().__init__(*_perceptron(partial(GroupLinear, group), channels, bias=not norm_output))
        if norm_output:
            self.append(nn.BatchNorm1d(channels[-1], affine=False))
        self.group, self.channels, self.out_channels = group, tuple(channels), channels[-1]


class FlatMLP(GroupState):
    """The naive head: flatten the group axis, then any multi-layer perceptron with ``BatchNorm1d``.

    Shapes fit and the loss falls, but the head is not equivariant: its weights and its batch statistics are
    different for each copy. A contrastive loss behind it does not absorb the turns of its inputs any more.

    Arguments:
        group: C_n or D_n, any n.
        channels: widths C of input, hidden layers and output, each times |G| numbers.
    """

    @typed
    def __init__(self, group: FiniteGroup, channels: Sequence[int]) -> None:
        super().__init__()
        need_widths("channels", channels, least=2)
        self.group, self.channels, self.out_channels = group, tuple(channels), channels[-1]
        widths = [width * group.order for width in channels]
        self.layers = nn.Sequential(*_perceptron(nn.Linear, widths))

    def forward(self, features: Features) -> Float[Tensor, "batch out group"]:
        need_regular(features, self.group, self.channels[0], grid=False, like=self.layers[0].weight)
        return self.layers(features.flatten(1)).unflatten(1, (self.out_channels, self.group.order))


def _perceptron(
    linear: Callable[..., nn.Module], widths: Sequence[int], bias: bool = True
) -> list[nn.Module]:
    """Linear maps through these widths, with batch norm and ReLU in between; has the last one a bias?"""
    layers: list[nn.Module] = []
    for width, next_width in itertools.pairwise(widths[:-1]):
        # No bias: the batch norm behind it has one.
        layers += [linear(width, next_width, bias=False), nn.BatchNorm1d(next_width), nn.ReLU()]
    return [*layers, linear(*widths[-2:], bias=bias)]
