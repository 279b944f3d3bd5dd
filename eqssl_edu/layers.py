"""Exactly equivariant layers: norm, pooling, and heads for label sets; with the two convolutions.

Shapes: images (B, C, H, W); regular feature maps (B, C, |G|, H, W); regular features (B, C, |G|).
Pool the grid with torch's 3-d pooling and a window of 1 along the group axis: ``MaxPool3d((1, 2, 2))``.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.convolutions import GroupConv2d, LiftingConv2d
from eqssl_edu.errors import got, need_instance, need_positive
from eqssl_edu.exactness import exactness_violations
from eqssl_edu.groups import FiniteGroup, need_regular
from eqssl_edu.gsets import GSet

__all__ = [
    "FreeHead",
    "GSetHead",
    "GroupBatchNorm2d",
    "GroupConv2d",
    "GroupPool",
    "HalvingPool2d",
    "InvariantHead",
    "LiftingConv2d",
    "exactness_violations",
]


class GroupBatchNorm2d(nn.BatchNorm3d):
    """Batch norm of regular maps with statistics shared over the group axis: per channel over (B, |G|, H, W).

    Statistics for each (channel, element) would treat the copies differently and break the equivariance.

    Arguments:
        group: the group of the maps.
        channels: C of the maps (B, C, |G|, H, W).
    """

    def __init__(self, group: FiniteGroup, channels: int) -> None:
        need_instance("group", group, FiniteGroup)
        need_positive(channels=channels)
        super().__init__(channels)
        self.group = group

    def forward(
        self, maps: Float[Tensor, "batch channel group height width"]
    ) -> Float[Tensor, "batch channel group height width"]:
        need_regular(maps, self.group, self.num_features, grid=True)
        return super().forward(maps)


class GroupPool(nn.Module):
    """Pool over the group axis: regular to invariant, (B, C, |G|, ...) -> (B, C, ...).

    Features become invariant vectors; feature maps still turn, but no channel moves.

    Arguments:
        group: the group of the features.
        kind: "max" or "mean".
    """

    def __init__(self, group: FiniteGroup, kind: str = "max") -> None:
        super().__init__()
        need_instance("group", group, FiniteGroup)
        if kind not in ("max", "mean"):
            raise ValueError(f"kind must be 'max' or 'mean', {got(kind)}")
        self.group, self.kind = group, kind

    def forward(
        self, features: Float[Tensor, "batch channel group *grid"]
    ) -> Float[Tensor, "batch channel *grid"]:
        need_instance("features", features, Tensor)
        need_regular(features, self.group, None, grid=features.ndim == 5)
        return features.amax(dim=2) if self.kind == "max" else features.mean(dim=2)


class HalvingPool2d(nn.Module):
    """Halve the grid by averages, exactly at every size: windows of 2 on even sizes, padded ones of 3 on odd.

    Rule E1 asks that (S + 2p - k) be even for a stride of 2; this layer chooses k and p so that it always is.
    (B, C, |G|, H, W) -> (B, C, |G|, ceil(H/2), ceil(W/2)).
    """

    def forward(
        self, maps: Float[Tensor, "batch channel group height width"]
    ) -> Float[Tensor, "batch channel group half_height half_width"]:
        need_instance("maps", maps, Tensor)
        if maps.ndim != 5:
            raise ValueError(f"maps must have shape (B, C, |G|, H, W), {got(maps)}")
        odd = [size % 2 for size in maps.shape[-2:]]
        window, padding = [2 + o for o in odd], odd
        planes = F.avg_pool2d(maps.flatten(1, 2), window, 2, padding, count_include_pad=False)
        return planes.unflatten(1, maps.shape[1:3])


class GSetHead(nn.Module):
    r"""The universal equivariant head: regular features to one logit per label of a G-set.

    $$ o[l] = \sum_{c, g} F[c, g]\, W[c, g^{-1} \cdot l] + b_{\mathrm{orbit}(l)} $$

    It is every equivariant linear map from regular features to R^L, with |G| times fewer weights than a free
    head: turning the input moves the logits by the action on the labels (THEORY T7).

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

    def __init__(self, labels: GSet, in_channels: int) -> None:
        super().__init__()
        need_instance("labels", labels, GSet)
        need_positive(in_channels=in_channels)
        self.labels = labels
        self.in_channels = in_channels
        fan_in = in_channels * labels.group.order
        self.weight = nn.Parameter(torch.randn(in_channels, labels.size) / math.sqrt(fan_in))
        self.bias = nn.Parameter(torch.zeros(len(labels.orbits)))
        self.register_buffer("index", labels.action[labels.group.inverse], persistent=False)
        self.register_buffer("orbit", labels.orbit_index, persistent=False)

    def extra_repr(self) -> str:
        return f"{self.labels!r}, in_channels={self.in_channels}"

    def forward(self, features: Float[Tensor, "batch channel group"]) -> Float[Tensor, "batch label"]:
        need_regular(features, self.labels.group, self.in_channels, grid=False)
        return torch.einsum("bcg,cgl->bl", features, self.weight[:, self.index]) + self.bias[self.orbit]


class InvariantHead(nn.Module):
    """The naive head: pool over the group, then a linear map. Its logits cannot move with the input (T1).

    Arguments:
        labels: the label set L.
        in_channels: C of the features (B, C, |G|).
    """

    def __init__(self, labels: GSet, in_channels: int) -> None:
        super().__init__()
        need_instance("labels", labels, GSet)
        need_positive(in_channels=in_channels)
        self.labels = labels
        self.pool = GroupPool(labels.group)
        self.linear = nn.Linear(in_channels, labels.size)

    def forward(self, features: Float[Tensor, "batch channel group"]) -> Float[Tensor, "batch label"]:
        need_regular(features, self.labels.group, self.linear.in_features, grid=False)
        return self.linear(self.pool(features))


class FreeHead(nn.Linear):
    """The other naive head: flatten the group axis, then any linear map. It can learn; it is not equivariant.

    Arguments:
        labels: the label set L.
        in_channels: C of the features (B, C, |G'|); the group of the features may differ from the labels' (a
            plain CNN has |G'| = 1).
        order: |G'|.
    """

    def __init__(self, labels: GSet, in_channels: int, order: int) -> None:
        need_instance("labels", labels, GSet)
        need_positive(in_channels=in_channels, order=order)
        super().__init__(in_channels * order, labels.size)
        self.labels = labels
        self.in_channels, self.order = in_channels, order

    def forward(self, features: Float[Tensor, "batch channel group"]) -> Float[Tensor, "batch label"]:
        need_instance("features", features, Tensor)
        if features.ndim != 3 or features.shape[1:] != (self.in_channels, self.order):
            raise ValueError(
                f"features must have shape (B, {self.in_channels}, {self.order}), {got(features)}"
            )
        return super().forward(features.flatten(1))
