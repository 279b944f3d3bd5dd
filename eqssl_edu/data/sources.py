"""What every reader finds: images that are there but not yet read, their classes, and the names of parts."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped

__all__ = ["Source", "Values", "class_numbers", "library", "named", "natural", "pick", "same_part"]

PARTS = (("train", "training"), ("validation", "valid", "val"), ("test", "testing"))
MOST_CLASSES = 1_000_000  # a larger number is an identifier, and nothing could count its classes

Values = Shaped[np.ndarray, "channel height width"]  # of one image, as they are stored


class Source(NamedTuple):
    """Images that are there; ``read`` gives the name and the values of some of them, in their order."""

    count: int
    labels: list[int] | None
    classes: tuple[str, ...] | None
    read: Callable[[np.ndarray], Iterator[tuple[str, Values]]]


def natural(name: object) -> tuple:
    """A key that sorts "2" before "10"."""
    words = re.split(r"(\d+)", str(name))
    return [int(word) if i % 2 else word for i, word in enumerate(words)], str(name)


def same_part(name: str, split: str | None = None) -> bool:
    """Does a word name this part of a set, or with None any of PARTS? A row of PARTS is the names of one part."""
    rows = [row for row in PARTS if name.casefold() in row]
    return bool(rows) if split is None else name == split or any(split.casefold() in row for row in rows)


def library(name: str) -> ModuleType:
    """An optional library, imported where a file needs it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        package = name.partition(".")[0]
        raise ImportError(f"source needs the package {package}: pip install {package}") from error


@contextmanager
def named(what: object) -> Iterator[None]:
    """Whatever goes wrong while a file is read is a ValueError with the file and the cause."""
    try:
        yield
    except ImportError:
        raise
    except Exception as error:
        cause = re.sub(r" <_io\.\S+ object at \w+>", "", str(error)) or type(error).__name__
        cause = cause.replace(str(what), "it")
        raise ValueError(f"source must hold files that can be read, got {what}: {cause[:300]}") from error


def pick(found: Iterable[str], words: Sequence[str], what: str) -> str:
    """The one name, of a column or of an array, that is one of these words or has it in it; earlier words first."""
    for word in words:
        exact = [name for name in found if name.casefold() == word]
        hits = exact or [name for name in found if word in re.split(r"[^a-z]+", name.casefold())]
        if len(hits) == 1:
            return hits[0]
    wanted = f"one of {', '.join(words)} for the {what}"
    raise ValueError(f"source must have {wanted}, got the columns {', '.join(found) or 'none'}")


def class_numbers(
    values: Sequence[Any], every: Sequence[Any], where: str, names: Sequence[str] | None = None
) -> tuple[list[int], tuple[str, ...]]:
    """Labels (words, bools, whole numbers) as numbers, and the names of all classes, words in natural order.

    ``every`` are the labels of all parts of the set: a part that lacks a class keeps the others' numbers.
    """
    missing = [row for row, value in enumerate(values) if value is None or value != value]
    if missing:
        rows = f"{str(missing[:6])[1:-1]} of {where}"
        raise ValueError(f"source must have a label in each row, got none in the rows {rows}")
    if any(isinstance(value, str) for value in values):
        names = sorted({value for value in every if isinstance(value, str)}, key=natural)
        numbers = {name: number for number, name in enumerate(names)}
        values = [numbers.get(value, value) for value in values]
    elif values and all(isinstance(value, bool) for value in values):
        names = ("False", "True")

    def fits(value: object) -> bool:
        return isinstance(value, int | float) and 0 <= value < MOST_CLASSES and value % 1 == 0

    wrong = [f"{value!r} in row {row} of {where}" for row, value in enumerate(values) if not fits(value)]
    if wrong:
        wanted = "words, or whole numbers below a million"
        raise ValueError(f"source must hold labels >= 0: {wanted}, got {wrong[0]}")
    most = max((int(value) for value in (*every, *values) if fits(value)), default=-1)
    if names is None or most >= len(names):
        names = map(str, range(most + 1))
    return [int(value) for value in values], tuple(names)
