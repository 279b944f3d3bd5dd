"""Explorers of networks and images that are not on the CPU: on a pretended second device, and on a GPU if one is there.

Both ends are tried: images on the CPU for a network elsewhere, and images that are elsewhere themselves.
"""

from __future__ import annotations

import pytest
import torch
from elsewhere import Away, elsewhere

from eqssl_edu.encoders import GroupCNN, matched_cnn
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.layers import GroupConv2d, LiftingConv2d
from eqssl_edu.widgets import (
    EmbeddingExplorer,
    FieldExplorer,
    KernelExplorer,
    LabelActionExplorer,
    LearnedActionExplorer,
    OrbitCorrelationExplorer,
    OrbitExplorer,
)

IMAGES = torch.rand(12, 1, 16, 16, generator=torch.Generator().manual_seed(0))
ROUNDING = 1e-3 if torch.cuda.is_available() else 1e-5  # a GPU may round convolutions to TF32


@pytest.fixture(autouse=True)
def the_same_weights():
    torch.manual_seed(0)


@pytest.fixture(params=["images on the CPU", "images elsewhere"])
def images(request, device):
    return IMAGES if request.param == "images on the CPU" else IMAGES.to(device)


def encoder(group=None):
    return GroupCNN(group or dihedral(4), channels=(4, 8)).eval()


def test_the_pretended_device_is_one():
    """It refuses what a GPU refuses, and computes the same numbers."""
    weight, image = torch.rand(2, 1, 3, 3), IMAGES[:1]
    expected = torch.conv2d(image, weight)
    with elsewhere() as device:
        away = weight.to(device)
        assert isinstance(away, Away) and away.device == device
        assert torch.equal(torch.conv2d(image.to(device), away).cpu(), expected)
        with pytest.raises(RuntimeError, match="one device"):
            torch.conv2d(image, away)
        with pytest.raises(RuntimeError, match="one device"):
            torch.tensor([1, 0])[torch.tensor([0], device=device)] + torch.tensor([1, 2])
        with pytest.raises(TypeError, match="numpy"):
            away.numpy()


def test_field_explorer(device, images):
    near, far = encoder(), encoder(cyclic(4)).to(device)
    explorer = FieldExplorer(far, images[0], compare=matched_cnn(near))  # two networks on two devices
    for changes in (
        {"angle": 90},
        {"stabilised": True, "mirror": True},
        {"source": "shapes", "layer": "stages.0"},
    ):
        explorer.set_state(**changes)
    explorer.refine()
    assert explorer.curve["angles"]
    upload = {"source": "drawing", "side": 16, "channels": 1, "name": "", "size": [16, 16]}
    explorer.receive({"token": "drawn", "changes": {"upload": upload}}, [memoryview(bytes(range(256)))])
    explorer.set_state(source="image", mirror=False)
    assert explorer.errors()["C4 network"] < ROUNDING
    far.cpu()
    explorer.set_state(angle=270)
    assert explorer.errors()["C4 network"] < 1e-5


def test_kernel_explorer(device, images):
    layer = LiftingConv2d(cyclic(4), 1, 2, 3, padding=1).to(device)
    explorer = KernelExplorer(layer, images[0])
    for changes in ({"row": 1, "column": 3}, {"kernel": [1.0] * 9}, {"kernel": None}, {"out_channel": 1}):
        explorer.set_state(**changes)
        assert explorer.responses() == pytest.approx(explorer.values["output"], abs=ROUNDING)
    layer.cpu()
    explorer.set_state(row=3)
    KernelExplorer(GroupConv2d(cyclic(4), 1, 2, 3, padding=1).to(device)).set_state(row=2)


def test_explorers_without_a_network(images):
    explorer = OrbitExplorer(dihedral(4), images[0])
    explorer.set_state(element=3)
    assert len(explorer.orbit()) == 8
    image = torch.nn.functional.interpolate(images[:1], size=36)[0]
    labels = LabelActionExplorer(image=image)
    for task in labels.names[:3]:
        labels.set_state(task=task, element=1)
        assert [action for action, right in labels.verdicts().items() if right] == [labels.state()["action"]]


def test_orbit_correlation_explorer(device, images):
    network, images = encoder().to(device), images[:4]
    for views in (None, (images, images.flip(-1))):
        explorer = OrbitCorrelationExplorer(network, images, views)
        explorer.set_state(first=1, second=5)
        assert abs(explorer.changes()["max"]) < ROUNDING
    network.cpu()
    explorer.set_state(first=2)


def test_learned_action_explorer(device, images):
    network = GroupCNN(cyclic(4), channels=(2, 3)).eval().to(device)
    explorer = LearnedActionExplorer({"C4": network}, images, cyclic(4), images.flip(-1))
    for changes in ({"times": 4}, {"untrained": True}, {"source": "report", "image": 3}):
        explorer.set_state(**changes)
        assert max(explorer.missed()) < ROUNDING


def test_embedding_explorer(device, images):
    network, labels = encoder().to(device), (torch.arange(12) % 3).to(images.device)
    explorer = EmbeddingExplorer(network, images, labels)
    explorer.set_state(element=1, image=3)
    explorer.set_state(features="pooled")
    assert explorer.moved() < ROUNDING
    network.cpu()
    explorer.set_state(image=2)
