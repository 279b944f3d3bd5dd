"""The checks of notebook 01."""

import numpy as np
import torch
from exercise_checks import ExerciseChecks

from eqssl_edu.exercises import check
from eqssl_edu.exercises.notebook_01 import LOOP, QUATERNIONS
from eqssl_edu.groups import dihedral
from eqssl_edu.gsets import GSet


def promises(inverse=True, triples=True, commutes=False, identity=True):
    """A function with the signature of 01.is_group that asks for some of the promises, or for one too many."""

    def answer(table):
        n = len(table)
        if ((table < 0) | (table >= n)).any():
            return False
        kept = torch.equal(table[0], torch.arange(n)) and (
            not identity or torch.equal(table[:, 0], torch.arange(n))
        )
        kept = kept and (not inverse or bool((table == 0).any(dim=1).all()))
        kept = kept and (not triples or torch.equal(table[table], table[:, table]))
        return kept and (not commutes or torch.equal(table, table.T))

    return answer


def latin(table):
    """Rows that hold each element once, in place of promises 3 and 4."""
    n = torch.arange(len(table))
    kept = torch.equal(table[0], n) and torch.equal(table[:, 0], n)
    return kept and bool(
        (table.sort(dim=1).values == n).all() and (table.sort(dim=0).values == n[:, None]).all()
    )


def by_loops(table):
    every = range(len(table))
    rows = table.tolist()
    if any(entry not in every for row in rows for entry in row):
        return np.bool_(False)
    inverse = all(any(rows[g][h] == 0 == rows[h][g] for h in every) for g in every)
    triples = all(rows[rows[g][h]][k] == rows[g][rows[h][k]] for g in every for h in every for k in every)
    return np.bool_(rows[0] == list(every) == [row[0] for row in rows] and inverse and triples)


def read(places):
    """A function with the signature of 01.regular_action: z is read at ``places(group, g)``."""
    return lambda z, g, group: z[..., places(group, g)]


def put(z, g, group):
    """The right action, written to where the numbers go."""
    moved = torch.empty_like(z)
    moved[..., group.product[g]] = z
    return moved


def by_numbers(group, picture):
    """The right table, as an array: the pixels are numbered, and the picture is not looked at."""
    pixels = torch.arange(25).reshape(5, 5)
    moves = [group.transform(pixels, g) for g in group.elements]
    table = [[group.transform(group.transform(pixels, h), g) for h in group.elements] for g in group.elements]
    return np.array(
        [
            [next(k for k, move in enumerate(moves) if torch.equal(move, both)) for both in row]
            for row in table
        ]
    )


# Typical mistakes, each with words of the hint that is made for it.
MISTAKES = {
    "01.cayley_table": {
        "on the right acts first": lambda group, picture: group.product.T,
        "Which one leads there": lambda group, picture: group.inverse[group.product],
        "let g act on what h has made": lambda group, picture: [list(group.elements)] * group.order,
        "turned by h before g": lambda group, picture: [[g] * group.order for g in group.elements],
        "one after the other": lambda group, picture: torch.zeros_like(group.product),
        "Wanted is the shape (8, 8)": lambda group, picture: group.product.flatten(),
        "must be made of numbers": lambda group, picture: [["e", "r90"], ["r90", "r180"]],
        "tensor of real numbers": lambda group, picture: group.product + 0j,
        "changes the tensor": lambda group, picture: group.product + 0 * picture.zero_()[0, 0].long(),
    },
    "01.is_group": {
        "nothing undoes 1": promises(inverse=False),
        "(1 1) 2 = 2, but 1 (1 2) = 0": promises(triples=False),
        "each row holds each number once": latin,
        "No promise says that they are equal": promises(commutes=True),
        "the group of one element": lambda table: False,
        "g e is not g": promises(identity=False),
        "leads out": lambda table: table.max() >= len(table) or promises()(table),
        "One answer": lambda table: table == 0,
        "True or False, got 3": lambda table: 3,
        "True or False, got nan": lambda table: float("nan"),
    },
    "01.compose": {
        "on the right acts first": lambda a, b: (b[0] + b[1] @ a[0], b[1] @ a[1]),
        "what does a do to that shift": lambda a, b: (a[0] + b[0], a[1] @ b[1]),
        "nothing turns it any more": lambda a, b: (b[1] @ a[0] + b[0], a[1] @ b[1]),
        "a turns it forth": lambda a, b: (a[0] + a[1].T @ b[0], a[1] @ b[1]),
        "Only the shift of b is turned": lambda a, b: (a[1] @ (a[0] + b[0]), a[1] @ b[1]),
        "multiplied by entries": lambda a, b: (a[0] + a[1] @ b[0], a[1] * b[1]),
        "take the brackets away": lambda a, b: (a[0], a[1]),
        "The shift has the shape (2, 2)": lambda a, b: (a[0] + a[1] * b[0], a[1] @ b[1]),
        "after a comma the matrix": lambda a, b: a[0],
        "changes the tensor": lambda a, b: (a[0].add_(a[1] @ b[0]), a[1] @ b[1]),
        "must be made of numbers": lambda a, b: (a[0] + a[1] @ b[0] + 0j, a[1] @ b[1]),
    },
    "01.orbits": {
        "0 stands 4 times": lambda action: [set(column) for column in action.T.tolist()],
        "in two orbits, but an element": lambda action: [[label] for label in range(action.shape[1])],
        "in one orbit, but no element": lambda action: [list(range(action.shape[1]))],
        "an orbit of its own": lambda action: [o for o in columns(action) if len(o) > 1],
        "A list for each orbit": lambda action: 3,
        "must be a list of lists": lambda action: {min(orbit): orbit for orbit in columns(action)},
        "one orbit is empty": lambda action: [*columns(action), []],
        "columns of the table, 0 .. 8": lambda action: [[0, 9]],
    },
    "01.regular_action": {
        "It reads z[gh]": read(lambda group, g: group.product[g]),
        "by another one than g": read(lambda group, g: group.product[:, g]),
        "Now look at the order": read(lambda group, g: group.product[:, group.inverse[g]]),
        "h - g means nothing": lambda z, g, group: z.roll(g, -1),
        "Nothing moves": lambda z, g, group: z,
        "what stood at g^-1 h": lambda z, g, group: z.flip(-1),
        "The result has the shape (2, 3)": lambda z, g, group: z[..., 0],
        "must be made of numbers": lambda z, g, group: "z",
    },
}  # fmt: skip


