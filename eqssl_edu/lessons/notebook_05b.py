"""Notebook 05b: a scorer that is trained with turns before and after the task, and what a symmetry of data hides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import plotly.graph_objects as go
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64
from torch import Tensor, nn

from eqssl_edu.data import digits
from eqssl_edu.errors import typed
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral, random_integers
from eqssl_edu.plots import COLOURS, TEMPLATE, image_grid
from eqssl_edu.shapes import Images
from eqssl_edu.training import Pretrainer
from eqssl_edu.widgets import LiveTraining

__all__ = [
    "RotationByScore",
    "best_answer",
    "coset_labels",
    "leads_and_likeness",
    "losses",
    "new_scorer",
    "seen_with",
    "show_leads",
    "show_losses",
    "show_seen_with",
    "train_ways",
    "turned_logits",
]

C4, D4 = cyclic(4), dihedral(4)
Scorer = Callable[[Tensor], Tensor]
"""Images (B, 1, H, W) -> one number for each, (B,)."""
Way = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""(images (B, 1, H, W), labels t (B,), other elements (B,)) -> (inputs, their labels)."""


@typed
def new_scorer(seed: int) -> nn.Module:
    """An ordinary CNN with random weights, in double precision: images (B, 1, 16, 16) -> one number each, (B,)."""
    torch.manual_seed(seed)
    first, second = nn.Conv2d(1, 8, 5, padding=2), nn.Conv2d(8, 16, 5, padding=2)
    stages = (first, nn.ReLU(), nn.AvgPool2d(2), second, nn.ReLU(), nn.AvgPool2d(2))
    return nn.Sequential(*stages, nn.Flatten(), nn.Linear(256, 1), nn.Flatten(0)).double()


@typed
def turned_logits(scorer: Scorer, images: Images, group: FiniteGroup) -> Float[Tensor, "batch group"]:
    r"""Logit h is the score of the image turned back by h: $o(x)[h] = s(h^{-1} x)$."""
    return torch.stack([scorer(group.transform(images, int(h))) for h in group.inverse], dim=1)


class RotationByScore(nn.Module):
    """Rotation prediction over C4 by a scorer of turned copies; one way to draw inputs and labels.

    Arguments:
        scorer: what learns.
        logits: ``turned_logits``, or the student's.
        way: what is turned when.
    """

    chance = 1 / 4

    @typed
    def __init__(self, scorer: nn.Module, logits: Callable, way: Way) -> None:
        super().__init__()
        self.scorer, self.logits, self.way = scorer, logits, way

    def training_step(self, images: Images, generator: torch.Generator) -> dict[str, Tensor]:
        """The loss in nats and the accuracy on one batch."""
        turns, others = (random_integers(4, images, generator) for _ in range(2))
        inputs, labels = self.way(images, turns, others)
        logits = self.logits(self.scorer, inputs, C4)
        accuracy = (logits.detach().argmax(dim=1) == labels).float().mean()
        return {"loss": F.cross_entropy(logits, labels), "accuracy": accuracy}


@typed
def train_ways(ways: Mapping[str, Way], logits: Callable, seed: int) -> LiveTraining:
    """Train one scorer for each way to turn, in double precision; weights, images and draws are the same for all.

    Arguments:
        ways: name -> what is turned when.
        logits: as ``turned_logits``.
        seed: of the weights, of the order of the images and of the turns.
    """
    images, runs = digits(16).train.images.double(), {}
    for name, way in ways.items():
        model = RotationByScore(new_scorer(seed), logits, way)
        settings = {"epochs": 5, "batch_size": 64, "lr": 1e-2, "precision": "64-true"}
        runs[name] = Pretrainer(model, images, seed=seed, **settings)
    return LiveTraining(runs, title="Rotation prediction, with other turns before it and after it")


@typed
def losses(live: LiveTraining) -> dict[str, list[float]]:
    """Wait for the training; then the losses of each run, as they were read."""
    live.wait()
    return {name: [record["loss"] for record in run.history] for name, run in live.runs.items()}


