"""What the student writes in notebook 09, solved, is what the library has: values, gradients, and the turn."""

import pytest
import torch
from same import assert_same, noise

from eqssl_edu.circle import AngleHead, so2, turn_arrows, turn_features, von_mises_loss

SOURCE = "09_*.py"


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
