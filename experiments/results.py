"""What the raw runs of an experiment say: means over the seeds, and differences seed by seed."""

from __future__ import annotations

from eqssl_edu.evaluation import Interval, interval, paired_interval
from experiments.runs import Cell

__all__ = ["Results"]


class Results:
    """The runs of a raw file, asked for by cell and key.

    Comparisons are paired, so only the seeds count with which every cell was run.
    """

    def __init__(self, raw: dict, cells: tuple[Cell, ...]) -> None:
        self.raw, self.name, self.data = raw, raw["name"], raw["settings"]["data"]
        self._runs = {(Cell(run["condition"], run["method"]), run["seed"]): run for run in raw["runs"]}
        seeds = sorted({run["seed"] for run in raw["runs"]})
        self.seeds = [seed for seed in seeds if all((cell, seed) in self._runs for cell in cells)]

    @property
    def oriented(self) -> bool:
        """Whether these images have an upright orientation, as they come."""
        return not self.data.startswith("rotated")

    def of(self, cell: Cell, key: str) -> list:
        """One number (or list) for each seed."""
        return [self._runs[cell, seed][key] for seed in self.seeds]

    def mean(self, cell: Cell, key: str) -> Interval:
        """The mean over the seeds and its interval."""
        return interval(self.of(cell, key))

    def difference(self, cell: Cell, reference: Cell, key: str) -> Interval:
        """The mean difference of two cells, seed by seed, and its interval."""
        return paired_interval(self.of(cell, key), self.of(reference, key))

    def curve(self, cell: Cell) -> list[float]:
        """The learning curve, mean over the seeds."""
        columns = zip(*self.of(cell, "curve"), strict=True)
        return [sum(column) / len(column) for column in columns]
