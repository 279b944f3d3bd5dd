"""One run of the campaign: a pretraining, and everything that is asked of its features."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from eqssl_edu.encoders import count_multiplications, count_parameters
from eqssl_edu.evaluation import extract, orientations, recalibrated
from eqssl_edu.pretext import PretextModel
from eqssl_edu.training import Pretrainer
from experiments.benchmark.claims import OutOfTime
from experiments.benchmark.images import CLASSES, Data, as_floats, load
from experiments.benchmark.models import C4, build, with_labels
from experiments.benchmark.plan import Run, Tier
from experiments.benchmark.probes import accuracy, logistic, nearest, orbit_nearest, projection
from experiments.benchmark.recorded import Recorded
from experiments.pretraining import seeded
from experiments.runs import machine

__all__ = ["SHARES", "judged", "one_run"]

SHARES = (1, 10, 100)  # per cent of the labels
# Images for the batch norms of an untrained network, and for a pretext task.
CALIBRATION, EVALUATED = 1000, 1000


def one_run(
    run: Run, tier: Tier, folder: Path, device: torch.device, recorded: bool, deadline: float
) -> dict:
    """The numbers of one run; the last checkpoint is judged.

    Arguments:
        folder: where the decoded images are kept, and what a training that is cut off goes on from.
        recorded: whether a step is one launch (on a GPU).
        deadline: when it passes in the middle of a training, ``OutOfTime`` is raised; the next call goes on from there.
    """
    data = load(run.data, tier, folder)
    with seeded(run.seed):
        model = build(run, tier, data.images.shape[1])
    encoder = model.encoder
    numbers = {
        "tier": tier.name,
        "settings": settings(tier),
        "machine": machine() if device.type == "cpu" else torch.cuda.get_device_name(device),
        "jpeg": data.jpeg,
        "parameters": count_parameters(encoder),
        "multiplications": count_multiplications(encoder, as_floats(data.images[:1])),
    }
    if run.method == "no training":
        encoder = recalibrated(encoder.to(device), as_floats(data.images[:CALIBRATION]))
    else:
        numbers |= trained(model, run, tier, data, folder, device, recorded, deadline)
    if isinstance(model, PretextModel):
        loss, share = model.evaluate(as_floats(data.test_images[:EVALUATED]))
        numbers |= {"pretext_loss": round(loss, 5), "pretext_accuracy": round(share, 5)}
    return numbers | judged(encoder, data, tier.dimension, run.seed, device)


def settings(tier: Tier) -> dict:
    """What tells this tier from others, as it stands in a file."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in tier._asdict().items()}


def trained(
    model: nn.Module,
    run: Run,
    tier: Tier,
    data: Data,
    folder: Path,
    device: torch.device,
    recorded: bool,
    deadline: float,
) -> dict:
    """One training in place. All arms of a seed see the same batches in the same order."""
    images = data.images
    if run.method == "supervised":  # what a probe holds back, it must not have learned by heart
        images = with_labels(images[: -data.held], data.labels[: -data.held])
    trainer = Pretrainer(
        Recorded(model) if recorded else model,
        images,  # bytes stay bytes on the device
        epochs=tier.epochs,
        batch_size=tier.batch,
        seed=run.seed,
        accelerator=device.type,
        channels_last=device.type == "cuda",
        folder=folder / tier.name / run.name,
        resume=True,
        **tier.training,
    )
    with closing(trainer.steps()) as steps:  # left in the middle, it keeps where it stands
        for _ in steps:
            if time.time() >= deadline and trainer.step < trainer.total_steps:
                raise OutOfTime
    last = trainer.history[-1]
    return {
        "steps": trainer.total_steps,
        "train_loss": round(last["loss"], 5),
        "train_accuracy": round(last["accuracy"], 5),
        "train_seconds": round(trainer.seconds, 2),
        "recorded": recorded,
    }


def judged(encoder: nn.Module, data: Data, dimension: int, seed: int, device: torch.device) -> dict:
    """Accuracies on test images as they are, and mean and worst over their four orientations.

    "linear_1", "linear_10", "linear_100": logistic regression on principal components of pooled features, with so many
    per cent of the labels, as many of each class; "all_features": on components of all features. "nearest": cosine
    neighbours of pooled features, and "orbits": of all features by the best turn, both with all labels.
    """
    reference = extract(encoder, as_floats(data.images)).to(device)
    turned = [
        extract(encoder, each).to(device) for each in orientations(C4, as_floats(data.test_images))
    ]  # one after the other on the device, since together they may be larger than the images
    labels, truth = data.labels.to(device), data.test_labels.to(device)
    cut = len(reference) - data.held
    order = in_turn(data.labels[:cut], seed).to(device)
    found: dict[str, list[float]] = {}
    for kind, read in (("linear", pooled), ("all_features", flat)):
        project = projection(read(reference), dimension)
        known, asked = project(read(reference)), [project(read(each)) for each in turned]
        validation = known[cut:], labels[cut:]
        for share in SHARES if kind == "linear" else SHARES[-1:]:
            rows = order[: max(CLASSES, cut * share // 100)]
            probe = logistic(known[rows], labels[rows], validation)
            name = f"{kind}_{share}" if kind == "linear" else kind
            found[name] = [accuracy(probe, each, truth) for each in asked]

    def share_right(answers: Tensor) -> float:
        return float((answers == truth).double().mean())

    found["nearest"] = [share_right(nearest(pooled(reference), labels, pooled(each))) for each in turned]
    if encoder.group.order == 1:  # one turn, and nothing to pool: the same
        found["orbits"] = found["nearest"]
    else:
        answers = (orbit_nearest(encoder.group, reference, labels, each) for each in turned)
        found["orbits"] = [share_right(each) for each in answers]
    return {
        f"{name}_{which}": round(score, 5)
        for name, scores in found.items()
        for which, score in (("upright", scores[0]), ("mean", sum(scores) / 4), ("worst", min(scores)))
    }


def in_turn(labels: Int64[Tensor, " count"], seed: int) -> Int64[Tensor, " count"]:
    """All rows in a random order, the classes taking turns: the first of them hold as many of each class as can be."""
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))
    before = F.one_hot(labels[order], CLASSES).cumsum(dim=0)  # how many of each class have come so far
    return order[before.gather(1, labels[order][:, None]).flatten().argsort(stable=True)]


def pooled(features: Float[Tensor, "count channel group"]) -> Float[Tensor, "count channel"]:
    """What no turn of the image changes."""
    return features.mean(dim=2)


def flat(features: Float[Tensor, "count channel group"]) -> Float[Tensor, "count feature"]:
    """What knows the orientation."""
    return features.flatten(1)
