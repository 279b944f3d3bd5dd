"""Does symmetry pay? A C4 network against plain CNNs that read digits, over the number of training images."""

from __future__ import annotations

from eqssl_edu.encoders import count_multiplications, count_parameters
from eqssl_edu.lessons.reading_digits import COUNTS, NETWORKS, build, learn
from experiments.figures import Intervals
from experiments.pages import alternative_text, write_page
from experiments.pretraining import load, seeded
from experiments.results import Results
from experiments.runs import Cell, Experiment, Settings

__all__ = ["EXPERIMENT"]

TRAINED = ("upright", "turned")
CELLS = tuple(Cell(f"{how}, {n}", name) for how in TRAINED for n in COUNTS for name in NETWORKS)
MEASURES = {
    "upright": "accuracy, upright",
    "turned": "accuracy, four orientations",
    "swapped": "6 and 9 exchanged, upright",
    "others": "accuracy, the other eight, upright",
}


def run(cell: Cell, seed: int, settings: Settings) -> dict:
    """One training on so many images, upright or each turned anew at every step."""
    how, count = cell.condition.split(", ")
    splits = load(settings.data)
    with seeded(seed):
        network = build(cell.method)
    numbers = {
        "parameters": count_parameters(network),
        "multiplications": count_multiplications(network, splits.test.images[:1]),
    }
    return numbers | learn(network, splits, int(count), how == "turned", seed, settings.epochs)


def figure(results: Results) -> Intervals:
    """Accuracy at each number of images: upright and trained upright, turned and trained turned."""
    panels = {}
    for how in TRAINED:
        for count in COUNTS:
            cells = [Cell(f"{how}, {count}", name) for name in NETWORKS]
            panels[f"{how}, {count} images"] = {cell.method: results.mean(cell, how) for cell in cells}
    return Intervals("Reading digits", panels, {}, "accuracy")


def page(results: Results) -> str:
    """The whole page, from the raw runs alone."""
    between = [
        (
            condition,
            name,
            MEASURES[key],
            results.difference(Cell(condition, name), Cell(condition, NETWORKS[0]), key),
        )
        for condition in dict.fromkeys(cell.condition for cell in CELLS)
        for key in ("upright", "turned")
        for name in NETWORKS[1:]
    ]
    equal = [
        f"{condition}: {name} and {NETWORKS[0]}, {label}"
        for condition, name, label, d in between
        if not d.excludes_zero
    ]
    return write_page(
        "does_it_pay",
        results,
        cells=CELLS,
        names=NETWORKS,
        measures=MEASURES,
        between=between,
        equal=equal,
        seen=alternative_text(figure(results).panels, lambda value: f"{100 * value.mean:.1f} %"),
    )


EXPERIMENT = Experiment("does-it-pay", ("digits",), 5, CELLS, run, page, figure)
