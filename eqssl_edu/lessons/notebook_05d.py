"""Notebook 05d: two tables that are mixed, floors, the calculator, and trainings beside their floors."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

import plotly.graph_objects as go
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.encoders import GroupCNN
from eqssl_edu.errors import typed
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.lessons.notebook_05c import letter_puzzle
from eqssl_edu.plots import COLOURS, TEMPLATE
from eqssl_edu.pretext import JigsawTask, PretextModel
from eqssl_edu.shapes import Images
from eqssl_edu.theory import EquivariantFloor, Floor, equivariant_floor, inconsistency_floor, law_floor
from eqssl_edu.training import Pretrainer
from eqssl_edu.widgets import ByHand, LiveTraining

__all__ = [
    "ACTIONS", "DATA", "HOWS", "KINDS", "Puzzles", "calculator", "floor_of", "law_floor", "mixed_counts", "remembered",
    "show_floors", "show_losses", "show_memory", "six_pictures", "train_on_six", "train_three", "two_tables",
]  # fmt: skip

C4, D4 = cyclic(4), dihedral(4)
HOWS = ("conjugation", "left", "trivial")
Counts = Float[Tensor, "pictures labels"]


def _html_table(name: str, counts: Counts) -> str:
    cell = "border:1px solid #767b84;padding:2px 12px;text-align:right"
    head = "".join(f'<th style="{cell}">{each}</th>' for each in ("", "label 0", "label 1"))
    lines = "".join(
        f'<tr><th style="{cell}">picture {picture}</th>'
        + "".join(f'<td style="{cell}">{value:g}</td>' for value in line)
        + "</tr>"
        for picture, line in zip("AB", counts.tolist(), strict=True)
    )
    caption = f'<caption style="padding:4px">{name}: <b>{law_floor(counts).nats:.3f}</b> nats</caption>'
    style = "border-collapse:collapse;background:white;color:#1a1a1a"
    return f'<table style="{style}">{caption}<tr>{head}</tr>{lines}</table>'


def two_tables() -> ByHand:
    """Counts of two pictures and two labels for two elements g, and their sum, each with H(l | picture): a slider."""

    def draw(other_label: int) -> str:
        upright = torch.tensor([[4.0, 0], [0, 4]])
        turned = torch.tensor([[4.0 - other_label, other_label], [0, 4]])
        tables = {"g = e": upright, "g = r": turned, "mixed": upright + turned}
        apart = (law_floor(upright).nats + law_floor(turned).nats) / 2
        mixed = law_floor(upright + turned).nats
        boxes = "".join(_html_table(name, counts) for name, counts in tables.items())
        return (
            f'<div style="display:flex;flex-wrap:wrap;gap:22px">{boxes}</div><p>Mixed {mixed:.3f}, apart on average '
            f"{apart:.3f}. <b>Not to know g costs {mixed - apart:.3f} nats.</b></p>"
        )

    return ByHand(draw, other_label=range(5))


@typed
def mixed_counts(true: GSet, assumed: GSet, H: Iterable[int]) -> Counts:
    """How often the turned picture (g h, g.l), a row, comes with the label g * l that the head assumes.

    Over all g, all h in H and all labels l; the row of the picture (k, m) is k |L| + m.
    """
    group, size = true.group, true.size
    counts = torch.zeros(group.order * size, size, dtype=torch.float64)
    for g in group.elements:
        for h in H:
            seen = int(group.product[g, h]) * size + true.action[g]
            counts.index_put_(
                (seen, assumed.action[g]), torch.ones(size, dtype=torch.float64), accumulate=True
            )
    return counts


KINDS = {
    "C4, upright": (C4, (0,)),
    "C4, all orientations": (C4, (0, 1, 2, 3)),
    "D4, upright": (D4, (0,)),
    "D4, upright and mirrored": (D4, (0, 4)),
    "D4, all, and mirrored": (D4, tuple(range(8))),
}


@typed
def show_floors(count: Callable[[GSet, GSet, Iterable[int]], Tensor]) -> go.Figure:
    """The floors of three actions of the 2 x 2 jigsaw on five kinds of data, by somebody's ``mixed_counts``."""
    title = "The lowest loss of an equivariant network: jigsaw 2 x 2"
    figure = go.Figure(layout={"template": TEMPLATE, "title": title, "height": 400, "width": 780})
    for how, colour in zip(HOWS, COLOURS, strict=False):
        pairs = {
            kind: (GSet.jigsaw(group, 2), GSet.jigsaw(group, 2, how), H) for kind, (group, H) in KINDS.items()
        }
        nats = [law_floor(count(*case)).nats for case in pairs.values()]
        text = [f"{value:.3f}" if value > 1e-9 else "0" for value in nats]
        figure.add_bar(
            x=[kind.replace(", ", ",<br>", 1).replace(" and", "<br>and") for kind in pairs],
            y=nats,
            name=how,
            text=text,
            textposition="outside",
            marker={"color": colour},
        )
    figure.update_xaxes(tickangle=0).update_layout(margin={"b": 70})
    return figure.update_yaxes(title="floor (nats)", range=[0, 2.4])


