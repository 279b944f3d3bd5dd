"""The checks of notebook 11."""

import numpy as np
import torch
import torch.nn.functional as F
from exercise_checks import ExerciseChecks

from eqssl_edu.exercises.notebook_11 import CLAIMS, CONTROLS

WANTED = dict(zip(CLAIMS, CONTROLS, strict=True))
FIRST, SECOND = list(CLAIMS)[:2]


def voted(
    weight=lambda s: (s / 0.1).exp(),
    largest=True,
    everyone=False,
    said=lambda votes, labels, which: votes.argmax(1),
):
    """A function with the signature of 11.neighbours."""

    def answer(similarity, labels, k):
        closest, which = similarity.topk(similarity.shape[1] if everyone else k, dim=1, largest=largest)
        votes = (F.one_hot(labels[which], 10) * weight(closest)[..., None]).sum(dim=1)
        return said(votes, labels, which)

    return answer


def one_by_one(similarity, labels, k):
    """Right: row by row, with dictionaries."""
    found = []
    for row in similarity.tolist():
        votes = {}
        for i in sorted(range(len(row)), key=lambda i, row=row: -row[i])[:k]:
            votes[int(labels[i])] = votes.get(int(labels[i]), 0) + np.exp((row[i] - 1) / 0.1)
        found.append(max(votes, key=votes.get))
    return torch.tensor(found)


def corrected(factor=lambda n, rank: n - rank, cap=1.0, rising=True, in_order=True):
    """A function with the signature of 11.holm."""

    def answer(p):
        order = sorted(range(len(p)), key=lambda i: p[i])
        values = [min(cap, factor(len(p), rank) * p[i]) for rank, i in enumerate(order)]
        values = [max(values[: r + 1]) for r in range(len(p))] if rising else values
        return [values[order.index(i)] for i in range(len(p))] if in_order else values

    return answer


def with_numpy(p):
    """Right: sorted, accumulated, and put back by a second sorting."""
    p = np.asarray(p)
    order = np.argsort(p)
    values = np.minimum(1, np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1)))
    return values[np.argsort(order)]


def against_the_last(p):
    """Wrong: each is compared with the one before it as it was, not as it became."""
    found, last = [0.0] * len(p), 0.0
    for rank, i in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        value = min(1, (len(p) - rank) * p[i])
        found[i], last = max(last, value), value
    return found


def scattered(similarity, labels, k):
    """Right: as the second hint says."""
    closest, which = similarity.topk(k, dim=1)
    return (
        torch.zeros(len(similarity), 10).scatter_add_(1, labels[which], (closest / 0.1).exp()).argmax(dim=1)
    )


MISTAKES = {
    "11.neighbours": {
        "look them up in labels": lambda s, labels, k: s.argmax(dim=1),
        "least similar": voted(largest=False),
        "one vote there": voted(weight=torch.ones_like),
        "divide by 0.1": voted(weight=torch.exp),
        "Only the k most similar": voted(everyone=True),
        "All k vote": lambda s, labels, k: labels[s.argmax(dim=1)],
        "Take the k largest": lambda s, labels, k: labels[: len(s)].new_zeros(len(s)),
        "only one counted": lambda s, labels, k: torch.zeros(len(s), 10)
        .scatter_(1, labels[s.topk(k).indices], (s.topk(k).values / 0.1).exp()).argmax(dim=1),
        "must be classes": lambda s, labels, k: ["one"] * len(s),
        "One class for each row": lambda s, labels, k: voted(said=lambda votes, labels, which: votes)(s, labels, k),
    },
    "11.holm": {
        "nothing was corrected": lambda p: p,
        "Bonferroni": corrected(factor=lambda n, rank: n),
        "order in which they came": corrected(in_order=False),
        "smaller corrected one": corrected(rising=False),
        "places mixed up": lambda p: [corrected()(p)[i] for i in np.argsort(p)],
        "none below the one before": lambda p: against_the_last(p),
        "cap it": corrected(cap=9.0),
        "the other way round": corrected(factor=lambda n, rank: 1 + rank),
        "The smallest times n": lambda p: [0.5 for _ in p],
        "One corrected p for each": lambda p: min(p),
        "it gave 1": lambda p: [min(p)],
    },
    "11.missing": {
        "Of the 6 claims, 1 is judged wrongly": {**WANTED, FIRST: "correction"},
        "Of the 6 claims, 2 are": {**WANTED, FIRST: WANTED[SECOND], SECOND: WANTED[FIRST]},
        "They are: no training": {**WANTED, FIRST: "everything"},
    },
}  # fmt: skip

ALSO_RIGHT = {
    "11.neighbours": [
        one_by_one,
        scattered,
        lambda s, labels, k: scattered(s, labels, k).numpy(),
        lambda s, labels, k: scattered(s, labels, k).tolist(),
        voted(),
        voted(weight=lambda s: ((s - 1) * 10).exp()),
        voted(weight=lambda s: (s / 0.1).softmax(dim=1)),
        lambda s, labels, k: voted()(s, labels, k).int(),
    ],
    "11.holm": [
        with_numpy,
        corrected(),
        lambda p: tuple(corrected()(p)),
        lambda p: torch.tensor(corrected()(p)),
    ],
    "11.missing": [dict(reversed(WANTED.items()))],
}


class TestChecks(ExerciseChecks):
    notebooks = ("11_what_was_learned",)
    mistakes = MISTAKES
    also_right = ALSO_RIGHT
