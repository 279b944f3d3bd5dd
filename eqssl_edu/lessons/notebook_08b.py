"""Notebook 08b: losses without negatives, what keeps them from collapsing, and which number sees that they did."""

import json
from collections.abc import Callable, Mapping
from functools import cache
from math import nan
from pathlib import Path
from statistics import fmean

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.contrastive import ContrastiveModel, Loss, SimSiam, VICReg
from eqssl_edu.contrastive.features import unit
from eqssl_edu.contrastive.pairs import pair_similarity
from eqssl_edu.diagnostics import irrep_energy, orbit_spread, rank_me, spread
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.errors import typed
from eqssl_edu.evaluation import extract, recalibrated
from eqssl_edu.exercises import check
from eqssl_edu.layers import FlatMLP, GroupMLP
from eqssl_edu.lessons.contrastive_letters import (
    C4,
    VIEWS,
    letters,
    make,
    new_model,
    pairs_of_views,
    poses_read,
    probe,
    training,
)
from eqssl_edu.shapes import Features
from eqssl_edu.widgets import LiveTraining

__all__ = [
    "Siamese",
    "VarianceOf",
    "change_behind_heads",
    "collapses",
    "make_runs",
    "numbers",
    "show_variance_runs",
    "similarity",
    "train_siamese",
    "train_vicreg",
    "variance_runs",
    "variance_terms",
    "what_they_read",
]

EPOCHS = {"SimSiam": 24}  # of the others 12
PROJECTOR = 32


@typed
def similarity(p: Features, z: Features) -> Float[Tensor, " batch"]:
    """The largest cosine of each p with the turned copies of its z, (B,)."""
    return pair_similarity(C4, unit(p), unit(z), "max")


class Siamese(Loss):
    """A loss (predictor, stop, similarity, z1, z2) -> scalar, with its predictor."""

    def __init__(self, written: Callable[..., Tensor], predictor: nn.Module, stop: Callable) -> None:
        super().__init__(C4)
        self.written, self.predictor, self.stop = written, predictor, stop

    def forward(self, z1: Features, z2: Features) -> Float[Tensor, ""]:
        return self.written(self.predictor, self.stop, similarity, z1, z2)


def _library(predictor: nn.Module, stop: Callable, similarity: Callable, z1: Tensor, z2: Tensor) -> Tensor:
    return -(similarity(predictor(z1), stop(z2)) + similarity(predictor(z2), stop(z1))).mean() / 2


@typed
def train_siamese(siamese_loss: Callable, seed: int) -> LiveTraining:
    """Train SimSiam on turned views; then without one of its parts each time.

    Readouts, of *projector* features of turned test letters: the usual spread, and the spread in the metric of orbits.

    Arguments:
        siamese_loss: yours; as long as ``check("08.siamese_loss", siamese_loss)`` does not accept it, the library's.
        seed: of the weights, the batches and the views.
    """
    written = siamese_loss if check("08.siamese_loss", siamese_loss) else _library
    off = {
        "SimSiam": (),
        "no predictor": ("predictor",),
        "no stop-gradient": ("stop",),
        "no stop-gradient, no last norm": ("stop", "norm"),
    }
    runs = {}
    for name, parts in off.items():
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            encoder = GroupCNN(C4, channels=(6, 12, 24))
            projector = GroupMLP(C4, (24, 64, PROJECTOR), norm_output="norm" not in parts)
            predictor = (
                nn.Identity() if "predictor" in parts else GroupMLP(C4, (PROJECTOR, PROJECTOR, PROJECTOR))
            )
        loss = Siamese(written, predictor, (lambda z: z) if "stop" in parts else Tensor.detach)
        model = ContrastiveModel(encoder, loss, VIEWS["turned"], projector)
        runs[name] = training(model, seed, EPOCHS.get(name, 12))
    z = _reader(seed)
    return LiveTraining(
        runs,
        "SimSiam, whole and without its parts",
        lambda model: {"spread": spread(z(model)), "orbit spread": orbit_spread(C4, z(model))},
    )


@typed
def train_vicreg(variances: Callable, seed: int) -> LiveTraining:
    """Train VICReg on turned views: the library's, the same without covariance, and that with your variance.

    Readouts, of *projector* features of turned test letters: the usual spread, that of orbits, the share of the energy
    that is constant along the group, and RankMe.

    Arguments:
        variances: z (B, C, |G|) -> (C,); as long as ``check("08.variances", variances)`` does not accept it, the
            variance over the batch of the largest value.
        seed: of the weights, the batches and the views.
    """
    own = variances if check("08.variances", variances) else lambda z: z.amax(dim=2).var(dim=0)
    losses = {
        "whole": VICReg(C4),
        "no covariance": VICReg(C4, covariance=0.0),
        "no covariance, your variance": VarianceOf(own, covariance=0.0),
    }
    z = _reader(seed)

    def readouts(model: ContrastiveModel) -> dict[str, float]:
        features = z(model)
        energy = irrep_energy(C4, features)
        return {
            "spread": spread(features),
            "orbit spread": orbit_spread(C4, features),
            "trivial share of the energy": energy["trivial"] / sum(energy.values()),
            "RankMe": rank_me(features),
        }

    runs = {name: training(new_model(loss, "turned", seed), seed) for name, loss in losses.items()}
    return LiveTraining(runs, "VICReg, whole and without its covariance", readouts)


class VarianceOf(VICReg):
    """VICReg with other variances: z (B, C, |G|) -> (C,)."""

    def __init__(self, written: Callable[[Tensor], Tensor], **weights: float) -> None:
        super().__init__(C4, **weights)
        self.written = written

    def variances(self, z: Features) -> Float[Tensor, " channel"]:
        return self.written(z)


