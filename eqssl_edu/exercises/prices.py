"""The exercises of notebooks 05d and 05e: the price of a wrong action, sets of permutations, a task of one's own."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from eqssl_edu.errors import got
from eqssl_edu.exercises.judging import ask, judge, need, need_shape, number, scalar
from eqssl_edu.exercises.verdict import second_hint
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.permutations import move
from eqssl_edu.theory import inconsistency_floor, law_floor

__all__ = [
    "action_by_looking",
    "action_table",
    "calculator",
    "closed",
    "conditional_entropy",
    "mixed_counts",
]

C4, D4 = cyclic(4), dihedral(4)
TABLES = [
    [[3, 1], [0, 4]],
    [[1, 1], [6, 0]],
    [[2, 2, 4], [5, 1, 2], [0, 0, 9]],
    [[4, 4], [1, 1]],
    [[0, 7], [3, 0]],
]


def _entropies(p: Tensor) -> Tensor:
    """The entropy of each row of shares, in nats."""
    return -torch.xlogy(p, p).sum(dim=-1)


@second_hint(
    "Row by row: shares, then -torch.xlogy(p, p).sum(). Weight each row by its part of all counts, and add."
)
def conditional_entropy(answer: object) -> str:
    """A function (counts (pictures, labels)) -> H(label | picture) in nats."""
    tables = [torch.tensor(table, dtype=torch.float64) for table in TABLES]
    values = []
    for table in tables:
        value = scalar(
            ask(answer, table), "It gave {count} numbers; wanted was one.", "The mean over the rows."
        )
        reason = f"For {table.long().tolist()} it gave {value:g}."
        hint = "0 log 0 counts as 0 here: torch.xlogy(p, p) knows that."
        need(value.isfinite(), reason, hint)
        values.append(value.double())
    rows = [table / table.sum(dim=1, keepdim=True) for table in tables]
    joint = [table / table.sum() for table in tables]
    right = torch.stack([torch.tensor(law_floor(table).nats).double() for table in tables])
    of_labels = torch.stack([_entropies(p.sum(dim=0)) for p in joint])
    hints = {
        "The sign: log p is negative.": -right,
        "That is in bits, with the logarithm to base 2. Nats have the natural one.": right
        / torch.tensor(2.0).log(),
        "Rows that are seen more often count more: weight each by its part of all counts.": [
            torch.stack([_entropies(p).mean() for p in rows]),
            torch.stack([_entropies(p).sum() for p in rows]),
        ],
        "That is the entropy of picture and label together. The picture is given: take shares in each row.": (
            torch.stack([_entropies(p.flatten()) for p in joint])
        ),
        "That is what the labels cost if no picture is seen. Go row by row.": of_labels,
        "That is how much the picture tells. Wanted is what is left.": of_labels - right,
        "Shares p of a row: its counts over their sum. Its entropy: -sum p log p. Then the weighted mean.": True,
    }
    value = torch.stack(values)
    wrong = int((~torch.isclose(value, right, rtol=1e-5, atol=1e-6)).long().argmax())
    said = f"For {TABLES[wrong]} it gave {value[wrong]:.3f}; it is {right[wrong]:.3f}."
    judge(value, right, said, hints, within=1e-5)
    return "Right for five tables, also where a label never comes."


Rule = Callable[..., tuple[Tensor, Tensor, Tensor]]
COUNTED = [  # group, symmetry of the data, assumed action
    (group, H, how)
    for how in ("left", "trivial", "conjugation")
    for group, H in ((C4, range(4)), (D4, range(8)), (D4, (0, 4)), (C4, (0,)), (D4, (0, 2)))
]


def _floors(rule: Rule, alone: bool = False) -> Tensor:
    """The floors of all cases if the picture and the label are (k, m, label) = rule(true, assumed, g, h, l)."""
    found = []
    for group, H, how in COUNTED:
        true, assumed = GSet.jigsaw(group, 2), GSet.jigsaw(group, 2, how)
        elements = [0] if alone else list(group.elements)
        every = [torch.tensor(each) for each in (elements, list(H), range(true.size))]
        picture, order, label = rule(true, assumed, *torch.cartesian_prod(*every).unbind(dim=1))
        counts = torch.zeros(group.order * true.size, true.size, dtype=torch.float64)
        ones = torch.ones(len(label), dtype=torch.float64)
        counts.index_put_((picture * true.size + order, label), ones, accumulate=True)
        found.append(law_floor(counts).nats)
    return torch.tensor(found, dtype=torch.float64)


def _right(true: GSet, assumed: GSet, g: Tensor, h: Tensor, l: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    return true.group.product[g, h], true.action[g, l], assumed.action[g, l]


@second_hint(
    "The picture (k, m) has the row k * size + m, with k = group.product[g, h] and m = true.action[g, l]; the column is"
    " assumed.action[g, l]."
)
def mixed_counts(answer: object) -> str:
    """A function (true, assumed, H) -> how often each turned picture comes with each label that the head assumes."""
    values = []
    for group, H, how in COUNTED:
        counts = ask(answer, GSet.jigsaw(group, 2), GSet.jigsaw(group, 2, how), tuple(H))
        need(isinstance(counts, Tensor), f"The answer must be a tensor, {got(counts)}.", "Return the counts.")
        fine = counts.ndim == 2 and counts.shape[1] == 24 and len(counts) > 0
        reason = (
            f"The counts have the shape {tuple(counts.shape)}; wanted was a row for each picture, 24 labels."
        )
        need(fine, reason, "The columns are the labels.")
        counts = counts.detach().double()
        fine = counts.isfinite().all() and counts.min() >= 0 and counts.sum() > 0
        need(
            fine, "There are negative counts, none, or what is no number.", "Begin with zeros, and add ones."
        )
        values.append(law_floor(counts).nats)
    value, right = torch.tensor(values, dtype=torch.float64), _floors(_right)
    hints = {
        "Each picture has one label by these counts. Is every g counted, does the row say gh and not g, and is the "
        "label the one that the head assumes?": _floors(_right, alone=True),
        "The label has stayed l. The head assumes g * l.": _floors(
            lambda true, assumed, g, h, l: (true.group.product[g, h], true.action[g, l], l)
        ),
        "The turned picture shows the order g.l of its tiles, by the true action.": [
            _floors(lambda true, assumed, g, h, l: (true.group.product[g, h], l, assumed.action[g, l])),
            _floors(lambda true, assumed, g, h, l: (true.group.product[g, h], *2 * (assumed.action[g, l],))),
        ],
        "How far the picture is turned is seen as well: gh, the product of both, belongs to its row.": _floors(
            lambda true, assumed, g, h, l: (0 * g, true.action[g, l], assumed.action[g, l])
        ),
        "For every g, h and l one count: the row says what is seen, the column which label the head gives it.": True,
    }
    wrong = int((~torch.isclose(value, right, rtol=0, atol=1e-9)).long().argmax())
    group, H, how = COUNTED[wrong]
    reason = (
        f"{group.name}, the {how} action, H = {tuple(H)}: by these counts the floor is {value[wrong]:.3f} nats, and it "
        f"is {right[wrong]:.3f}."
    )
    judge(value, right, reason, hints)
    return "The floors follow for three actions, two groups and five kinds of data."


@second_hint(
    "The first slider says `jigsaw 2x2, trivial`, the second D4. Go through the data from few elements to many."
)
def calculator(answer: object) -> str:
    """The floor of the trivial jigsaw action for the smallest symmetry of data that costs 1.0 nats or more."""
    nats = number(answer, "The answer must be a number", "It is the bold number of nats.")
    true, trivial, left = (GSet.jigsaw(D4, 2, way) for way in ("conjugation", "trivial", "left"))
    wanted, for_all = (inconsistency_floor(true, trivial, range(turns)).nats for turns in (4, 8))
    for_left = inconsistency_floor(true, left, range(4)).nats
    hints = {
        f"{nats} is the floor for all eight elements.\nFewer elements are enough: which?": for_all,
        f"{nats} is the price of the left action.\nSet the first slider to `jigsaw 2x2, trivial`.": for_left,
        f"{nats} is less than 1.0 nats.\nTry data with more orientations.": nats < 1,
        f"{nats} is no floor of this task.\nSet the sliders, and copy the number with three digits.": True,
    }
    judge(nats, wanted, "", hints, within=2e-3)
    return "Four turns are enough; all eight elements would cost 1.329."


@second_hint("For each g: there[permutations[:, back]]. Then torch.cat(...).unique(dim=0).")
def closed(answer: object) -> str:
    """A function (permutations (K, n*n), group, n) -> the smallest set with them that is closed under conjugation."""
    for group, n, count in ((C4, 3, 5), (D4, 3, 3), (D4, 2, 2)):
        draws = torch.Generator().manual_seed(count)
        given = torch.stack([torch.randperm(n * n, generator=draws) for _ in range(count)])
        value = torch.as_tensor(ask(answer, given, group, n))
        fine = value.ndim == 2 and value.shape[1] == n * n
        need(
            fine,
            f"The result has the shape {tuple(value.shape)}.",
            f"Wanted is a row of {n * n} for each permutation.",
        )
        value, found = value.long(), set(map(tuple, value.tolist()))
        everything, left = (
            torch.cat([move(group, n, how, g, given) for g in group.elements])
            for how in ("conjugation", "left")
        )
        wanted, start = (set(map(tuple, each.tolist())) for each in (everything, given))
        where = f"For {count} permutations of {n} x {n} tiles under {group.name}"
        need(
            found >= start,
            f"{where}: not all of those that were given are there.",
            "The identity is one of the g.",
        )
        by_left = found == set(map(tuple, left.tolist()))
        hint = "That is closed under the left action. Before σ comes the turn back."
        need(not by_left, f"{where}: a quarter turn leads out of the set.", hint)
        missing = len(wanted - found)
        need(not missing, f"{where}: {missing} permutations are missing.", "Move each one by every g.")
        extra = len(found - wanted)
        need(not extra, f"{where}: {extra} are too many.", "Only what becomes of the given ones by a turn.")
        doubles = f"{where}: {len(value) - len(found)} permutations are there twice."
        need(len(value) == len(found), doubles, "Two turns may lead to the same one: .unique(dim=0).")
    return "Closed, nothing is missing and nothing is there twice."


def action_table(answer: object) -> str:
    """The action of C4 on four lines through the middle: upright, lying, rising, falling."""
    table = torch.as_tensor(answer) if not isinstance(answer, str) else answer
    table, row = need_shape(table, (4, 4), "the element g and the label l"), torch.arange(4)
    reason = "Each row must hold each of the labels 0, 1, 2, 3 once."
    need((table.sort(dim=1).values == row).all(), reason, "A turn makes different lines different.")
    need((table[0] == row).all(), "Row 0 moves labels.", "Row 0 belongs to the identity: nothing moves.")
    need((table != row).any(), "No label moves.", "Turn an upright line by 90 degrees: it lies.")
    lines, drawings = ("upright", "lying", "rising", "falling"), _lines()
    for g in range(1, 4):
        for label, turned in enumerate(C4.transform(drawings, g)):
            found = next(k for k in range(4) if torch.equal(drawings[k], turned))
            said = int(table[g, label])
            hints = {
                "A line turned by 180 degrees is the same line.": g == 2,
                "A rising line that is turned by 90 degrees falls.": label > 1,
                "Draw it and turn the page.": True,
            }
            seen = f"the {lines[label]} line is {lines[found]}, not {lines[said]}."
            judge(said, found, f"Turned by {90 * g} degrees, {seen}", hints)
    return "Two orbits, {0, 1} and {2, 3}; a half turn leaves every line in place."


def _lines() -> Tensor:
    """The four lines on 5 x 5 pixels."""
    diagonal, middle = torch.eye(5), F.pad(torch.ones(5, 1), (2, 2))
    return torch.stack([middle, middle.T, diagonal.flip(1), diagonal])


@second_hint(
    "For g and l: the k with torch.equal(group.transform(pictures[l], g), pictures[k]) is table[g, l]."
)
def action_by_looking(answer: object) -> str:
    """A function (pictures (L, S, S), group) -> the action table (|G|, L), read off the pictures."""
    dots = torch.eye(9).reshape(9, 3, 3)
    cases = (
        (D4, dots, GSet.grid(D4, 3).action),
        (C4, dots[:9:2], torch.tensor([[0, 1, 2, 3, 4], [3, 0, 2, 4, 1], [4, 3, 2, 1, 0], [1, 4, 2, 0, 3]])),
        (C4, _lines(), torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2]] * 2)),
    )
    for group, pictures, wanted in cases:
        value = ask(answer, pictures, group)
        value = torch.as_tensor(value) if isinstance(value, (list, tuple)) else value
        reason = f"For {len(pictures)} pictures under {group.name} the table is another one."
        still = torch.arange(len(pictures)).expand_as(wanted)
        hints = {
            "Entry (g, l) is the label that l becomes. Yours is the label that becomes l.": wanted[
                group.inverse
            ],
            "No label moves. Which picture is the turned one?": still,
            "Turn picture l by g, and look for the label whose picture that is.": True,
        }
        judge(value, wanted, reason, hints, "the element g and the label l")
    return "Right for nine places under D4, five under C4, and the four lines."