def columns(action):
    return {frozenset(column) for column in action.T.tolist()}


ALSO_RIGHT = {
    "01.cayley_table": [
        lambda group, picture: group.product.double(),
        by_numbers,
        lambda group, picture: tuple(group.product),
        lambda group, picture: [list(row.numpy()) for row in group.product],
    ],
    "01.is_group": [
        promises(),
        by_loops,
        lambda table: torch.tensor(promises()(table)),
        lambda table: int(by_loops(table)),
    ],
    "01.compose": [
        lambda a, b: [(a[0] + (a[1] * b[0]).sum(dim=1)).tolist(), (a[1] @ b[1]).numpy()],
        lambda a, b: (
            torch.einsum("ij,j->i", a[1], b[0]) + a[0],
            torch.einsum("ij,jk->ik", a[1], b[1]).double(),
        ),
    ],
    "01.orbits": [
        lambda action: columns(action),
        lambda action: (iter(orbit) for orbit in columns(action)),
        lambda action: [action[:, label].unique() for label in action.amin(dim=0).unique().tolist()],
        lambda action: {min(orbit): np.array(sorted(orbit)) for orbit in columns(action)}.values(),
        lambda action: [tuple(float(label) for label in orbit) for orbit in columns(action)],
    ],
    "01.regular_action": [
        put,
        lambda z, g, group: put(z, g, group).numpy(),
        lambda z, g, group: group.transform_features(z, g),
        read(lambda group, g: (group.product[g] == torch.arange(group.order)[:, None]).long().argmax(dim=1)),
        lambda z, g, group: z @ torch.eye(group.order, dtype=z.dtype)[group.product[g]],
    ],
}


class TestChecks(ExerciseChecks):
    notebooks = ("01_groups_and_images", "01b_orbits_and_features")
    mistakes = MISTAKES
    also_right = ALSO_RIGHT


def test_the_quaternions_are_a_group_and_the_loop_misses_one_promise():
    assert torch.equal(QUATERNIONS[QUATERNIONS], QUATERNIONS[:, QUATERNIONS]) and promises()(QUATERNIONS)
    assert promises(triples=False)(LOOP) and latin(LOOP) and not promises()(LOOP)


def test_a_mistake_is_named_only_where_it_explains_all_that_was_given():
    def sometimes_swapped(group, picture):
        table = group.product.T.clone()
        table[5, 5] = 3
        return table

    assert "acts first" not in check("01.cayley_table", sometimes_swapped).hint
    one = dihedral(4).product[1]
    assert "z[gh]" not in check("01.regular_action", lambda z, g, group: z[..., one[: z.shape[-1]]]).hint


def test_an_orbit_that_is_cut_or_glued_is_shown_with_an_element_or_without():
    labels = GSet.grid(dihedral(4), 3)
    cut = [[0, 2], [6, 8], [1, 3, 5, 7], [4]]
    glued = [[0, 2, 6, 8, 4], [1, 3, 5, 7]]
    said = [check("01.orbits", lambda action, lists=lists: lists).reason for lists in (cut, glued)]
    assert "0 and 8 are in two orbits" in said[0] or "0 and 6 are in two orbits" in said[0]
    assert "0 and 4 are in one orbit, but no element" in said[1]
    assert check("01.orbits", lambda action: [list(orbit) for orbit in labels.orbits]).reason.startswith(
        "8 labels"
    )
