"""Notebook 06c: encoders judged by a probe in every orientation, differences seed by seed, a run that is cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch
from jaxtyping import Float
from scipy import stats
from torch import Tensor

from eqssl_edu.data import digits
from eqssl_edu.errors import typed
from eqssl_edu.evaluation import probe_orientations, recalibrated
from eqssl_edu.groups import cyclic
from eqssl_edu.lessons import few_labels as few
from eqssl_edu.lessons.notebook_00 import Table
from eqssl_edu.lessons.notebook_06 import build
from eqssl_edu.pretext import RotationTask
from eqssl_edu.training import Pretrainer

__all__ = ["KINDS", "differences", "go_on", "paired", "probe_table", "short_run"]

KINDS = ("C4 network", "plain CNN")

Paired = Callable[[list[float], list[float], float], Iterable[float]]
"""(values, reference, t) -> (mean, low, high) of the differences."""


@typed
def paired(values: list[float], reference: list[float], t: float) -> tuple[float, float, float]:
    """The mean difference, seed by seed, and the ends of its interval."""
    differences = [value - other for value, other in zip(values, reference, strict=True)]
    mean, half = sum(differences) / len(differences), t * float(stats.sem(differences))
    return mean, mean - half, mean + half


@typed
def differences(interval: Paired, pairs: Iterable[tuple[str, str]]) -> Table:
    """Percentage points by which a method is ahead of another in the shipped runs, at each number of labels."""
    rows = {}
    for method, other in pairs:
        for count in few.COUNTS:
            values, reference = few.found(count, method), few.found(count, other)
            t = float(stats.t.ppf(0.975, len(values) - 1))
            mean, low, high = (float(part) for part in interval(values, reference, t))
            row = {"difference": 100 * mean, "from": 100 * low, "to": 100 * high}
            rows[f"{method} - {other}, {count} of each"] = row
    said = dict.fromkeys(("difference", "from", "to"), "{:+.1f}".format)
    return Table(rows, "In percentage points: the mean of five seeds and its 95 % interval", said)


@typed
def probe_table(runs: Mapping[str, Pretrainer], seed: int) -> Table:
    """Pretrained and random encoders: a linear probe on 32 principal components of pooled features, trained upright.

    Arguments:
        runs: "C4 network" and "plain CNN" -> its pretraining with this seed.
        seed: of the networks that were not trained.
    """
    letters, rows = few.letters(), {}
    for name, run in runs.items():
        random = recalibrated(few.untrained(seed, plain=name == "plain CNN"), letters.train.images[:1000])
        for state, encoder in (("random", random), ("pretrained", run.model.encoder)):
            rows[f"{name}, {state}"] = probe_orientations(encoder, letters, cyclic(4), 32)._asdict()
    caption = "Linear probe on 32 pooled features: accuracy on letters in unseen typefaces, one run"
    return Table(rows, caption, dict.fromkeys(("upright", "mean", "worst"), "{:.1%}".format))


@typed
def short_run(seed: int) -> Pretrainer:
    """A training on rotation of 40 steps, not yet started."""
    model = build(RotationTask(cyclic(4)), "equivariant", seed)
    return Pretrainer(model, digits(12).train.images[:640], epochs=4, batch_size=64, lr=2e-2, seed=seed)


@typed
def go_on(run: Pretrainer, until: int = 40) -> Float[Tensor, " weight"]:
    """Train until so many steps are done; all weights in one vector."""
    steps = run.steps()
    while run.step < until:
        next(steps)
    return torch.nn.utils.parameters_to_vector(run.model.parameters()).detach()
