"""Features as functions on the circle: their spectrum, and the action of a turn by any angle."""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from eqssl_edu.errors import got, need_shape, typed
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.precision import precise

__all__ = ["spectrum", "turn_features"]


@typed
def spectrum(
    group: FiniteGroup, z: Float[Tensor, "*batch group"]
) -> Complex[Tensor, "*batch halves frequency"]:
    r"""The Fourier coefficients over the rotations: $Z[m] = \sum_j z[j]\, e^{-2 \pi i m j / n}$, m = 0 .. n/2.

    A turn by $\theta$ multiplies $Z[m]$ by $e^{-i m \theta}$. The rotations and the reflections of D_n and O(2) are
    two functions, each with a spectrum: one half for C_n and SO(2), two halves for D_n and O(2). Over SO(2) and O(2)
    the frequencies are 0 .. L; what samples hold above L is cut.

    Arguments:
        group: C_n, D_n, SO(2) or O(2).
        z: features, the group axis last.

    Example:
        >>> from eqssl_edu.circle import so2
        >>> angles = torch.arange(8) * torch.pi / 4
        >>> spectrum(so2(3), (2 * angles).cos()).abs().round(decimals=4) + 0
        tensor([[0., 0., 4., 0.]])
    """
    need_shape("z", z, "...", group.order)
    halves = precise(z).unflatten(-1, (-1, group.rotations))
    kept = slice(getattr(group, "frequency", group.rotations // 2) + 1)
    if not z.numel():  # some transforms refuse no numbers
        return torch.complex(halves, halves)[..., kept]
    return torch.fft.rfft(halves)[..., kept]


@typed
def turn_features(
    group: FiniteGroup, z: Float[Tensor, "*batch group"], degrees: float | Float[Tensor, " samples"]
) -> Float[Tensor, "*batch group"]:
    r"""The action of a turn by any angle on samples of a band-limited function on the circle: shift the function.

    $z(\varphi) \mapsto z(\varphi - \theta)$: the discrete Fourier transform over the rotations (of each half apart, if
    there are reflections) times $e^{-i m \theta}$. At the group's own angles this is ``group.transform_features``.

    Arguments:
        group: C_n, D_n, SO(2) or O(2), at whose elements the function is sampled.
        z: the samples, the group axis last; a frequency of n/2 or more cannot be told from a lower one.
        degrees: the angle, counter-clockwise; one, or one per sample of the first axis.

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> angles = torch.arange(8) * torch.pi / 4
        >>> z = turn_features(cyclic(8), (3 * angles).cos(), 20.0)
        >>> torch.allclose(z, (3 * (angles - torch.pi / 9)).cos(), atol=1e-5)
        True
    """
    need_shape("z", z, "...", group.order)
    if isinstance(degrees, Tensor) and (z.ndim < 2 or len(degrees) != len(z) or not degrees.isfinite().all()):
        raise ValueError(f"degrees must hold one finite angle per sample of z, {got(degrees)}")
    if not z.numel():  # some transforms refuse no numbers
        return z.clone()
    coefficients = torch.fft.rfft(precise(z).unflatten(-1, (-1, group.rotations)))
    frequencies = torch.arange(coefficients.shape[-1], device=z.device).to(coefficients.real)
    angles = torch.as_tensor(degrees, dtype=torch.float64, device=z.device).remainder(360).deg2rad()
    phases = -frequencies * angles.to(frequencies).reshape(-1, *[1] * (coefficients.ndim - 1))
    shifted = coefficients * torch.polar(torch.ones_like(phases), phases)
    return torch.fft.irfft(shifted, n=group.rotations).reshape(z.shape).to(z.dtype)
