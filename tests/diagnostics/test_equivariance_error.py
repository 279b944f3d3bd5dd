"""Equivariance errors: what they measure, at the group's elements and at any angle."""

import pytest
import torch
from torch import nn

from eqssl_edu.diagnostics import (
    equivariance_error,
    nearest_element,
    rotation_error,
    turn_features,
    turn_maps,
)
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import GSetHead
from eqssl_edu.rotate import disc_mask, rotate

C4, D4 = cyclic(4), dihedral(4)


def noise(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def gaussian(size, width):
    axis = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    bell = torch.exp(-(axis**2) / (2 * width**2))
    return torch.outer(bell, bell) / bell.sum() ** 2


def blurred(x, width=2.0):
    return torch.nn.functional.conv2d(x, gaussian(13, width)[None, None], padding=6)


@pytest.fixture
def encoder():
    torch.manual_seed(0)
    return GroupCNN(D4, 1, (3, 4)).double()


@pytest.mark.parametrize("training", [True, False])
def test_an_equivariant_encoder_has_no_error(encoder, training):
    errors = equivariance_error(encoder.train(training), noise(4, 1, 9, 9))
    assert errors.shape == (8,)
    assert errors.max() < 1e-12


def test_a_plain_network_has(encoder):
    """The must-fail twin: a layer whose channels are only called a group."""
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(1, 8, 3), nn.Flatten(2), nn.AdaptiveAvgPool1d(1), nn.Unflatten(1, (1, 8)))
    model = nn.Sequential(plain, nn.Flatten(2)).double()
    errors = equivariance_error(model, noise(4, 1, 9, 9), D4)
    assert errors[0] == 0
    assert errors[1:].min() > 0.1


def test_it_is_the_relative_error_over_the_batch():
    """f(x) = x + a: the error of a flip is |a - flip a| / |f(x)|, with the batch in both norms."""
    x, a = noise(3, 4), torch.tensor([1.0, 0, 0, 0], dtype=torch.float64)
    errors = equivariance_error(lambda z: z + a, x, C4, C4.transform_features)
    expected = torch.tensor(2.0 * 3, dtype=torch.float64).sqrt() / (x + a).norm()
    assert (errors[1:] - expected).abs().max() < 1e-12
    assert errors[0] == 0


def test_inputs_and_outputs_of_every_kind(encoder):
    images, labels = noise(4, 1, 9, 9), GSet.neighbours(D4)
    head = GSetHead(labels, 4).double()
    assert equivariance_error(encoder.feature_maps, images, D4, None, D4.transform_maps).max() < 1e-12
    assert equivariance_error(nn.Sequential(encoder, head), images, D4, None, labels.transform).max() < 1e-12
    pooled = equivariance_error(lambda x: encoder(x).mean(2), images, D4, transform_outputs=lambda y, g: y)
    assert pooled.max() < 1e-12
    assert equivariance_error(head, noise(4, 4, 8), D4, D4.transform_features, labels.transform).max() < 1e-12
    wrong = equivariance_error(head, noise(4, 4, 8), D4, D4.transform_features, lambda y, g: y)
    assert wrong[1:].max() > 0.1


def test_no_gradients_are_kept(encoder):
    assert not equivariance_error(encoder, noise(2, 1, 9, 9)).requires_grad


# -- any angle ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("degrees", [-90.0, 0.0, 90.0, 180.0, 270.0, 450.0])
def test_rotation_error_of_an_equivariant_network_is_zero_on_the_grid(encoder, degrees):
    encoder.eval()
    images = noise(2, 1, 16, 16)
    with torch.no_grad():
        error = rotation_error(
            encoder.feature_maps(rotate(images, degrees)), encoder.feature_maps(images), degrees, D4
        )
    assert error < 1e-12


def test_rotation_error_needs_the_action_on_the_group_axis(encoder):
    """The must-fail twin: the grid turned alone, which a sixth-axis view of the maps does."""
    encoder.eval()
    images = noise(2, 1, 16, 16)
    with torch.no_grad():
        turned, maps = encoder.feature_maps(rotate(images, 90)), encoder.feature_maps(images)
    assert rotation_error(turned, maps, 90, D4) < 1e-12
    assert rotation_error(turned.flatten(1, 2), maps.flatten(1, 2), 90) > 0.1


@pytest.mark.parametrize("degrees", [20.0, 45.0])
def test_e4_off_the_grid_the_error_is_set_by_the_band_limit(degrees):
    """E4: a round kernel commutes with every rotation as far as picture and kernel are smooth."""
    kernel = gaussian(9, 1.5)[None, None]

    def error(x):
        filtered, of_turned = (torch.nn.functional.conv2d(y, kernel) for y in (x, rotate(x, degrees)))
        return rotation_error(of_turned, filtered, degrees)

    assert error(blurred(noise(1, 1, 41, 41))) < 0.05
    assert error(noise(1, 1, 41, 41)) > 3 * error(blurred(noise(1, 1, 41, 41)))


def test_rotation_error_uses_one_mask_in_both_norms():
    """What lies outside the disc counts in neither norm: not as error, not as size."""
    maps = noise(1, 2, 9, 9)
    outside = (~disc_mask(9)).double()
    assert rotation_error(maps + 100 * outside, maps, 0.0) == 0
    shifted = rotation_error(1.5 * maps, maps + 100 * outside, 0.0)
    assert abs(shifted - 0.5) < 1e-12


def test_rotation_error_leaves_out_a_margin():
    maps = noise(1, 2, 9, 9)
    rim = (disc_mask(9).double() - disc_mask(9, 2).double()).expand_as(maps)
    assert rotation_error(maps + rim, maps, 0.0) > 0.1
    assert rotation_error(maps + rim, maps, 0.0, margin=2) == 0


