"""The checks of notebooks 06 to 06c."""

import numpy as np
import torch
import torch.nn.functional as F
from exercise_checks import ExerciseChecks

from eqssl_edu.evaluation import paired_interval
from eqssl_edu.groups import cyclic


def copies(labels=lambda truth, group: truth, step=1):
    """A function with the signature of 06.all_copies; ``labels`` makes them of the right ones."""

    def answer(images, group):
        inputs = torch.cat([group.transform(images, step * g) for g in group.elements])
        return inputs, labels(torch.arange(group.order).repeat_interleave(len(images)), group)

    return answer


def over_another(rule):
    """A function with the signature of 06.symmetrised, from a rule on the stacked copies."""
    return lambda images, group, H: rule(torch.stack([group.transform(images, h) for h in H]))


def graded(rule, which=1, turned=False):
    """A function with the signature of 06.turned_accuracy; ``rule`` joins the numbers of the orientations."""

    def answer(model, images, group):
        copies = (group.transform(images, g) for g in group.elements)
        return rule([model.evaluate(copy, turned=turned)[which] for copy in copies])

    return answer


def brightest(stack):
    return stack.amax(dim=0)


def mean(values):
    return sum(values) / len(values)


def loss(turn=lambda images, group, turns: group.transform(images, turns), **options):
    """A function with the signature of 06.rotation_loss; ``turn`` makes the inputs."""
    return lambda model, x, group, turns: F.cross_entropy(model(turn(x, group, turns)), turns, **options)


def hit(model, images, group, turns):
    return (model(group.transform(images, turns)).argmax(dim=1) == turns).double().mean()


@torch.no_grad()
def features(encoder, images):
    return encoder.eval()(images).flatten(1)


@torch.no_grad()
def in_training_mode(encoder, images):
    return encoder(images).flatten(1)


def one_after_the_other(encoder, images):
    rows = [encoder.eval()(image[None])[0].reshape(-1).tolist() for image in images]
    return torch.tensor(rows, dtype=torch.float32)


def half_width(rule):
    """A function with the signature of 06.paired, from a rule for half the width of the interval."""

    def answer(values, reference, t):
        d = np.array(values) - np.array(reference)
        half = rule(d, t, np.array(values), np.array(reference))
        return d.mean(), d.mean() - half, d.mean() + half

    return answer


def standard_error(d, t, *_):
    return t * d.std(ddof=1) / len(d) ** 0.5


# Typical mistakes, each with words of the hint that is made for it.
MISTAKES = {
    "06.rotation_loss": {
        "not turned": loss(lambda images, group, turns: images),
        "back instead of forth": loss(lambda x, group, turns: group.transform(x, group.inverse[turns])),
        "sum over the batch": loss(reduction="sum"),
        "averages by itself": loss(reduction="none"),
        "softmax inside": lambda model, x, group, turns: loss()(
            lambda y: model(y).softmax(1), x, group, turns
        ),
        "That is an accuracy": hit,
        "no .item()": lambda *given: loss()(*given).item(),
        "with turns as labels": lambda *given: -loss()(*given),
    },
    "06.frozen": {
        "in training mode": in_training_mode,
        "features of all elements": lambda encoder, images: encoder.eval()(images).mean(dim=2).detach(),
        "in another order": lambda encoder, x: encoder.eval()(x).transpose(1, 2).flatten(1).detach(),
        "Frozen": lambda encoder, images: encoder.eval()(images).flatten(1),
        "as rows": lambda encoder, images: features(encoder, images) + 1,
        "Freeze first": lambda encoder, images: (
            in_training_mode(encoder, images),
            features(encoder, images),
        )[1],
    },
    "06.paired": {
        "sqrt(n) times less": half_width(lambda d, t, *_: t * d.std(ddof=1)),
        "n - 1": half_width(lambda d, t, *_: t * d.std() / len(d) ** 0.5),
        "Not paired": half_width(lambda d, t, a, b: t * ((a.var(ddof=1) + b.var(ddof=1)) / len(d)) ** 0.5),
        "1.96": half_width(lambda d, *_: standard_error(d, 1.96)),
        "Reference minus values": lambda a, b, t: half_width(standard_error)(b, a, t),
        "another order": lambda *given: half_width(standard_error)(*given)[::-1],
        "return mean, low, high": lambda *given: half_width(standard_error)(*given)[0],
        "standard error": half_width(lambda d, t, *_: 0),
    },
    "06.all_copies": {
        "the element that was applied": copies(lambda truth, group: group.inverse[truth]),
        "repeat_interleave, or repeat": copies(lambda truth, group: truth.roll(1)),
        "They are the elements": copies(lambda truth, group: 90 * truth),
        "Add .long()": copies(lambda truth, group: 1.0 * truth),
        "by each of the elements": copies(step=0),
        "Use group.transform": lambda images, group: copies()(images + 1, group),
        "return inputs, labels": lambda images, group: images,
    },
    "06.symmetrised": {
        "Take the brightest pixel": over_another(lambda stack: stack.mean(dim=0)),
        "One copy alone": over_another(lambda stack: stack[-1]),
        "by the elements of the subgroup": lambda x, group, H: over_another(brightest)(
            x, group, group.elements
        ),
        "Stack group.transform": over_another(lambda stack: stack.amin(dim=0)),
    },
    "06.turned_accuracy": {
        "Say turned=False": lambda model, images, group: model.evaluate(images)[1],
        "turn them by each g": lambda model, images, group: model.evaluate(images, turned=False)[1],
        "you averaged the losses": graded(mean, which=0),
        "divide by the number": graded(sum),
        "the worst orientation": graded(min),
        "Then the mean": graded(max, which=0),
        "take group.elements": lambda model, images, group: graded(mean)(model, images, cyclic(4)),
        "Use group.transform": lambda model, images, group: graded(mean)(model, images + 1, group),
    },
}


def image_by_image(images, group):
    """All copies of the first image, then those of the second one."""
    inputs = [group.transform(image, g) for image in images for g in group.elements]
    return torch.stack(inputs), torch.arange(group.order).repeat(len(images))


def by_log_softmax(model, images, group, turns):
    turned = torch.stack([group.transform(x, int(g)) for x, g in zip(images, turns, strict=True)])
    return -model(turned).log_softmax(dim=1)[range(len(turns)), turns].mean()


ALSO_RIGHT = {
    "06.rotation_loss": [by_log_softmax, lambda *given: loss()(*given).float()],
    "06.frozen": [one_after_the_other, lambda encoder, x: encoder.eval()(x).detach().reshape(len(x), -1)],
    "06.paired": [half_width(standard_error), lambda a, b, t: list(paired_interval(a, b))],
    "06.all_copies": [image_by_image, lambda images, group: list(copies()(images, group))],
    "06.turned_accuracy": [graded(lambda values: torch.tensor(values).mean()), graded(np.mean)],
}


class TestChecks(ExerciseChecks):
    notebooks = ("06_training_pretext_tasks", "06b_which_task_for_which_data", "06c_what_is_it_good_for")
    mistakes = MISTAKES
    also_right = ALSO_RIGHT
