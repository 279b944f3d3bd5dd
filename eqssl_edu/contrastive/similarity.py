"""Orbit correlation, and similarities that absorb the transformation of each input."""

from __future__ import annotations

import math
from numbers import Real

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.contrastive.kernels import kernels_for
from eqssl_edu.contrastive.statistics import precise
from eqssl_edu.errors import got, need_instance
from eqssl_edu.groups import FiniteGroup, cyclic, need_regular, tables_on
from eqssl_edu.layers.weight_copies import copied_entries, products_with_copies, within_torch_func

__all__ = [
    "SIMILARITIES",
    "canonicalize",
    "need_similarity",
    "need_temperature",
    "orbit_correlation",
    "orbit_distance",
    "orbit_similarity",
]

SIMILARITIES = ("max", "soft", "mean", "power2", "power3", "canonical", "maxpool", "plain")


def orbit_correlation(
    group: FiniteGroup, z: Float[Tensor, "batch channel group"], w: Float[Tensor, "other channel group"]
) -> Float[Tensor, "batch other group"]:
    r"""All inner products of z with the turned copies of w: $\kappa(z, w)[g] = \langle z, \rho(g) w \rangle$.

    If z is moved by a and w by b, $\kappa[g]$ becomes $\kappa[a^{-1} g b]$: the values are permuted, none changes.
    One matrix product of $B B' |G|$ times $C |G|$ multiply-adds.

    Arguments:
        group: G.
        z, w: regular features with the same channels.

    Example:
        >>> G, z = cyclic(4), torch.randn(2, 3, 4)
        >>> k, turned = orbit_correlation(G, z, z), orbit_correlation(G, G.transform_features(z, 1), z)
        >>> torch.allclose(k.sort(dim=2).values, turned.sort(dim=2).values, atol=1e-6)
        True
    """
    need_comparable(group, z, w)
    # Turn the smaller side. kappa[g] is also <rho(g^-1) z, w>. The group axis does not come last in memory: what
    # works along it (a maximum, a sum of exponentials) then runs over long rows.
    if len(z) <= len(w):
        return _correlated(group, z, w, back=True).movedim(1, 2)
    return _correlated(group, w, z, back=False).permute(2, 0, 1)


