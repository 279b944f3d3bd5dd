"""What the student writes in notebooks 07 and 07b, solved, is what the library has: on many more cases."""

import pytest
import torch
import torch.nn.functional as F
from same import assert_same, noise, over_groups

from eqssl_edu.contrastive import InfoNCE, orbit_correlation
from eqssl_edu.groups import cyclic

SOURCE = "07[_b]*.py"


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
