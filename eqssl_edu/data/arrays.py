"""Sets of images in arrays: .npy, .npz, HDF5, and the text files of rotated MNIST (.amat)."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from eqssl_edu.data.pictures import channels_first
from eqssl_edu.data.sources import (
    PARTS,
    Source,
    Values,
    class_numbers,
    library,
    named,
    need_memory,
    part,
    pick,
)

__all__ = ["ARRAYS", "array_source", "arrays_of"]

ARRAYS = (".npy", ".npz", ".amat", ".h5", ".hdf5")
IMAGE_WORDS = ("images", "image", "imgs", "x", "data", "arr_0")
LABEL_WORDS = ("labels", "label", "y", "ans", "targets", "target", "class", "arr_1")


def _words(name: str) -> list[str]:
    return [part(word) for word in re.split(r"[\W_]+", name.casefold()) if word]


def _without(name: str, *left_out: Collection[str]) -> list[str]:
    """The words of a name, parts by one of their names, but those left out."""
    return [word for word in _words(name) if not any(word in words for words in left_out)]


def _part_of(name: str, split: str) -> list[str]:
    """The parts that end a name: x-train-imgs is of train, train_valid of both, train_extra of neither."""
    words = _without(name, IMAGE_WORDS, LABEL_WORDS)
    said = [word for word in words if word in (*PARTS, *_words(split))]
    return said if words[len(words) - len(said) :] == said else []


def _has_labels(name: str) -> bool:
    return not {name.casefold(), *_words(name)}.isdisjoint(LABEL_WORDS)


def arrays_of(files: Sequence[Path], split: str) -> list[Path]:
    """The files of a part: ``x_train.npy``, ``pcam_train_x.h5``; or the only one, if it names no part."""
    images = [file for file in files if not _has_labels(file.stem)]
    mine = [file for file in images if _part_of(file.stem, split) == _words(split)]
    return mine or (images if len(images) == 1 and PARTS.keys().isdisjoint(_words(images[0].stem)) else [])


def array_source(path: Path, split: str, opened: ExitStack) -> Source:
    """The images of a file, those of the part where its arrays name parts, with the labels beside them.

    A file with one array, ``x_train.npy``, has its labels in another, ``y_train.npy``. ``opened`` closes them.
    """
    arrays, own, wanted = _open(path, opened), _part_of(path.stem, split), _words(split)
    if len(arrays) == 1:
        known = (PARTS, IMAGE_WORDS, LABEL_WORDS)
        near = [file for file in path.parent.glob(f"[!.]*{path.suffix}") if _has_labels(file.stem)]
        near = [file for file in near if _without(file.stem, *known) == _without(path.stem, *known)]
        found = {path.stem: arrays, **{file.stem: _open(file, opened) for file in near if file != path}}
        arrays = {stem: next(iter(each.values())) for stem, each in found.items()}
        wanted = own if part(split) == "train" else wanted  # the file itself says its part
    parts = {name: _part_of(name, split) for name in arrays}
    all_of_it = not any(parts.values()) and (part(split) == "train" or own == wanted)
    mine = [name for name in arrays if all_of_it or parts[name] == wanted]
    plain = [name for name in mine if not _has_labels(name)]
    if arrays and not plain:
        wanted = "in the name of an array of images"
        raise FileNotFoundError(f"split must be {wanted}, got {split!r}: {', '.join(arrays)}")
    name = plain[0] if len(plain) == 1 else pick(mine, IMAGE_WORDS, f"images of {path.name}")
    others = [other for other in mine if other != name]
    with named(path):
        images = arrays[name]
        shape = images.shape
        one = len(shape) == 3 and (shape[2] <= 4 or shape[0] == shape[1] != shape[2])  # image: (64, 64, 13)
        if images.dtype.kind not in "biuf" or len(shape) not in (3, 4) or one or 0 in shape[1:]:
            wanted = "numbers (N, H, W), (N, H, W, C) or (N, C, H, W)"
            raise ValueError(f"images must be {wanted}, got {shape} {name!r}")

    def read(row: int) -> tuple[str, Values]:
        with named(f"image {row} of {path}"):
            return f"image {row} of {path.name}", channels_first(np.asarray(images[row]))

    if not others:
        return Source(shape[0], None, None, read)
    label = pick(others, LABEL_WORDS, f"labels of {path.name}")
    kin = [each for each in arrays if _without(each, PARTS) == _without(label, PARTS)]
    with named(path):
        every = {each: _column(arrays[each]) for each in kin}
    return Source(shape[0], *class_numbers(every[label], [*chain(*every.values())], path.name), read)


def _column(array: Any) -> list:
    if math.prod(array.shape[1:]) != 1:
        raise ValueError(f"labels must be one number an image, got {array.shape}")
    values = np.asarray(array[:]).reshape(-1).tolist()
    return [value.decode() if isinstance(value, bytes) else value for value in values]


def _open(path: Path, opened: ExitStack) -> Mapping:
    """The arrays of a file by name; no pickle is opened, and no link to another file followed."""
    ending = path.suffix.lower()
    with named(path):
        if ending == ".amat":  # a line an image: its pixels row by row, and its label
            table = np.loadtxt(path, ndmin=2)
            side = math.isqrt(table.shape[1] - 1)
            return {"images": table[:, :-1].reshape(len(table), side, side), "labels": table[:, -1]}
        if ending == ".npy":
            return {path.stem: np.load(path, mmap_mode="r", allow_pickle=False)}
        if ending == ".npz":
            arrays = opened.enter_context(np.load(path, allow_pickle=False))
            for member in arrays.zip.infolist():  # each is read as a whole
                need_memory(f"{member.filename} of {path.name}", member.file_size)
            return arrays
        h5py, found = library("h5py"), []
        opened.enter_context(h5py.File(path, "r")).visititems(lambda name, each: found.append((name, each)))
        sets = [(name, each) for name, each in found if isinstance(each, h5py.Dataset)]
        return {name: each for name, each in sets if not each.is_virtual and not each.external}
