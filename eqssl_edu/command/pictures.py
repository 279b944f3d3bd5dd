"""Images by name, in three parts that share no image."""

from __future__ import annotations

import os
from functools import partial

import torch
from jaxtyping import Int64
from torch import Tensor

from eqssl_edu.data import ImageSet, Splits, digits, glyphs, load_images

__all__ = ["splits_of", "training_images"]

HUB = {"mnist": "ylecun/mnist", "cifar10": "uoft-cs/cifar10", "cifar100": "uoft-cs/cifar100"}
OWN = {"digits": digits, "glyphs": partial(glyphs, "capitals")}  # what the library brings
SIDE = 16  # pixels of those, unless another size is asked for


def training_images(data: str, size: int | None = None, limit: int | None = None) -> ImageSet:
    """The images to train on: the part "train" of :func:`splits_of`, without reading the others.

    Arguments:
        data: "digits", "glyphs", "mnist", "cifar10", "cifar100", or whatever ``load_images`` reads.
        size: side in pixels.
        limit: at most so many, drawn at random, always the same.
    """
    if data in OWN and not os.path.exists(data):
        return _some(OWN[data](size=size or SIDE).train, limit)
    read = _reader(data, size)
    train, lacking = read("train"), [name for name in ("validation", "test") if not _has(read, name)]
    return _some(_cut(train, lacking)["train"], limit)


def splits_of(data: str, size: int | None = None, limit: int | None = None) -> Splits:
    """Images to train on, to choose on and to report on.

    A source without a part "validation" gives a tenth of its training images for it, one without a part "test" another
    tenth; which ones does not change. Arguments are those of :func:`training_images`.
    """
    if data in OWN and not os.path.exists(data):
        whole = OWN[data](size=size or SIDE)
        return Splits(_some(whole.train, limit), *whole[1:])
    read = _reader(data, size)
    parts = {name: read(name) for name in ("validation", "test") if _has(read, name)}
    parts |= _cut(read("train"), [name for name in ("validation", "test") if name not in parts])
    return Splits(_some(parts["train"], limit), parts["validation"], parts["test"])


def _reader(data: str, size: int | None) -> partial:
    return partial(load_images, data if os.path.exists(data) else HUB.get(data, data), size=size)


def _has(read: partial, name: str) -> bool:
    """Is there a part of this name? A source that has no parts gives the same images under every name."""
    try:
        some = read(name, limit=10).images
    except FileNotFoundError:
        return False
    except ValueError as problem:  # of the hub
        if str(problem).startswith("split must be"):
            return False
        raise
    known = read("train", limit=10).images
    return some.shape != known.shape or not torch.equal(some, known)


def _cut(train: ImageSet, lacking: list[str]) -> dict[str, ImageSet]:
    """A tenth of the images for each part that is lacking, and the rest to train on."""
    if not lacking:
        return {"train": train}
    tenth, order = len(train.images) // 10, _order(train)
    if not tenth:
        raise ValueError(f"data must hold at least 10 images, got {len(train.images)}")
    pieces = order.split([tenth] * len(lacking) + [len(order) - tenth * len(lacking)])
    return {name: _rows(train, rows) for name, rows in zip([*lacking, "train"], pieces, strict=True)}


def _some(images: ImageSet, limit: int | None) -> ImageSet:
    return images if limit is None else _rows(images, _order(images)[:limit])


def _order(images: ImageSet) -> Int64[Tensor, " count"]:
    """A random order, always the same: sets are often sorted by class."""
    return torch.randperm(len(images.images), generator=torch.Generator().manual_seed(0))


def _rows(images: ImageSet, rows: Int64[Tensor, " some"]) -> ImageSet:
    labels = None if images.labels is None else images.labels[rows]
    return ImageSet(images.images[rows], labels, images.classes)
