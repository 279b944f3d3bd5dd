"""The exercise of the tour: a similarity that absorbs the transformation of each input."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from eqssl_edu.contrastive import orbit_correlation
from eqssl_edu.exercises.verdict import Wrong, ask, need_shape
from eqssl_edu.groups import cyclic

__all__ = ["similarity"]


def similarity(answer: Callable[..., Any]) -> str:
    """A function kappa (B, B', |G|) -> (B, B') that absorbs the turns, and is not one of the tour's."""
    group, generator = cyclic(4), torch.Generator().manual_seed(0)
    z = torch.randn(3, 6, 4, dtype=torch.float64, generator=generator)
    w = torch.randn(5, 6, 4, dtype=torch.float64, generator=generator)
    kappa = orbit_correlation(group, z, w) / 6
    value = need_shape(ask(answer, kappa.clone()), (3, 5), "the images of both views, (B, B')")
    if not torch.isfinite(value).all():
        raise Wrong(
            "It is not a finite number for every pair.", "kappa may be negative: no log or root of it."
        )
    z_turned = group.transform_features(z, torch.tensor([1, 0, 3]))
    w_turned = group.transform_features(w, torch.tensor([0, 2, 1, 3, 1]))
    if not torch.allclose(ask(answer, orbit_correlation(group, z_turned, w_turned) / 6), value):
        raise Wrong(
            "It changed when each input was turned by its own element, which moves the values of kappa.",
            "Use functions that treat all entries of the last axis alike: max, min, sums of powers, sort.",
        )
    value = value.double()
    if value.std() <= 1e-6 * value.abs().mean():
        raise Wrong(
            "It is the same for every pair.", "A similarity must tell similar pairs from others: use kappa."
        )
    if not torch.allclose(ask(answer, kappa[:2, :2].clone()).double(), value[:2, :2]):
        raise Wrong(
            "The number of a pair changed when other pairs were left out.",
            "Work along the last axis alone (dim=2): a pair's number comes from its own |G| values.",
        )
    known = {"mean": kappa.mean(dim=2), "max": kappa.amax(dim=2)}
    for temperature in (0.05, 0.07, 0.1, 0.2, 0.5, 1.0):  # a list of customary ones
        known[f"soft, temperature {temperature}"] = torch.logsumexp(kappa / temperature, dim=2)
    for name, expected in known.items():
        if torch.corrcoef(torch.stack([value, expected]).flatten(1))[0, 1] > 1 - 1e-9:
            raise Wrong(
                f"It absorbs the turns, but up to a factor and a constant it is the tour's '{name}'.",
                "Try another one: what do the smallest value, or the squares, say?",
            )
    return "It does not change when each input turns by its own element."
