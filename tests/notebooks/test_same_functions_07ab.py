"""What the student writes in notebooks 07 and 07b, solved, is what the library has: on many more cases."""

import pytest
import torch
import torch.nn.functional as F

from eqssl_edu.contrastive import InfoNCE, orbit_correlation
from eqssl_edu.groups import cyclic, dihedral

SOURCE = "07[_b]*.py"
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


@pytest.mark.parametrize("t", [0.05, 0.2, 2.0])
@pytest.mark.parametrize("group", [cyclic(1), cyclic(4)], ids=lambda group: group.name)
def test_info_nce(notebook, group, t):
    """Of vectors it is the library's plain loss, whatever the group."""
    assert_same(
        lambda z, w: notebook["info_nce"](z.flatten(1), w.flatten(1), t),
        InfoNCE(group, "plain", t),
        noise(6, 3, group.order),
        noise(6, 3, group.order, seed=1),
    )


def test_info_nce_is_the_mean_of_its_rows(notebook):
    z1, z2 = noise(4, 3), noise(4, 3, seed=1)
    z = F.normalize(torch.cat([z1, z2]))
    rows = [
        notebook["surprise"](torch.cat([z[:i], z[i + 1 :]]) @ z[i], (i + 4) % 8 - (i < 4), 0.2)
        for i in range(8)
    ]
    torch.testing.assert_close(
        notebook["info_nce"](z1, z2, 0.2), torch.stack(rows).mean(), rtol=1e-12, atol=0
    )


@over_groups
def test_kappa(notebook, group):
    assert_same(
        lambda z, w: notebook["kappa"](group, z, w),
        lambda z, w: orbit_correlation(group, z, w),
        noise(4, 3, group.order),
        noise(5, 3, group.order, seed=1),
    )


@over_groups
def test_the_turned_side_matters(notebook, group):
    """Must fail: kappa with z turned in place of w is another function where an inverse is another element."""
    z, w = noise(4, 3, group.order), noise(5, 3, group.order, seed=1)
    swapped = notebook["kappa"](group, w, z).transpose(0, 1)
    commutes = torch.equal(group.inverse, torch.arange(group.order))
    assert torch.allclose(swapped, orbit_correlation(group, z, w)) == commutes


@over_groups
def test_origin(notebook, group):
    z, w = noise(1, 3, group.order), noise(1, 3, group.order, seed=1)
    before = orbit_correlation(group, z, w)[0, 0]
    for a in group.elements:
        for b in group.elements:
            moved = group.transform_features(z, a), group.transform_features(w, b)
            places = [notebook["origin"](group, g, a, b) for g in group.elements]
            torch.testing.assert_close(
                orbit_correlation(group, *moved)[0, 0], before[places], rtol=0, atol=1e-12
            )
