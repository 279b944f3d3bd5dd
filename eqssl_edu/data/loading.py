"""Any images: pictures and folders of them, parquet files, arrays, or a data set of the Hugging Face hub."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Shaped
from torch import Tensor

from eqssl_edu.data.arrays import ARRAYS, array_source, arrays_of
from eqssl_edu.data.folders import files_below, picture_folder, picture_source
from eqssl_edu.data.pictures import PICTURES
from eqssl_edu.data.sets import ImageSet
from eqssl_edu.data.sources import PARTS, Source, Values, need_memory, part
from eqssl_edu.data.tables import hub_source, parts_of, table_source, tables_of
from eqssl_edu.errors import got, need_instance, need_integer, need_number
from eqssl_edu.shapes import Images

LARGEST = {"uint8": 255, "int8": 127, "uint16": 65535, "int16": 32767}  # of wider kinds nobody uses all
Image = Shaped[Tensor, "channel rows columns"]  # bytes, or numbers in [0, 1]

__all__ = ["load_images"]


def load_images(
    source: str | os.PathLike,
    split: str = "train",
    size: int | None = None,
    limit: int | None = None,
    scale: Sequence[float] | None = None,
) -> ImageSet:
    """Images, labels and names of classes from disk or from the hub; values in [0, 1].

    | source | what is read |
    |---|---|
    | a folder of pictures | ``split/class/.../name.png``; all of ``class/.../name.png`` without folders of parts |
    | a folder with parquet files | the split's: ``train.parquet``, ``train-0-of-1.parquet``, ``train/0.parquet`` |
    | a folder with arrays | the file of the split: ``x_train.npy`` (labels in ``y_train.npy``), ``pcam_train_x.h5`` |
    | a picture, a parquet file | all of it, whatever the split |
    | .npy, .npz, .h5, .amat | arrays (N, H, W), (N, H, W, C) or (N, C, H, W), with labels; the split's, if named |
    | any other name, such as "ylecun/mnist" | the data set of the hub; downloaded once, then read offline |

    *Classes.* The outermost folder below the part is the class; pictures without class folders, and tables and arrays
    without labels, or with none but null and -1, have ``labels`` None. Names are numbered in natural order ("2" before
    "10") over all parts, so a part that lacks a class keeps the others' numbers. Hidden folders and those without
    pictures are none, nor are ``images`` or a part's name alone in a part (``test/images``, ``train/train``).
    *Parts.* "validation" is also called "valid" and "val", "train" "training", "test" "testing". One that is not there
    is an error, also of arrays that name none; the folder of a part may be given itself, and keeps all classes.
    *Values.* Whole numbers of 8 or 16 bits are divided by the largest of their kind (255, 65,535). All others must lie
    in [0, 1], or ``scale`` says what becomes 0 and 1. Values that are not finite, and pixels marked as without data,
    are refused.
    *Channels.* Grey pictures keep one if all are grey; TIFF, FITS and arrays may have any number, in the axis that is
    shorter than the other two, the first or the last. Transparent pictures are put on white, or on black if their ink
    is bright; the orientation in a photo's EXIF is followed; rows of FITS are in the order of the file.

    Arguments:
        source: where the images are.
        split: which part of them.
        size: side of the images in pixels: the largest centred square is cut out and resized (bilinear,
            smoothed). None leaves them as they are; then all must have one size.
        limit: read at most so many, spread evenly over the whole (sets are often sorted by class).
        scale: two numbers, which become 0 and 1; what lies beyond is cut off.

    Raises:
        FileNotFoundError: nothing is there, or nothing of that split.
        ConnectionError: the hub cannot be reached and the data set was never downloaded.
        ImportError: the file needs a package of the extra ``data``: datasets, pyarrow, h5py, astropy, tifffile.
        ValueError: a file that cannot be read, missing labels, sizes that differ, values out of range; more images
            than the memory holds.

    Example:
        >>> train = load_images("ylecun/mnist", limit=6000)  # doctest: +SKIP
    """
    need_instance("source", source, (str, os.PathLike))
    need_instance("split", split, str)
    size = size if size is None else need_integer("size", size, least=1)
    limit = limit if limit is None else need_integer("limit", limit, least=1)
    place = os.fsdecode(source)
    if not place or "\0" in place or not split:
        raise ValueError(f"source and split must not be empty, got {place!r} and {split!r}")
    if scale is not None:
        if not isinstance(scale, tuple | list) or len(scale) != 2:
            raise TypeError(f"scale must be two numbers, {got(scale)}")
        need_number("scale[0]", scale[0])
        need_number("scale[1]", scale[1], above=scale[0])
    with ExitStack() as opened:
        found = _found(place, split, opened)
        if not found.count:
            raise ValueError(f"source must hold images, got none in {place!r}")
        if found.labels is not None and len(found.labels) != found.count:
            wrong = f"{len(found.labels)} for {found.count} in {place!r}"
            raise ValueError(f"source must have a label an image, got {wrong}")
        count = found.count if limit is None else min(limit, found.count)
        need_memory(f"{count} images", count * (size or 1) ** 2 * torch.get_default_dtype().itemsize)
        rows = range(count)
        if count < found.count:  # in float32: so docs/results keeps the numbers of the same images
            spread = torch.linspace(0, found.count - 1, count, dtype=torch.float32, device="cpu")
            rows = spread.round().long().tolist()
        images = _stacked((_image(*found.read(row), size, scale) for row in rows), count)
    labels = found.labels and torch.tensor([found.labels[row] for row in rows], device="cpu")
    return ImageSet(images, labels, found.classes)


def _found(place: str, split: str, opened: ExitStack) -> Source:
    """What is at a place: a path, a file:// address, or a name of the hub."""
    path = url2pathname(urlsplit(place).path) if place.startswith("file:") else os.path.expanduser(place)
    path = Path(os.path.abspath(path))  # with the names of its folders: one of them may be a part's
    ending = path.suffix.lower()
    if not os.path.exists(path):
        if ending in (".parquet", *ARRAYS, *PICTURES) or not re.fullmatch(r"\w[\w.-]*(/[\w.-]+)?", place):
            raise FileNotFoundError(f"source must be there, got {place!r}: no such file or folder")
        return hub_source(place, split)
    if path.is_dir():
        return _in_folder(path, split, opened)
    if path.is_file() and ending == ".parquet":
        beside = path.parent.glob("*.parquet") if part(parts_of(path)[0]) in PARTS else []
        return table_source([path], list(beside))
    if path.is_file() and ending in ARRAYS:
        return array_source(path, split, opened)
    if path.is_file() and ending in PICTURES:
        return picture_source([path], None, None)
    wanted = f".parquet, {', '.join(ARRAYS)} or a picture; unpack archives first"
    raise ValueError(f"source must be a folder or a file {wanted}, got the file {path.name!r}")


