"""The exercises of notebook 01: the Cayley table, the four promises, shifts and turns, orbits, the regular action."""

from collections.abc import Collection
from typing import Any

import torch
from torch import Tensor

from eqssl_edu.data.letters import letters
from eqssl_edu.errors import got
from eqssl_edu.exercises.judging import ask, integers, judge, need, noise
from eqssl_edu.exercises.verdict import Wrong, second_hint
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet

__all__ = ["cayley_table", "compose", "is_group", "orbits", "regular_action"]

UNITS = torch.tensor(
    [[0, 1, 2, 3], [1, 4, 3, 6], [2, 7, 4, 1], [3, 2, 5, 4]]
)  # products of 1, i, j, k; 4 means -1
MINUS = torch.arange(8) // 4
QUATERNIONS = (UNITS.repeat(2, 2) + 4 * (MINUS[:, None] + MINUS)) % 8
LOOP = torch.tensor(  # each row and each column holds each number once, 0 is the identity, and it is no group
    [[0, 1, 2, 3, 4], [1, 0, 3, 4, 2], [2, 4, 0, 1, 3], [3, 2, 4, 0, 1], [4, 3, 1, 2, 0]]
)
ROW, COLUMN = torch.arange(5)[:, None], torch.arange(5)
UNDONE, TRIPLES = (
    "Look at the rows of groups: each holds one certain number.",
    "Compare all n x n x n triples.",
)
FAULTS = [  # tables that are none of a group, why, and what to look at
    (ROW.maximum(COLUMN), "gh = max(g, h), for 0 .. 4: nothing undoes 1", UNDONE),
    ((ROW + COLUMN).clamp(max=4), "gh = g + h, but at most 4: nothing undoes 1", UNDONE),
    (torch.tensor([[0, 1, 2], [1, 0, 1], [2, 1, 0]]), "(1 1) 2 = 2, but 1 (1 2) = 0", TRIPLES),
    (LOOP, "each row holds each number once, but (1 1) 2 = 2 and 1 (1 2) = 4", TRIPLES),
    (COLUMN.expand(5, 5), "gh = h, for 0 .. 4: e g = g, but g e is not g", "Compare row 0 and column 0."),
    (ROW + COLUMN, "gh = g + h, for 0 .. 4: 4 + 4 leads out", "Entries must be less than n."),
]


@second_hint(
    "The picture of first h, then g is group.transform(copies[h], g). Which k has torch.equal(copies[k], it)?"
)
def cayley_table(answer: object) -> str:
    """A function (group, picture) -> table (|G|, |G|): entry [g, h] does the same as first h, then g."""
    pictures = {dihedral(4): letters()["F"], dihedral(2): noise(5, 5), cyclic(4): noise(4, 4)}
    for group, picture in pictures.items():
        n, name, product = group.order, group.element_name, group.product
        table = _numbers(ask(answer, group, picture), (n, n), "The table")
        h = torch.arange(n).expand(n, n)
        hints = {
            "Row g, column h: that is gh, and in gh the factor on the right acts first.": product.T,
            "That is the element that leads back. Which one leads there?": group.inverse[product],
            "That is h alone: let g act on what h has made.": h,
            "That is g alone: the picture was turned by h before g.": h.T,
            "Make the picture by hand, and look for it among the copies, one after the other.": True,
        }
        g, k = [*(table != product).nonzero().tolist(), [0, 0]][0]
        reason = f"{group.name}: {table[g, k]:g} stands in row {name(g)}, column {name(k)}; its picture is another one."
        judge(table, product, reason, hints)
    return "All 64 products of D4 and all 16 of C4 and of D2, found with pictures alone."


