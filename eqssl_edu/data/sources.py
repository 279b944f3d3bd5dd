"""What every reader finds: images that are there but not yet read, their classes, and the names of parts."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Shaped

__all__ = [
    "PARTS",
    "Source",
    "Values",
    "class_numbers",
    "library",
    "named",
    "natural",
    "need_memory",
    "part",
    "pick",
]

PARTS = {"training": "train", "valid": "validation", "val": "validation", "testing": "test"}
PARTS |= {name: name for name in PARTS.values()}
MOST_CLASSES = 1_000_000  # a larger number is an identifier, and nothing could count its classes

Values = Shaped[np.ndarray, "channel height width"]  # of one image, as they are stored


class Source(NamedTuple):
    """Images that are there; ``read(row)`` gives the name and the values of one."""

    count: int
    labels: list[int] | None
    classes: tuple[str, ...] | None
    read: Callable[[int], tuple[str, Values]]


def natural(name: object) -> tuple:
    """A key that sorts "2" before "10"."""
    words = re.split(r"(\d+)", str(name))
    return [int(word) if i % 2 else word for i, word in enumerate(words)], str(name)


def part(name: str) -> str:
    """The part of a set that a word names, by one of its names: "val" is "validation"; any other as it is."""
    return PARTS.get(name.casefold(), name)


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
        cause = re.sub(r" <_io\.[^>]*>", "", str(error)).replace(str(what), "it") or type(error).__name__
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
) -> tuple[list[int] | None, tuple[str, ...] | None]:
    """Labels (words, bools, whole numbers) as numbers, and the names of all classes, words in natural order.

    ``every`` are the labels of all parts of the set: a part that lacks a class keeps the others' numbers. A part
    that has nothing but null, NaN or -1 has no labels.
    """

    def fits(value: object) -> bool:
        return isinstance(value, int | float) and 0 <= value < MOST_CLASSES and value % 1 == 0

    numbers = values
    if any(isinstance(value, str) for value in values):
        names = sorted({value for value in every if isinstance(value, str)}, key=natural)
        places = {name: number for number, name in enumerate(names)}
        numbers = [places.get(value) for value in values]
    elif values and all(isinstance(value, bool) for value in values):
        names = ("False", "True")
    most = max((int(value) for value in (*every, *numbers) if fits(value)), default=-1)
    if names is None or most >= len(names):
        names = map(str, range(most + 1))
    wrong = [row for row, value in enumerate(numbers) if not fits(value)]
    if wrong and all(value in (None, -1) or value != value for value in values):
        return None, tuple(names) or None
    if wrong:
        wanted = f"words or whole numbers 0 .. {MOST_CLASSES - 1} as labels"
        found = f"{values[wrong[0]]!r} in row {wrong[0]} of {where} ({len(wrong)} such rows)"
        raise ValueError(f"source must hold {wanted}, got {found}")
    return [int(value) for value in numbers], tuple(names)


def need_memory(what: str, size: int) -> None:
    """Raise ValueError if something of so many bytes does not fit into what is free."""
    import psutil

    free = psutil.virtual_memory().available
    with suppress(OSError, ValueError):  # what a container may take: a number, or the word max
        free = min(free, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    if size > free:
        wanted = f"{what} would take {size / 1e9:.1f} GB"
        raise ValueError(f"size and limit must leave room in memory: {wanted}, got {free / 1e9:.1f} GB")
