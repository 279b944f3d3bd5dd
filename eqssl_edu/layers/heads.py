"""Heads: regular features to one logit per label."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.errors import need_positive, need_regular, need_shape, typed
from eqssl_edu.gsets import GSet
from eqssl_edu.layers.group_state import GroupState, labels_in_words
from eqssl_edu.layers.norm_pooling import GroupPool
from eqssl_edu.shapes import Features

__all__ = ["FreeHead", "GSetHead", "InvariantHead"]


class GSetHead(GroupState):
    r"""The universal equivariant head: regular features to one logit per label of a G-set.

    $$ o[l] = \sum_{c, g} F[c, g]\, W[c, g^{-1} \cdot l] + b_{\mathrm{orbit}(l)} $$

    It is every equivariant linear map from regular features to R^L, with |G| times fewer weights than a free
    head: turning the input moves the logits by the action on the labels (docs/theory.md, the universal head).

    Arguments:
        labels: the G-set L.
        in_channels: C of the features (B, C, |G|).

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> G = cyclic(4)
        >>> head, z = GSetHead(GSet.regular(G), in_channels=5), torch.randn(2, 5, 4)
        >>> torch.allclose(head(G.transform_features(z, 1)), head.labels.transform(head(z), 1), atol=1e-6)
        True
    """

    @typed
    def __init__(self, labels: GSet, in_channels: int) -> None:
        super().__init__()
        need_positive(in_channels=in_channels)
        self.labels, self.in_channels = labels, in_channels
        self.weight = nn.Parameter(torch.empty(in_channels, labels.size))
        self.bias = nn.Parameter(torch.empty(len(labels.orbits)))
        self.reset_parameters()
        self.register_buffer("index", labels.action[labels.group.inverse], persistent=False)
        self.register_buffer("orbit", labels.orbit_index, persistent=False)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """New random weights; the bias is zero."""
        fan_in = self.in_channels * self.labels.group.order
        self.weight.copy_(torch.randn_like(self.weight) / math.sqrt(fan_in))
        nn.init.zeros_(self.bias)

    def extra_repr(self) -> str:
        return f"{self.labels!r}, in_channels={self.in_channels}"

    def belongs_to(self) -> str:
        return labels_in_words(self.labels)

    def forward(self, features: Features) -> Float[Tensor, "batch label"]:
        need_regular(features, self.labels.group, self.in_channels, grid=False, like=self.weight)
        return torch.einsum("bcg,cgl->bl", features, self.weight[:, self.index]) + self.bias[self.orbit]


class InvariantHead(nn.Module):
    """The naive head: pool over the group, then a linear map. Its logits cannot move with the input.

    Arguments:
        labels: the label set L.
        in_channels: C of the features (B, C, |G|).
    """

    @typed
    def __init__(self, labels: GSet, in_channels: int) -> None:
        super().__init__()
        need_positive(in_channels=in_channels)
        self.labels, self.pool = labels, GroupPool(labels.group)
        self.linear = nn.Linear(in_channels, labels.size)

    def forward(self, features: Features) -> Float[Tensor, "batch label"]:
        need_regular(features, self.labels.group, None, grid=False, like=self.linear.weight)
        return self.linear(self.pool(features))


class FreeHead(nn.Linear):
    """The other naive head: flatten the group axis, then any linear map. It can learn; it is not equivariant.

    Arguments:
        labels: the label set L.
        in_channels: C of the features (B, C, |G'|); the group of the features may differ from the labels' (a
            plain CNN has |G'| = 1).
        order: |G'|.
    """

    @typed
    def __init__(self, labels: GSet, in_channels: int, order: int) -> None:
        need_positive(in_channels=in_channels, order=order)
        super().__init__(in_channels * order, labels.size)
        self.labels, self.in_channels, self.order = labels, in_channels, order

    def forward(self, features: Features) -> Float[Tensor, "batch label"]:
        need_shape("features", features, "B", self.in_channels, self.order, like=self.weight)
        return super().forward(features.flatten(1))
