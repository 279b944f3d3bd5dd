"""What notebook 05 builds is the same function as the library's, on many more cases."""

import pytest
import torch

from eqssl_edu.encoders import SymmetrizedEncoder
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import GSetHead
from eqssl_edu.permutations import move
from eqssl_edu.pretext import JigsawTask, RelativeLocationTask, RotationTask, image_caps
from eqssl_edu.theory import inconsistency_floor

SOURCE = "05*.py"
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


@over_groups
@pytest.mark.parametrize("n", [2, 3])
def test_moved_permutation(notebook, group, n):
    sigmas = torch.stack(
        [torch.randperm(n * n, generator=torch.Generator().manual_seed(s)) for s in range(20)]
    )
    for g in group.elements:
        mine = torch.stack([notebook["moved_permutation"](sigma, group, n, g) for sigma in sigmas])
        assert torch.equal(mine, move(group, n, "conjugation", g, sigmas))


@pytest.mark.parametrize("n", [2, 3])
def test_shuffle(notebook, n):
    task = JigsawTask(cyclic(4), n, count=None if n == 2 else 24)
    image = noise(1, 1, 4 * n, 4 * n)
    for label, sigma in enumerate(task.labels.permutations.tolist()):
        mine = notebook["shuffle"](image[0, 0], sigma, n)
        assert torch.equal(mine, task.apply(image, torch.tensor([label]))[0, 0])


def test_two_patches(notebook):
    task, image = RelativeLocationTask(cyclic(4), patch=5, gap=0, jitter=0), noise(1, 1, 15, 15)
    for label in range(8):
        assert torch.equal(
            notebook["two_patches"](image[0, 0], label), task.apply(image, torch.tensor([label]))[0, :, 0]
        )


@pytest.mark.parametrize("action", ["conjugation", "left", "trivial"])
@over_groups
def test_price(notebook, group, action):
    true, assumed = GSet.jigsaw(group, 2), GSet.jigsaw(group, 2, action)
    for H in group.subgroups():
        nats, accuracy = notebook["price"](true, assumed, H)
        floor = inconsistency_floor(true, assumed, H)
        assert abs(nats - floor.nats) < 1e-12 and abs(accuracy - floor.accuracy) < 1e-12


@over_groups
def test_count_orbits(notebook, group):
    for labels in (GSet.regular(group), GSet.grid(group, 3), GSet.jigsaw(group, 2), GSet.trivial(group, 5)):
        assert notebook["count_orbits"](labels.action) == len(labels.orbits)


@over_groups
def test_commuting(notebook, group):
    """Burnside's count by cycle lengths is the number of orbits that are counted one by one."""
    total = sum(notebook["commuting"](positions) for positions in GSet.grid(group, 2).action)
    assert total == group.order * len(GSet.jigsaw(group, 2).orbits)
