"""The exercises of notebooks 06 and 06b: a pretext loss, copies, symmetric images, honest evaluation."""

import torch
import torch.nn.functional as F
from torch import Tensor

from eqssl_edu.errors import got
from eqssl_edu.exercises.after_pretraining import frozen, paired
from eqssl_edu.exercises.judging import (
    ask,
    judge,
    need,
    need_shape,
    noise,
    same,
    scalar,
)
from eqssl_edu.exercises.verdict import second_hint
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral

__all__ = [
    "all_copies",
    "frozen",
    "paired",
    "rotation_loss",
    "symmetrised",
    "turned_accuracy",
]


@second_hint(
    "Three steps: inputs = group.transform(images, turns); logits = model(inputs); F.cross_entropy of both."
)
def rotation_loss(answer: object) -> str:
    """A function (model, images (B, C, H, W), group, turns (B,)) -> the mean cross-entropy of the turned images."""
    for group in (cyclic(4), dihedral(4)):
        images, turns = noise(7, 1, 5, 5), torch.arange(7) * 3 % group.order
        weight = noise(group.order, 25, seed=1).requires_grad_()

        def model(x: Tensor, weight: Tensor = weight) -> Tensor:
            return x.flatten(1) @ weight.T

        def loss(x: Tensor, labels: Tensor = turns, **options: str) -> Tensor:
            return F.cross_entropy(model(x), labels, **options)

        turned, back = (group.transform(images, g) for g in (turns, group.inverse[turns]))
        value = ask(answer, model, images, group, turns)
        logits = model(turned)
        hints = {
            "The images are not turned: nothing tells the label.": loss(images),
            "The images are turned back instead of forth: the label is the element that turns them.": [
                loss(back),
                loss(turned, group.inverse[turns]),
            ],
            "That is the sum over the batch. Wanted is the mean.": loss(turned, reduction="sum"),
            "F.cross_entropy takes the logits as they are: it has the softmax inside.": [
                F.cross_entropy(change(logits, dim=1), turns) for change in (F.softmax, F.log_softmax)
            ][:1],
            "That is an accuracy, or a share of wrong answers. No gradient flows through it.": [
                (logits.argmax(dim=1) == turns).double().mean(),
                (logits.argmax(dim=1) != turns).double().mean(),
            ],
            "The loss of the model's answers on group.transform(images, turns), with turns as labels.": True,
        }
        number_of = "One number is wanted, the mean over the batch, {got}."
        one = scalar(value, number_of, "F.cross_entropy averages by itself.")
        judge(one, loss(turned).detach(), f"With {group.name} the loss is another.", hints)
        flows = isinstance(value, Tensor) and value.requires_grad
        need(
            flows,
            "No gradient flows through it.",
            "Return the tensor itself: no .item(), no torch.no_grad().",
        )
    return "Nobody had to label an image."


def all_copies(answer: object) -> str:
    """A function (images (B, C, H, W), group) -> (inputs (|G| B, C, H, W), labels (|G| B,)), in any order."""
    for group in (cyclic(4), dihedral(4)):
        images, count = noise(3, 1, 6, 6), 3 * group.order
        value = ask(answer, images, group)
        two = isinstance(value, (tuple, list)) and len(value) == 2
        need(two, f"Two tensors are wanted, {got(value)}.", "End with: return inputs, labels")
        inputs = need_shape(value[0], (count, 1, 6, 6), "copy, channel, height, width")
        labels = need_shape(value[1], (count,), "copy")
        found = _places(inputs, images, group, "One of the inputs is no turned image.")
        hint = "Each of the images has to be turned by each of the elements."
        reason = f"Only {len(set(found))} of the {count} copies are there; others come twice."
        need(len(set(found)) == count, reason, hint)
        need(
            not labels.is_floating_point(),
            f"The labels have the dtype {labels.dtype}.",
            "cross_entropy reads such labels as something else: they have to be whole numbers. Add .long().",
        )
        truth = torch.tensor([g for _, g in found])
        shuffled = torch.equal(labels.long().sort().values, truth.sort().values)
        hints = {
            "The labels are those of the way back.\nThe label is the element that was applied.": group.inverse[
                truth
            ],
            "The right labels, in another order than the inputs.\n"
            "torch.cat puts all copies by element 0 first, then those by 1: repeat_interleave, or repeat?": shuffled,
            f"The labels are {sorted(set(labels.tolist()))}.\n"
            f"They are the elements 0 to {group.order - 1}, each as often as there are images.": True,
        }
        judge(labels, truth, "", hints)
    return "All copies of all images, each with its own label."


