"""Equivariance errors: what they measure, at the group's elements and at any angle."""

import pytest
import torch
from torch import nn

from eqssl_edu.diagnostics import equivariance_error, rotation_error
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


def test_an_equivariant_encoder_has_no_error(encoder):
    for training in (True, False):
        errors = equivariance_error(encoder.train(training), noise(4, 1, 9, 9))
        assert errors.shape == (8,) and errors.max() < 1e-12 and not errors.requires_grad


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


# -- any angle ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("degrees", [-90.0, 90.0, 180.0])
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


def test_e4_off_the_grid_the_error_is_set_by_the_band_limit():
    """E4: a round kernel commutes with every rotation as far as picture and kernel are smooth."""
    kernel = gaussian(9, 1.5)[None, None]

    def error(x):
        filtered, of_turned = (torch.nn.functional.conv2d(y, kernel) for y in (x, rotate(x, 20.0)))
        return rotation_error(of_turned, filtered, 20.0)

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
