"""Relative location by a vector: how far, and in which direction, from the first patch to the second one?"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.circle import turn_arrows
from eqssl_edu.errors import got, need_integer, need_shape, typed
from eqssl_edu.groups import random_integers
from eqssl_edu.precision import precise
from eqssl_edu.pretext.angle import CircleTask, Degrees, Inputs, on_disc
from eqssl_edu.shapes import Images
from eqssl_edu.tables import table

__all__ = ["OffsetTask"]

Vectors = Float[Tensor, "batch 2"]  # (up, left) in pixels: arrows


class OffsetTask(CircleTask):
    r"""Where does the second patch lie, seen from the first? The label is the vector d, (up, left) in pixels.

    ``RelativeLocationTask`` knows eight sides; here d is any vector of a ring, so the answer is an arrow of type 1:
    $\mathrm{patches}(\theta x, R(\theta) d) = \theta \cdot \mathrm{patches}(x, d)$, bit for bit at quarter turns.
    The place of the first patch turns with the image as well.

    Inputs are (B, 2 C, patch, patch): the channels of the first patch and then those of the second, so that the
    encoder sees both at once (``in_channels`` is twice that of the images). Both are cut to discs, or the corners
    of a turned patch would tell by how much. The head answers in units of the longest vector.

    Arguments:
        patch: side of a patch in pixels; even for images of an even side, odd for odd ones.
        gap: pixels between the discs, so that a line across both does not give the answer away.
        reach: the length of d is patch + gap .. patch + gap + reach.

    Example:
        >>> task = OffsetTask(patch=5, gap=1, reach=2)
        >>> inputs, vectors = task.sample(torch.rand(8, 1, 25, 25), torch.Generator().manual_seed(0))
        >>> inputs.shape, bool(((vectors.norm(dim=1) >= 6) & (vectors.norm(dim=1) <= 8)).all())
        (torch.Size([8, 2, 5, 5]), True)
    """

    image_turns = True
    unit = "pixels"

    @typed
    def __init__(self, patch: int, gap: int = 1, reach: int = 2) -> None:
        self.patch = need_integer("patch", patch, least=1)
        near = self.patch + need_integer("gap", gap, least=0)
        self.longest = near + need_integer("reach", reach, 0, 1000)
        self.vectors = _on_grid(self.longest, near)

    def __repr__(self) -> str:
        return f"OffsetTask(patch={self.patch}, length of d up to {self.longest} pixels)"

    def _room(self, images: Tensor) -> int:
        """How far the first patch may lie from the image's centre."""
        need_shape("images", images, "B", "C", "S", "S", floating=True)
        needed, side = self.patch + 2 * self.longest, images.shape[-1]
        need_integer("side of images (3 patch + 2 gap + 2 reach)", side, least=needed)
        if (side - self.patch) % 2:  # no patch would lie in the centre and turn onto itself
            raise ValueError(f"patch and side of images must both be even or odd, got {self.patch}, {side}")
        return (side - needed) // 2

    def draw(self, images: Images, generator: torch.Generator | None) -> tuple[Vectors, Vectors]:
        """The vector, and the place of the first patch from the image's centre."""
        drawn = []
        for points in (self.vectors, _on_grid(self._room(images))):
            chosen = random_integers(len(points), images, generator)
            drawn.append(points.to(images.device)[chosen].to(precise(images).dtype))
        return drawn[0], drawn[1]

    @typed
    def apply(self, images: Images, labels: Vectors, draws: Vectors | None = None) -> Inputs:
        """Both patches; the first one in the image's centre if nothing is drawn. Between pixels they are bilinear."""
        self._room(images)
        first = torch.zeros_like(labels) if draws is None else draws
        return on_disc(torch.cat([self._cut(images, place) for place in (first, first + labels)], dim=1))

    def _cut(self, images: Images, places: Vectors) -> Inputs:
        """The patch at a place of its own in each image."""
        most, side = images.shape[-1] - self.patch, images.shape[-1]
        start = most / 2 - places.to(images.device)  # the first row and column; places count up and left
        if len(start) and not (start.min() > -1e-3 and start.max() < most + 1e-3):
            raise ValueError(f"labels and draws must leave both patches inside of the image, {got(places)}")
        start = start.clamp(0, most)
        pixels = start.floor().long()[..., None] + torch.arange(self.patch + 1, device=images.device)
        rows, columns = pixels.clamp_max(side - 1).unbind(dim=1)  # beyond the edge with weight 0
        index = (rows[:, :, None] * side + columns[:, None, :]).flatten(1)
        cut = images.flatten(2).gather(2, index[:, None].expand(-1, images.shape[1], -1))
        cut = cut.unflatten(2, (self.patch + 1, self.patch + 1))
        down, right = (start - start.floor()).to(images.dtype)[..., None, None, None].unbind(dim=1)
        cut = cut[:, :, :-1] * (1 - down) + cut[:, :, 1:] * down
        return cut[..., :-1] * (1 - right) + cut[..., 1:] * right

    @typed
    def move(self, labels: Vectors, degrees: float | Degrees) -> Vectors:
        """R(theta) d."""
        return turn_arrows(labels, degrees)

    def transform_draws(self, draws: Vectors | None, degrees: float, labels: Vectors) -> Vectors | None:
        """The first patch's place turns as well."""
        return None if draws is None else turn_arrows(draws, degrees)

    @typed
    def loss(self, outputs: Vectors, labels: Vectors) -> Degrees:
        """The squared distance, in units of the longest vector."""
        return (precise(outputs) - labels / self.longest).square().sum(dim=1)

    @typed
    def error(self, outputs: Vectors, labels: Vectors) -> Degrees:
        """The distance in pixels."""
        return (self.longest * precise(outputs.detach()) - labels).norm(dim=1)


@table
def _on_grid(most: int, least: int = 0) -> Float[Tensor, "point 2"]:
    """All vectors with whole entries and such a length: a quarter turn permutes them."""
    line = torch.arange(-most, most + 1)
    points = torch.cartesian_prod(line, line)
    length = points.square().sum(dim=1)
    return points[(length <= most**2) & (length >= least**2)].float()
