"""The checks of notebook 05."""

import numpy as np
import tiles_answers as tiles
import torch
from exercise_checks import ExerciseChecks

from eqssl_edu.exercises import notebook_05


def same_copies(image, group):
    return sum(torch.equal(group.transform(image, g), image) for g in group.elements)


def head(index):
    """A function with the signature of 05.universal_logits that looks the weights up with ``index(labels)``."""

    def answer(features, weight, labels):
        return torch.einsum("bch,chl->bl", features, weight[:, index(labels)])

    return answer


def in_place(action):
    return action == torch.arange(action.shape[1])


PIPELINES = {name: subgroup for name, (subgroup, _) in notebook_05.SYMMETRY.items()}
*_, SATELLITE = PIPELINES
TABLE = [[0, 1, 2, 3], [1, 0, 3, 2], [0, 1, 2, 3], [1, 0, 3, 2]]
# Typical mistakes, each with words of the hint that is made for it.
MISTAKES = {
    "05.image_cap": {
        "The cap is one over it": same_copies,
        "a share of the group": lambda x, group: same_copies(x, group) / group.order,
        "the cap of an invariant network": lambda x, group: 1 / group.order,
        "count the equal ones": lambda x, group: 1.0,
        "All pixels must be equal": lambda x, group: group.transform(x, 1) == x,
    },
    "05.universal_logits": {
        "take the inverse of h": head(lambda labels: labels.action),
        "pooled over the group first": lambda features, weight, labels: features.sum(dim=2) @ weight,
        "The sum runs over c and over h": lambda features, weight, labels: features[:, :, 0] @ weight,
        "Look up index": head(lambda labels: labels.action.roll(1, 0)),
    },
    "05.data_symmetry": {
        "Doing nothing": {**PIPELINES, "photos as they are": (4,)},
        "upside down is": {**PIPELINES, "RandomVerticalFlip": (0, 4)},
        "one after the other": {**PIPELINES, "both flips": (0, 4, 6)},
        "no mirror image ever comes": {**PIPELINES, SATELLITE: tuple(range(8))},
        "are 0 to 7": {**PIPELINES, SATELLITE: (0, 90)},
    },
    "05.calculator": {
        "which four": 1.329,
        "Set the first slider": 1.386,
        "more orientations": 0.462,
        "three digits": 1.2,
        "bold number": "1.040",
    },
    "05.count_orbits": {
        "Burnside's count is the mean": lambda action: in_place(action).sum(),
        "Orbits are sets of them": lambda action: action.shape[1],
        "as if all orbits had |G| labels": lambda action: action.shape[1] / action.shape[0],
        "sum over the elements": lambda action: in_place(action).all(dim=0).sum(),
        "Which entries of row g": lambda action: 3,
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
}


ALSO_RIGHT = {
    "05.image_cap": [lambda x, group: torch.tensor([1 / same_copies(x, group)])],
    "05.data_symmetry": [
        {**PIPELINES, "photos as they are": 0, "both flips": np.array([6, 4, 2, 0])},
        {**PIPELINES, "photos as they are": np.int64(0), SATELLITE: torch.arange(4)},
    ],
    "05.count_orbits": [
        lambda action: len({frozenset(column) for column in action.T.tolist()}),
        lambda action: in_place(action).double().sum(dim=1).mean(),
        lambda action: np.int64(len(action.amin(dim=0).unique())),
    ],
    "05.calculator": [1.04, np.float32(1.0397), torch.tensor(1.0397)],
    "05.action_table": [TABLE, np.array(TABLE), torch.tensor(TABLE).float()],
}


class TestChecks(ExerciseChecks):
    notebooks = ("05_pretext_labels", "05c_patches_and_tiles")
    mistakes = MISTAKES | tiles.MISTAKES
    also_right = ALSO_RIGHT | tiles.ALSO_RIGHT
