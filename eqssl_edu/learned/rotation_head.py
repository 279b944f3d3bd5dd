"""E-SSL: beside a contrastive loss, a head has to tell which turn it was."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.errors import need_positive, typed
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.learned.term import Orbit, Term

__all__ = ["RotationHead"]


class RotationHead(Term):
    r"""A perceptron should tell g from f(gx): the cross-entropy over all turns of each image, in nats.

    It promises that the features know the turn, $I(g; f(gx)) \geq \log |G| - \mathrm{CE}$, and nothing linear:
    scrambled pixels know it too (statement B8).

    This is the equivariant term of E-SSL, for any contrastive loss. As in the authors' code for CIFAR-10 all turns of
    one further view of each image are asked, and a head with layer norm answers (theirs has two hidden layers of 2,048;
    the further views are smaller there, and the weight is 0.4).

    Arguments:
        group: G.
        hidden: width of the hidden layer.

    References:
        Dangovski et al., Equivariant Contrastive Learning (arXiv 2111.00899), compared with the authors' code.
    """

    @typed
    def __init__(self, group: FiniteGroup, hidden: int = 128) -> None:
        super().__init__(group)
        need_positive(hidden=hidden)
        self.hidden = hidden

    def build(self, dimension: int) -> None:
        super().build(dimension)
        norm = nn.LayerNorm(self.hidden)
        last = nn.Linear(self.hidden, self.group.order)
        self.head = nn.Sequential(nn.Linear(dimension, self.hidden), norm, nn.ReLU(), last)

    def loss(self, orbit: Orbit) -> Float[Tensor, ""]:
        turns = torch.arange(self.group.order, device=orbit.device).repeat(len(orbit))
        return F.cross_entropy(self.head(orbit.flatten(0, 1)), turns)
