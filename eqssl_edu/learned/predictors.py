"""A learned map says what the turn does to the features: linear for each g, or with g as one of its inputs."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.contrastive import InfoNCE
from eqssl_edu.errors import need_integer, typed
from eqssl_edu.groups import FiniteGroup, cyclic, tables_on
from eqssl_edu.learned.term import Orbit, Term

__all__ = ["ContrastivePredictor", "SplitPredictor"]


class SplitPredictor(Term):
    r"""One half of the features should not move, the other as a learned matrix $P_g$ says: the mean over x, h, g of

    $$ \lVert z'_{\mathrm{inv}} - z_{\mathrm{inv}} \rVert^2 + \lVert z'_{\mathrm{eq}} - P_g z_{\mathrm{eq}} \rVert^2,
       \qquad z = f(hx), \; z' = f(ghx). $$

    Nothing asks that the matrices multiply as the group does; on both-turned pairs a small loss makes it so (statement
    B5). Features that do not move, with $P_g = 1$, have loss 0.

    This is a reduction of SIE. There a hypernetwork makes the matrix from the parameters of the transformation; for
    finitely many g and a linear hypernetwork that is one free matrix for each g. The two halves and the two squared
    errors are SIE's. Ours: there are no projectors, both errors weigh the same (SIE: 1 and 0.45), and what keeps the
    features apart is the contrastive loss beside it (SIE: VICReg's variance and covariance of both halves together, and
    the variance of the prediction).

    References:
        Garrido et al., Self-supervised learning of Split Invariant Equivariant representations (arXiv 2302.10283),
        compared with the authors' code.
    """

    def build(self, dimension: int) -> None:
        super().build(need_integer("dimension", dimension, least=2))
        moving = dimension // 2
        self.maps = nn.Parameter(torch.eye(moving).repeat(self.group.order, 1, 1))

    def loss(self, orbit: Orbit) -> Float[Tensor, ""]:
        still, moving = orbit[..., self.maps.shape[1] :], orbit[..., : self.maps.shape[1]]
        predicted = torch.einsum("gde,bhe->bghd", self.maps, moving)
        product = tables_on(self.group, orbit.device).product
        missed = (moving[:, product] - predicted).square().sum(dim=-1).mean()
        return missed + 2 * (still - still.mean(dim=1, keepdim=True)).square().sum(dim=-1).mean()


class ContrastivePredictor(Term):
    r"""From the upright features and g, a learned map u should find the features of the turned image among all others:

    $$ \mathrm{InfoNCE}\big( u(f(x), g),\; f(gx) \big), \qquad \text{all } x \text{ and all } g \neq e. $$

    Features that do not move, with u(z, g) = z, solve it as well: it promises nothing about a group.

    This is a reduction of EquiMod, whose u is one linear map of both inputs and a batch norm, and whose loss is InfoNCE
    over all images and transformations, as here. Ours: g comes as one of |G| unit vectors (there: the numbers of an
    augmentation, through a linear map and a batch norm), the features are the encoder's (there: behind a projector of
    their own), and x is a view itself (there: the image without augmentation).

    Arguments:
        group: G, with at least two elements.
        temperature: of InfoNCE.

    References:
        Devillers and Lefort, EquiMod: An Equivariance Module to Improve Self-Supervised Learning (arXiv
        2211.01244), compared with the authors' code.
    """

    least = 2

    @typed
    def __init__(self, group: FiniteGroup, temperature: float = 0.2) -> None:
        super().__init__(group)
        need_integer("group.order", group.order, least=2)
        self.contrast = InfoNCE(cyclic(1), "plain", temperature)

    def build(self, dimension: int) -> None:
        super().build(dimension)
        linear = nn.Linear(dimension + self.group.order, dimension, bias=False)
        self.predictor = nn.Sequential(linear, nn.BatchNorm1d(dimension, affine=False))

    def loss(self, orbit: Orbit) -> Float[Tensor, ""]:
        others = self.group.order - 1
        names = torch.eye(self.group.order).to(orbit)[1:].repeat(len(orbit), 1)
        upright = orbit[:, 0].repeat_interleave(others, dim=0)
        predicted = self.predictor(torch.cat([upright, names], dim=1))
        return self.contrast(predicted[..., None], orbit[:, 1:].flatten(0, 1)[..., None])
