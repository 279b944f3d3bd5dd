"""SimSiam and BYOL on orbits: an equivariant predictor guesses the other view's features; no negatives."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.contrastive.features import Features, unit_views
from eqssl_edu.contrastive.loss import Loss
from eqssl_edu.contrastive.pairs import pair_similarity
from eqssl_edu.contrastive.similarity import need_kind
from eqssl_edu.errors import need_finite, need_number, need_pairs, need_shape
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.layers import GroupMLP
from eqssl_edu.precision import precise

__all__ = ["BYOL", "SimSiam"]


class SimSiam(Loss):
    r"""SimSiam with an orbit similarity: $-\frac12 \left( s(h(z), \bar z') + s(h(z'), \bar z) \right)$.

    h is the predictor; a bar stops the gradient; all features have length 1. The predictor must be equivariant,
    or the loss does not absorb the turns of the views any more. With |G| = 1 it is the standard loss.

    Arguments:
        group: G.
        similarity: a kind of ``orbit_similarity``.
        predictor: regular to regular features. By default a ``GroupMLP`` with a hidden layer of a quarter of the
            width, at least 4, made for the width of the first features, or by ``build(channels)``, which a loss needs
            before ``load_state_dict``. Over SO(2) and O(2) give a linear one, ``GroupLinear(group, C, C)``: a ReLU of
            samples does not commute with turns between them.

    References:
        Chen and He, Exploring Simple Siamese Representation Learning (arXiv 2011.10566), algorithm 1.

    Example:
        >>> import torch
        >>> from eqssl_edu.groups import cyclic
        >>> G, z = cyclic(4), torch.randn(8, 6, 4, dtype=torch.float64)
        >>> loss = SimSiam(G)
        >>> torch.allclose(loss(z, z), loss(z, G.transform_features(z, 1)))
        True
    """

    hidden = 1 / 4  # width of the default predictor's hidden layer, in units of its input's

    def __init__(
        self, group: FiniteGroup, similarity: str = "max", predictor: nn.Module | None = None
    ) -> None:
        super().__init__(group)
        need_kind("similarity", similarity, group)
        if predictor is None:
            need_finite(group, "the default predictor's ReLU", "pass predictor=GroupLinear(group, C, C)")
        self.similarity, self.predictor = similarity, predictor

    def build(self, channels: int) -> None:
        """Make the predictor for features of this width, if none was given.

        ``ContrastiveModel`` does this when it is made, so that an optimiser finds the weights.
        """
        if self.predictor is None:
            # A single hidden unit would give predictions of one direction only.
            self.predictor = GroupMLP(self.group, (channels, max(4, round(self.hidden * channels)), channels))

    def forward(self, z1: Features, z2: Features) -> Float[Tensor, ""]:
        return -self.agreement(z1, z2)

    def agreement(self, z1: Features, z2: Features, *targets: Features) -> Float[Tensor, ""]:
        """Mean similarity of each view's prediction with the other view's target, of both directions."""
        target1, target2 = targets or (z1, z2)
        need_pairs(self.group, least=2, z1=z1, z2=z2, target1=target1, target2=target2)
        if self.predictor is None:
            self.build(z1.shape[1])
            self.predictor.to(z1)
        both = 0.0
        for z, target in ((z1, target2.detach()), (z2, target1.detach())):
            prediction = self.predictor(z)
            need_shape("predictor(z)", prediction, *z.shape)
            pair = (unit_views(self.group, precise(x)) for x in (prediction, target))
            both = both + pair_similarity(self.group, *pair, self.similarity)
        return both.mean() / 2


class BYOL(SimSiam):
    r"""Bootstrap your own latent, with the metric of orbits: $\min_g |h(z) - \rho(g) t'|^2$ plus the other way round.

    h is the predictor; t' are the features that a slow copy of the network gives for the other view; all features
    have length 1, so that the distance is $2 - 2s$ with the similarity s. With |G| = 1 it is the standard loss.

    Arguments:
        group: G.
        similarity: a kind of ``orbit_similarity``.
        predictor: as that of ``SimSiam``, but by default the hidden layer has twice the width.
        momentum: of the slow copy, which ``ContrastiveModel`` keeps: its weights move by 1 - momentum towards the
            network's in each step.

    References:
        Grill et al., Bootstrap Your Own Latent (arXiv 2006.07733), section 3.1.

    Example:
        >>> import torch
        >>> from eqssl_edu.groups import cyclic
        >>> G, z = cyclic(4), torch.randn(8, 6, 4, dtype=torch.float64)
        >>> loss = BYOL(G)
        >>> torch.allclose(loss(z, z), loss(z, G.transform_features(z, 1)))
        True
    """

    hidden = 2

    def __init__(
        self,
        group: FiniteGroup,
        similarity: str = "max",
        predictor: nn.Module | None = None,
        momentum: float = 0.99,
    ) -> None:
        super().__init__(group, similarity, predictor)
        need_number("momentum", momentum, least=0, below=1)
        self.momentum = momentum

    def forward(self, z1: Features, z2: Features, *targets: Features) -> Float[Tensor, ""]:
        """The loss; without targets of a slow copy, z1 and z2 themselves are the targets."""
        return 4 - 4 * self.agreement(z1, z2, *targets)
