"""The checks of notebook 06: stubs are not done, solutions pass, typical mistakes get their own hint."""

from fractions import Fraction

import torch
from exercise_checks import ExerciseChecks

from eqssl_edu.exercises import check, notebook_06
from eqssl_edu.groups import cyclic
from eqssl_edu.gsets import GSet
from eqssl_edu.theory import label_cap

NAMES = [f"06.{name}" for name in notebook_06.__all__]


def copies(labels, elements=None):
    """A function with the signature of 06.all_copies; ``labels`` makes them from (group, number of images)."""

    def answer(images, group):
        chosen = group.elements if elements is None else elements(group)
        return torch.cat([group.transform(images, g) for g in chosen]), labels(group, len(images))

    return answer


def in_order(group, count):
    return torch.arange(group.order).repeat_interleave(count)


def over_another(rule):
    """A function with the signature of 06.symmetrised, from a rule on the stacked copies."""

    def answer(images, group, subgroup):
        return rule(torch.stack([group.transform(images, h) for h in subgroup]))

    return answer


def graded(rule, which=1, turned=False):
    """A function with the signature of 06.turned_accuracy; ``rule`` joins the numbers of the orientations."""

    def answer(model, images, group):
        return rule(
            [model.evaluate(group.transform(images, g), turned=turned)[which] for g in group.elements]
        )

    return answer


def mean(values):
    return sum(values) / len(values)


CAPS = {
    "rotation, equivariant head": 1 / 4,
    "location, invariant head": 1 / 4,
    "location, equivariant head": 1,
    "jigsaw, conjugation": 1,
    "jigsaw, left": 1 / 4,
}
# Typical mistakes, each with words of the hint that is made for it.
MISTAKES = {
    "06.all_copies": [
        (copies(lambda group, count: group.inverse[in_order(group, count)]), "the element that was applied"),
        (
            copies(lambda group, count: torch.arange(group.order).repeat(count)),
            "repeat_interleave, or repeat",
        ),
        (copies(lambda group, count: 90 * in_order(group, count)), "They are the elements"),
        (copies(lambda group, count: 1.0 * in_order(group, count)), "Add .long()"),
        (copies(in_order, lambda group: [0] * group.order), "by each of the elements"),
        (lambda images, group: copies(in_order)(images + 1, group), "Use group.transform"),
        (lambda images, group: (images, torch.zeros(3).long()), "The axes are"),
        (lambda images, group: images, "return inputs, labels"),
    ],
    "06.symmetrised": [
        (over_another(lambda stack: stack.mean(dim=0)), "Take the brightest pixel"),
        (over_another(lambda stack: stack[-1]), "One copy alone"),
        (
            lambda x, group, H: torch.stack([group.transform(x, g) for g in group.elements]).amax(dim=0),
            "by the elements of the subgroup",
        ),
        (over_another(lambda stack: stack.amin(dim=0)), "Stack group.transform"),
        (over_another(lambda stack: stack), "The axes are"),
    ],
    "06.turned_accuracy": [
        (lambda model, images, group: model.evaluate(images)[1], "Say turned=False"),
        (lambda model, images, group: model.evaluate(images, turned=False)[1], "turn them by each g"),
        (graded(mean, which=0), "you averaged the losses"),
        (graded(sum), "divide by the number"),
        (graded(min), "the worst orientation"),
        (graded(max, which=0), "Then the mean"),
        (lambda model, images, group: graded(mean)(model, images, cyclic(4)), "take group.elements"),
        (lambda model, images, group: graded(mean)(model, images + 1, group), "Use group.transform"),
    ],
    "06.satellite": [
        ({**CAPS, "rotation, equivariant head": 1}, "all four orientations anyway"),
        ({**CAPS, "location, invariant head": 1 / 8}, "edges from corners"),
        ({**CAPS, "jigsaw, left": 1}, "nobody knows which of four"),
        ({**CAPS, "jigsaw, conjugation": 25}, "Between 0 and 1"),
        ({**CAPS, "jigsaw, conjugation": "all"}, "An accuracy"),
        ({**CAPS, "jigsaw, left": label_cap(GSet.jigsaw(cyclic(4), 2, "left"), range(4))}, ".accuracy"),
        ({"jigsaw": 1}, "Keep the keys"),
    ],
}


class TestChecks(ExerciseChecks):
    notebooks = ("06_training_pretext_tasks",)
    names = NAMES
    mistakes = MISTAKES


def test_copies_in_any_order_are_right():
    def image_by_image(images, group):
        inputs = [group.transform(image, g) for image in images for g in group.elements]
        return torch.stack(inputs), torch.arange(group.order).repeat(len(images))

    assert check("06.all_copies", image_by_image).ok


def test_a_list_of_two_and_a_fraction_are_right_too():
    assert check("06.all_copies", lambda images, group: list(copies(in_order)(images, group))).ok
    assert check("06.satellite", {case: Fraction(cap) for case, cap in CAPS.items()}).ok
