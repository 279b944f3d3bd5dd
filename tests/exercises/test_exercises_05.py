"""The checks of notebook 05."""

import numpy as np
import tiles_answers as tiles
import torch
from exercise_checks import ExerciseChecks

from eqssl_edu.encoders import SymmetrizedEncoder
from eqssl_edu.exercises import notebook_05
from eqssl_edu.layers import GSetHead


def same_copies(image, group):
    return sum(torch.equal(group.transform(image, g), image) for g in group.elements)


def head(index):
    """A function with the signature of 05.universal_logits that looks the weights up with ``index(labels)``."""

    def answer(features, weight, labels):
        return torch.einsum("bch,chl->bl", features, weight[:, index(labels)])

    return answer


def library_head(features, weight, labels):
    made = GSetHead(labels, len(weight)).double()
    made.weight = torch.nn.Parameter(weight)
    return made(features)


class Vectors(torch.nn.Module):
    """A scorer as a module that says how wide it is."""

    def __init__(self, scorer):
        super().__init__()
        self.scorer, self.out_channels, self.last = scorer, 1, torch.nn.Linear(1, 1)

    def forward(self, images):
        return self.scorer(images)[:, None]


PIPELINES = {name: subgroup for name, (subgroup, _) in notebook_05.SYMMETRY.items()}
AS_THEY_ARE, _, _, BOTH, TABLE_SIDES = PIPELINES
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
        "is a sum over c and h": head(lambda labels: labels.action.roll(1, 0)),
    },
    "05.data_symmetry": {
        "Doing nothing": {**PIPELINES, AS_THEY_ARE: (4,)},
        "nothing else happens": {**PIPELINES, "RandomVerticalFlip": (0, 4)},
        "one after the other": {**PIPELINES, BOTH: (0, 4, 6)},
        "its mirror image": {**PIPELINES, TABLE_SIDES: tuple(range(8))},
        "are 0 to 7": {**PIPELINES, TABLE_SIDES: (0, 90)},
    },
    "05.turned_logits": {
        "by the inverse of h": lambda scorer, x, G: torch.stack(
            [scorer(G.transform(x, g)) for g in G.elements], 1
        ),
        "All logits are alike": lambda scorer, x, G: scorer(x)[:, None].expand(-1, G.order),
        "Logit h is scorer": lambda scorer, x, G: torch.zeros(len(x), G.order),
        "The axes are": lambda scorer, x, G: torch.stack([scorer(G.transform(x, int(g))) for g in G.inverse]),
    },
    "05.coset_labels": {
        "label of its own": lambda G, H: list(G.elements),
        "right cosets": lambda G, H: [min(int(G.product[h, t]) for h in H) for t in G.elements],
        "though H is not the whole group": lambda G, H: [0] * G.order,
        "from the right": lambda G, H: [t in H for t in G.elements],
        "One label for each element": lambda G, H: G.left_cosets(H),
    },
}


ALSO_RIGHT = {
    "05.image_cap": [lambda x, group: torch.tensor([1 / same_copies(x, group)])],
    "05.data_symmetry": [
        {**PIPELINES, AS_THEY_ARE: 0, BOTH: np.array([6, 4, 2, 0])},
        {**PIPELINES, AS_THEY_ARE: np.int64(0), TABLE_SIDES: torch.arange(4)},
    ],
    "05.universal_logits": [
        lambda F, W, L: sum(F[:, :, h] @ W[:, L.action[L.group.inverse[h]]] for h in L.group.elements),
        library_head,
    ],
    "05.turned_logits": [
        lambda scorer, x, G: SymmetrizedEncoder(G, Vectors(scorer))(x)[:, 0],
        lambda scorer, x, G: torch.stack([scorer(G.transform(x, g)) for g in G.elements], 1)[:, G.inverse],
    ],
    "05.coset_labels": [
        lambda G, H: torch.tensor([min(int(G.product[t, h]) for h in H) for t in G.elements]).float(),
        lambda G, H: [sorted(G.product[t, list(H)].tolist()) for t in G.elements],
        lambda G, H: [next(i for i, c in enumerate(G.left_cosets(H)) if t in c) for t in G.elements],
        lambda G, H: (str(set(G.product[t, list(H)].tolist())) for t in G.elements),
    ],
}


class TestChecks(ExerciseChecks):
    notebooks = (
        "05_pretext_labels",
        "05b_labels_that_move",
        "05c_patches_and_tiles",
        "05d_price_of_a_wrong_action",
        "05e_choosing_permutations",
    )
    mistakes = MISTAKES | tiles.MISTAKES
    also_right = ALSO_RIGHT | tiles.ALSO_RIGHT
