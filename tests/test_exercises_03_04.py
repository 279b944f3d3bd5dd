"""The checks of notebooks 03 and 04: stubs are not done, solutions pass, typical mistakes get their own hint."""

import math

import pytest
import torch
from exercise_checks import ExerciseChecks

from eqssl_edu.diagnostics import turn_maps
from eqssl_edu.exercises import notebook_03, notebook_04
from eqssl_edu.groups import disc_mask, rotate

CHECKS = {"03": notebook_03, "04": notebook_04}
NAMES = [
    f"{number}.{name}" for number, module in CHECKS.items() for name in module.__all__ if name != "KERNELS"
]


def error(numerator, denominator):
    """A function with the signature of 03.masked_error, from its two parts."""

    def answer(f, x, degrees):
        y, y_turned, expected = f(x), f(rotate(x, degrees)), rotate(f(x), degrees)
        mask = disc_mask(y.shape[-1])
        return numerator(y_turned, y, expected, mask).norm() / denominator(y, expected, mask)

    return answer


def stabilised(angle, element, group_axis=True, grid=True):
    """A function with the signature of 03.stabilised that turns by ``angle`` and moves by ``element`` times degrees."""

    def answer(maps, degrees, group):
        if group_axis:
            g = round(element * degrees * group.rotations / 360) % group.rotations
            maps = group.transform_features(maps.movedim(2, -1), g).movedim(-1, 2)
        return rotate(maps, angle * degrees) if grid else maps

    return answer


def steered(cosine_weight, sine_weight):
    """A function with the signature of 04.steer; the weights are functions of k and the angle in radians."""

    def answer(cosine, sine, k, degrees):
        turn = math.radians(degrees)
        return cosine_weight(k, turn) * cosine + sine_weight(k, turn) * sine

    return answer


def cos(k, turn):
    return math.cos(k * turn)


def sin(k, turn):
    return math.sin(k * turn)


def size_of_expected(y, expected, mask):
    return (expected * mask).norm()


ZEROS = {
    "C1": (0,),
    "D1": (0,),
    "C2": (0, 180),
    "D2": (0, 180),
    "D4": (0, 90, 180, 270),
    "C8": (0, 90, 180, 270),
}
# Typical mistakes, each with words of the hint that is made for it.
MISTAKES = {
    "03.masked_error": [
        (error(lambda t, y, e, m: t - e, lambda y, e, m: e.norm()), "Without the mask"),
        (error(lambda t, y, e, m: (t - e) * m, lambda y, e, m: y.norm()), "as well as in the numerator"),
        (
            error(lambda t, y, e, m: (t - y) * m, lambda y, e, m: (y * m).norm()),
            "A turned input should give a turned output",
        ),
        (error(lambda t, y, e, m: (t - e) * m, lambda y, e, m: 1.0), "Divide by the size"),
        (error(lambda t, y, e, m: t, size_of_expected), "mask both norms"),
    ],
    "03.smooth_enough": [
        (1, "one pixel is 10"),
        (5, "Move on"),
        (20, "Move the slider back"),
        ("10", "number beside the slider"),
    ],
    "03.stabilised": [
        (turn_maps, "needs a minus sign"),
        (stabilised(-1, 0), "The group axis has not moved"),
        (stabilised(-1, 1), "the group axis moves on"),
        (stabilised(0, -1, grid=False), "The grid has not turned"),
        (lambda maps, degrees, group: maps, "Move the group axis to the end"),
    ],
    "03.exact_angles": [
        ({**ZEROS, "C8": tuple(range(0, 360, 45))}, "the square grid has not"),
        ({**ZEROS, "D1": (0, 180)}, "A reflection is not a turn"),
        ({**ZEROS, "C2": (180,)}, "element of every group"),
        ({**ZEROS, "C2": (0, 90, 180, 270)}, "Which angles are they"),
        ({**ZEROS, "D4": (0, 180)}, "maps the grid to itself is exact"),
        ({"C4": (0,)}, "Keep the keys"),
        ({**ZEROS, "C1": (360,)}, "The angles are"),
    ],
    "04.steer": [
        (steered(cos, lambda k, turn: -sin(k, turn)), "sign of the sine"),
        (steered(lambda k, turn: cos(1, turn), lambda k, turn: sin(1, turn)), "turns k-fold"),
        (
            steered(
                lambda k, turn: cos(k, math.degrees(turn)),
                lambda k, turn: sin(k, math.degrees(turn)),
            ),
            "want radians",
        ),
        (steered(sin, cos), "addition theorem"),
    ],
    "04.alias": [
        (5, "until the sentence says it again"),
        (3, "Read the sentence"),
        (8, "Count upwards"),
        (6.5, "number beside the slider"),
    ],
    "04.base_kernel": [
        (lambda k, group: k[: len(k) // group.order].unflatten(1, (-1, group.order)), "take every |G|-th"),
        (
            lambda k, group: k[:: group.order].unflatten(1, (group.order, -1)).transpose(1, 2),
            "unflatten to (C, |G|)",
        ),
        (lambda k, group: k[1 :: group.order].unflatten(1, (-1, group.order)), "The identity is element 0"),
        (lambda k, group: k[:: group.order], "The axes are"),
    ],
    "04.within_reach": [
        (["blur", "edge", "saddle", "one corner"], "to be zero at its neighbours"),
        (["blur", "edge", "saddle", "checkerboard"], "changes its sign eight times"),
        (["blur", "edge"], "(almost) frequency 2"),
        (["Sobel"], "The kernels are"),
        ("blur", "Keep the list"),
    ],
}


class TestChecks(ExerciseChecks):
    notebooks = ("03_seeing_equivariance", "04_steerable_with_escnn")
    names = NAMES
    mistakes = MISTAKES


def test_kernels_of_the_exercise_are_within_reach_as_it_says():
    """Measured: the part of each kernel that escnn's six 3 x 3 kernels leave over."""
    steerable = pytest.importorskip("eqssl_edu.steerable", exc_type=ImportError)
    plane, enn = steerable.gspaces.rot2dOnR2(4), steerable.enn
    image, regular = (enn.FieldType(plane, [field]) for field in (plane.trivial_repr, plane.regular_repr))
    layer = enn.R2Conv(image, regular, 3)
    with torch.no_grad():
        kernels = torch.stack([layer.basisexpansion(w)[0].flatten() for w in torch.eye(len(layer.weights))])
    for name, kernel in notebook_04.KERNELS.items():
        wanted = kernel.reshape(9, 1)
        rest = kernels.T @ torch.linalg.lstsq(kernels.T, wanted).solution - wanted
        left_over = float(rest.norm() / wanted.norm())
        assert left_over < 0.15 if name in notebook_04.REACH else left_over > 0.5
