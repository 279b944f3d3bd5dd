"""The checks of notebook 02."""

import numpy as np
import torch
import torch.nn.functional as F
from exercise_checks import ExerciseChecks


def error(formula):
    """A function with the signature of 02.equivariance_error; the formula takes f(x), f(g x), g f(x) and g^-1 f(x)."""

    def answer(f, x, group, g):
        turned, forth, back = f(group.transform(x, g)), group.transform(f(x), g), group.inverse[g]
        return formula(f(x), turned, forth, group.transform(f(x), int(back)))

    return answer


def lift(first, second, dim=2):
    """A function with the signature of exercise 02.lifting: turn the image by ``first``, the result by ``second``."""

    def answer(x, kernel, group):
        maps = []
        for g in group.elements:
            elements = {"g": g, "inverse": int(group.inverse[g]), "nothing": 0}
            convolved = F.conv2d(group.transform(x, elements[first]), kernel)
            maps.append(group.transform(convolved, elements[second]))
        return torch.stack(maps, dim=dim)

    return answer


def lift_by_turning_kernels(x, kernel, group):
    """The right maps, but not the way that was asked for."""
    return torch.stack([F.conv2d(x, group.transform(kernel, g)) for g in group.elements], dim=2)


def lift_with_named_arguments(x, kernel, group):
    turned = ((g, group.transform(x, int(group.inverse[g]))) for g in group.elements)
    maps = [group.transform(F.conv2d(input=image, weight=kernel.clone()), g) for g, image in turned]
    return torch.stack(maps, dim=2)


HARMLESS = {"ReLU", "softmax over the group axis", "one bias for each channel"}
HARMLESS |= {"max-pool 2 x 2, stride 2", "subtract the mean of each map"}
# Typical mistakes, each with words of the hint that is made for it.
MISTAKES = {
    "02.equivariance_error": {
        "turn f(x) as well": error(lambda y, turned, forth, back: (turned - y).norm() / y.norm()),
        "Divide by": error(lambda y, turned, forth, back: (turned - forth).norm()),
        "use g, not its inverse": error(lambda y, turned, forth, back: (turned - back).norm() / y.norm()),
        "cancel": error(lambda y, turned, forth, back: (turned - forth).mean()),
        "One number for the whole batch": error(lambda y, turned, forth, back: (turned - forth).norm(dim=1)),
        "Return the quotient of the two norms": lambda f, x, group, g: "0.5",
    },
    "02.exact_size": {
        "one column over": 32,
        "The next layer sees 16 pixels": 31,
        "Try every size": 37,
        "Start the slider S at 30": 17,
        "Write the size": "33",
    },
    "02.lifting": {
        "forgot to turn the result back": lift("inverse", "nothing"),
        "two turns are swapped": lift("g", "inverse"),
        "look at the dim of torch.stack": lift("inverse", "g", dim=1),
        "nothing depends on g": lift("nothing", "nothing"),
        "Which turns do that": lift("nothing", "g"),
        "Here the kernel stays as it is": lift_by_turning_kernels,
    },
    "02.harmless": {
        "Of the 8 steps, 1 is judged wrongly": HARMLESS | {"sort along the group axis"},
        "Of the 8 steps, 3 are": HARMLESS
        ^ {"ReLU", "sort along the group axis", "softmax over the group axis"},
        "The steps are": {"relu"},
        "Write a list of names": "ReLU",
    },
}


ALSO_RIGHT = {
    "02.equivariance_error": [error(lambda y, t, forth, back: np.float64((forth - t).norm() / forth.norm()))],
    "02.exact_size": [33.0, np.int64(33), torch.tensor(33), torch.tensor([33.0])],
    "02.lifting": [lift_with_named_arguments],
    "02.harmless": [sorted(HARMLESS)],
}


class TestChecks(ExerciseChecks):
    notebooks = ("02_group_convolutions",)
    mistakes = MISTAKES
    also_right = ALSO_RIGHT
