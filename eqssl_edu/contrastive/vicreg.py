"""VICReg on orbits: variance, invariance and covariance that no turn of a view changes."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.circle.correlation import limited
from eqssl_edu.contrastive.features import Features
from eqssl_edu.contrastive.loss import Loss
from eqssl_edu.contrastive.pairs import align
from eqssl_edu.contrastive.statistics import center, relative_products
from eqssl_edu.errors import need_number, need_pairs
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.precision import precise

__all__ = ["VICReg"]


class VICReg(Loss):
    r"""Variance-invariance-covariance regularisation with the metric of orbits; no negatives.

    - invariance: $\min_g |z_i - \rho(g) z'_i|^2 / (C|G|)$, the mean over the batch;
    - variance: $\max(0, 1 - \sigma_c)$ with the standard deviation of channel c over batch *and* group, the mean
      over channels;
    - covariance: $\sum C_k[c, c']^2 / C$ over all (k, c, c') but the variances (e, c, c), with
      $C_k[c, c'] = \mathrm{mean}_{i, h}\, z_i[c, h]\, z_i[c', hk]$ of centred features.

    Variance and covariance are the standard ones of the batch joined with all its turned copies. So no turn changes
    them. But a table varies along the group: one and the same for every image, in one pose (complete collapse) or
    turned (orbit collapse), passes the variance, and costs nothing without the covariance. The variance over the batch
    of an invariant, such as ``z.sort(dim=2).values``, sees both; as a loss it was worse in notebook 8b: the part that
    is constant along the group is then the cheapest to vary.
    With |G| = 1 it is the standard loss.

    Arguments:
        group: G.
        invariance, variance, covariance: weights of the three terms.

    References:
        Bardes, Ponce and LeCun, VICReg (arXiv 2105.04906), section 4.1.

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> G, z = cyclic(4), torch.randn(8, 3, 4, dtype=torch.float64)
        >>> torch.allclose(VICReg(G)(z, z), VICReg(G)(z, G.transform_features(z, 1)))
        True
    """

    def __init__(
        self, group: FiniteGroup, invariance: float = 25.0, variance: float = 25.0, covariance: float = 1.0
    ) -> None:
        super().__init__(group)
        self.weights = {"invariance": invariance, "variance": variance, "covariance": covariance}
        for name, weight in self.weights.items():
            need_number(name, weight, least=0)

    def terms(self, z1: Features, z2: Features) -> dict[str, Float[Tensor, ""]]:
        """The three terms before their weights."""
        need_pairs(self.group, least=2, z1=z1, z2=z2)
        z1, z2 = (limited(self.group, precise(z)) for z in (z1, z2))
        invariance = (z1 - align(self.group, z1, z2)).square().mean()
        (v1, c1), (v2, c2) = self._spread(z1), self._spread(z2)
        return {"invariance": invariance, "variance": (v1 + v2) / 2, "covariance": c1 + c2}

    def forward(self, z1: Features, z2: Features) -> Float[Tensor, ""]:
        return sum(self.weights[name] * term for name, term in self.terms(z1, z2).items())

    def variances(self, z: Features) -> Float[Tensor, " channel"]:
        r"""The $\sigma_c^2$ of the variance term; a derived class may take others."""
        return z.var(dim=(0, 2))

    def _spread(self, z: Features) -> tuple[Tensor, Tensor]:
        """The variance and the covariance term of one batch."""
        # 1e-4 under the root: its slope at zero would be infinite.
        variance = torch.relu(1 - (self.variances(z) + 1e-4).sqrt()).mean()
        products = relative_products(self.group, *[center(z)] * 2) / (len(z) * self.group.order - 1)
        own = products[0].diagonal()  # element 0 is the identity
        covariance = (products.square().sum() - own.square().sum()) / z.shape[1]
        return variance, covariance
