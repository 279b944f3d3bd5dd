"""A whole training step (two views, encoder, projector, loss, backward, slow copy, queue) with the invariant losses
other than InfoNCE, against the same step with its plain counterpart, paired in one run.

InfoNCE is in ``orbit_correlation.py``.

    python benchmarks/contrastive_step.py [--device cuda] [--rounds 15]
"""

from __future__ import annotations

import argparse
import statistics

import torch
from paired import median_interval, median_ratio, paired_seconds, write
from torch import Tensor

from eqssl_edu.contrastive import BYOL, BarlowTwins, ContrastiveModel, Loss, MoCo, SimSiam, VICReg
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral
from eqssl_edu.layers import GroupMLP
from eqssl_edu.views import RandomView

BATCH, SIDE = 128, 16


class Flattened(Loss):
    """A loss for vectors on flattened features: what one has without a group."""

    def __init__(self, group: FiniteGroup, loss: type[Loss]) -> None:
        super().__init__(group)
        self.loss = loss(cyclic(1))

    def forward(self, z1: Tensor, z2: Tensor) -> Tensor:
        return self.loss(*(z.flatten(1)[:, :, None] for z in (z1, z2)))


# name: (the invariant loss, its plain counterpart)
FAMILIES = {
    "MoCo, soft": (lambda group: MoCo(group, "soft"), lambda group: MoCo(group, "plain")),
    "SimSiam, max": (lambda group: SimSiam(group, "max"), lambda group: SimSiam(group, "plain")),
    "BYOL, max": (lambda group: BYOL(group, "max"), lambda group: BYOL(group, "plain")),
    "VICReg": (VICReg, lambda group: Flattened(group, VICReg)),
    "Barlow Twins": (BarlowTwins, lambda group: Flattened(group, BarlowTwins)),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    device = torch.device(options.device)
    rows, ratios = [], []
    for group in (cyclic(4), dihedral(4)):
        for family, losses in FAMILIES.items():
            invariant, plain = (step(group, loss(group), device) for loss in losses)
            seconds = paired_seconds({"invariant": invariant, "plain": plain}, options.rounds, device)
            pair = seconds["invariant"], seconds["plain"]
            ratios.append(median_ratio(*pair))
            low, high = median_interval(*pair)
            milliseconds = 1e3 * statistics.median(seconds["invariant"])
            rows.append(
                f"| {family} | {group.name} | {milliseconds:.1f} | {ratios[-1]:.3f} [{low:.2f}, {high:.2f}] |"
            )
            print(rows[-1], flush=True)
    lines = [
        f"GroupCNN (12, 24, 48), GroupMLP (48, 96, 32), {BATCH} images of {SIDE} x {SIDE}, "
        f"{'bfloat16 autocast' if device.type == 'cuda' else 'float32'}; "
        f"{options.rounds} rounds; ratios are medians of the ratios within a round, [...] their 95 % intervals.",
        "",
        "| loss | group | step, ms | invariant / plain |",
        "|---|---|---|---|",
        *rows,
        "",
        f"Median {statistics.median(ratios):.3f}, worst {max(ratios):.3f}. Plain is the similarity "
        "'plain' with the same heads; for VICReg and Barlow Twins the ordinary loss of the flattened features.",
    ]
    write("contrastive_step", "Training steps with invariant losses against plain ones", device, lines)


def step(group: FiniteGroup, loss: Loss, device: torch.device):
    """One training step of a fresh model, without the optimiser."""
    torch.manual_seed(0)
    views = RandomView(group, crop=0.2, rotation=12, texture=0.6, inversion=0.5)
    encoder, projector = GroupCNN(group, channels=(12, 24, 48)), GroupMLP(group, (48, 96, 32))
    model = ContrastiveModel(encoder, loss, views, projector).to(device)
    images = torch.rand(BATCH, 1, SIDE, SIDE, device=device)
    generator = torch.Generator(device)

    def run() -> None:
        generator.manual_seed(0)
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            value = model.training_step(images, generator)["loss"]
        model.zero_grad()
        value.backward()

    return run


if __name__ == "__main__":
    main()
