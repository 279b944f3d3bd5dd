"""G-sets: validation, orbits and stabilisers, counts by Burnside's lemma, products, THEORY section 3."""

import copy
import math
import pickle
from itertools import permutations as all_orders

import pytest
import torch
from families import side_by_side

from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet

C4, D4 = cyclic(4), dihedral(4)
SETS = {
    "C1": GSet.regular(cyclic(1)),
    "D3": GSet.regular(dihedral(3)),
    "D4 trivial": GSet.trivial(D4, 3),
    "D4/<m>": GSet.quotient(D4, (0, 4)),
    "D4/<r>": GSet.quotient(D4, (0, 1, 2, 3)),
    "C8/<r180>": GSet.quotient(cyclic(8), (0, 4)),
    "D4 grid 3": GSet.grid(D4, 3),
    "D2 grid 4": GSet.grid(dihedral(2), 4),
    "C4 neighbours": GSet.neighbours(C4),
    "C4 jigsaw": GSet.jigsaw(C4, 2),
    "D4 jigsaw": GSet.jigsaw(D4, 2),
    "D4 jigsaw left": GSet.jigsaw(D4, 2, "left"),
    "D4 product": GSet.neighbours(D4).times(GSet.grid(D4, 2)),
}


@pytest.fixture(params=SETS)
def labels(request):
    return SETS[request.param]


# -- the contract, for every set ---------------------------------------------------------------------------------


def test_action_axioms(labels):
    """e.l = l and (gh).l = g.(h.l), entry by entry."""
    group, action = labels.group, labels.action.tolist()
    product = group.product.tolist()
    assert action[0] == list(range(labels.size))
    assert len(labels.names) == labels.size
    for g in group.elements:
        for h in group.elements:
            assert action[product[g][h]] == [action[g][moved] for moved in action[h]]


def test_orbits_partition_the_labels(labels):
    assert sorted(label for orbit in labels.orbits for label in orbit) == list(range(labels.size))
    assert labels.is_transitive == (len(labels.orbits) == 1)
    for number, orbit in enumerate(labels.orbits):
        assert set(labels.action[:, orbit[0]].tolist()) == set(orbit)
        assert (labels.orbit_index[list(orbit)] == number).all()


def test_orbit_stabiliser(labels):
    """|orbit| |stabiliser| = |G|, and the stabiliser is a subgroup."""
    for orbit in labels.orbits:
        for label in orbit[:4]:
            stabilizer = labels.stabilizer(label)
            assert len(orbit) * len(stabilizer) == labels.group.order
            assert labels.group.subgroup(stabilizer) == stabilizer
            assert all(labels.action[g, label] == label for g in stabilizer)


def test_burnside(labels):
    """The number of orbits is the mean number of fixed labels."""
    fixed = (labels.action == torch.arange(labels.size)).sum()
    assert fixed == len(labels.orbits) * labels.group.order


