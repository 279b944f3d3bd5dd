"""Similarities that absorb turns by every angle: what they make of the wave of a pair, and the distance of orbits."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from eqssl_edu.circle.correlation import (
    Coefficients,
    all_around,
    coefficients,
    waves,
)
from eqssl_edu.circle.group import CircleGroup
from eqssl_edu.errors import need_number, need_pairs, typed
from eqssl_edu.precision import precise, size
from eqssl_edu.shapes import Features
from eqssl_edu.theory import between_samples

__all__ = ["CirclePeak", "circle_distance", "circle_peak"]

HALVINGS = 10  # of half a cell, before Halley's steps
FLAT = 0.05  # two maxima that a grid of 8 L points takes for one bend it less than 0.006, in units of half the range
SHARPEST = (
    1e-4  # the lowest temperature of a soft similarity, in units of |z| |w|: it takes thousands of angles
)


class CirclePeak(NamedTuple):
    r"""Where the orbit correlation is largest, for all pairs."""

    value: Float[Tensor, "batch other"]
    degrees: Float[Tensor, "batch other"]  # 0 .. 360: the turn of w that meets z best
    reflected: Bool[Tensor, "batch other"]  # and whether w is flipped before it; never over SO(2)


@typed
def circle_peak(group: CircleGroup, z: Features, w: Float[Tensor, "other channel group"]) -> CirclePeak:
    r"""The largest $\kappa(\theta) = \langle z, \rho(\theta) w \rangle$ over all angles, and the angle, for all pairs.

    From the largest of 8 L samples and every other that is a peak and could beat it (``theory.between_samples``) two or
    three steps of Halley's method find the maximum to rounding. A wave that is constant has its peak at 0.

    Arguments:
        group: SO(2) or O(2).
        z, w: features (B, C, |G|) and (B', C, |G|), taken as they are; what samples hold above L is cut.

    Example:
        >>> from eqssl_edu.circle import so2, turn_features
        >>> G, w = so2(3), torch.randn(1, 5, 8, generator=torch.Generator().manual_seed(0))
        >>> peak = circle_peak(G, turn_features(G, w, 47.5), w)
        >>> round(peak.degrees.item(), 3), peak.reflected.item()
        (47.5, False)
    """
    need_pairs(group, z=z, w=w)
    pairs = coefficients(group, waves(group, z), waves(group, w))
    circle, angle = best_turns(pairs.detach())
    return CirclePeak(_at_turns(pairs, circle, angle), angle.rad2deg().remainder(360), circle == 1)


@typed
def circle_distance(
    group: CircleGroup, z: Features, w: Float[Tensor, "other channel group"]
) -> Float[Tensor, "batch other"]:
    r"""The distance of orbits over all angles, for all pairs: $d(z, w) = \min_\theta \lVert z - \rho(\theta) w \rVert$.

    As ``orbit_distance``, which over SO(2) and O(2) is this: a metric on orbits, and a distance below the square root
    of the precision, times the length of z, cannot be told from zero.

    Arguments:
        group: SO(2) or O(2).
        z, w: features (B, C, |G|) and (B', C, |G|), taken as they are; what samples hold above L is cut.

    Example:
        >>> from eqssl_edu.circle import so2, turn_features
        >>> G, z = so2(3), torch.randn(5, 3, 8, dtype=torch.float64)
        >>> bool(circle_distance(G, z, turn_features(G, z, 20.0)).diagonal().max() < 1e-6)
        True
    """
    need_pairs(group, z=z, w=w)
    scale = size(precise(z), precise(w))  # or squares overflow, or vanish
    z, w = waves(group, precise(z) / scale), waves(group, precise(w) / scale)
    squares = z.flatten(1).square().sum(dim=1)[:, None] + w.flatten(1).square().sum(dim=1)
    return scale * (squares - 2 * largest(coefficients(group, z, w))).clamp_min(0).sqrt()


# -- the parts, shared with the losses, which have checked their features --------------------------------------------


def of_waves(
    pairs: Coefficients, kind: str, temperature: float, length: float = 1.0
) -> Float[Tensor, "*pairs"]:
    """A similarity from the coefficients; length: the largest |z| |w|, for the soft kind."""
    pairs = precise(pairs)
    if kind == "max":
        return largest(pairs)
    points = points_of(kind, pairs, temperature, length)
    if kind == "soft":
        values = all_around(pairs / temperature, points).flatten(0, 1)
        top = values.detach().amax(dim=0)
        return temperature * ((values - top).exp().mean(dim=0).log() + top)
    return all_around(pairs, points).pow(int(kind[-1])).mean(dim=(0, 1))


def points_of(kind: str, pairs: Tensor, temperature: float, length: float = 1.0) -> int:
    """At how many angles a kind looks at each circle."""
    frequency = pairs.shape[1] - 1
    if kind == "max":  # to start from
        return 8 * frequency
    if kind == "soft":
        return soft_points(frequency, temperature, length, torch.finfo(pairs.dtype).eps)
    # kappa^p has the frequencies up to p L: the mean over more points than that is the mean over all angles.
    return int(kind[-1]) * frequency + 1


def soft_points(frequency: int, temperature: float, length: float, rounding: float) -> int:
    r"""How many angles make the soft similarity the mean over all angles, up to rounding.

    N angles take the frequencies N, 2N, ... of $\exp(\kappa / t)$ for a part of the mean. For $|\kappa| \le |z| |w|$ of
    frequencies up to L none of them is larger than for $\kappa = |z| |w| \cos L \theta$, where N = k L angles make an
    error of $\log(1 + 2 I_k(x) / I_0(x))$ with $x = |z| |w| / t$: the smallest k for which it is below rounding.
    """
    need_number("temperature", temperature, least=SHARPEST * length)
    x, ratio, ratios = length / temperature, 0.0, []
    for k in range(math.ceil(40 + 12 * math.sqrt(x) + x / 4), 0, -1):
        ratio = x / (2 * k + x * ratio)  # I_k / I_(k - 1), from far above downward
        ratios.append(ratio)
    error, k = 2.0, 0
    while error > rounding or k < 3:  # 2 L + 1 points at least, as for the wave itself
        error, k = error * ratios.pop(), k + 1
    return frequency * k


def largest(pairs: Coefficients) -> Float[Tensor, "*pairs"]:
    """The largest value of each wave. Its gradient is that of the value at the peak: there the peak's own move is 0."""
    return _at_turns(pairs, *best_turns(pairs.detach()))


def channel_peaks(group: CircleGroup, z: Features) -> Float[Tensor, "batch channel"]:
    """The largest value of each channel over the whole group: what a maximum over the group is for a finite one."""
    parts = waves(group, precise(z)).unflatten(2, (1 + group.reflections, 2, -1)) / math.sqrt(
        group.rotations / 2
    )
    scale = parts.new_tensor([math.sqrt(0.5)] + group.frequency * [1.0])
    return largest((parts * scale.view(-1, 1, 1, 1)).permute(2, 1, 3, 0, 4))


def best_turns(pairs: Coefficients) -> tuple[Tensor, Tensor]:
    """The circle and the angle (radians) of each wave's maximum.

    Most waves have one peak on a grid that could be the highest, and rise from there to the top. Those alone that have
    several, or whose peak is flat, are searched.
    """
    circles, frequency, shape = len(pairs), pairs.shape[1] - 1, pairs.shape[3:]
    points, pairs = points_of("max", pairs, 1.0), pairs.reshape(circles, frequency + 1, 2, -1)
    peaks, half_range = _peaks(pairs, points)
    marks = peaks.flatten(0, 1).view(torch.uint8)  # sums of bytes are quick
    bits = torch.uint8 if len(marks) <= 256 else torch.int16
    places = torch.arange(len(marks), dtype=bits, device=marks.device)[:, None]
    single, place = marks.sum(dim=0, dtype=torch.uint8) == 1, (marks * places).sum(dim=0, dtype=bits)
    circle = (place >= points) & (circles > 1)
    start = place.to(pairs) - points * circle
    angle, arrived = _rise(_on_circle(pairs, circle), start, _on_circle(half_range, circle), points)
    hard, circle = (~(single & arrived)).nonzero().flatten(), circle.long()
    if len(hard):
        circle[hard], angle[hard] = _search(_chosen(pairs, hard), points)
    return circle.view(shape), angle.view(shape)


def _peaks(pairs: Tensor, points: int) -> tuple[Bool[Tensor, "circle point pair"], Tensor]:
    """Where on the grid there is a peak that could be above all others; and half the range of each wave."""
    grid = all_around(pairs, points)
    top, bottom = grid.amax(dim=1), grid.amin(dim=1)
    half_range = (top - bottom) / 2
    # How much more than on the grid a wave may reach: its half range is not known either, but for the same share.
    share = between_samples(pairs.shape[1] - 1, points)
    least = top.amax(dim=0) - half_range * share / (1 - share)
    rises = torch.empty_like(grid, dtype=torch.bool)
    torch.ge(grid[:, 1:], grid[:, :-1], out=rises[:, 1:])
    torch.ge(grid[:, 0], grid[:, -1], out=rises[:, 0])
    return (rises & ~rises.roll(-1, 1)).logical_and_(grid >= least[:, None]), half_range


def _rise(
    waves: Float[Tensor, "frequency 2 peak"], start: Tensor, half_range: Tensor, points: int
) -> tuple[Tensor, Bool[Tensor, " peak"]]:
    """The angle of the maximum beside a peak of the grid, by Halley's method; and whether that is sure.

    A step leaves an error of the order of its cube.
    """
    cell = 2 * torch.pi / points
    angle = start = start * cell
    m = torch.arange(1, len(waves), device=waves.device).to(waves)[:, None]
    real, imaginary = waves[1:].unbind(1)
    for steps in range(2 if waves.dtype == torch.float32 else 3):
        cos, sin = (m * angle).cos(), (m * angle).sin()
        re, im = real * cos - imaginary * sin, real * sin + imaginary * cos
        slope, curvature, third = -(m * im).sum(dim=0), -(m * m * re).sum(dim=0), (m**3 * im).sum(dim=0)
        if steps == 0:  # twice the value, less those of both neighbours
            flat = ((2 - 2 * (m * cell).cos()) * re).sum(dim=0) < FLAT * half_range
        step = 2 * slope * curvature / (slope * third - 2 * curvature * curvature)
        angle = angle + step
    arrived = (step.abs() < torch.finfo(step.dtype).eps ** (1 / 3)) & ((angle - start).abs() < cell)
    return angle, arrived & (curvature < 0) & ~flat


def _search(pairs: Float[Tensor, "circle frequency 2 pair"], points: int) -> tuple[Tensor, Tensor]:
    """The circle and the angle of each maximum, from every peak of the grid that could be the highest.

    Around a flat peak the wave may have two maxima so close together that the grid shows one. There each half cell,
    of two cells to both sides, is searched by itself.
    """
    peaks, half_range = _peaks(pairs, points)
    count, cell = pairs.shape[3], 2 * torch.pi / points
    place = peaks.flatten().nonzero().flatten()
    row, pair = place // count, place % count
    circle, index = row // points, row % points
    waves = _chosen(pairs.permute(1, 2, 0, 3).flatten(2), circle * count + pair)
    angle, arrived = _rise(waves, index.to(pairs), half_range[circle, pair], points)
    flat = (~arrived).nonzero()
    if len(flat):
        half_cells = (torch.arange(-2.0, 2, 0.5, device=index.device) + index[flat]).flatten()
        low, high = ((half_cells + part).to(pairs) * cell for part in (0, 0.5))
        again = flat.expand(-1, 8).flatten()
        beside = _chosen(waves, again)
        middle = _halve(beside, low, high)
        polished, arrived = _rise(beside, middle / cell, middle.new_tensor(-torch.inf), points)
        waves = torch.cat([waves, beside], dim=2)
        angle = torch.cat([angle, polished.where(arrived, middle)])
        circle, pair = torch.cat([circle, circle[again]]), torch.cat([pair, pair[again]])
    value = _sum_waves(waves, angle).index_fill(0, flat.flatten(), -torch.inf)
    won = value == value.new_full((count,), -torch.inf).scatter_reduce(0, pair, value, "amax")[pair]
    return tuple(x.new_zeros(count).scatter(0, pair[won], x[won]) for x in (circle, angle))


def _halve(waves: Float[Tensor, "frequency 2 peak"], low: Tensor, high: Tensor) -> Tensor:
    """The angle of a maximum between low and high, or one of them, by bisection."""
    m = torch.arange(len(waves), device=waves.device).to(waves)[:, None]
    for _ in range(HALVINGS):
        angle = (low + high) / 2
        phase = m * angle
        rising = (m * (waves[:, 0] * phase.sin() + waves[:, 1] * phase.cos())).sum(dim=0) < 0
        low, high = angle.where(rising, low), high.where(rising, angle)
    return (low + high) / 2


def _chosen(parts: Tensor, places: Tensor) -> Tensor:
    """``parts.index_select(-1, places)``, which takes a tenth of the time with two axes."""
    return parts.flatten(0, -2).index_select(1, places).unflatten(0, parts.shape[:-1])


def _sum_waves(waves: Float[Tensor, "frequency 2 *pairs"], angle: Tensor) -> Float[Tensor, "*pairs"]:
    m = torch.arange(len(waves), device=waves.device).to(waves).view(-1, *[1] * angle.ndim)
    return (waves[:, 0] * (m * angle).cos() - waves[:, 1] * (m * angle).sin()).sum(dim=0)


def _on_circle(parts: Tensor, circle: Tensor) -> Tensor:
    """Of the parts of both circles, or of the only one, those of each wave's own circle."""
    return parts[0] if len(parts) == 1 else parts[1].where(circle, parts[0])


def _at_turns(pairs: Coefficients, circle: Tensor, angle: Tensor) -> Float[Tensor, "*pairs"]:
    """The value of each wave at its own angle on its own circle."""
    return _sum_waves(_on_circle(pairs, circle == 1), angle)
