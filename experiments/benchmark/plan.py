"""What there is to run, and in which order: a campaign that is cut off anywhere is still a balanced table."""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["CONTROL", "PREDICTED", "PREDICTION", "TIERS", "Run", "Tier", "arms", "ordered"]


class Run(NamedTuple):
    """One pretraining of one arm, and all that is asked of it afterwards."""

    data: str
    network: str
    method: str
    seed: int

    @property
    def name(self) -> str:
        """Of its file: "rotated-mnist_C4_jigsaw-left_0"."""
        return "_".join(re.sub(r"[^\w]+", "-", str(part)) for part in self)


class Tier(NamedTuple):
    """What all runs of a tier have in common."""

    name: str
    epochs: int
    seeds: int
    batch: int
    training: dict[str, object]  # further arguments of Pretrainer
    dimension: int  # of what a linear probe reads
    channels: tuple[int, ...]  # of a GroupCNN over C4; none: a GroupResNet
    width: int  # the expanded width of a GroupResNet's first stage, |G| times its channels
    networks: tuple[str, ...]
    data: tuple[str, ...] = ("rotated-mnist", "mnist", "cifar10")
    known: int | None = None  # images that are trained on and probed with; None: all of the training set
    judged: int | None = None  # test images
    published: bool = False  # whether its control is compared with published numbers


ADAMW = {"lr": 3e-3, "weight_decay": 0.01}
PUBLISHED = {"optimizer": "sgd", "lr": 0.06, "weight_decay": 5e-4}  # lightly's, for batches of 128
TIERS = {
    tier.name: tier
    for tier in (
        Tier("cpu", 10, 5, 128, ADAMW, 32, (8, 16, 32), 0, ("C4", "plain", "symmetrised"), known=10_000, judged=5_000),
        Tier("short", 30, 5, 512, ADAMW, 64, (), 64, ("C4", "plain", "symmetrised", "D4")),
        Tier(
            "long", 200, 3, 128, PUBLISHED, 64, (), 64, ("C4", "plain", "symmetrised", "D4"),
            published=True,
        ),
    )
}  # fmt: skip

METHODS = (
    "no training",
    "rotation",
    "jigsaw, conjugation",
    "jigsaw, left",
    "relative location",
    "InfoNCE plain, views not turned",
    "InfoNCE plain, views turned",
    "InfoNCE max",
    "InfoNCE soft",
    "supervised",
)
# What theory says of images without an upright orientation, written down before any run.
PREDICTION = ("rotated-mnist", "C4")
PREDICTED = {
    "rotation": "fails",
    "jigsaw, left": "fails",
    "jigsaw, conjugation": "works",
    "InfoNCE max": "works",
}
CONTROL = ("cifar10", "plain", "InfoNCE plain, views not turned")  # trained and judged as was published


def arms(tier: Tier) -> list[tuple[str, str, str]]:
    """(data, network, method) of a tier.

    With |G| = 1 every similarity is the plain one. The left action is asked for where theory speaks of it: on upright
    digits it is right, on turned ones it is wrong.
    """
    return [
        (data, network, method)
        for data in tier.data
        for method in METHODS
        for network in tier.networks
        if not (network == "plain" and method in ("InfoNCE max", "InfoNCE soft"))
        and (method != "jigsaw, left" or (network == "C4" and data != "cifar10"))
    ]


def ordered(tier: Tier) -> list[Run]:
    """First the prediction, with all seeds; then the control that was published; then seed after seed, all arms.

    On a CPU, where the end is far: one table after the other, whole, of one network on one set of images.
    """
    seeds, known = range(tier.seeds), set(arms(tier))
    predicted = [(*PREDICTION, method) for method in ("no training", *PREDICTED)]
    first = [*predicted, CONTROL] if tier.published else predicted
    runs = [Run(*arm, seed) for some in (first[:5], first[5:], arms(tier)) for seed in seeds for arm in some]
    if tier.channels:
        runs.sort(key=lambda run: (tier.networks.index(run.network), tier.data.index(run.data)))
    return [run for run in dict.fromkeys(runs) if run[:3] in known]
