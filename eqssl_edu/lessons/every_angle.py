"""Notebook 09b: the runs of many seeds that it shows as dots, one's own among them, and how each is made."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from eqssl_edu.circle import CircleGroup, angle_error, circle_peak
from eqssl_edu.contrastive import ContrastiveModel, InfoNCE, orbit_correlation
from eqssl_edu.errors import typed
from eqssl_edu.evaluation import extract
from eqssl_edu.lessons.contrastive_letters import ONE_WAY_UP, VIEWS, letters, make
from eqssl_edu.lessons.turned_letters import OwnTask, drawings, model_of, new_encoder, training
from eqssl_edu.pretext import AngleModel
from eqssl_edu.pretext.angle import on_disc
from eqssl_edu.rotate import rotate
from eqssl_edu.shapes import Images
from eqssl_edu.training import Pretrainer

__all__ = [
    "ASKED",
    "GROUPS",
    "SEEDS",
    "WAYS",
    "WEDGES",
    "angle_run",
    "judged",
    "make_runs",
    "one_curve",
    "pair_run",
    "runs",
    "shipped_curves",
    "shipped_pairs",
    "turned_views",
]

GROUPS = ("CNN", "C4", "C8", "SO(2)")
WEDGES = (0.01, 15.0, 30.0, 45.0)  # turns of the training letters: at most so many degrees
WAYS = (("SO(2)", "plain"), ("C4", "max"), ("C8", "max"), ("SO(2)", "max"))  # network, similarity
ASKED = tuple(7.5 * i for i in range(48))  # degrees
SEEDS = range(1, 9)  # of the shipped runs; 0 is the reader's own
EPOCHS = 40  # 120 steps
TABLE = Path(__file__).with_suffix(".json")


@typed
def angle_run(group: str, within: float, seed: int, epochs: int = EPOCHS) -> Pretrainer:
    """A training to tell by which angle a letter was turned, not yet begun: turns of at most ``within`` degrees."""
    model = model_of(group, OwnTask(within=within), seed)
    rate = 0.01 if group in ("CNN", "C4") else 0.03
    return training(model, drawings("C1", "train"), seed, epochs, rate)


@typed
def one_curve(model: AngleModel) -> list[float]:
    """The mean error over the test letters at each angle of ``ASKED``, in degrees."""
    return [round(float(error), 1) for error in model.evaluate(drawings("C1", "test"), ASKED)]


@typed
def one_run(group: str, within: float, seed: int) -> dict:
    """One training to its end, and its curve."""
    run = angle_run(group, within, seed)
    for _ in run.steps():
        pass
    return {"group": group, "within": within, "seed": seed, "curve": one_curve(run.model)}


# Views that are turned by any angle


@typed
def turned_views(images: Images, generator: torch.Generator | None) -> tuple[Images, Float[Tensor, " batch"]]:
    """A view of each image, turned by an angle of its own and cut to the disc; and the angles."""
    degrees = 360 * torch.rand(len(images), generator=generator, dtype=torch.float32)
    views = VIEWS["upright"](images, generator)
    return on_disc(rotate(views, degrees.to(views))), degrees


@typed
def pair_run(network: str, kind: str, seed: int) -> Pretrainer:
    """A training with InfoNCE over the network's group, not yet begun; two views by ``turned_views``."""
    encoder = new_encoder(network, seed)
    model = ContrastiveModel(
        encoder, InfoNCE(encoder.group, kind, 0.2), lambda images, draws: turned_views(images, draws)[0]
    )
    rate = 0.01 if network == "C4" else 0.03
    return Pretrainer(model, letters("train").images, epochs=12, batch_size=52, lr=rate, seed=seed)


@typed
def judged(model: ContrastiveModel, seed: int) -> dict[str, float]:
    """How often a view of a test letter finds its partner among 207; the median error of the angle between the two.

    The angle is where kappa is largest: of SO(2) over all angles, of C_n over n. Of letters that are not HINOSXZ.
    """
    draws, (images, labels), hits, errors = torch.Generator().manual_seed(seed), letters("test")[:2], [], []
    for _ in range(3):
        (x1, a), (x2, b) = (turned_views(images, draws) for _ in range(2))
        z1, z2 = extract(model, x1), extract(model, x2)
        logits, partner = model.loss.logits(z1, z2)
        hits.append((logits.argmax(dim=1) == partner).double().mean())
        group = model.encoder.group
        if isinstance(group, CircleGroup):
            degrees = circle_peak(group, z1, z2).degrees.diagonal()
        else:
            degrees = orbit_correlation(group, z1, z2).diagonal().T.argmax(dim=1) * (360 / group.order)
        errors.append(angle_error(degrees.to(a), (a - b) % 360)[ONE_WAY_UP[labels]])
    return {"partners": float(torch.stack(hits).mean()), "degrees": float(torch.cat(errors).median())}


@typed
def one_pair(network: str, kind: str, seed: int) -> dict:
    """One such training to its end, and what it can do."""
    run = pair_run(network, kind, seed)
    for _ in run.steps():
        pass
    return {"network": network, "kind": kind, "seed": seed, **judged(run.model, seed)}


def make_runs() -> None:
    """The runs of ``every_angle.json``; it may be stopped at any time and goes on where it was."""
    jobs = {}
    for seed in SEEDS:
        for within in WEDGES:
            for group in GROUPS:
                jobs[f"{group}, {within:g}, {seed}"] = lambda a=(group, within, seed): one_run(*a)
        for way in WAYS:
            jobs[f"{', '.join(way)}, {seed}"] = lambda a=(*way, seed): one_pair(*a)
    make(TABLE, jobs)


@cache
def runs() -> dict[str, dict]:
    """The shipped runs by name, as ``make_runs`` makes them."""
    return json.loads(TABLE.read_text(encoding="utf-8"))


@typed
def shipped_curves(group: str, within: float) -> Float64[Tensor, "seed angle"]:
    """The curves of all seeds: the mean error at each angle of ``ASKED``, in degrees."""
    curves = [
        run["curve"] for run in runs().values() if (run.get("group"), run.get("within")) == (group, within)
    ]
    return torch.tensor(curves, dtype=torch.float64)


@typed
def shipped_pairs(network: str, kind: str, measure: str) -> list[float]:
    """One number for each seed: "partners" or "degrees"."""
    return [
        run[measure] for run in runs().values() if (run.get("network"), run.get("kind")) == (network, kind)
    ]
