"""Images with their classes, and the three disjoint sets that every experiment needs."""

from typing import NamedTuple

from jaxtyping import Int64
from torch import Tensor

from eqssl_edu.shapes import Images

__all__ = ["ImageSet", "Splits"]


class ImageSet(NamedTuple):
    """Images and their classes."""

    images: Images
    labels: Int64[Tensor, " batch"]


class Splits(NamedTuple):
    """Three disjoint sets of images: train on the first, choose on the second, report on the third."""

    train: ImageSet
    validation: ImageSet
    test: ImageSet
