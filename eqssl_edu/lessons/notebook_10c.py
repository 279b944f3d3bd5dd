"""Notebook 10c: what carries over, few images and many, and letters that explain a turn away."""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from statistics import fmean

import plotly.graph_objects as go
import torch
from jaxtyping import Float, Float64
from plotly.subplots import make_subplots
from torch import Tensor, nn

from eqssl_edu.errors import typed
from eqssl_edu.evaluation import extract
from eqssl_edu.exercises import check
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral
from eqssl_edu.learned import RELATIVES
from eqssl_edu.lessons.learned_runs import C4, COUNTS, asked, found, new_model, one_run, training
from eqssl_edu.lessons.notebook_00 import Table
from eqssl_edu.lessons.notebook_10 import Orbits, library_maps, orbits
from eqssl_edu.plots import COLOURS, TEMPLATE, picture, row
from eqssl_edu.shapes import Images
from eqssl_edu.widgets import ByHand

__all__ = [
    "LETTERS",
    "b_d_p_q",
    "carried_over",
    "counts_of",
    "explain_by_hand",
    "library_information",
    "library_missed",
    "one_run",
    "print_information",
    "trained",
    "transfer_chart",
]

Counts = Float[Tensor, "turn letter picture"]


@typed
def library_missed(group: FiniteGroup, maps: Float[Tensor, "group D D"], z: Orbits) -> Tensor:
    """The same as ``missed``."""
    z = z - z.mean(dim=(0, 1))
    guessed = torch.einsum("gde,bhe->bghd", maps[1:], z)
    moving = (z - z.mean(dim=1, keepdim=True)).square().sum(dim=2).mean()
    return (z[:, group.product[1:]] - guessed).square().sum(dim=3).mean() / moving


@typed
def trained(kind: str, seed: int) -> nn.Module:
    """The encoder of a relative, trained on 1,297 digits."""
    model = new_model(kind, seed)
    for _ in training(model, "digits", COUNTS[-1], seed).steps():
        pass
    return model.encoder


@typed
def carried_over(encoders: Mapping[str, nn.Module], missed: Callable) -> Table:
    """Maps fitted to 200 digits; what they miss of other digits, and of letters.

    Arguments:
        encoders: names and networks.
        missed: yours; as long as the check does not accept it, the library's.
    """
    own = missed if check("10.missed", missed) else library_missed
    rows = {}
    for name, encoder in encoders.items():
        z = [
            orbits(lambda x, f=encoder: extract(f, x), images).double()
            for images in (*asked("digits"), asked("letters")[1])
        ]
        maps = library_maps(z[0])
        rows[name] = {where: float(own(C4, maps, each)) for where, each in zip(WHERE, z, strict=True)}
    said = dict.fromkeys(WHERE, "{:.2g}".format)
    return Table(rows, "Maps fitted to 200 digits: what they miss, in units of what moves", said)


WHERE = ("the fitted digits", "other digits", "letters")
PANELS = {
    "error": "other digits",
    "views": "augmented digits, fitted as well",
    "transfer": "letters, with the maps of digits",
}


