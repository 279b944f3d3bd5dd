"""A11, A17, A18: over SO(2) and O(2) the orbit correlation is a wave in the angle, made of one cross spectrum."""

import numpy as np
import pytest
import torch
from families import by_name, circle_features, features

from eqssl_edu.circle import circle_correlation, cross_spectrum, o2, so2, spectrum, turn_features
from eqssl_edu.circle.correlation import (
    all_around,
    coefficients,
    limited,
    own_coefficients,
    turned_back,
    turned_waves,
    waves,
)
from eqssl_edu.contrastive import orbit_correlation
from eqssl_edu.contrastive.features import unit
from eqssl_edu.groups import cyclic, dihedral

GROUPS = [so2(3), so2(2, samples=5), o2(2), o2(3, samples=9)]
over_circles = pytest.mark.parametrize("group", GROUPS, ids=repr)
ANGLES = torch.tensor([0.0, 17, 31.5, 90, 181, 359], dtype=torch.float64)


def two_units(group, counts=(5, 4), channels=3):
    return [unit(circle_features(group, count, channels, seed)) for seed, count in enumerate(counts)]


def by_definition(group, z, w, angles):
    """<z, rho(theta) w>, and <z, rho(theta) m w> for O(2): the copies are made."""
    copies = [w, group.transform_features(w, group.rotations)] if group.reflections else [w]
    turned = [turn_features(group, copy, float(angle)) for copy in copies for angle in angles]
    return torch.stack([z.flatten(1) @ each.flatten(1).T for each in turned], dim=2)


@over_circles
def test_A11_kappa_is_a_wave(group):
    """And A18: with reflections a second one."""
    z, w = two_units(group)
    kappa = circle_correlation(group, z, w, ANGLES)
    assert kappa.shape == (5, 4, len(ANGLES) * (1 + group.reflections))
    assert (kappa - by_definition(group, z, w, ANGLES)).abs().max() < 2e-15


@over_circles
def test_A11_and_A18_the_cross_spectrum(group):
    z, w = two_units(group)
    k = cross_spectrum(group, z, w)
    spectra = spectrum(group, z)[:, None], spectrum(group, w)[None]
    first = (spectra[0] * spectra[1].conj()).sum(dim=(2, 3)) / group.rotations
    assert (k[:, :, 0] - first).abs().max() < 2e-15
    if group.reflections:
        second = (spectra[0] * spectra[1].flip(3)).sum(dim=(2, 3)) / group.rotations
        assert (k[:, :, 1] - second).abs().max() < 2e-15
    m, angles = torch.arange(group.frequency + 1), ANGLES.deg2rad()
    weight = torch.where(m > 0, 2.0, 1.0).double()
    wave = torch.einsum("ijhm,mt->ijht", weight * k, torch.exp(1j * m[:, None] * angles)).real
    assert (circle_correlation(group, z, w, ANGLES) - wave.flatten(2)).abs().max() < 2e-15


@pytest.mark.parametrize(
    ("group", "finite"),
    [
        (so2(3), cyclic(8)),
        (so2(2, samples=5), cyclic(5)),
        (o2(3), dihedral(8)),
        (o2(2, samples=7), dihedral(7)),
    ],
    **by_name,
)
def test_A11_and_A18_the_orbit_correlation_of_the_finite_group_samples_it(group, finite):
    z, w = two_units(group)
    angles = 360 * torch.arange(group.rotations, dtype=torch.float64) / group.rotations
    samples = orbit_correlation(finite, z, w)
    assert (circle_correlation(group, z, w, angles) - samples).abs().max() < 2e-15
    assert (orbit_correlation(group, z, w) - samples).abs().max() < 2e-15


