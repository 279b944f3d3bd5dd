"""Pictures that an explorer can show instead of the one that it was given: made to fit what the network takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.errors import got, need_choice, need_instance, need_integer
from eqssl_edu.shapes import Image
from eqssl_edu.widgets.shared.pixels import to_bytes

__all__ = ["MAKE", "SOURCES", "Picture", "Sources", "fit", "from_bytes"]

SOURCES = {
    "image": "the given image",
    "digits": "digits",
    "glyphs": "letters",
    "shapes": "shapes",
    "file": "my file",
    "drawing": "my drawing",
}
DIGITS = 20  # to choose from
LETTERS = "AFGHLNORSX"  # among them letters without a symmetry, with a turn, with mirrors, with both
MAX_SIDE = 4096  # pixels of what the front end may send; it sends what the network takes


class Picture(NamedTuple):
    """A picture that fits, and a few words on what it is and what was done to make it fit."""

    image: Image
    text: str


class Sources:
    """The pictures of every source, each made when it is asked for.

    Arguments:
        image: (C, S, S), the given image: all others get its size, channels, type and range.
    """

    def __init__(self, image: Float[Tensor, "channel side side"]) -> None:
        self._pictures = {"image": [Picture(image, "")], "file": [], "drawing": []}
        self._like = image
        self.drawn = 0  # how many times the drawing has changed

    def count(self, source: str) -> int:
        """How many pictures a source has; 0 as long as there is no file, and no drawing."""
        return len(self._of(source))

    def get(self, source: str, number: int) -> Picture:
        """A picture by its number, 0 .. count - 1."""
        return self._of(source)[number]

    def add(self, source: str, image: Image, text: str) -> int:
        """Take a picture from a file, or put the drawing into the place of the last one; returns its number."""
        need_choice("source", source, ("file", "drawing"))
        kept = self._pictures["file"] if source == "file" else []
        self._pictures[source] = [*kept, Picture(fit(image, self._like), text)]
        self.drawn += source == "drawing"
        return len(kept)

    def packed(self) -> dict[str, list[dict[str, Any]]]:
        """The toolkit's own pictures for a page: {source: [{"bytes", "text"}]}, grey, a byte for each pixel."""
        side = self._like.shape[-1]
        return {
            source: [
                {"bytes": to_bytes(fit(image, image.new_zeros(1, side, side)), 0.0, 1.0), "text": text}
                for image, text in make(side)
            ]
            for source, make in MAKE.items()
        }

    def _of(self, source: str) -> list[Picture]:
        if source not in self._pictures:
            made = MAKE[source](self._like.shape[-1])
            # In 256 levels, as those of files: a page holds them as bytes.
            levels = ((image * 255).round() / 255 for image, _ in made)
            self._pictures[source] = [
                Picture(fit(image, self._like), text) for image, (_, text) in zip(levels, made, strict=True)
            ]
        return self._pictures[source]


def fit(image: Image, like: Float[Tensor, "out side side"]) -> Float[Tensor, "out side side"]:
    """The central square of a picture with values in [0, 1], with the size, channels, type and range of another.

    Grey is the luminance of the colours. The range is [0, 1], or that of ``like`` where that goes beyond.
    """
    height, width = image.shape[-2:]
    square, side = min(height, width), like.shape[-1]
    top, left = (height - square) // 2, (width - square) // 2
    image = image[:, top : top + square, left : left + square].float()
    if square != side:
        image = F.interpolate(image[None], size=(side, side), mode="bilinear", antialias=True)[0]
    if len(image) == 3 and len(like) != 3:
        image = torch.einsum("chw,c->hw", image, image.new_tensor([0.299, 0.587, 0.114]))[None]
    low, high = like.aminmax()
    if low < 0 or high > 1:
        image = low + (high - low) * image.to(low)
    return image.expand(len(like), -1, -1).to(like)


def from_bytes(data: bytes | memoryview, side: int, channels: int) -> Float[Tensor, "channel side side"]:
    """A picture out of its bytes, channels one after the other; 255 is 1.0.

    Raises:
        TypeError, ValueError: if there are more or fewer bytes than that, or no such pictures.
    """
    need_instance("data", data, (bytes, memoryview))
    size, side = memoryview(data).nbytes, need_integer("side", side, 1, MAX_SIDE)
    if channels not in (1, 3) or size != channels * side**2:
        found = got((channels, side, size))
        raise ValueError(f"picture must have 1 or 3 channels of side x side bytes, {found}")
    return torch.frombuffer(bytearray(data), dtype=torch.uint8).view(channels, side, side) / 255


# -- pictures that come with the toolkit ---------------------------------------------------------------------

Made = list[tuple[Tensor, str]]  # (image in [0, 1], what it is)


def _digits(side: int) -> Made:
    from eqssl_edu.data import digits  # imports scikit-learn: only where it is used

    images, labels = digits(max(side, 8)).test
    return [(images[i], f"a handwritten {int(labels[i])}") for i in range(DIGITS)]


def _glyphs(side: int) -> Made:
    from eqssl_edu.data import glyph_classes, glyphs  # imports matplotlib, for its typefaces

    names = glyph_classes("capitals")
    images, labels = glyphs("capitals", counts=(1, 1, len(names)), size=max(side, 8)).test
    found = {names[label]: image for image, label in zip(images, labels.tolist(), strict=True)}
    return [(found[letter], f"the letter {letter}") for letter in LETTERS]


def _shapes(side: int) -> Made:
    size = max(side, 8)
    axis = (torch.arange(size, device="cpu") + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(-axis, axis, indexing="ij")
    radius = (x**2 + y**2).sqrt()

    def smooth(distance: Tensor) -> Tensor:
        """1 inside, 0 outside, and a border of about a pixel."""
        return (0.5 - distance * size / 2).clamp(0, 1)

    disc = smooth(radius - 0.8)
    cross = torch.minimum(x.abs(), y.abs()) - 0.15
    noise = torch.rand(size, size, generator=torch.Generator().manual_seed(0))
    shapes = {
        "a ring: every turn leaves it as it is": smooth((radius - 0.5).abs() - 0.15),
        "a cross: quarter turns leave it as it is": smooth(torch.maximum(cross, radius - 0.8)),
        "stripes: half a turn leaves them as they are": (0.5 + 0.5 * (4 * torch.pi * x).cos()) * disc,
        "an edge": smooth(x) * disc,
        "a soft spot": (-12 * ((x - 0.3) ** 2 + (y - 0.3) ** 2)).exp(),
        "white noise: the hardest picture to turn": noise,
    }
    return [(image[None], text) for text, image in shapes.items()]


MAKE: dict[str, Callable[[int], Made]] = {"digits": _digits, "glyphs": _glyphs, "shapes": _shapes}
