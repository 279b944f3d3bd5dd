"""Notebooks 00 and 00b: a digit turned by hand, heads and losses trained live, and what was learned."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from html import escape
from types import MappingProxyType

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eqssl_edu.contrastive import ContrastiveModel, InfoNCE, orbit_correlation
from eqssl_edu.contrastive.features import unit
from eqssl_edu.contrastive.loss import Contrast
from eqssl_edu.data import digits
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.errors import typed
from eqssl_edu.evaluation import extract, linear_probe, orientations, proportion_interval, recalibrated
from eqssl_edu.exercises import check
from eqssl_edu.groups import cyclic
from eqssl_edu.layers import GSetHead, InvariantHead
from eqssl_edu.plots import picture, row
from eqssl_edu.pretext import PretextModel, RotationTask
from eqssl_edu.shapes import Features, Image
from eqssl_edu.training import Pretrainer
from eqssl_edu.views import RandomView
from eqssl_edu.widgets import ByHand, FieldExplorer, LiveTraining, OrbitCorrelationExplorer

__all__ = [
    "Similarity",
    "Table",
    "compare_heads",
    "find_partners",
    "new_network",
    "train_heads",
    "train_losses",
    "turn_by_hand",
    "turn_features",
    "turn_two_views",
    "what_was_learned",
]

C4 = cyclic(4)
CHANNELS = (8, 16, 32)  # of every network of the tour
SEVEN = 11  # a test image: a 7 has edges in many directions
DRAWN = 8  # channels of the features that are drawn
LEARNED = ("partners found", "a turn changes features by", "linear probe, upright", "linear probe, worst")

Rows = dict[str, dict[str, float]]
Similarity = Callable[[Tensor], Tensor]
"""kappa (B, B', |G|) -> one number for each pair (B, B')."""

SIMILARITIES: dict[str, Similarity] = {
    "plain": lambda kappa: kappa[:, :, 0],
    "mean": lambda kappa: kappa.mean(dim=2),
    "max": lambda kappa: kappa.amax(dim=2),
}


class Table(dict[str, dict[str, float]]):
    """Numbers, row -> column -> number, that a notebook shows as a table in words.

    Arguments:
        rows: the numbers; every row has the same columns, and where there is no number it has NaN.
        caption: what the table tells, and of how many runs.
        words: for columns that are no plain percentages, how a number is said.
    """

    def __init__(
        self, rows: Rows, caption: str, words: Mapping[str, Callable[[float], str]] = MappingProxyType({})
    ):
        super().__init__(rows)
        self.caption, self.words = caption, words

    def _repr_html_(self) -> str:
        columns = next(iter(self.values()))
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
        body = "".join(
            f'<tr><th scope="row" style="text-align:left">{escape(name)}</th>'
            + "".join(f"<td>{escape(self._said(column, value))}</td>" for column, value in cells.items())
            + "</tr>"
            for name, cells in self.items()
        )
        said = f'<caption style="text-align:left;white-space:nowrap">{escape(self.caption)}</caption>'
        return f"<table>{said}<tr><td></td>{head}</tr>{body}</table>"

    def _said(self, column: str, value: float) -> str:
        return "" if math.isnan(value) else self.words.get(column, "{:.0%}".format)(value)


@typed
def new_network(seed: int) -> GroupCNN:
    """The tour's network, its weights drawn with this seed."""
    torch.manual_seed(seed)
    return GroupCNN(C4, in_channels=1, channels=CHANNELS)


# -- notebook 00 ---------------------------------------------------------------------------------------------------


@typed
def turn_by_hand(network: GroupCNN, cnn: GroupCNN) -> FieldExplorer:
    """A digit, the maps of a group network and those of a plain CNN."""
    return FieldExplorer(network, _seven(), compare=cnn, names=("C4 network", "plain CNN"))


