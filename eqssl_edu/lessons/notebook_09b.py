"""Notebook 09b: curves that draw the group, a wave and its samples, and what pixels leave of the algebra."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from statistics import fmean

import plotly.graph_objects as go
import torch
from jaxtyping import Float64
from plotly.subplots import make_subplots
from torch import Tensor

from eqssl_edu.circle import circle_correlation, circle_peak, so2, turn_features
from eqssl_edu.contrastive.features import unit
from eqssl_edu.diagnostics import FrequencyErrors, equivariance_by_frequency
from eqssl_edu.errors import typed
from eqssl_edu.exercises import check
from eqssl_edu.lessons.circle_features import untrained
from eqssl_edu.lessons.dials import curves
from eqssl_edu.lessons.every_angle import (
    ASKED,
    GROUPS,
    WAYS,
    WEDGES,
    angle_run,
    judged,
    pair_run,
    shipped_curves,
    shipped_pairs,
)
from eqssl_edu.lessons.notebook_00 import Table
from eqssl_edu.lessons.notebook_08 import dots
from eqssl_edu.lessons.turned_letters import drawings, judges, smooth_letters
from eqssl_edu.plots import COLOURS, TEMPLATE, row
from eqssl_edu.pretext.angle import on_disc
from eqssl_edu.rotate import rotate
from eqssl_edu.widgets import ByHand, CircleExplorer, LiveTraining

__all__ = [
    "ASKED",
    "GROUPS",
    "WAYS",
    "Pairs",
    "changes_of_maxima",
    "explore",
    "frequency_errors",
    "functions",
    "mean_errors",
    "narrow",
    "own_pairs",
    "pairs_chart",
    "shipped_curves",
    "shipped_pairs",
    "show_curves",
    "show_frequencies",
    "train_pairs",
    "train_upright",
    "upright_curves",
]

INKS = dict(zip(GROUPS, (COLOURS[6], COLOURS[1], COLOURS[2], COLOURS[0]), strict=True))
L, N = 3, 8  # frequencies and samples of the features
Curve = Callable[[Callable, Callable, Tensor, Tensor], Tensor]


# 9b.1 Asked anywhere


@typed
def train_upright(seed: int) -> LiveTraining:
    """Train four networks to tell by which angle a letter was turned, on upright letters alone: the angle is 0."""
    runs = {group: angle_run(group, WEDGES[0], seed) for group in GROUPS}
    return LiveTraining(runs, "The angle is 0, always")


@typed
def upright_curves(live: LiveTraining, angle_curve: Curve) -> dict[str, Float64[Tensor, " angle"]]:
    """Wait for the training; then the mean error of each network at 0, 7.5, ... degrees over the test letters.

    Arguments:
        live: of ``train_upright``.
        angle_curve: yours; as long as ``check("09.angle_curve", angle_curve)`` does not accept it, the library's.
    """
    images, degrees, found = drawings("C1", "test").double(), torch.tensor(ASKED, dtype=torch.float64), {}
    for name, model in judges(live).items():
        if check("09.angle_curve", angle_curve):
            with torch.no_grad():
                said = angle_curve(model, lambda x, a: on_disc(rotate(x, float(a))), images, degrees)
            found[name] = torch.as_tensor([float(error) for error in said], dtype=torch.float64)
        else:
            found[name] = model.evaluate(images, ASKED)
    return found


@typed
def show_curves(mine: Mapping[str, Tensor]) -> go.Figure:
    """Your curves, and thin ones of the shipped runs: the mean error over the angle at which one asks."""
    figure = go.Figure(layout={"template": TEMPLATE, "height": 400, "width": 860})
    x = [*ASKED, 360.0]
    for group in GROUPS:
        for curve in shipped_curves(group, WEDGES[0]).tolist():
            line = {"color": INKS[group], "width": 1}
            figure.add_scatter(
                x=x, y=[*curve, curve[0]], line=line, opacity=0.3, showlegend=False, mode="lines"
            )
        own = mine[group].tolist()
        line = {"color": INKS[group], "width": 4}
        figure.add_scatter(x=x, y=[*own, own[0]], line=line, mode="lines", name=group)
    figure.update_layout(title="Trained on upright letters alone: the mean error at every angle")
    ticks = list(range(0, 361, 45))
    figure.update_xaxes(title="turned by (degrees)", tickvals=ticks)
    return figure.update_yaxes(title="mean error (degrees)", rangemode="tozero", tickvals=ticks[:5])


@typed
def mean_errors() -> Table:
    """The mean error over all angles and shipped runs, for each network and each wedge of training angles."""
    names = {within: "upright" if within < 1 else f"±{within:g}°" for within in WEDGES}
    rows = {
        group: {name: float(shipped_curves(group, within).mean()) for within, name in names.items()}
        for group in GROUPS
    }
    words = dict.fromkeys(names.values(), "{:.0f}".format)
    return Table(rows, "Mean error over all angles, in degrees; eight seeds", words)


@typed
def narrow() -> ByHand:
    """The curves of the shipped runs between 0 and 90 degrees, and their means, while the wedge narrows."""

    def draw(turns_of_at_most: int) -> str:
        within = min(WEDGES, key=lambda w: abs(w - turns_of_at_most))
        lines, said, x = {}, [], ASKED[:13]
        for number, group in enumerate(GROUPS):
            many = shipped_curves(group, within)
            for run, curve in enumerate(many[:, :13].tolist()):
                style = f'stroke="{INKS[group]}" stroke-width="1" opacity="0.3" data-run="{number}.{run}"'
                lines[style] = zip(x, curve, strict=True)
            style = f'stroke="{INKS[group]}" stroke-width="3.5"'
            lines[style] = zip(x, many[:, :13].mean(dim=0).tolist(), strict=True)
            said.append(f"{group} {many.mean():.0f}°")
        asked = tuple(ASKED[i] for i in range(0, 13, 3))
        plot = curves(
            lines, window=(0, 90, 0, 92), ticks=(asked, (0, 30, 60, 90)),
            caption="mean error over the angle asked, in degrees", size=(560, 260),
        )  # fmt: skip
        words = (
            f"Trained on turns of at most {turns_of_at_most}°. Mean error over all angles: {', '.join(said)}."
        )
        return row([plot], words + " CNN black, C4 orange, C8 green, SO(2) blue.")

    return ByHand(draw, turns_of_at_most=(45, 30, 15, 0))


# 9b.2 A wave


@typed
def functions(count: int, seed: int) -> Float64[Tensor, "count 5 8"]:
    """Random features of SO(2): five functions of frequencies up to 3, by eight samples each, of length 1."""
    draws = torch.Generator().manual_seed(seed)
    z = torch.randn(count, 5, N, dtype=torch.float64, generator=draws)
    kept = torch.fft.rfft(z) * torch.tensor([1.0, 1, 1, 1, 0])
    return unit(torch.fft.irfft(kept, n=N))


@typed
@torch.no_grad()
def explore(live: LiveTraining) -> CircleExplorer:
    """Two hidden turns of a letter, before the SO(2) network that was trained on upright letters."""
    model, (letter, other) = judges(live)["SO(2)"], drawings("C1", "test").double()[[3, 0]]
    return CircleExplorer(model.encoder, letter, other, model.head)


@typed
def changes_of_maxima(seed: int) -> dict[str, float]:
    """How far the largest value of kappa moves if each of 200 pairs is turned by two angles; the most of all. Printed.

    Over C4 and C8 it is the largest of four and of eight values, over SO(2) that of the wave.
    """
    group, draws = so2(L), torch.Generator().manual_seed(seed)
    z, w = functions(200, seed), functions(200, seed + 1000)
    a, b = 360 * torch.rand(2, 200, dtype=torch.float64, generator=draws)
    pairs = (z, w), (turn_features(group, z, a), turn_features(group, w, b))
    found = {}
    for count in (4, 8):
        at = torch.arange(count, dtype=torch.float64) * (360 / count)
        before, after = (_own(circle_correlation(group, *pair, at)).amax(dim=1) for pair in pairs)
        found[f"C{count}"] = float((after - before).abs().max())
    before, after = (_own(circle_peak(group, *pair).value) for pair in pairs)
    found["SO(2)"] = float((after - before).abs().max())
    for name, change in found.items():
        print(f"largest over {name:6} changes by up to {change:.0e}")
    return found


def _own(values: Tensor) -> Tensor:
    """Of all pairs, each with its own partner: (B, B, ...) -> (B, ...)."""
    return values[torch.arange(len(values)), torch.arange(len(values))]


Pairs = dict[str, dict[str, float]]
"""Name of a training -> what it can do."""


@typed
def train_pairs(seed: int) -> LiveTraining:
    """InfoNCE with the maximum over C4, and with the maximum over all angles; views are turned by any angle."""
    runs = {f"{network}, {kind}": pair_run(network, kind, seed) for network, kind in (WAYS[1], WAYS[3])}
    return LiveTraining(runs, "Views turned by any angle: which belongs to which?")


@typed
def own_pairs(live: LiveTraining, seed: int) -> Pairs:
    """Wait for ``train_pairs``; then how many partners are found, and how well the angle between two views is read."""
    live.wait()
    return {name: judged(run.model, seed) for name, run in live.runs.items()}


@typed
def pairs_chart(mine: Pairs) -> go.Figure:
    """The shipped runs as dots, their means as bars, your runs as stars. Prints the means."""
    titles = {"partners": "partners found", "degrees": "error of the angle between views"}
    figure = make_subplots(1, 2, subplot_titles=list(titles.values()), horizontal_spacing=0.12)
    for column, measure in enumerate(titles, 1):
        for i, way in enumerate(WAYS):
            own = [run[measure] for name, run in mine.items() if name == ", ".join(way)]
            dots(figure, i, shipped_pairs(*way, measure), own, row=1, col=column)
    for way in WAYS:
        partners, degrees = (fmean(shipped_pairs(*way, measure)) for measure in titles)
        print(f"{', '.join(way):13} partners found {partners:.1%}; median error of the angle {degrees:.0f}°")
    figure.update_xaxes(tickvals=list(range(len(WAYS))), ticktext=[",<br>".join(way) for way in WAYS])
    figure.update_yaxes(rangemode="tozero").update_yaxes(tickformat=".0%", col=1).update_yaxes(
        ticksuffix="°", col=2
    )
    return figure.update_layout(template=TEMPLATE, width=800, height=370, margin={"t": 40}, showlegend=False)


# 9b.3 Pixels


@typed
def frequency_errors(live: LiveTraining, seed: int, degrees: float = 45.0) -> dict[str, FrequencyErrors]:
    """The error of equivariance by frequency: of untrained SO(2) networks on letters and on smooth ones, and of yours.

    Of the untrained ones it is the median over eight networks.
    """
    sharp, found = drawings("C1", "test").double(), {}
    networks = [untrained("SO(2)", 8 * seed + i) for i in range(8)]
    for name, images in (("untrained", sharp), ("untrained, smooth letters", smooth_letters())):
        errors = [equivariance_by_frequency(network, images, (degrees,)) for network in networks]
        medians = (torch.stack(part).median(dim=0).values for part in zip(*errors, strict=True))
        found[name] = FrequencyErrors(*medians)
    found["trained"] = equivariance_by_frequency(judges(live)["SO(2)"].encoder, sharp, (degrees,))
    return found


@typed
def show_frequencies(errors: Mapping[str, FrequencyErrors]) -> go.Figure:
    """The errors as bars: the total, and of each frequency by itself."""
    figure = go.Figure(layout={"template": TEMPLATE, "height": 360, "width": 800, "barmode": "group"})
    for name, found in errors.items():
        names = ["all together", *(f"frequency {m}" for m in range(found.frequencies.shape[1]))]
        heights = [float(found.total[0]), *found.frequencies[0].tolist()]
        figure.add_bar(x=names, y=heights, name=name, text=[f"{height:.2f}" for height in heights])
    figure.update_layout(title="Turned by 45 degrees: relative error of the features")
    return figure.update_yaxes(title="error / size")
