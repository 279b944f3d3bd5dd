"""Typical mistakes in the exercises of notebooks 05c to 05e, with words of their hints; unusual right answers."""

import itertools
import math

import numpy as np
import torch

from eqssl_edu.gsets import GSet

__all__ = ["ALSO_RIGHT", "MISTAKES"]


def jigsaw(rule):
    """A function with the signature of 05.moved_permutation, from a rule (there, sigma, back)."""

    def answer(sigma, group, n, g):
        positions = GSet.grid(group, n).action
        return rule(positions[g], sigma, positions[group.inverse[g]])

    return answer


def lifted(column, last=lambda stacked: stacked.flatten(1, 2)):
    """An answer to 05.lift: its column h is column(features, action, h), (B, P, C)."""

    def answer(features, action):
        columns = [column(features, action, h) for h in range(len(action))]
        return last(torch.stack(columns, dim=3))

    return answer


def right_column(features, action, h):
    return features[:, action[h], :, h]


def by_gather(features, action):
    """The library's way."""
    index = action.T[None, :, None].expand_as(features)
    return features.gather(1, index).flatten(1, 2)


def in_loops(features, action):
    """Number by number, channels before tiles, in single precision."""
    B, P, C, n = features.shape
    result = torch.zeros(B, C, P, n)
    for h in range(n):
        for q in range(P):
            result[:, :, q, h] = features[:, action[h, q], :, h].float()
    return result.flatten(1, 2)


def entropy(of, total=lambda counts, each: (counts.sum(dim=1) * each).sum() / counts.sum()):
    """An answer to 05.conditional_entropy: of(p) for each row, put together."""

    def answer(counts):
        p = counts / counts.sum(dim=1, keepdim=True)
        return total(counts, of(p))

    return answer


def nats(p):
    return -torch.xlogy(p, p).sum(dim=-1)


def counted(rule, every=lambda group: group.elements):
    """An answer to 05.mixed_counts: the row (k, m) and the label are rule(true, assumed, g, h, l)."""

    def answer(true, assumed, H):
        size = true.size
        counts = torch.zeros(true.group.order * size, size)
        labels = torch.arange(size)
        for g, h in itertools.product(every(true.group), H):
            k, m, label = rule(true, assumed, g, h, labels)
            counts.index_put_((k * size + m, label), torch.ones(size), accumulate=True)
        return counts

    return answer


def right(true, assumed, g, h, l):
    return int(true.group.product[g, h]), true.action[g, l], assumed.action[g, l]


def in_another_order(true, assumed, g, h, l):
    """The picture is named by (m, k), and the table has twice as many rows as it needs."""
    k, m, label = right(true, assumed, g, h, l)
    return 0, m * true.group.order + k, label


def closure(how, elements=None):
    """An answer to 05.closed: what ``how(there, permutations, back)`` gives for all elements."""

    def answer(permutations, group, n):
        positions = GSet.grid(group, n).action
        moved = [
            how(positions[g], permutations, positions[group.inverse[g]]) for g in elements or group.elements
        ]
        return torch.cat(moved).unique(dim=0)

    return answer


def conjugated(there, permutations, back):
    return there[permutations[:, back]]


def by_sets(permutations, group, n):
    """Tuples in a set, moved by two turns until nothing new comes; a list of lists."""
    positions = GSet.grid(group, n).action
    found, fresh = set(), {tuple(s) for s in permutations.tolist()}
    while fresh:
        found |= fresh
        moved = torch.tensor(sorted(fresh))
        more = [conjugated(positions[g], moved, positions[group.inverse[g]]) for g in group.elements]
        fresh = {tuple(s) for s in torch.cat(more).tolist()} - found
    return [list(s) for s in found]


def look(pictures, group, turn=lambda group, g: g):
    """Picture by picture."""
    table = torch.zeros(group.order, len(pictures))
    for g in group.elements:
        for l, picture in enumerate(pictures):
            moved = group.transform(picture, turn(group, g))
            table[g, l] = next(k for k, other in enumerate(pictures) if torch.equal(moved, other))
    return table


