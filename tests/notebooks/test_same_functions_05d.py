"""What notebooks 05d and 05e build agrees with the library, on many more cases."""

import pytest
import torch

from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.lessons import notebook_05d, notebook_05e
from eqssl_edu.permutations import action_table
from eqssl_edu.theory import inconsistency_floor, law_floor

SOURCE = "05[de]*.py"
GROUPS = [cyclic(1), cyclic(2), cyclic(4), dihedral(1), dihedral(2), dihedral(4)]

over_groups = pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)


def test_conditional_entropy(notebook):
    draws = torch.Generator().manual_seed(0)
    for _ in range(20):
        counts = torch.randint(0, 5, (4, 3), generator=draws).double()
        counts[:, 0] += 1
        assert abs(float(notebook["conditional_entropy"](counts)) - law_floor(counts).nats) < 1e-12


@pytest.mark.parametrize("action", ["conjugation", "left", "trivial"])
@over_groups
def test_mixed_counts(notebook, group, action):
    true, assumed = GSet.jigsaw(group, 2), GSet.jigsaw(group, 2, action)
    for H in group.subgroups():
        counts = notebook["mixed_counts"](true, assumed, H).double()
        assert torch.equal(counts, notebook_05d.mixed_counts(true, assumed, H))
        floor, mine = inconsistency_floor(true, assumed, H), law_floor(counts)
        assert abs(mine.nats - floor.nats) < 1e-12 and abs(mine.accuracy - floor.accuracy) < 1e-12


@over_groups
def test_closed(notebook, group):
    some = GSet.jigsaw(cyclic(1), 2).permutations[[1, 2, 9]]
    mine = notebook["closed"](some, group, 2)
    assert torch.equal(mine, notebook_05e.closed(some, group, 2))
    action_table(group, 2, "conjugation", mine)  # or it would say what is missing


@over_groups
@pytest.mark.parametrize("make", [GSet.grid, GSet.jigsaw])
def test_action_by_looking(notebook, group, make):
    labels = GSet.grid(group, 5) if make == GSet.grid else GSet.regular(group)
    pictures = torch.eye(25).reshape(25, 5, 5)
    if make == GSet.jigsaw:  # a picture without any symmetry, and its copies
        pictures = torch.stack([group.transform(torch.arange(16.0).reshape(4, 4), g) for g in group.elements])
    assert torch.equal(notebook["action_by_looking"](pictures, group), labels.action)


def test_the_light_of_one_side_is_the_turned_light_of_the_next(notebook):
    notebook["C4"] = notebook["cyclic"](4)
    images = torch.rand(4, 1, 6, 6)
    lit = notebook["light"](images, torch.arange(4))
    assert lit[0, 0, 0].mean() > images[0, 0, 0].mean() + 0.9  # the top
    turned = notebook["C4"].transform(notebook["light"](images[:1], torch.tensor([0])), 1)
    torch.testing.assert_close(
        turned, notebook["light"](notebook["C4"].transform(images[:1], 1), torch.tensor([1]))
    )
