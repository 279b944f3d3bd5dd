"""The checks of notebook A1."""

import torch
from exercise_checks import ExerciseChecks

from eqssl_edu.diagnostics import equivariance_error
from eqssl_edu.exercises import notebook_A1
from eqssl_edu.exercises.judging import noise
from eqssl_edu.groups import cyclic


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


def last_label(table, group):
    moved = torch.equal(table[group.product][..., -1], table[:, table][..., -1])
    return starts_with_the_identity(table, group) and moved


def one_generator(table, group):
    moved = torch.equal(table[group.product[1]], table[1][table])
    return starts_with_the_identity(table, group) and moved


WANTED = {claim: repeat for claim, (repeat, _) in notebook_A1.STUDIES.items()}
FIRST, SECOND, THIRD, *_ = WANTED
# Typical mistakes, each with words of the hint that is made for it.
MISTAKES = {
    "A1.is_action": {
        "the order of the product": composes_backwards,
        "for all g and h": permutes,
        "try all pairs": undoes_itself,
        "the identity moves nothing": lambda table, group: True,
        "use torch.equal": lambda table, group: False,
        "for every label": last_label,
        "of D4 pass that is right for its last label only": one_generator,
        "One answer for the whole table": lambda table, group: table[group.product] == table[:, table],
        "True or False, got nan": lambda table, group: float("nan"),
        "changes the tensor": lambda table, group: bool(
            composes_one_by_one(table, group) + table.zero_()[0, 0]
        ),
        "An action has two laws": lambda table, group: torch.equal(table[group.product], table[:, table]),
    },
    "A1.strangers": {
        "Of the 4 layers, 1 is judged wrongly": ["Ada"],
        "Of the 4 layers, 2 are": ["Ada", "Ben"],
        "The layers are": ["Eve"],
        "The names are": "Ada",
    },
    "A1.what_to_repeat": {
        "Of the 5 claims, 1 is judged wrongly": {**WANTED, FIRST: "probe"},
        "Of the 5 claims, 2 are": {**WANTED, SECOND: "pretraining", THIRD: "pretraining"},
        "Choose pretraining": {**WANTED, FIRST: "everything"},
    },
}


def composes_one_by_one(table, group):
    pairs = [(g, h) for g in group.elements for h in group.elements]
    composed = all((table[g][table[h]] == table[group.product[g, h]]).all() for g, h in pairs)
    return torch.tensor(composed and bool((table[0] == torch.arange(table.shape[1])).all()))


ALSO_RIGHT = {"A1.is_action": [composes_one_by_one], "A1.strangers": [{"Cleo", "Ada"}]}


class TestChecks(ExerciseChecks):
    notebooks = ("A1_bug_museum",)
    mistakes = MISTAKES
    also_right = ALSO_RIGHT


def test_the_strangers_are_what_is_said_of_them():
    """Equivariance error and rank of each, measured."""
    group = cyclic(4)
    weight, maps = noise(1, 1, 4, 5, 5), noise(2, 1, 4, 7, 7)
    ones = torch.eye(100, dtype=torch.float64).reshape(100, 1, 1, 4, 5, 5)
    found = {}
    for name, expand in notebook_A1.LAYERS.items():

        def layer(x, expand=expand):
            return torch.nn.functional.conv2d(x.flatten(1, 2), expand(weight), padding=2).unflatten(1, (1, 4))

        error = equivariance_error(layer, maps, group, group.transform_maps, group.transform_maps).max()
        rank = torch.linalg.matrix_rank(torch.stack([expand(one).flatten() for one in ones]))
        found[name] = (bool(error < 1e-12), int(rank))
    assert found == {"Ada": (True, 100), "Ben": (True, 50), "Cleo": (True, 100), "Dan": (False, 100)}
