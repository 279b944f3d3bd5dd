"""The exercises of 09: the loss of an angle, and an arrow that turns with the image."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from eqssl_edu.circle import von_mises_loss
from eqssl_edu.exercises.judging import ask, judge, need, noise
from eqssl_edu.exercises.verdict import second_hint

__all__ = ["arrow", "von_mises"]

Losses = Callable[[Tensor, Tensor], Tensor]


@second_hint(
    "a = torch.deg2rad(degrees); r = torch.linalg.vector_norm(arrows, dim=1); the agreement is "
    "arrows[:, 0] * a.cos() + arrows[:, 1] * a.sin(); log I0(r) is torch.special.i0e(r).log() + r."
)
def von_mises(answer: object) -> str:
    """A function (arrows (B, 2), degrees (B,)) -> log I0(|o|) minus the agreement of arrow and label, (B,)."""
    arrows, degrees = noise(7, 2) * 2, 180 * noise(7, seed=1)
    length, angle = arrows.norm(dim=1), degrees.deg2rad()
    log_i0, unit = torch.special.i0(length).log(), torch.stack([angle.cos(), angle.sin()], dim=1)
    agreement = (arrows * unit).sum(dim=1)
    swapped = (arrows * unit.flip(1)).sum(dim=1)
    in_degrees = arrows[:, 0] * degrees.cos() + arrows[:, 1] * degrees.sin()
    loss = log_i0 - agreement
    hints = {
        "The cosine of PyTorch wants radians: torch.deg2rad.": log_i0 - in_degrees,
        "An arrow that agrees must have a *low* loss: the agreement is subtracted.": [log_i0 + agreement, -loss],
        "Without log I0(|o|) a longer arrow is always better.": -agreement,
        "i0e is I0 times exp(-r): its logarithm is r too small.": log_i0 - length - agreement,
        "I0, but not its logarithm.": log_i0.exp() - agreement,
        "That divides by the length: then an arrow cannot say how sure it is.": [
            log_i0 - agreement / length,
            -agreement / length,
            1 - agreement / length,
        ],
        "The first number of an arrow goes with the cosine.": log_i0 - swapped,
        "|o| is the length of each arrow, not the square of it.": torch.special.i0(length**2).log() - agreement,
        "Against uniform: an arrow of length 0 has the loss 0. You have added log 2 pi.": loss + math.log(2 * math.pi),
        "One loss for each arrow, (B,): no mean.": [loss.mean(), loss.sum()],
        "log I0 of the length, minus the inner product of arrow and label.": True,
    }  # fmt: skip
    said = ask(answer, arrows, degrees)
    if isinstance(said, Tensor) and said.ndim == 0:
        need(False, "It gave one number; wanted were seven.", "One loss for each arrow, (B,): no mean.")
    judge(said, loss, "The losses of seven arrows are others.", hints, "sample")
    _for_every_length(lambda *given: ask(answer, *given))
    return "Right for short, long and vanishing arrows, in value and in gradient."


def _for_every_length(loss: Losses) -> None:
    degrees, long = 90 * noise(3), 1000 * noise(3, 2)
    hint = "I0 of a long arrow is too large for a number. log I0(r) = log i0e(r) + r, with torch.special.i0e."
    said = loss(long, degrees)
    need(said.isfinite().all(), "Of arrows that are 1000 long the loss is not finite.", hint)
    judge(
        said, von_mises_loss(long, degrees), "Of arrows that are 1000 long the loss is another.", {hint: True}
    )
    zero = torch.zeros(3, 2, dtype=torch.float64, requires_grad=True)
    said = loss(zero, degrees)
    need(
        said.requires_grad, "No gradient comes back to the arrows.", "Stay with tensors from arrows to loss."
    )
    [slope] = torch.autograd.grad(said.sum(), zero)
    hint = "sqrt has no slope at 0. torch.linalg.vector_norm(arrows, dim=1) takes 0 for it."
    need(slope.isfinite().all(), "At an arrow of length 0 the gradient is no number.", hint)


@second_hint(
    "Z = torch.fft.rfft(z)[..., k]; the sum over dim=1 of weight * Z.conj(), over n; torch.view_as_real."
)
def arrow(answer: object) -> str:
    """A function (z (B, C, n), weight (C,) complex, k) -> the arrow of type k, (B, 2)."""
    for n, k in ((8, 2), (7, 3), (8, 1), (9, 0)):
        z, weight = noise(5, 3, n), torch.complex(noise(3, seed=1), noise(3, seed=2))
        Z = torch.fft.fft(z)
        o, index = (weight * Z[..., k].conj()).sum(dim=1) / n, torch.arange(n)
        right, turned = _pair(o), _pair((weight * Z[..., k]).sum(dim=1) / n)
        first = _pair((weight * Z[..., 1].conj()).sum(dim=1) / n)
        cosine = (weight * (z * (2 * torch.pi * k * index / n).cos()).sum(dim=2)).sum(dim=1) / n
        hints = {
            "It turns in the wrong sense: Z[c, k] turns by -k theta. The conjugate is missing.": [
                turned,
                _pair(o.conj()),
            ],
            "The weight is not conjugated, the coefficient is.": _pair(
                (weight.conj() * Z[..., k].conj()).sum(dim=1) / n
            ),
            "It is n times too long.": right * n,
            "It is not yet divided rightly: by n, the number of samples, and by nothing else.": [
                right / 3,
                right * n / 3,
                right * n**0.5,
            ],
            "That is type 1 for every k. Take the coefficient with number k.": first,
            "That is another frequency: number k counts from 0, the constant.": [
                _pair((weight * Z[..., (k + s) % n].conj()).sum(dim=1) / n) for s in (1, -1)
            ],
            "These are samples of z. First the Fourier transform along the last axis.": [
                _pair((weight * z[..., k % n]).sum(dim=1) * s) for s in (1, 1 / n)
            ],
            "Lengths alone do not turn: keep the complex coefficient, not its abs().": _pair(
                (weight * Z[..., k].abs()).sum(dim=1) / n
            ),
            "The real part first, then the imaginary one.": right.flip(1),
            "Nothing depends on the weight: each channel has its own.": _pair(Z[..., k].conj().sum(dim=1) / n),
            "The cosine is half of the coefficient; the sine is the other half.": _pair(cosine),
            "The sum over the channels of weight times the conjugate of Z[c, k], divided by n.": True,
        }  # fmt: skip
        reason = f"For n = {n} samples and k = {k} the arrow is another."
        said = ask(_in_pairs(answer), z, weight, k)
        judge(said, right, reason, hints, "sample and the two numbers of the arrow")
    return "Right for four numbers of samples and types. It turns by k times the angle, whatever the weights."


def _pair(arrows: Tensor) -> Tensor:
    return torch.view_as_real(arrows.resolve_conj())


def _in_pairs(answer: object) -> object:
    """The answer, with complex numbers (B,) taken for pairs (B, 2): both are arrows."""
    if not callable(answer):
        return answer

    def in_pairs(*given: object) -> object:
        said = answer(*given)
        return _pair(said) if isinstance(said, Tensor) and said.is_complex() else said

    return in_pairs
