"""The scenario of every explorer holds, and is noticed where it does not. A browser test runs the same."""

from __future__ import annotations

import pytest
import torch
from explorers import EXPLORERS, make
from networks import NotEquivariant, images, network
from scenarios import SCENARIOS, scenario, walk
from torch import nn

from eqssl_edu.data.letters import letters
from eqssl_edu.encoders import GroupCNN, GroupResNet, matched_cnn
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.layers import GroupConv2d
from eqssl_edu.widgets import (
    EmbeddingExplorer,
    FieldExplorer,
    KernelExplorer,
    LabelActionExplorer,
    LearnedActionExplorer,
    OrbitCorrelationExplorer,
    OrbitExplorer,
)


def test_every_explorer_has_one():
    assert set(EXPLORERS) == {kind.__name__ for kind in SCENARIOS}


@pytest.mark.parametrize("name", EXPLORERS)
def test_it_holds_and_messages_of_the_front_end_lead_to_the_same(name):
    """Showing sends at most 200 KB, a move 60."""
    by_cell, by_hand = make(name), make(name)
    assert weight(by_hand.get_state()) < 200_000
    steps = scenario(by_hand)
    sentences = []
    for number, (sentence, step) in enumerate(zip(walk(by_cell), steps, strict=True)):
        by_hand.receive({"token": str(number), "changes": step.changes})
        assert (by_hand.error, by_hand.answered) == ("", str(number))
        assert by_hand.readout == sentence and by_hand.state() == by_cell.state()
        assert step.holds()
        assert weight({key: getattr(by_hand, key) for key in ("values", "readout", "error")}) < 60_000
        sentences.append(sentence)
    assert len(sentences) > 3
    assert len(set(sentences)) > 2  # the sentence says what has changed


PHOTO = torch.rand(3, 97, 97, generator=torch.Generator().manual_seed(0))
LARGE = {
    "orbit": (lambda: OrbitExplorer(dihedral(4), torch.rand(3, 300, 300)), [{"element": 3}]),
    "labels": (
        lambda: LabelActionExplorer(image=torch.rand(3, 120, 120)),
        [{"task": task, "element": 3} for task in ("rotation", "relative location", "jigsaw 3 x 3")],
    ),
    "kernel": (
        lambda: KernelExplorer(GroupConv2d(dihedral(4), 1, 1, 7, padding=1), torch.rand(1, 8, 46, 46)),
        [{"row": 1}],
    ),
    "orbit correlation": (
        lambda: OrbitCorrelationExplorer(network(dihedral(4), 3), images(8, 3, 97)),
        [{"first": 1}],
    ),
    "field": (
        lambda: FieldExplorer(GroupCNN(dihedral(4), 3, (8, 16)), PHOTO, compare=nn.Conv2d(3, 64, 3)),
        [{"layer": f"stages.{i}", "angle": 33} for i in range(0, 7, 2)],
    ),
    "field of a ResNet": (
        lambda: FieldExplorer(GroupResNet(cyclic(4), 3, width=16), PHOTO[:, :32, :32]),
        [{"layer": "stem.0", "angle": 33}, {"layer": "blocks.3", "angle": 33}],
    ),
    "fitted actions": (
        lambda: LearnedActionExplorer(
            {str(n): NotEquivariant(dihedral(4)) for n in range(6)},
            images(80, 1, 12),
            dihedral(4),
            images(50),
        ),
        [{"element": 7, "times": 4}],
    ),
    "fitted actions of photos": (
        lambda: LearnedActionExplorer({"D4": network(dihedral(4), 3)}, images(60, 3, 45), dihedral(4)),
        [{"element": 7, "times": 4}],
    ),
    "embedding of many": (lambda: embedding(2000, 16), [{"image": 1}]),
    "embedding of large ones": (lambda: embedding(3, 64), [{"image": 1}]),
}


def embedding(count, side):
    encoder = NotEquivariant(dihedral(4))
    encoder.body = nn.Sequential(nn.AvgPool2d(side // 4), nn.Flatten(), nn.Linear(48, 32))
    return EmbeddingExplorer(encoder, images(count, 3, side), torch.arange(count) % 10)


@pytest.mark.parametrize("name", LARGE)
def test_large_pictures_many_images_and_the_largest_group_stay_as_small(name):
    make_it, moves = LARGE[name]
    explorer = make_it()
    assert weight(explorer.get_state()) < 200_000
    for changes in moves:
        explorer.set_state(**changes)
        assert weight({"values": explorer.values, "readout": explorer.readout}) < 60_000


def weight(value: object) -> int:
    """How many bytes go to the front end, about."""
    if isinstance(value, dict):
        return sum(weight(key) + weight(entry) + 2 for key, entry in value.items())
    if isinstance(value, (list, tuple)):
        return sum(weight(entry) + 1 for entry in value)
    return len(value) if isinstance(value, (bytes, str)) else len(str(value))


def test_a_network_that_does_not_follow_is_noticed():
    network = make("FieldExplorer").networks[0].recorder.model
    with pytest.raises(AssertionError, match="the first network follows a quarter turn"):
        list(walk(FieldExplorer(matched_cnn(network), torch.rand(1, 32, 32))))


def test_a_map_that_does_not_follow_is_noticed():
    plain = NotEquivariant(cyclic(4))
    with pytest.raises(AssertionError, match="the action of the first network brings its features back"):
        list(walk(LearnedActionExplorer({"a": plain, "b": plain}, images(60), cyclic(4), images(9, seed=1))))


def test_losses_that_move_are_noticed():
    class Plain(nn.Module):
        group = cyclic(4)

        def forward(self, images):
            return images.flatten(1)[:, :64].unflatten(1, (16, 4))

    with pytest.raises(AssertionError, match="the others stand still"):
        list(walk(OrbitCorrelationExplorer(Plain(), torch.rand(4, 1, 16, 16))))


def test_an_orbit_of_another_group_is_noticed():
    with pytest.raises(AssertionError, match="F has eight pictures"):
        list(walk(OrbitExplorer(cyclic(4), letters()["F"][None])))
