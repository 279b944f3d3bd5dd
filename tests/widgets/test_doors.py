"""What explorers refuse: every message names the argument, and a state that is refused changes nothing."""

import math

import pytest
import torch
from explorers import EXPLORERS, make
from networks import NotEquivariant, images, network
from scenarios import scenario
from torch import nn

from eqssl_edu.circle import AngleHead, FreeAngleHead, o2
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.layers import GroupConv2d, LiftingConv2d
from eqssl_edu.pretext import JigsawTask, PretextModel, RelativeLocationTask, RotationTask
from eqssl_edu.training import Pretrainer
from eqssl_edu.widgets import (
    ByHand,
    CircleExplorer,
    EmbeddingExplorer,
    ExactnessLab,
    FieldExplorer,
    KernelExplorer,
    LabelActionExplorer,
    LearnedActionExplorer,
    LiveTraining,
    OrbitCorrelationExplorer,
    OrbitExplorer,
)

pytestmark = pytest.mark.usefixtures("as_a_user")
GOOD = torch.rand(1, 9, 9)
NAN = GOOD / 0
ENTRIES = {
    "ByHand": [{"shown": "tilted"}, {"digit": 1}],
    "FieldExplorer": [{"angle": 361}, {"angle": math.nan}, {"angle": "90"}, {"mirror": 1}, {"layer": "nowhere"},
                      {"compare_layer": "nowhere"}, {"channel": 1.5}, {"compare_channel": -1}, {"picture": 1},
                      {"source": "web"}, {"source": "file"}, {"picture": 20, "source": "digits"}],
    "OrbitExplorer": [{"picture": "Ä"}, {"element": 8}, {"applied": 1.0}],
    "KernelExplorer": [{"out_channel": 1}, {"in_channel": -1}, {"row": 99}, {"column": 1.5}, {"kernel": [0.0] * 8},
                       {"kernel": [math.nan] * 9}, {"kernel": ["a"] * 9}],
    "ExactnessLab": [{"size": 6}, {"kernel_size": 2.0}, {"stride": 5}, {"padding": True}],
    "LabelActionExplorer": [{"task": "colours"}, {"action": "right"}, {"label": 8}, {"label": "A"}, {"element": 8},
                            {"action": "conjugation", "task": "relative location"}],
    "OrbitCorrelationExplorer": [{"image": 8}, {"first": -1}, {"second": 4}, {"second": "1"}],
    "CircleExplorer": [{"first": 360}, {"second": -1}, {"theta": 1.5}, {"partner": "none"}, {"k": 4}],
    "LearnedActionExplorer": [{"network": "none"}, {"untrained": 2}, {"source": "web"}, {"image": 40}, {"element": 0},
                              {"element": 4}, {"times": 5}, {"times": "1"}],
    "EmbeddingExplorer": [{"features": "raw"}, {"image": -1}, {"element": True}],
}  # fmt: skip


@pytest.mark.parametrize("name", EXPLORERS)
def test_entries_that_are_refused_change_nothing(name, quiet):
    explorer = make(name)
    before, allowed = explorer.state(), scenario(explorer)[1].changes
    for changes in [*ENTRIES[name], {"nothing": 1}]:
        argument = next(iter(changes))
        with pytest.raises((ValueError, TypeError), match=rf"^{argument} "):
            explorer.set_state(**{**allowed, **changes})
        explorer.receive({"token": argument, "changes": changes})
        assert f"Error: {argument} " in explorer.error and explorer.answered == argument
        assert explorer.state() == before and explorer.values["state"] == before
    explorer.set_state(**allowed)
    assert explorer.error == ""
    state, readout = explorer.state(), explorer.readout
    explorer.set_state(**before)
    explorer.set_state(**state)  # and a state comes back
    assert explorer.readout == readout


def gives(output):
    """An encoder of C4 with this output."""
    encoder = NotEquivariant(cyclic(4))
    encoder.forward = output
    return encoder


