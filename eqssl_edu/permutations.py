"""Orders of jigsaw tiles: how the group moves them, and which to take (whole orbits, far apart)."""

from __future__ import annotations

from functools import lru_cache
from itertools import permutations as all_orders

import torch
from jaxtyping import Int64
from torch import Tensor

from eqssl_edu.errors import got, need_choice, need_exact, need_integer, need_integers, need_shape, typed
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.tables import table

__all__ = ["ACTIONS", "action_table", "choose", "move", "positions_on_grid"]

ACTIONS = ("conjugation", "left", "trivial")
MOST = 5040  # orders that are chosen: each is compared with all 9! of them
Orders = Int64[Tensor, "count tiles"]


@typed
@lru_cache(maxsize=16)
@table
def positions_on_grid(group: FiniteGroup, n: int) -> Int64[Tensor, "group tiles"]:
    r"""$\pi_g[p]$: where g takes the tile at position p of an n x n grid, row-major."""
    need_exact(group)
    need_integer("n", n, 1, 1000)
    positions = torch.arange(n * n).reshape(n, n)
    # transform() shows which tile arrives at a position; its inverse is where a tile goes.
    arrives = torch.stack([group.transform(positions, g).flatten() for g in group.elements])
    return arrives.argsort(dim=1)


@typed
def move(group: FiniteGroup, n: int, action: str, g: int, permutations: Orders) -> Orders:
    r"""g.s for each permutation s: $\pi_g s \pi_g^{-1}$ (conjugation), $\pi_g s$ (left) or $s$ (trivial)."""
    _need_action(group, n, action, permutations)
    return _moved(group, n, action, need_integer("g", g, 0, group.order - 1), permutations)


@typed
def action_table(
    group: FiniteGroup, n: int, action: str, permutations: Orders
) -> Int64[Tensor, "group count"]:
    """The action on a set of permutations by their row numbers; ValueError if the set is not closed."""
    _need_action(group, n, action, permutations)
    codes, order = _code(permutations).sort()
    in_order = permutations.sort(dim=1).values == torch.arange(n * n)
    if not len(codes) or not in_order.all() or (codes[1:] == codes[:-1]).any():
        raise ValueError(f"permutations must be different orders of 0 .. {n * n - 1}, {got(permutations)}")
    rows = []
    for g in group.elements:
        moved = _code(_moved(group, n, action, g, permutations))
        at = torch.searchsorted(codes, moved).clamp(max=len(codes) - 1)
        if not torch.equal(codes[at], moved):
            raise ValueError(
                f"permutations must be closed under the {action} action of {group.name}: element {g} sends "
                f"{permutations[(codes[at] != moved).nonzero()[0, 0]].tolist()} out of the set"
            )
        rows.append(order[at])
    return torch.stack(rows)


@typed
def choose(
    group: FiniteGroup, n: int, action: str, count: int | None = None, min_distance: int | None = None
) -> Int64[Tensor, "count tiles"]:
    """Whole orbits of permutations, each the farthest from those taken before (greedy max-min distance).

    The Hamming distance does not change when both permutations are moved by g, on either side. So the
    distance of one member to a closed set is that of its whole orbit: one representative of each is enough.
    """
    need_choice("n", n, (2, 3))
    candidates = _all_permutations(n * n)
    _need_action(group, n, action, candidates)
    apart = 1 if min_distance is None else need_integer("min_distance", min_distance, least=1)
    if n == 3 and count is None and apart < 5:
        raise ValueError("count must be given for n = 3, or a min_distance of at least 5: there are 362,880")
    if count is None and min_distance is None:
        return candidates.clone()  # the table is cached
    most = min(MOST, len(candidates))
    wanted = most if count is None else need_integer("count", count, 1, most)
    orbit = torch.stack([_moved(group, n, action, g, candidates) for g in group.elements])
    codes = _code(orbit)
    representative = codes[0] == codes.amin(dim=0)
    orbit, codes, candidates = orbit[:, representative], codes[:, representative], candidates[representative]
    # How far apart the members of an orbit are; a member that returns to itself does not count.
    distance = (orbit != candidates).sum(dim=2)
    nearest = torch.where(codes == codes[0], n * n, distance).amin(dim=0)
    small = candidates.to(torch.uint8)  # bytes are compared faster
    taken: list[Tensor] = []
    while sum(map(len, taken)) < wanted and nearest.max() >= apart:
        members = orbit[:, int(nearest.argmax())].unique(dim=0)
        taken.append(members)
        for member in members:  # its own orbit is 0 away from now on, and is not taken again
            nearest = torch.minimum(nearest, (small != member.to(torch.uint8)).sum(dim=1))
    total = sum(map(len, taken))
    if not total or total < (count or 0):
        raise ValueError(f"min_distance must leave count = {count} labels in whole orbits, got {total}")
    return torch.cat(taken)


def _moved(group: FiniteGroup, n: int, action: str, g: int, permutations: Tensor) -> Tensor:
    if action == "trivial":
        return permutations
    positions = positions_on_grid(group, n)[g]
    moved = positions[permutations]
    return moved[:, positions.argsort()] if action == "conjugation" else moved


def _need_action(group: FiniteGroup, n: int, action: str, permutations: Tensor) -> None:
    need_choice("action", action, ACTIONS)
    need_shape("permutations", permutations, "count", n * n)
    need_integers("permutations", permutations, below=n * n)


@lru_cache(maxsize=2)
@table
def _all_permutations(tiles: int) -> Tensor:
    return torch.tensor(list(all_orders(range(tiles))))


def _code(permutations: Tensor) -> Tensor:
    """One number for each permutation (its digits in base ``tiles``), so that sets can be searched."""
    tiles = permutations.shape[-1]
    return (permutations * tiles ** torch.arange(tiles - 1, -1, -1)).sum(dim=-1)
