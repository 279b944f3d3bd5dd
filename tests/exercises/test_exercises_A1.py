"""The checks of notebook A1: stubs are not done, solutions pass, typical mistakes get their own hint."""

import torch
from exercise_checks import ExerciseChecks

from eqssl_edu.exercises import notebook_A1

NAMES = [f"A1.{name}" for name in notebook_A1.__all__]


def composes(table, group):
    return torch.equal(table[group.product], table[:, table])


def starts_with_the_identity(table, group):
    return torch.equal(table[0], torch.arange(table.shape[1]))


def composes_backwards(table, group):
    return starts_with_the_identity(table, group) and torch.equal(table[group.product.T], table[:, table])


def permutes(table, group):
    rows = table.sort(dim=1).values
    return starts_with_the_identity(table, group) and torch.equal(rows, rows[:1].expand_as(rows))


def undoes_itself(table, group):
    inverse = [int((row == 0).nonzero()) for row in group.product]
    there_and_back = torch.stack([table[g][table[inverse[g]]] for g in group.elements])
    return starts_with_the_identity(table, group) and bool((there_and_back == table[0]).all())


def squares(table, group):
    return all(torch.equal(table[group.product[g, g]], table[g][table[g]]) for g in group.elements)


WANTED = {claim: repeat for claim, (repeat, _) in notebook_A1.STUDIES.items()}
FIRST, SECOND, THIRD, *_ = WANTED
# Typical mistakes, each with words of the hint that is made for it.
MISTAKES = {
    "A1.is_action": [
        (composes_backwards, "the order of the product"),
        (permutes, "for all g and h"),
        (starts_with_the_identity, "for all g and h"),
        (undoes_itself, "try all pairs"),
        (squares, "try all pairs"),
        (lambda table, group: True, "the identity moves nothing"),
        (lambda table, group: False, "use torch.equal"),
    ],
    "A1.strangers": [
        (["Ada"], "the other way round"),
        (["Ada", "Ben", "Cleo"], "its rank is 50"),
        (["Ada", "Cleo", "Dan"], "it is not equivariant"),
        (["Cleo"], "equivariant and reaches all"),
        (["Eve"], "The layers are"),
        ("Ada", "The names are"),
    ],
    "A1.what_to_repeat": [
        ({**WANTED, FIRST: "probe"}, "two ways of pretraining"),
        ({**WANTED, SECOND: "pretraining"}, "both networks are given"),
        ({**WANTED, THIRD: "pretraining"}, "the start of the probe itself"),
        ({**WANTED, FIRST: "everything"}, "Choose pretraining"),
        ({FIRST: "probe"}, "Keep the keys"),
    ],
}


class TestChecks(ExerciseChecks):
    notebooks = ("A1_bug_museum",)
    names = NAMES
    mistakes = MISTAKES


def test_the_strangers_are_what_is_said_of_them():
    """Equivariance error and rank of each, measured."""
    from eqssl_edu.diagnostics import equivariance_error
    from eqssl_edu.groups import cyclic

    group, generator = cyclic(4), torch.Generator().manual_seed(0)
    weight = torch.randn(1, 1, 4, 5, 5, dtype=torch.float64, generator=generator)
    maps = torch.randn(2, 1, 4, 7, 7, dtype=torch.float64, generator=generator)
    ones = torch.eye(100, dtype=torch.float64).reshape(100, 1, 1, 4, 5, 5)
    found = {}
    for name, expand in notebook_A1.LAYERS.items():

        def layer(x, expand=expand):
            return torch.nn.functional.conv2d(x.flatten(1, 2), expand(weight), padding=2).unflatten(1, (1, 4))

        error = equivariance_error(layer, maps, group, group.transform_maps, group.transform_maps).max()
        rank = torch.linalg.matrix_rank(torch.stack([expand(one).flatten() for one in ones]))
        found[name] = (bool(error < 1e-12), int(rank))
    assert found == {"Ada": (True, 100), "Ben": (True, 50), "Cleo": (True, 100), "Dan": (False, 100)}
