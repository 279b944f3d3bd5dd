"""Sets of images in one array: .npy, .npz, HDF5, and the text files of rotated MNIST (.amat)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from eqssl_edu.data.pictures import channels_first
from eqssl_edu.data.sources import Source, Values, class_numbers, library, named, pick, same_part

__all__ = ["ARRAYS", "array_source", "arrays_of"]

ARRAYS = (".npy", ".npz", ".amat", ".h5", ".hdf5")
IMAGE_WORDS = ("images", "image", "x", "data", "imgs", "arr_0")
LABEL_WORDS = ("labels", "label", "y", "ans", "targets", "target", "class", "arr_1")
# Of files with one array each: x_train.npy and y_train.npy
TWINS = {"x": "y", "X": "y", "images": "labels", "image": "label", "data": "labels"}


def _words(name: str) -> list[str]:
    return [word for word in re.split(r"[^a-z]+", name.casefold()) if word]


def _is_of(name: str, split: str) -> bool:
    """Does a name say this part? train_valid and train_extra are not of train."""
    words = [word for word in _words(name) if word not in (*IMAGE_WORDS, *LABEL_WORDS)]
    return [same_part(word) for word in words].count(True) == 1 and same_part(words[-1], split)


def arrays_of(files: Sequence[Path], split: str) -> list[Path]:
    """The files of a part: ``x_train.npy``, ``pcam_train_x.h5``; or the only one, if it names no part."""
    images = [file for file in files if not set(_words(file.stem)) & set(LABEL_WORDS)]
    mine = [file for file in images if _is_of(file.stem, split)]
    return mine or (images if len(images) == 1 and not any(map(same_part, _words(images[0].stem))) else [])


def array_source(path: Path, split: str) -> Source:
    """The images of a file, those of the part where its arrays name parts, with the labels beside them."""
    arrays = _open(path)
    names = list(arrays)
    if len(names) > 1 and any(same_part(word) for name in names for word in _words(name)):
        names = [name for name in names if _is_of(name, split)]
        if not names:
            raise FileNotFoundError(
                f"split must be in the name of an array, got {split!r}: {', '.join(arrays)}"
            )
    name = names[0] if len(names) == 1 else pick(names, IMAGE_WORDS, f"images of {path.name}")
    with named(path):
        images = arrays[name]
        shape, kind = images.shape, images.dtype.kind
        fits = len(shape) == 4 or (len(shape) == 3 and shape[2] > 4)  # (32, 32, 3) is one image
        if kind not in "biuf" or not fits or 0 in shape[1:]:
            wanted = "numbers (N, H, W), (N, H, W, C) or (N, C, H, W)"
            raise ValueError(f"images must be {wanted}, got {shape} {name!r}")

    def read(rows: np.ndarray) -> Iterator[tuple[str, Values]]:
        for row in rows:
            with named(f"image {row} of {path}"):
                values = channels_first(np.asarray(images[row]))
            yield f"image {row} of {path.name}", values

    labels, classes = _labels(path, arrays, [other for other in names if other != name])
    if labels is not None and len(labels) != shape[0]:
        found = f"{len(labels)} for {shape[0]} in {path.name}"
        raise ValueError(f"source must have a label an image, got {found}")
    return Source(shape[0], labels, classes, read)


def _labels(path: Path, arrays: Mapping, names: list[str]) -> tuple[list[int] | None, tuple[str, ...] | None]:
    """The labels among these arrays, or in the file beside this one, and all classes; None without either."""
    if not names:
        stem = "".join(TWINS.get(word, word) for word in re.split(r"([A-Za-z]+)", path.stem))
        twin = path.with_stem(stem)
        if twin == path or not twin.exists():
            return None, None
        path, arrays = twin, _open(twin)
        names = list(arrays)
    label = names[0] if len(arrays) == 1 else pick(names, LABEL_WORDS, f"labels of {path.name}")
    with named(path):
        if math.prod(arrays[label].shape[1:]) != 1:
            raise ValueError(f"labels must be one number an image, got {arrays[label].shape} in {label!r}")
        kin = [name for name in arrays if set(_words(name)) & set(_words(label)) & set(LABEL_WORDS)]
        every = {name: np.asarray(arrays[name][:]).reshape(-1).tolist() for name in {label, *kin}}
    return class_numbers(every[label], [value for each in every.values() for value in each], path.name)


def _open(path: Path) -> Mapping:
    """The arrays of a file by name; no pickle is opened, and no link to another file followed."""
    ending = path.suffix.lower()
    with named(path):
        if (
            ending == ".amat"
        ):  # a line an image: its pixels row by row, as the field's code has them, and its label
            table = np.loadtxt(path, ndmin=2)
            side = math.isqrt(table.shape[1] - 1)
            return {"images": table[:, :-1].reshape(len(table), side, side), "labels": table[:, -1]}
        if ending in (".npy", ".npz"):
            found = np.load(path, mmap_mode="r", allow_pickle=False)
            return {path.stem: found} if isinstance(found, np.ndarray) else found
        h5py = library("h5py")
        file = h5py.File(path, "r")
        inside = [name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)]
        found = {name: file[name] for name in inside if isinstance(file[name], h5py.Dataset)}
        return {name: each for name, each in found.items() if not each.is_virtual and not each.external}
