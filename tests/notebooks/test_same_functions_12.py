"""The functions that notebook 12 builds are the lesson's, over several groups."""

import pytest
import torch
from same import noise

from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.lessons import notebook_12 as lesson

SOURCE = "12_your_own_data.py"
GROUPS = pytest.mark.parametrize(
    "group", [cyclic(2), cyclic(4), dihedral(1), dihedral(4)], ids=lambda G: G.name
)


@GROUPS
def test_hits(notebook, group):
    images, coins, weight = noise(40, 2, 5, 5), noise(40, seed=1) > 0, noise(50, group.order, seed=2)

    def scores(x):
        return x.flatten(1) @ weight

    for g in group.elements[1:]:
        mine = notebook["hits"](group, g, images, coins, scores)
        assert mine == lesson.library_hits(group, g, images, coins, scores)


@GROUPS
def test_symmetry(notebook, group):
    for number in range(2 ** (group.order - 1)):
        told = [g for g in group.elements[1:] if number >> (g - 1) & 1]
        mine, theirs = notebook["symmetry"](group, told), lesson.library_symmetry(group, told)
        assert len(mine) == len(theirs) and group.subgroup(mine) == tuple(mine)
        assert not {*mine, *theirs} & set(told)


def test_what_a_set_has_is_a_subgroup():
    """If the law of X is kept by g and by h it is kept by gh: of a set that is closed under some elements."""
    group = dihedral(4)
    for pair in ((1, 4), (2, 5), (4, 6)):
        H = group.generate(pair)
        images = torch.stack([group.transform(noise(1, 1, 3, 3)[0], h) for h in H])
        kept = [
            g
            for g in group.elements
            if {tuple(x.flatten().tolist()) for x in group.transform(images, g)}
            == {tuple(x.flatten().tolist()) for x in images}
        ]
        assert tuple(kept) == H
