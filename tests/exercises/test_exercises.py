"""The checks are checked: the student's stub is not done, the solution passes, typical mistakes get their own hint."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from exercise_checks import ExerciseChecks

from eqssl_edu.exercises import check, notebook_01, notebook_02

NAMES = ["00.similarity"]
NAMES += [f"01.{name}" for name in notebook_01.__all__] + [f"02.{name}" for name in notebook_02.__all__]


def error(difference, size):
    """A function with the signature of exercise 02.equivariance_error, from its two ingredients."""

    def answer(f, x, group, g):
        y, y_turned = f(x), f(group.transform(x, g))
        return size(difference(y, y_turned, group, g), y)

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


def relative(difference, y):
    return difference.norm() / y.norm()


RIGHT_WAYS = {"b to q": (2,), "M to W": (2, 6), "H to I": (1, 3, 5, 7)}
ROTATIONS = [(0,), (0, 2), (0, 1, 2, 3)]
HARMLESS = {
    "ReLU",
    "softmax over the group axis",
    "one bias for each channel",
    "max-pool 2 x 2, stride 2",
    "subtract the mean of each map",
}
# Typical mistakes, each with words of the hint that is made for it.
MISTAKES = {
    "00.similarity": [
        (lambda kappa: kappa[:, :, 0], "treat all entries of the last axis alike"),
        (lambda kappa: kappa.sum(dim=2).log(), "kappa may be negative"),
        (lambda kappa: torch.ones(kappa.shape[:2]), "tell similar pairs from others"),
        (lambda kappa: kappa.amax(dim=2).softmax(dim=1), "its own |G| values"),
        (lambda kappa: kappa.amax(dim=2, keepdim=True), "(B, B')"),
        (lambda kappa: 2 * kappa.amax(dim=2) + 1, "Try another one"),
        (lambda kappa: kappa.sum(dim=2), "Try another one"),
        (lambda kappa: 0.2 * torch.logsumexp(kappa / 0.2, dim=2), "Try another one"),
    ],
    "01.ways": [
        ({**RIGHT_WAYS, "H to I": 1}, "as many ways as the stabiliser has elements"),
        ({**RIGHT_WAYS, "M to W": (2, 5)}, "Set the slider to 5"),
        ({**RIGHT_WAYS, "b to q": (8,)}, "integers 0 .. 7"),
        ({**RIGHT_WAYS, "b to q": (2.5,)}, "integers 0 .. 7"),
        ({"b to q": (2,)}, "Keep the keys"),
    ],
    "01.count_orbits": [
        (lambda action: (action == torch.arange(action.shape[1])).sum(), "divide by the number of elements"),
        (lambda action: (action == torch.arange(action.shape[1])).all(0).sum(), "of each element by itself"),
        (lambda action: action.shape[1], "number of labels"),
        (lambda action: 3, "action[g, l] == l"),
    ],
    "01.same_set": [
        (ROTATIONS[1:], "no element but the identity keeps an edge or a corner"),
        ([*ROTATIONS, (0, 4)], "element 4 (m) keeps 2 of the four edges in place, but 0 of the corners"),
        ([(0, 1)], "lists the ten"),
        ((0, 1, 2, 3), "Each is a tuple"),
        ([(0), (0, 2)], "One element alone needs a comma"),
    ],
    "02.equivariance_error": [
        (error(lambda y, turned, group, g: turned - y, relative), "turn f(x) as well"),
        (
            error(lambda y, turned, group, g: turned - group.transform(y, g), lambda d, y: d.norm()),
            "Divide by",
        ),
        (
            error(lambda y, turned, group, g: turned - group.transform(y, int(group.inverse[g])), relative),
            "use g, not its inverse",
        ),
        (error(lambda y, turned, group, g: turned - group.transform(y, g), lambda d, y: d.mean()), "cancel"),
        (
            error(
                lambda y, turned, group, g: turned - group.transform(y, g),
                lambda d, y: d.flatten(1).norm(dim=1) / y.flatten(1).norm(dim=1),
            ),
            "One number for the whole batch",
        ),
        (lambda f, x, group, g: "0.5", "quotient of the two norms"),
    ],
    "02.exact_size": [
        (32, "one column over"),
        (31, "The next layer sees 16 pixels"),
        (37, "Try every size"),
        (17, "Start the slider S at 30"),
        ("33", "Write the size"),
    ],
    "02.lifting": [
        (lift("inverse", "nothing"), "forgot to turn the result back"),
        (lift("g", "inverse"), "two turns are swapped"),
        (lift("inverse", "g", dim=1), "look at the dim of torch.stack"),
        (lift("nothing", "nothing"), "nothing depends on g"),
        (lift("nothing", "g"), "turn x by the inverse of g"),
        (lift_by_turning_kernels, "Here the kernel stays as it is"),
    ],
    "02.harmless": [
        (HARMLESS | {"sort along the group axis"}, "forget which element"),
        (HARMLESS | {"one bias for each channel and element"}, "the bias stays"),
        (HARMLESS - {"softmax over the group axis"}, "treats all elements alike"),
        ({"relu"}, "The steps are"),
        ("ReLU", "Write a list of names"),
    ],
}


class TestChecks(ExerciseChecks):
    notebooks = ("00_tour", "01_groups_and_images", "02_group_convolutions")
    names = NAMES
    mistakes = MISTAKES


@pytest.mark.parametrize(
    "answer",
    [
        lambda kappa: kappa.amin(dim=2),
        lambda kappa: kappa.median(dim=2).values,
        lambda kappa: kappa.square().mean(dim=2),
        lambda kappa: kappa.std(dim=2),
        lambda kappa: (kappa * kappa.roll(2, dims=2)).sum(
            dim=2
        ),  # not symmetric in all four, but it absorbs C4
        lambda kappa: torch.fft.fft(kappa, dim=2).abs()[:, :, 1],
    ],
)
def test_every_similarity_that_absorbs_the_turns_is_right(answer):
    assert check("00.similarity", answer).ok


@pytest.mark.parametrize("kind", [torch.tensor, np.array, list, lambda named: tuple(np.array(named))])
def test_elements_may_come_in_other_containers(kind):
    assert check("01.ways", {pair: kind(named) for pair, named in RIGHT_WAYS.items()}).ok
    assert check("01.ways", {**RIGHT_WAYS, "b to q": torch.tensor(2)}).ok
    assert check("01.same_set", [tuple(torch.tensor(part)) for part in ROTATIONS]).ok


def test_the_hints_of_same_set_give_no_answer_away():
    for named in ([(0), (0, 4)], ROTATIONS[:1], ROTATIONS[1:], []):
        verdict = check("01.same_set", named)
        said = verdict.reason.replace(str(named), "") + verdict.hint
        assert not any(str(part) in said for part in ROTATIONS), verdict
    assert "that is 1 of 3" in check("01.same_set", ROTATIONS[:1]).reason


def test_lifting_may_name_the_arguments_of_the_convolution():
    def answer(x, kernel, group):
        turned = ((g, group.transform(x, int(group.inverse[g]))) for g in group.elements)
        maps = [group.transform(F.conv2d(input=image, weight=kernel.clone()), g) for g, image in turned]
        return torch.stack(maps, dim=2)

    assert check("02.lifting", answer).ok


def test_what_the_answer_raises_is_shown_with_its_line():
    def answer(action):
        return action[999]  # out of range

    verdict = check("01.count_orbits", answer)
    assert "Your answer raised IndexError" in verdict.reason
    assert "return action[999]  # out of range" in verdict.hint


def test_html_is_escaped():
    html = check("02.harmless", ["<b>bold</b>"])._repr_html_()
    assert "<b>bold</b>" not in html and "&lt;b&gt;bold" in html


@pytest.mark.parametrize("name", ["lifting", "99.lifting", "2.lifting", "02.other"])
def test_unknown_exercises_are_refused(name):
    with pytest.raises(ValueError, match="exercise must be"):
        check(name, 1)
