"""Which action on jigsaw labels? Conjugation, left, trivial and a plain CNN, on upright and on turned images."""

from __future__ import annotations

from eqssl_edu.data import Splits
from eqssl_edu.encoders import GroupCNN, count_parameters, matched_cnn
from eqssl_edu.evaluation import recalibrated
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import FreeHead
from eqssl_edu.pretext import JigsawTask, PretextModel
from eqssl_edu.theory import inconsistency_floor
from experiments.figures import Curves
from experiments.pages import alternative_text, write_page
from experiments.pretraining import CHANNELS, GROUP, TurnedData, load, pretrain, probed, seeded
from experiments.results import Results
from experiments.runs import Cell, Experiment, Settings

__all__ = ["EXPERIMENT"]

METHODS = ("conjugation", "left", "trivial", "plain CNN")
CONDITIONS = ("upright", "turned")
CELLS = tuple(Cell(condition, method) for condition in CONDITIONS for method in (*METHODS, "random"))


def run(cell: Cell, seed: int, settings: Settings) -> dict:
    """One pretraining and its probe; "random" is the encoder before any training."""
    splits = load(settings.data)
    with seeded(seed):
        model = build(cell.method)
    numbers = {"parameters": count_parameters(model)}
    if cell.method == "random":
        encoder = recalibrated(model.encoder, splits.train.images[:1000])
    else:
        trained = TurnedData(model, GROUP) if cell.condition == "turned" else model
        numbers |= pretrain(trained, splits.train.images, settings.epochs, seed)
        loss, accuracy = judge(model, splits, cell.condition == "turned")
        numbers |= {"loss": round(loss, 5), "accuracy": round(accuracy, 5)}
        encoder = model.encoder
    return numbers | probed(encoder, splits)


def build(method: str) -> PretextModel:
    """The C4 network with an action, or the CNN with as many parameters and a free head."""
    action = method if method in METHODS[:3] else "conjugation"
    # A gap of one pixel and a jitter: lines that go on across an edge must not give the order away.
    task = JigsawTask(GROUP, grid=2, action=action, gap=1, jitter=1)
    encoder = GroupCNN(GROUP, 1, CHANNELS)
    if method != "plain CNN":
        return PretextModel(encoder, task)
    plain = matched_cnn(encoder)
    return PretextModel(plain, task, FreeHead(task.labels, plain.out_channels, 1))


def judge(model: PretextModel, splits: Splits, turned: bool) -> tuple[float, float]:
    """Test loss in nats and accuracy on the truth: which permutation was applied to the image that is there."""
    elements = GROUP.elements if turned else [0]
    pairs = [model.evaluate(GROUP.transform(splits.test.images, g), turned=False) for g in elements]
    loss, accuracy = (sum(column) / len(pairs) for column in zip(*pairs, strict=True))
    return loss, accuracy


def floor(cell: Cell, oriented: bool) -> tuple[float, float]:
    """Smallest loss in nats and highest accuracy that a network of this kind can reach on such data."""
    if cell.method == "plain CNN":
        return 0.0, 1.0
    true, assumed = GSet.jigsaw(GROUP, 2, "conjugation"), GSet.jigsaw(GROUP, 2, cell.method)
    symmetry = tuple(GROUP.elements) if cell.condition == "turned" or not oriented else (0,)
    nats, accuracy = inconsistency_floor(true, assumed, symmetry)
    return float(nats), float(accuracy)


def figure(results: Results) -> Curves:
    """Training loss of each method under both conditions, with its floor."""
    return Curves(
        "Jigsaw 2 x 2 on C4: training loss and its floor",
        {c: {m: results.curve(Cell(c, m)) for m in METHODS} for c in CONDITIONS},
        {c: {m: floor(Cell(c, m), results.oriented)[0] for m in METHODS} for c in CONDITIONS},
        results.raw["settings"]["epochs"],
        "cross entropy (nats)",
    )


def page(results: Results) -> str:
    """The whole page, from the raw runs alone."""

    def differences(pairs: list[tuple[str, str]], key: str) -> list[tuple]:
        return [
            (c, m, "no training" if o == "random" else o, results.difference(Cell(c, m), Cell(c, o), key))
            for c in CONDITIONS
            for m, o in pairs
        ]

    pairs = [(method, "conjugation") for method in METHODS[1:]]
    pretext = differences([*pairs, ("left", "plain CNN"), ("trivial", "plain CNN")], "accuracy")
    probe = differences(pairs, "probe_upright") + differences(
        [(m, "random") for m in METHODS], "probe_upright"
    )
    equal = [
        f"{c}: {m} and {o} ({what})"
        for what, rows in {"pretext": pretext, "probe, upright": probe}.items()
        for c, m, o, difference in rows
        if not difference.excludes_zero
    ]
    return write_page(
        "jigsaw_actions",
        results,
        cells=CELLS,
        floors={cell: floor(cell, results.oriented) for cell in CELLS if cell.method != "random"},
        order={
            c: sorted(METHODS, key=lambda m: -results.mean(Cell(c, m), "accuracy").mean) for c in CONDITIONS
        },
        seen=alternative_text(figure(results).panels, lambda losses: f"{losses[-1]:.2f}"),
        pretext=pretext,
        probe=probe,
        equal=equal,
    )


EXPERIMENT = Experiment(
    "jigsaw-actions", ("digits", "glyphs", "mnist", "rotated-mnist"), 30, CELLS, run, page, figure
)
