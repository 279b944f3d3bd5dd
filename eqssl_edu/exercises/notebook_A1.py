"""The exercises of notebook A1: a guard for action tables, four unknown layers, what an error bar repeats."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.exercises.judging import ask, keyed, need, pick, truth
from eqssl_edu.exercises.verdict import second_hint
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet

__all__ = ["is_action", "strangers", "what_to_repeat"]


def _half_moved(table: Tensor) -> Tensor:
    """The second half of the elements, the reflections of D4, acts on the wrong labels."""
    first, second = table.chunk(2)
    return torch.cat([first, second.roll(1, dims=1)])


# What is wrong with a table -> how it is made of one that is right; and a hint for whoever lets it pass.
BROKEN: dict[str, Callable[[Tensor], Tensor]] = {
    "moves labels under the identity": lambda table: table.roll(1, dims=1),
    "has two rows exchanged": lambda table: table[[0, 2, 1, *range(3, len(table))]],
    "has its last two rows exchanged": lambda table: torch.cat([table[:-2], table[[-1, -2]]]),
    "sends all labels to one": lambda table: torch.cat([table[:1], table[1:] * 0]),
    "is right for its last label only": lambda table: torch.cat(
        [_half_moved(table), torch.full_like(table[:, :1], table.shape[1])], dim=1
    ),
    # A new label that goes wherever label 0 goes: every (gh).l is g.(h.l), and e moves the new label to 0.
    "composes, but moves a label under the identity": lambda table: torch.cat([table, table[:, :1]], dim=1),
}
HINTS = {
    "moves labels under the identity": "What does row 0 look like, if the identity moves nothing?",
    "has two rows exchanged": "The row of gh must do what first h, then g does: compare for all g and h.",
    "has its last two rows exchanged": "Not only for h = g, and not only for h the inverse of g: "
    "try all pairs of elements.",
    "sends all labels to one": "Here (gh).l is g.(h.l) wherever gh is not the identity. Compare for gh = e as well.",
    "is right for its last label only": "Compare for all g and all h, and for every label.",
    "composes, but moves a label under the identity": "An action has two laws. Here (gh).l is g.(h.l), always.",
}


@second_hint(
    "First law: row 0 is torch.arange(n). Second law: table[product[g, h]] is table[g][table[h]], for all pairs."
)
def is_action(answer: object) -> str:
    """A function (table (|G|, n), group) -> True if the table is an action."""
    how = "The answer must be True or False", "One answer for the whole table: all() of many."
    for group in (cyclic(4), dihedral(4)):
        for labels in (GSet.neighbours(group), GSet.grid(group, 3), GSet.regular(group)):
            hint = "Is it the order of the product? Row product[g, h] is: first h, then g."
            if group.name == "C4":
                hint = "For C4 even the order does not matter. Compare for *all* l, and use torch.equal."
            passes = truth(ask(answer, labels.action, group), *how)
            need(passes, f"It turned down a table that is an action: {labels!r}.", hint)
            for problem, spoil in BROKEN.items():
                stopped = not truth(ask(answer, spoil(labels.action), group), *how)
                need(stopped, f"It let a table of {group.name} pass that {problem}.", HINTS[problem])
    return "It passes six actions and stops 36 tables that are none."


def _expanded(
    weight: Float[Tensor, "out channel 4 k k"], plane: Callable[[int, int], int]
) -> Float[Tensor, "wide_out wide_in k k"]:
    """A weight for C4 whose copy g takes filter plane(g, h) for input plane h and is turned by g."""
    copies = [cyclic(4).transform(weight[:, :, [plane(g, h) for h in range(4)]], g) for g in range(4)]
    return torch.stack(copies, dim=1).flatten(0, 1).flatten(1, 2)


LAYERS: dict[str, Callable[[Tensor], Tensor]] = {
    "Ada": lambda weight: _expanded(weight, lambda g, h: (h - g) % 4),
    "Ben": lambda weight: _expanded(weight, lambda g, h: (h - g) % 2),
    "Cleo": lambda weight: _expanded(weight, lambda g, h: (g - h) % 4),
    "Dan": lambda weight: _expanded(weight, lambda g, h: (h + g) % 4),
}
ABOUT = {
    "Ada": "it is equivariant and reaches all 100 kernels",
    "Ben": "it is equivariant, but its rank is 50: two planes are never used",
    "Cleo": "its planes are numbered the other way round, which is only another name for each: rank 100, equivariant",
    "Dan": "it reaches 100 kernels, but it is not equivariant",
}


def strangers(answer: object) -> str:
    """The names of the layers in ``LAYERS`` that are equivariant and have full rank."""
    errors = {name: name not in ("Ada", "Cleo") for name in ABOUT}
    hint = "Measure two things of each: the equivariance error, and the rank."
    return pick(answer, "layer", errors, ABOUT, f"The names are {', '.join(LAYERS)}.", hint)


# claim -> (what is to be repeated, why)
STUDIES = {
    "Pretraining with equivariant labels gives better features than with invariant ones.": (
        "pretraining",
        "the claim is about two ways of pretraining, so each of them must be run again from its first number",
    ),
    "This checkpoint, which we publish, reads digits better than that one.": (
        "test images",
        "both networks are given; what could have come out differently is which images were in the test set",
    ),
    "On this checkpoint the probe's result does not depend on its random start.": (
        "probe",
        "here the claim is about the start of the probe itself",
    ),
    "A longer pretraining helps.": (
        "pretraining",
        "long and short are ways of pretraining: several seeds of each, in pairs",
    ),
    "The new augmentation lowers the spread between runs.": (
        "pretraining",
        "a spread between runs needs runs",
    ),
}


def what_to_repeat(answer: object) -> str:
    """For each claim what has to be repeated for its error bar."""
    answer = keyed(answer, STUDIES, "of the five claims", "Keep the keys: they are STUDIES.")
    for said in answer.values():
        known = said in ("pretraining", "probe", "test images")
        need(known, f"{said!r} cannot be repeated.", "Choose pretraining, probe or test images.")
    errors = {claim: float(answer[claim] != wanted) for claim, (wanted, _) in STUDIES.items()}
    why = {claim: reason for claim, (_, reason) in STUDIES.items()}
    hint = "Ask of each claim: what could have come out differently, if somebody did it again?"
    return pick(list(STUDIES), "claim", errors, why, "", hint)
