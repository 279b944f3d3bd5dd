"""Notebook 11: one question asked in six ways of frozen features, and maps of labels that dice have thrown."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from torch import Tensor, nn

from eqssl_edu.contrastive import ContrastiveModel, InfoNCE, orbit_similarity
from eqssl_edu.contrastive.features import unit
from eqssl_edu.data import digits
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.errors import typed
from eqssl_edu.evaluation import extract, linear_probe, orientations, recalibrated
from eqssl_edu.exercises import check
from eqssl_edu.groups import cyclic
from eqssl_edu.layers import GroupMLP
from eqssl_edu.lessons.campaign_runs import WAYS, card
from eqssl_edu.lessons.contrastive_letters import VIEWS
from eqssl_edu.lessons.notebook_00 import Table
from eqssl_edu.plots import COLOURS
from eqssl_edu.pretext import PretextModel, RotationTask
from eqssl_edu.shapes import Features
from eqssl_edu.training import Pretrainer
from eqssl_edu.widgets import ByHand, LiveTraining

__all__ = ["ask_in_every_way", "library_neighbours", "maps", "on_other_pictures", "train"]

C4 = cyclic(4)
SHARPNESS, NEIGHBOURS = 0.1, 30
Labels = Int64[Tensor, " count"]
Rows = Float[Tensor, "count feature"]
Vote = Callable[[Tensor, Tensor, int], Tensor]


# -- 11.1: six ways to ask ------------------------------------------------------------------------------------------


@typed
def train(seed: int, epochs: int = 8) -> LiveTraining:
    """Two trainings on 1,297 upright digits without their labels: rotation, and InfoNCE with the similarity "max"."""
    loss, projector = InfoNCE(C4, "max", 0.1), lambda: GroupMLP(C4, (32, 64, 32))
    makers = {
        "rotation": lambda: PretextModel(_new_encoder(seed), RotationTask(C4)),
        "InfoNCE max": lambda: ContrastiveModel(_new_encoder(seed), loss, VIEWS["upright"], projector()),
    }
    settings, every = {"epochs": epochs, "batch_size": 128, "lr": 1e-2, "seed": seed}, {}
    for name, make in makers.items():
        with torch.random.fork_rng(devices=[]):
            every[name] = Pretrainer(make(), digits(16).train.images, **settings)
    return LiveTraining(every, "Without a label: rotation, and two views")


def _new_encoder(seed: int) -> GroupCNN:
    torch.manual_seed(seed)
    return GroupCNN(C4, 1, (8, 16, 32))


def _encoders(live: LiveTraining, seed: int) -> dict[str, nn.Module]:
    """Before any training, and after each."""
    live.wait()
    with torch.random.fork_rng(devices=[]):
        untrained = recalibrated(_new_encoder(seed), digits(16).train.images[:1000])
    return {"untrained": untrained, **{name: run.model.encoder for name, run in live.runs.items()}}


@typed
def library_neighbours(
    similarity: Float[Tensor, "asked known"], labels: Labels, k: int
) -> Int64[Tensor, " asked"]:
    """The same as ``neighbours``."""
    closest, which = similarity.topk(k, dim=1)
    votes = ((closest - 1) / SHARPNESS).exp()  # as exp(s / 0.1), and never too large
    return torch.zeros(len(closest), 10).to(votes).scatter_add_(1, labels[which], votes).argmax(dim=1)


@typed
def ask_in_every_way(live: LiveTraining, neighbours: Vote, seed: int) -> Table:
    """Which digit is it? Frozen features of each network, asked in six ways, on test digits as they are and turned.

    Arguments:
        live: of ``train``.
        neighbours: yours; as long as the check does not accept it, the library's.
        seed: of the labels that a probe may see, and of the network that was not trained.
    """
    vote = neighbours if check("11.neighbours", neighbours) else library_neighbours
    rows: dict[str, dict[str, float]] = {WAYS[way]: {} for way in WAYS}
    for name, encoder in _encoders(live, seed).items():
        for way, shares in _asked(encoder, vote, seed):
            rows[WAYS[way]] |= {f"{name}, upright": shares[0], f"{name}, worst turn": min(shares)}
    return Table(rows, "Test digits that are read, of 300; one training")


def _asked(encoder: nn.Module, vote: Vote, seed: int) -> Iterator[tuple[str, list[float]]]:
    """For each way to ask: the share of right answers in each of the four orientations."""
    known, held, test = digits(16)[:3]
    z, z_held = (extract(encoder, part.images) for part in (known, held))
    turned = [extract(encoder, images) for images in orientations(C4, test.images)]

    def shares(answers: Iterator[Tensor]) -> list[float]:
        return [float((answer == test.labels).double().mean()) for answer in answers]

    def read(part: Features, pooled: bool) -> Rows:
        return part.mean(dim=2) if pooled else part.flatten(1)

    order = torch.randperm(len(z), generator=torch.Generator().manual_seed(seed))
    for way, share, pooled in (("linear_1", 1, True), ("linear_10", 10, True), ("linear_100", 100, True),
                               ("all_features", 100, False)):  # fmt: skip
        each = len(z) if share == 100 else len(z) * share // 1000  # of each of the ten digits
        rows = torch.cat([order[known.labels[order] == digit][:each] for digit in range(10)])
        probe = linear_probe(read(z, pooled)[rows], known.labels[rows], (read(z_held, pooled), held.labels))
        yield way, shares(torch.as_tensor(probe.predict(read(part, pooled).numpy())) for part in turned)

    def cosines(part: Features) -> Tensor:
        return F.normalize(part.mean(dim=2)) @ F.normalize(z.mean(dim=2)).T

    def best_turn(part: Features) -> Tensor:
        return orbit_similarity(C4, unit(part), unit(z), "max")

    for way, similarity in (("nearest", cosines), ("orbits", best_turn)):
        yield (
            way,
            shares(torch.as_tensor(vote(similarity(part), known.labels, NEIGHBOURS)) for part in turned),
        )


# -- 11.4: maps -----------------------------------------------------------------------------------------------------

COUNTS, SHOWN = (40, 80, 120, 200, 380), (3, 5, 8)


class _Map:
    """Linear discriminant analysis of the features of 3, 5 and 8, with true labels or others."""

    def __init__(self, encoder: nn.Module, seed: int) -> None:
        known, _, test = digits(16)[:3]
        draws, self.parts = torch.Generator().manual_seed(seed), []
        for part in (known, test):
            some = torch.isin(part.labels, torch.tensor(SHOWN))
            z = extract(encoder, part.images[some]).flatten(1).double()
            true = torch.searchsorted(torch.tensor(SHOWN), part.labels[some])
            self.parts.append((z, {"true": true, "dice": torch.randint(3, (len(z),), generator=draws)}))

    def drawn(self, labels: str, count: int) -> list[tuple[Tensor, Tensor, float]]:
        """(places (N, 2), labels, share that lies nearest to its own kind) of the pictures that made it, and others."""
        (z, said), (others, truth) = self.parts
        made = LinearDiscriminantAnalysis(solver="eigen", shrinkage=1e-3, n_components=2)
        made.fit(z[:count].numpy(), said[labels][:count].numpy())
        return [
            (torch.as_tensor(made.transform(rows.numpy())), own, float(made.score(rows.numpy(), own.numpy())))
            for rows, own in ((z[:count], said[labels][:count]), (others, truth[labels]))
        ]


@typed
def maps(live: LiveTraining, seed: int) -> ByHand:
    """Two numbers out of all 128 of a feature, chosen so that three labels lie apart: true ones, or thrown by dice.

    Arguments:
        live: of ``train``; the map is of the network that was not trained.
        seed: of that network, and of the dice.
    """
    of = _Map(_encoders(live, seed)["untrained"], seed)

    def draw(labels: str, pictures: int) -> str:
        (here, own, score), (there, truth, other) = of.drawn(labels, pictures)
        middle = (here.amax(dim=0) + here.amin(dim=0)) / 2
        scale = float((here - middle).abs().max())
        words = (f"{pictures} that made the map", score), (f"{len(there)} others", other)
        panels = [
            _panel((places - middle) / scale, kinds, f"{said}: {share:.0%} lie by their own label")
            for (places, kinds), (said, share) in zip(((here, own), (there, truth)), words, strict=True)
        ]
        names = SHOWN if labels == "true" else ("a 1", "a 2", "a 3")
        marks = ", ".join(f"{mark} {name}" for mark, name in zip("●■▲", names, strict=True))
        return card(f'{marks}<div style="display:flex;gap:16px">{"".join(panels)}</div>')

    return ByHand(draw, labels=["dice", "true"], pictures=COUNTS, start={"pictures": 80})


@typed
def on_other_pictures(shown: ByHand) -> tuple[float, float]:
    """The two shares that a map tells: of the pictures that made it, and of others."""
    words = shown.readout.split("% lie")[:2]
    return tuple(float(part.split()[-1]) / 100 for part in words)


def _panel(places: Float[Tensor, "count 2"], kinds: Labels, caption: str) -> str:
    shapes = (
        '<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5"', '<rect x="{a:.1f}" y="{b:.1f}" width="8" height="8"',
        '<path d="M{x:.1f} {b:.1f}l5 9h-10z"',
    )  # fmt: skip
    marks = []
    for (u, v), kind in zip(places.clamp(-1.05, 1.05).tolist(), kinds.tolist(), strict=True):
        x, y = 150 + 135 * u, 150 - 135 * v
        mark = shapes[kind].format(x=x, y=y, a=x - 4, b=y - 4)
        marks.append(f'{mark} fill="{COLOURS[kind]}" fill-opacity="0.7"/>')
    drawn = f'<svg aria-hidden="true" width="300" height="300" viewBox="0 0 300 300">{"".join(marks)}</svg>'
    return (
        '<figure style="margin:0;width:302px"><div style="border:1px solid #bbbbbb">'
        f'{drawn}</div><figcaption style="font-size:13px">{caption}</figcaption></figure>'
    )
