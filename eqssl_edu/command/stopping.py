"""A training that ends early, by Ctrl-C, by a cluster or by the loss of a process, says how it goes on."""

from __future__ import annotations

import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from eqssl_edu.training import Pretrainer

__all__ = ["Stopped", "trained"]

LOST = r"(?i)connection (closed|reset|refused)|timed? ?out|broken pipe|socket|nccl|gloo|peer|barrier"
HOW = "the same command with --resume goes on from the last checkpoint"


class Stopped(Exception):
    """A training ended early: a sentence, and the exit code."""

    def __init__(self, sentence: str, code: int) -> None:
        super().__init__(sentence)
        self.code = code


def trained(run: Pretrainer) -> None:
    """Train to the end with a progress bar.

    Raises:
        Stopped: when it was told to stop, when another process is gone, or when the numbers became infinite.
    """
    with _told_to_stop(alone=run.fabric.world_size == 1) as (stop, told):
        try:
            run.fit(stop)
        except KeyboardInterrupt:
            pass
        except FloatingPointError as problem:
            raise Stopped(str(problem), 1) from problem
        except RuntimeError as problem:
            if run.fabric.world_size == 1 or not (told or re.search(LOST, str(problem))):
                raise
            if not told:
                lost = " ".join(str(problem).split())[:200]
                raise Stopped(
                    f"another process has ended, or did not answer in time ({lost}); {HOW}", 1
                ) from problem
    if told and run.step < run.total_steps:
        name = signal.Signals(told[0]).name
        raise Stopped(f"stopped by {name} after step {run.step} of {run.total_steps}; {HOW}", 128 + told[0])


@contextmanager
def _told_to_stop(alone: bool) -> Iterator[tuple[threading.Event, list[int]]]:
    """An event that Ctrl-C and SIGTERM set, and which of them it was. The second one does not wait.

    One process ends after its step, with a checkpoint. One of several leaves at once: the others are told by somebody
    else, at another step, and would wait for it for ever.
    """
    stop, told = threading.Event(), []

    def tell(number: int, _frame: Any) -> None:
        told.append(number)
        stop.set()
        if not alone or len(told) > 1:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, tell) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop, told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
