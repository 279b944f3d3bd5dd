"""Numbers are compared finely enough: whatever a network computes in, and however large or small they are."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["fine", "norm", "precise", "size"]


def precise(z: Tensor) -> Tensor:
    """In single precision at least: a loss counts small differences, whatever the network computes in."""
    return z.to(torch.promote_types(z.dtype, torch.float32))


def fine(z: Tensor) -> Tensor:
    """In double precision, also integers, where the device has it; for errors, which are differences of near numbers.

    >>> (fine(torch.tensor([1], dtype=torch.uint8)) - fine(torch.tensor([2], dtype=torch.uint8))).item()
    -1.0
    """
    return precise(z) if z.device.type == "mps" else z.to(torch.promote_types(z.dtype, torch.float64))


def norm(z: Tensor) -> Tensor:
    """The Euclidean norm over all axes: squares neither overflow nor vanish, and are summed in double precision.

    >>> [f"{norm(torch.full((4,), x, dtype=torch.float64)):.1e}" for x in (1e-200, 1.0, 1e200)]
    ['2.0e-200', '2.0e+00', '2.0e+200']
    >>> norm(torch.full((4,), 3e-6, dtype=torch.float16)) > 0
    tensor(True)
    """
    length = (z := fine(z)).norm()
    if 1e-100 < length < torch.inf:  # nor did the squares
        return length
    scale = size(z)
    return scale * (z / scale).norm()


def size(*tensors: Tensor) -> Tensor:
    """The largest absolute value among all entries, to divide by: 1 where all are 0, NaN where one is."""
    largest = torch.stack([z.detach().abs().max() for z in tensors if z.numel()] or [torch.zeros(())]).max()
    return largest.where(largest != 0, 1)
