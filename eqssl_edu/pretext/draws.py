"""Random draws that a task makes for a batch of images."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from eqssl_edu.groups import FiniteGroup

__all__ = ["random_elements"]


def random_elements(
    group: FiniteGroup, images: Float[Tensor, "batch channel height width"], generator: torch.Generator | None
) -> Int64[Tensor, " batch"]:
    """One element per image, uniform, on the images' device (drawn where the generator lives)."""
    device = generator.device if generator is not None else images.device
    return torch.randint(group.order, (len(images),), generator=generator, device=device).to(images.device)
