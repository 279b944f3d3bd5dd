"""Pictures turned by any angle: exact at quarter turns, approximate elsewhere (E4), and the disc that stays."""

import math

import pytest
import torch

from eqssl_edu.groups import dihedral
from eqssl_edu.rotate import disc_mask, rotate


def noise(*shape):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def blob(size, column, row, width=3.0):
    """A smooth picture: a Gaussian at (column, row), in pixels from the centre, rows counted upwards."""
    axis = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    return torch.exp(-((axis[None, :] - column) ** 2 + (-axis[:, None] - row) ** 2) / (2 * width**2))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64], ids=str)
def test_rotate_is_exact_at_quarter_turns(dtype):
    x = noise(2, 3, 6, 6).to(dtype)
    for turns in (-5, 0, 1, 2, 3, 7):
        expected = torch.rot90(x, turns, dims=(-2, -1))
        assert torch.equal(rotate(x, 90 * turns), expected)
        assert torch.equal(rotate(x, torch.full((2,), 90.0 * turns)), expected)
    assert rotate(x, 0).untyped_storage().data_ptr() != x.untyped_storage().data_ptr()


def test_rotate_is_exact_for_those_samples_that_turn_by_quarters():
    x, degrees = noise(4, 3, 6, 6), torch.tensor([90.0, 33.0, -90.0, 180.0])
    turned = rotate(x, degrees)
    for i, turns in {0: 1, 2: -1, 3: 2}.items():
        assert torch.equal(turned[i], torch.rot90(x[i], turns, dims=(-2, -1)))


def test_rotate_turns_half_circles_of_any_picture_exactly():
    x = noise(2, 4, 6)
    assert torch.equal(rotate(x, 180), x.flip(-1, -2))
    assert torch.equal(rotate(x, torch.tensor([180.0, -180.0])), x.flip(-1, -2))


def test_rotate_turns_counter_clockwise():
    """A spot right of the centre goes up by a small angle, and near 90 degrees rotate agrees with rot90."""
    spot = blob(33, 5, 0)
    angle = math.radians(20)
    expected = blob(33, 5 * math.cos(angle), 5 * math.sin(angle))
    assert (rotate(spot, 20) - expected).abs().max() < 0.03
    assert (rotate(spot, -20) - expected).abs().max() > 0.3  # the must-fail twin
    assert (rotate(spot, 89.9) - torch.rot90(spot)).abs().max() < 0.01


@pytest.mark.parametrize("shape", [(4, 9, 9), (4, 2, 9, 9), (4, 2, 3, 9, 7)])
def test_rotate_by_an_angle_per_sample(shape):
    x, degrees = noise(*shape), torch.tensor([0.0, 90.0, 13.0, -200.0])
    alone = torch.stack([rotate(sample, float(angle)) for sample, angle in zip(x, degrees, strict=True)])
    assert (rotate(x, degrees) - alone).abs().max() < 1e-12


@pytest.mark.parametrize("angle", [10.0, 45.0, 100.0])
def test_e4_rotate_back_restores_smooth_pictures_only(angle):
    """E4: off the grid the error is set by the band limit of the picture: small for a blob, large for noise."""
    mask = disc_mask(33)

    def error(x):
        return ((rotate(rotate(x, angle), -angle) - x) * mask).norm() / (x * mask).norm()

    assert error(blob(33, 4, 3)) < 0.04
    assert error(noise(33, 33)) > 0.2


def test_rotate_composes_on_smooth_pictures():
    x = blob(33, 4, 3)
    assert (rotate(rotate(x, 30), 60) - torch.rot90(x)).abs().max() < 0.05


def test_rotate_keeps_shapes_in_pictures_that_are_not_square():
    """The same as turning the square picture around it: one pixel is as wide as it is high."""
    square = torch.zeros(10, 10, dtype=torch.float64)
    square[2:8] = noise(6, 10)
    assert (rotate(square[2:8], 30.0) - rotate(square, 30.0)[2:8]).abs().max() < 1e-12


def test_rotate_in_half_precision_is_off_by_rounding_alone():
    x, dtype = blob(33, 4, 3), torch.bfloat16
    error = (rotate(x.to(dtype), 37.0).double() - rotate(x, 37.0)).abs().max()
    assert error < 2 * torch.finfo(dtype).eps


def test_rotate_lets_gradients_flow():
    degrees = torch.tensor([90.0, 20.0], dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: rotate(x, degrees), noise(2, 1, 4, 4).requires_grad_())
    assert torch.autograd.gradcheck(lambda x: rotate(x, 20.0), noise(4, 4).requires_grad_())


@pytest.mark.parametrize("size", [3, 8, 9])
def test_disc_mask_is_what_no_rotation_moves_out(size):
    mask, white = disc_mask(size), torch.ones(size, size, dtype=torch.float64)
    for angle in (15.0, 45.0, 77.0):
        assert (rotate(white, angle)[mask] - 1).abs().max() < 1e-6
    for g in dihedral(4).elements:
        assert torch.equal(dihedral(4).transform(mask, g), mask)
    if size > 3:
        assert rotate(white, 45.0)[~mask].min() < 0.5  # the corners leave the picture
        assert disc_mask(size, margin=1).sum() < mask.sum()
        assert not disc_mask(size, margin=1)[[0, -1]].any()


def test_an_angle_first_seen_in_inference_mode_can_be_differentiated_later():
    with torch.inference_mode():
        rotate(torch.ones(1, 5, 5), 33.25)
    images = torch.ones(1, 5, 5, requires_grad=True)
    rotate(images, 33.25).sum().backward()
    assert images.grad.abs().sum() > 0


def test_a_mask_may_be_written_to():
    disc_mask(9)[:] = False
    assert disc_mask(9).any()
