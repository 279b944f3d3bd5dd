"""Glyphs: letters in many typefaces on textured grounds, a world whose symmetries are known and can be switched."""

import math
import string
from functools import lru_cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from eqssl_edu.data.sets import ImageSet, Splits
from eqssl_edu.data.textures import textures
from eqssl_edu.data.typefaces import TYPEFACES, letter_images
from eqssl_edu.errors import got, need_choice, need_integer, need_positive, typed
from eqssl_edu.groups import dihedral
from eqssl_edu.tables import table

__all__ = ["GLYPH_KINDS", "glyph_atlas", "glyph_classes", "glyphs"]


class _Kind(NamedTuple):
    """Which classes there are: a letter each, or, with a partner, a pose of the partner against the letter each."""

    letters: str
    stabilizer: tuple[int, ...] = (0,)  # subgroup of D4: the letter is repeated around the centre by it
    partner: str = ""


ASYMMETRIC = "GPQRhk"  # no turn and no reflection makes one of these from itself or from another
GLYPH_KINDS = {
    "capitals": _Kind(string.ascii_uppercase),
    "C1": _Kind(ASYMMETRIC),
    "C2": _Kind(ASYMMETRIC, (0, 2)),
    "C4": _Kind(ASYMMETRIC, (0, 1, 2, 3)),
    "D1": _Kind(ASYMMETRIC, (0, 4)),
    "D2": _Kind(ASYMMETRIC, (0, 2, 4, 6)),
    "D4": _Kind(ASYMMETRIC, tuple(range(8))),
    "pose": _Kind("F", partner="R"),
}


