"""Notebook 05e: sets of permutations, by the published recipe and by whole orbits; four lines with a label each."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from itertools import permutations as all_orders

import plotly.graph_objects as go
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from eqssl_edu.errors import need_integer, typed
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.permutations import move
from eqssl_edu.plots import COLOURS, TEMPLATE
from eqssl_edu.tables import table

__all__ = ["by_mean_distance", "closed", "compare", "four_lines", "inside", "show_ties", "smallest_distance"]

Orders = Int64[Tensor, "count tiles"]


@cache
@table
def _everything() -> UInt8[Tensor, "9 362880"]:
    """All permutations of nine tiles in the order of a dictionary, one in a column."""
    return torch.tensor(list(all_orders(range(9))), dtype=torch.uint8).T.contiguous()


@typed
def by_mean_distance(count: int, seed: int, ties: str = "random") -> Int64[Tensor, "count 9"]:
    """Permutations of nine tiles, each the one with the largest mean Hamming distance to those taken before.

    The recipe of Noroozi and Favaro (arXiv 1603.09246). The first one is drawn.

    Arguments:
        ties: of those with the same mean take one at "random", or the "first" of the list.
    """
    need_integer("count", count, 1, 1000)
    every, generator = _everything(), torch.Generator().manual_seed(seed)

    def drawn(among: int) -> int:
        return int(torch.randint(among, (), generator=generator))

    chosen = [drawn(every.shape[1])]
    total = torch.zeros(every.shape[1], dtype=torch.int16)
    while len(chosen) < count:
        for tile in every:
            total += tile != tile[chosen[-1]]
        total[chosen] = -1  # not again
        farthest = (total == total.max()).nonzero()[:, 0]
        chosen.append(int(farthest[0 if ties == "first" else drawn(len(farthest))]))
    return every[:, chosen].T.long()


@typed
def smallest_distance(permutations: Orders) -> int:
    """The Hamming distance of the two that are nearest to each other."""
    distance = (permutations[:, None] != permutations).sum(dim=2)
    return int(distance.fill_diagonal_(permutations.shape[1] + 1).min())


@typed
def inside(permutations: Orders, group: FiniteGroup, g: int) -> int:
    """How many of these permutations of nine tiles g moves to one of them, by conjugation."""
    members = set(map(tuple, permutations.tolist()))
    return sum(tuple(moved) in members for moved in move(group, 3, "conjugation", g, permutations).tolist())


@typed
def show_ties(seed: int, runs: int = 10) -> go.Figure:
    """The smallest distance within 24 permutations by mean distance, for two ways to break ties: a dot for each run."""
    title = "24 permutations of nine tiles: how near are the nearest two?"
    figure = go.Figure(layout={"template": TEMPLATE, "title": title, "height": 300, "width": 640})
    for ties, colour in zip(("first", "random"), COLOURS, strict=False):
        found = [smallest_distance(by_mean_distance(24, runs * seed + run, ties)) for run in range(runs)]
        print(f"ties: {ties:7}", *found)
        figure.add_scatter(
            x=list(range(1, runs + 1)),
            y=found,
            name=ties,
            mode="markers",
            marker={"color": colour, "size": 11},
        )
    figure.update_xaxes(title="run", dtick=1).update_layout(legend={"title": "ties"})
    return figure.update_yaxes(title="places that differ", range=[0, 9.5], dtick=1)


@typed
def compare(sets: Mapping[str, Orders], group: FiniteGroup) -> None:
    """Print of each set of permutations how many it has, its smallest distance, and whether turns leave it."""
    for name, permutations in sets.items():
        stays = all(inside(permutations, group, g) == len(permutations) for g in group.elements)
        apart = f"the nearest two differ at {smallest_distance(permutations)} of 9 places"
        print(f"{name:24} {len(permutations):3} labels, {apart}, {'closed' if stays else 'not closed'}")


@table
def four_lines() -> Float[Tensor, "4 5 5"]:
    """Lines through the middle: upright, lying, from lower left to upper right, from upper left to lower right."""
    diagonal, upright = torch.eye(5), F.pad(torch.ones(5, 1), (2, 2))
    return torch.stack([upright, upright.T, diagonal.flip(1), diagonal])


@typed
def closed(permutations: Orders, group: FiniteGroup, n: int) -> Int64[Tensor, "closed tiles"]:
    """All that becomes of these permutations of n x n tiles by conjugation."""
    return torch.cat([move(group, n, "conjugation", g, permutations) for g in group.elements]).unique(dim=0)
