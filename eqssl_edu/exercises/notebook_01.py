"""The exercises of notebook 01: ways from letter to letter, Burnside's count, equal G-sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import permutations
from operator import index
from typing import Any

import torch

from eqssl_edu.data.letters import letters
from eqssl_edu.errors import got
from eqssl_edu.exercises.verdict import Wrong, ask, same
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet

__all__ = ["count_orbits", "same_set", "ways"]

PAIRS = ("b to q", "M to W", "H to I")


def ways(answer: Any) -> str:
    """A dictionary: for each pair of letters all elements of D4 that turn the first into the second."""
    if not isinstance(answer, dict) or set(answer) != set(PAIRS):
        raise Wrong(
            f"The answer must be a dictionary with the keys {', '.join(PAIRS)}.", "Keep the keys of the stub."
        )
    group, pictures = dihedral(4), letters()
    for pair in PAIRS:
        first, second = (pictures[name] for name in pair.split(" to "))
        named = _elements(answer[pair])
        if named is None or not named <= set(group.elements):
            raise Wrong(
                f"{pair}: got {answer[pair]}.",
                "Elements of D4 are the integers 0 .. 7, the numbers on the slider.",
            )
        right = {g for g in group.elements if torch.equal(group.transform(first, g), second)}
        for g in sorted(named - right):
            back = torch.equal(group.transform(second, g), first)
            raise Wrong(
                f"{pair}: element {g} ({group.element_name(g)}) does not do it.",
                "It turns the second letter into the first. You want its inverse."
                if back
                else f"Set the slider to {g} and look at the picture on the right.",
            )
        if named != right:
            raise Wrong(
                f"{pair}: what you named does it, but you named {len(named)} of {len(right)} elements.",
                f"If s keeps the letter {pair[0]} as it is and g does it, then g after s does it too: "
                "there are as many ways as the stabiliser has elements.",
            )
    return "All elements found: one coset of the stabiliser for each pair, 1, 2 and 4 of them."


def count_orbits(answer: Callable[[torch.Tensor], Any]) -> str:
    """A function: action table (|G|, n) -> number of orbits, by Burnside's lemma."""
    tables = [
        GSet.grid(dihedral(4), 3),
        GSet.regular(dihedral(4)),
        GSet.trivial(cyclic(4), 5),
        GSet.jigsaw(cyclic(4), 2),
        GSet.jigsaw(dihedral(4), 2),
    ]
    for labels in tables:
        action, wanted = labels.action, len(labels.orbits)
        value = ask(answer, action.clone())
        fixed = action == torch.arange(labels.size)
        if same(value, wanted):
            continue
        reason = (
            f"For {labels.size} labels under {labels.group.name} it gave {value}; there are {wanted} orbits."
        )
        if same(value, wanted * labels.group.order):
            raise Wrong(
                reason,
                "That is the sum over the group. Burnside takes the mean: divide by the number of elements.",
            )
        if same(value, fixed.all(dim=0).sum()):
            raise Wrong(
                reason,
                "You counted the labels that every element fixes. Count the fixed labels of each element "
                "by itself, and take the mean of the counts.",
            )
        if same(value, labels.size):
            raise Wrong(
                reason,
                "That is the number of labels: only the identity fixes them all. Use every row of the table.",
            )
        raise Wrong(
            reason, "Row g of the table holds g.l at place l. A label is fixed where action[g, l] == l."
        )
    return f"Right on {len(tables)} G-sets, among them the 2 x 2 jigsaws with 10 and 8 orbits."


def same_set(answer: Any) -> str:
    """The subgroups H of D4 under which the four edges and the four corners are the same H-set."""
    group = dihedral(4)
    if not isinstance(answer, (list, tuple, set)) or not all(
        isinstance(part, (tuple, list)) for part in answer
    ):
        raise Wrong(
            f"The answer must be a list of subgroups, {got(answer)}.",
            "Each is a tuple of elements: [(0, 4), (0, 2, 4, 6)]. One element alone needs a comma, as in (3,).",
        )
    named = set()
    for part in answer:
        elements = _elements(part)
        subgroup = tuple(sorted(elements)) if elements is not None else None
        if subgroup not in group.subgroups():
            raise Wrong(f"{part} is not a subgroup of D4.", "G.subgroups() lists the ten that there are.")
        named.add(subgroup)
    neighbours = GSet.neighbours(group)
    edges, corners = neighbours.orbits[1], neighbours.orbits[0]
    right = {
        subgroup
        for subgroup in group.subgroups()
        if _commuting_bijection(neighbours.action[list(subgroup)], edges, corners)
    }
    for subgroup in group.subgroups():
        if subgroup in named - right:
            kept = {g: [_kept(neighbours, g, four) for four in (edges, corners)] for g in subgroup}
            g = next(g for g, (on_edges, on_corners) in kept.items() if on_edges != on_corners)
            raise Wrong(
                f"Under {subgroup} the edges and the corners are not the same set.",
                f"Its element {g} ({group.element_name(g)}) keeps {kept[g][0]} of the four edges in place, "
                f"but {kept[g][1]} of the corners. A bijection that respects the action keeps that number.",
            )
    if named != right:
        raise Wrong(
            f"What you named is right, but that is {len(named)} of {len(right)}.",
            "Look for a subgroup of which no element but the identity keeps an edge or a corner in place: then "
            "all orbits are copies of the subgroup itself.",
        )
    return "Exactly the three groups of rotations: a reflection always tells edges from corners."


def _elements(named: Any) -> set[int] | None:
    """The elements that an answer names, one or several, also as tensors; None if something is no integer."""
    if isinstance(named, torch.Tensor):
        named = named.tolist()
    try:
        return {index(part) for part in (named if isinstance(named, Iterable) else [named])}
    except TypeError:
        return None


def _kept(labels: GSet, g: int, members: tuple[int, ...]) -> int:
    return sum(int(labels.action[g, label]) == label for label in members)


def _commuting_bijection(action: torch.Tensor, first: tuple[int, ...], second: tuple[int, ...]) -> bool:
    """True if some bijection f from ``first`` to ``second`` has f(g.l) = g.f(l) for every row g."""
    rows = action.tolist()
    return any(
        all(f[row[label]] == row[f[label]] for row in rows for label in first)
        for f in (dict(zip(first, order, strict=True)) for order in permutations(second))
    )
