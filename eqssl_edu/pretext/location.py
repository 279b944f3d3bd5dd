"""Relative patch location: on which side of the first patch was the second one?"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.errors import got, may_ask, need_integer, need_integers, need_shape, typed
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.gsets import GSet
from eqssl_edu.pretext.offsets import Offsets, random_offsets, turn_offsets
from eqssl_edu.pretext.task import Images, Labels, Task
from eqssl_edu.tables import there

__all__ = ["RelativeLocationTask"]

SIDES = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1) if down or right]
DIRECTIONS = torch.tensor(SIDES, device="cpu")


class RelativeLocationTask(Task):
    r"""On which of the eight sides of the first patch was the second one cut out? Inputs (B, 2, C, patch, patch).

    The first patch lies at a random place. The second one lies ``patch + gap`` pixels away in the direction of
    the label, and is moved on by a random vector. All of these are vectors around the image's centre, with
    ranges that no turn changes. So turning both patches gives exactly the patches of the turned image.

    Under C4 the labels are two regular orbits, four edges and four corners.

    Arguments:
        group: C1, C2, C4, D1, D2 or D4.
        patch: side of a patch in pixels; even for images of an even side, odd for odd ones.
        gap: pixels between the patches, so that a line across both does not give the answer away.
        jitter: the second patch moves by up to so many pixels in each direction; at most ``gap``, so that the
            patches never overlap.

    References:
        Doersch et al., Unsupervised Visual Representation Learning by Context Prediction (arXiv 1505.05192).

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> task = RelativeLocationTask(cyclic(4), patch=4, gap=1, jitter=1)
        >>> inputs, labels = task.sample(torch.rand(8, 1, 16, 16), torch.Generator().manual_seed(0))
        >>> inputs.shape, task.labels
        (torch.Size([8, 2, 1, 4, 4]), GSet(C4, size=8, orbits of sizes [4, 4]))
    """

    @typed
    def __init__(self, group: FiniteGroup, patch: int, gap: int = 1, jitter: int = 1) -> None:
        super().__init__(GSet.neighbours(group), positions=GSet.trivial(group, 2))
        self.patch = need_integer("patch", patch, least=1)
        self.gap = need_integer("gap", gap, least=0)
        self.jitter = need_integer("jitter", jitter, least=0, most=self.gap)  # further, patches overlap

    def _room(self, images: Tensor) -> int:
        """How far the first patch may move from the centre."""
        needed = 3 * self.patch + 2 * self.gap + 2 * self.jitter
        need_shape("images", images, "B", "C", "S", "S")
        side = images.shape[-1]
        need_integer("side of images (3 patch + 2 gap + 2 jitter)", side, least=needed)
        if (side - self.patch) % 2:  # no patch would lie in the centre and turn onto itself
            raise ValueError(f"patch and side of images must both be even or odd, got {self.patch}, {side}")
        return (side - needed) // 2

    def draw(self, images: Images, generator: torch.Generator | None) -> Offsets:
        """The place of the first patch, from the image's centre, and the jitter of the second one, in pixels."""
        place = random_offsets(1, self._room(images), images, generator)
        return torch.cat([place, random_offsets(1, self.jitter, images, generator)], dim=1)

    def transform_draws(self, draws: Offsets, g: int, labels: Labels) -> Offsets:
        """Both turn as vectors do."""
        return turn_offsets(self.group, draws, g)

    @typed
    def apply(
        self, images: Images, labels: Labels, draws: Offsets | None = None
    ) -> Float[Tensor, "batch 2 channel patch patch"]:
        """The patch and its neighbour; around the image's centre if nothing is drawn."""
        self._room(images)  # checks the images
        need_integers("labels", labels, below=8)
        labels = labels.to(images.device)
        draws = labels.new_zeros(len(images), 2, 2) if draws is None else draws.to(images.device)
        side = images.shape[-1]
        step = (self.patch + self.gap) * there(DIRECTIONS, images.device)[labels]
        start = (side - self.patch) // 2 + torch.stack([draws[:, 0], draws.sum(dim=1) + step], dim=1)
        if len(start) and may_ask(start) and not (start.min() >= 0 and start.max() <= side - self.patch):
            raise ValueError(f"draws must leave both patches inside of the image, {got(draws)}")
        pixels = torch.arange(self.patch, device=images.device)
        rows, columns = (start[..., None] + pixels).unbind(dim=2)  # (B, 2, patch) each
        index = (rows[..., :, None] * side + columns[..., None, :]).flatten(1)
        cut = images.flatten(2).gather(2, index[:, None].expand(-1, images.shape[1], -1))
        return cut.unflatten(2, (2, self.patch, self.patch)).transpose(1, 2)
