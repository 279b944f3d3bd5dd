"""Images with their classes, and the three disjoint sets that every experiment needs."""

from typing import NamedTuple

from jaxtyping import Float, Int64
from torch import Tensor

__all__ = ["ImageSet", "Images", "Splits"]

Images = Float[Tensor, "count channel height width"]


class ImageSet(NamedTuple):
    """Images and their classes."""

    images: Images
    labels: Int64[Tensor, " count"]


class Splits(NamedTuple):
    """Three disjoint sets of images: train on the first, choose on the second, report on the third."""

    train: ImageSet
    validation: ImageSet
    test: ImageSet
