"""The augmentation with which plain networks on CIFAR-10 were published, batched and drawn from a generator."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.groups import FiniteGroup, cyclic, random_elements

__all__ = ["PublishedView"]

Images = Float[Tensor, "batch channel height width"]


@dataclass(eq=False)
class PublishedView:
    """A random resized crop, a mirror image, other colours, and then a turn by a group element.

    The crop has 8 to 100 % of the area and sides of 3 : 4 to 4 : 3. With probability .8 brightness, contrast and
    saturation change by up to 40 % and the hue by up to 10 % of the circle, in this order; with .2 the picture is grey.
    Nothing is asked of the values, so nothing makes a GPU wait.

    Arguments:
        group: turn each view by its own uniform random element of this group; None leaves it as it is.

    References:
        The CIFAR-10 benchmark of lightly: SimCLR with ``input_size=32, cj_strength=0.5, gaussian_blur=0``.
    """

    group: FiniteGroup | None = None

    def __call__(self, images: Images, generator: torch.Generator) -> Images:
        """One view of each image, values in 0 .. 1."""

        def uniform(low: float, high: float) -> Float[Tensor, "batch 1 1 1"]:
            drawn = torch.rand(len(images), 1, 1, 1, generator=generator, device=generator.device)
            return low + (high - low) * drawn.to(images.device)

        views = coloured(cropped(images, uniform), uniform)
        group = self.group or cyclic(1)  # drawn without a group, too: all other draws stay the same
        return group.transform(views, random_elements(group, views, generator)).to(images.dtype)


def cropped(images: Images, uniform) -> Images:
    """Part of each picture as a whole one, every second time mirrored: one interpolation."""
    area, ratio = uniform(0.08, 1), uniform(math.log(3 / 4), math.log(4 / 3)).exp()
    width, height = (area * ratio).sqrt().clamp(max=1), (area / ratio).sqrt().clamp(max=1)
    right, down = (1 - width) * uniform(-1, 1), (1 - height) * uniform(-1, 1)
    across = width * uniform(-1, 1).sign()
    zero = torch.zeros_like(width)
    frame = torch.cat([across, zero, right, zero, height, down], dim=1).view(-1, 2, 3)
    with torch.autocast(images.device.type, enabled=False):  # half precision would round places
        grid = F.affine_grid(frame, list(images.shape), align_corners=False)
    return F.grid_sample(images.float(), grid, padding_mode="reflection", align_corners=False)


def coloured(images: Images, uniform) -> Images:
    """Other brightness, contrast, saturation and hue of each picture; or grey."""

    def grey(pictures: Images) -> Float[Tensor, "batch 1 height width"]:
        red, green, blue = pictures.split(1, dim=1)
        return 0.299 * red + 0.587 * green + 0.114 * blue

    changed = (images * uniform(0.6, 1.4)).clamp(0, 1)
    mean = grey(changed).mean(dim=(-2, -1), keepdim=True)
    changed = torch.lerp(mean.expand_as(changed), changed, uniform(0.6, 1.4)).clamp(0, 1)
    changed = torch.lerp(grey(changed).expand_as(changed), changed, uniform(0.6, 1.4)).clamp(0, 1)
    changed = turned_hue(changed, 2 * math.pi * uniform(-0.1, 0.1)).clamp(0, 1)
    views = torch.where(uniform(0, 1) < 0.8, changed, images)
    return torch.where(uniform(0, 1) < 0.2, grey(views).expand_as(views), views)


def turned_hue(images: Images, angle: Float[Tensor, "batch 1 1 1"]) -> Images:
    """A rotation of the colours about the axis of greys, by Rodrigues' formula."""
    red, green, blue = images.split(1, dim=1)
    cross = torch.cat([blue - green, red - blue, green - red], dim=1) / math.sqrt(3)
    mean = images.mean(dim=1, keepdim=True)
    return images * angle.cos() + cross * angle.sin() + mean * (1 - angle.cos())