@typed
@table
def glyphs(
    kind: str = "capitals",
    *,
    counts: tuple[int, int, int] = (6000, 1000, 2000),
    size: int = 24,
    upright: bool = True,
    textured: bool = True,
    seed: int = 0,
) -> Splits:
    """Letters on textured grounds, dark on light or light on dark, noisy; values in [0, 1].

    Train, validation and test images are drawn in *disjoint typefaces* (14, 4 and 4 of them): a score on the test
    images says what is known of letters, not of fonts. The classes of each set are balanced and in random order.

    | kind | classes |
    |---|---|
    | capitals | A to Z: 26 |
    | C1, C2, C4, D1, D2, D4 | the letters GPQRhk, each repeated around the centre so that it has this stabiliser: 6 |
    | pose | F beside R, turned against it by 0, 90, 180 or 270 degrees: 4; the pair is turned by quarters |

    Arguments:
        kind: one of the kinds above.
        counts: how many images to train, to validate and to test with.
        size: side of the images in pixels.
        upright: True: within 12 degrees of the reader's orientation. False: each image turned by its own angle,
            uniform over the circle, so that no orientation is more likely than another.
        textured: False: light letters on an even dark ground, without noise. A contrastive loss could tell two images
            apart by a texture that both views of an image keep, and never look at the letters.
        seed: another number gives other images.

    Example:
        >>> glyphs("pose", counts=(20, 8, 8)).train.images.shape
        torch.Size([20, 1, 24, 24])
    """
    need_choice("kind", kind, tuple(GLYPH_KINDS))
    if not isinstance(counts, tuple) or len(counts) != 3:
        raise TypeError(f"counts must be three integers (train, validation, test), {got(counts)}")
    need_positive(size=size, **{f"counts[{i}]": count for i, count in enumerate(counts)})
    need_integer("size", size, 1, math.isqrt(2**30 // sum(counts)))  # 4 GB of images
    need_integer("seed", seed, least=0)
    parts = []
    for number, (part, count) in enumerate(zip(TYPEFACES, counts, strict=True)):
        generator = torch.Generator().manual_seed(3 * seed + number)
        atlas = glyph_atlas(kind, part, 2 * size)
        labels = torch.randperm(count, generator=generator) % atlas.shape[1]
        images = [_draw(atlas, chunk, size, upright, textured, generator) for chunk in labels.split(1000)]
        parts.append(ImageSet(torch.cat(images).to(torch.get_default_dtype()), labels, glyph_classes(kind)))
    return Splits(*parts)


@typed
def glyph_classes(kind: str = "capitals") -> tuple[str, ...]:
    """What the labels 0, 1, ... of a kind of glyphs stand for.

    Example:
        >>> glyph_classes("pose")
        ('FR', 'FR r90', 'FR r180', 'FR r270')
    """
    need_choice("kind", kind, tuple(GLYPH_KINDS))
    recipe, group = GLYPH_KINDS[kind], dihedral(4)
    if not recipe.partner:
        return tuple(recipe.letters)
    pair = recipe.letters + recipe.partner
    return (pair, *(f"{pair} {group.element_name(turn)}" for turn in (1, 2, 3)))


@typed
@lru_cache(maxsize=12)
@table
def glyph_atlas(kind: str, part: str, size: int) -> Float[Tensor, "variant label size size"]:
    """The clean, upright drawings that the images are made from: ink 1 on ground 0.

    Their symmetries are exact on the pixel grid: a drawing of kind "D1" equals its mirror image bit for bit.

    Arguments:
        kind: a kind of ``glyphs``.
        part: "train", "validation" or "test"; a variant is one of the part's typefaces (and, for "pose", one of
            the four turns of the pair).
        size: side of the drawings in pixels.
    """
    need_choice("kind", kind, tuple(GLYPH_KINDS))
    need_choice("part", part, tuple(TYPEFACES))
    need_integer("size", size, 1, 2048)
    if size % 2:
        raise ValueError(f"size must be even, so that the centre lies between pixels, {got(size)}")
    recipe, group = GLYPH_KINDS[kind], dihedral(4)
    faces, cell = TYPEFACES[part], round(0.4 * size)
    if recipe.partner:
        first, second = letter_images(faces, recipe.letters + recipe.partner, cell, 0.9).unbind(dim=1)
        # Both letters turn where they stand, the second by its pose more: only their relation is the class.
        pairs = [
            _placed(group.transform(first, turn), size, -cell, -cell // 2)
            + _placed(group.transform(second, (turn + pose) % 4), size, 0, -cell // 2)
            for turn in range(4)
            for pose in range(4)
        ]
        return torch.stack(pairs, dim=1).unflatten(1, (4, -1)).flatten(0, 1)
    if len(recipe.stabilizer) == 1:
        return letter_images(faces, recipe.letters, size)
    # One copy in the corner of the centre, or above or beside it, and its images under the stabiliser.
    across = -cell // 2 if recipe.stabilizer == (0, 2) else -cell
    down = -cell // 2 if recipe.stabilizer == (0, 4) else -cell
    copy = _placed(letter_images(faces, recipe.letters, cell, 0.9), size, across, down)
    return torch.stack([group.transform(copy, g) for g in recipe.stabilizer]).amax(dim=0)


def _placed(cells: Tensor, size: int, across: int, down: int) -> Tensor:
    """Small square pictures on a large empty one, their upper left corner that far from the centre, in pixels."""
    left, top, side = size // 2 + across, size // 2 + down, cells.shape[-1]
    return F.pad(cells, (left, size - left - side, top, size - top - side))


def _draw(
    atlas: Float[Tensor, "variant label fine fine"],
    labels: Int64[Tensor, " batch"],
    size: int,
    upright: bool,
    textured: bool,
    generator: torch.Generator,
) -> Float[Tensor, "batch 1 size size"]:
    """One random image for each label: the drawing is moved a little; with a texture it is made noisy as well."""
    count = len(labels)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(count, *shape, generator=generator, dtype=torch.float32)

    variant = torch.randint(len(atlas), (count,), generator=generator)
    angle = uniform(-math.pi / 15, math.pi / 15) if upright else uniform(0, 2 * math.pi)
    step = 1 / uniform(0.85, 1.2)  # larger steps in the drawing make the letter smaller
    cos, sin = step * angle.cos(), step * angle.sin()
    across, down = uniform(-0.15, 0.15, 2).T
    frame = torch.stack([cos, -sin, across, sin, cos, down], dim=1)
    grid = F.affine_grid(frame.view(-1, 2, 3), [count, 1, 2 * size, 2 * size], align_corners=False)
    # Drawn at twice the size and averaged: thin strokes would break in a single bilinear sample.
    ink = F.avg_pool2d(F.grid_sample(atlas[variant, labels][:, None], grid, align_corners=False), 2)
    if not textured:
        return 0.2 + 0.6 * ink
    ground = uniform(0.4, 0.6, 1, 1, 1) + uniform(0.06, 0.14, 1, 1, 1) * textures(count, size, generator)
    dark_or_light = 1 - 2 * torch.randint(2, (count, 1, 1, 1), generator=generator)
    images = ground + dark_or_light * uniform(0.3, 0.5, 1, 1, 1) * ink
    return (images + 0.05 * torch.randn(images.shape, generator=generator, dtype=torch.float32)).clamp(0, 1)
