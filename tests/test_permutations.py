"""Jigsaw permutations: the identity T8, the choice of permutations T10."""

import itertools
import math
import time

import pytest
import torch

from eqssl_edu import permutations as jigsaw
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet

C4, D4 = cyclic(4), dihedral(4)


def some_permutations(n, count=24, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.stack([torch.randperm(n * n, generator=generator) for _ in range(count)]).unique(dim=0)


def tile(image, n, position):
    """The tile at a row-major position of an image of n x n tiles (a view)."""
    side = len(image) // n
    row, column = divmod(int(position), n)
    return image[side * row : side * (row + 1), side * column : side * (column + 1)]


def move_tiles(image, n, permutation):
    """S_sigma x: the tile at position p goes to position sigma[p], not turned."""
    moved = torch.empty_like(image)
    for p in range(n * n):
        tile(moved, n, permutation[p])[:] = tile(image, n, p)
    return moved


def noise(size, seed=0):
    return torch.randn(size, size, generator=torch.Generator().manual_seed(seed))


def distances(permutations):
    """Smallest Hamming distance between two different rows."""
    distance = (permutations[:, None] != permutations[None, :]).sum(dim=2)
    return int(distance[~torch.eye(len(permutations), dtype=torch.bool)].min())


# -- T8 ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("group", [C4, dihedral(2), D4], ids=lambda group: group.name)
@pytest.mark.parametrize("n", [2, 3])
def test_t8_jigsaw_identity(group, n):
    """T8, bit for bit: g . S_s x = S_{pi s pi^-1} (g . x)."""
    image, permutations = noise(3 * n), some_permutations(n)
    for g in group.elements:
        moved = jigsaw.move(group, n, "conjugation", g, permutations)
        for before, after in zip(permutations, moved, strict=True):
            turned = group.transform(move_tiles(image, n, before), g)
            assert torch.equal(turned, move_tiles(group.transform(image, g), n, after))


@pytest.mark.parametrize("action", ["left", "trivial"])
@pytest.mark.parametrize("n", [2, 3])
def test_t8_holds_for_no_other_action(n, action):
    """The must-fail twin."""
    image, permutations = noise(3 * n), some_permutations(n)
    moved = jigsaw.move(D4, n, action, 1, permutations)
    for before, after in zip(permutations, moved, strict=True):
        if not torch.equal(after, jigsaw.move(D4, n, "conjugation", 1, before[None])[0]):
            turned = D4.transform(move_tiles(image, n, before), 1)
            assert not torch.equal(turned, move_tiles(D4.transform(image, 1), n, after))


@pytest.mark.parametrize("n", [2, 3])
def test_t8_left_action_names_places_in_the_upright_picture(n):
    """T8 (b): after a turn, the tile of the upright place p (turned) lies at position (pi s)[p]."""
    image, permutations = noise(3 * n), some_permutations(n)
    for g in D4.elements:
        moved = jigsaw.move(D4, n, "left", g, permutations)
        for before, after in zip(permutations, moved, strict=True):
            turned = D4.transform(move_tiles(image, n, before), g)
            for p in range(n * n):
                assert torch.equal(tile(turned, n, after[p]), D4.transform(tile(image, n, p), g))


@pytest.mark.parametrize("action", jigsaw.ACTIONS)
@pytest.mark.parametrize("n", [2, 3])
def test_moves_are_an_action(n, action):
    permutations = some_permutations(n)
    for g in D4.elements:
        for h in D4.elements:
            twice = jigsaw.move(D4, n, action, g, jigsaw.move(D4, n, action, h, permutations))
            assert torch.equal(twice, jigsaw.move(D4, n, action, int(D4.product[g, h]), permutations))


@pytest.mark.parametrize("action", jigsaw.ACTIONS)
def test_labels_are_the_permutations(action):
    """The G-set moves row numbers as ``move`` moves the permutations."""
    labels = GSet.jigsaw(D4, 2, action)
    assert len(labels.permutations.unique(dim=0)) == labels.size == 24
    for g in D4.elements:
        moved = jigsaw.move(D4, 2, action, g, labels.permutations)
        assert torch.equal(labels.permutations[labels.action[g]], moved)
    assert labels.names[0] == "0123"


# -- T10 ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["conjugation", "left"])
def test_t10_hamming_distance_does_not_see_the_action(action):
    first, second = some_permutations(3, 24), some_permutations(3, 24, seed=1)
    before = (first[:, None] != second[None, :]).sum(dim=2)
    for g in D4.elements:
        moved, other = (jigsaw.move(D4, 3, action, g, permutations) for permutations in (first, second))
        assert torch.equal((moved[:, None] != other[None, :]).sum(dim=2), before)


@pytest.mark.parametrize("count", [24, 104])
def test_t10_left_closed_sets_reach_distance_6(count):
    start = time.process_time()  # other programs of the machine do not count
    labels = GSet.jigsaw(D4, 3, "left", count=count)
    assert labels.size == count and time.process_time() - start < 5
    assert distances(labels.permutations) == 6
    assert all(len(orbit) == 8 for orbit in labels.orbits)


@pytest.mark.parametrize(("count", "distance"), [(26, 8), (68, 7)])
def test_t10_conjugation_closed_sets_reach_distances_8_and_7(count, distance):
    labels = GSet.jigsaw(D4, 3, "conjugation", count=count)
    assert count <= labels.size < count + 8
    assert distances(labels.permutations) >= distance


@pytest.mark.parametrize(
    ("n", "action", "least"),
    [(2, "conjugation", 3), (2, "conjugation", 4), (3, "conjugation", 8), (2, "left", 2), (3, "left", 6)],
)
def test_t10_min_distance_drops_orbits_that_are_close_to_themselves(n, action, least):
    labels = GSet.jigsaw(D4, n, action, count=2, min_distance=least)
    assert distances(labels.permutations) >= least
    for orbit in labels.orbits:
        assert len(orbit) == 1 or distances(labels.permutations[list(orbit)]) >= least


def test_t10_left_closed_sets_reach_no_more():
    """A reflection leaves three tiles of nine where they are: the members of an orbit differ in six."""
    with pytest.raises(ValueError, match="min_distance must leave count = 2 labels in whole orbits, got 0"):
        GSet.jigsaw(D4, 3, "left", count=2, min_distance=7)


def test_t10_min_distance_alone_takes_all_that_fits():
    """What is left outside comes too close: to itself, or to what was taken."""
    labels, everything = GSet.jigsaw(D4, 2, min_distance=3), GSet.jigsaw(D4, 2)
    taken = set(labels.names)
    assert 1 < labels.size < 24
    for orbit in everything.orbits:
        members = everything.permutations[list(orbit)]
        if everything.names[orbit[0]] in taken:
            assert taken.issuperset(everything.names[label] for label in orbit)  # whole orbits
        else:
            assert distances(torch.cat([members, labels.permutations])) < 3


def test_greedy_choice_is_max_min():
    """Each new orbit is one of the farthest that there are; written out on the 2 x 2 set."""
    everything, chosen = GSet.jigsaw(D4, 2), GSet.jigsaw(D4, 2, count=24)
    row = {name: i for i, name in enumerate(everything.names)}

    def worth(orbit, taken):
        members = everything.permutations[list(orbit)]
        inner = distances(members) if len(orbit) > 1 else 4
        if not taken:
            return inner
        return min(inner, int((members[:, None] != everything.permutations[taken]).sum(dim=2).min()))

    taken, left = [], list(everything.orbits)
    while len(taken) < 24:  # the labels come orbit by orbit, in the order in which they were taken
        orbit = next(orbit for orbit in chosen.orbits if len(taken) in orbit)
        members = tuple(sorted(row[chosen.names[label]] for label in orbit))
        assert worth(members, taken) == max(worth(other, taken) for other in left)
        taken += members
        left.remove(members)
    assert not left


def test_count_is_at_least_and_choices_repeat():
    for count in (1, 5, 24):
        labels = GSet.jigsaw(D4, 2, count=count)
        assert count <= labels.size < count + 8
        assert torch.equal(labels.permutations, GSet.jigsaw(D4, 2, count=count).permutations)


def test_trivial_action_takes_single_permutations():
    labels = GSet.jigsaw(D4, 3, "trivial", count=10)
    assert labels.size == 10 == len(labels.orbits)
    assert distances(labels.permutations) >= 8


@pytest.mark.parametrize("action", ["conjugation", "left"])
def test_t10_sets_that_are_not_closed_are_refused(action):
    """An equivariant head cannot even be defined on them: a random set, and a closed set that lost one label."""
    with pytest.raises(
        ValueError, match=rf"permutations must be closed under the {action} action of D4.* sends"
    ):
        jigsaw.action_table(D4, 3, action, some_permutations(3))
    closed = GSet.jigsaw(D4, 2, action)
    jigsaw.action_table(D4, 2, action, closed.permutations)
    lost = next(orbit[1] for orbit in closed.orbits if len(orbit) > 1)
    rest = [label for label in range(24) if label != lost]
    with pytest.raises(ValueError, match="out of the set"):
        jigsaw.action_table(D4, 2, action, closed.permutations[rest])


def test_t10_the_published_recipe_gives_sets_that_come_close_and_are_not_closed():
    """Greedy by the largest *mean* Hamming distance: some pairs come close, and turned labels are missing."""
    everything = torch.tensor(list(itertools.permutations(range(9))), dtype=torch.int8)
    for seed in range(2):
        chosen = [int(torch.randint(len(everything), (1,), generator=torch.Generator().manual_seed(seed)))]
        total = torch.zeros(len(everything), dtype=torch.int16)
        while len(chosen) < 104:
            total += (everything != everything[chosen[-1]]).sum(dim=1, dtype=torch.int16)
            total[chosen[-1]] = -(2**14)  # not again
            chosen.append(int(total.argmax()))
        for count in (24, 64, 104):
            permutations = everything[chosen[:count]].long()
            assert distances(permutations) < 6  # closed sets of these sizes reach 6 and more
            for group, action in itertools.product((C4, D4), ("conjugation", "left")):
                with pytest.raises(ValueError, match="must be closed"):
                    jigsaw.action_table(group, 3, action, permutations)


def test_changing_the_permutations_changes_no_later_set():
    GSet.jigsaw(C4, 2).permutations.zero_()
    assert math.factorial(4) == len(GSet.jigsaw(C4, 2).permutations.unique(dim=0))
