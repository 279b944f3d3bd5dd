"""Small static figures for the result pages: curves with floors, and means with intervals."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from eqssl_edu.evaluation import Interval
from eqssl_edu.plots import COLOURS

__all__ = ["Curves", "Intervals", "write_figure"]


class Curves(NamedTuple):
    """Learning curves, panel by panel; ``floors`` are dashed lines in the colour of their curve."""

    title: str
    panels: dict[str, dict[str, list[float]]]
    floors: dict[str, dict[str, float]]
    epochs: int
    ylabel: str


class Intervals(NamedTuple):
    """Means with intervals, one row a method, panel by panel; ``marks`` are vertical dotted lines."""

    title: str
    panels: dict[str, dict[str, Interval]]
    marks: dict[str, dict[str, float]]
    xlabel: str


def write_figure(drawing: Curves | Intervals, path: Path) -> None:
    """Draw an SVG with its text as text; the same drawing gives the same file."""
    import matplotlib
    from matplotlib.figure import Figure

    settings = {"svg.fonttype": "none", "svg.hashsalt": "eqssl_edu", "font.size": 9, "axes.grid": True}
    with matplotlib.rc_context(settings | {"grid.alpha": 0.3, "figure.facecolor": "white"}):
        figure = Figure(figsize=(3.6 * len(drawing.panels) + 0.6, 3.2), layout="constrained")
        panels = figure.subplots(1, len(drawing.panels), sharey=True, squeeze=False)[0]
        draw = _draw_curves if isinstance(drawing, Curves) else _draw_intervals
        for axes, name in zip(panels, drawing.panels, strict=True):
            axes.set_title(name)
            draw(axes, drawing, name)
            axes.spines[["top", "right"]].set_visible(False)
        if isinstance(drawing, Curves):
            panels[0].set_ylabel(drawing.ylabel)
            panels[-1].legend(frameon=False, fontsize=8)
        else:
            panels[0].invert_yaxis()  # the first method on top; the panels share the axis
        figure.suptitle(drawing.title)
        figure.savefig(path, format="svg", metadata={"Date": None, "Title": drawing.title})


def _draw_curves(axes, drawing: Curves, name: str) -> None:
    for color, (method, losses) in zip(COLOURS, drawing.panels[name].items(), strict=False):
        steps = [drawing.epochs * (i + 0.5) / len(losses) for i in range(len(losses))]
        axes.plot(steps, losses, color=color, label=method)
        if drawing.floors.get(name, {}).get(method, 0) > 0:
            axes.axhline(drawing.floors[name][method], color=color, linestyle="--", linewidth=1)
    axes.set_xlabel("epoch")
    axes.set_ylim(bottom=0)


def _draw_intervals(axes, drawing: Intervals, name: str) -> None:
    methods = list(drawing.panels[name])
    for row, method in enumerate(methods):
        value, color = drawing.panels[name][method], COLOURS[row % len(COLOURS)]
        axes.plot([value.low, value.high], [row, row], color=color, linewidth=2)
        axes.plot([value.mean], [row], "o", color=color, markersize=5)
        if method in drawing.marks.get(name, {}):
            axes.plot([drawing.marks[name][method]] * 2, [row - 0.35, row + 0.35], ":", color=color)
    axes.set_yticks(range(len(methods)), methods)
    axes.set_xlabel(drawing.xlabel)
