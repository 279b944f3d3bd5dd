"""Alignment, uniformity and temperature, in the geometry of orbits."""

import math

import torch
from scipy.optimize import brentq

from eqssl_edu.contrastive import orbit_distance, orbit_similarity
from eqssl_edu.contrastive.features import unit_views
from eqssl_edu.contrastive.pairs import pair_similarity
from eqssl_edu.contrastive.similarity import need_kind
from eqssl_edu.errors import need_number, need_pairs
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.precision import fine
from eqssl_edu.shapes import Features

__all__ = ["alignment", "matched_temperature", "uniformity"]


@torch.no_grad()
def alignment(group: FiniteGroup, z1: Features, z2: Features) -> float:
    r"""How far the two views of an image are apart: the mean of $d(z_i, z'_i)^2$ of the normalised features, with the
    distance of orbits $d$. 0 is perfect; an orbit collapse is.

    References:
        Wang and Isola, Understanding Contrastive Representation Learning through Alignment and Uniformity on the
        Hypersphere (arXiv 2005.10242); there with the plain distance, which is this one for |G| = 1.
    """
    need_pairs(group, 1, z1=z1, z2=z2)
    first, second = (unit_views(group, fine(z)) for z in (z1, z2))
    lengths = sum(x.flatten(1).square().sum(dim=1) for x in (first, second))  # 2, or less at zero
    return float((lengths - 2 * pair_similarity(group, first, second, "max")).clamp_min(0).mean())


@torch.no_grad()
def uniformity(group: FiniteGroup, z: Features) -> float:
    r"""How evenly the images fill the space of orbits: $\log \mathrm{mean}_{i \neq j} \exp(-2\, d(z_i, z_j)^2)$ of the
    normalised features, with the distance of orbits $d$. Lower is better; 0 if all lie in one orbit.

    References:
        Wang and Isola (arXiv 2005.10242); there with the plain distance.
    """
    need_pairs(group, 2, z=z)
    z = unit_views(group, fine(z))
    squares = orbit_distance(group, z, z).square()
    others = squares[~torch.eye(len(z), dtype=torch.bool, device=z.device)]
    return float((-2 * others).logsumexp(dim=0) - math.log(len(others)))


@torch.no_grad()
def matched_temperature(
    group: FiniteGroup, z: Features, kind: str = "max", temperature: float = 0.2
) -> float:
    r"""The temperature that gives a similarity the contrast that the plain one has at ``temperature``.

    What a loss sees is $s / t$. Between a perfect positive and a negative it sees the gap
    $(\mathrm{mean}_i\, s(z_i, z_i) - \mathrm{mean}_{i \neq j} s(z_i, z_j)) / t$. The maximum over G raises the
    similarity of unrelated images, the mean lowers that of an image with itself: at one temperature they see
    different gaps. To compare similarities fairly give each the temperature that makes its gap the plain one's.
    Where a similarity tells no image from another (in a collapse, say) none does that: nan.

    Arguments:
        group: G.
        z: regular features of at least two images, random or of an untrained network; normalised first.
        kind: a kind of ``orbit_similarity``; the soft one takes the answer as its own t as well, as ``InfoNCE`` does.
        temperature: of the plain similarity.

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> z = torch.randn(500, 8, 4, generator=torch.Generator().manual_seed(0))
        >>> round(matched_temperature(cyclic(4), z, "max", 0.2), 2)  # random pairs have 0.18, not 0
        0.16
    """
    need_pairs(group, 2, z=z)
    need_kind("kind", kind, group)
    need_number("temperature", temperature, above=0)
    z = unit_views(group, fine(z))
    negative = ~torch.eye(len(z), dtype=torch.bool, device=z.device)

    def gap(kind: str, t: float) -> float:
        similarity = orbit_similarity(group, z, z, kind, t)
        return float(similarity.diagonal().mean() - similarity[negative].mean()) / t

    wanted = gap("plain", temperature)
    low, high = 1e-3 * temperature, 1e3 * temperature
    # Up to rounding (1e-9) every image may be the same, for the plain similarity or for this kind.
    if not (wanted * temperature > 1e-9 and gap(kind, low) > wanted > gap(kind, high)):
        return math.nan
    # The gap falls as t grows.
    return math.exp(brentq(lambda log: gap(kind, math.exp(log)) - wanted, math.log(low), math.log(high)))
