"""Regular features: their type, the door through which they come, their precision and length."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.circle.correlation import limited
from eqssl_edu.errors import need_choice, need_instance, need_integer, need_shape
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.precision import precise
from eqssl_edu.shapes import Features

__all__ = ["Features", "Others", "need_pairs", "unit", "unit_views"]

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


def need_pairs(
    group: FiniteGroup, least: int | None = None, finite: bool = False, **features: object
) -> None:
    """Raise unless all are regular features (B, C, |G|) of one width, type and device.

    With ``least`` they must be of one batch size as well, and at least so many; with ``finite`` finite. This is the
    one door of features: behind it nothing asks again.
    """
    need_instance("group", group, FiniteGroup)
    (name, first), *others = features.items()
    need_shape(name, first, "B", "C", group.order, floating=True, finite=finite)
    if least is not None:
        need_integer(f"len({name})", len(first), least)
    for name, z in others:
        shape = "B" if least is None else len(first), first.shape[1], group.order
        need_shape(name, z, *shape, floating=True, finite=finite)
        need_choice(f"{name}.dtype", z.dtype, [first.dtype])
        need_choice(f"{name}.device", z.device, [first.device])
