"""Reading digits with symmetry and without: the runs behind "Does it pay?" in notebook 2d.

The table ``reading_digits.json`` beside this file holds what ``python -m experiments does-it-pay`` found.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import plotly.graph_objects as go
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from plotly.subplots import make_subplots
from torch import Tensor, nn
from tqdm.auto import tqdm

from eqssl_edu.data import Splits, digits
from eqssl_edu.encoders import (
    Encoder,
    GroupCNN,
    SymmetrizedEncoder,
    matched_cnn,
)
from eqssl_edu.errors import need_choice, typed
from eqssl_edu.evaluation import interval
from eqssl_edu.groups import cyclic, random_elements
from eqssl_edu.plots import COLOURS, TEMPLATE
from eqssl_edu.rotate import rotate
from eqssl_edu.shapes import Images

__all__ = [
    "COUNTS",
    "NETWORKS",
    "Reader",
    "build",
    "found",
    "learn",
    "runs",
    "runs_chart",
    "taught",
    "train_one",
]

C4 = cyclic(4)
NETWORKS = ("C4 network", "CNN, equal parameters", "CNN, equal compute", "CNN on four copies")
COUNTS = (50, 250, 1297)  # training images
BATCH, RATE = 32, 0.01  # the rate was chosen on validation images
MEASURES = ("upright", "turned", "swapped", "others")


class Reader(nn.Module):
    """Images to ten logits: an encoder, the largest value along the group axis, one linear map."""

    def __init__(self, encoder: Encoder | SymmetrizedEncoder) -> None:
        super().__init__()
        self.encoder, self.head = encoder, nn.Linear(encoder.out_channels, 10)

    def forward(self, images: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch 10"]:
        return self.head(self.encoder(images).amax(dim=2))


@typed
def build(name: str) -> Reader:
    """One of the ``NETWORKS`` with new weights; the CNNs have as many parameters as the first, or as many products."""
    need_choice("name", name, NETWORKS)
    encoder = GroupCNN(C4, 1, (8, 16, 16))
    if name == "CNN on four copies":  # as many parameters *and* as many multiplications
        return Reader(SymmetrizedEncoder(C4, _Vectors(matched_cnn(encoder))))
    if name != "C4 network":
        encoder = matched_cnn(encoder, by="flops" if name.endswith("compute") else "parameters")
    return Reader(encoder)


class _Vectors(nn.Module):
    """A plain CNN whose vectors say how long they are."""

    def __init__(self, encoder: GroupCNN) -> None:
        super().__init__()
        self.encoder, self.out_channels = encoder, encoder.out_channels

    def forward(self, images: Tensor) -> Tensor:
        return self.encoder(images)


@typed
def taught(
    network: Reader,
    images: Images,
    labels: Int64[Tensor, " batch"],
    epochs: int,
    batch_size: int,
    rate: float,
    turned: bool,
    seed: int,
) -> Reader:
    """The network, trained in place by Adam to read these images, upright or each turned anew by any angle, with a bar.

    Arguments:
        network: new; it comes back in evaluation mode.
        images, labels: all that it sees, in ``epochs`` passes of batches of ``batch_size``.
        rate: the highest learning rate of the one-cycle schedule.
        turned: whether each image is turned at random every time that it is seen.
        seed: of the batches and of the turns.
    """
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(network.train().parameters())
    passes = [torch.randperm(len(images), generator=generator).split(batch_size) for _ in range(epochs)]
    batches = [batch for each in passes for batch in each]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=len(batches))
    for batch in tqdm(batches, desc="learning to read", unit="step", leave=False):
        inputs = images[batch]
        if turned:
            inputs = rotate(inputs, 360 * torch.rand(len(batch), generator=generator))
        optimizer.zero_grad()
        F.cross_entropy(network(inputs), labels[batch]).backward()
        optimizer.step()
        schedule.step()
    return network.eval()


@typed
def learn(
    network: nn.Module, splits: Splits, count: int, turned: bool, seed: int, epochs: int = 5
) -> dict[str, float]:
    """Train a network on ``count`` images, and try it on the test images.

    Arguments:
        network: images to ten logits, in float32; it is trained in place.
        splits: the images.
        count: how many training images it sees, the same for one seed whatever the network is.
        turned: whether each image of a batch is turned at random, by 0, 90, 180 or 270 degrees.
        seed: of the choice of images, of the batches and of the turns.
        epochs: passes over *all* training images; with fewer images there are as many steps.

    Returns:
        accuracy on ``upright`` test images and on ``turned`` ones (all four turns); of the upright 6 and 9 the share
        that is taken for the other (``swapped``), of the ``others`` the share that is read right.
    """
    network, generator = network.float(), torch.Generator().manual_seed(seed)
    chosen = torch.randperm(len(splits.train.images), generator=generator)[:count]
    images, labels = splits.train.images[chosen].float(), splits.train.labels[chosen]
    steps = epochs * -(-len(splits.train.images) // BATCH)
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, total_iters=steps)
    for _ in range(steps):
        batch = torch.randperm(len(images), generator=generator)[:BATCH]
        inputs = images[batch]
        if turned:
            inputs = C4.transform(inputs, random_elements(C4, inputs, generator))
        optimizer.zero_grad()
        F.cross_entropy(network(inputs), labels[batch]).backward()
        optimizer.step()
        schedule.step()
    return _tried(network.eval(), splits)


@torch.no_grad()
def _tried(network: nn.Module, splits: Splits) -> dict[str, float]:
    images, labels = splits.test.images.float(), splits.test.labels
    answers = torch.stack(
        [network(C4.transform(images, g)).argmax(dim=1) for g in C4.elements]
    )  # (4, images)
    right, six_nine = (answers == labels).double(), (labels == 6) | (labels == 9)
    swapped = (answers[0] == 15 - labels)[six_nine].double()  # 6 + 9 = 15
    found = (right[0].mean(), right.mean(), swapped.mean(), right[0][~six_nine].mean())
    return {name: round(float(value), 5) for name, value in zip(MEASURES, found, strict=True)}


@typed
def train_one(name: str, count: int, turned: bool = False, seed: int = 5) -> dict:
    """Train one of the ``NETWORKS`` here and now: a run like those of ``runs``, to be marked among them."""
    splits = digits(16)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = build(name)
    condition = f"{'turned' if turned else 'upright'}, {count}"
    return {
        "method": name,
        "condition": condition,
        "seed": seed,
        **learn(network, splits, count, turned, seed),
    }


@cache
def runs() -> list[dict]:
    """The runs of ``python -m experiments does-it-pay``: five seeds of each network, number of images and condition."""
    return json.loads(Path(__file__).with_suffix(".json").read_text(encoding="utf-8"))["runs"]


@typed
def found(condition: str, name: str, measure: str) -> list[float]:
    """One number for each seed: ``found("upright, 250", "C4 network", "turned")``."""
    return [run[measure] for run in runs() if (run["condition"], run["method"]) == (condition, name)]


PANELS = {  # how trained, what is measured -> title
    ("upright", "upright"): "trained upright, tested upright",
    ("upright", "turned"): "trained upright, tested in 4 turns",
    ("turned", "turned"): "trained turned, tested in 4 turns",
    ("upright", "swapped"): "6 and 9 exchanged (upright)",
}


@typed
def runs_chart(*mine: dict) -> go.Figure:
    """All runs as dots, with means and 95 % intervals over the seeds, over the number of images; own runs as stars."""
    figure = make_subplots(
        2, 2, subplot_titles=list(PANELS.values()), horizontal_spacing=0.1, vertical_spacing=0.2
    )
    for place, (how, measure) in enumerate(PANELS):
        where = {"row": place // 2 + 1, "col": place % 2 + 1}
        for i, name in enumerate(NETWORKS):
            shift = [count * 1.09 ** (i - 1.5) for count in COUNTS]  # side by side on the logarithmic axis
            values = [found(f"{how}, {count}", name, measure) for count in COUNTS]
            means = [interval(each) for each in values]
            bars = {"array": [mean.high - mean.mean for mean in means], "thickness": 2, "width": 0}
            look = {"color": COLOURS[i], "symbol": ("circle", "square", "diamond", "triangle-up")[i]}
            figure.add_scatter(x=shift, y=[mean.mean for mean in means], error_y=bars, name=_with_cost(name),
                               mode="lines+markers", marker=look | {"size": 7}, line={"width": 1},
                               legendgroup=name, showlegend=place == 0, **where)  # fmt: skip
            dots = [(x, y) for x, each in zip(shift, values, strict=True) for y in each]
            figure.add_scatter(x=[x for x, _ in dots], y=[y for _, y in dots], mode="markers", opacity=0.35,
                               marker=look | {"size": 5}, legendgroup=name, showlegend=False, **where)  # fmt: skip
            own = [run for run in mine if run["method"] == name and run["condition"].startswith(how)]
            at = [int(run["condition"].split(", ")[1]) * 1.09 ** (i - 1.5) for run in own]
            star = {"symbol": "star", "size": 15, "color": "white", "line": {"width": 2, "color": COLOURS[i]}}
            figure.add_scatter(x=at, y=[run[measure] for run in own], mode="markers", name="your run", marker=star,
                               showlegend=bool(own) and place in (0, 2), **where)  # fmt: skip
    figure.update_xaxes(type="log", tickvals=COUNTS, ticktext=[str(count) for count in COUNTS])
    figure.update_yaxes(tickformat=".0%")
    figure.update_xaxes(title="training images", row=2)
    legend = {"orientation": "h", "y": -0.22, "font": {"size": 12}}
    return figure.update_layout(template=TEMPLATE, width=780, height=580, legend=legend, margin={"t": 40})


def _with_cost(name: str) -> str:
    run = next(run for run in runs() if run["method"] == name)
    return f"{name}: {run['parameters']:,} weights, {run['multiplications'] / 1e6:.2f}M multiplications"
