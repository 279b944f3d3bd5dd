"""The exercises of notebook 04: steering a kernel, aliases, shifting a function, kernels within the band limit."""

import math

import torch
from torch import Tensor

from eqssl_edu.diagnostics import turn_features
from eqssl_edu.exercises.judging import ask, judge, need, need_shape, noise, number, pick
from eqssl_edu.groups import cyclic

__all__ = ["alias", "shift", "steer", "within_reach"]

KERNELS: dict[str, Tensor] = {
    "blur": torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]),
    "edge": torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]),
    "saddle": torch.tensor([[0.0, -1, 0], [1, 0, 1], [0, -1, 0]]),
    "one corner": torch.tensor([[1.0, 0, 0], [0, 0, 0], [0, 0, 0]]),
    "four corners": torch.tensor([[1.0, 0, 1], [0, 0, 0], [1, 0, 1]]),
}


def steer(answer: object) -> str:
    """A function (cosine, sine, m, degrees) -> the wave of frequency m turned by the angle."""
    angles = torch.linspace(0, 2 * math.pi, 26, dtype=torch.float64)[:25].reshape(5, 5)
    for m, degrees in ((1, 30.0), (3, 30.0), (2, 100.0)):
        cosine, sine, turn = torch.cos(m * angles), torch.sin(m * angles), math.radians(degrees)
        slow = torch.cos(m * angles - turn)
        hints = {
            "It is turned the other way: look at the sign of the sine.": torch.cos(m * (angles + turn)),
            "The weights are cos(m angle) and sin(m angle): a wave of frequency m turns m-fold.": slow,
            "torch.cos and math.cos want radians: math.radians(degrees).": torch.cos(m * (angles - degrees)),
            "Mix the two kernels with the weights of the addition theorem above.": True,
        }
        value, expected = ask(answer, cosine, sine, m, degrees), torch.cos(m * (angles - turn))
        reason = f"For frequency {m} and {degrees:g} degrees the result is not the turned wave."
        judge(value, expected, reason, hints, "height and width")
    return "Right for three frequencies and angles: two stored kernels give all angles."


def alias(answer: object) -> str:
    """The second frequency whose wave looks like a slower one at eight places: 6 (like 2)."""
    m = number(answer, "The answer must be an integer", "It is the number beside the slider.", whole=True)
    hints = {
        "5 is the first one; it looks like 3.\nMove the slider on, until the sentence says it again.": 5,
        "No slower wave has the cosine of frequency 4.\n"
        "It cannot be steered, because its sine is lost; but it looks like no other. Move the slider on.": 4,
        f"No slower wave has the values of frequency {m}.\nRead the sentence below the drawing.": m < 5,
        f"{m} looks like {min(m % 8, -m % 8)}, but it is not the second.\nCount upwards from 0.": True,
    }
    judge(m, 6, "", hints)
    return "6 looks like 2, turning backwards. In general, m looks like 8 - m."


def shift(answer: object) -> str:
    """A function (samples (..., n) of a function on the circle, degrees) -> the samples of the shifted function."""
    for n, degrees in ((8, 45.0), (8, 10.0), (7, 100.0)):
        group, kept = cyclic(n), (n + 1) // 2  # frequencies below n/2: the samples determine them
        z = torch.fft.irfft(torch.fft.rfft(noise(3, n, seed=n))[:, :kept], n=n)
        value = ask(answer, z, degrees)
        complete = not isinstance(value, Tensor) or n % 2 == 0 or value.shape != (3, n - 1)
        hint = "Without n=... irfft takes the number for even."
        need(complete, f"{n} samples went in, {n - 1} came out.", hint)
        value = need_shape(value, (3, n), "channel and sample")
        factor, mean = math.e ** (-1j * math.radians(degrees)), z.mean(dim=-1, keepdim=True)
        same_factor = [torch.fft.irfft(torch.fft.rfft(z - m) * factor, n=n) + m for m in (mean, 0)]
        in_degrees = turn_features(group, z, math.degrees(degrees))
        whole_places = z.roll(round(degrees * n / 360), dims=-1)
        hints = {
            "The result is complex.\nThe way back from the coefficients is torch.fft.irfft.": value.is_complex(),
            "It is shifted the other way: the exponent has a minus sign.": turn_features(group, z, -degrees),
            "Every frequency has its own factor: the exponent holds m = 0, 1, 2, ..., too.": same_factor,
            "The angle must be in radians: math.radians(degrees).": in_degrees,
            "That moves whole places only. Between them the Fourier coefficients know the values.": whole_places,
            "rfft, each coefficient times exp(-i m angle), irfft.": True,
        }
        reason = f"For {n} samples and {degrees:g} degrees the result is not the shifted function."
        judge(value, turn_features(group, z, degrees), reason, hints)
    return "Right on the samples' own angles and between them."


REACH = ("blur", "edge", "saddle")  # escnn's six 3 x 3 waves lose less than a fifth of these
WHY = {
    "blur": "Around the centre it is (almost) frequency 0",
    "edge": "Around the centre it is (almost) frequency 1",
    "saddle": "Around the centre it is (almost) frequency 2",
    "one corner": "A single pixel off the centre needs fast waves too, to be zero at its neighbours",
    "four corners": "Around the centre it goes up and down four times: frequency 4, beside its mean",
}


def within_reach(answer: object) -> str:
    """The names of the kernels of which escnn's six 3 x 3 waves lose less than a fifth."""
    errors = {name: name not in REACH for name in WHY}
    hint = "Go once around the centre of each kernel: how often does it rise and fall? Waves 0, 1 and 2 are there."
    return pick(answer, "kernel", errors, WHY, 'Write the names in brackets: ["blur", ...].', hint)
