"""Result pages: the words stand in templates (Jinja), the numbers come from the raw runs alone."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from eqssl_edu.evaluation import Interval
from experiments.results import Results

__all__ = ["alternative_text", "number", "percent", "points", "verdict", "write_page"]


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


def alternative_text(panels: dict[str, dict], show: Callable[[object], str]) -> str:
    """What one would see in a figure: panel by panel, each method with its number."""
    rows = {
        name: (f"{method} {show(value)}" for method, value in panel.items()) for name, panel in panels.items()
    }
    return "; ".join(f"{name}: {', '.join(row)}" for name, row in rows.items())


PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)
PAGES.filters |= {"number": number, "percent": percent, "points": points, "verdict": verdict}


def write_page(template: str, results: Results, **numbers: object) -> str:
    """The page of an experiment: its template beside the module, filled with the results and these numbers."""
    return PAGES.get_template(f"{template}.md.jinja").render(results=results, **numbers)
