"""The exercises of notebook 01: ways from letter to letter, Burnside's count, equal G-sets."""

import torch

from eqssl_edu.data.letters import letters
from eqssl_edu.errors import got
from eqssl_edu.exercises.judging import ask, integers, judge, keyed, need
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet

__all__ = ["count_orbits", "same_set", "ways"]


def ways(answer: object) -> str:
    """A dictionary: for each pair of letters all elements of D4 that turn the first into the second."""
    group, pictures, pairs = dihedral(4), letters(), ("b to q", "M to W", "H to I")
    for pair, said in keyed(answer, pairs, f"with the keys {', '.join(pairs)}").items():
        first, second = (pictures[name] for name in pair.split(" to "))
        hint = "Elements of D4 are the integers 0 .. 7, the numbers on the slider."
        named = set(integers(said, group.elements, f"{pair}: got {said}.", hint))
        right = {g for g in group.elements if torch.equal(group.transform(first, g), second)}
        for g in sorted(named):
            hint = f"Set the slider to {g} and look at the picture on the right."
            if torch.equal(group.transform(second, g), first):
                hint = "It turns the second letter into the first. You want its inverse."
            need(g in right, f"{pair}: element {g} ({group.element_name(g)}) does not do it.", hint)
        reason = f"{pair}: what you named does it, but you named {len(named)} of {len(right)} elements."
        hint = (
            f"If s keeps the letter {pair[0]} as it is and g does it, then g after s does it too: "
            "there are as many ways as the stabiliser has elements."
        )
        need(named == right, reason, hint)
    return "All elements found: one coset of the stabiliser for each pair, 1, 2 and 4 of them."


def count_orbits(answer: object) -> str:
    """A function: action table (|G|, n) -> number of orbits, by Burnside's lemma."""
    grid, regular, trivial = GSet.grid(dihedral(4), 3), GSet.regular(dihedral(4)), GSet.trivial(cyclic(4), 5)
    tables = [grid, regular, trivial, GSet.jigsaw(cyclic(4), 2), GSet.jigsaw(dihedral(4), 2)]
    for labels in tables:
        wanted, value, n = len(labels.orbits), ask(answer, labels.action), labels.size
        fixed = labels.action == torch.arange(n)
        hints = {
            "That is the sum over the group. Burnside takes the mean: divide by the number of elements.": fixed.sum(),
            "You counted the labels that every element fixes. Count the fixed labels of each element "
            "by itself, and take the mean of the counts.": fixed.all(dim=0).sum(),
            "That is the number of labels: only the identity fixes them all. Use every row of the table.": n,
            "Row g of the table holds g.l at place l. A label is fixed where action[g, l] == l.": True,
        }
        reason = f"For {n} labels under {labels.group.name} it gave {value}; there are {wanted} orbits."
        judge(value, wanted, reason, hints)
    return f"Right on {len(tables)} G-sets, among them the 2 x 2 jigsaws with 10 and 8 orbits."


def same_set(answer: object) -> str:
    """The subgroups H of D4 under which the four edges and the four corners are the same H-set."""
    group = dihedral(4)
    fine = isinstance(answer, (list, tuple, set)) and all(isinstance(part, (list, tuple)) for part in answer)
    hint = "Each is a tuple of elements: [(0, 4), (0, 2, 4, 6)]. One element alone needs a comma, as in (3,)."
    need(fine, f"The answer must be a list of subgroups, {got(answer)}.", hint)
    named = set()
    for part in answer:
        reason, hint = f"{part} is not a subgroup of D4.", "G.subgroups() lists the ten that there are."
        subgroup = tuple(sorted(set(integers(part, group.elements, reason, hint))))
        need(subgroup in group.subgroups(), reason, hint)
        named.add(subgroup)
    neighbours = GSet.neighbours(group)
    still = neighbours.action == torch.arange(neighbours.size)
    on_corners, on_edges = (still[:, list(four)].sum(dim=1).tolist() for four in neighbours.orbits)
    right = 0
    for subgroup in group.subgroups():
        # For these two sets that is enough; in general each subgroup would have to keep as many labels of both.
        g = next((g for g in subgroup if on_edges[g] != on_corners[g]), None)
        if g is None:
            right += 1
            continue
        hint = (
            f"Its element {g} ({group.element_name(g)}) keeps {on_edges[g]} of the four edges in place, "
            f"but {on_corners[g]} of the corners. A bijection that respects the action keeps that number."
        )
        need(subgroup not in named, f"Under {subgroup} the edges and the corners are not the same set.", hint)
    hint = (
        "Look for a subgroup of which no element but the identity keeps an edge or a corner in place: then "
        "all orbits are copies of the subgroup itself."
    )
    need(len(named) == right, f"What you named is right, but that is {len(named)} of {right}.", hint)
    return "Exactly the three groups of rotations: a reflection always tells edges from corners."