DATA = {
    "upright": (0,),
    "mirrored": (0, 4),
    "turned by 180 degrees": (0, 2),
    "turned by quarters": (0, 1, 2, 3),
    "turned and mirrored": tuple(range(8)),
}
ACTIONS = (
    "jigsaw 2x2, conjugation", "jigsaw 2x2, left", "jigsaw 2x2, trivial", "location, true", "location, trivial",
    "rotation, elements", "rotation, cosets of the mirror", "rotation, trivial",
)  # fmt: skip


def _rotation_floor(group: FiniteGroup, how: str, H: tuple[int, ...]) -> tuple[EquivariantFloor, int]:
    """The picture shows t h alone, and the label is the coset of t (of e alone, for "elements")."""
    K = (0, 4) if how == "cosets of the mirror" and group == D4 else (0,)
    cosets = group.left_cosets(K)
    label_of = [next(i for i, coset in enumerate(cosets) if t in coset) for t in group.elements]
    law = torch.zeros(group.order, len(cosets), dtype=torch.float64)
    for t in group.elements:
        for h in H:
            law[group.product[t, h], label_of[t]] += 1
    labels = GSet.trivial(group, len(cosets)) if how == "trivial" else GSet.quotient(group, K)
    return equivariant_floor(law / law.sum(), GSet.regular(group), labels), labels.size


@typed
def floor_of(action: str, group: str, data: str) -> tuple[Floor | EquivariantFloor, int]:
    """(the floor, the number of labels) of one of ``ACTIONS``, under "C4" or "D4", on one of ``DATA``."""
    G = {"C4": C4, "D4": D4}[group]
    H = tuple(h for h in DATA[data] if h < G.order)  # a mirror image is just another image for C4
    task, how = action.split(", ")
    if task == "rotation":
        return _rotation_floor(G, how, H)
    if task == "location":
        true = GSet.neighbours(G)
        assumed = true if how == "true" else GSet.trivial(G, 8)
    else:
        true, assumed = GSet.jigsaw(G, 2), GSet.jigsaw(G, 2, how)
    return inconsistency_floor(true, assumed, H), true.size


def calculator() -> ByHand:
    """The floor of a task, an action, a group and a kind of data, as a bar from 0 to guessing: four tasks by slider."""

    def draw(action: str, group: str, data: str) -> str:
        floor, size = floor_of(action, group, data)
        guess = math.log(size)
        bar = (
            '<div style="width:360px;height:16px;border:1px solid #767b84;background:white">'
            f'<div style="width:{360 * floor.nats / guess:.0f}px;height:16px;background:{COLOURS[1]}"></div></div>'
        )
        words = "The action costs nothing here."
        if floor.nats > 1e-9:
            words = "Below the orange bar no equivariant network can come."
        return (
            f"{bar}<p><b>Loss at least {floor.nats:.3f} nats, accuracy at most {floor.accuracy:.3f}.</b> {words} "
            f"Guessing: {guess:.3f} nats, accuracy {1 / size:.3f}.</p>"
        )

    return ByHand(draw, action=ACTIONS, group=("C4", "D4"), data=tuple(DATA))


# Trainings beside their floors


