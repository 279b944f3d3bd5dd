"""Who changes a network's weights: one training at a time, and nobody while somebody copies them."""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from torch import nn

__all__ = ["Claim", "free", "in_training", "learned", "steady", "steps_of", "take"]

SECONDS_FOR_READERS = 0.001
_claims: WeakSet[Claim] = WeakSet()
_steps: WeakKeyDictionary[nn.Module, int] = WeakKeyDictionary()
_guard = threading.Lock()  # of the set, and of all owners
_numbers = itertools.count()


class Claim:
    """What a training run changes, the lock of its steps, and who trains it now.

    Arguments:
        model: the network of the run. Runs whose networks share a weight that learns are rivals.
    """

    def __init__(self, model: nn.Module) -> None:
        self.parts = _parts(model)
        self.learning = {id(weight) for weight in model.parameters() if weight.requires_grad}
        self.owner: Any = None  # a training in the background, with its .thread
        self.lock, self.readers, self.number = threading.RLock(), 0, next(_numbers)
        with _guard:
            _claims.add(self)

    def owners(self) -> set[Any]:
        """Who trains these weights in the background now: this run's owner, or a rival's."""
        with _guard:
            return _owners([self])

    @contextmanager
    def step(self) -> Iterator[None]:
        """A block that changes the weights; who waits to read them goes first."""
        if self.readers:  # or the thread that gives a lock back would be the one that takes it again
            time.sleep(SECONDS_FOR_READERS)
        with _locked(_touching(self.parts)):
            yield


def take(claims: Iterable[Claim], owner: Any) -> set[Any]:
    """Make ``owner`` the one that trains these runs, unless others do: returns those."""
    claims = list(claims)
    with _guard:
        others = _owners(claims) - {owner}
        for claim in claims if not others else []:
            claim.owner = owner
    return others


def free(claims: Iterable[Claim], owner: Any) -> None:
    """End what :func:`take` began."""
    with _guard:
        for claim in claims:
            if claim.owner is owner:
                claim.owner = None


def in_training() -> bool:
    """Does a training run in the background?"""
    with _guard:
        return any(claim.owner is not None for claim in _claims)


def steps_of(model: nn.Module) -> int:
    """How many steps this very model has learned, in whatever runs."""
    return _steps.get(model, 0)


def learned(model: nn.Module, steps: int) -> None:
    """Write down that it is so many steps now."""
    _steps[model] = steps


@contextmanager
def steady(model: nn.Module) -> Iterator[None]:
    """A block in which no training step changes the weights or the mode of this network, or of a part of it."""
    claims = _touching(_parts(model))
    for claim in claims:
        claim.readers += 1  # a rough count will do
    try:
        with _locked(claims):
            yield
    finally:
        for claim in claims:
            claim.readers -= 1


def _after_fork() -> None:
    """In a forked process no other thread goes on: nobody trains there, or gives a lock back."""
    global _guard
    _guard = threading.Lock()
    _claims.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _owners(claims: Iterable[Claim]) -> set[Any]:
    rivals = {rival for claim in claims for rival in _claims if not rival.learning.isdisjoint(claim.learning)}
    return {rival.owner for rival in rivals} - {None}


def _touching(parts: set[int]) -> list[Claim]:
    with _guard:
        claims = list(_claims)
    return sorted((c for c in claims if not c.parts.isdisjoint(parts)), key=lambda claim: claim.number)


def _locked(claims: list[Claim]) -> ExitStack:
    """All these locks, always in the same order: two threads never wait for each other."""
    with ExitStack() as stack:
        for claim in claims:
            stack.enter_context(claim.lock)
        return stack.pop_all()


def _parts(model: nn.Module) -> set[int]:
    return {id(part) for part in (*model.parameters(), *model.modules())}
