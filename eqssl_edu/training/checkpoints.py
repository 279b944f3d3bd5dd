"""The checkpoints of a run: when they are written, by whom, and that no other run writes to the same folder."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock, Timeout
from lightning_fabric import Fabric
from torch import Tensor

from eqssl_edu.errors import all_finite, need_integer
from eqssl_edu.training.run_files import (
    DOCUMENT,
    FORMAT,
    TENSORS,
    checksum,
    in_words,
    look,
    packed,
    put,
    read_document,
    read_state,
    serialised,
)

__all__ = ["Checkpoints", "need_place"]


class Place(NamedTuple):
    """Where a run lives, and where it comes from."""

    folder: Path | None  # None keeps nothing
    source: Path | None  # the run to go on with; None begins
    required: bool  # refuse a source without a run, instead of beginning there


def need_place(
    folder: str | os.PathLike | None, every: int | None, resume: bool | str | os.PathLike
) -> Place:
    """The place that the arguments of a Pretrainer name. ValueError if they want a folder and name none."""
    if every is not None:
        need_integer("checkpoint_every", every, least=1)
    source = folder if isinstance(resume, bool) else resume
    folder = source if folder is None else folder
    if folder is None and (resume or every is not None):
        raise ValueError("folder must say where the run lives, for resume or checkpoint_every, got None")
    # The user may go elsewhere while it runs.
    folder, source = (None if path is None else Path(path).absolute() for path in (folder, source))
    return Place(folder, source if resume is not False else None, not isinstance(resume, bool))


class Checkpoints:
    """The checkpoints of one run: global rank zero writes, all processes read.

    Arguments:
        fabric: of the run.
        place: where the run lives.
        every: steps from one checkpoint to the next.
    """

    def __init__(self, fabric: Fabric, place: Place, every: int) -> None:
        self.fabric, self.place, self.folder, self.every = fabric, place, place.folder, every
        self.saved = -1  # the step of the checkpoint in the folder
        self._seen: tuple[int, ...] | None = None  # run.json as this run last saw it
        self._infinite: set[str] = set()  # tensors that hold infinities by themselves, such as a mask
        # One lock a run: it may be taken again by the same run, on any thread, and by no other.
        self._lock = None if self.folder is None else FileLock(self.folder / "run.lock", thread_local=False)

    def begin(self, run: Any) -> None:
        """Make the folder ready for a Pretrainer, and load the run that it is to go on with, if there is one.

        Raises:
            TypeError: when files cannot hold the state of this run.
            ValueError: when a folder holds something else than what is asked for.
            OSError: when a folder cannot be made, read or written.
            RuntimeError: when another run trains in the folder.
        """
        if self.folder is None:
            return
        tensors, said = packed(run.state_dict())
        serialised(tensors, said)
        self._infinite = _infinite(tensors)
        source = self.place.source
        if self.place.required:
            read_document(source)  # before a folder is made for what is not there
        self._on_rank_zero(lambda: self._make_ready(free=source != self.folder))
        if source is None or not (self.place.required or (source / DOCUMENT).exists()):
            return
        seen = look(source)  # before it is read: what is written meanwhile will be noticed
        found = read_state(source)
        try:
            run.load_state_dict(found)
        except (TypeError, ValueError) as problem:
            raise ValueError(f"folder must hold this run, {source} holds another: {problem}") from None
        if source == self.folder:
            self.saved, self._seen = run.step, seen

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """A block in which no other run writes to the folder, nor has done so since this run last looked."""
        if self.folder is None:
            yield
            return
        self._on_rank_zero(self._take)
        try:
            yield
        finally:
            if self.fabric.is_global_zero:
                self._lock.release()

    def keep(self, run: Any, now: bool = False) -> None:
        """Write a checkpoint of a Pretrainer, if one is due after its step, or ``now``; all processes call it.

        Raises:
            FloatingPointError: when a tensor is not finite. Such a state is no place to go on from.
            OSError: when it cannot be written; the checkpoint before stays.
        """
        due = now or run.step % self.every == 0 or run.step == run.total_steps
        if self.folder is None or not due or run.step <= self.saved:
            return
        state = run.state_dict()
        if self.fabric.world_size > 1 and state["unread"] is not None:  # each process has metrics of its own
            unread = self.fabric.all_reduce(state["unread"].to(self.fabric.device), reduce_op="mean")
            state["unread"] = unread.cpu()
        about = {name: getattr(run, name) for name in ("total_steps", "interval", "device")}
        self._on_rank_zero(lambda: self._write(state, about))
        self.saved, self._seen = run.step, look(self.folder)

    def leave(self, run: Any) -> None:
        """Write a checkpoint of a Pretrainer that is left between two steps, unless its numbers are not finite."""
        if self.fabric.world_size == 1:  # several processes are left at steps of their own
            with contextlib.suppress(FloatingPointError):
                self.keep(run, now=True)

    def _make_ready(self, free: bool) -> None:
        with in_words(self.folder, "it cannot be made"):
            self.folder.mkdir(parents=True, exist_ok=True)
        with self._locked():
            for path in self.folder.glob("*.tmp"):
                if re.fullmatch(rf"({TENSORS}|{DOCUMENT})\.tmp", path.name):
                    path.unlink(missing_ok=True)
            if free and (self.folder / DOCUMENT).exists():
                stands = f"{self.folder} holds one at step {read_document(self.folder).get('step')}"
                raise ValueError(
                    f"folder must hold no run yet, {stands}: resume=True goes on with it, another folder begins anew"
                )

    def _take(self) -> None:
        with self._locked() as kept:
            if look(self.folder) != self._seen:
                raise RuntimeError(
                    f"folder must be of this run alone, another one has written to {self.folder}: make the Pretrainer "
                    f"anew, with resume=True"
                )
            kept.pop_all()

    @contextlib.contextmanager
    def _locked(self) -> Iterator[contextlib.ExitStack]:
        try:
            with in_words(self.folder, "it cannot be written"):
                self._lock.acquire(timeout=0)
        except Timeout:
            raise RuntimeError(
                f"folder must be of this run alone, another one trains in {self.folder} now"
            ) from None
        with contextlib.ExitStack() as stack:
            stack.callback(self._lock.release)
            yield stack

    def _write(self, state: dict[str, Any], about: dict[str, Any]) -> None:
        tensors, said = packed(state)
        if bad := sorted(_infinite(tensors) - self._infinite):
            raise FloatingPointError(f"{bad[0]} is infinite or nan after step {state['step']}")
        data = serialised(tensors, said)
        file = {"file": f"step-{state['step']}.safetensors", "bytes": len(data), "checksum": checksum(data)}
        document = json.dumps({"format": FORMAT, **about, **said, "tensors": file}, allow_nan=False, indent=1)
        left = f"step {self.saved}" if self.saved >= 0 else "nothing"
        with in_words(self.folder, f"step {state['step']} cannot be written; what it held stays: {left}"):
            put(self.folder, file["file"], data)
            put(self.folder, DOCUMENT, document.encode())  # from here on the new checkpoint is the one
        for path in self.folder.glob("step-*"):
            if re.fullmatch(TENSORS, path.name) and path.name != file["file"]:
                with contextlib.suppress(OSError):  # what stays does no harm
                    path.unlink(missing_ok=True)

    def _on_rank_zero(self, act: Callable[[], None]) -> None:
        """What one process does for all; if it fails, all processes say so."""
        problem = None
        if self.fabric.is_global_zero:
            try:
                act()
            except Exception as error:
                problem = error
        if self.fabric.world_size > 1:
            problem = self.fabric.broadcast(problem)
        if problem is not None:
            raise problem


def _infinite(tensors: dict[str, Tensor]) -> set[str]:
    return {name for name, value in tensors.items() if value.is_floating_point() and not all_finite(value)}
