"""Orbit correlation, and similarities that absorb the transformation of each input."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.circle import CircleGroup, circle_distance
from eqssl_edu.circle.correlation import coefficients, waves
from eqssl_edu.circle.similarity import of_waves
from eqssl_edu.contrastive.features import Features, Others, unit
from eqssl_edu.contrastive.gpu.available import kernels_for
from eqssl_edu.errors import need_choice, need_finite, need_number, need_pairs, within_transform
from eqssl_edu.groups import FiniteGroup, cyclic, tables_on
from eqssl_edu.layers.weight_copies import copied_entries, products_with_copies
from eqssl_edu.precision import precise, size

__all__ = ["SIMILARITIES", "canonicalize", "orbit_correlation", "orbit_distance", "orbit_similarity"]

SIMILARITIES = ("max", "soft", "mean", "power2", "power3", "canonical", "maxpool", "plain")
TRIVIAL = cyclic(1)


def orbit_correlation(group: FiniteGroup, z: Features, w: Others) -> Float[Tensor, "batch other group"]:
    r"""All inner products of z with the turned copies of w: $\kappa(z, w)[g] = \langle z, \rho(g) w \rangle$.

    If z is moved by a and w by b, $\kappa[g]$ becomes $\kappa[a^{-1} g b]$: the values are permuted, none changes.
    One matrix product of $B B' |G|$ times $C |G|$ multiply-adds.

    Over SO(2) and O(2) these are the n or 2n *samples* of a wave, and a turn between them moves the wave, so that the
    samples are others; ``circle.circle_correlation`` gives the wave at any angle.

    Arguments:
        group: G.
        z, w: regular features (B, C, |G|) and (B', C, |G|) with the same channels.

    Example:
        >>> G, z = cyclic(4), torch.randn(2, 3, 4)
        >>> k, turned = orbit_correlation(G, z, z), orbit_correlation(G, G.transform_features(z, 1), z)
        >>> torch.allclose(k.sort(dim=2).values, turned.sort(dim=2).values, atol=1e-6)
        True
    """
    need_pairs(group, z=z, w=w)
    return _correlated(group, z, w)


def orbit_similarity(
    group: FiniteGroup, z: Features, w: Others, kind: str = "soft", temperature: float = 0.2
) -> Float[Tensor, "batch other"]:
    r"""A similarity of all pairs; every kind but "plain" stays when z and w are moved by elements of their own.

    | kind | formula, from the orbit correlation $\kappa$ |
    |---|---|
    | plain | $\kappa[e]$: the naive one, which changes |
    | mean | mean of $\kappa$: pooling over the group first |
    | max | max of $\kappa$: the best alignment; $\lVert z \rVert^2 + \lVert w \rVert^2 - 2 \max \kappa$ is the squared
      ``orbit_distance`` |
    | soft | $t \log \mathrm{mean} \exp(\kappa / t)$: max for $t \to 0$, mean for $t \to \infty$ |
    | power2, power3 | mean of $\kappa^p$ $= \langle M_p(z), M_p(w) \rangle$, where $M_p$ is the mean over the orbit of
      the p-fold tensor power: the power spectrum, which cannot tell z from -z or from some other orbits, and the triple
      correlation, which is complete: for almost all z, $M_3(z) = M_3(w)$ only if w lies in the orbit of z |
    | canonical | plain, after ``canonicalize``: $B B'$ products instead of $B B' |G|$; jumps where the argmax does |
    | maxpool | cosine after max pooling over the group: each channel picks its own g, so that the orientation of the
      channels relative to each other is lost |

    Over SO(2) and O(2), mean and max are those over *all* angles, so that turns by any angle are absorbed:
    $\kappa$ is a wave of L frequencies (``circle.circle_correlation``), of which soft and the powers take as many
    values as give the mean over the angles to rounding, and max is found by Halley's method. "canonical" and "maxpool"
    look at the samples alone, and are refused.

    Arguments:
        group: G.
        z, w: regular features (B, C, |G|) and (B', C, |G|), taken as they are (not normalised; "maxpool" alone
            normalises, after its pooling).
        kind: one of the kinds above.
        temperature: t of the soft kind, in units of $\kappa$.
    """
    need_kind("kind", kind, group)
    need_number("temperature", temperature, above=0)
    need_pairs(group, z=z, w=w)
    return compared(group, z, w, kind, temperature)


def orbit_distance(group: FiniteGroup, z: Features, w: Others) -> Float[Tensor, "batch other"]:
    r"""The distance of orbits, for all pairs: $d(z, w) = \min_g \lVert z - \rho(g) w \rVert$.

    A metric on orbits: symmetric, zero if and only if w is a turned z, with the triangle inequality. Computed from
    products, so a distance below the square root of the precision (1e-8 in float64, 3e-4 in float32, times the length
    of z) cannot be told from zero. For a loss take the similarity "max": a root has no gradient at zero. Over SO(2) and
    O(2) it is ``circle.circle_distance``, the least over all angles.

    Arguments:
        group: G.
        z, w: regular features (B, C, |G|) and (B', C, |G|), taken as they are (not normalised).

    Example:
        >>> G, z = cyclic(4), torch.randn(5, 3, 4, dtype=torch.float64)
        >>> bool(orbit_distance(G, z, G.transform_features(z, 1)).diagonal().max() < 1e-7)
        True
    """
    need_pairs(group, z=z, w=w)
    if isinstance(group, CircleGroup):
        return circle_distance(group, z, w)
    z, w = precise(z), precise(w)
    scale = size(z, w)  # or squares overflow, or vanish
    z, w = z / scale, w / scale
    squares = z.flatten(1).square().sum(dim=1)[:, None] + w.flatten(1).square().sum(dim=1)
    return scale * (squares - 2 * _correlated(group, z, w).amax(dim=2)).clamp_min(0).sqrt()


def canonicalize(group: FiniteGroup, z: Features) -> Features:
    r"""Turn each z by its own element so that its largest entry, summed over the channels, comes first.

    The element is the argmax of $\kappa(z, u)$, where u is 1 at the identity and 0 elsewhere in each channel. One
    representative of each orbit, where the argmax is unique; at ties it jumps. Not over SO(2) and O(2), whose samples
    are no whole orbit.

    Example:
        >>> z = torch.tensor([[[0.0, 3, 1, 2]]])
        >>> canonicalize(cyclic(4), z)
        tensor([[[3., 1., 2., 0.]]])
    """
    need_pairs(group, z=z)
    need_finite(group, "the largest sample", "the similarities max and soft absorb all turns")
    largest = z.sum(dim=1).argmax(dim=1)
    return group.transform_features(z, tables_on(group, z.device).inverse[largest])


# -- the parts, shared with the losses, which have checked their features ------------------------------------------


def need_kind(name: str, kind: object, group: FiniteGroup) -> None:
    """Raise unless it is a kind of similarity, and one that can absorb the turns of this group."""
    need_choice(name, kind, SIMILARITIES)
    if isinstance(group, CircleGroup) and kind in ("canonical", "maxpool"):
        others = ", ".join(
            repr(other) for other in SIMILARITIES if other not in ("canonical", "maxpool", "plain")
        )
        raise ValueError(
            f"{name} must be one of {others} over {group.name}: {kind!r} looks at the samples alone, and does not "
            f"absorb turns between them"
        )


def compared(
    group: FiniteGroup, z: Features, w: Others, kind: str, temperature: float
) -> Float[Tensor, "batch other"]:
    """``orbit_similarity``."""
    (correlated, z), (_, w) = prepared(group, z, kind), prepared(group, w, kind)
    if isinstance(correlated, CircleGroup):
        return of_waves(coefficients(group, z, w), kind, temperature, longest(kind, z, w))
    return reduced(_correlated(correlated, z, w), 2, kind, temperature)


def longest(kind: str, z: Tensor, w: Tensor) -> float:
    """The largest |z| |w|, which the soft kind needs; 1 where numbers cannot be asked for, or are none."""
    if kind != "soft" or within_transform() or not (z.numel() and w.numel()):
        return 1.0
    length = math.prod(x.detach().flatten(1).norm(dim=1).max().item() for x in (z, w))
    return length if math.isfinite(length) else 1.0


def prepared(
    group: FiniteGroup, z: Features, kind: str
) -> tuple[FiniteGroup, Float[Tensor, "batch features elements"]]:
    """What a kind correlates: features of G, their waves over SO(2) and O(2), or, where one product a pair is enough,
    features of the trivial group."""
    if kind == "plain":
        return TRIVIAL, z.flatten(1)[:, :, None]
    if kind == "canonical":
        return TRIVIAL, canonicalize(group, z).flatten(1)[:, :, None]
    if kind == "mean":  # mean over g of <z, rho(g) w> = <sum z, sum w> / |G|
        return TRIVIAL, z.sum(dim=2, keepdim=True) / math.sqrt(group.order)
    if kind == "maxpool":
        return TRIVIAL, unit(z.amax(dim=2))[:, :, None]
    return group, waves(group, z) if isinstance(group, CircleGroup) else z


def reduced(kappa: Tensor, dim: int, kind: str, temperature: float) -> Tensor:
    """The similarity, from the correlation of ``prepared`` features along the axis ``dim``."""
    if kind == "max":
        return kappa.amax(dim)
    if kind == "soft":
        return temperature * (torch.logsumexp(kappa / temperature, dim) - math.log(kappa.shape[dim]))
    if kind in ("power2", "power3"):
        return kappa.pow(int(kind[-1])).mean(dim)
    return kappa.squeeze(dim)


def _correlated(group: FiniteGroup, z: Features, w: Others) -> Float[Tensor, "batch other group"]:
    """``orbit_correlation``."""
    # Turn the smaller side. kappa[g] is also <rho(g^-1) z, w>. The group axis does not come last in memory: what
    # works along it (a maximum, a sum of exponentials) then runs over long rows.
    back = len(z) <= len(w)
    few, many = (z, w) if back else (w, z)
    tables = copied_entries(group, few.shape[1], back, few.device)
    if kernels_for(group, few) and not within_transform():  # which knows how to transform an indexing
        from eqssl_edu.contrastive.gpu.correlation import FusedCorrelation  # it needs Triton

        products = FusedCorrelation.apply(few, many, *tables)
    else:
        products = products_with_copies(few, many, *tables)
    return products.movedim(1, 2) if back else products.permute(2, 0, 1)
