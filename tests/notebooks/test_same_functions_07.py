"""The functions that notebook 07 builds are the same as the library's, over many groups, and so are their gradients."""

import pytest
import torch

from eqssl_edu.contrastive import orbit_correlation, orbit_similarity
from eqssl_edu.diagnostics import pooled_spread
from eqssl_edu.groups import cyclic, dihedral

SOURCE = "07_invariant_contrastive_loss.py"
GROUPS = [cyclic(1), cyclic(3), cyclic(4), cyclic(8), dihedral(1), dihedral(3), dihedral(4)]

over_groups = pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)


def noise(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def assert_same(mine, theirs, *inputs):
    """Equal values and equal gradients of every input, to 1e-12 of their size."""
    results = []
    for function in (mine, theirs):
        leaves = [x.clone().requires_grad_() for x in inputs]
        output = function(*leaves)
        weights = noise(1, *output.shape, seed=9)[0]
        results.append([output, *torch.autograd.grad((output * weights).sum(), leaves)])
    for ours, library in zip(*results, strict=True):
        torch.testing.assert_close(ours, library, rtol=1e-12, atol=1e-12)


@over_groups
def test_orbit_correlation(notebook, group):
    assert_same(
        lambda z, w: notebook["my_kappa"](group, z, w),
        lambda z, w: orbit_correlation(group, z, w),
        noise(4, 3, group.order),
        noise(5, 3, group.order, seed=1),
    )


@pytest.mark.parametrize("temperature", [0.05, 0.2, 2.0])
@pytest.mark.parametrize("kind", ["mean", "power2", "power3", "soft", "max"])
@over_groups
def test_family(notebook, group, kind, temperature):
    assert_same(
        lambda z, w: notebook["similarity"](orbit_correlation(group, z, w), kind, temperature),
        lambda z, w: orbit_similarity(group, z, w, kind, temperature),
        0.3 * noise(4, 3, group.order),
        0.3 * noise(5, 3, group.order, seed=1),
    )


@over_groups
def test_the_turned_side_matters(notebook, group):
    """Must fail: kappa with z turned in place of w is another function where an inverse is another element."""
    z, w = noise(4, 3, group.order), noise(5, 3, group.order, seed=1)
    swapped = notebook["my_kappa"](group, w, z).transpose(0, 1)
    commutes = torch.equal(group.inverse, torch.arange(group.order))
    assert torch.allclose(swapped, orbit_correlation(group, z, w)) == commutes


@over_groups
def test_origin(notebook, group):
    z, w = noise(1, 3, group.order), noise(1, 3, group.order, seed=1)
    before = orbit_correlation(group, z, w)[0, 0]
    for a in group.elements:
        for b in group.elements:
            after = orbit_correlation(group, group.transform_features(z, a), group.transform_features(w, b))[
                0, 0
            ]
            places = [notebook["origin"](group, g, a, b) for g in group.elements]
            torch.testing.assert_close(after, before[places], rtol=0, atol=1e-12)


@pytest.mark.parametrize("order", [1, 2, 4, 5, 8])
def test_power_spectrum(notebook, order):
    assert_same(
        notebook["power2_by_spectrum"],
        lambda z, w: orbit_similarity(cyclic(order), z[None], w[None], "power2")[0, 0],
        noise(3, order),
        noise(3, order, seed=1),
    )


@over_groups
def test_monitor(notebook, group):
    z = noise(20, 3, group.order)
    assert abs(float(notebook["monitor"](z)) - pooled_spread(group, z)) < 1e-12


def test_rephasing_keeps_the_power_spectrum_and_leaves_the_orbit(notebook):
    """Of the wheels: power2 cannot tell them apart at any angle, power3 and max can at all but 0 and 360."""
    group, z = cyclic(8), noise(1, 8)
    for degrees in range(0, 361, 45):
        w = notebook["rephased"](z, float(degrees))
        for kind in ("power2", "power3", "max"):
            own, other = (float(orbit_similarity(group, z[None], x[None], kind)) for x in (z, w))
            assert (abs(other - own) < 1e-12) == (kind == "power2" or degrees in (0, 360))