def _reader(seed: int) -> Callable[[ContrastiveModel], Features]:
    """A function from a model to its projector's features of turned views of the test letters, each twice."""
    images = letters("test").images.repeat(2, 1, 1, 1)
    views = VIEWS["turned"](images, torch.Generator().manual_seed(seed))
    return lambda model: extract(model, views)


@typed
def numbers(live: LiveTraining) -> dict[str, dict[str, float]]:
    """Wait for a training; then the loss and the readouts of each run at its end, printed."""
    live.wait()
    table = {}
    for name, run in live.runs.items():
        last = live.readings[name][-1] if live.readings[name] else {}
        table[name] = {"loss": run.history[-1]["loss"]} | {k: v for k, v in last.items() if k != "step"}
        print(f"{name:31}", "  ".join(f"{key} {value:.2f}" for key, value in table[name].items()))
    return table


@typed
def what_they_read(live: LiveTraining, seed: int) -> dict[str, float]:
    """The share of test letters that a probe reads from each *encoder*'s pooled features, and untrained; printed."""
    live.wait()
    fresh = new_model(SimSiam(C4), "turned", seed).encoder
    encoders = {"untrained": recalibrated(fresh, letters("train").images)}
    encoders |= {name: run.model.encoder for name, run in live.runs.items()}
    read = {name: probe(encoder, seed) for name, encoder in encoders.items()}
    for name, share in read.items():
        print(f"{name:31} reads {share:.1%} of the letters")
    return read


@typed
def change_behind_heads(change_under_turns: Callable, seed: int) -> dict[str, float]:
    """What your test says of SimSiam behind a ``GroupMLP`` and behind a ``FlatMLP``, on random features in float64."""
    z1, z2 = torch.randn(
        2, 16, PROJECTOR, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    found = {}
    for head in (GroupMLP, FlatMLP):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            loss = SimSiam(C4, "max", predictor=head(C4, (PROJECTOR, 8, PROJECTOR))).double()
        with torch.no_grad():
            change = change_under_turns(loss, C4, z1, z2, torch.Generator().manual_seed(seed))
        found[head.__name__] = nan if change is None else float(change)
        print(
            f"{head.__name__}: loss {float(loss(z1, z2).detach()):+.3f}; turns change it by {found[head.__name__]:.0e}"
        )
    return found


INVARIANTS = {  # name -> variances (C,) of features (B, C, |G|)
    "over batch and group": lambda z: z.var(dim=(0, 2)),
    "of the largest value": lambda z: z.amax(dim=2).var(dim=0),
    "of the sorted values": lambda z: z.sort(dim=2).values.var(dim=0).mean(dim=1),
}
TABLE = Path(__file__).with_name("variance_of_what.json")


def variance_run(name: str, seed: int) -> dict:
    """VICReg with its covariance and one of these variances, trained as ``train_vicreg`` does, to its end."""
    model = new_model(VarianceOf(INVARIANTS[name]), "turned", seed)
    for _ in training(model, seed).steps():
        pass
    energy = irrep_energy(C4, next(iter(pairs_of_views(model, seed)))[0])
    share = energy["trivial"] / sum(energy.values())
    read = {"probe": probe(model.encoder, seed), "poses": poses_read(model.encoder, seed)["nearest orbits"]}
    return {"variance": name, "seed": seed, "trivial energy": share, **read}


def make_runs() -> None:
    """The runs of ``variance_of_what.json``."""
    make(
        TABLE,
        {
            f"{name}, {seed}": lambda a=(name, seed): variance_run(*a)
            for seed in range(3)
            for name in INVARIANTS
        },
    )


@cache
def variance_runs() -> dict[str, list[dict]]:
    """The shipped runs of each variance, seed by seed."""
    runs = json.loads(TABLE.read_text(encoding="utf-8")).values()
    return {name: [run for run in runs if run["variance"] == name] for name in INVARIANTS}


@typed
def show_variance_runs() -> None:
    """Print the means of ``variance_runs``: letters and poses read from the encoder, the projector's trivial share."""
    for name, runs in variance_runs().items():
        read, poses, share = (fmean(run[key] for run in runs) for key in ("probe", "poses", "trivial energy"))
        print(f"{name:21} reads {read:.1%} of the letters, {poses:.1%} of the poses; trivial {share:.2f}")


@typed
def collapses(seed: int) -> dict[str, Features]:
    """200 features (8, 4) each: healthy ones; one table for all, in one pose; one table, each in its own pose."""
    draws = torch.Generator().manual_seed(seed)
    healthy, table = (2 * torch.randn(count, 8, 4, generator=draws) for count in (200, 1))
    poses = torch.randint(4, (200,), generator=draws)
    one_pose = table.expand(200, -1, -1)
    return {
        "healthy": healthy,
        "one table, one pose": one_pose,
        "one table, turned": C4.transform_features(one_pose, poses),
    }


@typed
def variance_terms(statistics: Mapping[str, Callable], seed: int) -> dict[str, dict[str, float]]:
    """VICReg's variance term, 0 (passes) to 1, of the ``collapses``, for each way to take variances; printed."""
    table = {}
    for name, features in collapses(seed).items():
        table[name] = {}
        for statistic, variances in statistics.items():
            found = variances(features)
            term = nan if found is None else float(torch.relu(1 - (found + 1e-4).clamp_min(0).sqrt()).mean())
            table[name][statistic] = term
        print(f"{name:20}", "  ".join(f"{statistic}: {term:.3f}" for statistic, term in table[name].items()))
    return table