@typed
def show_losses(live: LiveTraining) -> go.Figure:
    """``losses`` as curves; the last run is drawn as dashes, so that one sees what lies below it."""
    figure = go.Figure(layout={"template": TEMPLATE, "height": 380, "width": 780})
    looks = [{"width": 5}, {"width": 2}, {"width": 2, "dash": "dash"}]
    for (name, run), colour, look in zip(losses(live).items(), (5, 1, 6), looks, strict=False):
        steps = [record["step"] for record in live.runs[name].history]
        figure.add_scatter(x=steps, y=run, name=name, mode="lines", line=look | {"color": COLOURS[colour]})
    figure.update_layout(title="The loss of three ways to turn", legend={"orientation": "h", "y": -0.25})
    return figure.update_xaxes(title="step").update_yaxes(title="loss (nats)", rangemode="tozero")


@typed
@torch.no_grad()
def leads_and_likeness(
    scorer: nn.Module,
) -> tuple[Float64[Tensor, " digit"], Float64[Tensor, " digit"], Float64[Tensor, " digit"]]:
    """Of each test digit: by how much its upright copy leads, how sure the scorer is, how alike its copies are.

    The lead is the score of the upright copy minus the largest of the other three; the scorer is sure by the largest
    score minus the second; the likeness is the largest correlation of the digit with a turned copy of itself.
    """
    images = digits(16).test.images.to(next(scorer.parameters()))
    scores = turned_logits(scorer, images, C4)
    best, second = scores.sort(dim=1, descending=True).values[:, :2].unbind(dim=1)
    centred = images - images.mean(dim=(2, 3), keepdim=True)
    copies = [C4.transform(centred, g) for g in (1, 2, 3)]
    alike = [F.cosine_similarity(each.flatten(1), centred.flatten(1)) for each in copies]
    found = scores[:, 0] - scores[:, 1:].amax(dim=1), best - second, torch.stack(alike).amax(dim=0)
    return tuple(each.cpu() for each in found)


@typed
def show_leads(scorer: nn.Module) -> go.Figure:
    """The eight test digits whose upright copy leads most, and the eight of which the scorer is least sure."""
    lead, sure, _ = leads_and_likeness(scorer)
    chosen = torch.cat([lead.argsort(descending=True)[:8], sure.argsort()[:8]])
    captions = [f"{value:.1f}".replace("-0.0", "0.0") for value in lead[chosen]]
    images = digits(16).test.images[chosen, 0]
    return image_grid(images, captions, "By how much the upright copy leads: most, and least sure")


@typed
def coset_labels(group: FiniteGroup, subgroup: Sequence[int]) -> list[int]:
    """For each element t the smallest element of its left coset t H."""
    return group.product[:, list(subgroup)].amin(dim=1).tolist()


@typed
def seen_with(
    labels: Sequence | Tensor, symmetry: Sequence[int], group: FiniteGroup = D4
) -> Float64[Tensor, "seen label"]:
    """How often the picture s x comes with each label, if the task applies t to h x, t in G and h in H uniform.

    Arguments:
        labels: one for each element t; equal ones are the same label.
        symmetry: H, as its elements.
        group: G.
    """
    kinds = labels.tolist() if isinstance(labels, Tensor) else list(labels)
    different = list(dict.fromkeys(kinds))
    times = torch.zeros(group.order, len(different), dtype=torch.float64)
    for t in group.elements:
        for h in symmetry:
            times[group.product[t, h], different.index(kinds[t])] += 1
    return times


@typed
def best_answer(times: Float64[Tensor, "seen label"]) -> float:
    """The accuracy of whoever names, for each seen picture, the label that comes with it most often."""
    return float(times.amax(dim=1).sum() / times.sum())


@typed
def show_seen_with(labels: Sequence | Tensor, symmetry: Sequence[int]) -> go.Figure:
    """``seen_with`` for D4 as a table of colours."""
    times, names = seen_with(labels, symmetry), [D4.element_name(t) for t in D4.elements]
    figure = go.Figure(layout={"template": TEMPLATE, "height": 420, "width": 620})
    title = f"How often each picture comes with each label: accuracy at most {best_answer(times):.0%}"
    columns = names if times.shape[1] == len(names) else [str(label) for label in range(times.shape[1])]
    bar = {"title": {"text": "times"}, "dtick": 1}
    figure.add_heatmap(
        z=times.numpy(), x=columns, y=names, colorscale="Cividis", xgap=2, ygap=2, colorbar=bar
    )
    figure.update_layout(title=title, margin={"l": 120}).update_xaxes(title="label", type="category")
    return figure.update_yaxes(title="what is seen: x moved by", type="category", autorange="reversed")
