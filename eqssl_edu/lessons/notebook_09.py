"""Notebook 09: a number that tears and a vector that need not, the wrong sense of rotation; and what else it calls."""

from __future__ import annotations

from collections.abc import Callable

import plotly.graph_objects as go
import torch
from jaxtyping import Float64
from torch import Tensor

from eqssl_edu.circle import angle_error, angles_of, arrows_of, von_mises_loss
from eqssl_edu.errors import typed
from eqssl_edu.exercises import check
from eqssl_edu.lessons.arrow_types import (
    OwnHead,
    arrow_lengths,
    fade,
    faded_lengths,
    headed,
    library_arrow,
    losses,
    train_arrows,
    turn_arrow,
)
from eqssl_edu.lessons.circle_features import carried_error, turn_function
from eqssl_edu.lessons.dials import curves
from eqssl_edu.lessons.turned_letters import (
    BY_HAND,
    OwnTask,
    drawings,
    judges,
    model_of,
    shown,
    training,
    turned_picture,
)
from eqssl_edu.plots import COLOURS, TEMPLATE, row
from eqssl_edu.pretext import AngleModel
from eqssl_edu.pretext.angle import on_disc
from eqssl_edu.rotate import rotate
from eqssl_edu.shapes import Images
from eqssl_edu.theory import wedge_cosine
from eqssl_edu.widgets import ByHand, LiveTraining

__all__ = [
    "OwnHead",
    "answers_of",
    "arrow_lengths",
    "carried_error",
    "fade",
    "faded_lengths",
    "follow",
    "library_arrow",
    "losses",
    "orbit_losses",
    "seams",
    "show_types",
    "show_wedges",
    "train_arrows",
    "train_number_and_vector",
    "train_types",
    "turn_arrow",
    "turn_function",
    "worst_errors",
]

TRUE, NUMBER, VECTOR = COLOURS[6], COLOURS[1], COLOURS[0]

# 9.2 A number and a vector


@typed
def train_number_and_vector(von_mises: Callable, seed: int) -> LiveTraining:
    """Train two plain CNNs to tell by which angle a letter was turned: one answers a number, one a vector.

    Arguments:
        von_mises: your loss; as long as ``check("09.von_mises", von_mises)`` does not accept it, the library's.
        seed: of the weights, of the order of the letters and of the angles.
    """
    task = OwnTask(von_mises if check("09.von_mises", von_mises) else None)
    runs = {
        name: training(model_of(name, task, seed), drawings("C1", "train"), seed, epochs=120, rate=0.01)
        for name in ("number", "vector")
    }
    return LiveTraining(runs, "By which angle was the letter turned?")


@typed
@torch.no_grad()
def answers_of(model: AngleModel, images: Images, degrees: float | Tensor) -> Float64[Tensor, " batch"]:
    """What a model answers to images turned by an angle, or each by its own, in degrees: a number is not wound up."""
    inputs = on_disc(rotate(images.double(), degrees))
    features = model.encoder(inputs)
    return model.head.number(features) if hasattr(model.head, "number") else angles_of(model.head(features))


@typed
def seams(number: AngleModel, images: Images) -> tuple[Float64[Tensor, " batch"], Float64[Tensor, " batch"]]:
    """An angle at which the number of each image is wrong by 180 degrees, by bisection, and how wrong it is there.

    The number minus the angle falls by 360 degrees in one turn around; so it passes what is wrong by 180.
    """
    first = answers_of(number, images, 0.0)
    target = first - (first - 180) % 360
    low, high = torch.zeros_like(first), torch.full_like(first, 360)
    for _ in range(45):
        middle = (low + high) / 2
        above = answers_of(number, images, middle) - middle > target
        low, high = middle.where(above, low), high.where(above, middle)
    return low, angle_error(answers_of(number, images, low) % 360, low)


@typed
def worst_errors(live: LiveTraining) -> dict[str, dict[str, float]]:
    """Of the 24 test letters, turned by every ten degrees: the mean error, and the mean of the worst of each letter.

    For the number, also its smallest error at a seam, over the letters. Printed.
    """
    images, found = drawings("C1", "test"), {}
    for name, model in judges(live).items():
        errors = []
        for degrees in torch.arange(0, 360, 10, dtype=torch.float64).split(1):
            answers = answers_of(model, images, float(degrees))
            errors.append(angle_error(answers % 360, degrees.expand(len(images))))
        errors = torch.stack(errors)
        mean, worst = float(errors.mean()), float(errors.amax(dim=0).mean())
        found[name] = {"mean": mean, "worst": worst}
        said = f"{name}: mean error {mean:.1f}°, worst of each letter {worst:.0f}° in the mean"
        if name == "number":
            found[name]["seam"] = seam = float(seams(model, images)[1].min())
            said += f"; at its seam every letter is wrong by at least {seam:.5f}°"
        print(said)
    return found


