"""The exercises of notebooks 7 to 7d: kappa, where its values come from; the others are imported."""

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from torch import Tensor

from eqssl_edu.contrastive import orbit_correlation
from eqssl_edu.errors import got
from eqssl_edu.exercises.judging import ask, integers, judge, need, noise, pick
from eqssl_edu.exercises.similarities import distance, monitor, power2, similarity
from eqssl_edu.exercises.two_views import info_nce, surprise
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral

__all__ = [
    "absorbing",
    "distance",
    "info_nce",
    "kappa",
    "monitor",
    "origin",
    "power2",
    "similarity",
    "surprise",
]


def kappa(answer: object) -> str:
    """A function (group, z, w) -> the orbit correlation of all pairs."""
    for group in (cyclic(4), dihedral(4)):
        z, w = noise(2, 3, group.order), noise(5, 3, group.order, seed=1)  # no two axes are equally long
        expected, value = orbit_correlation(group, z, w), ask(answer, group, z, w)
        shape = tuple(getattr(value, "shape", ()))
        reason = f"The result has the shape {shape}; wanted was {tuple(expected.shape)}."
        hint = "The batch of z comes first: its views are the rows of the left matrix."
        need(shape != (5, 2, group.order), reason, hint)
        lengths = z.flatten(1).norm(dim=1)[:, None, None] * w.flatten(1).norm(dim=1)[:, None]
        inverted, unturned = expected[..., group.inverse], expected[..., :1].expand_as(expected)
        hints = {
            "Your value at g belongs to the inverse of g. It is w that is turned, not z.": inverted,
            "All |G| values of a pair are equal: inside the loop nothing depends on g.": unturned,
            "These are cosines. Kappa is the inner product; nothing is divided.": expected / lengths,
            "The values are right and stand at wrong places: the columns of the product run through all views of one "
            "copy, then through the next copy. Unflatten to (B, |G|, B'), then move the axis.": (
                expected.movedim(2, 1).reshape(expected.shape)
            ),
            "A row of one matrix holds z[b] as C|G| numbers, a column of the other one copy of one w, in the same "
            "order.": True,
        }
        reason = f"Under {group.name} the values differ from the inner products with the turned copies of w."
        judge(value, expected, reason, hints, "(B, B', |G|)")
    return "All pairs, all turned copies, for C4 and D4."


def origin(answer: object) -> str:
    """A function (group, g, a, b) -> the element whose value comes to stand at g."""
    group = dihedral(4)  # not commutative: every order of the factors is another answer
    cases = torch.cartesian_prod(*[torch.arange(8)] * 3)[:, [2, 0, 1]]
    g, a, b = cases.T

    def times(first: Tensor, second: Tensor, third: Tensor) -> Tensor:
        return group.product[group.product[first, second], third]

    back_a, back_b = group.inverse[a], group.inverse[b]
    no_inverse, goes_to = times(a, g, b), times(a, g, back_b)
    hints = {
        "One factor has to be an inverse: to move z by a is to move all copies of w by the inverse of a.": no_inverse,
        "a belongs to z and stands, inverted, on the left; you have exchanged a and b.": times(back_b, g, a),
        "The three factors are right, but D4 does not commute: keep their order.": times(back_a, b, g),
        "That is where the value at g goes *to*. Asked is where the value that stands at g now comes *from*.": goes_to,
        "The line above the exercise has it: the inverse of a, times g, times b, in this order.": True,
    }
    answers = [ask(answer, group, *case) for case in cases.tolist()]
    reason = f"It must return an element, an integer; {got(answers[0])}."
    values, expected = integers(answers, group.elements, reason, "Look a product up."), times(back_a, g, b)
    wrong = torch.tensor(values) != expected
    first = int(wrong.int().argmax())
    reason = (
        f"For D4, g = {g[first]}, a = {a[first]}, b = {b[first]} it gave {values[first]}; the value of element "
        f"{expected[first]} stands there. {wrong.sum()} of 512 cases are wrong."
    )
    judge(values, expected, reason, hints)
    return "Right for all 8 x 8 x 8 cases of D4, which does not commute."


# Measures of two tables z, w (C, |G|) and their kappa k (|G|,); which of them absorb independent turns?
MEASURES: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "the second largest value of kappa": lambda k, z, w: k.sort().values[-2],
    "kappa at the identity plus kappa at the half turn": lambda k, z, w: k[[0, 2]].sum(),
    "the standard deviation of kappa": lambda k, z, w: k.std(),
    "the element at which kappa is largest": lambda k, z, w: k.argmax().double(),
    "cosine after sorting each channel along the group axis": lambda k, z, w: F.cosine_similarity(
        z.sort(dim=1).values.flatten(), w.sort(dim=1).values.flatten(), dim=0
    ),
    "cosine after subtracting the mean over the group": lambda k, z, w: F.cosine_similarity(
        (z - z.mean(dim=1, keepdim=True)).flatten(), (w - w.mean(dim=1, keepdim=True)).flatten(), dim=0
    ),
    "the number of values of kappa above 0": lambda k, z, w: (k > 0).double().sum(),
    "the largest difference of neighbours, kappa[g] - kappa[g + 1]": lambda k, z, w: (k - k.roll(-1)).max(),
}
WHY = {
    "the second largest value of kappa": "it asks for a rank, not for a place",
    "kappa at the identity plus kappa at the half turn": "a quarter turn brings two other values to these places",
    "the standard deviation of kappa": "it does not care about the order of the values",
    "the element at which kappa is largest": "this is what a turn changes; the value there stays, not the place",
    "cosine after sorting each channel along the group axis": "sorted values do not know where they came from",
    "cosine after subtracting the mean over the group": "what is left is just what a turn moves",
    "the number of values of kappa above 0": "it counts, and a permutation changes no count",
    "the largest difference of neighbours, kappa[g] - kappa[g + 1]": "under C4 neighbours stay neighbours, but not "
    "under D4",
}


def absorbing(answer: object) -> str:
    """The names of the ``MEASURES`` that no independent turns change, under C4 and under D4."""
    errors = {name: max(_change(name, group) for group in (cyclic(4), dihedral(4))) for name in MEASURES}
    hint = "A pair of turns permutes kappa. Under C4 the permutation is a rotation of the list; under D4 it is not."
    return pick(answer, "measure", errors, WHY, "Copy the names that the cell prints.", hint)


@cache
def _change(name: str, group: FiniteGroup) -> float:
    """The largest change of a measure over all pairs of elements, for three random pairs of tables."""
    changes, measure = [], MEASURES[name]
    for seed in range(3):
        z, w = noise(3, group.order, seed=2 * seed), noise(3, group.order, seed=2 * seed + 1)
        z, w = (torch.stack([group.transform_features(x, g) for g in group.elements]) for x in (z, w))
        kappas = orbit_correlation(group, z, w)
        pairs = torch.cartesian_prod(*[torch.arange(group.order)] * 2)  # upright ones first
        values = torch.stack([measure(kappas[a, b], z[a], w[b]) for a, b in pairs])
        changes.append(float((values - values[0]).abs().max()))
    return max(changes)
