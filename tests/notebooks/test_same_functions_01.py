"""What a student of notebook 01 writes is what the library does, over many groups."""

import pytest
import torch

from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet

SOURCE = "01*.py"
GRIDS = [cyclic(1), cyclic(2), cyclic(4), dihedral(1), dihedral(2), dihedral(4)]
GROUPS = [*GRIDS, cyclic(5), dihedral(3), dihedral(6)]

over_groups = pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
over_grids = pytest.mark.parametrize("group", GRIDS, ids=lambda group: group.name)


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@over_grids
def test_cayley_table(notebook, group):
    assert notebook["cayley_table"](group, noise(4, 4)) == group.product.tolist()


@over_groups
def test_promises(notebook, group):
    is_group, product = notebook["is_group"], group.product
    assert is_group(product)
    for g in range(1, group.order):
        assert not is_group(product.roll(g, dims=0))  # the rows belong to other elements
    assert not is_group(product + 1)


@over_groups
def test_orbits(notebook, group):
    sets = [GSet.regular(group), GSet.trivial(group, 5), GSet.regular(group).times(GSet.trivial(group, 2))]
    sets += [GSet.quotient(group, subgroup) for subgroup in group.subgroups()]
    for labels in sets:
        assert [tuple(orbit) for orbit in notebook["orbits"](labels.action)] == labels.orbits


@over_groups
def test_regular_action(notebook, group):
    z = noise(2, 3, group.order)
    for g in group.elements:
        assert torch.equal(notebook["regular_action"](z, g, group), group.transform_features(z, g))


def test_a_product_of_pairs_moves_images_as_one_after_the_other(notebook):
    """On images that go on at the opposite border, for all pairs of elements of p4m and a few shifts."""
    group, image = dihedral(4), noise(7, 7)
    turn, flip = torch.tensor([[0, -1], [1, 0]]), torch.tensor([[1, 0], [0, -1]])
    matrices = [torch.matrix_power(turn, g % 4) @ (flip if g >= 4 else torch.eye(2).long()) for g in range(8)]

    def moved(pair, x):
        shift, matrix = pair
        g = next(g for g in group.elements if torch.equal(matrices[g], matrix))
        return group.transform(x, g).roll(shift.tolist(), (0, 1))

    for first in matrices:
        for second in matrices:
            a, b = (torch.tensor([1, 3]), first), (torch.tensor([-2, 2]), second)
            assert torch.equal(moved(notebook["compose"](a, b), image), moved(a, moved(b, image)))
