"""What a loss can buy: the linear action in features of learned networks, and of one that has the group built in."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn

from eqssl_edu.data import Splits, digits, glyphs
from eqssl_edu.diagnostics.action_table import LearnedAction
from eqssl_edu.diagnostics.learned_action import action_alone
from eqssl_edu.encoders import count_multiplications, count_parameters
from eqssl_edu.evaluation import extract, linear_probe, probe_orientations, recalibrated
from eqssl_edu.groups import cyclic
from eqssl_edu.learned import RELATIVES, relative
from eqssl_edu.training import Pretrainer
from eqssl_edu.views import RandomView
from experiments.figures import Intervals
from experiments.pages import alternative_text, write_page
from experiments.pretraining import seeded
from experiments.results import Results
from experiments.runs import Cell, Experiment, Settings

__all__ = ["EXPERIMENT"]

GROUP, CHANNELS, BATCH, RATE = cyclic(4), (16, 32, 64), 64, 3e-3
SMALL, EQUAL = (8, 16, 32), ", equal parameters"  # the others have as many multiplications as "built in"
DIMENSION = 16  # of what a probe reads: "built in" has no more, pooled over the group
ALL, FEW, CLEAN = "1,297 images", "32 images", "1,297 images, no changes"
UNTRAINED = ("untrained", "untrained, built in")
PAIRS = tuple((kind, kind + EQUAL) for kind in ("upright", "soft"))
CELLS = tuple(Cell(ALL, kind) for kind in (*UNTRAINED, *RELATIVES, *(small for _, small in PAIRS)))
CELLS += tuple(Cell(condition, kind) for condition in (FEW, CLEAN) for kind in ("soft", "built in"))
NO_CHANGES = RandomView(scale=0.0, shift=0.0, contrast=0.0, noise=0.0)
MEASURES = {
    "error": "moving error",
    "carried": "carried to letters",
    "law": "group law",
    "turn": "turn, linear probe",
    "probe_upright": "class, upright",
    "probe_worst": "class, worst orientation",
}
READ = ("turn", "probe_upright", "probe_worst")  # what probes read


def run(cell: Cell, seed: int, settings: Settings) -> dict:
    """One training (or none) of one length, and all that is measured of it."""
    splits, others = data()
    with seeded(seed):
        kind = "built in" if cell.method.endswith("built in") else cell.method.removesuffix(EQUAL)
        views = NO_CHANGES if cell.condition == CLEAN else RandomView()
        channels = SMALL if cell.method.endswith(EQUAL) else CHANNELS
        model = relative("upright" if kind == "untrained" else kind, GROUP, views, channels)
    numbers = {"parameters": count_parameters(model.encoder)}
    numbers["multiplications"] = count_multiplications(model.encoder, splits.test.images[:1])
    encoder = model.encoder
    if cell.method in UNTRAINED:
        encoder = recalibrated(encoder, splits.train.images[:1000])
    else:
        images = splits.train.images[: 32 if cell.condition == FEW else None]
        batch = min(BATCH, len(images))
        epochs = (
            settings.epochs * (len(splits.train.images) // BATCH) // (len(images) // batch)
        )  # as many steps
        trainer = Pretrainer(model, images, epochs=epochs, batch_size=batch, lr=RATE, seed=seed)
        for _ in trainer.steps():
            pass
        numbers |= {"steps": trainer.total_steps, "seconds": round(trainer.seconds, 2)}
    asked = {"digits": splits.test.images, "letters": others}
    action, carried = action_alone(encoder, splits.train.images[:1000], GROUP, asked).values()
    numbers |= measured(action) | {"carried": share(carried.plain.error)}
    numbers |= {"turn": round(turn_accuracy(encoder, splits), 5)}
    probe = probe_orientations(encoder, splits, GROUP, DIMENSION)
    return numbers | {f"probe_{key}": round(score, 5) for key, score in probe._asdict().items()}


@lru_cache(maxsize=1)
def data() -> tuple[Splits, Tensor]:
    """Digits, and 300 letters: images of another kind, of the same size."""
    return digits(16), glyphs(counts=(1, 1, 300), size=16, textured=False).test.images


def measured(action: LearnedAction) -> dict:
    """The numbers of the fitted maps."""
    plain, white = action.plain, action.whitened
    return {
        "still": round(plain.still, 5),
        "error": share(plain.error),
        "error_of_all": share(plain.error_of_all),
        "law": share(plain.law),
        "white_error": share(white.error),
        "white_law": share(white.law),
    }


def share(value: float | None) -> float:
    """Of features that do not move nothing is explained."""
    return 1.0 if value is None else float(f"{value:.5g}")


def turn_accuracy(encoder: nn.Module, splits: Splits) -> float:
    """With which accuracy a linear probe of all features tells the four turns of test images apart."""
    parts = (splits.train.images[:400], splits.validation.images, splits.test.images)
    known, held, asked = (turns(encoder, images) for images in parts)
    return float(linear_probe(*known, held).score(*map(np.asarray, asked)))


def turns(encoder: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """The features of all turns of these images, and which turn each of them had."""
    features = [extract(encoder, GROUP.transform(images, g)).flatten(1) for g in GROUP.elements]
    return torch.cat(features), torch.arange(GROUP.order).repeat_interleave(len(images))


def figure(results: Results) -> Intervals:
    """Errors of the maps, and what probes read."""
    panels = {
        name: {cell.method: results.mean(cell, key) for cell in CELLS if cell.condition == ALL}
        for key, name in (
            ("error", "moving error"),
            ("carried", "carried to letters"),
            ("turn", "turn, probe"),
        )
    }
    return Intervals("What a loss can buy", panels, {}, "share of what moves; accuracy")


def page(results: Results) -> str:
    """The whole page, from the raw runs alone."""
    plain, built = Cell(ALL, "untrained"), Cell(ALL, "built in")
    trained = [cell for cell in CELLS if cell.condition == ALL and cell.method in RELATIVES]
    pairs = [
        *((cell, plain) for cell in trained if cell != built),
        *((cell, built) for cell in trained if cell != built),
        (built, Cell(ALL, "untrained, built in")),
        *((Cell(ALL, small), Cell(ALL, kind)) for kind, small in PAIRS),
        *((Cell(ALL, small), built) for _, small in PAIRS),
        *((Cell(condition, "soft"), Cell(ALL, "soft")) for condition in (FEW, CLEAN)),
    ]
    differences = [
        (label, one, other, results.difference(one, other, key))
        for key, label in MEASURES.items()
        for one, other in pairs
        if key in READ or one != built  # two errors that are rounding do not compare
    ]
    equal = [
        f"{label}: {one.method} ({one.condition}) and {other.method} ({other.condition})"
        for label, one, other, d in differences
        if not d.excludes_zero
    ]
    return write_page(
        "learned_equivariance",
        results,
        cells=CELLS,
        differences=differences,
        seen=alternative_text(figure(results).panels, lambda value: f"{value.mean:.3f}"),
        equal=equal,
    )


EXPERIMENT = Experiment("learned-equivariance", ("digits",), 15, CELLS, run, page, figure, first_seed=10)