@second_hint(
    "A row of table == 0 must hold a True: any(dim=1). And g(hk) is table[:, table]; compare it with (gh)k."
)
def is_group(answer: object) -> str:
    """A function: table (n, n) -> True if it is the table of a group whose element 0 is the identity."""

    def called_group(table: Tensor) -> bool:
        said = _numbers(ask(answer, table), (), "The answer")
        need(
            said in (0, 1),
            f"The answer must be True or False, got {said:g}.",
            "all() makes one answer of many.",
        )
        return bool(said)

    groups = {
        each.name: each.product for each in (dihedral(4), cyclic(4), cyclic(1), dihedral(2), dihedral(3))
    }
    groups["the quaternions"] = QUATERNIONS
    refused = {name for name, table in groups.items() if not called_group(table)}
    hint = "Print both sides of each promise for this table. Each of them holds in every case."
    if refused == {name for name, table in groups.items() if not torch.equal(table, table.T)}:
        hint = "You refuse all tables in which gh and hg differ. No promise says that they are equal."
    need(not refused, f"It calls the table of {', '.join(sorted(refused))} no group. It is one.", hint)
    for table, fault, hint in FAULTS:
        need(not called_group(table), f"It calls this table a group: {fault}.", hint)
    return "It knows six groups, and six tables that break one of the promises."


@second_hint("h(kx + u) + t = (hk)x + (hu + t). The product of matrices is written h @ k.")
def compose(answer: object) -> str:
    """A function (a, b) -> the product of two pairs of Z^2 x D4, each a shift (2,) and a matrix (2, 2)."""
    turn, flip = torch.tensor([[0, -1], [1, 0]]), torch.tensor([[1, 0], [0, -1]])
    matrices = [torch.matrix_power(turn, k) @ m for m in (torch.eye(2).long(), flip) for k in range(4)]
    names, t, u = [dihedral(4).element_name(g) for g in range(8)], torch.tensor([1, 3]), torch.tensor([-2, 5])
    cases = [(g, k) for g in range(8) for k in range(8)]
    found, rules = [], [[] for _ in range(7)]
    for g, k in cases:
        h, j = matrices[g], matrices[k]
        pair, hint = ask(answer, (t, h), (u, j)), "Return the shift, and after a comma the matrix."
        need(
            isinstance(pair, (tuple, list)) and len(pair) == 2,
            f"The answer must be a pair, {got(pair)}.",
            hint,
        )
        parts = _numbers(pair[0], (2,), "The shift"), _numbers(pair[1], (2, 2), "The matrix")
        found.append([entry for part in parts for entry in part.flatten().tolist()])
        products = [(t + h @ u, h @ j), (u + j @ t, j @ h), (t + u, h @ j), (j @ t + u, h @ j)]
        products += [(t + h.T @ u, h @ j), (h @ (t + u), h @ j), (t + h @ u, h * j)]
        for rule, (shift, matrix) in zip(rules, products, strict=True):
            rule.append([*shift.tolist(), *matrix.flatten().tolist()])
    value, (right, swapped, direct, late, back, both, each) = torch.tensor(found), torch.tensor(rules)
    number = int((value != right).any(dim=1).long().argmax())
    (g, k), shown = cases[number], [f"{entry:g}" for entry in found[number]]
    reason = (
        f"For a = ((1, 3), {names[g]}) and b = ((-2, 5), {names[k]}) it gave the shift ({', '.join(shown[:2])}) "
        f"and the matrix ({', '.join(shown[2:])}). That moves images otherwise than first b, then a."
    )
    hints = {
        "That is first a, then b. In a product the factor on the right acts first.": swapped,
        "b has shifted the image before a turns it: what does a do to that shift?": direct,
        "You turned the shift of a, which comes last. Nothing turns it any more.": late,
        "You turned the shift of b back. a turns it forth.": back,
        "The shift of a comes after its turn. Only the shift of b is turned.": both,
        "The shift is right. The product of two matrices is no product of their entries.": each,
        "Put h'x + t' into x -> hx + t, and take the brackets away.": True,
    }
    judge(value, right, reason, hints)
    return "Right for 64 pairs of p4m: the shift that was made first is turned by what comes after it."


