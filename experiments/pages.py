"""Markdown of a result page: numbers with intervals, tables, and sentences that follow from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from eqssl_edu.evaluation import Interval, interval, paired_interval
from experiments.runs import Cell, complete_seeds, values

__all__ = ["UNORIENTED", "Results", "number", "oriented", "percent", "points", "table", "verdict"]


UNORIENTED = """
These images come turned by any angle, each by its own. So they have no orientation when they are "upright" either, and
floors and caps are the same under both names."""


def oriented(data: str) -> bool:
    """Whether these images have an upright orientation, as they come."""
    return not data.startswith("rotated")


class Results:
    """The complete seeds of a raw file, asked for by cell and key."""

    def __init__(self, raw: dict, cells: tuple[Cell, ...]) -> None:
        self.raw, self.seeds = raw, complete_seeds(raw, cells)

    def of(self, cell: Cell, key: str) -> list:
        """One entry for each seed."""
        return values(self.raw, cell, key, self.seeds)

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

    def setting(self) -> str:
        """Data, seeds, machine and command in one paragraph."""
        settings, name = self.raw["settings"], self.raw["experiment"]
        return (
            f"Data: {settings['data']}; epochs: {settings['epochs']}; pretraining seeds: {len(self.seeds)}. "
            "The numbers are means over the seeds with 95 % t intervals; differences are taken seed by seed (all "
            "methods of one seed see the same batches and draws). The last checkpoint is judged. "
            f"Machine: {self.raw['machine']}.\n\n"
            f"To do it again: `python -m experiments {name} --data {settings['data']} --epochs "
            f"{settings['epochs']} --seeds {len(self.seeds)}`. Every number on this page is computed from the raw runs."
        )


def number(value: Interval, digits: int = 3) -> str:
    """A quantity with its interval: 0.412 [0.400, 0.424]."""
    return f"{value.mean:.{digits}f} [{value.low:.{digits}f}, {value.high:.{digits}f}]"


def percent(value: Interval) -> str:
    """An accuracy in per cent: 83.0 [82.1, 83.9]."""
    return f"{100 * value.mean:.1f} [{100 * value.low:.1f}, {100 * value.high:.1f}]"


def points(value: Interval) -> str:
    """A difference of accuracies in percentage points, signed: +1.2 [−0.3, +2.7]."""
    mean, low, high = (f"{100 * part:+.1f}".replace("-", "−") for part in value)
    return f"{mean} [{low}, {high}]"


def verdict(value: Interval) -> str:
    """What a paired difference says."""
    if not value.excludes_zero:
        return "does not separate"
    return "higher" if value.mean > 0 else "lower"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
