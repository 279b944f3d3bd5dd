"""The checks of notebooks 03 and 04: stubs are not done, solutions pass, typical mistakes get their own hint."""

import math

import pytest
import torch
from exercise_checks import ExerciseChecks

from eqssl_edu.diagnostics import turn_maps
from eqssl_edu.exercises import notebook_03, notebook_04
from eqssl_edu.rotate import disc_mask, rotate

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


def one_error_per_image(f, x, degrees):
    y_turned, expected = f(rotate(x, degrees)), rotate(f(x), degrees)
    mask = disc_mask(expected.shape[-1])
    difference, size = (y_turned - expected) * mask, expected * mask
    return difference.flatten(1).norm(dim=1) / size.flatten(1).norm(dim=1)


def mask_of_the_images(f, x, degrees):
    expected, mask = rotate(f(x), degrees), disc_mask(x.shape[-1])
    return ((f(rotate(x, degrees)) - expected) * mask).norm() / (expected * mask).norm()


def stabilised(angle, element, group_axis=True, grid=True):
    """A function with the signature of 03.stabilised that turns by ``angle`` and moves by ``element`` times degrees."""

    def answer(maps, degrees, group):
        if group_axis:
            g = round(element * degrees * group.rotations / 360) % group.rotations
            maps = group.transform_features(maps.movedim(2, -1), g).movedim(-1, 2)
        return rotate(maps, angle * degrees) if grid else maps

    return answer


def steered(cosine_weight, sine_weight):
    """A function with the signature of 04.steer; the weights are functions of m and the angle in radians."""

    def answer(cosine, sine, m, degrees):
        turn = math.radians(degrees)
        return cosine_weight(m, turn) * cosine + sine_weight(m, turn) * sine

    return answer


def cos(m, turn):
    return math.cos(m * turn)


def sin(m, turn):
    return math.sin(m * turn)


def shifted(phase, n=lambda z: z.shape[-1]):
    """A function with the signature of 04.shift; the phase is a function of all m and the angle in radians."""

    def answer(z, degrees):
        coefficients = torch.fft.rfft(z)
        m = torch.arange(coefficients.shape[-1])
        factors = torch.exp(1j * torch.as_tensor(phase(m, math.radians(degrees))))
        return torch.fft.irfft(factors * coefficients, n=n(z))

    return answer


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
        (error(lambda t, y, e, m: (t - e) * m, lambda y, e, m: (y * m).norm()), "stands R f(x), not f(x)"),
        (one_error_per_image, "one number for the whole batch"),
        (mask_of_the_images, "make the mask for f(x)"),
    ],
    "03.smooth_enough": [
        (1, "one pixel is 10"),
        (5, "Move on"),
        (20, "Move the slider back"),
        (8, "The slider stops at"),
        (9.5, "The slider stops at"),
        (35, "The slider stops at"),
        ("10", "number beside the slider"),
    ],
    "03.stabilised": [
        (lambda maps, degrees, group: turn_maps(group, maps, degrees), "needs a minus sign"),
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
        (steered(cos, lambda m, turn: -sin(m, turn)), "sign of the sine"),
        (steered(lambda m, turn: cos(1, turn), lambda m, turn: sin(1, turn)), "turns m-fold"),
        (
            steered(
                lambda m, turn: cos(m, math.degrees(turn)),
                lambda m, turn: sin(m, math.degrees(turn)),
            ),
            "want radians",
        ),
        (steered(sin, cos), "addition theorem"),
    ],
    "04.alias": [
        (5, "until the sentence says it again"),
        (3, "Read the sentence"),
        (4, "its sine is lost"),
        (8, "Count upwards"),
        (6.5, "number beside the slider"),
    ],
    "04.shift": [
        (shifted(lambda m, turn: m * turn), "the exponent has a minus sign"),
        (shifted(lambda m, turn: -turn), "Every frequency has its own factor"),
        (shifted(lambda m, turn: -turn * (m > 0)), "Every frequency has its own factor"),
        (shifted(lambda m, turn: -m * math.degrees(turn)), "must be in radians"),
        (lambda z, degrees: z.roll(round(degrees * z.shape[-1] / 360), dims=-1), "moves whole places only"),
        (shifted(lambda m, turn: -m * turn, n=lambda z: None), "takes the number for even"),
        (lambda z, degrees: torch.fft.ifft(torch.fft.fft(z)), "torch.fft.irfft"),
        (lambda z, degrees: torch.fft.rfft(z), "The axes are"),
        (lambda z, degrees: z, "rfft, each coefficient"),
    ],
    "04.within_reach": [
        (["blur", "edge", "saddle", "one corner"], "to be zero at its neighbours"),
        (["blur", "edge", "saddle", "four corners"], "goes up and down four times"),
        (["blur", "edge"], "(almost) frequency 2"),
        (["Sobel"], "The kernels are"),
        ("blur", "Write the names in brackets"),
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
