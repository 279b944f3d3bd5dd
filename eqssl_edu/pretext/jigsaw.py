"""The jigsaw: in which order were the tiles of the image put?"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.errors import need_choice, need_integer, need_integers, need_shape, typed
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.gsets import GSet
from eqssl_edu.pretext.offsets import Offsets, random_offsets, turn_offsets
from eqssl_edu.pretext.task import Images, Labels, Task
from eqssl_edu.tables import there

__all__ = ["JigsawTask"]

ASSUMPTIONS = {
    "conjugation": "",
    "left": (
        "The left action names each tile's place in the upright picture. It is right only if every image is "
        "upright, so that a turned input shows how far it was turned."
    ),
    "trivial": (
        "The trivial action says that the order of the tiles does not change when the input is turned. It is right "
        "only if every image is upright, so that turned inputs never occur."
    ),
}


class JigsawTask(Task):
    r"""In which order were the tiles put? Input $S_\sigma x$: the tile at position p goes to position $\sigma(p)$.

    Tiles are moved, not turned. Turning the input by g gives (the jigsaw identity, bit for bit)

    $$ g \cdot S_\sigma x = S_{\pi_g \sigma \pi_g^{-1}} (g x), $$

    so conjugation is the right action on the permutations, whatever the images are.

    So that a line across two tiles does not give the order away, each tile shows a crop of itself, ``gap`` pixels
    smaller on each side, moved by its own random vector. The encoder sees each crop by itself, with mean 0 and
    standard deviation 1. The jitter turns with the image, so the identity stays exact.

    Arguments:
        group: C1, C2, C4, D1, D2 or D4.
        grid: 2 or 3 tiles on a side.
        action: "conjugation", or "left" or "trivial", which need upright images.
        count: take only so many permutations, whole orbits far apart; see ``GSet.jigsaw``. A 3 x 3 grid needs it.
        gap: pixels that are cut off on each side of a tile.
        jitter: the crop moves by up to so many pixels; at most ``gap``.

    References:
        Noroozi and Favaro, Unsupervised Learning of Visual Representations by Solving Jigsaw Puzzles
        (arXiv 1603.09246).

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> task = JigsawTask(cyclic(4), grid=2, gap=1, jitter=1)
        >>> inputs, labels = task.sample(torch.rand(8, 1, 16, 16), torch.Generator().manual_seed(0))
        >>> inputs.shape, task.parts(inputs).shape, len(task.labels.orbits)
        (torch.Size([8, 1, 16, 16]), torch.Size([8, 4, 1, 6, 6]), 10)
    """

    @typed
    def __init__(
        self,
        group: FiniteGroup,
        grid: int = 2,
        action: str = "conjugation",
        count: int | None = None,
        gap: int = 0,
        jitter: int = 0,
    ) -> None:
        need_choice("grid", grid, (2, 3))
        labels = GSet.jigsaw(group, grid, action, count)
        super().__init__(labels, positions=GSet.grid(group, grid))
        self.grid, self.action, self.assumption = grid, action, ASSUMPTIONS[action]
        self.gap = need_integer("gap", gap, least=0)
        self.jitter = need_integer("jitter", jitter, 0, self.gap)  # further, crops leave their tile
        self._came_from = labels.permutations.argsort(dim=1)  # [l, q]: the tile that comes to position q

    def _tile(self, name: str, pictures: Tensor) -> int:
        """Side of a tile: as large as fits with the same margin on both sides of the picture."""
        need_shape(name, pictures, "B", "C", "S", "S", floating=True)
        side = pictures.shape[-1]
        tile = side // self.grid
        if (side - self.grid * tile) % 2:
            tile -= 1
        if (side - self.grid * tile) % 2 or tile <= 2 * self.gap:
            wanted = f"{self.grid} tiles of more than 2 gap = {2 * self.gap} pixels and the same margin on both sides"
            raise ValueError(f"{name} must have a side of {wanted}, got {side} pixels")
        return tile

    def draw(self, images: Images, generator: torch.Generator | None) -> Offsets | None:
        """How far the crop of each tile of the image is moved, in pixels."""
        return random_offsets(self.positions.size, self.jitter, images, generator) if self.jitter else None

    def transform_draws(self, draws: Offsets | None, g: int, labels: Labels) -> Offsets | None:
        """Each vector turns, and goes with its tile."""
        if draws is None:
            return None
        came_from = self.positions.action[self.group.inverse[g]].to(draws.device)
        return turn_offsets(self.group, draws, g)[:, came_from]

    @typed
    def apply(
        self, images: Images, labels: Labels, draws: Offsets | None = None
    ) -> Float[Tensor, "batch channel side side"]:
        """The image with its tiles moved; the crops of the tiles' middles if nothing is drawn. Gaps are 0."""
        need_integers("labels", labels, below=self.labels.size)
        tile = self._tile("images", images)
        side = self.grid * tile
        margin = (images.shape[-1] - side) // 2
        images = images[..., margin : margin + side, margin : margin + side]
        pixel = torch.arange(side, device=images.device)
        cell, inside = pixel // tile, pixel % tile
        position = (self.grid * cell[:, None] + cell).flatten()  # of each pixel of the input
        # (B, pixels): the tile it comes from
        source = there(self._came_from, images.device)[labels][:, position]
        down = (source // self.grid) * tile + inside.repeat_interleave(side)
        right = (source % self.grid) * tile + inside.repeat(side)
        if draws is not None:
            moved = draws.gather(1, source[..., None].expand(-1, -1, 2))
            down, right = down + moved[..., 0], right + moved[..., 1]
        index = (down * side + right).clamp(0, side * side - 1)  # only pixels of the gaps are clamped
        shown = (inside >= self.gap) & (inside < tile - self.gap)
        flat = images.flatten(2).gather(2, index[:, None].expand(-1, images.shape[1], -1))
        return flat.unflatten(2, (side, side)) * (shown[:, None] & shown)

    def parts(self, inputs: Images) -> Float[Tensor, "batch tile channel crop crop"]:
        """The crops, row-major, each with mean 0 and standard deviation 1 over its pixels and channels."""
        tile, n, gap = self._tile("inputs", inputs), self.grid, self.gap
        need_shape("inputs", inputs, "B", "C", n * tile, n * tile)
        tiles = inputs.unflatten(3, (n, tile)).unflatten(2, (n, tile))  # (B, C, row, y, column, x)
        tiles = tiles.permute(0, 2, 4, 1, 3, 5).flatten(1, 2)
        crops = tiles[..., gap : tile - gap, gap : tile - gap]
        return F.layer_norm(crops, crops.shape[2:])  # a blank tile stays 0
