"""Orbit correlation, and similarities that absorb the transformation of each input."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.contrastive.features import Features, Others, need_pairs, unit
from eqssl_edu.contrastive.gpu.available import kernels_for
from eqssl_edu.errors import need_choice, need_number, within_transform
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

    Arguments:
        group: G.
        z, w: regular features (B, C, |G|) and (B', C, |G|), taken as they are (not normalised; "maxpool" alone
            normalises, after its pooling).
        kind: one of the kinds above.
        temperature: t of the soft kind, in units of $\kappa$.
    """
    need_choice("kind", kind, SIMILARITIES)
    need_number("temperature", temperature, above=0)
    need_pairs(group, z=z, w=w)
    return compared(group, z, w, kind, temperature)


def orbit_distance(group: FiniteGroup, z: Features, w: Others) -> Float[Tensor, "batch other"]:
    r"""The distance of orbits, for all pairs: $d(z, w) = \min_g \lVert z - \rho(g) w \rVert$.

    A metric on orbits: symmetric, zero if and only if w is a turned z, with the triangle inequality. Computed from
    products, so a distance below the square root of the precision (1e-8 in float64, 3e-4 in float32, times the length
    of z) cannot be told from zero. For a loss take the similarity "max": a root has no gradient at zero.

    Arguments:
        group: G.
        z, w: regular features (B, C, |G|) and (B', C, |G|), taken as they are (not normalised).

    Example:
        >>> G, z = cyclic(4), torch.randn(5, 3, 4, dtype=torch.float64)
        >>> bool(orbit_distance(G, z, G.transform_features(z, 1)).diagonal().max() < 1e-7)
        True
    """
    need_pairs(group, z=z, w=w)
    z, w = precise(z), precise(w)
    scale = size(z, w)  # or squares overflow, or vanish
    z, w = z / scale, w / scale
    squares = z.flatten(1).square().sum(dim=1)[:, None] + w.flatten(1).square().sum(dim=1)
    return scale * (squares - 2 * _correlated(group, z, w).amax(dim=2)).clamp_min(0).sqrt()


def canonicalize(group: FiniteGroup, z: Features) -> Features:
    r"""Turn each z by its own element so that its largest entry, summed over the channels, comes first.

    The element is the argmax of $\kappa(z, u)$, where u is 1 at the identity and 0 elsewhere in each channel. One
    representative of each orbit, where the argmax is unique; at ties it jumps.

    Example:
        >>> z = torch.tensor([[[0.0, 3, 1, 2]]])
        >>> canonicalize(cyclic(4), z)
        tensor([[[3., 1., 2., 0.]]])
    """
    need_pairs(group, z=z)
    largest = z.sum(dim=1).argmax(dim=1)
    return group.transform_features(z, tables_on(group, z.device).inverse[largest])


# -- the parts, shared with the losses, which have checked their features ------------------------------------------


def compared(
    group: FiniteGroup, z: Features, w: Others, kind: str, temperature: float
) -> Float[Tensor, "batch other"]:
    """``orbit_similarity``."""
    (correlated, z), (_, w) = prepared(group, z, kind), prepared(group, w, kind)
    return reduced(_correlated(correlated, z, w), 2, kind, temperature)


def prepared(
    group: FiniteGroup, z: Features, kind: str
) -> tuple[FiniteGroup, Float[Tensor, "batch features elements"]]:
    """What a kind correlates: features of G, or, where one product a pair is enough, of the trivial group."""
    if kind == "plain":
        return TRIVIAL, z.flatten(1)[:, :, None]
    if kind == "canonical":
        return TRIVIAL, canonicalize(group, z).flatten(1)[:, :, None]
    if kind == "mean":  # mean over g of <z, rho(g) w> = <sum z, sum w> / |G|
        return TRIVIAL, z.sum(dim=2, keepdim=True) / math.sqrt(group.order)
    if kind == "maxpool":
        return TRIVIAL, unit(z.amax(dim=2))[:, :, None]
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
