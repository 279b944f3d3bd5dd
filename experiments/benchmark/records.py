"""What the raw runs of a tier say: means over seeds, and paired differences with Holm's correction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean
from typing import NamedTuple

from scipy import stats

from eqssl_edu.evaluation import Interval, interval, paired_interval
from eqssl_edu.lessons.campaign_runs import library_holm as holm

__all__ = ["Arm", "Difference", "Records"]

Arm = tuple[str, str, str]  # data, network, method


class Difference(NamedTuple):
    """One arm against another, seed by seed; ``p`` is corrected for all differences that were asked with it."""

    arm: Arm
    reference: Arm
    key: str
    seeds: int
    value: Interval
    p: float

    @property
    def verdict(self) -> str:
        """At 5 % over all differences of its table together."""
        if not self.p < 0.05:
            return "does not separate"
        return "higher" if self.value.mean > 0 else "lower"


class Records:
    """The records of one tier, by arm and seed. A campaign may have been cut off: arms may lack seeds."""

    def __init__(self, records: Sequence[dict]) -> None:
        self.all = records
        self._found: dict[Arm, dict[int, dict]] = {}
        for record in records:
            arm = record["data"], record["network"], record["method"]
            self._found.setdefault(arm, {})[record["seed"]] = record

    def __contains__(self, arm: Arm) -> bool:
        return arm in self._found

    def seeds(self, *arms: Arm) -> list[int]:
        """With which all of these arms were run."""
        return sorted(set.intersection(*(set(self._found.get(arm, ())) for arm in arms)))

    def of(self, arm: Arm, key: str, seeds: Sequence[int] | None = None) -> list[float]:
        """One number for each seed."""
        return [self._found[arm][seed][key] for seed in (self.seeds(arm) if seeds is None else seeds)]

    def has(self, arm: Arm, key: str) -> bool:
        """Whether its runs know this number."""
        return arm in self and all(key in record for record in self._found[arm].values())

    def mean(self, arm: Arm, key: str) -> Interval | float:
        """The mean with its interval; of a single seed the number alone."""
        values = self.of(arm, key)
        return interval(values) if len(values) > 1 else fmean(values)

    def differences(self, pairs: Sequence[tuple[Arm, Arm]], key: str) -> list[Difference]:
        """Those with two seeds or more; their p-values are corrected together."""
        rows = []
        for arm, reference in pairs:
            if len(seeds := self.seeds(arm, reference)) > 1:
                values = self.of(arm, key, seeds), self.of(reference, key, seeds)
                p = float(stats.ttest_rel(*values).pvalue)
                p = 1.0 if math.isnan(p) else p  # equal, seed by seed
                rows.append(Difference(arm, reference, key, len(seeds), paired_interval(*values), p))
        corrected = holm([row.p for row in rows])
        return [row._replace(p=p) for row, p in zip(rows, corrected, strict=True)]
