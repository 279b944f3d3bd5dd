"""The checks of notebooks 03 and 04."""

import math

import numpy as np
import pytest
import torch
from exercise_checks import ExerciseChecks

from eqssl_edu.diagnostics import turn_features, turn_maps
from eqssl_edu.exercises import notebook_04
from eqssl_edu.groups import cyclic
from eqssl_edu.rotate import disc_mask, rotate


def error(formula):
    """A function with the signature of 03.masked_error; the formula takes f(x), f(R x), R f(x) and the mask."""

    def answer(f, x, degrees):
        return formula(f(x), f(rotate(x, degrees)), rotate(f(x), degrees), disc_mask(f(x).shape[-1]))

    return answer


def mask_of_the_images(f, x, degrees):
    return disc_mask(x.shape[-1]) * f(x)


def stabilised(angle, element, group_axis=True, grid=True):
    """A function with the signature of 03.stabilised that turns by ``angle`` and moves by ``element`` times degrees."""

    def answer(maps, degrees, group):
        if group_axis:
            g = round(element * degrees * group.rotations / 360) % group.rotations
            maps = group.transform_features(maps.movedim(2, -1), g).movedim(-1, 2)
        return rotate(maps, angle * degrees) if grid else maps

    return answer


def steered(weights):
    """A function with the signature of 04.steer; the two weights are a function of m and the angle in radians."""

    def answer(cosine, sine, m, degrees):
        of_cosine, of_sine = weights(m, math.radians(degrees))
        return of_cosine * cosine + of_sine * sine

    return answer


def on_circle(angle):
    return math.cos(angle), math.sin(angle)


def shifted(phase, n=lambda z: z.shape[-1]):
    """A function with the signature of 04.shift; the phase is a function of all m and the angle in radians."""

    def answer(z, degrees):
        coefficients = torch.fft.rfft(z)
        m = torch.arange(coefficients.shape[-1])
        factors = torch.exp(1j * torch.as_tensor(phase(m, math.radians(degrees))))
        return torch.fft.irfft(factors * coefficients, n=n(z))

    return answer


QUARTERS = (0, 90, 180, 270)
ZEROS = {"C1": (0,), "D1": (0,), "C2": (0, 180), "D2": (0, 180), "D4": QUARTERS, "C8": QUARTERS}
# Typical mistakes, each with words of the hint that is made for it.
MISTAKES = {
    "03.masked_error": {
        "Without the mask": error(lambda y, t, e, m: (t - e).norm() / e.norm()),
        "as well as in the numerator": error(lambda y, t, e, m: ((t - e) * m).norm() / y.norm()),
        "A turned input should give a": error(lambda y, t, e, m: ((t - y) * m).norm() / (y * m).norm()),
        "Divide by the size": error(lambda y, t, e, m: ((t - e) * m).norm()),
        "mask both norms": error(lambda y, t, e, m: t.norm() / (e * m).norm()),
        "stands R f(x), not f(x)": error(lambda y, t, e, m: ((t - e) * m).norm() / (y * m).norm()),
        "one number for the whole batch": error(lambda y, t, e, m: ((t - e) * m).norm(dim=(1, 2))),
        "make the mask for f(x)": mask_of_the_images,
    },
    "03.smooth_enough": {
        "one pixel is 10": 1,
        "Move on": 5,
        "Move the slider back": 20,
        "The slider stops at": 8,
        "number beside the slider": "10",
    },
    "03.stabilised": {
        "needs a minus sign": lambda maps, degrees, group: turn_maps(group, maps, degrees),
        "The group axis has not moved": stabilised(-1, 0),
        "the group axis moves on": stabilised(-1, 1),
        "The grid has not turned": stabilised(0, -1, grid=False),
        "Move the group axis to the end": lambda maps, degrees, group: maps,
    },
    "03.exact_angles": {
        "the square grid has not": {**ZEROS, "C8": tuple(range(0, 360, 45))},
        "A reflection is not a turn": {**ZEROS, "D1": (0, 180)},
        "element of every group": {**ZEROS, "C2": (180,)},
        "Which angles are they": {**ZEROS, "C2": (0, 90, 180, 270)},
        "maps the grid to itself is exact": {**ZEROS, "D4": (0, 180)},
        "The angles are": {**ZEROS, "C1": (360,)},
    },
    "04.steer": {
        "sign of the sine": steered(lambda m, turn: on_circle(-m * turn)),
        "turns m-fold": steered(lambda m, turn: on_circle(turn)),
        "want radians": steered(lambda m, turn: on_circle(m * math.degrees(turn))),
        "addition theorem": steered(lambda m, turn: on_circle(m * turn)[::-1]),
    },
    "04.alias": {
        "until the sentence says it again": 5,
        "Read the sentence": 3,
        "its sine is lost": 4,
        "Count upwards": 8,
        "number beside the slider": 6.5,
    },
    "04.shift": {
        "the exponent has a minus sign": shifted(lambda m, turn: m * turn),
        "Every frequency has its own factor": shifted(lambda m, turn: -turn),
        "must be in radians": shifted(lambda m, turn: -m * math.degrees(turn)),
        "moves whole places only": lambda z, degrees: z.roll(round(degrees * z.shape[-1] / 360), dims=-1),
        "takes the number for even": shifted(lambda m, turn: -m * turn, n=lambda z: None),
        "torch.fft.irfft": lambda z, degrees: torch.fft.ifft(torch.fft.fft(z)),
        "rfft, each coefficient": lambda z, degrees: z,
    },
    "04.within_reach": {
        "Of the 5 kernels, 1 is judged wrongly": ["blur", "edge", "saddle", "one corner"],
        "Of the 5 kernels, 2 are": ["blur", "edge", "four corners"],
        "The kernels are": ["Sobel"],
    },
}


ALSO_RIGHT = {
    "03.masked_error": [error(lambda y, t, e, m: ((e - t) * m).square().sum().sqrt() / (m * e).norm())],
    "03.smooth_enough": [10.0, np.float32(10), torch.tensor(10)],
    "03.exact_angles": [{name: np.array(angles) for name, angles in ZEROS.items()}, {**ZEROS, "C1": 0}],
    "04.steer": [steered(lambda m, turn: on_circle(m * (turn - 2 * math.pi)))],
    "04.alias": [6.0, np.int64(6), torch.tensor(6.0)],
    "04.shift": [lambda z, degrees: turn_features(cyclic(z.shape[-1]), z, degrees)],
    "04.within_reach": [("saddle", "edge", "blur"), {"blur", "edge", "saddle"}],
}


class TestChecks(ExerciseChecks):
    notebooks = ("03_seeing_equivariance", "04_steerable_with_escnn")
    mistakes = MISTAKES
    also_right = ALSO_RIGHT


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
