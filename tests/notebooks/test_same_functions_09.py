"""What the student writes in notebooks 09 and 09b, solved, is what the library has: values, gradients, and the turn."""

import pytest
import torch
from same import assert_same, noise

from eqssl_edu.circle import AngleHead, circle_correlation, so2, turn_arrows, turn_features, von_mises_loss

SOURCE = "09[_b]*.py"


@pytest.mark.parametrize("length", [1e-3, 1.0, 900.0])
def test_von_mises(notebook, length):
    degrees = 200 * noise(9, seed=1)
    assert_same(
        lambda o: notebook["von_mises"](o, degrees),
        lambda o: von_mises_loss(o, degrees),
        length * noise(9, 2),
    )


def test_an_arrow_of_no_length_has_no_loss_and_a_slope(notebook):
    o = torch.zeros(4, 2, dtype=torch.float64, requires_grad=True)
    degrees = 90 * noise(4)
    losses = notebook["von_mises"](o, degrees)
    [slope] = torch.autograd.grad(losses.sum(), o)
    assert losses.abs().max() < 1e-15 and (slope.norm(dim=1) - 1).abs().max() < 1e-12


@pytest.mark.parametrize("k", [0, 1, 2, 3])
@pytest.mark.parametrize("samples", [7, 8, 11])
def test_arrow(notebook, samples, k):
    group = so2(3, samples=samples)
    head = AngleHead(group, 5, k).double()
    weight = torch.view_as_complex(head.weight.detach()[:, 0])
    assert_same(lambda z: notebook["arrow"](z, weight, k), head, noise(4, 5, samples))
    z = noise(4, 5, samples)
    turned = notebook["arrow"](turn_features(group, z, 37.0), weight, k)
    torch.testing.assert_close(
        turned, turn_arrows(notebook["arrow"](z, weight, k), 37.0, k), rtol=0, atol=1e-12
    )
    if k:  # must fail: the other sense
        wrong = turn_arrows(notebook["arrow"](z, weight, k), -37.0, k)
        assert (turned - wrong).abs().max() > 0.1


@pytest.mark.parametrize("samples", [7, 8, 11])
def test_kappa(notebook, samples):
    """On features without frequencies above L, at any angle; and a turn of both slides it."""
    group, angles = so2(3, samples=samples), torch.tensor([0.0, 11.0, 123.4, 300.0], dtype=torch.float64)
    z, w = (_limited(noise(5, samples, seed=seed), group) for seed in (0, 1))
    assert_same(
        lambda z: notebook["kappa"](z, w, angles),
        lambda z: circle_correlation(group, z[None], w[None], angles)[0, 0],
        z,
    )
    turned = [turn_features(group, x, a) for x, a in ((z, 50.0), (w, 130.0))]
    slid, other = (notebook["kappa"](z, w, angles + s * 80.0) for s in (1, -1))
    torch.testing.assert_close(notebook["kappa"](*turned, angles), slid, rtol=0, atol=1e-12)
    assert (slid - other).abs().max() > 0.1  # must fail: the other sense


def _limited(z, group):
    kept = torch.fft.rfft(z)
    kept[:, group.frequency + 1 :] = 0
    return torch.fft.irfft(kept, n=group.rotations)


def test_angle_curve(notebook):
    """Of a network that says a constant, it is the distance to it."""
    degrees = torch.arange(0.0, 360, 30)
    constant = torch.tensor([[0.0, 2.0]]).expand(3, 2)  # 90 degrees
    said = notebook["angle_curve"](lambda x: constant, lambda x, a: x, torch.zeros(3, 1, 4, 4), degrees)
    away = (degrees - 90).abs()
    torch.testing.assert_close(said, torch.minimum(away, 360 - away), rtol=0, atol=1e-4)