@typed
def transfer_chart(mine: Sequence[Mapping] = ()) -> go.Figure:
    """Moving errors of the shipped runs on digits, few and many to learn from; own runs as stars. Prints the means."""
    figure = make_subplots(1, 3, subplot_titles=list(PANELS.values()), horizontal_spacing=0.06)
    for (column, measure), (place, count) in product(enumerate(PANELS, 1), enumerate(COUNTS)):
        x, y, means, colour = [], [], [], COLOURS[place]
        for i, kind in enumerate(RELATIVES):
            values = found(kind, measure, "digits", count)
            x += [i + 0.4 * place - 0.3 + 0.2 * k / len(values) for k in range(len(values))]
            y += values
            means.append(fmean(values))
        marker = {"color": colour, "size": 4, "opacity": 0.6}
        name = f"{count:,} digits to learn from"
        how = {"mode": "markers", "name": name, "showlegend": column == 1}
        figure.add_scatter(x=x, y=y, marker=marker, **how, row=1, col=column)
        bars = {"symbol": "line-ew", "size": 12, "line": {"width": 3, "color": colour}}
        at = [i + 0.4 * place - 0.2 for i in range(len(RELATIVES))]
        figure.add_scatter(x=at, y=means, mode="markers", marker=bars, showlegend=False, row=1, col=column)
        own = [run for run in mine if run["count"] == count]
        star = {"symbol": "star", "size": 13, "color": "white", "line": {"width": 2, "color": colour}}
        figure.add_scatter(
            x=[RELATIVES.index(run["kind"]) + 0.4 * place - 0.2 for run in own],
            y=[run[measure] for run in own],
            mode="markers", marker=star, showlegend=False, row=1, col=column,
        )  # fmt: skip
    for kind in RELATIVES:
        said = (
            f"{words} " + ", ".join(f"{fmean(found(kind, measure, 'digits', n)):.2g}" for n in COUNTS)
            for measure, words in PANELS.items()
        )
        print(f"{kind:12}", "; ".join(said))
    figure.update_xaxes(tickvals=list(range(len(RELATIVES))), ticktext=list(RELATIVES), tickangle=60)
    figure.update_yaxes(rangemode="tozero").update_annotations(font={"size": 12})
    layout = {"template": TEMPLATE, "width": 940, "height": 390, "margin": {"t": 40, "b": 110}}
    return figure.update_layout(**layout, legend={"orientation": "h", "y": -0.38})


# -- 10c.3: explaining away ----------------------------------------------------------------------------------------

LETTERS = "bdpq"


@typed
def b_d_p_q() -> Images:
    """Four letters, each the mirror image or the half turn of another one: (4, 1, 7, 7)."""
    b = torch.zeros(7, 7)
    b[1:6, 2] = b[3, 2:5] = b[5, 2:5] = b[3:6, 4] = 1
    D4 = dihedral(4)
    d = D4.transform(b, 4)
    return torch.stack([b, d, D4.transform(d, 2), D4.transform(b, 2)])[:, None]


def _pictures(images: Images) -> tuple[Tensor, Tensor]:
    """The different pictures (n, 1, S, S) of all letters and turns, and which of them each is: (4, letters)."""
    turned = torch.stack([cyclic(4).transform(images, k) for k in range(4)])
    seen, which = turned.flatten(0, 1).unique(dim=0, return_inverse=True)
    return seen, which.view(turned.shape[:2])


@typed
def counts_of(images: Images) -> Float64[Tensor, "turn letter picture"]:
    """How often each turn of each letter makes each picture: every turn and letter once."""
    seen, which = _pictures(images)
    return torch.nn.functional.one_hot(which, len(seen)).double()


@typed
def library_information(counts: Counts) -> Tensor:
    """The same as ``information``: I(turn; letter | picture) in nats."""

    def entropy(p: Tensor) -> Tensor:
        return -torch.xlogy(p, p).sum()

    p = counts / counts.sum()
    return entropy(p.sum(dim=1)) + entropy(p.sum(dim=0)) - entropy(p.sum(dim=(0, 1))) - entropy(p)


@typed
def print_information(information: Callable, counts: Counts) -> None:
    """Print what the letter tells of the turn, without the picture and with it.

    Arguments:
        information: yours; as long as the check does not accept it, the library's.
        counts: of turns, letters and pictures.
    """
    own = information if check("10.information", information) else library_information
    blind = float(own(counts.sum(dim=2, keepdim=True)))
    print(f"nobody looks: {abs(blind):.3f} nats; with the picture: {float(own(counts)):.3f} nats")


@typed
def explain_by_hand() -> ByHand:
    """Choose a picture, and whether somebody names the letter: which letters and turns explain it."""
    images = b_d_p_q()
    seen, which = _pictures(images)

    def draw(picture_: int, letter: str) -> str:
        shown, causes = [picture(seen[picture_, 0], "what is seen", side=110)], []
        for turn, name in product(range(4), LETTERS):
            if which[turn, LETTERS.index(name)] == picture_ and letter in ("nobody says", name):
                causes.append(f"{name}, turned by {90 * turn}°")
                shown.append(picture(images[LETTERS.index(name), 0], causes[-1], side=80))
        words = {0: "That letter never looks like this.", 1: "<b>One</b> cause: the turn is known."}
        said = words.get(len(causes), f"<b>{len(causes)}</b> causes, with different turns.")
        return row(shown, said)

    return ByHand(draw, picture_=range(8), letter=["nobody says", *LETTERS])
