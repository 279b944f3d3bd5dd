"""By which angle was the letter turned? And which two digits are one? Networks for four angles, eight, all, none."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.circle import CircleGroup, FreeAngleHead, NumberHead, angle_error, circle_peak
from eqssl_edu.contrastive import ContrastiveModel, InfoNCE, orbit_correlation, orbit_similarity
from eqssl_edu.contrastive.features import unit
from eqssl_edu.data import digits, glyph_atlas
from eqssl_edu.encoders import Encoder, GroupCNN, count_multiplications, count_parameters, matched_cnn
from eqssl_edu.evaluation import extract, recalibrated
from eqssl_edu.groups import cyclic
from eqssl_edu.pretext import AngleModel, AngleTask
from eqssl_edu.pretext.angle import on_disc
from eqssl_edu.rotate import rotate
from eqssl_edu.shapes import Images
from eqssl_edu.steerable import SteerableCNN
from eqssl_edu.training import Pretrainer
from eqssl_edu.views import RandomView
from experiments.figures import Intervals
from experiments.pages import alternative_text, write_page
from experiments.pretraining import seeded
from experiments.results import Results
from experiments.runs import Cell, Experiment, Settings

__all__ = ["EXPERIMENT"]

WITHIN = {"all angles": 180.0, "within 45 degrees": 45.0, "upright alone": 1e-3}
BUILT_IN = ("C4", "C8", "SO(2)")
CNNS = ("CNN, equal parameters", "CNN, equal compute", "CNN, 36 bins", "CNN, a number")
UNTRAINED = tuple(f"{name}, head alone" for name in (*BUILT_IN, "CNN, equal compute"))
SHOWN = dict.fromkeys(list(WITHIN)[1:], (*BUILT_IN, "CNN, equal parameters", "CNN, equal compute"))
CELLS = tuple(Cell("all angles", method) for method in (*BUILT_IN, *CNNS, *UNTRAINED))
CELLS += tuple(Cell(condition, method) for condition, methods in SHOWN.items() for method in methods)
CONTRAST = "two views, each turned by any angle"
# method -> network, similarity
LOSSES = {
    "CNN, plain": ("CNN, equal compute", "plain"),
    "SO(2), plain": ("SO(2)", "plain"),
    "C4, max": ("C4", "max"),
    "C8, max": ("C8", "max"),
    "SO(2), max": ("SO(2)", "max"),
    "SO(2), soft": ("SO(2)", "soft"),
}
CELLS += tuple(Cell(CONTRAST, method) for method in LOSSES)
CONTRAST_EPOCHS, CONTRAST_BATCH, CONTRAST_RATE = 10, 64, 0.01
ANGLES = tuple(7.5 * i for i in range(48))
NAMED = (0.0, 22.5, 45.0, 90.0, 180.0)
BATCH, BINS, SIDE = 28, 36, 20
# The best of 0.003, 0.01, 0.03, 0.1 and 0.3 by the mean error on other typefaces, all angles, seeds 100 and 101.
RATES = dict.fromkeys(BUILT_IN, 0.3) | dict.fromkeys(CNNS, 0.1) | {"CNN, a number": 0.01}
HEAD_RATE = 0.1  # of a head alone


def run(cell: Cell, seed: int, settings: Settings) -> dict:
    """One training, and the mean error of the test letters at each of ``ANGLES``, or what the views tell."""
    if cell.condition == CONTRAST:
        return contrast(cell.method, seed)
    images, test = (letters(part) for part in ("train", "test"))
    with seeded(seed):
        model = build(cell)
    if cell.method in UNTRAINED:
        model.encoder = recalibrated(model.encoder, images).requires_grad_(False)
    how = {
        "epochs": settings.epochs,
        "batch_size": BATCH,
        "lr": RATES.get(cell.method, HEAD_RATE),
        "seed": seed,
    }
    trainer = Pretrainer(model, images, **how)
    for _ in trainer.steps():
        pass
    curve = model.evaluate(test, ANGLES)
    flat = float(curve.max() - curve.min())
    return {
        "parameters": count_parameters(model),
        # An escnn layer makes its kernels once for all images.
        "multiplications": count_multiplications(model, test) // len(test),
        "seconds": round(trainer.seconds, 2),
        "loss": round(trainer.history[-1]["loss"], 5),
        "error": round(float(curve.mean()), 3),
        "range": round(flat, 3),
        "errors": [round(value, 3) for value in curve.tolist()],
        **{f"error_{angle:g}": round(float(curve[ANGLES.index(angle)]), 3) for angle in NAMED},
    }


def contrast(method: str, seed: int) -> dict:
    """One contrastive training on digits, and how well the two views of a test digit find each other.

    "retrieval": the other view is the most similar of all test digits'; "angle": degrees between the peak of the
    orbit correlation of the two and the angle that is between them, median.
    """
    name, kind = LOSSES[method]
    splits = digits(SIDE)
    with seeded(seed):
        encoder = encoder_of(name)
        model = ContrastiveModel(encoder, InfoNCE(encoder.group, kind), TurnedView())
    how = {"epochs": CONTRAST_EPOCHS, "batch_size": CONTRAST_BATCH, "lr": CONTRAST_RATE, "seed": seed}
    trainer = Pretrainer(model, splits.train.images, **how)
    for _ in trainer.steps():
        pass
    generator = torch.Generator().manual_seed(0)
    (one, a), (two, b) = (TurnedView().sample(splits.test.images, generator) for _ in range(2))
    z, w = (unit(extract(encoder, views).double()) for views in (one, two))
    found = orbit_similarity(encoder.group, z, w, kind).argmax(dim=1)
    numbers = {
        "parameters": count_parameters(encoder),
        "seconds": round(trainer.seconds, 2),
        "loss": round(trainer.history[-1]["loss"], 5),
        "retrieval": float((found == torch.arange(len(found))).double().mean()),
    }
    if kind == "plain":
        return numbers
    if isinstance(encoder.group, CircleGroup):
        peak = circle_peak(encoder.group, z, w).degrees.diagonal()
    else:
        best = orbit_correlation(encoder.group, z, w).diagonal().argmax(dim=0)  # of (group, image)
        peak = best * 360 / encoder.group.order
    return numbers | {"angle": round(float(angle_error(peak.double(), (a - b).double()).median()), 3)}


class TurnedView:
    """A view of each image, turned by an angle of its own, uniform over the circle, and cut to the disc."""

    def sample(self, images: Images, generator: torch.Generator) -> tuple[Images, Float[Tensor, " batch"]]:
        """The views, and the angle of each in degrees."""
        views = RandomView()(images, generator)
        degrees = 360 * torch.rand(len(images), generator=generator, device=generator.device)
        return on_disc(rotate(views, degrees.to(images))), degrees

    def __call__(self, images: Images, generator: torch.Generator) -> Images:
        return self.sample(images, generator)[0]


def letters(part: str) -> Float[Tensor, "letter 1 20 20"]:
    """G, P, Q, R, h, k in the typefaces of a part: none of them looks the same after a turn."""
    return F.avg_pool2d(glyph_atlas("C1", part, 40), 2).flatten(0, 1)[:, None]


def encoder_of(name: str) -> Encoder:
    """A network. The plain ones are matched to that of C4."""
    four = GroupCNN(cyclic(4), channels=(4, 8, 16))
    if name == "C4":
        return four
    if name in BUILT_IN:
        return SteerableCNN("SO(2)" if name == "SO(2)" else cyclic(8), channels=(3, 6, 12))
    return matched_cnn(four, by="parameters" if name.endswith("parameters") else "flops")


def build(cell: Cell) -> AngleModel:
    """A network and its head, for the angles of a condition."""
    task = AngleTask("SO2", within=WITHIN[cell.condition])
    encoder = encoder_of(cell.method.removesuffix(", head alone"))
    if encoder.group.order > 1:
        return AngleModel(encoder, task)
    width = encoder.out_channels
    heads = {"CNN, a number": NumberHead(width, order=1), "CNN, 36 bins": Bins(width)}
    return AngleModel(encoder, task, heads.get(cell.method) or FreeAngleHead(width, order=1))


class Bins(nn.Linear):
    """A classifier of 36 bins of ten degrees."""

    def __init__(self, width: int) -> None:
        super().__init__(width, BINS)

    def forward(self, features: Tensor) -> Float[Tensor, "batch bin"]:
        return super().forward(features.flatten(1))


def figure(results: Results) -> Intervals:
    """The mean error over all angles, and how far the curve is from flat."""
    panels = {
        condition: {cell.method: results.mean(cell, "error") for cell in CELLS if cell.condition == condition}
        for condition in WITHIN
    }
    shown = {name: {m: panels[name][m] for m in SHOWN["upright alone"]} for name in panels}
    return Intervals("By which angle was it turned?", shown, {}, "mean error over all angles, degrees")


def page(results: Results) -> str:
    """The whole page, from the raw runs alone."""
    pairs = [
        *((condition, method, "SO(2)") for condition in WITHIN for method in ("C4", "C8")),
        *((condition, "CNN, equal compute", "C4") for condition in WITHIN),
        *(("all angles", method, "CNN, equal compute") for method in CNNS if method != "CNN, equal compute"),
        *(("all angles", method.removesuffix(", head alone"), method) for method in UNTRAINED),
    ]
    differences = [
        (label, condition, a, b, results.difference(Cell(condition, a), Cell(condition, b), key))
        for key, label in {"error": "mean error", "range": "range of the curve"}.items()
        for condition, a, b in pairs
    ]
    reference = Cell(CONTRAST, "SO(2), max")
    for cell in (Cell(CONTRAST, method) for method in LOSSES if method != reference.method):
        d = results.difference(reference, cell, "retrieval")
        differences.append(("retrieval", CONTRAST, reference.method, cell.method, d))
    equal = [f"{label}, {c}: {a} and {b}" for label, c, a, b, d in differences if not d.excludes_zero]
    return write_page(
        "every_angle",
        results,
        cells=[cell for cell in CELLS if cell.condition != CONTRAST],
        contrast_epochs=CONTRAST_EPOCHS,
        losses=[Cell(CONTRAST, method) for method in LOSSES],
        named=NAMED,
        differences=differences,
        seen=alternative_text(figure(results).panels, lambda value: f"{value.mean:.1f} degrees"),
        equal=equal,
    )


EXPERIMENT = Experiment("every-angle", ("letters",), 100, CELLS, run, page, figure, first_seed=10)