@pytest.mark.parametrize(
    "group", [cyclic(1), cyclic(3), C4, cyclic(8), dihedral(3), D4], ids=lambda group: group.name
)
def test_turn_features_at_the_group_s_own_angles_is_the_regular_action(group):
    z = noise(2, 3, group.order)
    for k in range(group.rotations):
        error = turn_features(group, z, 360 * k / group.rotations) - group.transform_features(z, k)
        assert error.abs().max() < 1e-12


@pytest.mark.parametrize("degrees", [-100.0, 20.0, 45.0])
def test_turn_features_shifts_band_limited_functions(degrees):
    """z(theta) -> z(theta - alpha), for frequencies below n / 2; the reflections have a function of their own."""
    angles = torch.arange(8, dtype=torch.float64) * torch.pi / 4

    def samples(at):
        return torch.cat([1 + at.cos() + (3 * at).sin(), (2 * at).cos() - 2])

    turned = turn_features(dihedral(8), samples(angles), degrees)
    assert (turned - samples(angles - torch.pi * degrees / 180)).abs().max() < 1e-12
    too_fast = turn_features(
        cyclic(8), (5 * angles).cos(), degrees
    )  # the must-fail twin: read as frequency 3
    if degrees % 45:
        assert (too_fast - (5 * (angles - torch.pi * degrees / 180)).cos()).abs().max() > 0.1


def test_turn_maps_of_one_feature_map_is_rotate():
    maps = noise(2, 3, 9, 9)
    assert torch.equal(turn_maps(maps, 33.0), rotate(maps, 33.0))


@pytest.mark.parametrize("group", [C4, D4, cyclic(8)], ids=lambda group: group.name)
def test_turn_maps_moves_the_group_axis_by_the_nearest_rotation(group):
    maps = noise(2, 3, group.order, 9, 9)
    for k in range(group.rotations):
        degrees = 360 * k / group.rotations
        moved = group.transform_features(maps.movedim(2, -1), k).movedim(-1, 2)
        assert (turn_maps(maps, degrees + 1, group) - rotate(moved, degrees + 1)).abs().max() < 1e-12
    if group.rotations == 4:
        assert torch.equal(turn_maps(maps, 90, group), group.transform_maps(maps, 1))


def test_nearest_element():
    assert [nearest_element(C4, angle) for angle in (0, 44, 46, 90, 180, 314, 316, -90, 720)] == [
        0, 0, 1, 1, 2, 3, 0, 3, 0,
    ]  # fmt: skip
    assert nearest_element(dihedral(4), 91) == 1
    assert nearest_element(cyclic(1), 170) == 0
    assert nearest_element(C4, 45) == 0
    assert nearest_element(C4, 135) == 2


# -- malformed input ---------------------------------------------------------------------------------------------

MALFORMED = {
    "no group": (
        lambda: equivariance_error(nn.Identity(), noise(1, 1, 4, 4)),
        ValueError,
        "group must be given, since model has no .group, got None",
    ),
    "group": (
        lambda: equivariance_error(abs, noise(4), "C4"),
        TypeError,
        "group must be a FiniteGroup, got 'C4'",
    ),
    "zero": (
        lambda: equivariance_error(lambda x: 0 * x, noise(2, 4), C4, C4.transform_features),
        ValueError,
        "model must not give zero everywhere",
    ),
    "shapes": (
        lambda: rotation_error(noise(1, 2, 8, 8), noise(1, 2, 9, 9), 90),
        ValueError,
        r"maps_of_turned must have the shape of maps, \(1, 2, 9, 9\), got .* \(1, 2, 8, 8\)",
    ),
    "oblong": (lambda: turn_maps(noise(1, 2, 8, 9), 90), ValueError, "maps must be square, got 8 x 9"),
    "zero maps": (
        lambda: rotation_error(noise(1, 1, 9, 9), torch.zeros(1, 1, 9, 9), 90),
        ValueError,
        "maps must not be zero everywhere inside the centred disc",
    ),
    "no axis": (
        lambda: turn_maps(noise(1, 4, 9, 9), 90, C4),
        ValueError,
        r"maps must have shape \(B, C, 4, H, W\) when a group is given, got .* \(1, 4, 9, 9\)",
    ),
    "z": (
        lambda: turn_features(C4, noise(2, 5), 90),
        ValueError,
        r"z must have 4 entries \(the order of C4\) on its last axis, got .* \(2, 5\)",
    ),
    "z list": (lambda: turn_features(C4, [1.0], 90), TypeError, r"z must be a Tensor, got \[1.0\]"),
    "z group": (lambda: turn_features(4, noise(4), 90), TypeError, "group must be a FiniteGroup, got 4"),
    "z angle": (
        lambda: turn_features(C4, noise(4), "90"),
        ValueError,
        "degrees must be a finite number, got '90'",
    ),
    "margin": (
        lambda: rotation_error(noise(1, 1, 9, 9), noise(1, 1, 9, 9), 90, margin=5),
        ValueError,
        r"margin must be a number of pixels 0 \.\. 4, got 5",
    ),
    "nearest": (lambda: nearest_element("C4", 90), TypeError, "group must be a FiniteGroup, got 'C4'"),
    "angle": (
        lambda: nearest_element(C4, float("nan")),
        ValueError,
        "degrees must be a finite number, got nan",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_input_is_named(as_a_user, case):
    call, error, message = MALFORMED[case]
    with pytest.raises(error, match=message):
        call()
