"""Regular features: their type, their precision and length."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.circle.correlation import limited
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.precision import precise
from eqssl_edu.shapes import Features

__all__ = ["Features", "Others", "unit", "unit_views"]

Others = Float[Tensor, "other channel group"]  # that meet each of the features


def unit(z: Float[Tensor, "batch ..."]) -> Float[Tensor, "batch ..."]:
    """Scaled to length 1 over channels and group together. A zero vector has no direction: it stays zero."""
    # First by the largest entry: squares of very large or small features overflow, or vanish.
    axes, scaled = tuple(range(1, z.ndim)), precise(z)
    largest = scaled.detach().abs().amax(axes, keepdim=True)
    scaled = scaled / largest.where(largest != 0, 1)
    squares = scaled.square().sum(axes, keepdim=True).clamp_min(1e-24)
    # Times the inverse length: the backward pass then holds fewer copies than that of a quotient.
    return (scaled * squares.rsqrt()).to(z.dtype)


def unit_views(group: FiniteGroup, *views: Features) -> Float[Tensor, "views channel group"]:
    """Joined, and of length 1; over SO(2) and O(2) without what no turn acts on."""
    return torch.cat([unit(limited(group, z)) for z in views])
