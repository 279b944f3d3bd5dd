"""Features of the parts of an input, put together to one regular field (docs/theory.md, the lift)."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from eqssl_edu.errors import need_instance, need_shape
from eqssl_edu.gsets import GSet
from eqssl_edu.tables import there

__all__ = ["lift_parts"]


def lift_parts(
    features: Float[Tensor, "batch part channel group"], positions: GSet
) -> Float[Tensor, "batch wide group"]:
    r"""Lift the features of P parts to an ordinary regular field with P * C channels.

    $$ U[(q, c), h] = F_{h \cdot q}[c, h] $$

    Turning the input by g moves the part at q to g.q *and* shifts the group axis of its features. In U both are
    one shift of the group axis: $U[(q, c), g^{-1} h]$. So any group layer and the universal head work on it. Parts
    that keep their places (h.q = q) are simply concatenated along the channels.

    Arguments:
        features: one regular field for each part.
        positions: the G-set of the parts.

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> import torch
        >>> tiles = GSet.grid(cyclic(4), 2)
        >>> lift_parts(torch.rand(3, 4, 8, 4), tiles).shape
        torch.Size([3, 32, 4])
    """
    need_instance("positions", positions, GSet)
    need_shape("features", features, "B", positions.size, "C", positions.group.order)
    index = there(positions.action, features.device).T  # [q, h] = h.q
    return features.gather(1, index[None, :, None].expand_as(features)).flatten(1, 2)
