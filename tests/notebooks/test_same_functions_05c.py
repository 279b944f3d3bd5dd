"""What notebook 05c builds is the same function as the library's, on many more cases."""

import pytest
import torch

from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.permutations import move
from eqssl_edu.pretext import lift_parts

SOURCE = "05c_patches_and_tiles.py"
GROUPS = [cyclic(1), cyclic(2), cyclic(4), dihedral(1), dihedral(2), dihedral(4)]

over_groups = pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)


@over_groups
@pytest.mark.parametrize("n", [2, 3])
def test_moved_permutation(notebook, group, n):
    sigmas = [torch.randperm(n * n, generator=torch.Generator().manual_seed(s)) for s in range(20)]
    for g in group.elements:
        mine = torch.stack([notebook["moved_permutation"](sigma, group, n, g) for sigma in sigmas])
        assert torch.equal(mine, move(group, n, "conjugation", g, torch.stack(sigmas)))


@over_groups
@pytest.mark.parametrize("make", [GSet.grid, GSet.trivial])
def test_lift(notebook, group, make):
    places = make(group, 3)
    features = torch.randn(2, places.size, 5, group.order, generator=torch.Generator().manual_seed(0))
    assert torch.equal(notebook["lift"](features, places.action), lift_parts(features, places))


@over_groups
def test_a_pair_is_the_lift_of_parts_that_keep_their_places(notebook, group):
    first, second = torch.randn(2, 3, 5, group.order, generator=torch.Generator().manual_seed(0))
    both = lift_parts(torch.stack([first, second], dim=1), GSet.trivial(group, 2))
    assert torch.equal(notebook["pair"](first, second), both)
