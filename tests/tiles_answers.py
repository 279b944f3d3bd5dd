"""Typical mistakes in the exercises of notebooks 05c to 05e, with words of their hints; unusual right answers."""

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
}
