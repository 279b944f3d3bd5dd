"""Means over seeds with confidence intervals, differences paired seed by seed, and intervals of proportions."""

from collections.abc import Collection
from statistics import fmean
from typing import NamedTuple

import numpy as np
from scipy import stats

from eqssl_edu.errors import got, need_integer, need_number, typed

__all__ = ["Interval", "interval", "paired_interval", "proportion_interval"]


class Interval(NamedTuple):
    """A mean over seeds and its confidence interval."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """For a difference: do the seeds tell the two methods apart?"""
        return self.low > 0 or self.high < 0


@typed
def interval(values: Collection[float]) -> Interval:
    r"""Student's 95 % interval of a mean: $\bar x \pm t_{n-1} \, s / \sqrt n$, for n values that are independent.

    Arguments:
        values: one number for each *pretraining* seed, at least two. (Restarts of a probe are not seeds.)

    Example:
        >>> [round(x, 3) for x in interval([0.70, 0.72, 0.74])]
        [0.72, 0.67, 0.77]
    """
    numbers = np.array([need_number("values", value) for value in values])
    if len(numbers) < 2 or not np.isfinite(numbers).all():
        raise ValueError(f"values must hold at least two finite numbers, {got(values)}")
    mean = fmean(numbers)  # exactly rounded
    half = float(stats.t.ppf(0.975, len(numbers) - 1) * stats.sem(numbers))
    return Interval(mean, mean - half, mean + half)


@typed
def paired_interval(values: Collection[float], reference: Collection[float]) -> Interval:
    """The 95 % t interval of the mean difference to a reference method, seed by seed.

    Both methods saw the same data order and the same draws with each seed, so what a seed does to both cancels.

    Arguments:
        values, reference: the results of the two methods; entry i of both belongs to the same seed.
    """
    if len(values) != len(reference):
        raise ValueError(f"reference must match values, seed by seed, got {len(reference)} for {len(values)}")
    return interval([value - other for value, other in zip(values, reference, strict=True)])


@typed
def proportion_interval(hits: int, count: int) -> Interval:
    r"""Wilson's 95 % interval of a proportion, such as an accuracy on ``count`` test images.

    It holds the $p$ with $|\hat p - p| \le 1.96 \sqrt{p (1 - p) / n}$. It tells what other test images would give,
    nothing of other training runs.

    Arguments:
        hits: how many of them were right.
        count: how many there are.

    Example:
        >>> [round(x, 3) for x in proportion_interval(150, 300)]
        [0.5, 0.444, 0.556]
    """
    need_integer("count", count, least=1)
    need_integer("hits", hits, least=0, most=count)
    found = stats.binomtest(hits, count).proportion_ci(method="wilson")
    return Interval(hits / count, float(found.low), float(found.high))
