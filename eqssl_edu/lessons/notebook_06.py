"""Notebooks 06 to 06c: models of one task side by side, their curves next to floors and caps, and what they say."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import plotly.graph_objects as go
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from plotly.subplots import make_subplots
from torch import Tensor

from eqssl_edu.encoders import (
    GroupCNN,
    SymmetrizedEncoder,
    count_multiplications,
    count_parameters,
    matched_cnn,
)
from eqssl_edu.errors import need_choice, typed
from eqssl_edu.groups import FiniteGroup, cyclic
from eqssl_edu.layers import FreeHead, InvariantHead
from eqssl_edu.lessons.notebook_00 import Table
from eqssl_edu.plots import COLOURS, TEMPLATE
from eqssl_edu.pretext import PretextModel
from eqssl_edu.pretext.task import Task
from eqssl_edu.shapes import Images
from eqssl_edu.theory import Floor
from eqssl_edu.training import Pretrainer
from eqssl_edu.widgets import LiveTraining

__all__ = [
    "FREE",
    "KINDS",
    "accuracy_bars",
    "all_copies",
    "build",
    "costs",
    "curves",
    "graded",
    "results",
    "train",
    "trained",
    "turned_accuracy",
    "two_steps",
]

C4 = cyclic(4)
KINDS = (
    "equivariant",
    "invariant head",
    "free head",
    "CNN, equal weights",
    "CNN, equal compute",
    "symmetrised CNN",
)
FREE = Floor(nats=0.0, accuracy=1.0)  # nothing in the way
DASHES = ("solid", "dash", "dashdot", "longdash", "longdashdot", "dot")

Found = dict[str, tuple[float, float]]
"""Name of a model -> its loss and its accuracy."""

GRADES = ("upright", "turned, own book", "turned, in truth")

Grade = Callable[[PretextModel, Tensor, FiniteGroup], float]
"""(model, images, group) -> accuracy."""


@typed
def build(task: Task, kind: str, seed: int) -> PretextModel:
    """One of the ``KINDS`` with new weights; models of one kind and seed start alike.

    All but the CNNs have the same encoder for C4, images to features (B, 12, 4). The symmetrised CNN is the one with
    equally many weights, applied to the four turned copies.
    """
    need_choice("kind", kind, KINDS)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = GroupCNN(C4, channels=(6, 12))
        if kind == "equivariant":
            return PretextModel(encoder, task)
        if kind == "invariant head":
            return PretextModel(encoder, task, InvariantHead(task.labels, 12))
        if kind == "free head":
            return PretextModel(encoder, task, FreeHead(task.labels, 12, order=4))
        if kind == "symmetrised CNN":
            return PretextModel(SymmetrizedEncoder(C4, matched_cnn(encoder)), task)
        cnn = matched_cnn(encoder, by="flops" if kind.endswith("compute") else "parameters")
        return PretextModel(cnn, task, FreeHead(task.labels, cnn.out_channels, order=1))


@typed
def train(
    models: Mapping[str, tuple[Task, str]], images: Images, epochs: int, title: str, seed: int
) -> LiveTraining:
    """Build models, name -> (task, kind), and train them side by side, on the same batches with the same draws."""
    runs = {
        name: Pretrainer(build(task, kind, seed), images, epochs=epochs, batch_size=64, lr=2e-2, seed=seed)
        for name, (task, kind) in models.items()
    }
    return LiveTraining(runs, title=title)


@typed
def trained(live: LiveTraining) -> dict[str, PretextModel]:
    """The models of a training, once it has ended or was stopped."""
    live.wait()
    return {name: run.model for name, run in live.runs.items()}


@typed
def costs(task: Task, images: Images) -> Table:
    """For each of the ``KINDS`` its weights, and the multiplications of one image."""
    rows = {}
    for kind in KINDS:
        model = build(task, kind, 0)
        counts = float(count_parameters(model)), float(count_multiplications(model, images[:1]))
        rows[kind] = dict(zip(("weights", "multiplications"), counts, strict=True))
    return Table(
        rows, "The price of one image", dict.fromkeys(("weights", "multiplications"), "{:,.0f}".format)
    )


@typed
def curves(live: LiveTraining, limits: Mapping[str, Floor], title: str) -> go.Figure:
    """Loss and accuracy of the training batches; dotted, the floor and the cap that theory gives a run.

    Each point is the mean of a 25th of the steps.

    Arguments:
        live: a training that has ended, or was stopped.
        limits: name of a run -> its floor and cap; ``FREE``, or nothing, where there is none.
        title: what is seen.
    """
    figure = make_subplots(rows=1, cols=2, horizontal_spacing=0.1)
    for i, (name, run) in enumerate(live.runs.items()):
        points = torch.tensor([[r["step"], r["loss"], 100 * r["accuracy"]] for r in run.history])
        steps, *values = torch.stack([piece.mean(dim=0) for piece in points.chunk(25)]).T.tolist()
        limit = limits.get(name, FREE)
        for column, level in enumerate((limit.nats, 100 * limit.accuracy)):
            line = {"color": COLOURS[i], "dash": DASHES[i]}
            figure.add_scatter(x=steps, y=values[column], row=1, col=column + 1, name=name, line=line,
                               legendgroup=name, showlegend=column == 0)  # fmt: skip
            if limit != FREE:
                words = {"text": f"{('floor', 'cap')[column]} {level:.4g}", "yanchor": "bottom"}
                dots = {"color": COLOURS[i], "dash": "dot"}
                figure.add_hline(level, row=1, col=column + 1, line=dots, annotation=words)
    figure.update_layout(template=TEMPLATE, title=title, height=400, width=860)
    figure.update_layout(legend={"orientation": "h", "y": -0.3})
    figure.update_xaxes(title="training step").update_yaxes(rangemode="tozero")
    figure.update_yaxes(title="loss (nats)", col=1)
    return figure.update_yaxes(title="accuracy (%)", range=[0, 103], col=2)


@typed
def results(
    models: Mapping[str, PretextModel], images: Images, turned: bool = True
) -> dict[str, tuple[float, float]]:
    """Loss and accuracy of each model, over all turned copies or on the images as they are."""
    return {name: model.evaluate(images, turned=turned) for name, model in models.items()}


@typed
def accuracy_bars(found: Found, caps: Mapping[str, float], chance: float, title: str) -> go.Figure:
    """The accuracies that ``results`` found as bars; the cap of each model (1 if none is given) as a black line."""
    figure = go.Figure(layout={"template": TEMPLATE, "title": title, "height": 380, "width": 860})
    names = [
        f"{name.replace(' ', '<br>', 1)}<br>{100 * accuracy:.1f} %" for name, (_, accuracy) in found.items()
    ]
    heights = [100 * accuracy for _, accuracy in found.values()]
    figure.add_bar(x=names, y=heights, marker_color=COLOURS[5], name="reached")
    marks = {"symbol": "line-ew", "size": 60, "line": {"width": 3, "color": COLOURS[6]}}
    tops = [100 * caps.get(name, 1.0) for name in found]
    figure.add_scatter(x=names, y=tops, mode="markers", marker=marks, name="cap")
    note = {"text": "chance", "xanchor": "left", "x": 1}
    figure.add_hline(100 * chance, line={"dash": "dot"}, annotation=note)
    return figure.update_yaxes(title="accuracy (%)", range=[0, 108])


# An honest grade


@typed
def turned_accuracy(model: PretextModel, images: Images, group: FiniteGroup) -> float:
    """Mean accuracy over the images turned by every element, with true labels."""
    turned = [group.transform(images, g) for g in group.elements]
    return sum(model.evaluate(each, turned=False)[1] for each in turned) / group.order


@typed
def graded(models: Mapping[str, PretextModel], in_truth: Grade, images: Images) -> Table:
    """Accuracy of each model on images as they are, and on turned ones: by its own book, and in truth."""
    rows = {
        name: {
            "upright": model.evaluate(images, turned=False)[1],
            "turned, own book": model.evaluate(images)[1],
            "turned, in truth": float(in_truth(model, images, C4)),
        }
        for name, model in models.items()
    }
    return Table(
        rows, "Accuracy of models that were trained on upright images", dict.fromkeys(GRADES, "{:.1%}".format)
    )


# The orbit is free


@typed
def all_copies(
    images: Images, group: FiniteGroup
) -> tuple[Float[Tensor, "copy channel height width"], Int64[Tensor, " copy"]]:
    """All turned copies of all images, and the elements that turned them."""
    turned = torch.cat([group.transform(images, g) for g in group.elements])
    return turned, torch.arange(group.order).repeat_interleave(len(images))


@typed
def two_steps(
    model: PretextModel, one: tuple[Tensor, Tensor], every: tuple[Tensor, Tensor]
) -> dict[str, float]:
    """A step with one copy of each image against one with all: how loss and gradients change, how much faster it is.

    Arguments:
        model: with the weights at which both are compared.
        one, every: inputs and their labels.

    Returns:
        the change of the ``loss`` in nats, of the ``gradients`` as a part of their size, and ``times faster``: the
        median of ten pairs of steps.
    """

    def step(inputs: Tensor, labels: Tensor) -> tuple[float, Tensor, float]:
        start = time.perf_counter()
        loss = F.cross_entropy(model(inputs), labels)
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        return loss.item(), torch.cat([g.flatten() for g in gradients]), time.perf_counter() - start

    pairs = [(step(*every), step(*one)) for _ in range(12)]
    (loss, gradient, _), (other_loss, other_gradient, _) = pairs[0]
    return {
        "loss": abs(loss - other_loss),
        "gradients": float((gradient - other_gradient).norm() / gradient.norm()),
        "times faster": statistics.median(slow[2] / fast[2] for slow, fast in pairs[2:]),  # two warm up
    }
