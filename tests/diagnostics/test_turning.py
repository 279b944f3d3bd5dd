"""Turns by any angle: what they do on the group's own angles, between them, and to band-limited functions."""

import pytest
import torch

from eqssl_edu.diagnostics import nearest_element, turn_features, turn_maps
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.rotate import rotate

C4, D4 = cyclic(4), dihedral(4)


def noise(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("group", [cyclic(1), cyclic(3), C4, dihedral(3), D4], ids=lambda group: group.name)
def test_turn_features_at_the_group_s_own_angles_is_the_regular_action(group):
    z = noise(2, 3, group.order)
    for k in range(group.rotations):
        error = turn_features(group, z, 360 * k / group.rotations) - group.transform_features(z, k)
        assert error.abs().max() < 1e-12
    if group.rotations % 2:  # an odd number of samples has no ambiguous frequency: an action of all angles
        twice = turn_features(group, turn_features(group, z, 17.0), 31.0)
        assert (twice - turn_features(group, z, 48.0)).abs().max() < 1e-12
        assert group.rotations == 1 or (turn_features(group, z, 17.0) - z).abs().max() > 0.1


@pytest.mark.parametrize("degrees", [-100.0, 20.0, 45.0])
def test_turn_features_shifts_band_limited_functions(degrees):
    """z(theta) -> z(theta - alpha), for frequencies below n / 2; the reflections have a function of their own."""
    angles = torch.arange(8, dtype=torch.float64) * torch.pi / 4

    def samples(at):
        return torch.cat([1 + at.cos() + (3 * at).sin(), (2 * at).cos() - 2])

    turned = turn_features(dihedral(8), samples(angles), degrees)
    assert (turned - samples(angles - torch.pi * degrees / 180)).abs().max() < 1e-12
    # The must-fail twin: read as frequency 3.
    too_fast = turn_features(cyclic(8), (5 * angles).cos(), degrees)
    if degrees % 45:
        assert (too_fast - (5 * (angles - torch.pi * degrees / 180)).cos()).abs().max() > 0.1


@pytest.mark.parametrize("group", [C4, D4, cyclic(8)], ids=lambda group: group.name)
def test_turn_maps_moves_the_group_axis_by_the_nearest_rotation(group):
    maps = noise(2, 3, group.order, 9, 9)
    assert torch.equal(turn_maps(None, maps[:, :, 0], 33.0), rotate(maps[:, :, 0], 33.0))
    for k in range(group.rotations):
        degrees = 360 * k / group.rotations
        moved = group.transform_features(maps.movedim(2, -1), k).movedim(-1, 2)
        assert (turn_maps(group, maps, degrees + 1) - rotate(moved, degrees + 1)).abs().max() < 1e-12
    if group.rotations == 4:
        assert torch.equal(turn_maps(group, maps, 90), group.transform_maps(maps, 1))


def test_nearest_element():
    assert [nearest_element(C4, angle) for angle in (0, 44, 46, 90, 180, 314, 316, -90, 720)] == [
        0, 0, 1, 1, 2, 3, 0, 3, 0,
    ]  # fmt: skip
    assert nearest_element(dihedral(4), 91) == 1
    assert nearest_element(cyclic(1), 170) == 0
    assert nearest_element(C4, 45) == 0
    assert nearest_element(C4, 135) == 2
