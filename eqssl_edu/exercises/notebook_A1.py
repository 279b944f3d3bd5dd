"""The exercises of the bug museum, notebooks A1 to A1c: an action, shared memory, what an error bar repeats."""

from collections.abc import Callable

import torch
from torch import Tensor

from eqssl_edu.errors import got
from eqssl_edu.exercises.judging import ask, keyed, need, noise, number, pick, truth
from eqssl_edu.exercises.measures import best_accuracy, company, false_alarms, logits_error
from eqssl_edu.exercises.verdict import filled_in, second_hint
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet

__all__ = [
    "best_accuracy",
    "company",
    "false_alarms",
    "is_action",
    "logits_error",
    "shared_buffers",
    "what_to_repeat",
]


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


class _Buffers(torch.nn.Module):
    """A module with these tensors as buffers, and a weight."""

    def __init__(self, *tensors: Tensor) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
        for i, tensor in enumerate(tensors):
            self.register_buffer(f"kept{i}", tensor)


def count_shared(one: torch.nn.Module, other: torch.nn.Module) -> int:
    """How many buffers of one module begin where a buffer of the other does."""
    places = {buffer.data_ptr() for buffer in other.buffers()}
    return sum(buffer.data_ptr() in places for buffer in one.buffers())


@second_hint(
    "Put the data_ptr() of all buffers of the second module into a set; count those of the first that are in it."
)
def shared_buffers(answer: object) -> str:
    """A function (module, module) -> how many buffers of the first lie in the memory of the second."""
    a, b, c = noise(3), noise(3, seed=1), noise(2, seed=2)
    same_weight = _Buffers(a)
    same_weight.weight = (kept := _Buffers(b)).weight
    cases = (
        (_Buffers(a, b), _Buffers(a, c), "One of two buffers is shared.", "Compare addresses: tensor.data_ptr()."),
        (
            _Buffers(a, b),
            _Buffers(a.clone(), b.clone()),
            "Equal values in different places are not shared.",
            "Two copies have the same values and different addresses.",
        ),
        (
            _Buffers(a, b, c),
            _Buffers(c.detach(), a.detach()),
            "Two are shared, in another order and as other Python objects.",
            "Two objects may lie in one place: ask for data_ptr(), of each against all.",
        ),
        (same_weight, kept, "Only a weight is shared, and no buffer.", "Weights are parameters. Ask module.buffers()."),
        (torch.nn.Sequential(_Buffers(a), _Buffers(b)), _Buffers(b), "One buffer of a part is shared.",
         "buffers() goes through the parts as well."),
    )  # fmt: skip
    for one, other, reason, hint in cases:
        count = number(
            filled_in(_called(answer, one, other)), "The result must be a whole number", "Count them.", True
        )
        need(count == count_shared(one, other), f"{reason} It counts {count}.", hint)
    return "Right for five pairs of modules."


def _called(answer: object, *modules: torch.nn.Module) -> object:
    need(
        callable(answer), f"The answer must be a function, {got(answer)}.", "Give its name, without brackets."
    )
    return answer(*modules)


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