def refused_arguments():
    """(argument, explorer, what it is made of)"""
    encoder, five, labels = network(cyclic(4)), images(), torch.arange(5)
    for bad in (GOOD[0], GOOD[:, :8], GOOD.byte(), NAN, GOOD[:0], "cat.png", GOOD.numpy()):
        yield "image", FieldExplorer, (encoder, bad)
        yield "image", LabelActionExplorer, (None, bad)
        if not isinstance(bad, str):
            yield "picture", OrbitExplorer, (cyclic(4), bad)
    yield "picture", OrbitExplorer, (cyclic(4), "AB")
    yield "group", OrbitExplorer, (cyclic(8),)

    flat = nn.Sequential(nn.Flatten(), nn.Linear(81, 10))
    yield "model", FieldExplorer, (flat, GOOD)
    yield "model", FieldExplorer, (encoder, GOOD[:, :1, :1])
    yield "model", FieldExplorer, (nn.Conv2d(3, 4, 3), GOOD)
    yield "model", FieldExplorer, (lambda x: x, GOOD)
    yield "compare", FieldExplorer, (encoder, GOOD, flat)
    yield "names", FieldExplorer, (encoder, GOOD, encoder, ("one",))
    yield "names", FieldExplorer, (encoder, GOOD, encoder, ("same", "same"))

    lifting, group = LiftingConv2d(cyclic(4), 2, 1, 3), GroupConv2d(cyclic(4), 2, 1, 3)
    yield "layer", KernelExplorer, (nn.Conv2d(1, 1, 3),)
    yield "layer", KernelExplorer, (LiftingConv2d(cyclic(4), 1, 1, 9),)
    yield "image", KernelExplorer, (lifting, GOOD)
    for bad in (
        [0.0],
        torch.rand(2, 9, 9),
        torch.rand(2, 4, 9, 8),
        torch.rand(2, 4, 60, 60),
        torch.rand(2, 4, 2, 2),
    ):
        yield "image", KernelExplorer, (group, bad)

    yield "size", ExactnessLab, (41,)
    yield "rule", ExactnessLab, (16, 3, 2, 1, "no")

    yield "tasks", LabelActionExplorer, ("rotation",)
    yield "tasks", LabelActionExplorer, ({},)
    yield "tasks", LabelActionExplorer, (RotationTask(dihedral(4), stabilizer=(0, 4)),)
    yield "tasks", LabelActionExplorer, ({"a": RotationTask(dihedral(4)), "b": RotationTask(cyclic(4))},)
    yield "image", LabelActionExplorer, (JigsawTask(dihedral(4), 2), GOOD[:, :8])
    yield (
        "side of images",
        LabelActionExplorer,
        (RelativeLocationTask(dihedral(4), 10), torch.rand(1, 20, 20)),
    )

    broken = network(cyclic(4))
    nn.init.constant_(broken.stages[0].weight, math.nan)
    strangers = [
        lambda x: x,
        nn.Flatten(),
        network(cyclic(1)),
        NotEquivariant(cyclic(8)),
        broken,
        gives(torch.sin),
    ]
    for bad in strangers:
        yield "encoder", OrbitCorrelationExplorer, (bad, five)
        yield "encoder", EmbeddingExplorer, (bad, five, labels)
    yield "encoder", OrbitCorrelationExplorer, (NotEquivariant(cyclic(4)), images(side=9))
    for bad in (five[..., :10], five[0], five.byte(), five / 0, [], five[:1]):
        yield "images", OrbitCorrelationExplorer, (encoder, bad)
        yield "images", EmbeddingExplorer, (encoder, bad, labels[: len(bad)])
    for bad in (five, (five, images(4)), (five.double(), five), (five[..., :10], five), (five, five / 0)):
        yield "views", OrbitCorrelationExplorer, (encoder, five, bad)
    for bad in (labels[:4], labels - 1, labels.double(), [0] * 5):
        yield "labels", EmbeddingExplorer, (encoder, five, bad)
    yield "names", EmbeddingExplorer, (encoder, five, labels, ["a"])

    for bad in (
        lambda x: x,
        nn.Flatten(),
        network(cyclic(2)),
        NotEquivariant(o2(3)),
        network(dihedral(4)),
        broken,
    ):
        yield "encoder", CircleExplorer, (bad, five[0])
    for bad in (five, five[0, :, :10], five[0].byte(), five[0] / 0):
        yield "image", CircleExplorer, (encoder, bad)
    for bad in (nn.Linear(8, 2), FreeAngleHead(8, 4), AngleHead(cyclic(8), 8), AngleHead(cyclic(4), 7)):
        yield "head", CircleExplorer, (encoder, five[0], None, bad)
    for bad in (five, images(1, 3)[0], images(side=13)[0], five[0] / 0):
        yield "other", CircleExplorer, (encoder, five[0], bad)

    named, many = {"a": encoder}, images(40)
    for bad in ({}, encoder, [encoder], {"a": lambda x: x}, dict.fromkeys("abcdefg", encoder), {"a": broken}):
        yield "encoders", LearnedActionExplorer, (bad, many, cyclic(4))
    yield "encoders", LearnedActionExplorer, ({"a": nn.Linear(3, 3)}, many, cyclic(4))
    yield "encoders", LearnedActionExplorer, (named, many[:4], cyclic(4))  # maps would fit anything
    for bad in (many[..., :10], many[0], many.byte(), many / 0, many[:1]):
        yield r"(len\()?images", LearnedActionExplorer, (named, bad, cyclic(4))
        if len(bad) > 1:
            yield "report", LearnedActionExplorer, (named, many, cyclic(4), bad)
    yield "report", LearnedActionExplorer, (named, many, cyclic(4), many[..., :10, :10])
    for bad in (cyclic(1), cyclic(8), "C4"):
        yield "group", LearnedActionExplorer, (named, many, bad)
    yield "seed", LearnedActionExplorer, (named, many, cyclic(4), None, -1)

    yield "draw", ByHand, ("draw",)
    yield "start", ByHand, (str, {"m": 1})

    yield "runs", LiveTraining, ([],)
    yield "runs", LiveTraining, ({},)
    yield "runs", LiveTraining, ({"a": 3},)
    model = PretextModel(GroupCNN(cyclic(4), channels=(2,)), RotationTask(cyclic(4)))
    run = Pretrainer(model, torch.rand(4, 1, 8, 8), epochs=1, batch_size=2, accelerator="cpu")
    yield "readouts", LiveTraining, ({"a": run}, "training", {"RankMe": 3})


def test_constructors_name_what_they_refuse():
    for argument, explorer, arguments in refused_arguments():
        with pytest.raises((ValueError, TypeError), match=rf"^{argument}\b"):
            explorer(*arguments)


def test_controls_need_choices():
    for bad in (3, [], "ab"):
        with pytest.raises(TypeError, match=r"^n must be a range, a tuple or a list"):
            ByHand(str, n=bad)
    with pytest.raises(ValueError, match=r"^n must be one of range\(2, 10, 2\), got 3"):
        ByHand(str, n=range(2, 10, 2), start={"n": 3})


def test_what_has_no_scenario_is_refused():
    with pytest.raises(TypeError, match=r"^explorer must be one of ByHand, FieldExplorer, .*got 3"):
        scenario(3)
