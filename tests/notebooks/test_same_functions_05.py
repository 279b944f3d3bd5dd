"""What notebooks 05 and 05b build is the same function as the library's, on many more cases."""

import pytest
import torch

from eqssl_edu.encoders import SymmetrizedEncoder
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import GSetHead
from eqssl_edu.pretext import RotationTask, image_caps

SOURCE = "05[_b]*.py"
GROUPS = [cyclic(1), cyclic(2), cyclic(4), dihedral(1), dihedral(2), dihedral(4)]

over_groups = pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)


def noise(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", ["regular", "neighbours", "jigsaw", "grid"])
@over_groups
def test_head(notebook, group, kind):
    labels = {
        "regular": GSet.regular(group),
        "neighbours": GSet.neighbours(group),
        "jigsaw": GSet.jigsaw(group, 2),
        "grid": GSet.grid(group, 3),
    }[kind]
    head, features = GSetHead(labels, 3).double(), noise(2, 3, group.order)
    with torch.no_grad():
        head.bias.copy_(noise(len(labels.orbits)))  # a bias that is zero would hide a mistake
    logits = notebook["universal_logits"](features, head.weight, labels) + head.bias[labels.orbit_index]
    torch.testing.assert_close(logits, head(features), rtol=0, atol=1e-12)


@over_groups
def test_turned_logits(notebook, group):
    scorer = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(36, 1)).double()
    images = noise(3, 1, 6, 6)
    mine = notebook["turned_logits"](lambda x: scorer(x).flatten(), images, group)
    torch.testing.assert_close(mine, SymmetrizedEncoder(group, scorer)(images)[:, 0], rtol=0, atol=1e-12)


@over_groups
def test_coset_labels(notebook, group):
    for subgroup in group.subgroups():
        labels = notebook["coset_labels"](group, subgroup)
        cosets = [tuple(t for t in group.elements if labels[t] == label) for label in dict.fromkeys(labels)]
        assert sorted(cosets) == sorted(map(tuple, group.left_cosets(subgroup)))


@over_groups
def test_image_cap(notebook, group):
    for subgroup in dihedral(4).subgroups():
        image = torch.stack([dihedral(4).transform(noise(1, 8, 8).round(decimals=3), h) for h in subgroup])
        image = image.sum(dim=0).round(decimals=3)
        cap = image_caps(RotationTask(group), image[None])
        assert float(cap) == notebook["image_cap"](image, group)
