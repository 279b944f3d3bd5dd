"""Which action on jigsaw labels? Conjugation, left, trivial and a plain CNN, on upright and on turned images."""

from __future__ import annotations

from eqssl_edu.data import Splits
from eqssl_edu.encoders import GroupCNN, count_parameters, matched_cnn
from eqssl_edu.evaluation import probe_orientations, recalibrated
from eqssl_edu.groups import cyclic
from eqssl_edu.layers import FreeHead
from eqssl_edu.pretext import JigsawTask, PretextModel
from experiments.pretraining import TurnedData, load, pretrain, seeded
from experiments.runs import Cell, Settings

__all__ = ["CELLS", "CONDITIONS", "GROUP", "METHODS", "run"]

GROUP = cyclic(4)
METHODS = ("conjugation", "left", "trivial", "plain CNN")
CONDITIONS = ("upright", "turned")
CELLS = tuple(Cell(condition, method) for condition in CONDITIONS for method in (*METHODS, "random"))
CHANNELS, DIMENSION = (8, 16, 32), 32


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
        numbers |= pretrain(trained, splits.train.images, settings.epochs, seed, batch_size=64, lr=3e-3)
        loss, accuracy = judge(model, splits, cell.condition == "turned")
        numbers |= {"loss": round(loss, 5), "accuracy": round(accuracy, 5)}
        encoder = model.encoder
    scores = probe_orientations(encoder, splits, GROUP, DIMENSION)
    return numbers | {f"probe_{name}": round(score, 5) for name, score in scores._asdict().items()}


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
