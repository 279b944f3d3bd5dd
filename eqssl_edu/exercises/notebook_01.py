"""The exercises of notebook 01: the Cayley table, the four promises, shifts and turns, orbits, the regular action."""

from typing import Any

import torch
from torch import Tensor

from eqssl_edu.data.letters import letters
from eqssl_edu.errors import got
from eqssl_edu.exercises.judging import ask, integers, judge, need, noise, several, truth
from eqssl_edu.exercises.verdict import Wrong, second_hint
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet

__all__ = ["cayley_table", "compose", "is_group", "orbits", "regular_action"]

UNITS = torch.tensor([[0, 1, 2, 3], [1, 4, 3, 6], [2, 7, 4, 1], [3, 2, 5, 4]])  # 1, i, j, k; 4 means -1
MINUS = torch.arange(8) // 4
QUATERNIONS = (UNITS.repeat(2, 2) + 4 * (MINUS[:, None] + MINUS)) % 8
LOOP = torch.tensor([[0, 1, 2, 3, 4], [1, 0, 3, 4, 2], [2, 4, 0, 1, 3], [3, 2, 4, 0, 1], [4, 3, 1, 2, 0]])
ROW, COLUMN = torch.arange(5)[:, None], torch.arange(5)
UNDONE = "Look at the rows of groups: each holds one certain number."
TRIPLES = "Compare all n x n x n triples."
FAULTS = [  # tables that are none of a group, why, and what to look at
    (ROW.maximum(COLUMN), "gh = max(g, h), for 0 .. 4: nothing undoes 1", UNDONE),
    ((ROW + COLUMN).clamp(max=4), "gh = g + h, but at most 4: nothing undoes 1", UNDONE),
    (torch.tensor([[0, 1, 2], [1, 0, 1], [2, 1, 0]]), "(1 1) 2 = 2, but 1 (1 2) = 0", TRIPLES),
    (LOOP, "each row holds each number once, but (1 1) 2 = 2 and 1 (1 2) = 4", TRIPLES),
    (COLUMN.expand(5, 5), "gh = h, for 0 .. 4: e g = g, but g e is not g", "Compare row 0 and column 0."),
    (ROW + COLUMN, "gh = g + h, for 0 .. 4: 4 + 4 leads out", "Entries must be less than n."),
]


