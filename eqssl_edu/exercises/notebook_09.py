"""The exercises of 09 and 09b: the loss of an angle, an arrow that turns, the error at every angle, kappa as a wave."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from eqssl_edu.circle import von_mises_loss
from eqssl_edu.exercises.judging import ask, judge, need, noise
from eqssl_edu.exercises.verdict import second_hint

__all__ = ["angle_curve", "arrow", "kappa", "von_mises"]

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
    reason = "Of arrows that are 1000 long the loss is another, or not finite."
    judge(loss(long, degrees), von_mises_loss(long, degrees), reason, {hint: True})
    zero = torch.zeros(3, 2, dtype=torch.float64, requires_grad=True)
    said = loss(zero, degrees)
    hint = "Stay with tensors from arrows to loss."
    need(said.requires_grad, "No gradient comes back to the arrows.", hint)
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
        Z, cosines = torch.fft.fft(z), (2 * torch.pi * k * torch.arange(n) / n).cos()

        def of(read: Tensor, weight: Tensor = weight, n: int = n) -> Tensor:
            return _pair((weight * read).sum(dim=1) / n)

        conj, right = Z[..., k].conj(), of(Z[..., k].conj())
        turned, other = of(Z[..., k]), [of(Z[..., (k + s) % n].conj()) for s in (1, -1)]
        samples = [of(n**s * z[..., k]) for s in (0, 1)]
        hints = {
            "It turns in the wrong sense: Z[c, k] turns by -k theta. The conjugate is missing.": [
                turned, right * torch.tensor([1, -1])],
            "The weight is not conjugated, the coefficient is.": of(conj, weight.conj()),
            "It is n times too long.": right * n,
            "It is not yet divided rightly: by n, the number of samples, and by nothing else.": [
                right / 3, right * n / 3, right * n**0.5],
            "That is type 1 for every k. Take the coefficient with number k.": of(Z[..., 1].conj()),
            "That is another frequency: number k counts from 0, the constant.": other,
            "These are samples of z. First the Fourier transform along the last axis.": samples,
            "Lengths alone do not turn: keep the complex coefficient, not its abs().": of(conj.abs()),
            "The real part first, then the imaginary one.": right.flip(1),
            "Nothing depends on the weight: each channel has its own.": of(conj, torch.ones(3)),
            "The cosine is half of the coefficient; the sine is the other half.": of((z * cosines).sum(dim=2)),
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


@second_hint(
    "For each angle: o = answer(turn(images, angle)); said = torch.atan2(o[:, 1], o[:, 0]).rad2deg(); "
    "away = (said - angle) % 360; the error is the mean of torch.minimum(away, 360 - away)."
)
def angle_curve(answer: object) -> str:
    """A function (answer, turn, images, degrees) -> the mean error in degrees at each angle, (A,)."""
    images, degrees = noise(9, 1, 2, 2), torch.tensor([40.0, 0.0, 200.0, 330.0], dtype=torch.float64)

    def network(inputs: Tensor) -> Tensor:
        angle = (50 * inputs[:, 0, 0, 0] + inputs[:, 0, 1, 1]).deg2rad()
        return 1.7 * torch.stack([angle.cos(), angle.sin()], dim=1)

    def turn(inputs: Tensor, angle: float | Tensor) -> Tensor:
        moved = inputs.clone()
        moved[:, 0, 1, 1] = moved[:, 0, 1, 1] + 1.3 * angle
        return moved

    def errors(of: Callable, end: Callable = torch.mean) -> Tensor:
        return torch.stack([end(of(_direction(network(turn(images, float(a)))), a)) for a in degrees])

    still, right = _direction(network(images)), errors(_apart)
    hints = {
        "350 and 10 degrees are 20 degrees apart: take the way around the circle that is shorter.": [
            errors(lambda said, a: (said - a).abs()),
            errors(lambda said, a: (said % 360 - a).abs()),
            errors(lambda said, a: (said - a) % 360)],
        "Errors to the left and to the right must not cancel: take abs() before the mean.": [
            errors(lambda said, a: (said - a + 180) % 360 - 180),
            errors(lambda said, a: (said - a + 180) % 360 - 180).abs()],
        "The right angle of an image that was turned by a is a, not 0.": errors(lambda said, a: _apart(said, 0)),
        "The network must see the images *turned* by each angle.": errors(lambda said, a: _apart(still, a)),
        "The label turns with the image, not against it.": errors(lambda said, a: _apart(said, -a)),
        "The first number of an arrow is the cosine: torch.atan2(o[:, 1], o[:, 0]).": errors(
            lambda said, a: _apart(90 - said, a)),
        "atan2 gives radians; degrees were asked.": [
            errors(lambda said, a: _apart(said.deg2rad(), a)), right.deg2rad()],
        "The mean over the images, not their median, sum or largest.": [
            errors(_apart, end) for end in (torch.median, torch.sum, torch.amax)],
        "Errors go up to 180 degrees: the label is an angle modulo 360.": errors(
            lambda said, a: _apart(2 * said, 2 * a) / 2),
        "One number for each angle: the mean distance, on the circle, of what is said and the angle.": True,
    }  # fmt: skip
    said = ask(answer, network, turn, images, degrees)
    judge(said, right, "For a network that is off by known angles the curve is another.", hints)
    return "Right for answers on both sides of 0 and of 180 degrees."


def _direction(arrows: Tensor) -> Tensor:
    return torch.atan2(arrows[:, 1], arrows[:, 0]).rad2deg()


def _apart(said: Tensor, degrees: Tensor | float) -> Tensor:
    away = (said - degrees) % 360
    return torch.minimum(away, 360 - away)


@second_hint(
    "K = (Z * W.conj()).sum(dim=0) / n, and m = torch.arange(len(K)); then K[0].real plus twice the real part of "
    "K[m] exp(i m theta), summed over m >= 1."
)
def kappa(answer: object) -> str:
    """A function (z (C, n), w (C, n), degrees (A,)) -> the inner products of z with w turned by each angle, (A,)."""
    degrees = torch.tensor([0.0, 17.0, 90.0, 222.5, 340.0], dtype=torch.float64)
    for n in (8, 7, 9):
        z, w = (_limited(noise(3, n, seed=seed)) for seed in (1, 2))
        Z, W, m = torch.fft.rfft(z), torch.fft.rfft(w), torch.arange(n // 2 + 1)
        K, angles = (Z * W.conj()).sum(dim=0) / n, degrees.deg2rad()

        def wave(K: Tensor, angles: Tensor = angles, m: Tensor = m, twice: int = 2, first: int = 1) -> Tensor:
            parts = (K * torch.exp(1j * angles[:, None] * m)).real
            return first * parts[:, 0] + twice * parts[:, 1:].sum(dim=1)

        right, single = wave(K), wave(K, twice=1)
        hints = {
            "It turns w in the other sense: which spectrum is conjugated, which sign has the exponent?": wave(K.conj()),
            "One of the two spectra has to be conjugated.": [wave(x.sum(dim=0) / n) for x in (Z * W, (Z * W).conj())],
            "The frequencies -m are missing: twice the real part, for m >= 1.": single,
            "The constant has no partner: K[0] counts once.": wave(K, first=2),
            "It is n times too large.": [right * n, single * n],
            "Degrees were given; exp, cos and sin want radians.": wave(K, degrees),
            "Only the lengths |K| were used: then nothing depends on the angle rightly.": wave(K.abs().to(K)),
            "A mean over the channels: the inner product is the sum.": right / 3,
            "Nothing depends on the angle.": right[:1].expand_as(right),
            "K[0] plus twice the real part of the sum of K[m] exp(i m theta), m from 1.": True,
        }  # fmt: skip
        said = ask(answer, z, w, degrees)
        judge(said, right, f"For n = {n} samples the five inner products are others.", hints, "angle")
    return "Right at five angles, four of them between the samples, for 7, 8 and 9 samples."


def _limited(z: Tensor) -> Tensor:
    """What lies below half of the samples' number: no turn acts on the frequency n/2."""
    kept = torch.fft.rfft(z)
    kept[:, (z.shape[1] + 1) // 2 :] = 0
    return torch.fft.irfft(kept, n=z.shape[1])
