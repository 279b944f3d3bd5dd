"""Pictures in folders: a folder for each part, in it one for each class, in that any others."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from eqssl_edu.data.pictures import PICTURES, open_picture
from eqssl_edu.data.sources import Source, Values, named, natural, same_part

__all__ = ["files_below", "picture_folder", "picture_source"]

REMAINS = ("__MACOSX", "@eaDir")  # of other programs; so is what begins with a dot


def _visible(folder: Path) -> list[Path]:
    with named(folder):
        kept = (path for path in folder.iterdir() if not path.name.startswith((".", *REMAINS)))
        return sorted(kept, key=natural)


def files_below(folder: Path, endings: tuple[str, ...], above: tuple[str, ...] = ()) -> Iterator[Path]:
    """All files with one of these endings, in natural order. Links are followed, but not round in a circle."""
    real = os.path.realpath(folder)
    for path in _visible(folder) if real not in above else ():
        if path.is_dir():
            yield from files_below(path, endings, (*above, real))
        elif path.name.lower().endswith(endings) and (path.is_file() or not path.exists()):
            yield path  # a broken link is named when it is read; pipes and devices would block


def picture_source(
    files: list[Path], labels: list[int] | None = None, classes: tuple[str, ...] | None = None
) -> Source:
    """These pictures."""

    def read(rows: np.ndarray) -> Iterator[tuple[str, Values]]:
        for row in rows:
            yield str(files[row]), open_picture(files[row])

    return Source(len(files), labels, classes, read)


def picture_folder(folder: Path, split: str) -> Source:
    """The pictures of a part, with the classes of all parts; without class folders they have no labels."""
    part, parts = _part(folder, split)
    loose = [path for path in _visible(part) if path.name.lower().endswith(PICTURES) and not path.is_dir()]
    found = _classes(part)
    if loose and found:
        raise ValueError(f"source must have each picture in a folder of its class, got {str(loose[0])!r}")
    if not found:
        return picture_source(loose)
    classes = sorted({name for each in parts for name in _classes(each)}, key=natural)
    pairs = [
        (file, label)
        for label, name in enumerate(classes)
        for place in found.get(name, ())
        for file in files_below(place, PICTURES)
    ]
    return picture_source([file for file, _ in pairs], [label for _, label in pairs], tuple(classes))


def _classes(part: Path) -> dict[str, list[Path]]:
    """The folders of each class; a folder without a picture is none."""
    found: dict[str, list[Path]] = {}
    for path in _visible(part):
        if path.is_dir() and any(files_below(path, PICTURES)):
            name = unicodedata.normalize("NFC", path.name)  # macOS writes an accent as a letter of its own
            found.setdefault(name, []).append(path)
    return found


def _part(folder: Path, split: str) -> tuple[Path, list[Path]]:
    """The folder of the part, and those of all parts."""
    places = [path for path in _visible(folder) if path.is_dir()]
    parts = [path for path in places if same_part(path.name) or path.name == split]
    asked = [path for path in parts if path.name == split]
    asked = asked or [path for path in parts if same_part(path.name, split)]
    there = f"got {split!r}: {', '.join(path.name for path in places[:6])}"
    if len(asked) == 1:
        others = [path for path in places if path not in parts and any(files_below(path, PICTURES))]
        if others and not _classes(asked[0]):
            raise ValueError(f"split must name a part, but here it may be a class beside others, {there}")
        return asked[0], parts
    if parts or not (split == "train" or same_part(folder.name, split)):
        raise FileNotFoundError(f"split must name one of the folders of {folder.name!r}, {there}")
    inner = [path for place in places for path in _visible(place) if path.is_dir() and same_part(path.name)]
    if inner:
        found = str(inner[0].relative_to(folder))
        raise ValueError(f"source must have its parts directly in it, got {found!r}")
    if not same_part(folder.name):
        return folder, [folder]
    return folder, [path for path in _visible(folder.parent) if path.is_dir() and same_part(path.name)]
