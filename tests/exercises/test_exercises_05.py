"""The checks of notebook 05: stubs are not done, solutions pass, typical mistakes get their own hint."""

import numpy as np
import pytest
import torch
from exercise_checks import ExerciseChecks

from eqssl_edu.exercises import check, notebook_05
from eqssl_edu.gsets import GSet

NAMES = [f"05.{name}" for name in notebook_05.__all__]


def same_copies(image, group):
    return sum(torch.equal(group.transform(image, g), image) for g in group.elements)


def head(index):
    """A function with the signature of 05.universal_logits that looks the weights up with ``index(labels)``."""

    def answer(features, weight, labels):
        return torch.einsum("bch,chl->bl", features, weight[:, index(labels)])

    return answer


def jigsaw(rule):
    """A function with the signature of 05.moved_permutation, from a rule (there, sigma, back)."""

    def answer(sigma, group, n, g):
        positions = GSet.grid(group, n).action
        return rule(positions[g], sigma, positions[group.inverse[g]])

    return answer


def in_place(action):
    return action == torch.arange(action.shape[1])


PIPELINES = {
    "photos as they are": (0,),
    "RandomHorizontalFlip": (0, 4),
    "RandomVerticalFlip": (0, 6),
    "both flips": (0, 2, 4, 6),
    "satellite images, from all directions, never mirrored": (0, 1, 2, 3),
}
SATELLITE = "satellite images, from all directions, never mirrored"
TABLE = [[0, 1, 2, 3], [1, 0, 3, 2], [0, 1, 2, 3], [1, 0, 3, 2]]
# Typical mistakes, each with words of the hint that is made for it.
MISTAKES = {
    "05.image_cap": [
        (same_copies, "The cap is one over it"),
        (lambda x, group: same_copies(x, group) / group.order, "a share of the group"),
        (lambda x, group: 1 / group.order, "the cap of an invariant network"),
        (lambda x, group: 1.0, "count the equal ones"),
        (lambda x, group: group.transform(x, 1) == x, "All pixels must be equal"),
    ],
    "05.universal_logits": [
        (head(lambda labels: labels.action), "take the inverse of h"),
        (lambda features, weight, labels: features.sum(dim=2) @ weight, "pooled over the group first"),
        (lambda features, weight, labels: features[:, :, 0] @ weight, "The sum runs over c and over h"),
        (head(lambda labels: labels.action.roll(1, 0)), "Look up index"),
        (lambda features, weight, labels: features @ weight[0, 0], "The axes are"),
    ],
    "05.data_symmetry": [
        ({**PIPELINES, "photos as they are": (4,)}, "Doing nothing"),
        ({**PIPELINES, "RandomVerticalFlip": (0, 4)}, "upside down is"),
        ({**PIPELINES, "both flips": (0, 4, 6)}, "one after the other"),
        ({**PIPELINES, SATELLITE: tuple(range(8))}, "no mirror image ever comes"),
        ({**PIPELINES, SATELLITE: (0, 90)}, "are 0 to 7"),
        ({**PIPELINES, "both flips": torch.tensor([4])}, "Doing nothing"),
        ({"photos": (0,)}, "Keep the keys"),
    ],
    "05.moved_permutation": [
        (jigsaw(lambda there, sigma, back: back[sigma[there]]), "There and back are exchanged"),
        (jigsaw(lambda there, sigma, back: there[sigma]), "That is the left action"),
        (jigsaw(lambda there, sigma, back: sigma[back]), "Step 3 is missing"),
        (jigsaw(lambda there, sigma, back: sigma), "Follow the three steps"),
        (jigsaw(lambda there, sigma, back: back), "indexed by tensors"),
        (jigsaw(lambda there, sigma, back: sigma[:2]), "The axes are"),
    ],
    "05.calculator": [
        (1.329, "which four"),
        (1.386, "Set the first slider"),
        (0.462, "more orientations"),
        (1.2, "three digits"),
        ("1.040", "bold number"),
    ],
    "05.count_orbits": [
        (lambda action: in_place(action).sum(), "divide by |G|"),
        (lambda action: action.shape[1] / action.shape[0], "as if all had |G| labels"),
        (lambda action: in_place(action).all(dim=0).sum(), "sum over the elements"),
        (lambda action: -1, "Compare the table"),
    ],
    "05.action_table": [
        (torch.arange(4).repeat(4, 1), "it lies"),
        (torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0], [2, 3, 0, 1], [3, 0, 1, 2]]), "turn the page"),
        (
            torch.tensor([[0, 1, 2, 3], [1, 0, 2, 3], [0, 1, 2, 3], [1, 0, 2, 3]]),
            "rising line that is turned",
        ),
        (torch.tensor([[0, 1, 2, 3], [1, 0, 3, 2], [1, 0, 3, 2], [1, 0, 3, 2]]), "is the same line"),
        (torch.tensor([[1, 0, 3, 2]] * 4), "Row 0 belongs to the identity"),
        (torch.zeros(4, 4).long(), "different lines different"),
        (torch.tensor(TABLE) + 0.4, "different lines different"),
        (torch.zeros(2, 4).long(), "The axes are"),
    ],
}


class TestChecks(ExerciseChecks):
    notebooks = ("05_pretext_labels",)
    names = NAMES
    mistakes = MISTAKES


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("05.image_cap", lambda x, group: torch.tensor([1 / same_copies(x, group)])),
        ("05.data_symmetry", {**PIPELINES, "photos as they are": 0, "both flips": np.array([0, 2, 4, 6])}),
        ("05.data_symmetry", {**PIPELINES, "photos as they are": np.int64(0), SATELLITE: torch.arange(4)}),
        ("05.action_table", TABLE),
        ("05.action_table", np.array(TABLE)),
        ("05.action_table", torch.tensor(TABLE).float()),
    ],
)
def test_right_answers_of_other_types(name, answer):
    assert check(name, answer).ok


def test_a_gap_inside_a_row_is_still_open():
    assert not check("05.action_table", [[0, 1, 2, 3], [1, ..., 3, 2], [0, 1, 2, 3], [1, 0, 3, 2]]).done
