"""The orbit correlation over SO(2) and O(2): a wave in the angle of the turn, made of one cross spectrum a pair."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from eqssl_edu.circle.group import CircleGroup
from eqssl_edu.errors import need_pairs, typed
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.precision import fine, precise
from eqssl_edu.shapes import Features
from eqssl_edu.tables import table

__all__ = ["circle_correlation", "cross_spectrum"]

# Of each pair: Re and Im of the wave's coefficients, times 2 above frequency 0, for one circle or two.
Coefficients = Float[Tensor, "circles frequency 2 *pairs"]


@typed
def cross_spectrum(
    group: CircleGroup, z: Features, w: Float[Tensor, "other channel group"]
) -> Complex[Tensor, "batch other circles frequency"]:
    r"""The Fourier coefficients $K_m$ of ``circle_correlation``, m = 0 .. L, of all pairs.

    $K_m = \frac1n \sum_c Z[c, m]\, \overline{W[c, m]}$, for O(2) summed over both halves; on its second circle, of the
    reflections, $K_m = \frac1n \sum_c (Z_{rot} W_{ref} + Z_{ref} W_{rot})[c, m]$. Turning z by a and w by b multiplies
    $K_m$ of SO(2) by $e^{i m (b - a)}$, so every $|K_m|$ stays.

    Arguments:
        group: SO(2) or O(2).
        z, w: features (B, C, |G|) and (B', C, |G|), taken as they are; what samples hold above L is cut.

    Example:
        >>> from eqssl_edu.circle import so2
        >>> z = (2 * torch.arange(8) * torch.pi / 4).cos()[None, None]
        >>> (cross_spectrum(so2(3), z, z).abs().round(decimals=4) + 0).tolist()
        [[[[0.0, 0.0, 2.0, 0.0]]]]
    """
    need_pairs(group, z=z, w=w)
    pairs = coefficients(group, waves(group, z), waves(group, w))
    halved = pairs * pairs.new_tensor([1.0] + group.frequency * [0.5]).view(-1, 1, 1, 1)
    return torch.complex(halved[:, :, 0], halved[:, :, 1]).permute(2, 3, 0, 1)


@typed
def circle_correlation(
    group: CircleGroup,
    z: Features,
    w: Float[Tensor, "other channel group"],
    angles: Float[Tensor, " angle"],
) -> Float[Tensor, "batch other circles_angles"]:
    r"""All inner products of z with w turned by each of these angles, also between the samples.

    $$ \kappa(\theta) = \langle z, \rho(\theta) w \rangle = K_0 + 2\, \mathrm{Re} \sum_{m=1}^L K_m e^{i m \theta} $$

    with the ``cross_spectrum`` K: a wave of L frequencies, of which ``orbit_correlation`` over C_n takes n samples. If
    z is turned by a and w by b, the wave is shifted by a - b, and that is all. Whatever does not see a shift (the
    maximum, the mean, ...) absorbs turns of both by any angle.

    For O(2) the turned w come first, then those that are *first* flipped, *then* turned: 2 A values.

    Arguments:
        group: SO(2) or O(2).
        z, w: features (B, C, |G|) and (B', C, |G|), taken as they are; what samples hold above L is cut.
        angles: A angles in degrees, counter-clockwise.

    Example:
        >>> from eqssl_edu.circle import so2, turn_features
        >>> G, w = so2(3), torch.eye(8)[:3].reshape(1, 3, 8)
        >>> turned = turn_features(G, w, 20.0)
        >>> circle_correlation(G, turned, w, torch.arange(0.0, 360, 5)).argmax().item() * 5
        20
    """
    need_pairs(group, z=z, w=w)
    pairs = coefficients(group, waves(group, z), waves(group, w))
    matrix = basis(group.frequency, fine(angles).deg2rad()).to(pairs)
    return at_angles(pairs, matrix).flatten(0, 1).movedim(0, 2)


# -- the parts, shared with the similarities and the losses, which have checked their features -----------------------


def waves(group: CircleGroup, z: Features) -> Float[Tensor, "batch frequency width"]:
    """The spectra in an orthonormal basis: at each frequency Re and Im of all channels, of one half or of both.

    The inner product of two is that of their features, without what lies above L.
    """
    halves = precise(z).unflatten(2, (-1, group.rotations))
    with torch.autocast(z.device.type, enabled=False):
        matrix = _transform(group, z.device, halves.dtype)
        return torch.einsum("bchn,nmp->bmhpc", halves, matrix).flatten(2)


def limited(group: FiniteGroup, z: Features) -> Features:
    """Over a circle what samples hold above L is cut: no turn acts on it. All features of a finite group."""
    if not isinstance(group, CircleGroup) or group.rotations == 2 * group.frequency + 1:
        return z
    halves = precise(z).unflatten(2, (-1, group.rotations))
    matrix = _transform(group, z.device, halves.dtype).flatten(1)
    with torch.autocast(z.device.type, enabled=False):
        return (halves @ (matrix @ matrix.T)).flatten(2).to(z.dtype)


def turned_waves(
    group: CircleGroup, z: Float[Tensor, "batch frequency width"]
) -> Float[Tensor, "circles frequency 2 batch width"]:
    """What the waves of w are multiplied with to give the coefficients, for each circle Re and Im."""
    rows = _rows(group.reflections, z.device, z.dtype)
    return torch.einsum("hpqr,bmrc->hmpbqc", rows, z.unflatten(2, (rows.shape[2], -1))).flatten(4)


def turned_back(
    group: CircleGroup, share: Float[Tensor, "circles frequency 2 batch width"]
) -> Float[Tensor, "batch frequency width"]:
    """The transpose of ``turned_waves``: gradients with respect to all that it gives, brought back and added."""
    rows = _rows(group.reflections, share.device, share.dtype)
    return torch.einsum("hpqr,hmpbqc->bmrc", rows, share.unflatten(4, (rows.shape[2], -1))).flatten(2)


def products(
    turned: Float[Tensor, "circles frequency 2 batch width"], w: Float[Tensor, "other frequency width"]
) -> Coefficients:
    """The coefficients of all pairs: one matrix product for each circle and frequency."""
    return (turned.flatten(2, 3) @ w.permute(1, 2, 0)).unflatten(2, (2, -1))


def coefficients(group: CircleGroup, z: Tensor, w: Tensor) -> Coefficients:
    """The coefficients of all pairs, of their waves; in full precision, also under autocast."""
    with torch.autocast(z.device.type, enabled=False):
        return products(turned_waves(group, z), w)


def own_coefficients(group: CircleGroup, z: Tensor, w: Tensor) -> Coefficients:
    """The coefficients of each z_i with its own w_i: the diagonal of ``coefficients``."""
    with torch.autocast(z.device.type, enabled=False):
        return (turned_waves(group, z) * w.transpose(0, 1)[None, :, None]).sum(dim=4)


def at_angles(
    pairs: Coefficients, matrix: Float[Tensor, "angle frequency 2"]
) -> Float[Tensor, "circles angle *pairs"]:
    """The waves at the angles of which this is the ``basis``: one matrix product."""
    flat = pairs.reshape(len(pairs), matrix.shape[1:].numel(), -1)
    with torch.autocast(pairs.device.type, enabled=False):
        return (matrix.flatten(1).expand(len(pairs), -1, -1) @ flat).unflatten(2, pairs.shape[3:])


def all_around(pairs: Coefficients, points: int) -> Float[Tensor, "circles angle *pairs"]:
    """The waves at so many angles, at equal distances from 0 on."""
    return at_angles(pairs, _points(pairs.shape[1] - 1, points, pairs.device, pairs.dtype))


def basis(frequency: int, angles: Float[Tensor, "*angle"]) -> Float[Tensor, "*angle frequency 2"]:
    """What Re and Im of the coefficients are multiplied with at each angle: cos(m theta), -sin(m theta)."""
    phases = angles[..., None] * torch.arange(frequency + 1).to(angles)
    return torch.stack([phases.cos(), -phases.sin()], dim=-1)


@lru_cache(maxsize=64)
@table
def _points(
    frequency: int, points: int, device: torch.device, dtype: torch.dtype
) -> Float[Tensor, "angle frequency 2"]:
    """The ``basis`` at so many angles."""
    return basis(frequency, 2 * torch.pi * torch.arange(points, dtype=torch.float64) / points).to(
        device, dtype
    )


@lru_cache(maxsize=64)
@table
def _transform(
    group: CircleGroup, device: torch.device, dtype: torch.dtype
) -> Float[Tensor, "samples frequency 2"]:
    """The orthonormal real Fourier basis up to L, at the samples."""
    scale = torch.full((group.frequency + 1, 1), math.sqrt(2 / group.rotations), dtype=torch.float64)
    scale[0] = math.sqrt(1 / group.rotations)
    points = _points(group.frequency, group.rotations, torch.device("cpu"), torch.float64)
    return (scale * points).to(device, dtype)


@lru_cache(maxsize=64)
@table
def _rows(
    reflections: bool, device: torch.device, dtype: torch.dtype
) -> Float[Tensor, "circles 2 parts parts"]:
    """[h, p]: the signed permutation of the parts of Z that gives Re (p = 0) or Im (p = 1) on circle h.

    The parts are (Re, Im) of one half, or of the rotations and then of the reflections. Z conj(W) has the real part
    (Re Z, Im Z).(Re W, Im W) and the imaginary part (Im Z, -Re Z).(Re W, Im W); Z W has (Re Z, -Im Z) and (Im Z, Re Z).
    """
    one, other, sign = torch.eye(2), torch.eye(2).flip(0), torch.tensor([[1.0], [-1.0]])
    conjugate, bare = [one, sign * other], [sign * one, other]
    if not reflections:
        return torch.stack(conjugate)[None].to(device, dtype)
    first = [torch.kron(one, part) for part in conjugate]
    second = [torch.kron(other, part) for part in bare]
    return torch.stack([*first, *second]).view(2, 2, 4, 4).to(device, dtype)
