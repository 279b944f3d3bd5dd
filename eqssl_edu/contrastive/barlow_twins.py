"""Barlow Twins on orbits: the cross-correlation of aligned pairs at every relative element."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from eqssl_edu.circle.correlation import limited
from eqssl_edu.contrastive.features import Features
from eqssl_edu.contrastive.loss import Loss
from eqssl_edu.contrastive.pairs import align
from eqssl_edu.contrastive.statistics import relative_products, standardize
from eqssl_edu.errors import need_number, need_pairs
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.precision import precise

__all__ = ["BarlowTwins"]


class BarlowTwins(Loss):
    r"""Redundancy reduction between two views, each turned by an element of its own; no negatives.

    Both views are standardised per channel over batch and group; each z'_i is then turned to meet z_i best. With
    $K_k[c, c'] = \mathrm{mean}_{i, h}\, z_i[c, h]\, z'_i[c', hk]$ the loss is

    $$ |G| \Big( \sum_c (1 - K_e[c, c])^2 + \lambda \sum_{(k, c, c') \neq (e, c, c)} K_k[c, c']^2 \Big). $$

    It is the standard loss of the aligned pairs joined with all their turned copies; with |G| = 1 it is the
    standard loss.

    Arguments:
        group: G.
        redundancy: $\lambda$, the weight of the entries that should be zero.

    References:
        Zbontar et al., Barlow Twins (arXiv 2103.03230), algorithm 1.

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> import torch
        >>> G, z = cyclic(4), torch.randn(8, 3, 4, dtype=torch.float64)
        >>> torch.allclose(BarlowTwins(G)(z, z), BarlowTwins(G)(z, G.transform_features(z, 1)))
        True
    """

    def __init__(self, group: FiniteGroup, redundancy: float = 5e-3) -> None:
        super().__init__(group)
        need_number("redundancy", redundancy, least=0)
        self.redundancy = redundancy

    def forward(self, z1: Features, z2: Features) -> Float[Tensor, ""]:
        need_pairs(self.group, least=2, z1=z1, z2=z2)
        # Standardise first: these statistics do not depend on the turns, so the alignment cannot change them.
        z1, z2 = (standardize(limited(self.group, precise(z))) for z in (z1, z2))
        correlation = relative_products(self.group, z1, align(self.group, z1, z2))
        correlation = correlation / (len(z1) * self.group.order)
        diagonal = correlation[0].diagonal()  # element 0 is the identity
        others = correlation.square().sum() - diagonal.square().sum()
        return self.group.order * ((1 - diagonal).square().sum() + self.redundancy * others)
