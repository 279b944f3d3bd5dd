"""Pictures in folders: a folder for each part, in it one for each class, in that any others."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from eqssl_edu.data.pictures import PICTURES, open_picture
from eqssl_edu.data.sources import PARTS, Source, named, natural, part

__all__ = ["files_below", "picture_folder", "picture_source"]

REMAINS = (".", "__MACOSX", "@eaDir")  # how names begin that other programs leave
NO_CLASS = ("images", "image", "imgs", "img", *PARTS)  # of a folder alone in a part: test/images, train/train


def _visible(folder: Path) -> list[Path]:
    with named(folder):
        return sorted((path for path in folder.iterdir() if not path.name.startswith(REMAINS)), key=natural)


def files_below(folder: Path, endings: tuple[str, ...], above: tuple[str, ...] = ()) -> Iterator[Path]:
    """All files with one of these endings, in natural order. Links are followed, but not round in a circle."""
    real = os.path.realpath(folder)
    for path in _visible(folder) if real not in above else ():
        if path.is_dir():
            yield from files_below(path, endings, (*above, real))
        elif path.name.lower().endswith(endings) and (path.is_file() or not path.exists()):
            yield path  # a broken link is named when it is read; pipes and devices would block


def picture_source(files: list[Path], labels: list[int] | None, classes: tuple[str, ...] | None) -> Source:
    """These pictures."""
    return Source(len(files), labels, classes, lambda row: (str(files[row]), open_picture(files[row])))


def picture_folder(folder: Path, split: str) -> Source:
    """The pictures of a part, with the classes of all parts; without class folders they have no labels."""
    mine, parts = _parts(folder, split)
    loose, found = _content(mine)
    if loose and found:
        raise ValueError(f"source must have each picture in a folder of its class, got {str(loose[0])!r}")
    if not found:
        return picture_source(loose, None, None)
    classes = sorted({name for each in parts for name in _content(each)[1]}, key=natural)
    words = {part(word) for name in classes for word in re.split(r"[\W_]+", name)}
    if len(words & PARTS.keys()) > 1:
        raise ValueError(f"source must name its parts train, validation and test, got {', '.join(classes)}")
    places = [(label, place) for label, name in enumerate(classes) for place in found.get(name, ())]
    pairs = [(file, label) for label, place in places for file in files_below(place, PICTURES)]
    if len(classes) == 1 and not any(file.parent == place for file, _ in pairs for _, place in places):
        wanted = "the folder with the parts or the classes right in it"
        raise ValueError(f"source must be {wanted}, got {classes[0]!r} alone with folders in it: give that")
    return picture_source([file for file, _ in pairs], [label for _, label in pairs], tuple(classes))


def _content(folder: Path) -> tuple[list[Path], dict[str, list[Path]]]:
    """The pictures right in a part, and the folders of each class; a folder without a picture is none."""
    loose, found = [], {}
    for path in _visible(folder):
        if path.is_dir() and any(files_below(path, PICTURES)):
            name = unicodedata.normalize("NFC", path.name)  # macOS writes an accent as a letter of its own
            found.setdefault(name, []).append(path)
        elif path.name.lower().endswith(PICTURES) and not path.is_dir():
            loose.append(path)
    alone = next(iter(found)) if len(found) == 1 and not loose else ""
    return _content(found[alone][0]) if alone.casefold() in NO_CLASS else (loose, found)


def _parts(folder: Path, split: str) -> tuple[Path, list[Path]]:
    """The folder of the part, and those of all parts."""
    places = [path for path in _visible(folder) if path.is_dir()]
    parts = [path for path in places if part(path.name) in PARTS or path.name == split]
    asked = [path for path in parts if path.name == split]
    asked = asked or [path for path in parts if part(path.name) == part(split)]
    there = f"got {split!r}: {', '.join(path.name for path in places[:6])}"
    if len(asked) == 1:
        others = [path for path in places if path not in parts and any(files_below(path, PICTURES))]
        if others and not _content(asked[0])[1]:
            raise ValueError(f"split must name a part, but here it may be a class beside others, {there}")
        return asked[0], parts
    if parts or part(split) not in ("train", part(folder.name)):
        raise FileNotFoundError(f"split must name one of the folders of {folder.name!r}, {there}")
    if part(folder.name) not in PARTS:
        return folder, [folder]
    return folder, [path for path in _visible(folder.parent) if path.is_dir() and part(path.name) in PARTS]
