"""Soft equivariance: the features should move as they would in a network that has the group built in."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.errors import need_choice, need_shape, typed
from eqssl_edu.groups import FiniteGroup, tables_on
from eqssl_edu.learned.term import Orbit, Term

__all__ = ["SoftEquivariance", "turned_back"]


class SoftEquivariance(Term):
    r"""Soft equivariance, for the regular action $\rho$ on the features: the mean over x, h, g of

    $$ \lVert f(g h x) - \rho(g) f(h x) \rVert^2 . $$

    Over all h and g it is twice the squared distance of f to its own symmetrisation, $2 E \lVert f - S f \rVert^2$ with
    $S f(x) = \mathrm{mean}_g\, \rho(g)^{-1} f(g x)$ (statement B1), which ``SymmetrizedEncoder`` is at once. With one
    generator only it is another loss (statement B2): frequency j of the differences counts $4 \sin^2(\pi j / n)$.

    This is a reduction of SER, whose paper and code put a *contrastive* loss (NT-Xent over the patches of all images)
    on the maps of a middle layer, with a known action on the grid of patches; here it is the squared distance at the
    features themselves.

    Arguments:
        group: G. The features are (C, |G|) flattened, as ``GroupCNN`` gives them.
        generator: g of the loss; all of G by default.

    References:
        Lee et al., Soft Equivariance Regularization for Invariant Self-Supervised Learning (arXiv 2603.06693), compared
        with the authors' code.

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> G, z = cyclic(4), torch.randn(8, 3, 4, dtype=torch.float64)
        >>> orbit = torch.stack([G.transform_features(z, k).flatten(1) for k in G.elements], dim=1)
        >>> SoftEquivariance(G)(orbit).item(), SoftEquivariance(G)(orbit.flip(1)).item() > 1
        (0.0, True)
    """

    @typed
    def __init__(self, group: FiniteGroup, generator: int | None = None) -> None:
        super().__init__(group)
        self.generator = need_choice("generator", generator, [None, *group.elements])

    def loss(self, orbit: Orbit) -> Float[Tensor, ""]:
        u = turned_back(self.group, orbit)  # the same for all k, were f equivariant
        if self.generator is None:
            return 2 * (u - u.mean(dim=1, keepdim=True)).square().sum(dim=2).mean()
        product = tables_on(self.group, orbit.device).product
        return (u[:, product[self.generator]] - u).square().sum(dim=2).mean()


@typed
def turned_back(group: FiniteGroup, orbit: Orbit) -> Orbit:
    r"""$\rho(k)^{-1} f(k x)$ for each k: what each turn of the image says of the upright one. The mean is $S f(x)$.

    Arguments:
        group: G.
        orbit: (B, |G|, D) with f(kx) at k; D is a multiple of |G|, C times.
    """
    need_shape("orbit", orbit, "B", group.order, "D", floating=True)
    need_choice(f"orbit.shape[2] % {group.order}", orbit.shape[2] % group.order, [0])
    fields = orbit.unflatten(2, (-1, group.order)).unbind(dim=1)
    back = [group.transform_features(z, int(group.inverse[k])) for k, z in enumerate(fields)]
    return torch.stack(back, dim=1).flatten(2)
