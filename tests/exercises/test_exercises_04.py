"""The checks of notebook 04."""

import math

import numpy as np
import pytest
import torch
from exercise_checks import ExerciseChecks

from eqssl_edu.diagnostics import turn_features
from eqssl_edu.exercises import notebook_04
from eqssl_edu.groups import cyclic


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


# Typical mistakes, each with words of the hint that is made for it.
MISTAKES = {
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
    "04.steer": [steered(lambda m, turn: on_circle(m * (turn - 2 * math.pi)))],
    "04.alias": [6.0, np.int64(6), torch.tensor(6.0)],
    "04.shift": [lambda z, degrees: turn_features(cyclic(z.shape[-1]), z, degrees)],
    "04.within_reach": [("saddle", "edge", "blur"), {"blur", "edge", "saddle"}],
}


class TestChecks(ExerciseChecks):
    notebooks = ("04_steerable_with_escnn",)
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