def _places(pictures: Tensor, images: Tensor, group: FiniteGroup, reason: str) -> list[tuple[int, int]]:
    """For each picture the number of its image and the element that turned it; wrong if it is no such copy."""
    copies = {(n, g): group.transform(image, g) for n, image in enumerate(images) for g in group.elements}
    found = [[place for place, copy in copies.items() if torch.equal(copy, picture)] for picture in pictures]
    need(all(found), reason, "Use group.transform(images, g) for each g.")
    return [places[0] for places in found]


def symmetrised(answer: object) -> str:
    """A function (images (B, C, H, W), group, subgroup) -> the brightest pixels of the copies under the subgroup."""
    c4, d4, images = cyclic(4), dihedral(4), noise(2, 1, 6, 6)
    for group, subgroup in ((c4, (0, 2)), (c4, (0, 1, 2, 3)), (d4, (0, 4)), (c4, (0,))):
        every = torch.stack([group.transform(images, g) for g in group.elements])
        copies = every[list(subgroup)]
        whole_group, sums = every.amax(dim=0), [copies.mean(dim=0), copies.sum(dim=0)]
        hints = {
            "These have the symmetry of the whole group: turn by the elements of the subgroup.": whole_group,
            "Symmetric up to rounding only: a sum depends on its order in the last bit. "
            "Take the brightest pixel.": sums,
            "One copy alone has no symmetry. Lay all copies over one another.": [copies[-1], images],
            "Stack group.transform(images, h) for every h of the subgroup; then .amax(dim=0).": True,
        }
        value, axes = ask(answer, images, group, subgroup), "image, channel, height, width"
        reason = f"For the subgroup {subgroup} of {group.name} the pictures are others."
        judge(value, copies.amax(dim=0), reason, hints, axes)
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
        places = _places(images, self.images, self.group, "One of the images is no turned copy.")
        losses, accuracies = zip(*[self.table[g] for _, g in places], strict=True)
        return sum(losses) / len(places), sum(accuracies) / len(places)


def turned_accuracy(answer: object) -> str:
    """A function (model, images, group) -> mean accuracy over the turned images, measured against the truth."""
    for group in (cyclic(4), dihedral(4)):
        images = noise(3, 1, 6, 6)
        model = _Model(images, group)
        value = ask(answer, model, images, group)
        losses, accuracies = zip(*model.table, strict=True)
        sure_of_itself, upright = model.labels_moved and same(value, accuracies[0]), accuracies[0]
        hints = {
            "turned=True moves the labels by the head's own action: nobody contradicts it. "
            "Say turned=False.": sure_of_itself,
            "These images stand upright: turn them by each g first.": upright,
            "evaluate returns (loss, accuracy): you averaged the losses.": sum(losses) / group.order,
            "A sum: divide by the number of elements.": sum(accuracies),
            "That is the worst orientation. The mean is wanted.": min(accuracies),
            "Four turns are not all of D4: take group.elements.": sum(accuracies[:4]) / 4,
            "For each g: model.evaluate(group.transform(images, g), turned=False)[1]. Then the mean.": True,
        }
        reason = f"With {group.name} it gave {value}; wanted was the mean of {accuracies}."
        judge(value, sum(accuracies) / group.order, reason, hints)
    return "The images are turned, and the labels say what was done to them."
