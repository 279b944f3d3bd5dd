"""The checks of notebooks 09 and 09b."""

import math

import torch
from exercise_checks import ExerciseChecks

from eqssl_edu.circle import (
    AngleHead,
    angle_error,
    angles_of,
    circle_correlation,
    so2,
    turn_features,
    von_mises_loss,
)


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


def circular(away=lambda said, a: torch.minimum((said - a) % 360, (a - said) % 360), end=torch.mean,
             read=lambda o: torch.atan2(o[:, 1], o[:, 0]).rad2deg(), see=lambda turn, x, a: turn(x, a)):  # fmt: skip
    """A curve of the exercise, with something wrong in it."""

    def answer(network, turn, images, degrees):
        return torch.stack([end(away(read(network(see(turn, images, float(a)))), float(a))) for a in degrees])

    return answer


def cosines(network, turn, images, degrees):
    """By inner products of unit arrows, a list of Python's numbers."""
    errors = []
    for a in degrees.tolist():
        o = torch.nn.functional.normalize(network(turn(images, a)))
        label = torch.tensor([math.cos(math.radians(a)), math.sin(math.radians(a))], dtype=o.dtype)
        errors.append(float((o @ label).clamp(-1, 1).acos().rad2deg().mean()))
    return errors


def library_curve(network, turn, images, degrees):
    return [
        angle_error(angles_of(network(turn(images, float(a)))), a.expand(len(images))).mean() for a in degrees
    ]


def wave(
    cross=lambda Z, W: Z * W.conj(), twice=2, first=1, angle=torch.deg2rad, share=lambda C, n: n, sign=1
):
    """kappa of the exercise, with something wrong in it."""

    def answer(z, w, degrees):
        K = cross(torch.fft.rfft(z), torch.fft.rfft(w)).sum(dim=0) / share(*z.shape)
        parts = (K * torch.exp(sign * 1j * angle(degrees)[:, None] * torch.arange(len(K)))).real
        return first * parts[:, 0] + twice * parts[:, 1:].sum(dim=1)

    return answer


def one_by_one(z, w, degrees):
    """Turn w and multiply, angle by angle."""
    group = so2((z.shape[1] - 1) // 2, samples=z.shape[1])
    return torch.stack([(z * turn_features(group, w, float(a))).sum() for a in degrees])


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
    "09.angle_curve": {
        "the way around": circular(lambda said, a: (said - a).abs()),
        "must not cancel": circular(lambda said, a: (said - a + 180) % 360 - 180),
        "is a, not 0": circular(lambda said, a: torch.minimum(said % 360, -said % 360)),
        "must see the images *turned*": circular(see=lambda turn, x, a: x),
        "not against it": circular(lambda said, a: torch.minimum((said + a) % 360, (-a - said) % 360)),
        "is the cosine": circular(read=lambda o: torch.atan2(o[:, 0], o[:, 1]).rad2deg()),
        "gives radians": circular(read=lambda o: torch.atan2(o[:, 1], o[:, 0])),
        "not their median": circular(end=torch.amax),
        "up to 180 degrees": circular(lambda said, a: torch.minimum((said - a) % 180, (a - said) % 180)),
        "One number for each angle": circular(lambda said, a: said * 0 + 45),
    },
    "09.kappa": {
        "in the other sense": wave(sign=-1),
        "has to be conjugated": wave(lambda Z, W: Z * W),
        "twice the real part": wave(twice=1),
        "counts once": wave(first=2),
        "n times too large": wave(share=lambda C, n: 1),
        "want radians": wave(angle=lambda degrees: degrees),
        "the lengths |K|": lambda z, w, degrees: wave(
            lambda Z, W: torch.cat([(Z * W.conj()).sum(dim=0, keepdim=True).abs(), 0 * Z[1:].abs()])
        )(z, w, degrees),
        "the sum.": wave(share=lambda C, n: C * n),
        "Nothing depends on the angle": lambda z, w, degrees: (z * w).sum().expand(len(degrees)),
        "m from 1": wave(twice=3),
        "The axes are angle": lambda z, w, degrees: wave()(z, w, degrees)[:, None],
    },
}
ALSO_RIGHT = {
    "09.angle_curve": [cosines, library_curve],
    "09.kappa": [
        one_by_one,
        lambda z, w, degrees: circle_correlation(
            so2((z.shape[1] - 1) // 2, samples=z.shape[1]), z[None], w[None], degrees
        )[0, 0],
    ],
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
    notebooks = ("09_every_angle", "09b_asked_anywhere")
    mistakes = MISTAKES
    also_right = ALSO_RIGHT
