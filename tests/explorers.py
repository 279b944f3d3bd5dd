"""One explorer of each kind, as a cell makes it: for unit tests here, and as source for the tests in a browser."""

from __future__ import annotations

from typing import Any

__all__ = ["EXPLORERS", "SETUP", "make"]

SETUP = """
import torch
from eqssl_edu.data import digits
from eqssl_edu.encoders import GroupCNN, matched_cnn
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.layers import LiftingConv2d
from eqssl_edu.plots import picture, row
from eqssl_edu.widgets import *

torch.manual_seed(0)
images = digits(32)
network = GroupCNN(cyclic(4), channels=(6, 12))
with torch.no_grad():
    network.train()(images.train.images[:64])  # the statistics of the batch norms
network.eval()

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
    "EmbeddingExplorer": "EmbeddingExplorer(network, images.test.images[:40], images.test.labels[:40])",
}


def make(name: str) -> Any:
    """An explorer of this kind."""
    names: dict[str, Any] = {}
    exec(SETUP, names)
    return eval(EXPLORERS[name], names)
