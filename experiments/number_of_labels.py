"""What is pretraining good for? Accuracy over the number of labels, beside no pretraining and no training at all."""

from __future__ import annotations

from functools import lru_cache

from eqssl_edu.encoders import GroupCNN
from eqssl_edu.lessons.few_labels import BATCH, COUNTS, EPOCHS, METHODS, RATE, STEPS, learn, new_run
from experiments.figures import Intervals
from experiments.pages import alternative_text, write_page
from experiments.pretraining import load
from experiments.results import Results
from experiments.runs import Cell, Experiment, Settings

__all__ = ["EXPERIMENT"]

CELLS = tuple(Cell(f"{count} of each", method) for count in COUNTS for method in METHODS)
SHORT, LONG, TUNED, FROZEN, RANDOM = METHODS


@lru_cache(maxsize=1)
def pretrained(data: str, epochs: int, seed: int) -> tuple[GroupCNN, dict]:
    """The encoder of one seed after its pretraining, and how well it learned the task."""
    run = new_run(load(data).train.images, seed, epochs)
    for _ in run.steps():
        pass
    loss, accuracy = run.model.evaluate(load(data).test.images)
    return run.model.encoder, {"loss": round(loss, 5), "accuracy": round(accuracy, 5)}


def run(cell: Cell, seed: int, settings: Settings) -> dict:
    """One reader; all of a seed start from the same weights and know the same labelled pictures."""
    splits, numbers = load(settings.data), {}
    if cell.method.startswith("pretrained"):
        encoder, numbers = pretrained(settings.data, settings.epochs, seed)
    else:
        encoder = new_run(splits.train.images, seed, settings.epochs).model.encoder
    count = int(cell.condition.split()[0])
    return numbers | {"upright": round(learn(cell.method, encoder, splits, count, seed), 5)}


def figure(results: Results) -> Intervals:
    """Accuracy at each number of labels."""
    panels = {
        f"{count} labels of each class": {
            name: results.mean(Cell(f"{count} of each", name), "upright") for name in METHODS
        }
        for count in COUNTS
    }
    return Intervals("Reading letters with few labels", panels, {}, "accuracy")


def page(results: Results) -> str:
    """The whole page, from the raw runs alone."""
    pairs = [(TUNED, SHORT), (TUNED, LONG), (FROZEN, LONG), (FROZEN, RANDOM), (RANDOM, LONG)]
    between = [
        (
            f"{count} of each",
            name,
            other,
            results.difference(*(Cell(f"{count} of each", n) for n in (name, other)), "upright"),
        )
        for count in COUNTS
        for name, other in pairs
    ]
    return write_page(
        "number_of_labels",
        results,
        methods=METHODS,
        rows=[[Cell(f"{count} of each", method) for method in METHODS] for count in COUNTS],
        steps=STEPS[TUNED],
        batch=BATCH,
        rate=RATE,
        pretext=results.mean(Cell(f"{COUNTS[0]} of each", TUNED), "accuracy"),
        between=between,
        equal=[
            f"{condition}: {name} and {other}" for condition, name, other, d in between if not d.excludes_zero
        ],
        seen=alternative_text(figure(results).panels, lambda value: f"{100 * value.mean:.1f} %"),
    )


EXPERIMENT = Experiment("number-of-labels", ("glyphs",), EPOCHS, CELLS, run, page, figure)
