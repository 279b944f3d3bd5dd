"""Notebook 06b: symmetric digits and letters, and what a trained network says of them."""

from __future__ import annotations

import copy
import string
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.data import ImageSet
from eqssl_edu.errors import typed
from eqssl_edu.groups import FiniteGroup, cyclic
from eqssl_edu.lessons.notebook_00 import Table
from eqssl_edu.plots import COLOURS, TEMPLATE, image_grid, picture, row
from eqssl_edu.pretext import PretextModel, image_caps, image_floors
from eqssl_edu.shapes import Images
from eqssl_edu.widgets import ByHand

__all__ = [
    "ask_about_digit",
    "letter_answers",
    "show_answers",
    "show_versions",
    "symmetrised",
    "version_table",
]

C4 = cyclic(4)
LETTERS = string.ascii_uppercase


@typed
def symmetrised(images: Images, group: FiniteGroup, subgroup: Sequence[int]) -> Images:
    """The brightest pixels of the copies under a subgroup: none of its elements changes the picture by a bit."""
    return torch.stack([group.transform(images, h) for h in subgroup]).amax(dim=0)


@typed
def show_versions(versions: Mapping[str, Images]) -> go.Figure:
    """The first seven pictures of each version, a row each."""
    names = [name if column == 0 else "" for name in versions for column in range(7)]
    planes = torch.cat([version[:7, 0] for version in versions.values()])
    return image_grid(
        planes, names, "Seven digits, and what is left of them when they are symmetric", columns=7
    )


@typed
def ask_about_digit(model: PretextModel, versions: Mapping[str, Images]) -> ByHand:
    """A digit, turned and made symmetric by hand, and the four answers of a network trained on rotation."""
    judge = copy.deepcopy(model).eval().cpu()

    @torch.no_grad()
    def ask(version: str, digit: int, turn: int) -> str:
        x = C4.transform(versions[version][digit : digit + 1], turn)  # (1, 1, S, S)
        answer = judge(x).softmax(dim=1)[0].tolist()
        lines = "".join(
            f'<div style="margin:3px 0"><span style="display:inline-block;width:170px">by {90 * g} degrees</span>'
            f'<span style="display:inline-block;width:{250 * p:.0f}px;height:12px;background:{COLOURS[0]}"></span>'
            f" {p:.2f}</div>"
            for g, p in enumerate(answer)
        )
        best = max(C4.elements, key=answer.__getitem__)
        words = f"Largest of the four answers: turned by {90 * best} degrees, {answer[best]:.2f}."
        return row([picture(x[0, 0], "what the network sees", side=110), f"<div>{lines}</div>"], words)

    return ByHand(ask, version=list(versions), digit=range(20), turn=range(4), start={"digit": 3})


@typed
def version_table(model: PretextModel, versions: Mapping[str, Images]) -> Table:
    """For each version of the images: the caps and floors of its pictures, and what the model reaches."""
    rows = {}
    for name, images in versions.items():
        loss, accuracy = model.evaluate(images)
        rows[name] = {
            "cap": float(image_caps(model.task, images).mean()),
            "accuracy": accuracy,
            "floor": float(image_floors(model.task, images).mean()),
            "loss": loss,
        }
    words = {
        "cap": "{:.1%}".format,
        "accuracy": "{:.1%}".format,
        "floor": "{:.3f}".format,
        "loss": "{:.3f}".format,
    }
    return Table(rows, "By how much was it turned? 300 test digits, all four turns", words)


@typed
@torch.no_grad()
def letter_answers(model: PretextModel, letters: ImageSet) -> dict[str, Float[Tensor, " answer"]]:
    """For each letter, which share of its upright pictures is said to be turned by 0, 1, 2, 3 quarter turns."""
    answers = copy.deepcopy(model).eval().cpu()(letters.images).argmax(dim=1)
    hits = (answers[:, None] == torch.arange(4)).float()
    return {name: hits[letters.labels == label].mean(dim=0) for label, name in enumerate(LETTERS)}


@typed
def show_answers(answers: Mapping[str, Float[Tensor, " answer"]]) -> go.Figure:
    """What ``letter_answers`` gives, as stacked bars; the letter that is set upright most often comes first."""
    order = sorted(answers, key=lambda name: -float(answers[name][0]))
    parts = {"upright": [0], "upside down": [2], "lying": [1, 3]}
    title = "What the network says of upright letters in unseen typefaces"
    figure = go.Figure(layout={"template": TEMPLATE, "title": title, "height": 400, "width": 780})
    for (name, turns), colour in zip(parts.items(), (COLOURS[0], COLOURS[4], "#bbbbbb"), strict=True):
        heights = [100 * float(answers[letter][turns].sum()) for letter in order]
        figure.add_bar(x=order, y=heights, name=name, marker_color=colour)
    figure.add_hline(50, line={"dash": "dot"}, annotation={"text": "1 of 2", "xanchor": "left", "x": 1})
    figure.update_layout(barmode="stack").update_xaxes(title="letter")
    return figure.update_yaxes(title="share of the answers (%)")