@second_hint("The column action[:, label] holds g.label for all g. Sort it, and remove what is double.")
def orbits(answer: object) -> str:
    """A function: action table (|G|, n) -> the orbits, a list of lists of labels."""
    tables = [GSet.grid(dihedral(4), 3), GSet.neighbours(cyclic(4)), GSet.trivial(cyclic(2), 3)]
    for labels in [*tables, GSet.regular(dihedral(4)), GSet.grid(dihedral(1), 3)]:
        value, where = ask(answer, labels.action), f"{labels.size} labels under {labels.group.name}:"
        hint = f"A list for each orbit, of labels: columns of the table, 0 .. {labels.size - 1} here."
        need(isinstance(value, Collection), f"The answer must be a list of lists, {got(value)}.", hint)
        lists = [integers(part, range(labels.size), f"{where} {got(part)}.", hint) for part in value]
        named = [label for part in lists for label in part]
        for label in range(labels.size):
            hint = "The identity leaves it where it is: each label is at least in an orbit of its own."
            need(label in named, f"{where} {label} is in no orbit.", hint)
            hint = "Every label is in one orbit, once. Two lists in another order, or with doubles, differ."
            need(
                named.count(label) == 1,
                f"{where} {label} stands {named.count(label)} times in the answer.",
                hint,
            )
        for orbit in labels.orbits:
            mine = next(part for part in lists if orbit[0] in part)
            for label in set(orbit) - set(mine):
                reason = f"{where} {orbit[0]} and {label} are in two orbits, but an element carries one to the other."
                need(False, reason, "An orbit holds g.l for all g: where in the table are these?")
            for label in set(mine) - set(orbit):
                reason = f"{where} {orbit[0]} and {label} are in one orbit, but no element carries one to the other."
                need(False, reason, "An orbit holds g.l for all g, and nothing else.")
    return "Right for five G-sets: grids, neighbours, labels that stand still, and a group itself."


@second_hint(
    "The places to read from are group.product[group.inverse[g]]: entry h is g^-1 h. Index the last axis by them."
)
def regular_action(answer: object) -> str:
    """A function (z (..., |G|), g, group) -> features with z[g^-1 h] at h."""
    for group, z in ((dihedral(4), noise(2, 3, 8)), (cyclic(4), noise(4)), (dihedral(3), noise(2, 6))):
        values, n = [], group.order
        for g in group.elements:
            value = ask(answer, z, g, group)
            hint = "Move the numbers along the last axis only; the shape stays."
            need(isinstance(value, Tensor), f"The answer must give a tensor, {got(value)}.", hint)
            reason = f"For features of shape {tuple(z.shape)} it gave the shape {tuple(value.shape)}."
            need(value.shape == z.shape, reason, hint)
            values.append(value)
        value, h, back = torch.stack(values), torch.arange(n), group.inverse
        reads = {
            "right": group.product[back],  # [g, h] = g^-1 h
            "forth": group.product,
            "other side": group.product.T,
            "other side, back": group.product[:, back].T,  # [g, h] = h g^-1
            "numbers": (h - h[:, None]) % n,
            "still": h.expand(n, n),
        }
        moved = {name: torch.stack([z[..., row] for row in index]) for name, index in reads.items()}
        hints = {
            "It reads z[gh]: the number of e goes to g^-1. Where does it have to go?": moved["forth"],
            "Elements are multiplied from the left, and by another one than g.": moved["other side"],
            "You have the inverse. Now look at the order: g^-1 stands left of h.": moved["other side, back"],
            "Numbers of elements are names: h - g means nothing in this group. Use its table.": moved[
                "numbers"
            ],
            "Nothing moves, whatever g is.": moved["still"],
            "At the place h stands what stood at g^-1 h. group.product[g, h] is gh.": True,
        }
        wrong = next((g for g in group.elements if not torch.equal(value[g], moved["right"][g])), 0)
        reason = f"{group.name}: for {group.element_name(wrong)} the numbers stand in other places."
        judge(value, moved["right"], reason, hints)
    return "Right for D4, C4 and D3, with one vector and with batches: it is transform_features."


def _numbers(value: Any, shape: tuple[int, ...], what: str) -> Tensor:
    """The numbers of a tensor, an array or lists, in this shape."""
    hint = f"Wanted is the shape {shape}." if shape else "One answer, no list of them."
    try:
        table = torch.as_tensor(value, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise Wrong(f"{what} must be made of numbers, {got(value)}.", hint) from None
    table = table if shape or table.numel() != 1 else table.squeeze()
    need(table.shape == shape, f"{what} has the shape {tuple(table.shape)}.", hint)
    return table
