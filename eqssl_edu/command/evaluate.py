"""Probes of a run's encoder, beside the same network untrained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from eqssl_edu.command.pictures import splits_of
from eqssl_edu.command.runs import open_run
from eqssl_edu.data import Splits
from eqssl_edu.evaluation import extract, knn_probe, orientations, probe_orientations, recalibrated
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral
from eqssl_edu.training.run_files import put

__all__ = ["evaluate"]

ORIENTATIONS = ("upright", "mean", "worst")


def evaluate(run: str, data: str | None = None, limit: int | None = None, seed: int = 1000) -> None:
    """What a run's encoder has learned: probes, trained on images as they are, tested in every orientation.

    Both probes read features that are pooled over the group; the linear one is chosen on the validation images.

    Arguments:
        run: folder of the run.
        data: images with labels; by default those of the run. They get the size of the run's images.
        limit: at most so many training images for the probes.
        seed: of the weights of the untrained network beside it.
    """
    trained, settings, step = opened = open_run(run)
    channels, *sides = opened.image
    if sides[0] != sides[1]:
        raise ValueError(
            f"run must be of square images, which have orientations, got {sides[0]} x {sides[1]}"
        )
    data = data or settings["data"]
    splits = splits_of(data, sides[0], limit)
    for part, images in splits._asdict().items():
        if images.labels is None:
            raise ValueError(f"data must have labels, {data} has none in its part {part}")
        if images.images.shape[1] != channels:
            found = f"{data} has {images.images.shape[1]}"
            raise ValueError(f"data must have {channels} channels as the run's images have, {found}")
    group = (dihedral if trained.group.reflections else cyclic)(4)
    networks = {"trained": trained, "untrained": recalibrated(opened.untrained(seed), splits.train.images)}
    found = {name: probed(network, splits, group) for name, network in networks.items()}
    counts = {part: len(images.images) for part, images in splits._asdict().items()}
    about = {"run": run, "step": step, "data": data, "images": counts, "orientations": group.name}
    put(Path(run), "evaluation.json", json.dumps({**about, **found}, indent=1).encode())
    print(in_a_table(about, found))
    print(f"written to {Path(run) / 'evaluation.json'}")


def probed(encoder: nn.Module, splits: Splits, group: FiniteGroup) -> dict[str, dict[str, float]]:
    """Accuracies of both probes, upright, and mean and worst over all orientations."""
    dimension = min(encoder.out_channels, len(splits.train.images))
    linear = probe_orientations(encoder, splits, group, dimension)

    def pooled(images: Tensor) -> Tensor:
        return extract(encoder, images).mean(dim=2)

    probe = knn_probe(pooled(splits.train.images), splits.train.labels, min(10, len(splits.train.images)))
    labels = splits.test.labels.numpy()
    scores = [
        float(probe.score(pooled(turned).numpy(), labels))
        for turned in orientations(group, splits.test.images)
    ]
    nearest = scores[0], sum(scores) / len(scores), min(scores)
    return {
        "linear": dict(zip(ORIENTATIONS, map(float, linear), strict=True)),
        "knn": dict(zip(ORIENTATIONS, nearest, strict=True)),
    }


def in_a_table(about: dict[str, Any], found: dict[str, dict[str, dict[str, float]]]) -> str:
    """The accuracies, a row a network."""
    lines = [
        f"Accuracy on {about['images']['test']} test images of {about['data']}, {about['orientations']} orientations",
        f"{'':12}"
        + "".join(f"{kind + ' ' + each:>17}" for kind in ("linear", "kNN") for each in ORIENTATIONS),
    ]
    for name, scores in found.items():
        row = "".join(f"{scores[kind][each]:17.3f}" for kind in ("linear", "knn") for each in ORIENTATIONS)
        lines.append(f"{name:12}{row}")
    return "\n".join(lines)
