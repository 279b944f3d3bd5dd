"""Images with their classes, and the three disjoint sets that every experiment needs."""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Int64
from torch import Tensor

from eqssl_edu.shapes import Images

__all__ = ["ImageSet", "Splits"]


class _Pair(NamedTuple):
    images: Images
    labels: Int64[Tensor, " batch"] | None


class ImageSet(_Pair):
    """Images and their classes, two things to unpack: ``images, labels = image_set``.

    Labels are None where none are known: pretraining needs none. ``classes`` are the names of the classes, in the
    order of the labels; None where nobody named them.
    """

    classes: tuple[str, ...] | None = None

    def __new__(
        cls, images: Images, labels: Tensor | None, classes: tuple[str, ...] | None = None
    ) -> ImageSet:
        pair = super().__new__(cls, images, labels)
        pair.classes = classes
        return pair


class Splits(NamedTuple):
    """Three disjoint sets of images: train on the first, choose on the second, report on the third."""

    train: ImageSet
    validation: ImageSet
    test: ImageSet
