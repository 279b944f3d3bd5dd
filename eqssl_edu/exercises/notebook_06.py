"""The exercises of notebook 06: all copies and their labels, symmetric images, honest evaluation, a choice of task."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from eqssl_edu.errors import got
from eqssl_edu.exercises.verdict import Wrong, ask, filled_in, need_shape, same
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral

__all__ = ["all_copies", "satellite", "symmetrised", "turned_accuracy"]


def noise(*shape: int) -> Tensor:
    """Random numbers between 0 and 1 in float64, the same every time."""
    return torch.rand(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def all_copies(answer: Callable[..., Any]) -> str:
    """A function (images (B, C, H, W), group) -> (inputs (|G| B, C, H, W), labels (|G| B,)), in any order."""
    for group in (cyclic(4), dihedral(4)):
        images = noise(3, 1, 6, 6)
        value = ask(answer, images.clone(), group)
        if not isinstance(value, (tuple, list)) or len(value) != 2:
            raise Wrong(f"Two tensors are wanted, {got(value)}.", "End with: return inputs, labels")
        count = 3 * group.order
        inputs = need_shape(value[0], (count, 1, 6, 6), "copy, channel, height, width")
        labels = need_shape(value[1], (count,), "copy")
        found = [_which(picture, images, group) for picture in inputs]
        if None in found:
            raise Wrong("One of the inputs is no turned image.", "Use group.transform(images, g) for each g.")
        if len(set(found)) < count:
            raise Wrong(
                f"Only {len(set(found))} of the {count} copies are there; others come twice.",
                "Each of the images has to be turned by each of the elements.",
            )
        if labels.is_floating_point():
            raise Wrong(
                f"The labels have the dtype {labels.dtype}.",
                "cross_entropy reads such labels as something else: they have to be whole numbers. Add .long().",
            )
        told, truth = labels.tolist(), [g for _, g in found]
        if told == truth:
            continue
        if told == group.inverse[truth].tolist():
            raise Wrong("The labels are those of the way back.", "The label is the element that was applied.")
        if sorted(told) == sorted(truth):
            raise Wrong(
                "The right labels, in another order than the inputs.",
                "torch.cat puts all copies by element 0 first, then those by 1: repeat_interleave, or repeat?",
            )
        raise Wrong(
            f"The labels are {sorted(set(told))}.",
            f"They are the elements 0 to {group.order - 1}, each as often as there are images.",
        )
    return "All copies of all images, each with its own label."


def _which(picture: Tensor, images: Tensor, group: FiniteGroup) -> tuple[int, int] | None:
    """Number of the image and the element that turned it; None if the picture is no such copy."""
    for g in group.elements:
        for number, copy in enumerate(group.transform(images, g)):
            if torch.equal(picture, copy):
                return number, g
    return None


def symmetrised(answer: Callable[..., Any]) -> str:
    """A function (images (B, C, H, W), group, subgroup) -> the brightest pixels of the copies under the subgroup."""
    for group, subgroup in (
        (cyclic(4), (0, 2)),
        (cyclic(4), (0, 1, 2, 3)),
        (dihedral(4), (0, 4)),
        (cyclic(4), (0,)),
    ):
        images = noise(2, 1, 6, 6)
        value = need_shape(
            ask(answer, images.clone(), group, subgroup), (2, 1, 6, 6), "image, channel, height, width"
        )
        copies = torch.stack([group.transform(images, h) for h in subgroup])
        if same(value, copies.amax(dim=0)):
            continue
        reason = f"For the subgroup {subgroup} of {group.name} the pictures are others."
        if same(value, torch.stack([group.transform(images, g) for g in group.elements]).amax(dim=0)):
            raise Wrong(
                reason, "These have the symmetry of the whole group: turn by the elements of the subgroup."
            )
        if same(value, copies.mean(dim=0)) or same(value, copies.sum(dim=0)):
            raise Wrong(
                reason,
                "Symmetric up to rounding only: a sum depends on its order in the last bit. Take the brightest pixel.",
            )
        if same(value, copies[-1]) or same(value, images):
            raise Wrong(reason, "One copy alone has no symmetry. Lay all copies over one another.")
        raise Wrong(
            reason, "Stack group.transform(images, h) for every h of the subgroup; then .amax(dim=0)."
        )
    return "Every element of the subgroup leaves these pictures as they are, bit for bit."


class _Model:
    """Stands for a trained model: it answers ``evaluate`` from a table of losses and accuracies."""

    def __init__(self, images: Tensor, group: FiniteGroup) -> None:
        self.images, self.group, self.labels_moved = images, group, False
        self.table = [(1.0 + 0.3 * g, round(0.9 - 0.013 * g * g, 3)) for g in group.elements]

    def evaluate(self, images: Tensor, seed: int | None = 0, turned: bool = True) -> tuple[float, float]:
        if turned:  # labels moved by the head's own action: as if every image had been upright
            self.labels_moved = True
            return self.table[0]
        found = [g for g in self.group.elements if torch.equal(images, self.group.transform(self.images, g))]
        if found:
            return self.table[found[0]]
        places = [_which(image, self.images, self.group) for image in images]
        if None in places:
            raise Wrong("One of the images is no turned copy.", "Use group.transform(images, g) for each g.")
        pairs = [self.table[g] for _, g in places]
        losses, accuracies = zip(*pairs, strict=True)
        return sum(losses) / len(pairs), sum(accuracies) / len(pairs)


def turned_accuracy(answer: Callable[..., Any]) -> str:
    """A function (model, images, group) -> mean accuracy over the turned images, measured against the truth."""
    for group in (cyclic(4), dihedral(4)):
        images = noise(3, 1, 6, 6)
        model = _Model(images, group)
        value = ask(answer, model, images.clone(), group)
        losses, accuracies = zip(*model.table, strict=True)
        if same(value, sum(accuracies) / group.order):
            continue
        reason = f"With {group.name} it gave {value}; wanted was the mean of {accuracies}."
        if same(value, accuracies[0]) and not model.labels_moved:
            raise Wrong(reason, "These images stand upright: turn them by each g first.")
        if same(value, accuracies[0]):
            raise Wrong(
                reason,
                "turned=True moves the labels by the head's own action: nobody contradicts it. Say turned=False.",
            )
        if same(value, sum(losses) / group.order):
            raise Wrong(reason, "evaluate returns (loss, accuracy): you averaged the losses.")
        if same(value, sum(accuracies)):
            raise Wrong(reason, "A sum: divide by the number of elements.")
        if same(value, min(accuracies)):
            raise Wrong(reason, "That is the worst orientation. The mean is wanted.")
        if group.order == 8 and same(value, sum(accuracies[:4]) / 4):
            raise Wrong(reason, "Four turns are not all of D4: take group.elements.")
        raise Wrong(
            reason, "For each g: model.evaluate(group.transform(images, g), turned=False)[1]. Then the mean."
        )
    return "The images are turned, and the labels say what was done to them."


SATELLITE = {  # task and head -> (cap on pictures from all directions, a thought for whoever has another one)
    "rotation, equivariant head": (
        1 / 4,
        "each picture comes in all four orientations anyway: what is there to tell?",
    ),
    "location, invariant head": (1 / 4, "it can tell edges from corners, and no more: one of four"),
    "location, equivariant head": (
        1,
        "north of the middle turns into west of the middle, and so does the label",
    ),
    "jigsaw, conjugation": (1, "it is the true action, whatever the pictures are"),
    "jigsaw, left": (
        1 / 4,
        "it names places in an upright picture, and nobody knows which of four is upright",
    ),
}


def satellite(answer: Any) -> str:
    """For each task and head the highest accuracy of a C4 network on pictures from all directions."""
    if not isinstance(answer, dict) or set(answer) != set(SATELLITE):
        raise Wrong("The answer must be a dictionary of the five cases.", "Keep the keys of the stub.")
    for case, (wanted, thought) in SATELLITE.items():
        cap = filled_in(answer[case])
        if isinstance(cap, tuple):
            raise Wrong(f"{case}: a number is wanted, {got(cap)}.", "A floor has two: take its .accuracy.")
        if isinstance(cap, bool) or not isinstance(cap, Real):
            raise Wrong(f"{case}: a number is wanted, {got(cap)}.", "An accuracy between 0 and 1.")
        if not 0 <= cap <= 1:
            raise Wrong(f"{case}: {cap} is no accuracy.", "Between 0 and 1, such as 1 / 4.")
        if not same(float(cap), wanted):
            raise Wrong(f"{case}: {float(cap):g} is not its cap.", f"Think again: {thought}.")
    return "So two of the five are worth training on such pictures."
