"""Reading letters with few labels: the runs behind "What is it good for?" in notebook 6c.

The table ``few_labels.json`` beside this file holds what ``python -m experiments number-of-labels`` found.
"""

from __future__ import annotations

import copy
import json
from functools import cache
from pathlib import Path

import plotly.graph_objects as go
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.data import ImageSet, Splits, glyphs
from eqssl_edu.encoders import GroupCNN, matched_cnn
from eqssl_edu.errors import need_choice, typed
from eqssl_edu.evaluation import extract, interval, linear_probe, recalibrated
from eqssl_edu.groups import cyclic
from eqssl_edu.layers import FreeHead
from eqssl_edu.plots import COLOURS, TEMPLATE
from eqssl_edu.pretext import PretextModel, RotationTask
from eqssl_edu.shapes import Images
from eqssl_edu.training import Pretrainer

__all__ = [
    "COUNTS",
    "EPOCHS",
    "METHODS",
    "Reader",
    "chosen",
    "found",
    "learn",
    "letters",
    "new_run",
    "read",
    "runs",
    "runs_chart",
    "untrained",
]

C4 = cyclic(4)
METHODS = (
    "from scratch, 300 steps",
    "from scratch, 920 steps",
    "pretrained, fine-tuned",
    "pretrained, linear probe",
    "random, linear probe",
)
COUNTS = (2, 10, 40, 120)  # labelled pictures of each class
EPOCHS = 10  # of the pretraining
STEPS = dict(zip(METHODS[:3], (300, 920, 300), strict=True))  # with labels; pretraining takes 620
BATCH, RATE = 64, 0.01


