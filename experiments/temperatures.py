"""Which temperature? Each similarity of the contrastive loss at five of them, judged on validation images alone."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from statistics import fmean

from torch import nn

from eqssl_edu.contrastive import ContrastiveModel, InfoNCE
from eqssl_edu.data import Splits
from eqssl_edu.encoders import GroupCNN, count_parameters
from eqssl_edu.evaluation import Interval, extract, orbit_knn_accuracy
from eqssl_edu.layers import GroupMLP
from eqssl_edu.views import RandomView
from experiments.figures import Intervals
from experiments.pages import alternative_text, write_page
from experiments.pretraining import CHANNELS, DIMENSION, GROUP, load, pretrain, probed, seeded
from experiments.results import Results
from experiments.runs import Cell, Experiment, Settings

__all__ = ["EXPERIMENT"]

ABSORBING = ("mean", "max", "soft", "power3")
TURNED, UPRIGHT, EITHER = "views turned", "views not turned", "views turned or not"
# A turn that comes last does nothing to a loss that absorbs it: one run stands for both kinds of views.
COMPARED = (Cell(TURNED, "plain"), Cell(UPRIGHT, "plain"), *(Cell(EITHER, method) for method in ABSORBING))
TEMPERATURES = (0.02, 0.05, 0.1, 0.2, 0.5)
CELLS = tuple(Cell(cell.condition, f"{cell.method}, {t:g}") for cell in COMPARED for t in TEMPERATURES)
MEASURES = {"probe_upright": "probe, pooled features", "orbit_knn": "nearest orbits"}
DATA = ("glyphs", "glyphs-pose", "glyphs-pose-even", "digits", "mnist", "rotated-mnist", "cifar10")
EPOCHS = 6
RAW = Path(__file__).parents[1] / "docs" / "results" / "raw"
# What a view changes is forgotten: ground, contrast and exact position, but not the letter.
CHANGES = {
    "scale": 0.15,
    "shift": 0.08,
    "rotation": 10.0,
    "texture": 0.4,
    "inversion": 0.5,
    "contrast": 0.3,
    "noise": 0.05,
}
# Two letters share the 16 pixels, light on an even ground: little texture, and no inversion.
CHANGES_OF_PAIRS = CHANGES | {"texture": 0.1, "inversion": 0.0}
# In a photograph the ground is part of the picture: other parts of it, and other colours.
CHANGES_OF_PHOTOGRAPHS = {
    "crop": 0.4,
    "shift": 0.08,
    "rotation": 10.0,
    "contrast": 0.4,
    "colour": 0.3,
    "noise": 0.05,
}


def changes(data: str) -> dict[str, float]:
    """How a view of such images may differ from another one, as arguments of ``RandomView``."""
    return {"cifar10": CHANGES_OF_PHOTOGRAPHS, "glyphs-pose-even": CHANGES_OF_PAIRS}.get(data, CHANGES)


def untrained(splits: Splits, seed: int) -> tuple[GroupCNN, GroupMLP]:
    """The encoder and the projector with which a seed begins."""
    with seeded(seed):
        encoder = GroupCNN(GROUP, splits.train.images.shape[1], CHANNELS)
        return encoder, GroupMLP(GROUP, (CHANNELS[-1], 64, DIMENSION))


def trained(cell: Cell, temperature: float, seed: int, settings: Settings) -> tuple[nn.Module, dict]:
    """The encoder after one pretraining, and the numbers of the training."""
    splits = load(settings.data)
    encoder, projector = untrained(splits, seed)
    views = RandomView(GROUP if cell.condition == TURNED else None, **changes(settings.data))
    model = ContrastiveModel(encoder, InfoNCE(GROUP, cell.method, temperature), views, projector)
    numbers = {"parameters": count_parameters(encoder), "temperature": temperature}
    return encoder, numbers | pretrain(model, splits.train.images, settings.epochs, seed)


def judged(encoder: nn.Module, splits: Splits) -> dict:
    """The accuracies of a linear probe of pooled features, and of the nearest orbits, on the test images."""
    reference = extract(encoder, splits.train.images[:3000]), splits.train.labels[:3000]
    queries = extract(encoder, splits.test.images), splits.test.labels
    nearest = orbit_knn_accuracy(GROUP, reference, queries)
    return probed(encoder, splits) | {"orbit_knn": round(nearest, 5)}


def run(cell: Cell, seed: int, settings: Settings) -> dict:
    """One pretraining at one temperature, judged on validation images as if they were the test images."""
    method, temperature = cell.method.split(", ")
    encoder, numbers = trained(Cell(cell.condition, method), float(temperature), seed, settings)
    splits = load(settings.data)
    return numbers | judged(encoder, splits._replace(test=splits.validation))


def judge_of(data: str) -> str:
    """The measure that chooses: a probe; nearest orbits where pooled features cannot tell (relative poses)."""
    return "orbit_knn" if data.startswith("glyphs-pose") else "probe_upright"


def accuracies(results: Results, key: str) -> dict[Cell, dict[float, Interval]]:
    """For each similarity the mean over the seeds at each temperature, from the lowest to the highest seed."""
    found = {
        (cell, t): results.of(Cell(cell.condition, f"{cell.method}, {t:g}"), key)
        for cell in COMPARED
        for t in TEMPERATURES
    }
    return {
        cell: {
            t: Interval(fmean(found[cell, t]), min(found[cell, t]), max(found[cell, t])) for t in TEMPERATURES
        }
        for cell in COMPARED
    }


def best(results: Results) -> dict[Cell, float]:
    """The temperature of each similarity with the highest mean."""
    of_each = accuracies(results, judge_of(results.data))
    return {cell: max(values, key=lambda t: values[t].mean) for cell, values in of_each.items()}


@lru_cache(maxsize=8)
def chosen(data: str) -> dict[Cell, float]:
    """The temperatures that the published runs of this experiment chose for these images."""
    name = EXPERIMENT.name if data == EXPERIMENT.data[0] else f"{EXPERIMENT.name}-{data}"
    path = RAW / f"{name}.json"
    if not path.exists():
        raise ValueError(
            f"temperatures for {data} are not chosen yet: python -m experiments temperature --data {data}"
        )
    return best(Results(json.loads(path.read_text(encoding="utf-8")), CELLS))


def figure(results: Results) -> Intervals:
    """A panel for each similarity, a row for each temperature."""
    of_each = accuracies(results, judge_of(results.data))
    panels = {
        cell.method if cell.condition == EITHER else f"{cell.method}, {cell.condition}": {
            f"{t:g}": value for t, value in values.items()
        }
        for cell, values in of_each.items()
    }
    label = f"{MEASURES[judge_of(results.data)]}, validation"
    return Intervals("InfoNCE by temperature", panels, {}, label)


def page(results: Results) -> str:
    """The whole page, from the raw runs alone."""
    return write_page(
        "temperatures",
        results,
        measures=MEASURES,
        judge=MEASURES[judge_of(results.data)],
        compared=COMPARED,
        temperatures=TEMPERATURES,
        found={label: accuracies(results, key) for key, label in MEASURES.items()},
        best=best(results),
        changes=changes(results.data),
        seen=alternative_text(figure(results).panels, lambda value: f"{100 * value.mean:.1f} %"),
    )


EXPERIMENT = Experiment("temperature", DATA, EPOCHS, CELLS, run, page, figure)
