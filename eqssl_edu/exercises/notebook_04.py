"""The exercises of notebook 04: steering a kernel, aliases, shifting a function, kernels within the band limit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from eqssl_edu.errors import got
from eqssl_edu.exercises.verdict import Wrong, ask, need_shape, same

__all__ = ["KERNELS", "alias", "shift", "steer", "within_reach"]

KERNELS: dict[str, Tensor] = {
    "blur": torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]),
    "edge": torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]]),
    "saddle": torch.tensor([[0.0, -1, 0], [1, 0, 1], [0, -1, 0]]),
    "one corner": torch.tensor([[1.0, 0, 0], [0, 0, 0], [0, 0, 0]]),
    "four corners": torch.tensor([[1.0, 0, 1], [0, 0, 0], [1, 0, 1]]),
}


def steer(answer: Callable[..., Any]) -> str:
    """A function (cosine, sine, m, degrees) -> the wave of frequency m turned by the angle."""
    angles = torch.linspace(0, 2 * math.pi, 26, dtype=torch.float64)[:25].reshape(5, 5)
    for m, degrees in ((1, 30.0), (3, 30.0), (2, 100.0)):
        cosine, sine, turn = torch.cos(m * angles), torch.sin(m * angles), math.radians(degrees)
        value = need_shape(ask(answer, cosine, sine, m, degrees), (5, 5), "height and width")
        if same(value, torch.cos(m * (angles - turn))):
            continue
        reason = f"For frequency {m} and {degrees:g} degrees the result is not the turned wave."
        if same(value, torch.cos(m * (angles + turn))):
            raise Wrong(reason, "It is turned the other way: look at the sign of the sine.")
        if same(value, torch.cos(m * angles - turn)):
            raise Wrong(
                reason, "The weights are cos(m angle) and sin(m angle): a wave of frequency m turns m-fold."
            )
        if same(value, math.cos(m * degrees) * cosine + math.sin(m * degrees) * sine):
            raise Wrong(reason, "torch.cos and math.cos want radians: math.radians(degrees).")
        raise Wrong(reason, "Mix the two kernels with the weights of the addition theorem above.")
    return "Right for three frequencies and angles: two stored kernels give all angles."


def alias(answer: Any) -> str:
    """The second frequency whose wave looks like a slower one at eight places: 6 (like 2)."""
    if isinstance(answer, bool) or not isinstance(answer, int):
        raise Wrong(f"The answer must be an integer, {got(answer)}.", "It is the number beside the slider.")
    if answer == 6:
        return "6 looks like 2, turning backwards. In general, m looks like 8 - m."
    if answer == 5:
        raise Wrong(
            "5 is the first one; it looks like 3.", "Move the slider on, until the sentence says it again."
        )
    if answer == 4:
        raise Wrong(
            "No slower wave has the cosine of frequency 4.",
            "It cannot be steered, because its sine is lost; but it looks like no other. Move the slider on.",
        )
    if answer < 5:
        raise Wrong(
            f"No slower wave has the values of frequency {answer}.", "Read the sentence below the drawing."
        )
    raise Wrong(
        f"{answer} looks like {min(answer % 8, -answer % 8)}, but it is not the second.",
        "Count upwards from 0.",
    )


def shift(answer: Callable[..., Any]) -> str:
    """A function (samples (..., n) of a function on the circle, degrees) -> the samples of the shifted function."""
    for n, degrees in ((8, 45.0), (8, 10.0), (7, 100.0)):
        frequencies = torch.arange((n + 1) // 2, dtype=torch.float64)  # below n/2: the samples determine them
        generator = torch.Generator().manual_seed(n)
        heights, phases = torch.randn(2, 3, 1, len(frequencies), dtype=torch.float64, generator=generator)
        theta = 2 * math.pi * torch.arange(n, dtype=torch.float64)[:, None] / n

        def samples(turns: Tensor, heights=heights, phases=phases, theta=theta, m=frequencies) -> Tensor:
            return (heights * torch.cos(m * theta + phases - turns)).sum(dim=-1)

        z, angle = samples(torch.zeros(1)), math.radians(degrees)
        value = ask(answer, z.clone(), degrees)
        if isinstance(value, Tensor) and n % 2 and value.shape == (3, n - 1):
            raise Wrong(
                f"{n} samples went in, {n - 1} came out.", "Without n=... irfft takes the number for even."
            )
        value = need_shape(value, (3, n), "channel and sample")
        if value.is_complex():
            raise Wrong("The result is complex.", "The way back from the coefficients is torch.fft.irfft.")
        if same(value, samples(frequencies * angle)):
            continue
        reason = f"For {n} samples and {degrees:g} degrees the result is not the shifted function."
        if same(value, samples(-frequencies * angle)):
            raise Wrong(reason, "It is shifted the other way: the exponent has a minus sign.")
        if same(value, samples(angle * (frequencies > 0))) or same(value, _one_factor(z, angle)):
            raise Wrong(
                reason, "Every frequency has its own factor: the exponent holds m = 0, 1, 2, ..., too."
            )
        if same(value, samples(frequencies * degrees)):
            raise Wrong(reason, "The angle must be in radians: math.radians(degrees).")
        if same(value, z.roll(round(degrees * n / 360), dims=-1)):
            raise Wrong(
                reason, "That moves whole places only. Between them the Fourier coefficients know the values."
            )
        raise Wrong(reason, "rfft, each coefficient times exp(-i m angle), irfft.")
    return "Right on the samples' own angles and between them."


def _one_factor(z: Tensor, angle: float) -> Tensor:
    """All coefficients times the same factor, the mean's too."""
    return torch.fft.irfft(torch.fft.rfft(z) * complex(math.cos(angle), -math.sin(angle)), n=z.shape[-1])


REACH = {"blur": "frequency 0", "edge": "frequency 1", "saddle": "frequency 2"}
BEYOND = {
    "one corner": "a single pixel off the centre needs fast waves too, to be zero at its neighbours",
    "four corners": "around the centre it goes up and down four times: frequency 4, beside its mean",
}


def within_reach(answer: Any) -> str:
    """The names of the kernels of which escnn's six 3 x 3 waves lose less than a fifth."""
    if isinstance(answer, str) or not isinstance(answer, (set, list, tuple)):
        raise Wrong(
            f"The answer must be a list of names, {got(answer)}.",
            'Write the names in brackets: ["blur", ...].',
        )
    unknown = sorted(set(map(str, answer)) - KERNELS.keys())
    if unknown:
        raise Wrong(f"There is no kernel '{unknown[0]}'.", f"The kernels are: {', '.join(KERNELS)}.")
    for name, reason in BEYOND.items():
        if name in answer:
            raise Wrong(f"'{name}' is out of reach.", f"Think again: {reason}.")
    for name, frequency in REACH.items():
        if name not in answer:
            raise Wrong(
                f"'{name}' is within reach, and you left it out.",
                f"Around the centre it is (almost) {frequency}.",
            )
    return "Frequencies 0, 1 and 2 are there, faster waves are not."
