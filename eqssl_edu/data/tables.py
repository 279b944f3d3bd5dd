"""Tables with a picture in each row: parquet files of any origin, and data sets of the Hugging Face hub."""

from __future__ import annotations

import json
import re
from bisect import bisect
from collections.abc import Sequence
from functools import lru_cache
from io import BytesIO
from operator import itemgetter
from pathlib import Path
from typing import Any

from eqssl_edu.data.pictures import decode
from eqssl_edu.data.sources import PARTS, Source, Values, class_numbers, library, named, part, pick

__all__ = ["hub_source", "parts_of", "table_source", "tables_of"]

IMAGE_WORDS = ("image", "img", "images", "picture", "photo", "png", "jpg")
LABEL_WORDS = ("label", "labels", "fine_label", "class", "cls", "target")
NOT_LABELS = ("path", "file_name", "filename", "id", "index", "__index_level_0__")


def parts_of(file: Path) -> tuple[str, str]:
    """What may name the part of a file: train-00000-of-00001, train_0 and train/0000, but not train_extra."""
    return re.sub(r"([-_.]\d+)?(-of-\d+)?(-[0-9a-f]{16})?$", "", file.stem), file.parent.name


def tables_of(files: Sequence[Path], split: str) -> list[Path]:
    """The files of a part."""
    mine = [file for file in files if split in parts_of(file)]
    mine = mine or [file for file in files if part(split) in map(part, parts_of(file))]
    if len({file.parent for file in mine}) > 1:
        places = ", ".join(str(file) for file in mine[:4])
        raise ValueError(f"split must lie in one folder, got {split!r} in {places}")
    return mine


def table_source(mine: Sequence[Path], files: Sequence[Path]) -> Source:
    """The rows of the files of a part; the classes are those of all parts among ``files``."""
    table = _dataset(mine)
    image, label = _columns(table.schema.names, mine[0].name)
    labels, classes = None, None
    if label:
        values = every = _column(table, label, mine)
        for file in files:
            if file not in mine and not PARTS.keys().isdisjoint(map(part, parts_of(file))):
                other = _dataset([file])  # one by one: a part may have no labels
                every = every + (_column(other, label, [file]) if label in other.schema.names else [])
        info = json.loads((table.schema.metadata or {}).get(b"huggingface", b"{}"))
        feature = info.get("info", {}).get("features", {}).get(label, {})
        labels, classes = class_numbers(values, every, mine[0].name, feature.get("names"))

    groups, count = [], 0  # of all files; where each begins in all, and its file
    for file in table.get_fragments():
        start = count
        with named(file.path):
            for group in file.split_by_row_group():
                groups.append((count, start, group))
                count += group.row_groups[0].num_rows

    @lru_cache(maxsize=1)  # rows are read in order: no other group is in memory
    def column(number: int) -> Any:
        return groups[number][2].to_table(columns=[image])[image]

    def read(row: int) -> tuple[str, Values]:
        number = bisect(groups, row, key=itemgetter(0)) - 1
        first, start, group = groups[number]
        name = f"row {row - start} of {group.path}"
        with named(name):
            value = column(number)[row - first].as_py()
        return name, _picture(value, name)

    return Source(count, labels, classes, read)


def _dataset(files: Sequence[Path]) -> Any:
    with named(", ".join(map(str, files[:4]))):
        return library("pyarrow.dataset").dataset([str(file) for file in files], format="parquet")


def _column(table: Any, name: str, files: Sequence[Path]) -> list:
    with named(f"{name!r} in {', '.join(map(str, files[:4]))}"):
        return table.to_table(columns=[name])[name].to_pylist()


def _columns(columns: Sequence[str], where: str) -> tuple[str, str | None]:
    """The names of the columns with the pictures and with the labels: None if there are pictures alone."""
    image = pick(columns, IMAGE_WORDS, f"images of {where}")
    alone = set(columns) <= {image, *NOT_LABELS}
    return image, None if alone else pick(columns, LABEL_WORDS, f"labels of {where}")


def _picture(value: Any, name: str, trusted: bool = False) -> Values:
    data = value.get("bytes") if isinstance(value, dict) else value
    with named(name):
        if data is None and trusted:
            data = Path(value["path"]).read_bytes()
        if not isinstance(data, bytes):
            held = "a path, which is not followed" if isinstance(value, dict | str) else type(value).__name__
            raise ValueError(f"it must hold the bytes of a picture, got {held}")
        return decode(BytesIO(data))


def hub_source(name: str, split: str) -> Source:
    """A part of a data set of the hub; downloaded once, then read offline."""
    datasets = library("datasets")
    try:
        table = datasets.load_dataset(name, split=split)
    except OSError as error:
        wanted = f"a file, a folder or a data set of the hub, got {name!r}: {str(error)[:120]}"
        advice = "give the path of a parquet file or of a folder (HF_HUB_OFFLINE=1 saves the attempts)"
        raise ConnectionError(f"source must be {wanted}. Without a network {advice}") from error
    except ValueError as error:  # no such split, or several sets under one name
        raise ValueError(f"split must be a part of {name!r}, got {split!r}: {error}") from error
    image, label = _columns(table.column_names, name)
    labels, classes = None, None
    if label:
        values = list(table[label])
        labels, classes = class_numbers(values, values, name, getattr(table.features[label], "names", None))
    pictures = table.select_columns([image]).cast_column(image, datasets.Image(decode=False))

    def read(row: int) -> tuple[str, Values]:
        where = f"row {row} of {name}"
        return where, _picture(pictures[row][image], where, trusted=True)

    return Source(len(table), labels, classes, read)
