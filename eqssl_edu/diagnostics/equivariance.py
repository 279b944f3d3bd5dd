"""The error of equivariance, at the elements of the group and at any angle."""

from __future__ import annotations

import math
from collections.abc import Callable
from numbers import Real

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.errors import got, need_instance
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.rotate import disc_mask, rotate

__all__ = ["equivariance_error", "nearest_element", "rotation_error", "turn_features", "turn_maps"]


def equivariance_error(
    model: Callable[[Tensor], Tensor],
    inputs: Float[Tensor, "batch ..."],
    group: FiniteGroup | None = None,
    transform_inputs: Callable[[Tensor, int], Tensor] | None = None,
    transform_outputs: Callable[[Tensor, int], Tensor] | None = None,
) -> Float[Tensor, " group"]:
    r"""For each element g the relative error $\|f(g x) - g f(x)\|_2 / \|f(x)\|_2$ over the whole batch.

    Without more arguments this is the error of an encoder: images in, regular features out.

    Arguments:
        model: f.
        inputs: x.
        group: the group; ``model.group`` by default.
        transform_inputs: (x, g) -> g x; ``group.transform`` by default.
        transform_outputs: (y, g) -> g y; ``group.transform_features`` by default. For feature maps say
            ``group.transform_maps``, for logits ``labels.transform``, for an invariant ``lambda y, g: y``.

    Raises:
        ValueError: if the output is zero everywhere (nothing could be compared).

    Example:
        >>> from eqssl_edu.encoders import GroupCNN
        >>> from eqssl_edu.groups import cyclic
        >>> encoder = GroupCNN(cyclic(4)).double()
        >>> bool(equivariance_error(encoder, torch.rand(2, 1, 9, 9, dtype=torch.float64)).max() < 1e-12)
        True
    """
    group = group if group is not None else getattr(model, "group", None)
    if group is None:
        raise ValueError("group must be given, since model has no .group, got None")
    need_instance("group", group, FiniteGroup)
    transform_inputs = transform_inputs or group.transform
    transform_outputs = transform_outputs or group.transform_features
    with torch.no_grad():
        reference = model(inputs)
        size = reference.norm()
        if size == 0:
            raise ValueError(
                "model must not give zero everywhere on these inputs: there is nothing to compare"
            )
        errors = [
            (model(transform_inputs(inputs, g)) - transform_outputs(reference, g)).norm() / size
            for g in group.elements
        ]
    return torch.stack(errors)


@torch.no_grad()
def rotation_error(
    maps_of_turned: Float[Tensor, "batch channel *group height width"],
    maps: Float[Tensor, "batch channel *group height width"],
    degrees: float,
    group: FiniteGroup | None = None,
    margin: float = 0.0,
) -> float:
    r"""The relative error $\|f(R x) - R f(x)\|_2 / \|R f(x)\|_2$ of feature maps for a turn by any angle.

    Both norms are taken inside the same centred disc, which no rotation moves out of the picture.

    Arguments:
        maps_of_turned: f(R x), the maps of the turned image.
        maps: f(x), the maps of the upright image.
        degrees: the angle of R, counter-clockwise.
        group: for regular maps (with a group axis): R then acts on that axis by the rotation nearest to it.
        margin: how many pixels the disc stays away from the border: as far as kernels read beyond it.
    """
    if maps_of_turned.shape != maps.shape:
        raise ValueError(
            f"maps_of_turned must have the shape of maps, {tuple(maps.shape)}, {got(maps_of_turned)}"
        )
    expected = turn_maps(maps, degrees, group)
    mask = disc_mask(maps.shape[-1], margin).to(maps.device)
    size = (expected * mask).norm()
    if size == 0:
        raise ValueError(
            "maps must not be zero everywhere inside the centred disc: there is nothing to compare"
        )
    return float(((maps_of_turned - expected) * mask).norm() / size)


def turn_maps(
    maps: Float[Tensor, "batch channel *group height width"], degrees: float, group: FiniteGroup | None = None
) -> Float[Tensor, "batch channel *group height width"]:
    """Turn feature maps: the grid by ``rotate``, a group axis by the nearest rotation of the group."""
    height, width = maps.shape[-2:]
    if height != width:
        raise ValueError(f"maps must be square, got {height} x {width}")
    if group is None:
        return rotate(maps, degrees)
    if maps.ndim != 5:
        raise ValueError(
            f"maps must have shape (B, C, {group.order}, H, W) when a group is given, {got(maps)}"
        )
    along_group = group.transform_features(maps.movedim(2, -1), nearest_element(group, degrees)).movedim(
        -1, 2
    )
    return rotate(along_group, degrees)


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
    need_instance("group", group, FiniteGroup)
    need_instance("z", z, Tensor)
    if z.ndim < 1 or z.shape[-1] != group.order:
        raise ValueError(
            f"z must have {group.order} entries (the order of {group.name}) on its last axis, {got(z)}"
        )
    if not isinstance(degrees, Real) or not math.isfinite(degrees):
        raise ValueError(f"degrees must be a finite number, {got(degrees)}")
    coefficients = torch.fft.rfft(z.unflatten(-1, (-1, group.rotations)))
    frequencies = torch.arange(coefficients.shape[-1], device=z.device, dtype=z.dtype)
    shift = torch.polar(torch.ones_like(frequencies), -frequencies * math.radians(degrees))
    return torch.fft.irfft(coefficients * shift, n=group.rotations).flatten(-2)


def nearest_element(group: FiniteGroup, degrees: float) -> int:
    """The rotation of the group that is nearest to an angle (half-way between two: the even one of them)."""
    need_instance("group", group, FiniteGroup)
    if not isinstance(degrees, Real) or not math.isfinite(degrees):
        raise ValueError(f"degrees must be a finite number, {got(degrees)}")
    return round(degrees * group.rotations / 360) % group.rotations
