"""Random offsets in pixels, of a patch or of a tile's crop, and how they turn with the image."""

from __future__ import annotations

import torch
from jaxtyping import Int64
from torch import Tensor

from eqssl_edu.groups import FiniteGroup
from eqssl_edu.pretext.task import Images

__all__ = ["Offsets", "random_offsets", "turn_offsets"]

Offsets = Int64[Tensor, "batch part 2"]  # (rows down, columns right) of each part, in pixels


def random_offsets(count: int, reach: int, images: Images, generator: torch.Generator | None) -> Offsets:
    """``count`` offsets per image, each entry uniform in -reach .. reach pixels."""
    device = generator.device if generator is not None else images.device
    shape = (len(images), count, 2)
    return torch.randint(-reach, reach + 1, shape, generator=generator, device=device).to(images.device)


def turn_offsets(group: FiniteGroup, offsets: Offsets, g: int) -> Offsets:
    """g acts on offsets as it moves the pixels of an image around its centre."""
    down, right = offsets.unbind(-1)
    if g >= group.rotations:
        right = -right  # first the flip of the last axis
    for _ in range(4 * (g % group.rotations) // group.rotations):
        down, right = -right, down  # a quarter turn counter-clockwise
    return torch.stack([down, right], dim=-1)