def _in_folder(folder: Path, split: str, opened: ExitStack) -> Source:
    """The split's parquet files, else its pictures, else its file of arrays."""
    tables = list(files_below(folder, (".parquet",)))
    mine = tables_of(tables, split)
    if mine:
        return table_source(mine, tables)
    if any(files_below(folder, PICTURES)):
        return picture_folder(folder, split)
    files = list(files_below(folder, ARRAYS))
    arrays = arrays_of(files, split)
    if len(arrays) == 1:
        return array_source(arrays[0], split, opened)
    there = ", ".join(file.name for file in (tables + files)[:6])
    if there:
        raise FileNotFoundError(f"split must be the part that a file's name says, got {split!r}: {there}")
    wanted = "parquet files, arrays, or pictures in one folder a class"
    raise FileNotFoundError(f"source must hold {wanted}, got {folder.name!r}: neither is in it")


def _image(name: str, values: Values, size: int | None, scale: Sequence[float] | None) -> Image:
    """Values as numbers in [0, 1], the centred square of them if there is a size."""
    image = torch.from_numpy(_in_range(values, name, scale))
    if size is not None and tuple(image.shape[-2:]) != (size, size):
        side = min(image.shape[-2:])
        top, left = (image.shape[-2] - side) // 2, (image.shape[-1] - side) // 2
        square = image[None, :, top : top + side, left : left + side]
        square = square.float() if image.dtype == torch.uint8 else square
        resized = F.interpolate(square, (size, size), mode="bilinear", antialias=True, align_corners=False)[0]
        image = resized.round().clamp(0, 255).byte() if image.dtype == torch.uint8 else resized.clamp(0, 1)
    numbers = image.to(torch.get_default_dtype())
    return numbers.div_(255) if image.dtype == torch.uint8 else numbers


def _in_range(values: Values, name: str, scale: Sequence[float] | None) -> Values:
    """Bytes as they are; all others between 0 and 1."""
    if values.dtype == np.uint8 and scale is None:
        return values
    numbers, kind = values.astype(np.float64), values.dtype
    bad = int((~np.isfinite(numbers)).sum())
    if bad:
        raise ValueError(f"source must hold finite values, got {bad} pixels of NaN or infinity in {name}")
    low, high = scale or (0, LARGEST.get(kind.name, 1))
    least, most = numbers.min(), numbers.max()
    if scale is None and not low <= least <= most <= high:
        wanted = f"what becomes 0 and 1 unless all values of {kind} lie in {low} .. {high}"
        raise ValueError(f"scale must say {wanted}, got None, and {least:g} .. {most:g} in {name}")
    return ((numbers - low) / (high - low)).clip(0, 1)


def _stacked(images: Iterable[Image], count: int) -> Images:
    """All images in one tensor: grey ones get three channels where others are coloured."""
    whole = torch.empty(0)
    for row, image in enumerate(images):
        if row and image.shape[-2:] != whole.shape[-2:]:
            found = " and ".join(f"{each.shape[-2]} x {each.shape[-1]}" for each in (whole, image))
            raise ValueError(f"size must be given for images of several sizes, got None and {found} pixels")
        if not row:
            whole = _empty(count, image)
        elif len(image) == 3 and len(whole[0]) == 1:
            whole = _empty(count, image).copy_(whole)
        elif len(image) != len(whole[0]) and (len(image), len(whole[0])) != (1, 3):
            found = f"{len(whole[0])} and {len(image)} channels"
            raise ValueError(f"source must hold images of as many channels each, got {found}")
        whole[row] = image
    return whole


def _empty(count: int, image: Image) -> Images:
    need_memory(f"{count} images of {image.numel()} values", count * image.nbytes)
    return torch.empty((count, *image.shape), dtype=image.dtype, device="cpu")