@typed
def turn_features(network: GroupCNN) -> ByHand:
    """The features of a digit at each of the four orientations: a table whose columns are the elements of C4."""
    network, image = recalibrated(network, digits().train.images), digits().test.images[SEVEN]

    def draw(degrees: int) -> str:
        turned = C4.transform(image, degrees // 90)
        features = extract(network, torch.stack([image, turned]))[:, :DRAWN]
        features = features - features.mean(dim=2, keepdim=True)
        upright, moved = features / features.abs().amax(dim=2, keepdim=True)
        pictures = [
            picture(image[0], "x", side=120),
            picture(upright, "features of x", signed=True, side=120),
            picture(turned[0], f"x, turned by {degrees}°", side=120),
            picture(moved, f"features of x, turned by {degrees}°", signed=True, side=120),
        ]
        words = f"Rows: {DRAWN} of 32 channels. Columns: elements 0 to 3. Blue is below the mean of its row."
        return row(pictures, words)

    return ByHand(draw, degrees=(0, 90, 180, 270))


@typed
def train_heads(head: Callable[[int], nn.Module], seed: int) -> LiveTraining:
    """Train the rotation task with your head, and with the invariant one; both see the same turned digits.

    Arguments:
        head: channels -> a head (B, C, 4) -> (B, 4). The library's ``GSetHead``, which is the same function, takes
            its place unless ``check("00.head", head)`` accepts it.
        seed: of the weights, of the order of the images and of the turns.
    """
    task, own = RotationTask(C4), check("00.head", head).ok
    torch.manual_seed(seed)
    heads = {
        "your head" if own else "the library's head": head(32) if own else GSetHead(task.labels, 32),
        "invariant head": InvariantHead(task.labels, in_channels=32),
    }
    models = {name: PretextModel(new_network(seed), task, made) for name, made in heads.items()}
    runs = {name: _training(model, seed, epochs=8, batch_size=64) for name, model in models.items()}
    return LiveTraining(runs, title="Which way up is it?")


@typed
def compare_heads(live: LiveTraining) -> Table:
    """Wait for the training; then accuracy and loss of both heads on all 300 test digits in all four orientations."""
    live.wait()
    judged = {name: run.model.evaluate(digits().test.images) for name, run in live.runs.items()}
    rows = {name: {"accuracy": accuracy, "loss": loss} for name, (loss, accuracy) in judged.items()}
    words = {"accuracy": "{:.1%}".format, "loss": "{:.3f} nats".format}
    return Table(rows, "300 test digits, each in all four orientations; one training run", words)


# -- notebook 00b --------------------------------------------------------------------------------------------------


@typed
def turn_two_views(seed: int) -> OrbitCorrelationExplorer:
    """Eight digits, two views of each, encoded by an untrained network: turn the views, watch kappa and the losses."""
    network = recalibrated(new_network(seed), digits().train.images)
    return OrbitCorrelationExplorer(network, digits().test.images[:8])


@typed
def find_partners(similarity: Similarity, seed: int) -> Table:
    """How often the partner of a view is the most similar of 300, with a network that has learned nothing.

    The views are turned at random, and noisy.

    Arguments:
        similarity: yours; left out unless ``check("00.similarity", similarity)`` accepts it.
        seed: of the weights and of the views.
    """
    network = recalibrated(new_network(seed), digits().train.images)
    generator = torch.Generator().manual_seed(seed)
    views = RandomView(C4, scale=0, shift=0, contrast=0)
    z, w = (unit(extract(network, views(digits().test.images, generator))) for _ in range(2))
    kappa, partner = orbit_correlation(C4, z, w), torch.arange(len(z))
    rows = {
        name: {"partners found": float((chosen(kappa).argmax(dim=1) == partner).float().mean())}
        for name, chosen in _with_yours(similarity).items()
    }
    return Table(rows, "300 test digits, turned and noisy; no training. Guessing finds 0.3%")


class OwnInfoNCE(InfoNCE):
    """InfoNCE with a similarity of your own, all pairs at once."""

    def __init__(self, similarity: Similarity) -> None:
        super().__init__(C4)
        self.of_kappa = similarity

    def logits(self, z1: Features, z2: Features) -> tuple[Tensor, Tensor]:
        """As in ``InfoNCE``."""
        views = torch.cat([unit(z1), unit(z2)])
        similar = self.of_kappa(orbit_correlation(C4, views, views)) / self.temperature
        own = torch.eye(len(views), dtype=torch.bool, device=views.device)
        return similar.masked_fill(own, -math.inf), torch.arange(len(views), device=views.device).roll(
            len(z1)
        )

    def contrast(self, z1: Features, z2: Features) -> Contrast:
        """As in ``InfoNCE``."""
        logits, partner = self.logits(z1, z2)
        return Contrast(F.cross_entropy(logits, partner), (logits.argmax(dim=1) == partner).float().mean())


@typed
def train_losses(similarity: Similarity, seed: int) -> LiveTraining:
    """Train InfoNCE with "plain", with "max", and with your similarity if ``check("00.similarity", ...)`` accepts it.

    Arguments:
        similarity: yours.
        seed: of the weights, of the order of the images and of the views.
    """
    chosen = _with_yours(similarity)
    losses = {"max": InfoNCE(C4, "max"), "plain": InfoNCE(C4, "plain")}
    losses |= {name: OwnInfoNCE(own) for name, own in chosen.items() if name == "yours"}
    models = {
        name: ContrastiveModel(new_network(seed), loss, RandomView(C4)) for name, loss in losses.items()
    }
    runs = {name: _training(model, seed, epochs=10, batch_size=128) for name, model in models.items()}
    return LiveTraining(runs, title="Which view belongs to which?")


@typed
def what_was_learned(live: LiveTraining, seed: int) -> Table:
    """Wait for the training; then what each encoder can do, and what a network with random weights can.

    Columns: how often the partner of a view of a test digit is found among 599 views; how far a turn by 90 degrees
    moves the features (B, 32, |G|), relative to their size; the accuracy of a linear probe of the class on the
    features pooled over the group, for upright digits and in the worst of the four orientations.

    Arguments:
        live: what ``train_losses`` gave.
        seed: of the weights of the random networks, and of the views.
    """
    live.wait()
    data = digits()
    torch.manual_seed(seed)
    random_cnn = GroupCNN(cyclic(1), in_channels=1, channels=CHANNELS)
    trained = {f"trained with {name}": run.model.eval().cpu() for name, run in live.runs.items()}
    encoders = {
        "random plain CNN": recalibrated(random_cnn, data.train.images),
        "random group network": recalibrated(new_network(seed), data.train.images),
        **{name: model.encoder for name, model in trained.items()},
    }
    rows = {}
    for name, encoder in encoders.items():
        found = _partners(trained[name], seed) if name in trained else math.nan
        rows[name] = dict(zip(LEARNED, (found, _change(encoder), *_probed(encoder)), strict=True))
    caption = "300 test digits; of the probes the 95 % interval of so many digits. One training run each"
    return Table(rows, caption, dict.fromkeys(LEARNED[2:], _with_interval))


# -- what they share -----------------------------------------------------------------------------------------------


def _seven() -> Image:
    """A 7 on a black border, 32 x 32: no stroke touches the edge of the picture."""
    return F.pad(digits(size=24).test.images[SEVEN], [4, 4, 4, 4])


def _with_yours(similarity: Similarity) -> dict[str, Similarity]:
    """The tour's similarities, and the student's if it is right."""
    return SIMILARITIES | ({"yours": similarity} if check("00.similarity", similarity) else {})


def _training(model: nn.Module, seed: int, epochs: int, batch_size: int) -> Pretrainer:
    images = digits().train.images
    return Pretrainer(model, images, epochs=epochs, batch_size=batch_size, lr=1e-2, seed=seed)


def _partners(model: ContrastiveModel, seed: int) -> float:
    """How often the partner is the most similar of 599 views: one pair of views of each test digit."""
    generator, images = torch.Generator().manual_seed(seed), digits().test.images
    with torch.no_grad():
        logits, partner = model.loss.logits(*(model(model.views(images, generator)) for _ in range(2)))
    return float((logits.argmax(dim=1) == partner).float().mean())


def _change(encoder: nn.Module) -> float:
    """How much a turn by 90 degrees changes the features of the test digits, relative to their size."""
    images = digits().test.images
    upright = extract(encoder, images)
    return float((extract(encoder, C4.transform(images, 1)) - upright).norm() / upright.norm())


def _probed(encoder: nn.Module) -> tuple[float, float]:
    """Accuracy of a linear probe on pooled features: of upright test digits, and in the worst orientation."""
    data = digits()
    sets = (data.train.images, data.validation.images, *orientations(C4, data.test.images))
    train, validation, *tests = (extract(encoder, images).mean(dim=2) for images in sets)
    probe = linear_probe(train, data.train.labels, (validation, data.validation.labels))
    scores = [probe.score(test.numpy(), data.test.labels.numpy()) for test in tests]
    return scores[0], min(scores)


def _with_interval(accuracy: float) -> str:
    """With the interval that comes from having only 300 test digits."""
    _, low, high = proportion_interval(round(300 * accuracy), 300)
    return f"{accuracy:.1%} ({low:.0%} to {high:.0%})"
