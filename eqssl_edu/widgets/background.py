"""Several runs on a thread of their own: in turn, with readouts between the steps, until the end or a stop."""

from __future__ import annotations

import atexit
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from typing import Any

import torch

from eqssl_edu.errors import got
from eqssl_edu.ownership import free, steps_of, take
from eqssl_edu.twins import eval_mode

__all__ = ["Background"]

SECONDS_BETWEEN_UPDATES = 0.2
SECONDS_BETWEEN_READINGS = 1.0
SHARE_OF_READINGS = 0.1  # of the time, for readouts that take long
SECONDS_AT_EXIT = 30.0  # for the step that is being computed when Python ends
_at_work: set[Background] = set()


class Background:
    """A training that can be stopped, resumed and waited for.

    A model belongs to one training: :meth:`start` stops an earlier one of the same weights, and waits for its end.

    Arguments:
        runs: ``Pretrainer`` by name; each trains a model of its own.
        readouts: from a model to its numbers by name, or None.
        show: called on the thread a few times a second, and at the end.
        cell: (the notebook's cell, its execution) that begins it: the next execution of the cell ends it.
    """

    def __init__(
        self,
        runs: dict[str, Any],
        readouts: Callable[[Any], Mapping[str, float]] | None,
        show: Callable[[], None],
        cell: tuple[object, object],
    ) -> None:
        self.runs, self.readouts, self.show, self.cell = runs, readouts, show, cell
        self.readings: dict[str, list[dict[str, float]]] = {name: [] for name in runs}
        self.claims = [run.claim for run in runs.values()]
        self.thread: threading.Thread | None = None
        self.pid = os.getpid()  # a forked process has no such thread
        self.status, self.words, self.trace, self.note = "running", "", "", ""
        self.error: BaseException | None = None
        self.replaced = False  # by a later training of these weights, or of the same cell
        self.steps = self.steps_before = sum(run.step for run in runs.values())
        self.seconds = self.seconds_before = 0.0
        self._stop, self._idle = threading.Event(), threading.Event()
        self._idle.set()
        self._resuming = threading.Lock()  # a button and a cell may both ask for it

    @property
    def running(self) -> bool:
        return not self._idle.is_set()

    def start(self) -> None:
        """Begin, after the end of an earlier training of these weights, or of an earlier execution of the cell."""
        cell, execution = self.cell
        earlier = {other for other in list(_at_work) if cell == other.cell[0] and execution != other.cell[1]}
        while rivals := earlier | take(self.claims, self):
            for rival in rivals:
                rival.replace()
            earlier = set()
            self.note = "An earlier training was stopped. "
        past = {name: steps for name, run in self.runs.items() if (steps := steps_of(run.model))}
        words = [f"{name!r} had been trained for {steps} steps before." for name, steps in past.items()]
        self.note += " ".join([*words, "To start anew, make model and Pretrainer anew."] if past else [])
        self._begin()

    def replace(self) -> None:
        """Stop for good, because a new training begins, and wait for the end."""
        self.refuse_own_thread("a new LiveTraining of the same model")
        self.replaced = True
        self.note = "Stopped, because a new training of the same model or cell has begun."
        self.stop()
        self.join()

    def stop(self) -> None:
        self._stop.set()

    def resume(self) -> None:
        """Go on after a stop. RuntimeError when another training has the weights now."""
        with self._resuming:
            if self.status != "stopped" or self.running:
                return
            if self.replaced or take(self.claims, self):
                raise RuntimeError(
                    "a later LiveTraining has taken this one's place: use that one, or make a new one"
                )
            self.steps_before, self.seconds_before = self.steps, self.seconds
            self.status, self.note = "running", ""
            self._begin()

    def wait(self, tick: Callable[[], None]) -> None:
        """Block until the end; ``tick`` is called ten times a second. Raises what went wrong."""
        self.refuse_own_thread("wait()")
        if self.running and signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            words = "this process ignores interrupts (started with nohup or &): "
            warnings.warn(words + "the Stop button ends the training", stacklevel=3)
        try:
            self.join(tick)
        except KeyboardInterrupt:
            self.note = "Stopped by an interrupt of the kernel."
            self.stop()
            self.join()
            raise
        if self.error is not None:
            raise self.error

    def join(self, tick: Callable[[], None] = lambda: None, seconds: float = float("inf")) -> None:
        """Wait for the end, unless it is this very thread that trains."""
        deadline = time.monotonic() + seconds
        # With a timeout, because on Windows a wait without one cannot be interrupted. Not Thread.join: when that is
        # interrupted, Python 3.11 takes the thread for dead.
        while self.pid == os.getpid() and self.thread is not threading.current_thread():
            if self._idle.wait(timeout=0.1) or time.monotonic() >= deadline:
                return
            tick()

    def refuse_own_thread(self, what: str) -> None:
        if self.thread is threading.current_thread():
            raise RuntimeError(
                f"{what} was asked for by the training itself, in readouts or training_step: it would "
                f"wait for its own end; stop() is allowed there"
            )

    def _begin(self) -> None:
        self._stop.clear()
        self._idle.clear()
        self.thread = threading.Thread(target=self._work, name="eqssl_edu training", daemon=True)
        _at_work.add(self)
        try:
            self.thread.start()
        except RuntimeError:  # no more threads, or Python ends
            self._leave()
            self._idle.set()
            raise

    def _work(self) -> None:
        """The thread: trains, then shows the last state, whatever happened."""
        try:
            self._train()
            complete = all(run.step >= run.total_steps for run in self.runs.values())
            self.status = "finished" if complete else "stopped"
        except BaseException as error:
            self.status, self.error, self.words, self.trace = "failed", error, *_told(error)
        self._leave()
        try:
            self.show()
        finally:
            self._idle.set()

    def _leave(self) -> None:
        free(self.claims, self)
        _at_work.discard(self)

    def _train(self) -> None:
        """All runs in turn, one step each, until they end or a stop is asked for."""
        started = time.perf_counter()
        shown, due = -SECONDS_BETWEEN_UPDATES, started  # when it was last shown; when readouts are next taken
        # A run that is left before its end writes its checkpoint and frees its folder.
        with ExitStack() as stack:
            turns = [stack.enter_context(closing(run.steps())) for run in self.runs.values()]
            while turns:
                for turn in list(turns):
                    if self._stop.is_set():
                        return
                    if next(turn, None) is None:
                        turns.remove(turn)
                    self.steps = sum(run.step for run in self.runs.values())
                    self.seconds = self.seconds_before + time.perf_counter() - started
                    if self.seconds - shown >= SECONDS_BETWEEN_UPDATES:
                        shown = self.seconds
                        self.show()
                begin = time.perf_counter()
                if self.readouts is not None and (begin >= due or not turns):
                    self._read()
                    end = time.perf_counter()
                    due = max(
                        begin + SECONDS_BETWEEN_READINGS, end + (end - begin) * (1 / SHARE_OF_READINGS - 1)
                    )

    def _read(self) -> None:
        """Take the readouts of every run that has moved since its last reading; a stop leaves the rest out."""
        for name, run in self.runs.items():
            if self.readings[name] and self.readings[name][-1]["step"] == run.step:
                continue
            if self._stop.is_set() and run.step < run.total_steps:  # what has ended is read all the same
                return
            reading: dict[str, float] = {"step": run.step}
            try:
                with eval_mode(run.model), torch.no_grad():
                    numbers = self.readouts(run.model)
                if not isinstance(numbers, Mapping):
                    raise TypeError(f"readouts must give a dict of numbers by name, {got(numbers)}")
                if "step" in numbers:
                    raise ValueError("readouts must give names other than 'step', which each reading has")
                reading |= {kind: float(value) for kind, value in numbers.items()}
            except Exception as error:
                if self.error is None:
                    where = f"the readouts of {name!r} at step {run.step}"
                    error.add_note(f"(in {where})")
                    words, self.trace = _told(error)
                    self.error, self.words = error, f"In {where}: {words}"
            self.readings[name].append(reading)


def _told(error: BaseException) -> tuple[str, str]:
    """An error in a sentence, and its traceback; Python has words also for one that fails to say what it is."""
    return traceback.format_exception_only(error)[0].strip(), "".join(traceback.format_exception(error))


@atexit.register  # while Python is whole: a thread that computes when it ends would abort the program
def _end_all() -> None:
    trainings = [training for training in _at_work if training.pid == os.getpid()]
    if trainings and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the wait below is short, and must not be cut
    for training in trainings:
        training.stop()
    for training in trainings:
        training.join(seconds=SECONDS_AT_EXIT)
        words = f"Python ends: a training stopped at step {training.steps}; wait() waits for its end"
        print(words, file=sys.stderr)
