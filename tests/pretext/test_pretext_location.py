"""Relative patch location: patches, jitter that turns as vectors do, labels that move."""

import pytest
import torch

from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.pretext import RelativeLocationTask

GROUPS = [cyclic(1), cyclic(2), cyclic(4), dihedral(1), dihedral(2), dihedral(4)]
CASES = [(16, 4, 1, 1), (18, 4, 2, 1), (21, 5, 1, 0), (9, 3, 0, 0)]  # side, patch, gap, jitter


def noise(count=40, size=16, channels=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, size, size, generator=generator)


@pytest.mark.parametrize(("size", "patch", "gap", "jitter"), CASES)
@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_turned_patches_are_the_patches_of_the_turned_image(group, size, patch, gap, jitter):
    """Bit for bit, with place and jitter: g . a(x, l) = a(g x, g.l)."""
    task, images = RelativeLocationTask(group, patch, gap, jitter), noise(size=size)
    generator = torch.Generator().manual_seed(1)
    labels = torch.randint(8, (len(images),), generator=generator)
    draws = task.draw(images, generator)
    for g in group.elements:
        moved = task.labels.act(g, labels)
        wanted = task.apply(group.transform(images, g), moved, task.transform_draws(draws, g, labels))
        assert torch.equal(task.transform(task.apply(images, labels, draws), g), wanted)


def test_it_fails_if_the_jitter_does_not_turn():
    """The must-fail twin."""
    task, images = RelativeLocationTask(cyclic(4), 4), noise()
    labels, draws = torch.arange(40) % 8, task.draw(images, torch.Generator().manual_seed(1))
    wrong = task.apply(cyclic(4).transform(images, 1), task.labels.act(1, labels), draws)
    assert not torch.equal(task.transform(task.apply(images, labels, draws), 1), wrong)


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


def test_sample_is_decided_by_the_generator():
    task, images = RelativeLocationTask(dihedral(4), 4), noise()
    first, again, other = (task.sample(images, torch.Generator().manual_seed(seed)) for seed in (3, 3, 4))
    assert torch.equal(first[0], again[0]) and torch.equal(first[1], again[1])
    assert not torch.equal(first[1], other[1])


BAD = {
    "overlap": (lambda: RelativeLocationTask(cyclic(4), 4, gap=0), "jitter must be at most the gap"),
    "negative": (lambda: RelativeLocationTask(cyclic(4), 4, gap=-1), "gap must be an integer of at least 0"),
    "off the grid": (lambda: RelativeLocationTask(cyclic(8), 4), "group must map the pixel grid"),
    "small": (
        lambda: RelativeLocationTask(cyclic(4), 6).sample(noise()),
        "images must be square of a side of",
    ),
    "odd": (
        lambda: RelativeLocationTask(cyclic(4), 3).sample(noise()),
        "patch must be even for images of side 16",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_malformed_input_is_named(as_a_user, case):
    call, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        call()
