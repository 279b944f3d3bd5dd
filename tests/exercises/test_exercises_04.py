"""The checks of notebook 04."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from exercise_checks import ExerciseChecks

from eqssl_edu.diagnostics import turn_features
from eqssl_edu.exercises import notebook_04
from eqssl_edu.exercises.notebook_04 import projected, sampled
from eqssl_edu.groups import cyclic

steerable = pytest.importorskip("eqssl_edu.steerable", exc_type=ImportError)
enn = steerable.enn


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


def summed(kernel, group, rho_out, rho_in):
    return group.order * projected(kernel, group, rho_out, rho_in)


def entry_by_entry(kernel, group, rho_out, rho_in):
    """The same average, from the constraint read backwards: rho_out(g)^-1 k(gx) rho_in(g)."""
    total = 0
    for g in group.elements:
        planes = group.transform(kernel, int(group.inverse[g])).movedim((0, 1), (2, 3))  # (k, k, out, in)
        total = total + rho_out[g].T @ planes @ rho_in[g]
    return total.movedim((2, 3), (0, 1)) / len(group.elements)


def with_length(function, dim=2):
    def answer(v, bias):
        length = v.norm(dim=dim, keepdim=True)
        return v * function(length, bias[:, None, None, None]) / length.clamp(min=1e-9)

    return answer


def without_clamp(v, bias):
    length = v.norm(dim=2, keepdim=True)
    return v / length * torch.relu(length - bias.view(-1, 1, 1, 1))


def by_matrices(z, n, function):
    """04.fourier with cosines and sines written out."""
    m = torch.arange(4, dtype=torch.float64)

    def waves(count):
        angles = 2 * math.pi * torch.arange(count, dtype=torch.float64)[:, None] / count
        return torch.cat([torch.cos(angles * m), torch.sin(angles * m)[:, 1:]], dim=1)

    weights = torch.tensor([1.0, 2, 2, 2, 2, 2, 2], dtype=torch.float64)
    coefficients = z @ waves(8) * weights / 8
    values = function(coefficients @ waves(n).T)
    return values @ waves(n) * weights / n @ waves(8).T


def staged(size=5, padding=2, norm=True, relu=True, count=lambda channels: channels, module=None):
    """A function with the signature of 04.stage, with some of it left out."""

    def answer(plane, inputs, channels):
        outputs = enn.FieldType(plane, count(channels) * [plane.regular_repr])
        parts = [enn.R2Conv(inputs, outputs, size, padding=padding)]
        parts += [enn.InnerBatchNorm(outputs)] if norm else []
        parts += [enn.ReLU(outputs)] if relu else []
        return enn.SequentialModule(*parts) if module is None else module(*parts)

    return answer


MISTAKES = {
    "04.steer": {
        "sign of the sine": steered(lambda m, turn: on_circle(-m * turn)),
        "do not know m": steered(lambda m, turn: on_circle(turn)),
        "want radians": steered(lambda m, turn: on_circle(m * math.degrees(turn))),
        "addition theorem": steered(lambda m, turn: on_circle(m * turn)[::-1]),
    },
    "04.within_reach": {
        "Of the 5 kernels, 1 is judged wrongly": ["blur", "edge", "saddle", "one corner"],
        "Of the 5 kernels, 2 are": ["blur", "edge", "four corners"],
        "The kernels are": ["Sobel"],
    },
    "04.project": {
        "divides by the number": summed,
        "is the turned kernel": lambda k, G, o, i: projected(k, G, o, i, turned=lambda k, g: k),
        "the inverse of rho_in(g)": lambda k, G, o, i: projected(k, G, o, i, back=lambda rho: rho),
        "turns the other way": lambda k, G, o, i: projected(k, G, o.mT, i),
        "must be mixed too": lambda k, G, o, i: projected(
            k, G, torch.eye(len(k)).double().expand(4, -1, -1), i
        ),
        "over all g of the group": lambda k, G, o, i: k,
    },
    "04.norm_relu": {
        "Change its length alone": lambda v, bias: torch.relu(v),
        "taken off the length": with_length(lambda r, b: torch.relu(r + b)),
        "point backwards": with_length(lambda r, b: r - b),
        "dim=2": with_length(lambda r, b: torch.relu(r - b), dim=1),
        "divide by the length once": with_length(lambda r, b: torch.relu(r - b) * r),
        "is not a number": without_clamp,
        "Take one arrow alone": lambda v, bias: v,
        "are not the same arrows": lambda v, bias: -with_length(lambda r, b: torch.relu(r - b))(v, bias),
    },
    "04.shift": {
        "the exponent has a minus sign": shifted(lambda m, turn: m * turn),
        "Every frequency has its own factor": shifted(lambda m, turn: -turn),
        "must be in radians": shifted(lambda m, turn: -m * math.degrees(turn)),
        "moves whole places only": lambda z, degrees: z.roll(round(degrees * z.shape[-1] / 360), dims=-1),
        "takes the number for even": shifted(lambda m, turn: -m * turn, n=lambda z: None),
        "torch.fft.irfft": lambda z, degrees: torch.fft.ifft(torch.fft.fft(z)),
        "gives each coefficient a factor": lambda z, degrees: z,
        "changes the tensor": lambda z, degrees: z.copy_(turn_features(cyclic(z.shape[-1]), z, degrees)),
    },
    "04.fourier": {
        "was taken at the 8 samples": lambda z, n, function: function(z),
        'norm="forward" in all four': lambda z, n, function: sampled(z, n, function, norm="backward"),
        "there are faster waves": lambda z, n, function: sampled(z, n, function, 5),
        "has not been taken": lambda z, n, function: z,
        "There and back": lambda z, n, function: 2 * sampled(z, n, function),
    },
    "04.stage": {
        "needs padding=2": staged(padding=0),
        "no batch norm": staged(norm=False),
        "The ReLU comes last": staged(relu=False),
        "kernel_size=5": staged(size=3, padding=1),
        "have the sizes [5, 5]": lambda plane, inputs, channels: enn.SequentialModule(
            *staged()(plane, inputs, channels),
            *staged()(plane, staged()(plane, inputs, channels).out_type, channels),
        ),
        "which one, and how often": staged(count=lambda channels: channels + 1),
        "enn.SequentialModule": staged(module=torch.nn.Sequential),
    },
    "04.base_kernels": {
        "These are the first rows": lambda e, order: e[: len(e) // order].unflatten(1, (-1, order)),
        "belong to another element": lambda e, order: e[1::order].unflatten(1, (-1, order)),
        "is channel c, element h": lambda e, order: e[::order].unflatten(1, (order, -1)).transpose(1, 2),
        "only the order is wrong": lambda e, order: e[::order],
        "the copy of output channel": lambda e, order: 2 * e[::order].unflatten(1, (-1, order)),
    },
}


ALSO_RIGHT = {
    "04.steer": [
        steered(lambda m, turn: on_circle(m * (turn - 2 * math.pi))),
        lambda c, s, m, degrees: (torch.complex(c, s) * np.exp(-1j * m * np.radians(degrees))).real,
    ],
    "04.within_reach": [
        ("saddle", "edge", "blur"),
        {"blur", "edge", "saddle"},
        np.array(["blur", "edge", "saddle"]),
    ],
    "04.project": [projected, entry_by_entry],
    "04.norm_relu": [
        with_length(lambda r, b: (r - b).clamp(min=0)),
        lambda v, bias: v * (1 - bias[:, None, None, None] / (v.norm(dim=2, keepdim=True) + 1e-6)).clamp(min=0),
        lambda v, bias: F.normalize(v, dim=2) * F.relu(v.square().sum(2, keepdim=True).sqrt() - bias.view(3, 1, 1, 1)),
    ],
    "04.shift": [lambda z, degrees: turn_features(cyclic(z.shape[-1]), z, degrees)],
    "04.fourier": [by_matrices, lambda z, n, function: sampled(z.float(), n, function).double()],
    "04.stage": [
        staged(),
        lambda plane, inputs, channels: staged(relu=True)(plane, inputs, channels).eval(),
    ],
    "04.base_kernels": [
        lambda e, order: e.unflatten(0, (-1, order))[:, 0].unflatten(1, (-1, order)),
        lambda e, order: e.reshape(len(e) // order, order, -1, order, *e.shape[2:])[:, 0],
    ],
}  # fmt: skip


class TestChecks(ExerciseChecks):
    notebooks = ("04_steerable_kernels", "04b_fields_and_nonlinearities", "04c_networks_in_escnn")
    mistakes = MISTAKES
    also_right = ALSO_RIGHT


def test_kernels_of_the_exercise_are_within_reach_as_it_says():
    """Measured: the part of each kernel that escnn's six 3 x 3 kernels leave over; and the words of the exercise."""
    plane = steerable.gspaces.rot2dOnR2(4)
    image, regular = (enn.FieldType(plane, [field]) for field in (plane.trivial_repr, plane.regular_repr))
    layer = enn.R2Conv(image, regular, 3)
    with torch.no_grad():
        kernels = torch.stack([layer.basisexpansion(w)[0].flatten() for w in torch.eye(len(layer.weights))])
    wave_0 = kernels[1].reshape(3, 3)
    assert 0.4 < wave_0[0, 0] / wave_0[0, 1] < 0.6  # "about half as strong"
    for name, kernel in notebook_04.KERNELS.items():
        wanted = kernel.reshape(9, 1)
        rest = kernels.T @ torch.linalg.lstsq(kernels.T, wanted).solution - wanted
        left_over = float(rest.norm() / wanted.norm())
        assert left_over < 0.15 if name in notebook_04.REACH else left_over > 0.5
        ring = [2 * kernel[2 - y, x] if x != 1 and y != 1 else kernel[2 - y, x] for x, y in RING]
        waves = torch.fft.rfft(torch.stack(ring)).abs().square() * torch.tensor([1, 2, 2, 2, 1])
        assert (
            waves[:3].sum() > 0.9 * waves.sum()
            if name in notebook_04.REACH
            else waves[3:].sum() > 0.3 * waves.sum()
        )


RING = [
    (2, 1),
    (2, 2),
    (1, 2),
    (0, 2),
    (0, 1),
    (0, 0),
    (1, 0),
    (2, 0),
]  # (x, y) around the centre, from the right
