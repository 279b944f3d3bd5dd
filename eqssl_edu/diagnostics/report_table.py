"""What ``equivariance_report`` says: one row a layer, printed as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

__all__ = ["ROUNDING", "EquivarianceReport", "Row", "as_html", "as_text", "percent"]

ROUNDING = 1e-3  # of a relative error: half precision has ten times less
TITLES = ("layer", "kind", "judged as", "at the elements", "between them", "what breaks")


class Row(NamedTuple):
    """What the report says of one layer.

    Arguments:
        name: of the module, as ``named_modules`` says it.
        kind: its class.
        judged_as: how its output should turn, such as "8 x C4, 16 x 16 pixels".
        at_elements: the largest relative error at the elements of the group that map the grid to itself.
        between: the largest one at the other angles, inside the disc that no turn moves out of the picture.
        breaks: the rule that it breaks; empty if it is exact.
    """

    name: str
    kind: str
    judged_as: str
    at_elements: float | None
    between: float | None
    breaks: str


class EquivarianceReport:
    """The rows of ``equivariance_report``, in the order in which the layers run; printed as a table.

    Attributes:
        rows: one ``Row`` a layer.
        first_broken: name of the first layer that is wrong at an element of the group; None if none is.
        heading: what was compared.
    """

    def __init__(self, rows: list[Row], heading: str) -> None:
        self.rows, self.heading = rows, heading
        judged = (row for row in rows if row.at_elements is not None and "invariants" not in row.judged_as)
        broken = (row.name for row in judged if not row.at_elements <= ROUNDING)
        self.first_broken: str | None = next(broken, None)

    def _cells(self) -> list[tuple[str, ...]]:
        return [(*row[:3], percent(row.at_elements), percent(row.between), row.breaks) for row in self.rows]

    def _summary(self) -> str:
        if self.first_broken is None:
            return f"{self.heading}: no layer that was judged breaks it."
        return f"{self.heading}: {self.first_broken} is the first layer that breaks it."

    def __str__(self) -> str:
        return as_text(self._summary(), [TITLES, *self._cells()])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return as_html(self._summary(), [TITLES, *self._cells()], self.first_broken)


def as_text(caption: str, rows: Sequence[Sequence[str]]) -> str:
    """A table in letters of one width, titles first."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    padded = ("  ".join(cell.ljust(n) for cell, n in zip(row, widths, strict=True)) for row in rows)
    return "\n".join([caption, *(row.rstrip() for row in padded)])


def as_html(caption: str, rows: Sequence[Sequence[str]], bold: str | None = None) -> str:
    """The same in HTML; the row of this name is bold."""
    # A corner without words is no header.
    head = "".join(f'<th scope="col">{escape(title)}</th>' if title else "<td></td>" for title in rows[0])
    body = ""
    for name, *cells in rows[1:]:
        mark = ' style="font-weight:bold"' if name == bold else ""
        body += f'<tr{mark}><th scope="row">{escape(name)}</th>'
        body += "".join(f"<td>{escape(cell)}</td>" for cell in cells) + "</tr>"
    return f"<table><caption>{escape(caption)}</caption><tr>{head}</tr>{body}</table>"


def percent(error: float | None) -> str:
    """An error as a table shows it."""
    if error is None or math.isnan(error):
        return "-" if error is None else "NaN"
    return f"{100 * error:.1f} %" if error > ROUNDING else f"{error:.0e}" if error else "0"
