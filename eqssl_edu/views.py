"""Random views of images for contrastive learning: batched, on the images' device, from a given generator."""

from __future__ import annotations

from numbers import Real

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.errors import got, need_instance
from eqssl_edu.groups import FiniteGroup, need_exact
from eqssl_edu.pretext import random_elements

__all__ = ["RandomView"]


class RandomView:
    """A random small change of every image: scale, shift, contrast, noise; then a turn by a group element.

    Arguments:
        group: turn each view by its own uniform random element of this group; None leaves it upright.
        scale: the largest change of size, as a fraction.
        shift: the largest shift, as a fraction of the image's side.
        contrast: the largest change of contrast, as a fraction.
        noise: standard deviation of the pixel noise; the images' values are in [0, 1].

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> RandomView(cyclic(4))(torch.rand(8, 1, 16, 16), torch.Generator().manual_seed(0)).shape
        torch.Size([8, 1, 16, 16])
    """

    def __init__(
        self,
        group: FiniteGroup | None = None,
        scale: float = 0.2,
        shift: float = 0.1,
        contrast: float = 0.4,
        noise: float = 0.1,
    ) -> None:
        for name, value in {"scale": scale, "shift": shift, "contrast": contrast, "noise": noise}.items():
            if not isinstance(value, Real) or not 0 <= value < 1:
                raise ValueError(f"{name} must be at least 0 and below 1, {got(value)}")
        if group is not None:
            need_exact(group)
        self.group = group
        self.scale, self.shift, self.contrast, self.noise = scale, shift, contrast, noise

    def __call__(
        self, images: Float[Tensor, "batch channel height width"], generator: torch.Generator | None = None
    ) -> Float[Tensor, "batch channel height width"]:
        need_instance("images", images, Tensor)
        if images.ndim != 4 or not images.is_floating_point():
            raise ValueError(f"images must be floating point of shape (B, C, H, W), {got(images)}")
        device = generator.device if generator is not None else images.device

        def uniform(*shape: int) -> Tensor:  # in [-1, 1]
            return (2 * torch.rand(*shape, generator=generator, device=device) - 1).to(images)

        count = len(images)
        frame = torch.zeros(count, 2, 3, dtype=images.dtype, device=images.device)
        # Larger steps in the input make the content smaller: 1 / size.
        frame[:, 0, 0] = frame[:, 1, 1] = 1 / (1 + self.scale * uniform(count))
        frame[:, :, 2] = 2 * self.shift * uniform(count, 2)
        grid = F.affine_grid(frame, list(images.shape), align_corners=False)
        views = F.grid_sample(images, grid, align_corners=False)
        views = views * (1 + self.contrast * uniform(count, 1, 1, 1))
        views = views + self.noise * torch.randn(views.shape, generator=generator, device=device).to(images)
        if self.group is None:
            return views
        return self.group.transform(views, random_elements(self.group, views, generator))
