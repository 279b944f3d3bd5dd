"""Which similarity in the contrastive loss? Five of them, each at its best temperature."""

from __future__ import annotations

from collections.abc import Iterator

from eqssl_edu.encoders import count_parameters
from eqssl_edu.evaluation import recalibrated
from experiments.figures import Intervals
from experiments.pages import alternative_text, write_page
from experiments.pretraining import load
from experiments.results import Results
from experiments.runs import Cell, Experiment, Settings
from experiments.temperatures import (
    ABSORBING,
    COMPARED,
    DATA,
    EITHER,
    EPOCHS,
    MEASURES,
    TURNED,
    UPRIGHT,
    changes,
    chosen,
    judge_of,
    judged,
    trained,
    untrained,
)

__all__ = ["EXPERIMENT"]

PLAIN_TURNED, PLAIN_UPRIGHT = Cell(TURNED, "plain"), Cell(UPRIGHT, "plain")
ABSORBED = tuple(Cell(EITHER, method) for method in ABSORBING)
UNTRAINED = Cell("no training", "random")
CELLS = (*COMPARED, UNTRAINED)
PAIRS = (
    (PLAIN_TURNED, PLAIN_UPRIGHT),
    *((cell, plain) for plain in (PLAIN_TURNED, PLAIN_UPRIGHT) for cell in ABSORBED),
    *((cell, Cell(EITHER, "mean")) for cell in ABSORBED[1:]),
)


def run(cell: Cell, seed: int, settings: Settings) -> dict:
    """One pretraining and its probes; "random" is the encoder before any training."""
    splits = load(settings.data)
    if cell == UNTRAINED:
        encoder, _ = untrained(splits, seed)
        encoder = recalibrated(encoder, splits.train.images[:1000])
        return {"parameters": count_parameters(encoder)} | judged(encoder, splits)
    encoder, numbers = trained(cell, chosen(settings.data)[cell], seed, settings)
    return numbers | judged(encoder, splits)


def figure(results: Results) -> Intervals:
    """Both measures of each similarity, and of no training as a dotted line."""
    panels = {
        label: {
            cell.method if cell.condition == EITHER else f"{cell.method}, {cell.condition}": results.mean(
                cell, key
            )
            for cell in COMPARED
        }
        for key, label in MEASURES.items()
    }
    marks = {
        label: dict.fromkeys(panels[label], results.mean(UNTRAINED, key).mean)
        for key, label in MEASURES.items()
    }
    return Intervals("InfoNCE by similarity", panels, marks, "accuracy (dotted: no training)")


def page(results: Results) -> str:
    """The whole page, from the raw runs alone."""
    compared = (*PAIRS, *((cell, UNTRAINED) for cell in COMPARED))
    between = [
        (label, cell, other, results.difference(cell, other, key))
        for key, label in MEASURES.items()
        for cell, other in compared
    ]
    return write_page(
        "contrastive_similarities",
        results,
        cells=CELLS,
        untrained=UNTRAINED,
        changes=changes(results.data),
        judge=MEASURES[judge_of(results.data)],
        between=between,
        short=list(in_short(results)),
        poses=results.data.startswith("glyphs-pose"),
        seen=alternative_text(figure(results).panels, lambda value: f"{100 * value.mean:.1f} %"),
        equal=[f"{m}: {name(c)} and {name(o)}" for m, c, o, d in between if not d.excludes_zero],
    )


def name(cell: Cell) -> str:
    """How a page calls it."""
    return cell.method if cell.condition == EITHER else f"{cell.method} ({cell.condition})"


def in_short(results: Results) -> Iterator[tuple[str, str, object]]:
    """What the measure that chose the temperatures says of turning plain's views, and of absorbing the turns."""
    key = judge_of(results.data)
    for cell, other in PAIRS[: 1 + len(ABSORBED)]:
        yield name(cell), name(other), results.difference(cell, other, key)


EXPERIMENT = Experiment("contrastive", DATA, EPOCHS, CELLS, run, page, figure, first_seed=10)