def test_outputs_move_with_their_labels(labels):
    """A label-valued output: (g o)[g.l] = o[l], an action."""
    outputs = torch.randn(2, labels.size, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    for g in labels.group.elements:
        moved = labels.transform(outputs, g)
        assert torch.equal(moved[:, labels.action[g]], outputs)
        h = labels.group.order - 1
        assert torch.equal(
            labels.transform(moved, h), labels.transform(outputs, int(labels.group.product[h, g]))
        )


def test_act_on_labels(labels):
    """One element for all labels, or one for each."""
    every = torch.arange(labels.size)
    elements = every % labels.group.order
    for g in labels.group.elements:
        assert torch.equal(labels.act(g, every), labels.action[g])
    each = [int(labels.action[int(g), int(label)]) for g, label in zip(elements, every, strict=True)]
    assert labels.act(elements, every).tolist() == each


def test_copies_behave_the_same():
    labels = GSet.neighbours(D4)
    for clone in (copy.deepcopy(labels), pickle.loads(pickle.dumps(labels))):
        assert torch.equal(clone.action, labels.action)
        assert (clone.group, clone.names, clone.orbits) == (labels.group, labels.names, labels.orbits)


# -- what the standard sets are ----------------------------------------------------------------------------------


def test_t3_regular_set_is_the_group():
    labels = GSet.regular(D4)
    assert torch.equal(labels.action, D4.product)
    assert labels.is_transitive
    assert labels.stabilizer(5) == (0,)
    assert labels.names[:2] == ["e", "r90"]


def test_trivial_set_never_moves():
    labels = GSet.trivial(D4, 3)
    assert labels.orbits == [(0,), (1,), (2,)]
    assert labels.stabilizer(1) == tuple(D4.elements)


@pytest.mark.parametrize("group", [cyclic(8), dihedral(3), D4], ids=lambda group: group.name)
def test_quotient_is_the_action_on_cosets(group):
    for subgroup in group.subgroups():
        labels = GSet.quotient(group, subgroup)
        cosets = group.left_cosets(subgroup)
        assert labels.is_transitive
        assert labels.stabilizer(0) == subgroup
        for g in group.elements:
            for label, coset in enumerate(cosets):
                moved = {int(group.product[g, h]) for h in coset}
                assert moved == set(cosets[labels.action[g, label]])


@pytest.mark.parametrize("group", [C4, D4], ids=lambda group: group.name)
@pytest.mark.parametrize("n", [1, 2, 3])
def test_grid_positions_move_as_tiles_do(group, n):
    """The tile at position p (row-major) arrives, turned, at position g.p."""
    labels = GSet.grid(group, n)
    image = torch.randn(2 * n, 2 * n, generator=torch.Generator().manual_seed(0))

    def tile(picture, position):
        row, column = divmod(int(position), n)
        return picture[2 * row : 2 * row + 2, 2 * column : 2 * column + 2]

    for g in group.elements:
        turned = group.transform(image, g)
        for p in range(n * n):
            assert torch.equal(tile(turned, labels.action[g, p]), group.transform(tile(image, p), g))
    assert labels.names[0] == "row 0, column 0"


def test_grid_turns_counter_clockwise():
    """Row-major positions of a 2 x 2 grid: top right goes to top left."""
    assert GSet.grid(C4, 2).action[1].tolist() == [2, 0, 3, 1]
    assert GSet.grid(D4, 2).action[4].tolist() == [1, 0, 3, 2]


@pytest.mark.parametrize("group", [C4, D4], ids=lambda group: group.name)
def test_neighbours_are_the_grid_without_its_centre(group):
    labels, grid = GSet.neighbours(group), GSet.grid(group, 3)
    around = [p for p in range(9) if p != 4]
    for g in group.elements:
        assert [around[moved] for moved in labels.action[g].tolist()] == grid.action[g, around].tolist()
    assert labels.names[:4] == ["north-west", "north", "north-east", "west"]
    turned = {labels.names[i]: labels.names[int(labels.action[1, i])] for i in range(8)}  # counter-clockwise
    assert turned["north"] == "west" and turned["north-west"] == "south-west" and turned["east"] == "north"


# -- THEORY section 3: the table of label sets -------------------------------------------------------------------


def orbit_sizes(labels):
    return [len(orbit) for orbit in labels.orbits]


def test_table_rotation():
    """Under D4/<m>, of mirror-symmetric data: r.k = k + 1, m.k = -k; one regular orbit under C4."""
    assert orbit_sizes(GSet.regular(C4)) == [4]
    assert orbit_sizes(GSet.regular(D4)) == [8]
    labels = GSet.quotient(D4, (0, 4))
    assert labels.action[1].tolist() == [1, 2, 3, 0]
    assert labels.action[4].tolist() == [0, 3, 2, 1]
    assert orbit_sizes(labels) == [4]
    assert torch.equal(labels.action[:4], GSet.regular(C4).action)


def test_table_relative_patch_location():
    """Edges and corners: two regular orbits under C4, two orbits that are not isomorphic under D4."""
    for group in (C4, D4):
        labels = GSet.neighbours(group)
        assert labels.orbits == [(0, 2, 5, 7), (1, 3, 4, 6)]  # corners, edges
    under_c4, under_d4 = GSet.neighbours(C4), GSet.neighbours(D4)
    assert under_c4.stabilizer(0) == under_c4.stabilizer(1) == (0,)
    assert under_c4.isomorphic(0, 1)
    assert {under_d4.stabilizer(label) for label in (0, 2, 5, 7)} == {(0, 5), (0, 7)}  # diagonal reflections
    assert {under_d4.stabilizer(label) for label in (1, 3, 4, 6)} == {(0, 4), (0, 6)}
    assert not under_d4.isomorphic(0, 1)
    assert under_d4.isomorphic(0, 2)


@pytest.mark.parametrize(
    ("group", "action", "sizes"),
    [
        (C4, "left", 6 * [4]),
        (D4, "left", 3 * [8]),
        (D4, "conjugation", [1, 1, 2, 2, 2, 4, 4, 8]),
        (C4, "trivial", 24 * [1]),
    ],
)
def test_table_jigsaw_2x2(group, action, sizes):
    labels = GSet.jigsaw(group, 2, action)
    assert labels.size == 24
    assert sorted(orbit_sizes(labels)) == sizes
    assert len(GSet.jigsaw(C4, 2, "conjugation").orbits) == 10


def cycle_type(permutation):
    """Lengths of the cycles of a permutation, given as a list."""
    left, lengths = set(range(len(permutation))), []
    while left:
        start = at = left.pop()
        length = 1
        while (at := permutation[at]) != start:
            left.discard(at)
            length += 1
        lengths.append(length)
    return lengths


def orbits_by_burnside(group, n, action):
    """Orbits of all permutations of n x n tiles, by counting what each element fixes; no set is built.

    Conjugation by pi fixes what commutes with pi: the product over cycle lengths k of k^m m!, with m cycles of
    length k. A left product fixes nothing, unless pi is the identity.
    """
    fixed = 0
    for positions in GSet.grid(group, n).action.tolist():
        lengths = cycle_type(positions)
        if action == "conjugation":
            fixed += math.prod(k ** lengths.count(k) * math.factorial(lengths.count(k)) for k in set(lengths))
        elif positions == sorted(positions):
            fixed += math.factorial(n * n)
    assert fixed % group.order == 0
    return fixed // group.order


@pytest.mark.parametrize("group", [C4, dihedral(2), D4], ids=lambda group: group.name)
@pytest.mark.parametrize("action", ["conjugation", "left"])
def test_burnside_agrees_with_enumeration_on_2x2(group, action):
    assert orbits_by_burnside(group, 2, action) == len(GSet.jigsaw(group, 2, action).orbits)


@pytest.mark.parametrize(
    ("group", "action", "count"),
    [(C4, "conjugation", 90_832), (C4, "left", 90_720), (D4, "conjugation", 45_560), (D4, "left", 45_360)],
)
def test_table_jigsaw_3x3(group, action, count):
    assert orbits_by_burnside(group, 3, action) == count


# -- isomorphic orbits, products ---------------------------------------------------------------------------------


def equivariant_bijection_exists(labels, first, second):
    """Brute force over all bijections of two orbits."""
    group = labels.group
    if len(first) != len(second):
        return False
    for images in all_orders(second):
        f = dict(zip(first, images, strict=True))
        if all(f[int(labels.action[g, x])] == labels.action[g, f[x]] for g in group.elements for x in first):
            return True
    return False


@pytest.mark.parametrize(
    "labels",
    [
        GSet.neighbours(D4),
        side_by_side(GSet.grid(D4, 3), GSet.quotient(D4, (0, 2))),
        side_by_side(*(GSet.quotient(D4, (0, m)) for m in (4, 6, 7))),
        side_by_side(GSet.trivial(C4, 2), GSet.regular(C4)),
    ],
    ids=repr,
)
def test_isomorphic_orbits_by_brute_force(labels):
    for first in labels.orbits:
        for second in labels.orbits:
            expected = equivariant_bijection_exists(labels, first, second)
            assert labels.isomorphic(first[0], second[-1]) == expected


@pytest.mark.parametrize("group", [C4, D4], ids=lambda group: group.name)
def test_product_moves_both(group):
    first, second = GSet.neighbours(group), GSet.grid(group, 2)
    pairs = first.times(second)
    for g in group.elements:
        for a in range(first.size):
            for b in range(second.size):
                assert pairs.action[g, a * 4 + b] == first.action[g, a] * 4 + second.action[g, b]
    assert pairs.names[4 + 1] == "north; row 0, column 1"
    squared = GSet.regular(group).times(GSet.regular(group))  # regular times anything: regular orbits
    assert orbit_sizes(squared) == group.order * [group.order]
    assert all(squared.stabilizer(orbit[0]) == (0,) for orbit in squared.orbits)


# -- what is no action -------------------------------------------------------------------------------------------

TURN = GSet.regular(C4).action


def broken(g, label, value):
    table = TURN.clone()
    table[g, label] = value
    return table


@pytest.mark.parametrize(
    ("group", "table"),
    [
        (C4, broken(1, 0, 2)),  # no permutation
        (C4, TURN[[0, 1, 1, 1]]),  # no homomorphism
        (C4, TURN.roll(1, 0)),  # the identity moves labels
        (D4, D4.product.T.contiguous()),  # an action from the right: (gh).l = h.(g.l)
        (D4, TURN.repeat(2, 1)),  # an action of the rotations alone: r^k m acts as r^k, m.(r.l) is not (mr).l
    ],
)
def test_a_table_that_is_no_action_is_refused(group, table):
    with pytest.raises(ValueError, match=r"action must (be an action of|leave every label)"):
        GSet(group, table)


def test_an_empty_batch_of_labels_passes():
    assert GSet.regular(C4).act(1, torch.zeros(0, dtype=torch.long)).shape == (0,)
