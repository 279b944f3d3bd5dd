"""Checkers of what takes a group, a ``FiniteGroup`` (this room is below it): elements, features, images, encoders."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Int64
from torch import Tensor

from eqssl_edu.errors.tensors import need_integers, need_shape
from eqssl_edu.errors.values import got, need_choice, need_integer

__all__ = [
    "need_elements",
    "need_encoder",
    "need_exact",
    "need_finite",
    "need_grid",
    "need_pairs",
    "need_regular",
]


def need_exact(group: Any, name: str = "group") -> None:
    """Raise unless every element of the group maps a pixel grid to itself."""
    if not hasattr(group, "exact_on_grid"):
        raise TypeError(f"{name} must be a FiniteGroup, {got(group)}")
    if not group.exact_on_grid:
        raise ValueError(
            f"{name} must map the pixel grid to itself (C1, C2, C4, D1, D2, D4; eqssl_edu.steerable has encoders "
            f"for the others), got {group.name}"
        )


def need_finite(group: Any, what: str, instead: str) -> None:
    """Raise where a group is known by samples only, as SO(2) is, and looking at these alone would be wrong."""
    if not group.is_finite:
        why = f"{what} sees the samples of {group.name} alone, and turns between them break it ({instead})"
        raise ValueError(f"group must be finite: {why}, got {group!r}")


def need_pairs(group: Any, least: int | None = None, finite: bool = False, **features: object) -> None:
    """Raise unless all are regular features (B, C, |G|) of one width, type and device.

    With ``least`` they must be of one batch size as well, and at least so many; with ``finite`` finite. This is the
    one door of features: behind it nothing asks again.
    """
    if not hasattr(group, "exact_on_grid"):
        raise TypeError(f"group must be a FiniteGroup, {got(group)}")
    (name, first), *others = features.items()
    need_shape(name, first, "B", "C", group.order, floating=True, finite=finite)
    if least is not None:
        need_integer(f"len({name})", len(first), least)
    for name, z in others:
        shape = "B" if least is None else len(first), first.shape[1], group.order
        need_shape(name, z, *shape, floating=True, finite=finite)
        need_choice(f"{name}.dtype", z.dtype, [first.dtype])
        need_choice(f"{name}.device", z.device, [first.device])


def need_regular(
    features: Tensor, group: Any, channels: int | None, grid: bool, like: Tensor | None = None
) -> None:
    """Raise unless ``features`` are regular features (or maps) of this group, with so many channels."""
    shape = ("B", channels or "C", group.order, *("H", "W")[: 2 * grid])
    need_shape("maps" if grid else "features", features, *shape, floating=True, like=like)


def need_encoder(encoder: Any) -> int:
    """The channels of an encoder. Raises unless it says of which group its features are, and how many."""
    if not hasattr(getattr(encoder, "group", None), "exact_on_grid"):
        wanted = "a .group and .out_channels, as GroupCNN has (SymmetrizedEncoder gives them to any network)"
        raise TypeError(f"encoder must have {wanted}, {got(encoder)}")
    return need_integer("encoder.out_channels", getattr(encoder, "out_channels", None), 1)


def need_elements(
    group: Any, g: int | Tensor, batch: Tensor, name: str, own_axes: int
) -> int | Int64[Tensor, " samples"]:
    """One element as an int, or a LongTensor with one per sample of a batch: it has an axis more than a sample."""
    if not isinstance(g, Tensor) or not g.ndim:
        return need_integer("g", g, 0, group.order - 1)
    need_integers("g", g, below=group.order)
    if batch.ndim <= own_axes or g.shape != batch.shape[:1]:
        raise ValueError(f"g must hold one element per sample of {name}, {got(g)} for {tuple(batch.shape)}")
    return g


def need_grid(group: Any, g: int | Tensor, images: Tensor, name: str, own_axes: int) -> int | Tensor:
    """``need_elements``; ValueError unless each of them maps the pixels of these images to pixels."""
    g = need_elements(group, g, images, name, own_axes)
    height, width = images.shape[-2:]
    for element in [] if group.exact_on_grid and height == width else torch.as_tensor(g).flatten().tolist():
        turn = group.degrees(element)
        if turn % 90:
            raise ValueError(
                f"g = {element} of {group.name} turns by {turn:g} degrees, which does not map the pixel grid to "
                f"itself; use rotate(images, degrees) for an approximation"
            )
        if turn % 180 and height != width:
            raise ValueError(f"{name} must be square to turn by {turn:g} degrees, got {height} x {width}")
    return g
