"""What one call of a layer gives: a tensor that may hold maps, or the reason why it cannot."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor

from eqssl_edu.diagnostics.escnn_maps import EscnnFields
from eqssl_edu.groups import FiniteGroup

__all__ = ["Found", "Output", "attends", "is_random", "parts_of", "tensor_in"]

RANDOM = 0.05  # relative: two results for one image differ by no more (in bfloat16 by some roundings)


class Output(NamedTuple):
    """What one call of a layer has given."""

    name: str
    kind: str  # class of the module
    shape: tuple[int, ...] = ()
    index: int = 0  # of the tensor among all that it gave
    group: FiniteGroup | None = None  # of axis 2, as a module says
    convolves: bool = False
    attends: bool = False  # its rows sum to 1
    trouble: str = ""  # why these can be no maps


class Found(NamedTuple):
    """A tensor, the group of its axis 2 if escnn says it, and why it can be no maps."""

    tensor: Tensor | None = None
    group: FiniteGroup | None = None
    trouble: str = ""


def parts_of(output: object) -> list[object]:
    """The tensors of a nested output (dict, list, dataclass), and whatever else is in it, in order."""
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        output = {field.name: getattr(output, field.name) for field in dataclasses.fields(output)}
    if isinstance(output, (Mapping, list, tuple)):
        parts = output.values() if isinstance(output, Mapping) else output
        return [part for each in parts for part in parts_of(each)]
    return [] if output is None else [output]


def tensor_in(part: object, batch: int, fields: EscnnFields | None) -> Found:
    """The tensor of a part of an output, for so many images."""
    if fields and fields.knows(part):
        return Found(*fields.maps(part))
    part = part if isinstance(part, Tensor) else getattr(part, "tensor", None)  # as e2cnn's fields keep it
    if not isinstance(part, Tensor):
        return Found(trouble="gives no tensor")
    if not part.is_floating_point() or part.is_nested or part.layout != torch.strided:
        return Found(trouble=f"gives {part.dtype} numbers, {part.layout}")
    if not part.ndim or len(part) != batch:
        return Found(trouble=f"gives {tuple(part.shape)} for {batch} images")
    if part.ndim < 3:
        return Found(trouble=f"gives (B{''.join(f', {n}' for n in part.shape[1:])}), no maps")
    return Found(part)


def is_random(maps: Tensor) -> bool:
    """Do the two results for one image differ? NaN is said elsewhere."""
    first, second = maps[:2].float()
    return bool((first - second).norm() > RANDOM * first.norm())


def attends(maps: Tensor) -> bool:
    """Are the last two axes a matrix whose rows sum to 1?"""
    square = maps.shape[-1] == maps.shape[-2] and bool((maps >= 0).all())
    return square and torch.allclose(maps.sum(-1), maps.new_ones(()), atol=0.02)
