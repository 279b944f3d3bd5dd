"""Notebook 09: functions on a circle, a number that tears, arrows and their lengths, the wrong sense of rotation."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import plotly.graph_objects as go
import torch
import torch.nn.functional as F
from jaxtyping import Float, Float64
from torch import Tensor

from eqssl_edu.circle import (
    AngleHead,
    CircleGroup,
    angle_error,
    angles_of,
    arrows_of,
    turn_arrows,
    turn_features,
    von_mises_loss,
)
from eqssl_edu.data import glyph_atlas
from eqssl_edu.encoders import Encoder, GroupCNN
from eqssl_edu.errors import typed
from eqssl_edu.evaluation import recalibrated
from eqssl_edu.exercises import check
from eqssl_edu.groups import cyclic
from eqssl_edu.lessons.dials import arrows_on, circle, curves
from eqssl_edu.lessons.notebook_00 import Table
from eqssl_edu.lessons.turned_letters import OwnTask, drawings, model_of, new_encoder, training
from eqssl_edu.plots import COLOURS, TEMPLATE, row
from eqssl_edu.precision import precise
from eqssl_edu.pretext import AngleModel
from eqssl_edu.pretext.angle import on_disc
from eqssl_edu.rotate import rotate
from eqssl_edu.shapes import Features, Images
from eqssl_edu.steerable import SteerableCNN
from eqssl_edu.theory import wedge_cosine
from eqssl_edu.training import Pretrainer
from eqssl_edu.twins import copied
from eqssl_edu.widgets import ByHand, LiveTraining

__all__ = [
    "OwnHead",
    "answers_of",
    "arrow_lengths",
    "carried_error",
    "fade",
    "faded_lengths",
    "follow",
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
SHOWN = [0, 3, 4]  # G, R, h
STEP = 10  # degrees between two places of a slider
EPOCHS = 30
ARROWS = {  # run -> kind of letters, symmetry of the label, type of the arrow
    "letters, type 1": ("C1", 1, 1),
    "symmetric letters, type 1": ("C2", 1, 1),
    "symmetric letters, type 2": ("C2", 2, 2),
}


# 9.1 Functions on the circle


@cache
def smooth_letters() -> Images:
    """The test letters on 40 x 40 pixels, blurred: pictures that turn well, (24, 1, 40, 40), in float64."""
    drawn = F.avg_pool2d(glyph_atlas("C1", "test", 80), 2).flatten(0, 1)[:, None].double()
    return F.avg_pool2d(F.avg_pool2d(drawn, 5, 1, 2), 5, 1, 2)


@cache
def untrained(name: str, seed: int) -> Encoder:
    """A network over "C4" or "SO(2)" with random weights, in float64; its batch norms know the letters."""
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = (
            SteerableCNN("SO(2)", channels=(4, 8))
            if name == "SO(2)"
            else GroupCNN(cyclic(4), channels=(4, 8))
        )
        return recalibrated(encoder, smooth_letters().float()).double().eval()


@typed
@torch.no_grad()
def features_of(encoder: Encoder, images: Images, degrees: float) -> Float64[Tensor, "batch feature group"]:
    """The features of images turned by an angle."""
    return encoder(on_disc(rotate(images.double(), degrees)))


@typed
def carried_error(name: str, degrees: float, seed: int) -> float:
    """How far the features of turned test letters are from the turned features, as a part of what moves in them.

    ``turn_features`` turns those of SO(2); for C4 it is the best of its four elements. An untrained network.
    """
    encoder, images = untrained(name, seed), smooth_letters()
    upright, turned = (features_of(encoder, images, angle) for angle in (0.0, degrees))
    group, moving = encoder.group, (upright - upright.mean(dim=2, keepdim=True)).norm()
    if isinstance(group, CircleGroup):
        guesses = [turn_features(group, upright, degrees)]
    else:
        guesses = [group.transform_features(upright, g) for g in group.elements]
    return min(float((turned - guess).norm() / moving) for guess in guesses)


@typed
def turn_function(seed: int) -> ByHand:
    """A letter turned by hand; beside it one channel of an untrained C4 network and one of an SO(2) network.

    The dashed curve is the function of the upright letter, turned by ``turn_features`` without looking again.
    """
    letters, nets = smooth_letters()[SHOWN], {name: untrained(name, seed) for name in ("C4", "SO(2)")}

    @cache
    def channel(name: str, letter: int, degrees: float) -> Tensor:
        z = features_of(nets[name], letters[letter : letter + 1], degrees)[0]
        first = z if degrees == 0 else features_of(nets[name], letters[letter : letter + 1], 0.0)[0]
        chosen = int(first.std(dim=1).argmax())  # the one that moves most
        return (z[chosen] - first[chosen].mean()) / (first[chosen] - first[chosen].mean()).abs().max()

    def fine(z: Tensor) -> list[float]:
        """Its function at 120 angles: the Fourier series through the samples."""
        coefficients = torch.fft.rfft(z)[: nets["SO(2)"].group.frequency + 1]
        return torch.fft.irfft(coefficients, n=120).mul(120 / len(z)).tolist()

    def draw(degrees: int, letter: str) -> str:
        at = "GRh".index(letter)
        four, z, first = channel("C4", at, degrees), channel("SO(2)", at, degrees), channel("SO(2)", at, 0)
        carried = turn_features(nets["SO(2)"].group, first[None], float(degrees))[0]
        solid = f'stroke="{VECTOR}" stroke-width="0.06"'
        dashed = f'stroke="{NUMBER}" stroke-width="0.05" stroke-dasharray="0.12 0.1"'
        return row(
            [
                arrows_on(on_disc(rotate(letters[at : at + 1], degrees))[0, 0], [], f"turned by {degrees}°"),
                circle({}, [(90 * i, float(v)) for i, v in enumerate(four)], "C4: four numbers"),
                circle({solid: fine(z), dashed: fine(carried)}, [], "SO(2): a function"),
            ],
            "Dashed: the function of the upright letter, turned by hand. For the four numbers there is such a line at "
            "0, 90, 180 and 270 degrees only.",
        )  # fmt: skip

    return ByHand(draw, degrees=range(0, 361, STEP), letter=["R", "G", "h"])


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


def judges(live: LiveTraining) -> dict[str, AngleModel]:
    """The models of a training in float64, once it has ended or was stopped."""
    live.wait()
    return {name: copied(run.model).double().cpu().eval() for name, run in live.runs.items()}


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
    models, letters = judges(live), drawings("C1", "test")[SHOWN]
    angles = torch.arange(0, 361, 5, dtype=torch.float64)
    lines = {
        name: torch.stack([answers_of(model, letters, float(a)) for a in angles])
        for name, model in models.items()
    }
    tears, wrong = seams(models["number"], letters)

    def draw(degrees: int, letter: str) -> str:
        at, truth = "GRh".index(letter), torch.tensor([float(degrees)], dtype=torch.float64)
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
        picture = arrows_on(
            on_disc(rotate(letters[at : at + 1], degrees))[0, 0], arrows, f"turned by {degrees}°"
        )
        text = (f"Truth: white, and dashed; the number (orange) is off by {off['number']:.0f}°, the vector (blue) by "
                f"{off['vector']:.0f}°. At {tears[at]:.1f}° the number is off by {wrong[at]:.3f}°.")  # fmt: skip
        return row([picture, plot], text)

    return ByHand(draw, degrees=range(0, 361, STEP), letter=["R", "G", "h"])


# 9.3 Arrows


class OwnHead(AngleHead):
    """The student's arrow of type k as a head: (B, C, |G|) -> (B, 2)."""

    @typed
    def __init__(self, encoder: Encoder, k: int, arrow: Callable) -> None:
        super().__init__(encoder.group, encoder.out_channels, k)
        self.arrow = arrow

    def forward(self, features: Features) -> Float[Tensor, "batch 2"]:
        with torch.autocast(features.device.type, enabled=False):
            weight = torch.view_as_complex(self.weight[:, 0].contiguous())
            return _plain(self.arrow(precise(features), weight, self.frequencies[0]))