class Puzzles(PretextModel):
    """A C4 network that learns the 2 x 2 jigsaw of four letters with one of the three actions.

    Attributes:
        floor: of this action on data of all orientations.
        orbit_losses: [(step, mean loss over all orientations and labels of fresh puzzles), ...], every tenth step.

    Arguments:
        fresh: learn puzzles with noise of their own, each turned at random; otherwise the given pictures as they are.
    """

    cap = None  # the live chart is not to say where the curves end

    @typed
    def __init__(self, action: str, seed: int, fresh: bool = True) -> None:
        torch.manual_seed(seed)
        super().__init__(GroupCNN(C4, channels=(6, 12)), JigsawTask(C4, 2, action))
        self.floor = inconsistency_floor(GSet.jigsaw(C4, 2), self.task.labels, C4.elements).nats
        self.fresh, self.steps, self.orbit_losses = fresh, 0, []
        self.register_buffer("clean", letter_puzzle())

    def puzzles(self, count: int, generator: torch.Generator) -> Images:
        """(count, 1, 20, 20): each with noise of its own, turned by an element of its own."""
        noise = torch.randn(count, 1, 20, 20, generator=generator, device=self.clean.device)
        turns = torch.randint(4, (count,), generator=generator, device=self.clean.device)
        return C4.transform(self.clean + 0.1 * noise, turns)

    @torch.no_grad()
    def loss_on(self, pictures: Images) -> float:
        """The mean loss over these pictures and all labels, in evaluation mode."""
        self.eval()
        inputs, labels = self.task.every_input(pictures.to(self.clean.device))
        logits = self(inputs.flatten(0, 1))
        self.train()
        return F.cross_entropy(logits, labels.repeat_interleave(len(pictures))).item()

    def training_step(self, images: Images, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """One step, on fresh puzzles or on the images."""
        self.steps += 1
        if self.steps % 10 == 1:
            own = self.puzzles(2, generator)
            every = torch.cat([C4.transform(own, g) for g in C4.elements])
            self.orbit_losses.append((self.steps, self.loss_on(every)))
        seen = self.puzzles(len(images), generator) if self.fresh else images
        return super().training_step(seen, generator)


@typed
def six_pictures(seed: int, copies: int = 1) -> Float[Tensor, "count 1 20 20"]:
    """Six noisy puzzles, each in one orientation of its own; with more copies, other noise in the same orientations."""
    draws, turns = torch.Generator().manual_seed(seed), torch.tensor([0, 1, 2, 3, 1, 2]).repeat(copies)
    return C4.transform(letter_puzzle() + 0.1 * torch.randn(len(turns), 1, 20, 20, generator=draws), turns)


def _live(models: Mapping[str, Puzzles], seed: int, title: str, epochs: int) -> LiveTraining:
    """20 steps of 48 puzzles an epoch."""
    pictures = six_pictures(seed).repeat(160, 1, 1, 1)
    recipe = {"epochs": epochs, "batch_size": 48, "lr": 2e-2, "seed": seed}
    return LiveTraining(
        {name: Pretrainer(model, pictures, **recipe) for name, model in models.items()}, title
    )


@typed
def train_three(seed: int, epochs: int = 10) -> LiveTraining:
    """Three networks, the same but for the action of their heads, learn puzzles that are fresh in each step."""
    return _live({how: Puzzles(how, seed) for how in HOWS}, seed, "The jigsaw, three actions", epochs)


@typed
def train_on_six(seed: int, epochs: int = 10) -> LiveTraining:
    """A network with the left action learns six pictures that stay as they are."""
    models = {"left, six fixed pictures": Puzzles("left", seed, fresh=False)}
    return _live(models, seed, "Six pictures that stay as they are", epochs)


@typed
def remembered(live: LiveTraining, seed: int) -> tuple[float, float]:
    """The loss of this network on its six pictures, and on sixty with other noise in the same orientations."""
    [run] = live.runs.values()
    return run.model.loss_on(six_pictures(seed)), run.model.loss_on(six_pictures(seed + 1000, copies=10))


def _curves(
    title: str, curves: Mapping[str, Iterable[tuple[float, float]]], floors: Iterable[float]
) -> go.Figure:
    """Losses by step, told apart by colour and dash; floors are dotted."""
    figure = go.Figure(layout={"template": TEMPLATE, "title": title, "height": 400, "width": 780})
    for (name, points), colour, dash in zip(
        curves.items(), COLOURS, ("solid", "dash", "dashdot"), strict=False
    ):
        steps, losses = zip(*points, strict=True)
        figure.add_scatter(x=steps, y=losses, name=name, line={"color": colour, "dash": dash})
    for floor in floors:
        figure.add_hline(floor, line={"color": COLOURS[6], "dash": "dot", "width": 1})
    figure.update_xaxes(title="training step").update_layout(legend={"orientation": "h", "y": -0.25})
    return figure.update_yaxes(title="loss (nats)", rangemode="tozero")


@typed
def show_losses(live: LiveTraining) -> go.Figure:
    """The loss over the orbit while the networks learned, and their floors."""
    models = {name: run.model for name, run in live.runs.items()}
    curves = {f"{name}: floor {model.floor:.3f}": model.orbit_losses for name, model in models.items()}
    title = "Loss over all orientations of fresh puzzles"
    return _curves(title, curves, [model.floor for model in models.values()])


@typed
def show_memory(live: LiveTraining, seed: int) -> go.Figure:
    """The loss on the six pictures while it learned, and over the orbit of fresh puzzles; prints ``remembered``."""
    own, others = remembered(live, seed)
    print(f"its six pictures {own:.3f}, the same orientations with other noise {others:.3f}")
    [run] = live.runs.values()
    own_losses = [(record["step"], record["loss"]) for record in run.history]
    curves = {"its six pictures": own_losses, "fresh puzzles, all orientations": run.model.orbit_losses}
    return _curves(f"The left action: floor {run.model.floor:.3f}", curves, [run.model.floor])
