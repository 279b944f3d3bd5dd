"""Notebook 08: the loss of a step, temperatures, and what 25 seeds say of three similarities."""

from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots
from torch import Tensor

from eqssl_edu.contrastive import ContrastiveModel, InfoNCE, orbit_similarity
from eqssl_edu.contrastive.features import unit
from eqssl_edu.diagnostics import irrep_energy, matched_temperature
from eqssl_edu.errors import typed
from eqssl_edu.evaluation import extract
from eqssl_edu.exercises import check
from eqssl_edu.lessons.contrastive_letters import (
    BATCH,
    C4,
    KINDS,
    TEMPERATURES,
    VIEWS,
    WAYS,
    found,
    judged,
    letters,
    matched,
    new_model,
    one_run,
    training,
    untrained_features,
)
from eqssl_edu.plots import COLOURS, TEMPLATE, image_grid
from eqssl_edu.widgets import LiveTraining

__all__ = [
    "dots",
    "gap_chart",
    "gaps",
    "loss_curves",
    "one_run",
    "own_runs",
    "print_means",
    "runs_chart",
    "show_loss_curves",
    "show_views",
    "temperature_chart",
    "train_similarities",
]

STEPS = 20  # of the exact comparison


@typed
def show_views(seed: int) -> go.Figure:
    """Nine letters, two upright views of each and two turned ones, from one generator each."""
    some, rows, names = letters("train").images[6:15], [], ["image", "upright", "upright", "turned", "turned"]
    for views in VIEWS.values():
        draws = torch.Generator().manual_seed(seed)
        rows += [views(some, draws) for _ in range(2)]
    every = [name for name in names for _ in range(9)]
    return image_grid(torch.cat([some, *rows])[:, 0], every, "Nine letters and four views of each", columns=9)


@typed
def loss_curves(step_loss: Callable, seed: int) -> dict[str, list[float]]:
    """The loss of each of 20 steps in float64: "max" and "plain", upright and turned views, all else alike.

    Arguments:
        step_loss: yours; as long as ``check("08.step_loss", step_loss)`` does not accept it, the library's.
        seed: of the weights, the batches and the views.
    """
    own, curves = check("08.step_loss", step_loss).ok, {}
    images = letters("train").images.double()
    for kind in ("max", "plain"):
        for name, views in VIEWS.items():
            model = new_model(InfoNCE(C4, kind, 0.2), name, seed).double()
            optimizer, draws = torch.optim.Adam(model.parameters(), 1e-2), torch.Generator().manual_seed(seed)
            curve = curves[f"{kind}, {name} views"] = []
            for _ in range(STEPS):
                batch = images[torch.randperm(len(images), generator=draws)[:BATCH]]
                if own:
                    loss = step_loss(model, model.loss, views, batch, draws)
                else:
                    loss = model.training_step(batch, draws)["loss"]
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                curve.append(float(loss.detach()))
    return curves


@typed
def show_loss_curves(curves: Mapping[str, Sequence[float]]) -> go.Figure:
    """The curves, those with turned views dashed over broad ones; prints how far each pair is apart at most."""
    figure = _figure("The loss in 20 steps", "step", "loss (nats)")
    for (name, curve), colour in zip(
        curves.items(), (COLOURS[0], COLOURS[0], COLOURS[1], COLOURS[1]), strict=True
    ):
        line = {"color": colour} | ({"width": 2, "dash": "dash"} if "turned" in name else {"width": 7})
        opacity = 1 if "turned" in name else 0.35
        figure.add_scatter(x=list(range(1, STEPS + 1)), y=list(curve), name=name, line=line, opacity=opacity)
    for kind in ("max", "plain"):
        pair = zip(curves[f"{kind}, upright views"], curves[f"{kind}, turned views"], strict=True)
        print(f"{kind:5} the two curves differ by at most {max(abs(a - b) for a, b in pair):.1e} nats")
    return figure


@typed
def gaps(strictness: Callable, seed: int) -> dict[str, dict[str, float]]:
    """The gap / t of each similarity, matched to "plain" at 0.2 on random features or on the untrained network's.

    Arguments:
        strictness: yours, of similarities (200, 200) and a temperature; as long as
            ``check("08.strictness", strictness)`` does not accept it, the library's.
        seed: of the weights, of the views and of the random features.
    """
    if not check("08.strictness", strictness):
        strictness = _strictness
    network = untrained_features(seed)
    random = torch.randn(network.shape, generator=torch.Generator().manual_seed(seed))
    table = {}
    for kind in (*KINDS, "power3"):
        table[kind] = {}
        for name, features in (("random features", random), ("untrained network", network)):
            t = matched_temperature(C4, features, kind, 0.2)
            table[kind][f"t, matched on {name}"] = t
            if name == "random features":
                table[kind] |= {
                    f"gap / t there, {where}": float(
                        strictness(orbit_similarity(C4, unit(z), unit(z), kind, t), t)
                    )
                    for where, z in (("random features", random), ("untrained network", network))
                }
    return table


def _strictness(s: Tensor, t: float) -> Tensor:
    return (s.diagonal().mean() - (s.sum() - s.trace()) / (len(s) * (len(s) - 1))) / t


@typed
def gap_chart(table: Mapping[str, Mapping[str, float]]) -> go.Figure:
    """What ``gaps`` gives, as bars; prints the numbers."""
    where = ("random features", "untrained network")
    figure = _figure("Gap / t, with t matched on random features", "similarity", "gap / t")
    for name, colour in zip(where, COLOURS, strict=False):
        values = [line[f"gap / t there, {name}"] for line in table.values()]
        figure.add_bar(x=list(table), y=values, name=f"on {name}", marker_color=colour)
    for kind, line in table.items():
        t, random, network, fitting = line.values()
        print(
            f"{kind:7} with t = {t:.3f}: gap / t {random:.2f} on random features, {network:.2f} on the network; ",
            end="",
        )
        print(f"t matched on the network {fitting:.3f}")
    return figure.update_layout(barmode="group")


