"""Sets on which a group acts: orbits, stabilisers, quotients, grid positions, jigsaw permutations."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import torch
from jaxtyping import Int64, Num
from torch import Tensor

from eqssl_edu.errors import (
    got,
    need_choice,
    need_elements,
    need_finite,
    need_integer,
    need_integers,
    need_shape,
    typed,
)
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.permutations import action_table, choose, positions_on_grid
from eqssl_edu.shapes import Elements
from eqssl_edu.tables import table

__all__ = ["GSet"]

NEIGHBOUR_NAMES = ("north-west", "north", "north-east", "west", "east", "south-west", "south", "south-east")


class GSet:
    r"""A finite set with an action of a group, as a table: ``action[g, l]`` is $g \cdot l$.

    The table is checked when the set is made: $e \cdot l = l$ and $(gh) \cdot l = g \cdot (h \cdot l)$.

    Arguments:
        group: the group that acts.
        action: LongTensor (|G|, n), the action table.
        names: n names for the elements, for pictures and messages; their numbers by default.

    Example:
        >>> from eqssl_edu.groups import dihedral
        >>> corners_edges_centre = GSet.grid(dihedral(4), 3)
        >>> corners_edges_centre.orbits
        [(0, 2, 6, 8), (1, 3, 5, 7), (4,)]
        >>> corners_edges_centre.stabilizer(4)
        (0, 1, 2, 3, 4, 5, 6, 7)
    """

    @table
    @typed
    def __init__(
        self, group: FiniteGroup, action: Int64[Tensor, "group size"], names: Iterable[str] | None = None
    ) -> None:
        need_finite(group, "a finite set of labels", "angles are labels of their own")
        need_shape("action", action, group.order, "n")
        need_integers("action", action, below=max(1, action.shape[1]))
        action = action.detach().cpu().clone()  # nobody else can change it once it is checked
        size = action.shape[1]
        if not size or not torch.equal(action[0], torch.arange(size)):
            raise ValueError(f"action must leave every label where it is under the identity, {got(action)}")
        # If (gh).l = g.(h.l) holds for every g and the generators h, it holds for all products of them.
        generators = torch.tensor([1 % group.order, group.rotations % group.order])
        broken = (action[group.product[:, generators]] != action[:, action[generators]]).nonzero()
        if len(broken):
            g, h, label = broken[0, 0].item(), generators[broken[0, 1]].item(), broken[0, 2].item()
            left, right = int(action[group.product[g, h], label]), int(action[g, action[h, label]])
            raise ValueError(
                f"action must be an action of {group.name}: (gh).l must equal g.(h.l), but for g = {g}, "
                f"h = {h}, l = {label} it got {left} and {right}"
            )
        self.group, self.action, self.size = group, action, size
        self.names = [str(name) for name in (range(size) if names is None else names)]
        if len(self.names) != size:
            raise ValueError(f"names must hold {size} names, {got(names)}")

    def __repr__(self) -> str:
        return f"GSet({self.group.name}, size={self.size}, orbits of sizes {list(map(len, self.orbits))})"

    # -- structure ----------------------------------------------------------------------------------------

    @cached_property
    def orbits(self) -> list[tuple[int, ...]]:
        """The orbits as sorted tuples of labels, in the order of their smallest label."""
        sizes = self.orbit_index.bincount().tolist()
        return [tuple(orbit.tolist()) for orbit in self.orbit_index.argsort(stable=True).split(sizes)]

    @cached_property
    def orbit_index(self) -> Int64[Tensor, " size"]:
        """``orbit_index[l]`` is the number of the orbit that holds label l."""
        return self.action.amin(dim=0).unique(return_inverse=True)[1]

    @property
    def is_transitive(self) -> bool:
        """True if there is one orbit."""
        return len(self.orbits) == 1

    def stabilizer(self, label: int) -> tuple[int, ...]:
        """The elements g with g.l = l, a subgroup."""
        label = need_integer("label", label, 0, self.size - 1)
        fixed = self.action[:, label] == label
        return tuple(fixed.nonzero().flatten().tolist())

    def isomorphic(self, label: int, other: int) -> bool:
        """True if the orbits of two labels are isomorphic G-sets: their stabilisers are conjugate."""
        orbit = self.action[:, need_integer("label", label, 0, self.size - 1)].tolist()
        wanted = self.stabilizer(other)
        return any(self.stabilizer(moved) == wanted for moved in orbit)  # that of g.l is g H g^-1

    # -- actions ------------------------------------------------------------------------------------------

    def act(self, g: Elements, labels: Int64[Tensor, " samples"]) -> Int64[Tensor, " samples"]:
        """g.l for each label; g is one element, or one element per label."""
        need_shape("labels", labels, "B")
        need_integers("labels", labels, below=self.size)
        g = need_elements(self.group, g, labels, "labels", own_axes=0)
        return self.action.to(labels.device)[g, labels]

    def transform(self, outputs: Num[Tensor, "*batch size"], g: int) -> Num[Tensor, "*batch size"]:
        r"""Act on a label-valued output $o \in R^L$: $(g \cdot o)[l] = o[g^{-1} \cdot l]$."""
        need_shape("outputs", outputs, "...", self.size)
        g = need_integer("g", g, 0, self.group.order - 1)
        return outputs[..., self.action.to(outputs.device)[self.group.inverse[g]]]

    # -- the standard sets --------------------------------------------------------------------------------

    @classmethod
    @table
    @typed
    def regular(cls, group: FiniteGroup) -> GSet:
        """G acting on itself from the left: one orbit, trivial stabilisers."""
        return cls(group, group.product, [group.element_name(g) for g in group.elements])

    @classmethod
    @table
    @typed
    def trivial(cls, group: FiniteGroup, n: int) -> GSet:
        """n labels that no element moves."""
        need_integer("n", n, 1, 2**24 // group.order)  # the numbers that the action holds
        return cls(group, torch.arange(n).repeat(group.order, 1))

    @classmethod
    @table
    @typed
    def quotient(cls, group: FiniteGroup, subgroup: Iterable[int]) -> GSet:
        """The left cosets G/H: label i is ``group.left_cosets(subgroup)[i]``; g.(tH) = (gt)H."""
        cosets = torch.tensor(group.left_cosets(subgroup))
        coset_of = cosets.flatten().argsort() // cosets.shape[1]
        names = ["{" + ", ".join(map(group.element_name, coset)) + "}" for coset in cosets.tolist()]
        return cls(group, coset_of[group.product[:, cosets[:, 0]]], names)

    @classmethod
    @table
    @typed
    def grid(cls, group: FiniteGroup, n: int) -> GSet:
        """The positions of an n x n grid, row-major; g moves them as it moves the tiles of an image."""
        positions = positions_on_grid(group, n)
        names = [f"row {p // n}, column {p % n}" for p in range(n * n)]
        return cls(group, positions, names)

    @classmethod
    @table
    def neighbours(cls, group: FiniteGroup) -> GSet:
        """The eight neighbours of a grid position, row-major without the centre (relative patch location)."""
        around = [0, 1, 2, 3, 5, 6, 7, 8]
        action = cls.grid(group, 3).action[:, around]
        return cls(group, action - (action > 4).long(), NEIGHBOUR_NAMES)

    @classmethod
    @table
    @typed
    def jigsaw(
        cls,
        group: FiniteGroup,
        n: int,
        action: str = "conjugation",
        count: int | None = None,
        min_distance: int | None = None,
    ) -> GSet:
        r"""Permutations of the n x n tiles of an image; ``.permutations`` holds them, LongTensor (size, n*n).

        A permutation s sends the tile at position p to position s[p]. With $\pi_g$ the permutation of
        positions that g causes, the actions are: conjugation $\pi_g s \pi_g^{-1}$ (right for every image),
        left $\pi_g s$ (needs upright images), trivial $s$ (needs upright images and an invariant output).

        Arguments:
            n: 2 (all 24 permutations are taken if nothing else is said) or 3 (362,880: choose some).
            action: "conjugation", "left" or "trivial".
            count: take whole orbits, far apart in Hamming distance, until there are at least so many labels; at
                most 5,040.
            min_distance: take only orbits whose members differ from each other, and from all that was taken,
                in at least so many positions.
        """
        permutations = choose(group, n, action, count, min_distance)
        names = ["".join(map(str, permutation)) for permutation in permutations.tolist()]
        labels = cls(group, action_table(group, n, action, permutations), names)
        labels.permutations = permutations
        return labels

    @typed
    def times(self, other: GSet) -> GSet:
        """The product set with g.(l, m) = (g.l, g.m); the pair (l, m) is label ``l * other.size + m``."""
        need_choice("other.group", other.group, [self.group])
        action = (self.action[:, :, None] * other.size + other.action[:, None, :]).flatten(1)
        return GSet(self.group, action, [f"{a}; {b}" for a in self.names for b in other.names])
