"""Features of a turned image, told from those of the upright one: turns by any angle."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.errors import need_shape, typed
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.precision import precise
from eqssl_edu.rotate import rotate

__all__ = ["nearest_element", "turn_features", "turn_maps"]


@typed
def turn_maps(
    group: FiniteGroup | None, maps: Float[Tensor, "batch channel *group height width"], degrees: float
) -> Float[Tensor, "batch channel *group height width"]:
    """Turn feature maps: the grid by ``rotate``, a group axis (if a group is given) by the nearest rotation of it."""
    need_shape("maps", maps, "...", "S", "S")
    if group is None:
        return rotate(maps, degrees)
    need_shape("maps", maps, "B", "C", group.order, "H", "W")
    element = nearest_element(group, degrees)
    return rotate(group.transform_features(maps.movedim(2, -1), element).movedim(-1, 2), degrees)


@typed
def turn_features(
    group: FiniteGroup, z: Float[Tensor, "*batch group"], degrees: float
) -> Float[Tensor, "*batch group"]:
    r"""The action of a turn by any angle on samples of a band-limited function on the circle: shift the function.

    $z(\theta) \mapsto z(\theta - \alpha)$: the discrete Fourier transform over the rotations (of each half apart, if
    there are reflections) times $e^{-i k \alpha}$. At the group's own angles this is ``group.transform_features``.

    Arguments:
        group: C_n or D_n, at whose elements the function is sampled.
        z: the samples, the group axis last; a frequency of n/2 or more cannot be told from a lower one.
        degrees: the angle, counter-clockwise.

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> angles = torch.arange(8) * torch.pi / 4
        >>> z = turn_features(cyclic(8), (3 * angles).cos(), 20.0)
        >>> torch.allclose(z, (3 * (angles - torch.pi / 9)).cos(), atol=1e-5)
        True
    """
    need_shape("z", z, "...", group.order)
    if not z.numel():  # some transforms refuse no numbers
        return z.clone()
    coefficients = torch.fft.rfft(precise(z).unflatten(-1, (-1, group.rotations)))
    frequencies = torch.arange(coefficients.shape[-1], device=z.device).to(coefficients.real)
    shift = torch.polar(torch.ones_like(frequencies), -frequencies * math.radians(degrees % 360))
    return torch.fft.irfft(coefficients * shift, n=group.rotations).flatten(-2).to(z.dtype)


@typed
def nearest_element(group: FiniteGroup, degrees: float) -> int:
    """The rotation of the group that is nearest to an angle (half-way between two: the even one of them)."""
    return round(degrees % 360 * group.rotations / 360) % group.rotations