@second_hint(
    "First h, then g makes group.transform(copies[h], g). For which k is it torch.equal to copies[k]?"
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


@second_hint("Each row of table == 0 must hold a True: any(dim=1). g(hk) is table[:, table]; compare it.")
def is_group(answer: object) -> str:
    """A function: table (n, n) -> True if it is the table of a group whose element 0 is the identity."""

    def called_group(table: Tensor) -> bool:
        return truth(ask(answer, table), "The answer must be True or False", "One answer, no list of them.")

    groups = {each.name: each.product for each in map(dihedral, (4, 3, 2))} | {"C4": cyclic(4).product}
    groups["the group of one element"] = cyclic(1).product
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
    cases = [(torch.tensor([1, 3]), h, torch.tensor([-2, 5]), k) for h in matrices for k in matrices]

    def numbers(pair: Any) -> Tensor:
        fine = isinstance(pair, (tuple, list)) and len(pair) == 2
        need(
            fine,
            f"The answer must be a pair, {got(pair)}.",
            "Return the shift, and after a comma the matrix.",
        )
        return torch.cat(
            [_numbers(pair[0], (2,), "The shift"), _numbers(pair[1], (2, 2), "The matrix").flatten()]
        )

    value = torch.stack([numbers(ask(answer, (t, h), (u, k))) for t, h, u, k in cases])
    right = torch.stack([numbers((t + h @ u, h @ k)) for t, h, u, k in cases])
    mistakes = {
        "That is first a, then b. The factor on the right acts first.": lambda t, h, u, k: (u + k @ t, k @ h),
        "b has shifted before a turns: what does a do to that shift?": lambda t, h, u, k: (t + u, h @ k),
        "The shift of a comes last: nothing turns it any more.": lambda t, h, u, k: (k @ t + u, h @ k),
        "You turned the shift of b back. a turns it forth.": lambda t, h, u, k: (t + h.T @ u, h @ k),
        "Only the shift of b is turned.": lambda t, h, u, k: (h @ (t + u), h @ k),
        "The shift is right. The matrices are multiplied by entries.": lambda t, h, u, k: (t + h @ u, h * k),
    }
    hints = {hint: torch.stack([numbers(rule(*c)) for c in cases]) for hint, rule in mistakes.items()}
    hints["Put kx + u into hx + t, and take the brackets away."] = True
    first = int((value != right).any(dim=1).long().argmax())
    t, h, u, k = (part.tolist() for part in cases[first])
    shown = ", ".join(f"{entry:g}" for entry in value[first])
    reason = f"For a = ({t}, {h}) and b = ({u}, {k}) it gave the numbers {shown}: not first b, then a."
    judge(value, right, reason, hints)
    return "Right for 64 pairs of p4m: the shift that was made first is turned by what comes after it."


@second_hint("The column action[:, label] holds g.label for all g. Sort it, and remove what is double.")
def orbits(answer: object) -> str:
    """A function: action table (|G|, n) -> the orbits, a list of lists of labels."""
    tables = [GSet.grid(dihedral(4), 3), GSet.neighbours(cyclic(4)), GSet.trivial(cyclic(2), 3)]
    for labels in [*tables, GSet.regular(dihedral(4)), GSet.grid(dihedral(1), 3)]:
        value, where = ask(answer, labels.action), f"{labels.size} labels under {labels.group.name}:"
        hint = f"A list for each orbit, of labels: columns of the table, 0 .. {labels.size - 1} here."
        value = several(value, f"The answer must be a list of lists, {got(value)}.", hint)
        lists = [integers(part, range(labels.size), f"{where} {got(part)}.", hint) for part in value]
        need(all(lists), f"{where} one orbit is empty.", "An orbit holds at least the label it starts from.")
        named = [label for part in lists for label in part]
        for label in range(labels.size):
            hint = "The identity leaves it where it is: each label is at least in an orbit of its own."
            need(label in named, f"{where} {label} is in no orbit.", hint)
            hint = "Every label is in one orbit, once. Two lists in another order, or with doubles, differ."
            count = named.count(label)
            need(count == 1, f"{where} {label} stands {count} times in the answer.", hint)
        for orbit in labels.orbits:
            mine = next(part for part in lists if orbit[0] in part)
            for label in range(labels.size):
                told, some = ("one orbit", "no") if label in mine else ("two orbits", "an")
                reason = f"{where} {orbit[0]} and {label} are in {told}, but {some} element carries one to the other."
                hint = "An orbit holds g.l for all g, and nothing else: where in the table are these?"
                need((label in mine) == (label in orbit), reason, hint)
    return "Right for five G-sets: grids, neighbours, labels that stand still, and a group itself."


@second_hint("group.product[group.inverse[g]] holds g^-1 h at h: the places to read from, z[..., places].")
def regular_action(answer: object) -> str:
    """A function (z (..., |G|), g, group) -> features with z[g^-1 h] at h."""
    for group, z in ((dihedral(4), noise(2, 3, 8)), (cyclic(4), noise(4)), (dihedral(3), noise(2, 6))):
        found = [_numbers(ask(answer, z, g, group), tuple(z.shape), "The result") for g in group.elements]
        value, product, h = torch.stack(found), group.product, torch.arange(group.order)
        reads = {  # [g, h]: where the number at h is read
            "It reads z[gh]: the number of e goes to g^-1. Where does it have to go?": product,
            "Elements are multiplied from the left, and by another one than g.": product.T,
            "You have the inverse. Now look at the order: it stands left of h.": product[:, group.inverse].T,
            "Numbers of elements are names: h - g means nothing here. Use the table.": (h - h[:, None])
            % len(h),
            "Nothing moves, whatever g is.": h.expand_as(product),
            "": product[group.inverse],
        }
        *wrong, right = (torch.stack([z[..., row] for row in index]) for index in reads.values())
        hints = dict(zip(reads, wrong, strict=False))
        hints["At the place h stands what stood at g^-1 h. group.product[g, h] is gh."] = True
        g = next((g for g in group.elements if not torch.equal(value[g], right[g])), 0)
        judge(value, right, f"{group.name}: {group.element_name(g)} puts the numbers in other places.", hints)
    return "Right for D4, C4 and D3, with one vector and with batches: it is transform_features."


def _numbers(value: Any, shape: tuple[int, ...], what: str) -> Tensor:
    """The numbers of a tensor, an array or lists, in this shape."""
    hint = f"Wanted is the shape {shape}."

    def listed(part: Any) -> Any:
        part = part.tolist() if hasattr(part, "tolist") else part
        return [listed(each) for each in part] if isinstance(part, (list, tuple)) else part

    try:
        table = torch.as_tensor(listed(value), dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError):
        raise Wrong(f"{what} must be made of numbers, {got(value)}.", hint) from None
    need(table.shape == shape, f"{what} has the shape {tuple(table.shape)}.", hint)
    return table
