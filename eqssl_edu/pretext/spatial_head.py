"""A head that is often seen and breaks the symmetry: flatten the feature maps with their grid."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.errors import got, need_instance, need_positive
from eqssl_edu.gsets import GSet

__all__ = ["SpatialHead"]


class SpatialHead(nn.Linear):
    """The naive head on feature maps: flatten channels, group axis and grid, then any linear map.

    It can learn. It is not equivariant, even if its group axis were treated well: each pixel of the map has its own
    weights, and turning the input moves the pixels.

    Arguments:
        labels: the label set L.
        in_channels: C of the maps (B, C, |G|, side, side): the encoder's channels times the parts of an input.
        order: |G|, of the encoder.
        side: of the maps in pixels.
    """

    def __init__(self, labels: GSet, in_channels: int, order: int, side: int) -> None:
        need_instance("labels", labels, GSet)
        need_positive(in_channels=in_channels, order=order, side=side)
        super().__init__(in_channels * order * side**2, labels.size)
        self.labels, self.shape = labels, (in_channels, order, side, side)

    def forward(
        self, maps: Float[Tensor, "batch channel group height width"]
    ) -> Float[Tensor, "batch label"]:
        if maps.ndim != 5 or maps.shape[1:] != self.shape:
            raise ValueError(f"maps must have shape (B, {', '.join(map(str, self.shape))}), {got(maps)}")
        return super().forward(maps.flatten(1))
