"""The jigsaw task: the identity T8 on real inputs, crops, tiles."""

import pytest
import torch
from families import by_name, noise, turned_inputs_agree

from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.pretext import JigsawTask

# side, grid, gap, jitter; a side that the tiles do not fill loses the same margin on both sides.
CASES = [(16, 2, 0, 0), (16, 2, 1, 1), (20, 2, 2, 1), (18, 3, 1, 1), (32, 3, 1, 0), (13, 3, 0, 0)]


def task_for(group, grid, gap=0, jitter=0, action="conjugation"):
    return JigsawTask(group, grid, action, count=24 if grid == 3 else None, gap=gap, jitter=jitter)


@pytest.mark.parametrize(("size", "grid", "gap", "jitter"), CASES)
def test_t8_bit_for_bit(size, grid, gap, jitter):
    """T8: g . S_s x = S_{pi s pi^-1} (g . x), with crops and jitter too."""
    assert all(turned_inputs_agree(task_for(dihedral(4), grid, gap, jitter), noise(30, size, 2)))


@pytest.mark.parametrize("group", [cyclic(1), cyclic(2), cyclic(4), dihedral(1), dihedral(2)], **by_name)
def test_t8_for_every_group(group):
    assert all(turned_inputs_agree(task_for(group, 2, gap=1, jitter=1), noise(30)))


@pytest.mark.parametrize("action", ["left", "trivial"])
def test_t8_holds_for_no_other_action(action):
    """The must-fail twin: the identity is broken for every element but the identity."""
    task = task_for(dihedral(4), 2, action=action)
    assert turned_inputs_agree(task, noise(30)) == [True] + 7 * [False]


def test_it_fails_if_the_jitter_does_not_turn(monkeypatch):
    task = task_for(cyclic(4), 2, gap=1, jitter=1)
    monkeypatch.setattr(task, "transform_draws", lambda draws, g, labels: draws)
    assert turned_inputs_agree(task, noise(30))[1:] == 3 * [False]


def test_tiles_go_where_the_permutation_sends_them():
    images, task = noise(24, 12), JigsawTask(cyclic(4), 2)
    inputs = task.apply(images, torch.arange(24))
    for image, moved, permutation in zip(images, inputs, task.labels.permutations.tolist(), strict=True):
        tiles = [image[:, r : r + 6, c : c + 6] for r in (0, 6) for c in (0, 6)]
        arrived = [moved[:, r : r + 6, c : c + 6] for r in (0, 6) for c in (0, 6)]
        for p in range(4):
            assert torch.equal(arrived[permutation[p]], tiles[p])


def test_crops_move_inside_their_tile_and_the_gaps_are_zero():
    images = torch.arange(1.0, 16 * 16 + 1).reshape(1, 1, 16, 16).repeat(500, 1, 1, 1)
    task = JigsawTask(cyclic(4), 2, gap=2, jitter=2)
    draws = task.draw(images, torch.Generator().manual_seed(0))
    identity = task.labels.names.index("0123")
    inputs = task.apply(images, torch.full((500,), identity), draws)[:, 0]
    crop = torch.zeros(8, dtype=torch.bool)
    crop[2:6] = True
    shown = (crop[:, None] & crop).repeat(2, 2)
    assert (inputs[:, ~shown] == 0).all() and (inputs[:, shown] > 0).all()
    corner = inputs[:, 2, 2].long() - 1  # of the first tile's crop
    assert set((corner // 16).tolist()) == set((corner % 16).tolist()) == {0, 1, 2, 3, 4}
    # Each pixel of the input is the pixel of its own tile that the draw names.
    assert torch.equal(corner // 16, 2 + draws[:, 0, 0]) and torch.equal(corner % 16, 2 + draws[:, 0, 1])


def test_parts_are_standardised_crops():
    task = JigsawTask(cyclic(4), 3, count=24, gap=1)
    inputs, _ = task.sample(3 + 5 * noise(30, 18, 2), torch.Generator().manual_seed(0))
    parts = task.parts(inputs)
    assert parts.shape == (30, 9, 2, 4, 4)
    assert parts.mean(dim=(2, 3, 4)).abs().max() < 1e-5
    assert (parts.var(dim=(2, 3, 4), unbiased=False) - 1).abs().max() < 1e-3
    middle = inputs[:, :, 7:11, 7:11]
    correlation = torch.corrcoef(torch.stack([parts[0, 4].flatten(), middle[0].flatten()]))
    assert correlation[0, 1] > 0.999
    blank = task.parts(torch.full((1, 1, 18, 18), 0.5))
    assert (blank == 0).all()  # a blank tile has no standard deviation to divide by


@pytest.mark.parametrize(
    ("group", "grid"), [(cyclic(2), 3), (dihedral(1), 2), (dihedral(4), 2), (dihedral(4), 3)]
)
def test_parts_turn_and_move_with_the_input(group, grid):
    task = task_for(group, grid, gap=1)
    inputs, _ = task.sample(noise(30, 18), torch.Generator().manual_seed(0))
    for g in group.elements:
        turned = task.parts(task.transform(inputs, g))[:, task.positions.action[g]]
        assert (turned - group.transform(task.parts(inputs), g)).abs().max() < 1e-12
