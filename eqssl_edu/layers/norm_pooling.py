"""Norm and pooling of regular features and maps, exactly equivariant."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.errors import need_choice, need_finite, need_positive, need_regular, need_shape, typed
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.shapes import Maps

__all__ = ["GroupBatchNorm2d", "GroupPool", "HalvingPool2d"]


class GroupBatchNorm2d(nn.BatchNorm3d):
    """Batch norm of regular maps with statistics shared over the group axis: per channel over (B, |G|, H, W).

    Statistics for each (channel, element) would treat the copies differently and break the equivariance.

    Arguments:
        group: the group of the maps.
        channels: C of the maps (B, C, |G|, H, W).
    """

    @typed
    def __init__(self, group: FiniteGroup, channels: int) -> None:
        need_positive(channels=channels)
        super().__init__(channels)
        self.group = group


class GroupPool(nn.Module):
    """Pool over the group axis: regular to invariant, (B, C, |G|, ...) -> (B, C, ...).

    Features become invariant vectors; feature maps still turn, but no channel moves.

    Arguments:
        group: the group of the features.
        kind: "max" or "mean"; over SO(2) and O(2) "mean" alone is invariant.
    """

    @typed
    def __init__(self, group: FiniteGroup, kind: str = "max") -> None:
        super().__init__()
        need_choice("kind", kind, ("max", "mean"))
        if kind == "max":
            need_finite(group, "a maximum", "the mean is invariant")
        self.group, self.kind = group, kind

    def forward(
        self, features: Float[Tensor, "batch channel group *grid"]
    ) -> Float[Tensor, "batch channel *grid"]:
        need_regular(features, self.group, None, grid=getattr(features, "ndim", 0) == 5)
        return features.amax(dim=2) if self.kind == "max" else features.mean(dim=2)


class HalvingPool2d(nn.Module):
    """Halve the grid by averages, exactly at every size: windows of 2 on even sizes, padded ones of 3 on odd.

    Rule E1 asks that (S + 2p - k) be even for a stride of 2; this layer chooses k and p so that it always is.
    (B, C, |G|, H, W) -> (B, C, |G|, ceil(H/2), ceil(W/2)).
    """

    def forward(self, maps: Maps) -> Float[Tensor, "batch channel group half_height half_width"]:
        need_shape("maps", maps, "B", "C", "G", "H", "W", floating=True)
        odd = [size % 2 for size in maps.shape[-2:]]
        window, padding = [2 + o for o in odd], odd
        planes = F.avg_pool2d(maps.flatten(1, 2), window, 2, padding, count_include_pad=False)
        return planes.unflatten(1, maps.shape[1:3])
