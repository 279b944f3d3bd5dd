"""Random views of images for contrastive learning: batched, on the images' device, from a given generator.

They are written here because the augmentation libraries draw from PyTorch's global generator, and because the group
element that turned a view has to be at hand afterwards.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Int64
from torch import Tensor

from eqssl_edu.data.textures import textures
from eqssl_edu.errors import may_ask, need_choice, need_exact, need_instance, need_number, need_shape
from eqssl_edu.groups import FiniteGroup, cyclic, random_elements
from eqssl_edu.precision import precise
from eqssl_edu.shapes import Images

__all__ = ["RandomView", "View"]


class View(NamedTuple):
    """One view of each image, and the element that turned it last: the identity where nothing was turned."""

    images: Images
    elements: Int64[Tensor, " batch"]


class _Draws(NamedTuple):
    """Random numbers for each image, drawn where the generator lives and brought to where the images are."""

    images: Images
    generator: torch.Generator

    def uniform(self, *shape: int) -> Tensor:
        """(B, *shape), in [-1, 1)."""
        how = {"generator": self.generator, "device": self.generator.device, "dtype": torch.float32}
        drawn = torch.rand(len(self.images), *shape, **how)
        return (2 * drawn - 1).to(self.images)

    def normal(self, *shape: int) -> Tensor:
        """(B, *shape), mean 0 and variance 1."""
        how = {"generator": self.generator, "device": self.generator.device, "dtype": torch.float32}
        drawn = torch.randn(len(self.images), *shape, **how)
        return drawn.to(self.images)

    def textures(self) -> Tensor:
        """Like the images, mean 0 and variance about 1: a texture of its own for each channel."""
        count, channels, height, width = self.images.shape
        patterns = textures(count * channels, max(height, width), self.generator)
        return patterns.view(count, channels, *patterns.shape[-2:])[..., :height, :width].to(self.images)


@dataclass(eq=False)
class RandomView:
    """A random change of every image, and then a turn by a group element.

    The changes, in this order, each with its own random numbers for each image: where the picture is looked at
    (crop, scale, shift, small rotation: one interpolation, the surroundings are the picture mirrored at its edges);
    another texture mixed in; inversion; contrast; colour; noise. What a view changes, the network learns to ignore:
    what all views keep (a background, say) it may rely on.

    Arguments:
        group: turn each view by its own uniform random element of this group; None leaves it upright. Nothing else
            depends on it: the same generator gives the same views with every group, but for the turns.
        scale: the largest change of size, as a fraction.
        shift: the largest shift, as a fraction of the image's side.
        contrast: the largest change of contrast, as a fraction.
        noise: standard deviation of the pixel noise, as a fraction of the range of values.
        crop: the largest part of the side that a crop leaves out; what is left fills the view.
        rotation: the largest rotation, in degrees.
        texture: the largest weight of the texture that is mixed in.
        inversion: the probability that x becomes 1 - x, black white.
        colour: the largest change of each channel on its own, as a fraction.
        limits: the values of black and white; bytes as numbers have (0, 255). Values further outside than the range is
            wide are refused, where they meet noise, a texture or an inversion.

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> RandomView(cyclic(4))(torch.rand(8, 1, 16, 16), torch.Generator().manual_seed(0)).shape
        torch.Size([8, 1, 16, 16])
    """

    group: FiniteGroup | None = None
    scale: float = 0.2
    shift: float = 0.1
    contrast: float = 0.4
    noise: float = 0.1
    crop: float = 0.0
    rotation: float = 0.0
    texture: float = 0.0
    inversion: float = 0.0
    colour: float = 0.0
    limits: tuple[float, float] = (0.0, 1.0)

    def __post_init__(self) -> None:
        for name in ("scale", "shift", "contrast", "noise", "crop", "texture", "colour"):
            need_number(name, getattr(self, name), least=0, below=1)
        need_number("inversion", self.inversion, least=0, most=1)
        need_number("rotation", self.rotation, least=0, most=180)
        need_instance("limits", self.limits, (tuple, list))
        need_choice("len(limits)", len(self.limits), [2])
        need_number("limits[1]", self.limits[1], above=need_number("limits[0]", self.limits[0]))
        if self.group is not None:
            need_exact(self.group)

    def __call__(self, images: Images, generator: torch.Generator | None = None) -> Images:
        """One view of each image."""
        return self.sample(images, generator).images

    def sample(self, images: Images, generator: torch.Generator | None = None) -> View:
        """One view of each image together with the element that turned it.

        Whoever knows the element can turn the view back, or its features; an invariant loss need not know it.
        """
        need_shape("images", images, "B", "C", "H", "W", floating=True)
        need_instance("generator", generator, (torch.Generator, type(None)))
        if generator is None:  # one that follows from the global generator
            generator = torch.Generator().manual_seed(int(torch.randint(2**62, (), device="cpu")))
        low, high = self.limits
        scaled = (precise(images) - low) / (high - low)
        if scaled.numel() and (self.noise or self.texture or self.inversion) and may_ask(scaled):
            least, most = (float(bound) for bound in scaled.detach().aminmax())
            if not (least >= -1 and most <= 2):  # noise of other views may lie a little outside
                extent = " .. ".join(f"{bound * (high - low) + low:.3g}" for bound in (least, most))
                raise ValueError(
                    f"images must have values within the limits of the view, {low:g} .. {high:g}, got {extent}; scale "
                    "them, or say RandomView(..., limits=(black, white))"
                )
        draws = _Draws(scaled, generator)
        views = self._shaded(self._looked_at(scaled, draws), draws) * (high - low) + low
        views = views.to(images.dtype)
        # Drawn without a group, too: so all other draws, of this and of later calls, are the same with every group.
        group = self.group or cyclic(1)
        elements = random_elements(group, views, generator)
        return View(group.transform(views, elements), elements)

    def _looked_at(self, images: Tensor, draws: _Draws) -> Tensor:
        """Crop, scale, shift and rotate in one interpolation."""
        if not (len(images) and (self.scale or self.shift or self.crop or self.rotation)):
            return images
        # Where in the input (coordinates from -1 to 1) each pixel of the view looks. Larger steps in the input make
        # the content smaller: 1 / size.
        step = 1 / (1 + self.scale * draws.uniform(1))
        offset = 2 * self.shift * draws.uniform(2)
        if self.crop:
            left_out = self.crop * (1 + draws.uniform(1)) / 2
            step = step * (1 - left_out)
            offset = offset + left_out * draws.uniform(2)
        angle = self.rotation * math.pi / 180 * draws.uniform(1) if self.rotation else torch.zeros_like(step)
        aspect = images.shape[-2] / images.shape[-1]  # the coordinates are stretched on oblong images
        cos, sin = step * angle.cos(), step * angle.sin()
        frame = torch.stack([cos, -sin * aspect, offset[:, :1], sin / aspect, cos, offset[:, 1:]], dim=1)
        with torch.autocast(images.device.type, enabled=False):  # half precision would round places
            grid = F.affine_grid(frame.view(-1, 2, 3), list(images.shape), align_corners=False)
        return F.grid_sample(images, grid, padding_mode="reflection", align_corners=False)

    def _shaded(self, views: Tensor, draws: _Draws) -> Tensor:
        """Texture, inversion, contrast, colour and noise."""
        if self.texture:
            weight = self.texture * (1 + draws.uniform(1, 1, 1)) / 2
            views = (1 - weight) * views + weight * (0.5 + 0.25 * draws.textures())
        if self.inversion:
            inverted = draws.uniform(1, 1, 1) < 2 * self.inversion - 1
            views = torch.where(inverted, 1 - views, views)
        if self.contrast:
            views = views * (1 + self.contrast * draws.uniform(1, 1, 1))
        if self.colour:
            views = views * (1 + self.colour * draws.uniform(views.shape[1], 1, 1))
        if self.noise:
            views = views + self.noise * draws.normal(*views.shape[1:])
        return views
