"""The exercises of notebook 05: caps, the universal head, data symmetry, the jigsaw action, Burnside, a table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from eqssl_edu.errors import got
from eqssl_edu.exercises.verdict import Wrong, ask, filled_in, need_shape, same
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.permutations import move
from eqssl_edu.theory import inconsistency_floor

__all__ = [
    "action_table",
    "calculator",
    "count_orbits",
    "data_symmetry",
    "image_cap",
    "moved_permutation",
    "universal_logits",
]


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Random numbers in float64, the same every time."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def image_cap(answer: Callable[..., Any]) -> str:
    """A function (image (C, H, W), group) -> 1 / the number of elements that leave the image as it is."""
    for group in (dihedral(4), cyclic(4)):
        # Pairs first: with one element, or with all of them, several mistakes give the same number.
        for subgroup in sorted(group.subgroups(), key=lambda h: len(h) != 2):
            x = noise(1, 6, 6)
            image = torch.stack([group.transform(x, h) for h in subgroup]).round(decimals=3).sum(dim=0)
            image = image.round(decimals=3)  # sums in another order differ in the last bit
            value = torch.as_tensor(ask(answer, image, group))
            if value.numel() != 1:
                raise Wrong(
                    f"It gave {value.numel()} numbers; wanted was one.",
                    "All pixels must be equal: torch.equal.",
                )
            value = float(value)
            if same(value, 1 / len(subgroup)):
                continue
            reason = (
                f"A picture that {len(subgroup)} of the {group.order} elements of {group.name} leave as it is got "
                f"{value:.3f}; its cap is {1 / len(subgroup):.3f}."
            )
            if same(value, len(subgroup)):
                raise Wrong(reason, "That is the number of labels that look alike. The cap is one over it.")
            if same(value, len(subgroup) / group.order):
                raise Wrong(
                    reason, "That is a share of the group. If s elements look alike, one guess in s is right."
                )
            if same(value, 1 / group.order):
                raise Wrong(
                    reason, "That is the cap of an invariant network. Here the network may see the picture."
                )
            raise Wrong(
                reason, "Compare group.transform(image, g) with image for every g, and count the equal ones."
            )
    return "Right for pictures of all ten symmetries under D4, and for those of C4."


def universal_logits(answer: Callable[..., Any]) -> str:
    """A function (features (B, C, |G|), weight (C, |L|), labels) -> logits (B, |L|), without bias."""
    group = dihedral(4)
    for labels in (GSet.regular(group), GSet.neighbours(group), GSet.quotient(group, (0, 4))):
        features, weight = noise(3, 2, group.order), noise(2, labels.size, seed=1)
        value = need_shape(
            ask(answer, features.clone(), weight.clone(), labels), (3, labels.size), "sample and label"
        )
        wanted = _logits(features, weight, labels.action[group.inverse])
        if same(value, wanted):
            continue
        reason = f"For {labels!r} the logits differ from the library's head."
        if same(value, _logits(features, weight, labels.action)):
            raise Wrong(
                reason, "The weight at (l, h) is W[c, h^-1 . l]. You used h . l: take the inverse of h."
            )
        if same(value, features.sum(dim=2) @ weight):
            raise Wrong(reason, "Nothing depends on h: pooled over the group first, the logits cannot move.")
        if same(value, features[:, :, 0] @ weight):
            raise Wrong(reason, "Only the element e was used. The sum runs over c and over h.")
        raise Wrong(
            reason,
            "Look up index = labels.action[labels.group.inverse], (|G|, |L|), and sum features[b, c, h] times "
            "weight[:, index][c, h, l] over c and h.",
        )
    return "Equal to the library's head for three sets of labels."


def _logits(features: Tensor, weight: Tensor, index: Tensor) -> Tensor:
    return torch.einsum("bch,chl->bl", features, weight[:, index])


# pipeline -> (its symmetry, a thought for whoever has another one)
SYMMETRY = {
    "photos as they are": ((0,), "nothing is turned and nothing mirrored: only the identity is left"),
    "RandomHorizontalFlip": ((0, 4), "left and right are exchanged, half of the time: element 4"),
    "RandomVerticalFlip": ((0, 6), "upside down is: first flip left to right (4), then turn by 180 degrees"),
    "both flips": ((0, 2, 4, 6), "one flip after the other is a turn by 180 degrees, and it comes as well"),
    "satellite images, from all directions, never mirrored": (
        (0, 1, 2, 3),
        "all four turns are alike, and no mirror image ever comes",
    ),
}


def data_symmetry(answer: Any) -> str:
    """For each pipeline the subgroup of D4 that leaves its data looking the same."""
    if not isinstance(answer, dict) or set(answer) != set(SYMMETRY):
        raise Wrong("The answer must be a dictionary of the five pipelines.", "Keep the keys of the stub.")
    group = dihedral(4)
    for pipeline, (wanted, thought) in SYMMETRY.items():
        named = filled_in(answer[pipeline])
        if hasattr(named, "tolist"):  # a tensor, an array, or one number of these
            named = named.tolist()
        named = {named} if isinstance(named, int) else set(named)
        if not named <= set(group.elements):
            raise Wrong(f"{pipeline}: got {sorted(map(str, named))}.", "The elements of D4 are 0 to 7.")
        if 0 not in named:
            raise Wrong(f"{pipeline}: the identity is missing.", "Doing nothing leaves all data as they are.")
        if set(group.generate(sorted(named))) != named:
            both = sorted(set(group.generate(sorted(named))) - named)
            raise Wrong(
                f"{pipeline}: {sorted(named)} is no subgroup, {both[0]} is missing.",
                "What leaves the data as they are may be done twice, or one after the other.",
            )
        if named != set(wanted):
            raise Wrong(f"{pipeline}: {sorted(named)} is not its symmetry.", f"Think again: {thought}.")
    return "With these subgroups H the right labels are the cosets G/H."


def moved_permutation(answer: Callable[..., Any]) -> str:
    """A function (sigma LongTensor (n*n,), group, n, g) -> the permutation that makes the turned puzzle."""
    for group, n, g in ((cyclic(4), 2, 1), (dihedral(4), 3, 1), (dihedral(4), 3, 7), (dihedral(4), 2, 5)):
        sigma = torch.randperm(n * n, generator=torch.Generator().manual_seed(g + 2))
        value = ask(answer, sigma.clone(), group, n, g)
        value = need_shape(torch.as_tensor(value), (n * n,), "the positions of the tiles, row by row")
        wanted = move(group, n, "conjugation", g, sigma[None])[0]
        if same(value, wanted):
            continue
        positions = GSet.grid(group, n).action
        there, back = positions[g], positions[int(group.inverse[g])]
        reason = (
            f"For {n} x {n} tiles, {group.element_name(g)} and sigma = {sigma.tolist()} it gave {value.tolist()}; "
            f"the turned puzzle is {wanted.tolist()}."
        )
        if same(value, back[sigma[there]]):
            raise Wrong(
                reason,
                "There and back are exchanged: the inverse comes first, so it stands inside: sigma[back].",
            )
        if same(value, there[sigma]):
            raise Wrong(
                reason, "That is the left action: the tile is followed from its old place, not from gx."
            )
        if same(value, sigma[back]):
            raise Wrong(reason, "Step 3 is missing: the turn carries the tile on, by pi_g.")
        if same(value, sigma):
            raise Wrong(reason, "The permutation has not moved. Follow the three steps above.")
        raise Wrong(reason, "p goes to there[sigma[back[p]]], and tensors can be indexed by tensors.")
    return "Conjugation: right for 2 x 2 and 3 x 3 tiles, turns and reflections."


def calculator(answer: Any) -> str:
    """The floor of the trivial jigsaw action for the smallest symmetry of data that costs 1.0 nats or more."""
    if isinstance(answer, bool) or not isinstance(answer, (int, float)):
        raise Wrong(f"The answer must be a number, {got(answer)}.", "It is the bold number of nats.")
    group = dihedral(4)
    true, trivial, left = (GSet.jigsaw(group, 2, action) for action in ("conjugation", "trivial", "left"))
    floors = {H: inconsistency_floor(true, trivial, H).nats for H in group.subgroups()}
    wanted = floors[0, 1, 2, 3]
    if abs(answer - wanted) < 2e-3:
        return "Four turns are enough; all eight elements would cost 1.329."
    if abs(answer - floors[tuple(group.elements)]) < 2e-3:
        raise Wrong(f"{answer} is the floor for all eight elements.", "Four elements are enough: which four?")
    if abs(answer - inconsistency_floor(true, left, (0, 1, 2, 3)).nats) < 2e-3:
        raise Wrong(
            f"{answer} is the price of the left action.", "Set the first slider to `jigsaw 2x2, trivial`."
        )
    if answer < 1:
        raise Wrong(f"{answer} is less than 1.0 nats.", "Try data with more orientations.")
    raise Wrong(
        f"{answer} is no floor of this task.", "Set the sliders, and copy the number with three digits."
    )


def count_orbits(answer: Callable[..., Any]) -> str:
    """A function (action table (|G|, n)) -> the number of orbits."""
    for group in (cyclic(4), dihedral(4), dihedral(2)):
        for labels in (GSet.grid(group, 3), GSet.neighbours(group), GSet.jigsaw(group, 2)):
            value = ask(answer, labels.action.clone())
            if same(value, len(labels.orbits)):
                continue
            reason = f"For {labels!r} it gave {value}; there are {len(labels.orbits)} orbits."
            fixed = (labels.action == torch.arange(labels.size)).sum()
            if same(value, fixed):
                raise Wrong(
                    reason, "That is the sum over the group. Burnside's count is the mean: divide by |G|."
                )
            if same(value, labels.size / group.order) or same(value, labels.size // group.order):
                raise Wrong(
                    reason,
                    "n / |G| counts orbits as if all had |G| labels. Count the labels that stay in place.",
                )
            if same(value, (labels.action == torch.arange(labels.size)).all(dim=0).sum()):
                raise Wrong(
                    reason, "That counts labels that *every* element leaves in place: sum over the elements."
                )
            raise Wrong(
                reason, "Compare the table with torch.arange(n), count the equal entries, divide by |G|."
            )
    return "Right for grids, neighbours and jigsaws under three groups."


LINES = ("upright", "lying", "rising", "falling")


def action_table(answer: Any) -> str:
    """The action of C4 on four lines through the middle: upright, lying, rising, falling."""
    if isinstance(answer, (list, tuple)):
        for line in answer:
            filled_in(line)
    if not isinstance(answer, str):
        answer = torch.as_tensor(answer)
    value = need_shape(answer, (4, 4), "the element g and the label l")
    row = torch.arange(4)
    if not (value.sort(dim=1).values == row).all():
        raise Wrong(
            "Each row must hold each of the labels 0, 1, 2, 3 once.",
            "A turn makes different lines different.",
        )
    value = value.long()
    if not torch.equal(value[0], row):
        raise Wrong("Row 0 moves labels.", "Row 0 belongs to the identity: nothing moves.")
    if torch.equal(value, row.expand(4, 4)):
        raise Wrong("No label moves.", "Turn an upright line by 90 degrees: it lies.")
    for g in range(1, 4):
        for label, drawn in enumerate(_line(label) for label in range(4)):
            turned = cyclic(4).transform(drawn, g)
            found = next(k for k in range(4) if torch.equal(_line(k), turned))
            if int(value[g, label]) != found:
                hint = "A line turned by 180 degrees is the same line." if g == 2 else ""
                hint = hint or (
                    "A rising line that is turned by 90 degrees falls."
                    if label > 1
                    else "Draw it and turn the page."
                )
                raise Wrong(
                    f"Turned by {90 * g} degrees, the {LINES[label]} line is {LINES[found]}, not "
                    f"{LINES[int(value[g, label])]}.",
                    hint,
                )
    return "Two orbits, {0, 1} and {2, 3}; a half turn leaves every line in place."


def _line(label: int) -> Tensor:
    """A 5 x 5 picture of one of the four lines."""
    diagonal = torch.eye(5)
    middle = torch.zeros(5, 5)
    middle[:, 2] = 1
    return (middle, middle.T, diagonal.flip(1), diagonal)[label]