@typed
def train_similarities(seed: int) -> LiveTraining:
    """Train "plain", "mean" and "max" on turned views and "plain" on upright ones, each at its matched temperature.

    Readout: of the *projector's* features of turned test letters, the share of the energy that is constant along the
    group.
    """
    models = {}
    for kind, views in WAYS[1:]:
        models[f"{kind}, {views}"] = new_model(InfoNCE(C4, kind, matched(kind, seed)), views, seed)
    x = VIEWS["turned"](letters("test").images, torch.Generator().manual_seed(seed))

    def readouts(model: ContrastiveModel) -> dict[str, float]:
        energy = irrep_energy(C4, extract(model, x))
        return {"trivial share of the energy (projector)": energy["trivial"] / sum(energy.values())}

    every = {name: training(model, seed) for name, model in models.items()}
    return LiveTraining(every, "InfoNCE: which view belongs to which?", readouts)


@typed
def own_runs(live: LiveTraining, seed: int) -> list[dict]:
    """Wait for ``train_similarities``; then what was learned, each as a run among those of ``runs``."""
    live.wait()
    return [
        {
            "similarity": kind,
            "views": views,
            "seed": seed,
            **judged(live.runs[f"{kind}, {views}"].model, seed),
        }
        for kind, views in WAYS[1:]
    ]


MEASURES = {"partners": "partners found, turned views", "probe": "letters read (encoder, pooled)",
            "trivial energy": "trivial share of the energy (projector)"}  # fmt: skip


@typed
def runs_chart(*mine: dict) -> go.Figure:
    """The runs of each way to train as dots, one panel for each measure, with their means; own runs as stars.

    Prints the means.
    """
    figure = make_subplots(1, 3, subplot_titles=list(MEASURES.values()), horizontal_spacing=0.07)
    labels = ["untrained", *(f"{kind},<br>{views}" for kind, views in WAYS[1:])]
    for column, measure in enumerate(MEASURES, 1):
        for i, way in enumerate(WAYS):
            own = [run[measure] for run in mine if (run["similarity"], run["views"]) == way]
            dots(figure, i, found(*way, measure), own, row=1, col=column)
    print_means(MEASURES)
    figure.update_xaxes(tickvals=list(range(len(WAYS))), ticktext=labels, tickfont={"size": 10})
    figure.update_yaxes(tickformat=".0%", rangemode="tozero").update_annotations(font={"size": 12})
    return figure.update_layout(template=TEMPLATE, width=860, height=400, margin={"t": 40},
                                showlegend=False)  # fmt: skip


@typed
def temperature_chart(*mine: dict) -> go.Figure:
    """Letters read over the temperature: shipped runs of each similarity, turned views; own runs as stars."""
    figure = _figure("Letters read, over the temperature", "temperature", "letters read")
    for i, kind in enumerate(KINDS):
        values = [found(kind, "turned", "probe", t) for t in TEMPERATURES]
        means, colour = [fmean(each) for each in values], COLOURS[i + 1]
        figure.add_scatter(x=TEMPERATURES, y=means, name=kind, mode="lines", line={"color": colour})
        x, y = zip(*[(t, v) for t, each in zip(TEMPERATURES, values, strict=True) for v in each], strict=True)
        marker = {"color": colour, "size": 6, "opacity": 0.6}
        figure.add_scatter(x=x, y=y, mode="markers", marker=marker, showlegend=False)
        for run in (run for run in mine if run["similarity"] == kind):
            star = {"mode": "markers", "marker": _star(colour), "name": "your run"}
            figure.add_scatter(x=[run["temperature"]], y=[run["probe"]], **star)
        said = "  ".join(f"{t:g}: {mean:.1%}" for t, mean in zip(TEMPERATURES, means, strict=True))
        print(f"{kind:6}", said)
    ticks = {"tickvals": TEMPERATURES, "ticktext": [f"{t:g}" for t in TEMPERATURES]}
    return figure.update_xaxes(type="log", **ticks).update_yaxes(tickformat=".0%")


def dots(figure: go.Figure, i: int, values: Sequence[float], own: Sequence[float], **where: int) -> None:
    """Column i of a panel: the runs of many seeds as dots, a bar at their mean, one's own runs as stars."""
    colour = COLOURS[i % len(COLOURS)]
    at = [i + 0.5 * (k / max(1, len(values) - 1) - 0.5) for k in range(len(values))]
    marker, line = {"color": colour, "size": 5, "opacity": 0.6}, {"color": colour, "width": 3}
    figure.add_scatter(x=at, y=list(values), mode="markers", marker=marker, **where)
    figure.add_scatter(x=[i - 0.35, i + 0.35], y=[fmean(values)] * 2, mode="lines", line=line, **where)
    figure.add_scatter(x=[i] * len(own), y=list(own), mode="markers", marker=_star(colour), **where)


def print_means(measures: Mapping[str, str]) -> None:
    """One line for each way to train: the mean of its shipped runs by each measure, which has a name in words."""
    for way in WAYS:
        said = (f"{name} {fmean(found(*way, measure)):.1%}" for measure, name in measures.items())
        print(f"{', '.join(filter(None, way)):15}", "; ".join(said))


def _star(colour: str) -> dict:
    return {"symbol": "star", "size": 15, "color": "white", "line": {"width": 2, "color": colour}}


def _figure(title: str, x: str, y: str) -> go.Figure:
    figure = go.Figure(layout={"template": TEMPLATE, "title": title, "height": 380, "width": 780})
    return figure.update_xaxes(title=x).update_yaxes(title=y)