TABLE = [[0, 1, 2, 3], [1, 0, 3, 2], [0, 1, 2, 3], [1, 0, 3, 2]]
MISTAKES = {
    "05.pair": {
        "twice as many images": lambda a, b: torch.cat([a, b]),
        "Which axis may grow": lambda a, b: torch.cat([a, b], dim=2),
        "an axis of their own": lambda a, b: torch.stack([a, b], dim=1),
        "The group axis is gone": lambda a, b: torch.cat([a, b], dim=1).flatten(1),
        "Which patch came first": lambda a, b: a + b,
        "turn by the same g": lambda a, b: torch.cat([a, b.roll(1, 2).flip(2)], dim=1),
        "Something is lost": lambda a, b: torch.cat([a, a], dim=1),
    },
    "05.conditional_entropy": {
        "log p is negative": entropy(lambda p: -nats(p)),
        "in bits": entropy(lambda p: nats(p) / math.log(2)),
        "Rows that are seen more often": entropy(nats, lambda counts, each: each.mean()),
        "picture and label together": lambda counts: nats((counts / counts.sum()).flatten()),
        "if no picture is seen": lambda counts: nats((counts / counts.sum()).sum(dim=0)),
        "Wanted is what is left": lambda counts: (
            nats((counts / counts.sum()).sum(dim=0)) - entropy(nats)(counts)
        ),
        "0 log 0": entropy(lambda p: -(p * p.log()).sum(dim=1)),
        "Then the weighted mean": lambda counts: 0.5,
        "It gave 2 numbers": entropy(nats, lambda counts, each: each[:2]),
    },
    "05.mixed_counts": {
        "Is every g counted": counted(right, every=lambda group: [0]),
        "the one that the head assumes": counted(
            lambda true, assumed, *ghl: (*right(true, assumed, *ghl)[:2], true.action[ghl[0], ghl[2]])
        ),
        "The label has stayed": counted(lambda *case: (*right(*case)[:2], case[-1])),
        "shows the order g.l": counted(lambda *case: (right(*case)[0], case[-1], right(*case)[2])),
        "How far the picture is turned": counted(lambda *case: (0, *right(*case)[1:])),
        "gh, the product of both": counted(lambda *case: (case[3], *right(*case)[1:])),
        "For every g, h and l": counted(lambda *case: (0, 0 * case[-1], right(*case)[2])),
        "The columns are the labels": lambda true, assumed, H: torch.ones(3, 5),
        "Begin with zeros": lambda true, assumed, H: torch.zeros(192, 24),
        "Return the counts": lambda true, assumed, H: 0.5,
    },
    "05.calculator": {
        "Fewer elements": 1.329,
        "Set the first slider": 1.386,
        "more orientations": 0.462,
        "three digits": 1.2,
        "bold number": "1.040",
    },
    "05.closed": {
        "not all of those": closure(conjugated, [1]),
        "closed under the left action": closure(lambda there, permutations, back: there[permutations]),
        "Move each one by every g": closure(conjugated, [0, 1]),
        "are too many": lambda *case: torch.cat(
            [closure(conjugated)(*case), torch.arange(case[2] ** 2)[None]]
        ),
        "there twice": lambda *case: closure(conjugated)(*case).repeat(2, 1),
        "a row of": lambda permutations, group, n: permutations[0],
    },
    "05.action_table": {
        "it lies": torch.arange(4).repeat(4, 1),
        "turn the page": torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 1], [3, 0, 1, 2]]),
        "rising line that is turned": torch.tensor([[0, 1, 2, 3], [1, 0, 2, 3], [0, 1, 2, 3], [1, 0, 2, 3]]),
        "is the same line": torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2], [1, 0, 3, 2], [1, 0, 3, 2]]),
        "Row 0 belongs to the identity": torch.tensor([[1, 0, 3, 2]] * 4),
        "different lines different": torch.zeros(4, 4).long(),
        "The axes are": torch.zeros(2, 4).long(),
    },
    "05.action_by_looking": {
        "the label that becomes l": lambda pictures, group: look(
            pictures, group, lambda G, g: int(G.inverse[g])
        ),
        "Which picture is the turned one": lambda pictures, group: torch.arange(len(pictures)).repeat(
            group.order, 1
        ),
        "look for the label": lambda pictures, group: look(pictures, group).flip(1),
        "The axes are": lambda pictures, group: look(pictures, group).T,
    },
    "05.moved_permutation": {
        "There and back are exchanged": jigsaw(lambda there, sigma, back: back[sigma[there]]),
        "That is the left action": jigsaw(lambda there, sigma, back: there[sigma]),
        "Step 3 is missing": jigsaw(lambda there, sigma, back: sigma[back]),
        "Follow the three steps": jigsaw(lambda there, sigma, back: sigma),
        "indexed by tensors": jigsaw(lambda there, sigma, back: back),
    },
    "05.lift": {
        "lays the tiles side by side": lambda features, action: features.flatten(1, 2),
        "not at the inverse": lifted(lambda F, action, h: F[:, action[h].argsort(), :, h]),
        "its own group axis": lifted(lambda F, action, h: F[:, action[h], :, 0]),
        "at [c, h]": lifted(lambda F, action, h: F[:, action[0], :, h].flip(1) * h),
        "an axis of their own": lifted(right_column, last=lambda stacked: stacked),
        "Which tile lay where": lambda features, action: features.mean(dim=1),
        "Flatten tiles and channels alone": lifted(right_column, last=lambda stacked: stacked.flatten(1)),
        "comes last": lifted(right_column, last=lambda stacked: stacked.flatten(1, 2).transpose(1, 2)),
        "must be in U": lifted(
            lambda F, action, h: right_column(F, action, h).mean(1, True).expand(F.shape[:3])
        ),
    },
}
ALSO_RIGHT = {
    "05.pair": [
        lambda a, b: torch.cat([b, a], dim=1),
        lambda a, b: torch.stack([a, b], dim=2).flatten(1, 2),  # channel by channel
        lambda a, b: torch.cat([a + b, a - b], dim=1).float(),  # nothing is lost either
    ],
    "05.moved_permutation": [
        lambda *case: jigsaw(lambda there, s, back: there[s[back]])(*case).tolist(),
        jigsaw(lambda there, s, back: there.gather(0, s.gather(0, back)).float()),
    ],
    "05.lift": [by_gather, in_loops],
    "05.conditional_entropy": [
        entropy(lambda p: torch.special.entr(p).sum(dim=1)),
        lambda counts: float(entropy(nats)(counts)),
        lambda counts: nats((counts / counts.sum()).flatten()) - nats(counts.sum(dim=1) / counts.sum()),
        lambda counts: np.float32(entropy(nats)(counts)),
    ],
    "05.mixed_counts": [
        counted(right),
        counted(in_another_order),
        lambda *case: counted(right)(*case).double() / 7,
    ],
    "05.calculator": [1.04, np.float32(1.0397), torch.tensor(1.0397)],
    "05.closed": [by_sets, lambda *case: closure(conjugated)(*case).float()],
    "05.action_table": [TABLE, np.array(TABLE), torch.tensor(TABLE).float()],
    "05.action_by_looking": [look, lambda *case: look(*case).int().tolist()],
}