def orbit_similarity(
    group: FiniteGroup,
    z: Float[Tensor, "batch channel group"],
    w: Float[Tensor, "other channel group"],
    kind: str = "soft",
    temperature: float = 0.2,
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

    Arguments:
        group: G.
        z, w: regular features, taken as they are (not normalised; "maxpool" alone normalises, after its pooling).
        kind: one of the kinds above.
        temperature: t of the soft kind, in units of $\kappa$.
    """
    need_similarity(kind, "kind")
    need_temperature(temperature)
    need_comparable(group, z, w)
    (correlated, z), (_, w) = prepared(group, z, kind), prepared(group, w, kind)
    return reduced(orbit_correlation(correlated, z, w), 2, kind, temperature)


def orbit_distance(
    group: FiniteGroup, z: Float[Tensor, "batch channel group"], w: Float[Tensor, "other channel group"]
) -> Float[Tensor, "batch other"]:
    r"""The distance of orbits, for all pairs: $d(z, w) = \min_g \lVert z - \rho(g) w \rVert$.

    A metric on orbits: symmetric, zero if and only if w is a turned z, with the triangle inequality. Computed from
    products, so a distance below the square root of the precision (1e-8 in float64, 3e-4 in float32, times the length
    of z) cannot be told from zero. For a loss take the similarity "max": a root has no gradient at zero.

    Arguments:
        group: G.
        z, w: regular features, taken as they are (not normalised).

    Example:
        >>> G, z = cyclic(4), torch.randn(5, 3, 4, dtype=torch.float64)
        >>> bool(orbit_distance(G, z, G.transform_features(z, 1)).diagonal().max() < 1e-7)
        True
    """
    need_comparable(group, z, w)
    z, w = precise(z), precise(w)  # squares overflow in half precision
    squares = z.flatten(1).square().sum(dim=1)[:, None] + w.flatten(1).square().sum(dim=1)
    return (squares - 2 * orbit_similarity(group, z, w, "max")).clamp_min(0).sqrt()


def canonicalize(
    group: FiniteGroup, z: Float[Tensor, "batch channel group"]
) -> Float[Tensor, "batch channel group"]:
    r"""Turn each z by its own element so that its largest entry, summed over the channels, comes first.

    The element is the argmax of $\kappa(z, u)$, where u is 1 at the identity and 0 elsewhere in each channel. One
    representative of each orbit, where the argmax is unique; at ties it jumps.

    Example:
        >>> z = torch.tensor([[[0.0, 3, 1, 2]]])
        >>> canonicalize(cyclic(4), z)
        tensor([[[3., 1., 2., 0.]]])
    """
    need_regular(z, group, None, grid=False)
    largest = z.sum(dim=1).argmax(dim=1)
    return group.transform_features(z, tables_on(group, z.device).inverse[largest])


# -- the parts, shared with the losses -------------------------------------------------------------------------


def prepared(
    group: FiniteGroup, z: Float[Tensor, "batch channel group"], kind: str
) -> tuple[FiniteGroup, Float[Tensor, "batch features elements"]]:
    """What a kind correlates: features of G, or, where one product a pair is enough, of the trivial group."""
    if kind == "plain":
        return cyclic(1), z.flatten(1)[:, :, None]
    if kind == "canonical":
        return cyclic(1), canonicalize(group, z).flatten(1)[:, :, None]
    if kind == "mean":  # mean over g of <z, rho(g) w> = <sum z, sum w> / |G|
        return cyclic(1), z.sum(dim=2, keepdim=True) / math.sqrt(group.order)
    if kind == "maxpool":
        return cyclic(1), F.normalize(z.amax(dim=2))[:, :, None]
    return group, z


def reduced(kappa: Tensor, dim: int, kind: str, temperature: float) -> Tensor:
    """The similarity, from the correlation of ``prepared`` features along the axis ``dim``."""
    if kind == "max":
        return kappa.amax(dim)
    if kind == "soft":
        return temperature * (torch.logsumexp(kappa / temperature, dim) - math.log(kappa.shape[dim]))
    if kind in ("power2", "power3"):
        return kappa.pow(int(kind[-1])).mean(dim)
    return kappa.squeeze(dim)


def _correlated(group: FiniteGroup, few: Tensor, many: Tensor, back: bool) -> Float[Tensor, "few group many"]:
    tables = copied_entries(group, few.shape[1], back, few.device)
    if kernels_for(group, few) and not within_torch_func():  # which knows how to transform an indexing
        from eqssl_edu.contrastive.fused_correlation import FusedCorrelation

        return FusedCorrelation.apply(few, many, *tables)
    return products_with_copies(few, many, *tables)


def need_comparable(group: FiniteGroup, z: Tensor, w: Tensor) -> None:
    """Raise unless z and w are regular features of G with the same channels, of one type and on one device."""
    need_features_of(group, z, "z")
    need_features_of(group, w, "w")
    need_regular(w, group, z.shape[1], grid=False)
    if z.dtype != w.dtype or z.device != w.device:
        raise ValueError(
            f"z and w must have one dtype on one device, got {z.dtype} on {z.device} and {w.dtype} on {w.device}"
        )


def need_features_of(group: FiniteGroup, z: Tensor, name: str) -> None:
    """Raise unless z are regular features (B, C, |G|) of G, of floating-point numbers."""
    need_instance("group", group, FiniteGroup)
    need_instance(name, z, Tensor)
    need_regular(z, group, None, grid=False)
    if not z.is_floating_point():
        raise TypeError(f"{name} must hold floating-point numbers, {got(z)}")


def need_similarity(kind: object, name: str) -> None:
    """Raise ValueError unless ``kind`` is one of ``SIMILARITIES``."""
    if kind not in SIMILARITIES:
        raise ValueError(f"{name} must be one of {', '.join(SIMILARITIES)}, {got(kind)}")


def need_temperature(temperature: object) -> None:
    """Raise ValueError unless the temperature is a positive number."""
    number = isinstance(temperature, Real) and not isinstance(temperature, bool)
    if not (number and 0 < temperature < math.inf):
        raise ValueError(f"temperature must be a positive number, {got(temperature)}")