def _plain(arrows: Tensor) -> Tensor:
    """Arrows as pairs, also where they were written as complex numbers."""
    return torch.view_as_real(arrows.resolve_conj()) if arrows.is_complex() else arrows


def _library(z: Tensor, weight: Tensor, k: int) -> Tensor:
    return (weight * torch.fft.rfft(z)[..., k].conj()).sum(dim=1) / z.shape[2]


def _own(arrow: Callable) -> Callable:
    return arrow if check("09.arrow", arrow) else _library


def _weight(channels: int, seed: int) -> Tensor:
    numbers = torch.randn(2, channels, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.complex(*numbers)


@typed
def turn_arrow(arrow: Callable, seed: int) -> ByHand:
    """A letter turned by hand, with the arrow of type k that an untrained SO(2) network draws: solid.

    The pale arrow is that of the upright letter, turned by k times the angle.

    Arguments:
        arrow: yours; as long as ``check("09.arrow", arrow)`` does not accept it, the library's.
        seed: of all weights.
    """
    arrow, encoder, letters = _own(arrow), untrained("SO(2)", seed), smooth_letters()[SHOWN]
    weight = _weight(encoder.out_channels, seed)

    @cache
    def read(letter: int, degrees: int) -> dict[int, Tensor]:
        z = features_of(encoder, letters[letter : letter + 1], float(degrees))
        return {k: _plain(arrow(z, weight, k))[0] for k in (1, 2)}

    def draw(degrees: int, k: int, letter: str) -> str:
        at = "GRh".index(letter)
        first, now = read(at, 0)[k], read(at, degrees)[k]
        wanted, length = turn_arrows(first, float(degrees), k), first.norm()
        picture = on_disc(rotate(letters[at : at + 1], degrees))[0, 0]
        far = float((now - wanted).norm() / length)
        arrows = [(0.9 * wanted / length, "#999999"), (0.7 * now / length, VECTOR)]
        text = (f"The arrow of type {k} is where {k} x {degrees}° brings that of the upright letter, "
                f"up to {far:.1%} of its length.")  # fmt: skip
        return row([arrows_on(picture, arrows, f"turned by {degrees}°")], text)

    return ByHand(draw, degrees=range(0, 361, STEP), k=[1, 2], letter=["R", "G", "h"])


@typed
def arrow_lengths(arrow: Callable, seed: int) -> Table:
    """The mean length of arrows of letters and of symmetric letters, as a part of that of letters; float64, untrained.

    Arguments:
        arrow: yours; as long as ``check("09.arrow", arrow)`` does not accept it, the library's.
        seed: of all weights.
    """
    arrow, rows = _own(arrow), {"letters": {}, "symmetric letters": {}}
    for name, k in (("C4", 1), ("SO(2)", 1), ("SO(2)", 2)):
        encoder = untrained(name, seed)
        weight = _weight(encoder.out_channels, seed)
        lengths = [
            float(
                _plain(arrow(features_of(encoder, drawings(kind, "test"), 0.0), weight, k)).norm(dim=1).mean()
            )
            for kind in ("C1", "C2")
        ]
        for line, length in zip(rows.values(), lengths, strict=True):
            line[f"{name}, type {k}"] = length / lengths[0]
    words = dict.fromkeys(rows["letters"], "{:.0e}".format)
    return Table(rows, "Mean length of the arrow, as a part of that of letters without a symmetry", words)


def _headed(kind: str, symmetry: int, k: int, arrow: Callable | None, seed: int) -> Pretrainer:
    """A training of the SO(2) network: letters of a kind, labels modulo 360/symmetry, an arrow of type k."""
    encoder = new_encoder("SO(2)", seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = OwnHead(encoder, k, arrow) if arrow else AngleHead(encoder.group, encoder.out_channels, k)
    model = AngleModel(encoder, OwnTask(symmetry=symmetry), head)
    return training(model, drawings(kind, "train"), seed, EPOCHS)


@typed
def train_arrows(arrow: Callable, seed: int) -> LiveTraining:
    """Train an SO(2) network with arrows: of type 1 on letters, of type 1 and of type 2 on symmetric letters.

    Arguments:
        arrow: yours; as long as ``check("09.arrow", arrow)`` does not accept it, the library's.
        seed: of the weights, of the order of the letters and of the angles.
    """
    arrow = arrow if check("09.arrow", arrow) else None
    runs = {name: _headed(*given, arrow, seed) for name, given in ARROWS.items()}
    return LiveTraining(runs, "By which angle was the letter turned? Answered by an arrow")


@typed
def losses(live: LiveTraining) -> dict[str, list[float]]:
    """Wait for a training; then the losses of each run in nats against uniform, as they were read."""
    live.wait()
    return {name: [record["loss"] for record in run.history] for name, run in live.runs.items()}


@typed
@torch.no_grad()
def faded_lengths(live: LiveTraining, seed: int) -> dict[str, float]:
    """The longest arrow at 100 % of ``fade``, as a part of the mean length at 0 %: of a trained and a new network."""
    models = {"trained": judges(live)["letters, type 1"]}
    models["untrained"] = _headed("C1", 1, 1, None, seed).model.cpu().double().eval()
    images, found = drawings("C1", "test").double(), {}
    for name, model in models.items():
        ends = [torch.cat([_faded(x, share) for x in images]) for share in (0, 100)]
        whole, gone = (model.head(model.encoder(on_disc(x))).norm(dim=1) for x in ends)
        found[name] = float(gone.max() / whole.mean())
    return found


@typed
@torch.no_grad()
def fade(live: LiveTraining) -> ByHand:
    """A letter that fades into the mean of itself and its half turn, with the arrow that the trained network draws.

    Beside it the density of angles that the arrow means, against uniform.
    """
    model, letters = judges(live)["letters, type 1"], drawings("C1", "test")[SHOWN].double()

    @torch.no_grad()
    def draw(share: int, letter: str) -> str:
        x, first = _faded(letters["GRh".index(letter)], share), _faded(letters["GRh".index(letter)], 0)
        o, whole = (model.head(model.encoder(on_disc(each)))[0] for each in (x, first))
        length, angles = float(o.norm()), torch.arange(120, dtype=torch.float64) * 3
        density = (-von_mises_loss(o.expand(120, 2), angles)).exp()
        ring = {f'stroke="{VECTOR}" stroke-width="0.05"': ((density - 1) / 5).clamp(-1, 1.2).tolist()}
        text = f"The arrow is {length:.3g} long: at its peak the density is {float(density.max()):.3g} times uniform."
        seen = arrows_on(on_disc(x)[0, 0], [(0.9 * o / whole.norm(), VECTOR)], f"{share} % of the way")
        return row([seen, circle(ring, [], "density of the angle")], text)

    return ByHand(draw, share=range(0, 101, 5), letter=["R", "G", "h"])


def _faded(letter: Tensor, share: int) -> Tensor:
    """(1, S, S) -> (1, 1, S, S): so many percent on the way to the mean of the letter and its half turn."""
    return torch.lerp(letter, (letter + letter.rot90(2, (-2, -1))) / 2, share / 100)[None]


# 9.4 The wrong sense


@typed
def train_types(seed: int) -> LiveTraining:
    """The same training on letters with arrows that turn otherwise: of the types -1, 0 and 2."""
    runs = {f"type {k}": _headed("C1", 1, k, None, seed) for k in (-1, 0, 2)}
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
