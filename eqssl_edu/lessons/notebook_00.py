"""Notebooks 00 and 00b: a digit turned by hand, heads and losses trained live, and what was learned."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from html import escape

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eqssl_edu.contrastive import ContrastiveModel, InfoNCE, orbit_correlation
from eqssl_edu.contrastive.features import unit
from eqssl_edu.contrastive.loss import Contrast
from eqssl_edu.data import digits
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.errors import typed
from eqssl_edu.evaluation import extract, linear_probe, orientations, recalibrated
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
FIRST_MAPS = "stages.2"  # behind the first convolution, its norm and its ReLU
DRAWN = 12  # channels of the features that are drawn
LEARNED = ("partners found", "a turn changes features by", "linear probe, upright", "linear probe, worst")

Similarity = Callable[[Tensor], Tensor]
"""kappa (B, B', |G|) -> one number for each pair (B, B')."""

SIMILARITIES: dict[str, Similarity] = {
    "plain": lambda kappa: kappa[:, :, 0],
    "mean": lambda kappa: kappa.mean(dim=2),
    "max": lambda kappa: kappa.amax(dim=2),
}


class Table(dict[str, dict[str, str]]):
    """Rows of cells in words, row -> column -> cell, that a notebook shows as a table.

    Arguments:
        rows: the cells; every row has the same columns.
        caption: what the table tells, and of how many runs.
        numbers: the same cells as numbers, for whoever goes on with them.
    """

    def __init__(
        self, rows: Mapping[str, dict[str, str]], caption: str, numbers: dict[str, dict[str, float]]
    ):
        super().__init__(rows)
        self.caption, self.numbers = caption, numbers

    def _repr_html_(self) -> str:
        columns = next(iter(self.values()))
        head = "".join(f'<th scope="col">{escape(name)}</th>' for name in columns)
        body = "".join(
            f'<tr><th scope="row" style="text-align:left">{escape(name)}</th>'
            + "".join(f"<td>{escape(cell)}</td>" for cell in cells.values())
            + "</tr>"
            for name, cells in self.items()
        )
        return f"<table><caption>{escape(self.caption)}</caption><tr><td></td>{head}</tr>{body}</table>"


@typed
def new_network(seed: int) -> GroupCNN:
    """The tour's network, its weights drawn with this seed."""
    torch.manual_seed(seed)
    return GroupCNN(C4, in_channels=1, channels=CHANNELS)


# -- notebook 00 ---------------------------------------------------------------------------------------------------


@typed
def turn_by_hand(network: GroupCNN, cnn: GroupCNN) -> FieldExplorer:
    """A digit, the maps of a group network and those of a plain CNN.

    It opens on the first maps behind a ReLU, on the channel whose maps differ most from element to element: there
    one sees at a glance that they move one place along the row.
    """
    explorer = FieldExplorer(network, _seven(), compare=cnn, names=("C4 network", "plain CNN"))
    with torch.no_grad():
        maps = network.eval().stages[:3](_seven()[None])[0]
    apart = (maps - maps.mean(dim=1, keepdim=True)).flatten(1).norm(dim=1)
    own = apart**3 / maps.flatten(1).norm(dim=1).clamp_min(1e-6) ** 2
    explorer.set_state(layer=FIRST_MAPS, channel=int(own.argmax()))
    return explorer


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
            picture(image[0], "x, upright"),
            picture(upright, f"f(x): {DRAWN} channels (rows), elements 0 to 3 (columns)", signed=True),
            picture(turned[0], f"x, turned by {degrees}°"),
            picture(moved, "f of the turned x", signed=True),
        ]
        return row(pictures, "Each row is shown without its mean: blue is below, orange above.")

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
    runs = {
        name: Pretrainer(
            PretextModel(new_network(seed), task, made),
            digits().train.images,
            epochs=8,
            batch_size=64,
            lr=1e-2,
            seed=seed,
        )
        for name, made in heads.items()
    }
    return LiveTraining(runs, title="Which way up is it?")


@typed
def compare_heads(live: LiveTraining) -> Table:
    """Wait for the training; then accuracy and loss of both heads on all 300 test digits in all four orientations."""
    live.wait()
    numbers = {}
    for name, run in live.runs.items():
        loss, accuracy = run.model.evaluate(digits().test.images)
        numbers[name] = {"accuracy": accuracy, "loss": loss}
    rows = {
        name: {"accuracy": f"{found['accuracy']:.1%}", "loss": f"{found['loss']:.3f} nats"}
        for name, found in numbers.items()
    }
    return Table(rows, "300 test digits, each in all four orientations; one training run", numbers)


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
    numbers = {
        name: {"partners found": float((chosen(kappa).argmax(dim=1) == partner).float().mean())}
        for name, chosen in _with_yours(similarity).items()
    }
    rows = {name: {"partners found": f"{found['partners found']:.1%}"} for name, found in numbers.items()}
    return Table(rows, "300 test digits, turned and noisy; no training. Guessing finds 0.3%", numbers)


class OwnInfoNCE(InfoNCE):
    """InfoNCE with a similarity of your own, all pairs at once."""

    def __init__(self, similarity: Similarity) -> None:
        super().__init__(C4)
        self.of_kappa = similarity

    def logits(self, z1: Features, z2: Features) -> tuple[Tensor, Tensor]:
        """As in ``InfoNCE``."""
        views = torch.cat([unit(z1), unit(z2)])
        similar = self.of_kappa(orbit_correlation(C4, views, views)) / self.temperature
        partner = torch.arange(len(views), device=views.device).roll(len(z1))
        return similar.masked_fill(
            torch.eye(len(views), dtype=torch.bool, device=views.device), -math.inf
        ), partner

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
    runs = {
        name: Pretrainer(
            ContrastiveModel(new_network(seed), loss, RandomView(C4)),
            digits().train.images,
            epochs=10,
            batch_size=128,
            lr=1e-2,
            seed=seed,
        )
        for name, loss in losses.items()
    }
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
    numbers = {}
    for name, encoder in encoders.items():
        found = _partners(trained[name], seed) if name in trained else math.nan
        upright, worst = _probed(encoder)
        numbers[name] = dict(zip(LEARNED, (found, _change(encoder), upright, worst), strict=True))
    rows = {
        name: {
            column: ""
            if math.isnan(value)
            else _with_interval(value)
            if "probe" in column
            else f"{value:.0%}"
            for column, value in cells.items()
        }
        for name, cells in numbers.items()
    }
    caption = "300 test digits; probes in %, with the 95 % interval of so many digits. One training run each"
    return Table(rows, caption, numbers)


# -- what they share -----------------------------------------------------------------------------------------------


def _seven() -> Image:
    """A 7 on a black border, 32 x 32: no stroke touches the edge of the picture."""
    return F.pad(digits(size=24).test.images[SEVEN], [4, 4, 4, 4])


def _with_yours(similarity: Similarity) -> dict[str, Similarity]:
    """The tour's similarities, and the student's if it is right."""
    return SIMILARITIES | ({"yours": similarity} if check("00.similarity", similarity) else {})


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
    """In percent, with the 95 % interval that comes from having only 300 test digits."""
    return f"{100 * accuracy:.1f} ± {196 * math.sqrt(accuracy * (1 - accuracy) / 300):.1f}"
