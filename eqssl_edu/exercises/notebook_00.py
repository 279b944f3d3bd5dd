"""The exercise of the tour: a similarity that absorbs the transformation of each input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from eqssl_edu.exercises.verdict import Wrong, ask, need_shape

__all__ = ["similarity"]


def similarity(answer: Callable[..., Any]) -> str:
    """A function kappa (B, B', |G|) -> (B, B') that is symmetric in the |G| values and not one of the tour's four."""
    kappa = torch.randn(3, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    value = ask(answer, kappa)
    need_shape(value, (3, 5), "the images of both views, (B, B')")
    shuffled = torch.randperm(4, generator=torch.Generator().manual_seed(1)).roll(1)
    for order in ([1, 2, 3, 0], shuffled.tolist()):
        if not torch.allclose(ask(answer, kappa[:, :, order]), value):
            raise Wrong(
                "It changed when the values of kappa were put in another order.",
                "Use functions that treat all entries of the last axis alike: max, min, sums of powers, sort.",
            )
    if torch.allclose(value, value[:1, :1].expand_as(value)):
        raise Wrong(
            "It is the same for every pair.", "A similarity must tell similar pairs from others: use kappa."
        )
    known = {"mean": kappa.mean(dim=2), "max": kappa.amax(dim=2)}
    for name, expected in known.items():
        if torch.allclose(value, expected):
            raise Wrong(
                f"It absorbs the turns, but it is the similarity '{name}' of the tour.", "Try another one."
            )
    return "It does not change when each input turns by its own element."