@typed
def follow(live: LiveTraining) -> ByHand:
    """A test letter turned by hand: the true arrow, the number's and the vector's, and both answers along the turn."""
    models, letters = judges(live), shown(drawings("C1", "test"))
    angles = torch.arange(0, 361, 5, dtype=torch.float64)
    three = torch.cat(list(letters.values()))
    lines = {
        name: torch.stack([answers_of(model, three, float(a)) for a in angles])
        for name, model in models.items()
    }
    tears, wrong = seams(models["number"], three)

    def draw(degrees: int, letter: str) -> str:
        at, truth = list(letters).index(letter), torch.tensor([float(degrees)], dtype=torch.float64)
        now = {name: line[degrees // 5, at : at + 1] for name, line in lines.items()}
        arrows = [(arrows_of(a)[0] * size, colour) for a, colour, size in
                  ((truth, "white", 0.95), (now["number"], NUMBER, 0.8), (now["vector"], VECTOR, 0.65))]  # fmt: skip
        off = {name: float(angle_error(answer % 360, truth)) for name, answer in now.items()}
        number = lines["number"][:, at]
        wind = 360 * torch.round((180 - number.mean()) / 360)  # which of its windings is shown
        nearest = lines["vector"][:, at] + 360 * torch.round((angles - lines["vector"][:, at]) / 360)
        plot = curves(
            {f'stroke="{TRUE}" stroke-width="1.5" stroke-dasharray="5 4"': [(0, 0), (360, 360)],
             f'stroke="{NUMBER}" stroke-width="3"': zip(angles.tolist(), (number + wind).tolist(), strict=True),
             f'stroke="{VECTOR}" stroke-width="3"': zip(angles.tolist(), nearest.tolist(), strict=True)},
            [(degrees, float((number + wind)[degrees // 5]), NUMBER), (degrees, float(nearest[degrees // 5]), VECTOR)],
            window=(0, 360, -120, 480), caption="answer (degrees) over the angle", size=(400, 215),
        )  # fmt: skip
        text = (f"Truth: white, and dashed; the number (orange) is off by {off['number']:.0f}°, the vector (blue) by "
                f"{off['vector']:.0f}°. At {tears[at]:.1f}° the number is off by {wrong[at]:.3f}°.")  # fmt: skip
        return row([turned_picture(letters[letter], degrees, arrows), plot], text)

    return ByHand(draw, **BY_HAND)


# 9.4 The wrong sense


@typed
def train_types(seed: int) -> LiveTraining:
    """The same training on letters with arrows that turn otherwise: of the types -1, 0 and 2."""
    runs = {f"type {k}": headed("C1", 1, k, None, seed) for k in (-1, 0, 2)}
    return LiveTraining(runs, "By which angle was the letter turned? Answered by arrows that turn otherwise")


@typed
def show_types(right: LiveTraining, wrong: LiveTraining) -> go.Figure:
    """The losses of all four types, and the floor that theory gives all types but 1: 0 nats against uniform."""
    found = {"type 1": losses(right)["letters, type 1"], **losses(wrong)}
    figure = go.Figure(layout={"template": TEMPLATE, "height": 370, "width": 780})
    for (name, run), dash in zip(found.items(), ("solid", "dash", "dashdot", "longdash"), strict=True):
        points = [sum(run[i : i + 5]) / len(run[i : i + 5]) for i in range(0, len(run), 5)]
        figure.add_scatter(x=list(range(5, 5 * len(points) + 1, 5)), y=points, name=name, line={"dash": dash})
    figure.add_hline(
        0, line={"dash": "dot"}, annotation={"text": "floor of types -1, 0, 2", "yanchor": "bottom"}
    )
    figure.update_layout(title="The loss of four types, on the label of type 1")
    return figure.update_xaxes(title="step").update_yaxes(title="loss (nats against uniform)")


@typed
@torch.no_grad()
def orbit_losses(*lives: LiveTraining) -> dict[str, dict[str, float]]:
    """Each test letter at 24 angles: the mean loss, and the least of the means over four copies a quarter apart.

    Printed. What the runs of symmetric letters say is left out.
    """
    images, found = drawings("C1", "test").double(), {}
    for name, model in (pair for live in lives for pair in judges(live).items()):
        if "symmetric" in name:
            continue
        table = []
        for a in range(0, 360, 15):
            labels = torch.full((len(images),), float(a), dtype=torch.float64)
            outputs = model.head(model.encoder(on_disc(rotate(images, float(a)))))
            table.append(von_mises_loss(outputs, labels))
        quarters = torch.stack(table).unflatten(0, (4, 6)).mean(dim=0)  # (start, image)
        name = name.removeprefix("letters, ")
        found[name] = {"mean": float(quarters.mean()), "least": float(quarters.min())}
        print(
            f"{name}: {found[name]['mean']:+.3f} nats; the least mean of four copies {found[name]['least']:+.6f}"
        )
    return found


@typed
def show_wedges() -> go.Figure:
    """The best mean cosine between answer and truth, for arrows of wrong types and turns uniform in -a .. a."""
    figure = go.Figure(layout={"template": TEMPLATE, "height": 350, "width": 780})
    reach = range(1, 181)
    for k, dash in ((-1, "solid"), (0, "dash"), (2, "dot")):
        figure.add_scatter(
            x=list(reach), y=[wedge_cosine(k, a) for a in reach], name=f"type {k}", line={"dash": dash}
        )
    figure.update_layout(title="What a wrong type can reach if turns are at most a")
    ticks = [15, 45, 90, 135, 180]
    return figure.update_xaxes(title="a (degrees)", tickvals=ticks).update_yaxes(title="best mean cosine")
