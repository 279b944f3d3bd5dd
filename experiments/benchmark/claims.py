"""One file a run, written as it ends; a lock says who is at work on it. So any number of processes share the work."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from experiments.benchmark.plan import Run

__all__ = ["OutOfTime", "finished", "work", "write"]


class OutOfTime(Exception):
    """The budget is spent in the middle of a run; the next call goes on with it."""


def write(path: Path, text: str) -> None:
    """All of it or nothing: written beside the file, brought to the disk, and moved."""
    scratch = path.with_suffix(f".{os.getpid()}.part")
    with scratch.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(scratch, path)


def finished(folder: Path) -> list[dict]:
    """The records of all runs that have ended, in the order of their names."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))]


def work(
    runs: Iterable[Run], folder: Path, perform: Callable[[Run, float], dict], deadline: float
) -> Iterator[Run]:
    """Perform, in order, what no one has done and no one is doing; yield each run as it is written.

    A process that is killed lets go of its claim (the system does it), and its run is due again.

    Arguments:
        runs: what there is to do.
        folder: of the files; several processes may work on one.
        perform: (run, deadline) -> its numbers; raises ``OutOfTime`` when the deadline passes.
        deadline: in the seconds of ``time.time``. No run begins that took longer with another seed than is left.
    """
    claims = folder / ".work"
    claims.mkdir(parents=True, exist_ok=True)
    for run in runs:
        path = folder / f"{run.name}.json"
        if path.exists() or time.time() + expected(run, folder) >= deadline:
            continue
        try:
            with FileLock(claims / f"{run.name}.lock", timeout=0):
                if path.exists():  # since we looked
                    continue
                began = time.time()
                record = run._asdict() | perform(run, deadline)
                record["seconds"] = round(time.time() - began, 2)
                write(path, json.dumps(record, indent=1) + "\n")
        except Timeout:  # another process is at it
            continue
        except OutOfTime:
            return
        yield run


def expected(run: Run, folder: Path) -> float:
    """The most seconds that this arm took with another seed; 0 if it never ran."""
    others = folder.glob(f"{run._replace(seed='').name}*.json")
    return max((json.loads(path.read_text(encoding="utf-8"))["seconds"] for path in others), default=0.0)