class Reader(nn.Module):
    """Images to a logit for each class: an encoder, and one linear map of all its features, group axis included."""

    def __init__(self, encoder: GroupCNN, classes: int) -> None:
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(encoder.out_channels * encoder.group.order, classes)

    def forward(self, images: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch class"]:
        return self.head(self.encoder(images).flatten(1))


@cache
def letters() -> Splits:
    """The letters of the experiment, 16 x 16 pixels; no typeface of the test images occurs among the others."""
    return glyphs(counts=(4000, 1000, 1000), size=16)


@typed
def read(encoder: GroupCNN, images: Images) -> Float[Tensor, "batch feature"]:
    """What a probe reads: all features in a row, in evaluation mode."""
    return extract(encoder, images).flatten(1)


@typed
def new_run(images: Images, seed: int, epochs: int = EPOCHS, plain: bool = False) -> Pretrainer:
    """A pretraining on rotation that nobody started yet; ``run.model.encoder`` is the network.

    Arguments:
        images: without labels.
        seed: of the weights, of the order of the images and of the turns.
        epochs: how often each image is seen.
        plain: a plain CNN with as many multiplications, in place of the C4 network of all ``METHODS``.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder, task = GroupCNN(C4, 1, (8, 16, 32)), RotationTask(C4)
        model = PretextModel(encoder, task)
        if plain:
            cnn = matched_cnn(encoder, by="flops")
            model = PretextModel(cnn, task, FreeHead(task.labels, cnn.out_channels, order=1))
    return Pretrainer(model, images, epochs=epochs, batch_size=BATCH, lr=3e-3, seed=seed)


@typed
def untrained(seed: int, plain: bool = False) -> GroupCNN:
    """The network before its pretraining, with random weights."""
    return new_run(letters().train.images, seed, plain=plain).model.encoder


@typed
def chosen(images: ImageSet, count: int, seed: int) -> ImageSet:
    """So many pictures of each class, drawn with this seed. A larger count holds the pictures of a smaller one."""
    order = torch.randperm(len(images.images), generator=torch.Generator().manual_seed(seed))
    labels = images.labels[order]
    rows = torch.cat([order[labels == label][:count] for label in labels.unique()])
    return ImageSet(images.images[rows], images.labels[rows], images.classes)


@typed
def learn(method: str, encoder: GroupCNN, splits: Splits, count: int, seed: int) -> float:
    """Learn to read from ``count`` labelled pictures of each class; the accuracy on the test images, as they are.

    Arguments:
        method: one of ``METHODS``. A linear probe freezes the encoder; else a copy of it learns with the head, for the
            same number of steps however few pictures there are.
        encoder: pretrained or new, as the method says; it stays as it is.
        splits: a probe chooses its strength on the validation images.
        seed: of the choice of pictures, of the head's weights and of the batches.
    """
    need_choice("method", method, METHODS)
    known = chosen(splits.train, count, seed)
    if method.endswith("probe"):
        if method.startswith("random"):
            encoder = recalibrated(encoder, splits.train.images[:1000])
        parts = (known, splits.validation, splits.test)
        rows, held, test = (read(encoder, part.images) for part in parts)
        probe = linear_probe(rows, known.labels, (held, splits.validation.labels))
        return float(probe.score(test.numpy(), splits.test.labels.numpy()))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        reader = Reader(copy.deepcopy(encoder), int(splits.train.labels.max()) + 1).train()
    _train(reader, known, STEPS[method], torch.Generator().manual_seed(seed))
    with torch.no_grad():
        right = reader.eval()(splits.test.images).argmax(dim=1) == splits.test.labels
    return float(right.double().mean())


def _train(reader: Reader, known: ImageSet, steps: int, generator: torch.Generator) -> None:
    """So many steps of AdamW; each picture is seen equally often."""
    optimizer = torch.optim.AdamW(reader.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    passes = -(-steps * BATCH // len(known.images))
    order = torch.cat([torch.randperm(len(known.images), generator=generator) for _ in range(passes)])
    for batch in order[: steps * BATCH].split(BATCH):
        optimizer.zero_grad()
        F.cross_entropy(reader(known.images[batch]), known.labels[batch]).backward()
        optimizer.step()
        schedule.step()


@cache
def runs() -> list[dict]:
    """The runs of ``python -m experiments number-of-labels``: five seeds of each method and number of labels."""
    return json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))["runs"]


@typed
def found(count: int, method: str) -> list[float]:
    """One test accuracy for each seed, in the order of the seeds."""
    return [
        run["upright"] for run in runs() if (run["condition"], run["method"]) == (f"{count} of each", method)
    ]


@typed
def runs_chart(*mine: tuple[int, str, float]) -> go.Figure:
    """All shipped runs as dots, with means and 95 % intervals over the seeds; own runs (count, method, accuracy) as
    stars."""
    figure = go.Figure(layout={"template": TEMPLATE, "width": 780, "height": 440, "margin": {"t": 30}})
    for i, method in enumerate(METHODS):
        at = {count: count * 1.07 ** (i - 2) for count in COUNTS}  # side by side on the logarithmic axis
        values = {count: found(count, method) for count in COUNTS}
        means = [interval(each) for each in values.values()]
        bars = {"array": [mean.high - mean.mean for mean in means], "thickness": 2, "width": 0}
        look = {"color": COLOURS[i], "symbol": ("circle", "cross", "square", "diamond", "triangle-up")[i]}
        figure.add_scatter(x=list(at.values()), y=[mean.mean for mean in means], error_y=bars, name=method,
                           mode="lines+markers", marker=look | {"size": 7}, line={"width": 1})  # fmt: skip
        dots = [(at[count], value) for count in COUNTS for value in values[count]]
        figure.add_scatter(x=[x for x, _ in dots], y=[y for _, y in dots], mode="markers", opacity=0.35,
                           marker=look | {"size": 5}, showlegend=False)  # fmt: skip
        own = [(at[count], value) for count, name, value in mine if name == method]
        star = {"symbol": "star", "size": 15, "color": "white", "line": {"width": 2, "color": COLOURS[i]}}
        figure.add_scatter(x=[x for x, _ in own], y=[y for _, y in own], mode="markers", marker=star,
                           name=f"your run, {method}", showlegend=bool(own))  # fmt: skip
    figure.update_xaxes(type="log", tickvals=COUNTS, ticktext=[str(count) for count in COUNTS])
    figure.update_xaxes(title="labelled pictures of each letter").update_yaxes(
        title="accuracy", tickformat=".0%"
    )
    return figure.update_layout(legend={"orientation": "h", "y": -0.25})
