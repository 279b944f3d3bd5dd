"""One explorer of each kind, as a cell makes it: for unit tests here, and as source for the tests in a browser."""

from __future__ import annotations

from typing import Any

__all__ = ["EXPLORERS", "SETUP", "make"]

SETUP = """
import torch
from eqssl_edu.data import digits
from eqssl_edu.encoders import GroupCNN, matched_cnn
from eqssl_edu.evaluation import recalibrated
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.layers import GroupConv2d, LiftingConv2d
from eqssl_edu.plots import picture, row
from eqssl_edu.widgets import *

images = digits(32)

def trained(group, colours=1):
    torch.manual_seed(0)
    network = GroupCNN(group, colours, channels=(6, 12))
    return recalibrated(network, images.train.images[:64].expand(-1, colours, -1, -1))

network = trained(cyclic(4))
torch.manual_seed(0)

def steerable(symmetry):
    from eqssl_edu.steerable import SteerableCNN  # escnn takes two seconds to import
    torch.manual_seed(0)
    return recalibrated(SteerableCNN(symmetry, channels=(4, 8)), images.train.images[:64])

mirrored = images.train.images[:40].flip(-1)

def pair():
    torch.manual_seed(0)
    return {"C4": network, "plain": recalibrated(matched_cnn(network), images.train.images[:64])}

def drawn(digit, shown):
    image = images.test.images[digit, 0].rot90(int(shown == "turned"))
    return row([picture(image, f"digit {digit}, {shown}")], "A digit.")
"""

EXPLORERS = {
    "ByHand": "ByHand(drawn, digit=range(0, 15, 5), shown=['upright', 'turned'])",
    "FieldExplorer": "FieldExplorer(network, images.test.images[4], compare=matched_cnn(network).eval())",
    "OrbitExplorer": "OrbitExplorer(dihedral(4), 'A')",
    "KernelExplorer": "KernelExplorer(LiftingConv2d(cyclic(4), 1, 1, kernel_size=3, padding=1))",
    "ExactnessLab": "ExactnessLab(16, kernel_size=3, stride=2, padding=1)",
    "LabelActionExplorer": "LabelActionExplorer()",
    "OrbitCorrelationExplorer": "OrbitCorrelationExplorer(network, images.test.images[:8])",
    "CircleExplorer": "CircleExplorer(steerable('SO(2)'), images.test.images[4], images.test.images[7])",
    "LearnedActionExplorer": "LearnedActionExplorer(pair(), images.test.images[:80], cyclic(4), mirrored)",
    "EmbeddingExplorer": "EmbeddingExplorer(network, images.test.images[:40], images.test.labels[:40])",
}


def make(name: str) -> Any:
    """An explorer of this kind."""
    names: dict[str, Any] = {}
    exec(SETUP, names)
    return eval(EXPLORERS[name], names)
