"""Random offsets in pixels, of a patch or of a tile's crop, and how they turn with the image."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from eqssl_edu.groups import FiniteGroup

__all__ = ["random_offsets", "turn_offsets"]


def random_offsets(
    count: int,
    reach: int,
    images: Float[Tensor, "batch channel height width"],
    generator: torch.Generator | None,
) -> Int64[Tensor, "batch count 2"]:
    """``count`` offsets (rows down, columns right) per image, each entry uniform in -reach .. reach pixels."""
    device = generator.device if generator is not None else images.device
    shape = (len(images), count, 2)
    return torch.randint(-reach, reach + 1, shape, generator=generator, device=device).to(images.device)


def turn_offsets(group: FiniteGroup, offsets: Int64[Tensor, "*batch 2"], g: int) -> Int64[Tensor, "*batch 2"]:
    """g acts on offsets (rows down, columns right) as it moves the pixels of an image around its centre."""
    down, right = offsets.unbind(-1)
    if g >= group.rotations:
        right = -right  # first the flip of the last axis
    for _ in range(4 * (g % group.rotations) // group.rotations):
        down, right = -right, down  # a quarter turn counter-clockwise
    return torch.stack([down, right], dim=-1)