def test_A11_independent_turns_shift_it():
    """kappa(rho(a) z, rho(b) w)(theta) = kappa(z, w)(theta + b - a), and no |K_m| changes."""
    group, a, b = so2(3), 17.0, 31.5
    z, w = two_units(group)
    turned = turn_features(group, z, a), turn_features(group, w, b)
    shifted = circle_correlation(group, z, w, ANGLES + b - a)
    assert (circle_correlation(group, *turned, ANGLES) - shifted).abs().max() < 2e-15
    change = cross_spectrum(group, *turned).abs() - cross_spectrum(group, z, w).abs()
    assert change.abs().max() < 2e-15
    # The must-fail twin: the other sense.
    assert (
        circle_correlation(group, *turned, ANGLES) - circle_correlation(group, z, w, ANGLES + a - b)
    ).abs().max() > 0.1


def test_A18_a_flip_of_one_side_exchanges_the_circles():
    group = o2(3)
    z, w = two_units(group)
    flipped = group.transform_features(w, group.rotations)
    turns, flips = circle_correlation(group, z, w, ANGLES).chunk(2, dim=2)
    again = circle_correlation(group, z, flipped, ANGLES)
    assert (again - torch.cat([flips, turns], dim=2)).abs().max() < 2e-15


def test_A18_the_second_circle_takes_no_conjugate():
    """The must-fail twin."""
    group = o2(3)
    z, w = two_units(group)
    spectra = spectrum(group, z)[:, None], spectrum(group, w)[None]
    wrong = (spectra[0] * spectra[1].flip(3).conj()).sum(dim=(2, 3)) / group.rotations
    assert (cross_spectrum(group, z, w)[:, :, 1] - wrong).abs().max() > 0.1


@over_circles
def test_what_lies_above_the_band_limit_does_not_count(group):
    z, w = features(group, 5), features(group, 4, seed=1)
    kept = circle_correlation(group, limited(group, z), limited(group, w), ANGLES)
    assert (circle_correlation(group, z, w, ANGLES) - kept).abs().max() < 1e-13


def test_A17_the_multiplications_of_a_pair():
    """C (1 + 4 L) + N (2 L + 1) against C n^2 for C_n: 376 against 1024. (Zeros at frequency 0 add 3 C + N.)"""
    group, channels, points = so2(3), 16, 24
    z = waves(group, circle_features(group, 4, channels))
    turned, grid = turned_waves(group, z), all_around(coefficients(group, z, z), points)
    assert turned[0, :, :, 0].numel() == channels * (1 + 4 * 3) + 3 * channels
    assert grid.shape[1] == points and coefficients(group, z, z)[..., 0, 0].numel() == (2 * 3 + 1) + 1
    assert (channels * (1 + 4 * 3) + points * (2 * 3 + 1), channels * 8**2) == (376, 1024)
    assert (coefficients(group, z, z)[:, 0, 1] == 0).all() and (turned[:, 0, 0, :, channels:] == 0).all()


@over_circles
def test_own_pairs_are_the_diagonal_and_the_way_back_is_the_transpose(group):
    z, w = (waves(group, circle_features(group, 5, seed=seed)) for seed in (0, 1))
    diagonal = coefficients(group, z, w).diagonal(dim1=3, dim2=4)
    assert (own_coefficients(group, z, w) - diagonal).abs().max() < 1e-13
    turned = turned_waves(group, z)
    share = torch.randn(turned.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert ((share * turned).sum() - (turned_back(group, share) * z).sum()).abs() < 1e-11


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_single_precision_at_least(dtype):
    group = so2(3)
    z = circle_features(group, 5).to(dtype)
    kappa = circle_correlation(group, z, z, ANGLES)
    assert kappa.dtype == torch.float32
    assert np.allclose(kappa, circle_correlation(group, z.double(), z.double(), ANGLES), atol=1e-4)


def test_strides_empty_batches_and_gradients():
    group, angles = so2(3), ANGLES
    z = circle_features(group, 5).requires_grad_()
    strided = torch.stack([z, z], -1)[..., 0]
    assert torch.equal(circle_correlation(group, strided, z, angles), circle_correlation(group, z, z, angles))
    assert circle_correlation(group, z[:0], z, angles).shape == (0, 5, 6)
    assert circle_correlation(group, z, z, angles[:0]).shape == (5, 5, 0)
    other = z.detach()[:2].clone()
    assert torch.autograd.gradcheck(lambda x: circle_correlation(group, x, other, angles[:2]), z[:3])
