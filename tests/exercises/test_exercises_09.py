"""The checks of notebook 09."""

import math

import torch
from exercise_checks import ExerciseChecks

from eqssl_edu.circle import AngleHead, so2, von_mises_loss


def loss(parts=lambda log_i0, agreement, length: log_i0 - agreement, angle=torch.deg2rad, flip=False):
    """A loss of the exercise, with something wrong in it."""

    def answer(arrows, degrees):
        a, r = angle(degrees), torch.linalg.vector_norm(arrows, dim=1)
        u = torch.stack([a.cos(), a.sin()], dim=1)
        agreement = (arrows * (u.flip(1) if flip else u)).sum(dim=1)
        return parts(torch.special.i0e(r).log() + r, agreement, r)

    return answer


def coefficient(read=lambda Z, k: Z[..., k].conj(), share=lambda C, n: n, weigh=lambda w: w, flip=False):
    """An arrow of the exercise, with something wrong in it."""

    def answer(z, weight, k):
        o = (weigh(weight) * read(torch.fft.fft(z), k)).sum(dim=1) / share(*z.shape[1:])
        pair = torch.stack([o.real, o.imag], dim=1)
        return pair.flip(1) if flip else pair

    return answer


def by_loops(arrows, degrees):
    losses = []
    for o, degree in zip(arrows, degrees, strict=True):
        a, r = math.radians(float(degree)), torch.linalg.norm(o)
        losses.append(torch.special.i0e(r).log() + r - o[0] * math.cos(a) - o[1] * math.sin(a))
    return torch.stack(losses)


def by_sums(z, weight, k):
    """Sums with cosines and sines, no Fourier transform of torch."""
    angle = 2 * torch.pi * k * torch.arange(z.shape[2]) / z.shape[2]
    x, y = (z * angle.cos()).mean(dim=2), (z * angle.sin()).mean(dim=2)
    return torch.stack([x @ weight.real - y @ weight.imag, x @ weight.imag + y @ weight.real], dim=1)


def by_the_library(z, weight, k):
    head = AngleHead(so2(3, samples=z.shape[2]), z.shape[1], k).double()
    head.weight.data = torch.view_as_real(weight)[:, None]
    return head(z).detach()


MISTAKES = {
    "09.von_mises": {
        "wants radians": loss(angle=lambda degrees: degrees),
        "must have a *low* loss": loss(lambda log_i0, agreement, r: log_i0 + agreement),
        "a longer arrow is always better": loss(lambda log_i0, agreement, r: -agreement),
        "r too small": loss(lambda log_i0, agreement, r: log_i0 - r - agreement),
        "but not its logarithm": loss(lambda log_i0, agreement, r: torch.special.i0(r) - agreement),
        "how sure it is": loss(lambda log_i0, agreement, r: 1 - agreement / r),
        "goes with the cosine": loss(flip=True),
        "not the square": loss(lambda log_i0, agreement, r: torch.special.i0(r**2).log() - agreement),
        "log 2 pi": loss(lambda log_i0, agreement, r: log_i0 + math.log(2 * math.pi) - agreement),
        "no mean": loss(lambda log_i0, agreement, r: (log_i0 - agreement).mean()),
        "too large for a number": loss(lambda log_i0, agreement, r: torch.special.i0(r).log() - agreement),
        "sqrt has no slope at 0": lambda arrows, degrees: loss(
            lambda log_i0, agreement, r: (
                agreement * 0
                + ((root := arrows.square().sum(dim=1).sqrt()) + torch.special.i0e(root).log() - agreement)
            )
        )(arrows, degrees),
        "No gradient": lambda arrows, degrees: von_mises_loss(arrows.detach(), degrees),
        "minus the inner product": loss(lambda log_i0, agreement, r: log_i0 - 2 * agreement),
    },
    "09.arrow": {
        "wrong sense": coefficient(lambda Z, k: Z[..., k]),
        "The weight is not conjugated": coefficient(weigh=torch.conj),
        "n times too long": coefficient(share=lambda C, n: 1),
        "by n, the number of samples": coefficient(share=lambda C, n: C * n),
        "type 1 for every k": coefficient(lambda Z, k: Z[..., 1].conj()),
        "counts from 0": coefficient(lambda Z, k: Z[..., k + 1].conj()),
        "These are samples": lambda z, weight, k: torch.view_as_real((weight * z[..., k]).sum(dim=1)),
        "Lengths alone": coefficient(lambda Z, k: Z[..., k].abs()),
        "The real part first": coefficient(flip=True),
        "each channel has its own": coefficient(weigh=lambda w: 1),
        "half of the coefficient": coefficient(lambda Z, k: Z[..., k].real),
        "The sum over the channels": coefficient(lambda Z, k: Z[..., k].conj() * 1j),
        "The axes are sample": lambda z, weight, k: coefficient()(z, weight, k).T,
    },
}
ALSO_RIGHT = {
    "09.von_mises": [
        von_mises_loss,
        by_loops,
        lambda arrows, degrees: von_mises_loss(arrows, degrees - 720),
    ],
    "09.arrow": [
        by_sums,
        by_the_library,
        lambda z, weight, k: (weight * torch.fft.rfft(z)[..., k].conj()).sum(dim=1) / z.shape[2],  # complex
        lambda z, weight, k: torch.view_as_real(
            torch.einsum("c,bc->b", weight, torch.fft.ifft(z.to(torch.complex128))[..., k])
        ),
    ],
}


class TestChecks(ExerciseChecks):
    notebooks = ("09_every_angle",)
    mistakes = MISTAKES
    also_right = ALSO_RIGHT
