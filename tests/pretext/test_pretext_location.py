"""Relative patch location: patches, jitter that turns as vectors do, labels that move."""

import pytest
import torch
from families import by_name, noise, turned_inputs_agree

from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.pretext import RelativeLocationTask

CASES = [(16, 4, 1, 1), (18, 4, 2, 1), (21, 5, 1, 0), (9, 3, 0, 0)]  # side, patch, gap, jitter


@pytest.mark.parametrize(("size", "patch", "gap", "jitter"), CASES)
def test_turned_patches_are_the_patches_of_the_turned_image(size, patch, gap, jitter):
    """Bit for bit, with place and jitter: g . a(x, l) = a(g x, g.l)."""
    task = RelativeLocationTask(dihedral(4), patch, gap, jitter)
    assert all(turned_inputs_agree(task, noise(40, size, 2)))


@pytest.mark.parametrize("group", [cyclic(1), cyclic(2), cyclic(4), dihedral(1), dihedral(2)], **by_name)
def test_they_are_for_every_group(group):
    assert all(turned_inputs_agree(RelativeLocationTask(group, 4), noise(40)))


def test_it_fails_if_the_jitter_does_not_turn(monkeypatch):
    """The must-fail twin."""
    task = RelativeLocationTask(cyclic(4), 4)
    monkeypatch.setattr(task, "transform_draws", lambda draws, g, labels: draws)
    assert turned_inputs_agree(task, noise(40))[1:] == 3 * [False]


def test_patches_are_cut_where_the_label_says():
    images = torch.arange(16 * 16.0).reshape(1, 1, 16, 16)
    task = RelativeLocationTask(cyclic(4), patch=4, gap=1)
    for label, name in enumerate(task.labels.names):
        first, second = task.apply(images, torch.tensor([label]))[0, :, 0]
        assert torch.equal(first, images[0, 0, 6:10, 6:10])
        down = -5 * name.startswith("north") + 5 * name.startswith("south")
        right = -5 * name.endswith("west") + 5 * name.endswith("east")
        assert torch.equal(second, images[0, 0, 6 + down : 10 + down, 6 + right : 10 + right])


def test_draws_reach_every_place_and_stay_inside():
    """The pictures hold their own pixel numbers, so a patch says where it was cut."""
    images = torch.arange(20 * 20.0).reshape(1, 1, 20, 20).repeat(4000, 1, 1, 1)
    task = RelativeLocationTask(cyclic(4), patch=4, gap=1, jitter=1)
    inputs, labels = task.sample(images, torch.Generator().manual_seed(0))
    corner = inputs[:, :, 0, 0, 0].long()
    place = torch.stack([corner // 20, corner % 20], dim=-1)  # (B, 2, 2)
    assert place[:, 0].min() == 6 and place[:, 0].max() == 10  # a room of 2 pixels around the centre
    assert place.min() == 0 and place.max() == 16
    step = place[:, 1] - place[:, 0]
    assert set(step.flatten().tolist()) == {-6, -5, -4, -1, 0, 1, 4, 5, 6}
    assert (step.abs().amax(dim=1) >= 4).all()  # the patches never overlap
    assert torch.bincount(labels, minlength=8).min() > 400
    # A patch that lies whole in the picture is a block of consecutive pixels in each row.
    assert (inputs[..., 1:] - inputs[..., :-1] == 1).all() and (
        inputs[..., 1:, :] - inputs[..., :-1, :] == 20
    ).all()
