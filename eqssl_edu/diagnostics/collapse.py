"""Collapse: features that no longer tell images apart, in the ways that regular features can."""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.circle.similarity import channel_peaks
from eqssl_edu.contrastive import orbit_distance
from eqssl_edu.contrastive.features import unit, unit_views
from eqssl_edu.diagnostics.irreps import irrep_energy
from eqssl_edu.errors import need_integer, need_pairs, need_shape, typed
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.precision import fine, size
from eqssl_edu.shapes import Features

__all__ = ["Collapse", "orbit_collapse", "orbit_spread", "pooled_spread", "rank_me", "spread"]

SMALL = 0.1  # a spread below it counts as none
ALL = 0.99  # a share of the energy above it counts as all


class Collapse(NamedTuple):
    """What ``orbit_collapse`` measures; the spreads lie between 0 (all the same) and 1."""

    spread: float  # of the features: the usual monitor
    orbit_spread: float  # the same with the distance of orbits
    pooled_spread: float  # of the features max-pooled over the group
    rank: float  # RankMe of the flattened features; at most |G| in an orbit collapse
    # Share of the energy that is constant along the group axis; nan for |G| = 1, where nothing else is possible.
    trivial_energy: float

    @property
    def verdict(self) -> str:
        """ "complete collapse", "orbit collapse", "group collapse", "none", or "not finite"."""
        if not math.isfinite(self.spread):
            return "not finite"
        if self.spread < SMALL:
            return "complete collapse"
        if self.orbit_spread < SMALL:
            return "orbit collapse"
        return "group collapse" if self.trivial_energy > ALL else "none"


def orbit_collapse(group: FiniteGroup, z: Features) -> Collapse:
    r"""Have these features of many images collapsed, and how?

    - *complete collapse*: every image has the same z. Every spread is 0.
    - *orbit collapse*: $z_i = \rho(g_i) v$ with one v. Alignment is perfect and the usual monitor, ``spread``, is as
      large as ever (1 where v has no mean along the group), but the orbit alone tells images apart, and there is
      only one. ``orbit_spread`` and ``pooled_spread`` are 0, the rank is at most |G|.
    - *group collapse*: z is constant along the group axis. Images differ, but every equivariant information is gone.

    Arguments:
        group: G.
        z: regular features of at least two images; they are normalised first.

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> G, v = cyclic(4), torch.tensor([[1.0, -1, 0, 0], [0, 0, 2, -2]])
        >>> z = torch.stack([G.transform_features(v, g) for g in G.elements])
        >>> result = orbit_collapse(G, z)
        >>> round(result.spread, 3), round(result.orbit_spread, 3), result.verdict
        (1.0, 0.0, 'orbit collapse')
    """
    need_pairs(group, 2, z=z)
    energy = irrep_energy(group, fine(z) / size(z))
    return Collapse(
        spread(z),
        orbit_spread(group, z),
        pooled_spread(group, z),
        rank_me(z),
        energy["trivial"] / max(sum(energy.values()), 1e-300) if group.order > 1 else math.nan,
    )


@typed
@torch.no_grad()
def spread(z: Float[Tensor, "batch ..."]) -> float:
    r"""The usual collapse monitor: the standard deviation of the normalised features, over all dimensions together.

    $\big(\sum_d \mathrm{Var}_i\, \hat z_i[d]\big)^{1/2} = \big(\tfrac12 \mathrm{mean}_{ij} \lVert \hat z_i - \hat z_j
    \rVert^2\big)^{1/2}$: 0 if all are the same, 1 if their mean is zero. (Divided by the root of the dimension it is
    the number that SimSiam's authors plot.)

    References:
        Chen and He, Exploring Simple Siamese Representation Learning (arXiv 2011.10566), section 4.1.
    """
    need_shape("z", z, "...", "B", "D", floating=True)
    need_integer("len(z)", len(z), least=1)
    directions = unit(fine(z).flatten(1))
    return float((directions - directions.mean(dim=0)).square().sum(dim=1).mean().sqrt())


@torch.no_grad()
def orbit_spread(group: FiniteGroup, z: Features) -> float:
    r"""The spread of orbits: $\big(\tfrac12 \mathrm{mean}_{ij}\, d(\hat z_i, \hat z_j)^2\big)^{1/2}$, with the distance
    of orbits $d$ in place of the plain one. At most the ``spread``; 0 if all features lie in one orbit."""
    need_pairs(group, 1, z=z)
    z = unit_views(group, fine(z))
    # Not 1 - max kappa: features of length zero are no unit vectors.
    return float((orbit_distance(group, z, z).square().mean() / 2).sqrt())


def pooled_spread(group: FiniteGroup, z: Features) -> float:
    """The spread of an invariant: of the features max-pooled over the group. 0 if all features lie in one orbit.

    Even random features have less than 1 here, since maxima have a mean.
    """
    need_pairs(group, 1, z=z)
    return spread(z.amax(dim=2) if group.is_finite else channel_peaks(group, z))


@typed
@torch.no_grad()
def rank_me(z: Float[Tensor, "batch ..."]) -> float:
    r"""RankMe, a smooth rank: $\exp\big(-\sum_k p_k \log p_k\big)$ with $p_k = \sigma_k / \sum \sigma$, the singular
    values of the features. Between 1 and the number of rows or dimensions; zero features have rank 0, and features that
    are not finite have none (nan), as a readout of a training that went wrong needs it.

    Arguments:
        z: one row for each image; more axes are flattened. Regular features as they are, or pooled: ``z.mean(2)``.

    References:
        Garrido et al., RankMe (arXiv 2210.02885).

    Example:
        >>> round(rank_me(torch.eye(6)), 4)
        6.0
    """
    need_shape("z", z, "...", "B", "D", floating=True)
    need_integer("len(z)", len(z), least=1)
    z = fine(z)
    if not z.isfinite().all():
        return math.nan
    values = torch.linalg.svdvals(z.flatten(1) / size(z))
    if values.sum() == 0:
        return 0.0
    return float(torch.special.entr(values / values.sum()).sum().exp())
