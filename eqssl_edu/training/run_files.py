"""The two files of a run: one JSON that says all in words and numbers, one file of tensors, whole at any moment.

``step-30.safetensors`` holds the weights, buffers and averages of the optimiser after step 30, ``run.json`` the
settings, the history, and the name, size and checksum of that file. The tensors are written first, then ``run.json``,
both to a temporary file that takes its place at once: a process that is killed anywhere in between leaves the
checkpoint before. Nothing in the folder is ever run or unpickled.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from eqssl_edu.errors import need_instance

__all__ = [
    "DOCUMENT",
    "FORMAT",
    "TENSORS",
    "checksum",
    "in_words",
    "look",
    "packed",
    "put",
    "read_document",
    "read_state",
    "serialised",
]

FORMAT = 1
DOCUMENT = "run.json"
TENSORS = r"step-\d+\.safetensors"
PARTS = ("step", "settings", "history", "metrics", "seconds")  # of a run's state that JSON can say


def put(folder: Path, name: str, data: bytes) -> None:
    """A file that is whole or not there: written beside its place, then moved."""
    temporary = folder / f"{name}.tmp"
    try:
        with open(temporary, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, folder / name)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def read_document(folder: Path) -> dict[str, Any]:
    """What ``run.json`` says. ValueError unless it is that of a run in this version's format."""
    with in_words(folder, "its run.json cannot be read"):
        if not (folder / DOCUMENT).exists():
            there = sorted(path.name for path in folder.iterdir())[:5] if folder.is_dir() else []
            raise ValueError(
                f"folder must hold a run, {folder} holds no {DOCUMENT} but {', '.join(there) or 'nothing'}"
            )
        data = (folder / DOCUMENT).read_bytes()
    try:
        document = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as problem:
        raise ValueError(f"folder must hold a run, {folder / DOCUMENT} is no JSON ({problem})") from None
    if not isinstance(document, dict) or not isinstance(document.get("format"), int):
        raise ValueError(
            f"folder must hold a run, {folder / DOCUMENT} is of something else: it names no format"
        )
    if document["format"] != FORMAT:
        raise ValueError(
            f"folder must hold a run in format {FORMAT}, {folder} holds one in format {document['format']}; the "
            f"version of eqssl_edu that wrote it reads it"
        )
    return document


def read_state(folder: Path) -> dict[str, Any]:
    """The state of the run in a folder; what it holds is checked when a Pretrainer loads it."""
    document = read_document(folder)
    try:
        named = document["tensors"]
        name, size, mark = named["file"], named["bytes"], named["checksum"]
        if not re.fullmatch(TENSORS, name):  # a name, and no way out of the folder
            raise ValueError(f"{name} is no file of tensors")
        with in_words(folder, f"{name} cannot be read"):
            data = (folder / name).read_bytes()
        if len(data) != size:
            raise ValueError(
                f"{name} has {len(data)} bytes and should have {size}: it was cut short or changed"
            )
        if checksum(data) != mark:
            raise ValueError(f"{name} is not the file that {DOCUMENT} names: its checksum differs")
        return unpacked(safetensors.torch.load(data), document)
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, SafetensorError) as problem:
        what = f"{DOCUMENT} lacks {problem}" if isinstance(problem, KeyError) else problem
        raise ValueError(f"folder must hold a whole run, in {folder} {what}") from problem


def checksum(data: bytes) -> str:
    """Of a file of tensors."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def packed(state: dict[str, Any]) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """A state as tensors by name, on the CPU, and as what JSON can say."""
    model, optimizer = state["model"], state["optimizer"]
    tensors = {f"model.{name}": value for name, value in model.items() if isinstance(value, Tensor)}
    for index, average in optimizer["state"].items():
        tensors |= {f"optimizer.{index}.{name}": value for name, value in average.items()}
    if state["unread"] is not None:
        tensors["unread"] = state["unread"]
    words = {name: value for name, value in model.items() if not isinstance(value, Tensor)}
    said = {name: state[name] for name in PARTS}
    tensors = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    return tensors, {**said, "model": words, "optimizer": optimizer["param_groups"]}


def unpacked(tensors: dict[str, Tensor], document: dict[str, Any]) -> dict[str, Any]:
    """What :func:`packed` has taken apart."""
    need_instance("model", document["model"], dict)
    averages: dict[int, dict[str, Tensor]] = {}
    model: dict[str, Any] = dict(document["model"])
    for name, value in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "model":
            model[rest] = value
        elif kind == "optimizer":
            index, _, average = rest.partition(".")
            averages.setdefault(int(index), {})[average] = value
    # JSON knows no tuples.
    groups = [
        {name: tuple(value) if name == "betas" else value for name, value in group.items()}
        for group in document["optimizer"]
    ]
    return {
        **{name: document[name] for name in PARTS},
        "model": model,
        "optimizer": {"state": averages, "param_groups": groups},
        "unread": tensors.get("unread"),
    }


def serialised(tensors: dict[str, Tensor], said: dict[str, Any]) -> bytes:
    """The file of the tensors. TypeError unless it can hold them, and JSON what else the model says of itself."""
    for name, value in said["model"].items():
        try:
            same = json.loads(json.dumps(value, allow_nan=False)) == value
        except (TypeError, ValueError):
            same = False
        if not same:
            raise TypeError(
                f"model must have a state of tensors and plain JSON for a run with a folder, {name} is neither"
            )
    try:
        return safetensors.torch.save(tensors)
    except (KeyError, ValueError, SafetensorError) as problem:
        raise TypeError(f"model must have a state that safetensors can hold: {problem}") from None


@contextlib.contextmanager
def in_words(folder: Path, what: str) -> Iterator[None]:
    """An error of the disk, of the same kind, in a sentence that names the folder."""
    try:
        yield
    except OSError as problem:
        raise type(problem)(f"folder {folder}: {what} ({problem.strerror or problem})") from problem


def look(folder: Path) -> tuple[int, ...] | None:
    """Which run.json lies in a folder: each that is written is a file of its own."""
    try:
        found = (folder / DOCUMENT).stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no number of JSON")
