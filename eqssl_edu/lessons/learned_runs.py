"""Trainings that ask for equivariance, on letters and digits, what they bought, and the runs of notebook 10."""

import json
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, nn

from eqssl_edu.contrastive import ContrastiveModel
from eqssl_edu.data import digits
from eqssl_edu.diagnostics import LearnedAction
from eqssl_edu.diagnostics.learned_action import action_alone
from eqssl_edu.errors import typed
from eqssl_edu.evaluation import extract, recalibrated
from eqssl_edu.groups import cyclic
from eqssl_edu.learned import RELATIVES, relative
from eqssl_edu.lessons.contrastive_letters import VIEWS, letters, make
from eqssl_edu.shapes import Images
from eqssl_edu.training import Pretrainer

__all__ = [
    "C4",
    "COUNTS",
    "KINDS",
    "asked",
    "found",
    "judged",
    "make_runs",
    "new_model",
    "one_run",
    "runs",
    "training",
]

C4 = cyclic(4)
KINDS = ("untrained", *RELATIVES)
CHANNELS = (8, 16, 32)
RATE, STEPS = 1e-2, {"letters": 84, "digits": 120}
COUNTS = (32, 1297)  # digits to learn from; the steps are as many
SEEDS = range(1, 21)  # of the shipped runs; 0 is the reader's own
TABLE = Path(__file__).with_suffix(".json")


@typed
def new_model(kind: str, seed: int) -> ContrastiveModel:
    """A new model, one of ``learned.RELATIVES``: 32 numbers in a feature, and views as those of notebook 8."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return relative(kind, C4, VIEWS["upright"], CHANNELS)


@typed
def training(model: ContrastiveModel, data: str, count: int, seed: int) -> Pretrainer:
    """The training on the first images of the "letters" or "digits", not yet begun; as many steps for every count."""
    images = (letters("train") if data == "letters" else digits(16).train).images[:count]
    batch = 52 if data == "letters" else 32
    epochs = STEPS[data] // (len(images) // batch)
    return Pretrainer(model, images, epochs=epochs, batch_size=batch, lr=RATE, seed=seed)


@typed
def asked(data: str) -> tuple[Tensor, Tensor]:
    """Images on which maps are fitted, and others on which they are tried; of digits none that a network has seen."""
    if data == "letters":
        return letters("train").images, letters("test").images
    return digits(16).validation.images, digits(16).test.images


@typed
def judged(encoder: nn.Module, data: str, seed: int) -> dict[str, float]:
    """What turns do to the features, in units of the energy that moves: the numbers of a run.

    "still" is the share of the energy that no turn moves; "error" the moving error on other images of the same kind,
    "of all" the same in units of all energy; "law" the mean defect of the group law; "four times" how far the fitted
    quarter turn, applied four times, leads away from where it began; "transfer" the error of the same maps on images of
    the other kind (letters, digits); "views" the error of maps that are fitted to augmented images, on others.
    """
    fitted, others = asked(data)
    elsewhere = asked("digits" if data == "letters" else "letters")[1]
    action, carried = action_alone(encoder, fitted, C4, {"own": others, "other": elsewhere}).values()
    draws = torch.Generator().manual_seed(seed)
    views = [VIEWS["upright"](images, draws) for images in (fitted, others)]
    (augmented,) = action_alone(encoder, views[0], C4, {"views": views[1]}).values()
    return {
        "still": action.plain.still,
        "error": action.plain.error,
        "of all": action.plain.error_of_all,
        "law": action.plain.law,
        "four times": four_times(action, encoder, others),
        "transfer": carried.plain.error,
        "views": augmented.plain.error,
    }


def four_times(action: LearnedAction, encoder: nn.Module, images: Images) -> float:
    """How far R^4 z is from z for the fitted quarter turn R, in units of the energy that moves."""
    orbit = torch.stack([extract(encoder, C4.transform(images, k)).flatten(1) for k in C4.elements], dim=1)
    z = w = orbit[:, 0].double()
    for _ in range(4):
        w = action.act(w, 1)
    moving = (orbit - orbit.mean(dim=1, keepdim=True)).double().square().sum(dim=2).mean()
    return float((w - z).square().sum(dim=1).mean() / moving)


@typed
def one_run(kind: str, data: str, count: int, seed: int) -> dict:
    """One training to its end, and what it bought; "untrained" is a plain network without any."""
    model = new_model("upright" if kind == "untrained" else kind, seed)
    if kind == "untrained":
        model = recalibrated(model, asked(data)[0])
    else:
        for _ in training(model, data, count, seed).steps():
            pass
    return {"kind": kind, "data": data, "count": count, "seed": seed, **judged(model.encoder, data, seed)}


def make_runs() -> None:
    """The runs of ``learned_runs.json``: each kind on letters, with 20 seeds, and on many and few digits, with 10."""
    jobs = {}
    for seed in SEEDS:
        for kind in KINDS:
            for data, counts in (("letters", (364,)), ("digits", COUNTS if seed <= 10 else ())):
                for count in counts if kind != "untrained" else counts[-1:]:
                    name = f"{kind}, {count} {data}, {seed}"
                    jobs[name] = lambda a=(kind, data, count, seed): one_run(*a)
    make(TABLE, jobs)


@cache
def runs() -> dict[str, dict]:
    """The shipped runs by name, as ``make_runs`` makes them."""
    return json.loads(TABLE.read_text(encoding="utf-8"))


@typed
def found(kind: str, measure: str, data: str = "letters", count: int = 364) -> list[float]:
    """One number for each seed; an untrained network has seen as many images as you like."""
    own = [run for run in runs().values() if run["kind"] == kind and run["data"] == data]
    return [run[measure] for run in own if kind == "untrained" or run["count"] == count]
