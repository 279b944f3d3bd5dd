"""What a contrastive loss is to a ``ContrastiveModel``: derive your own from ``Loss``."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.contrastive.features import Features
from eqssl_edu.errors import typed
from eqssl_edu.groups import FiniteGroup

__all__ = ["Contrast", "Loss", "need_no_second_derivative"]


class Contrast(NamedTuple):
    """The mean loss, and how often the positive was the most similar of all (no gradient), where it has to be found."""

    loss: Float[Tensor, ""]
    accuracy: Float[Tensor, ""] | None = None


class Loss(nn.Module):
    """A loss between the regular features of two views. Yours has ``forward(z1, z2)``; the rest does nothing.

    Arguments:
        group: G.

    Example: the pooled features of both views should be alike.
        >>> from eqssl_edu.groups import cyclic
        >>> class Pooled(Loss):
        ...     def forward(self, z1, z2):
        ...         return (z1.mean(dim=2) - z2.mean(dim=2)).square().mean()
        >>> Pooled(cyclic(4)).contrast(torch.zeros(8, 3, 4), torch.ones(8, 3, 4))
        Contrast(loss=tensor(1.), accuracy=None)
    """

    momentum: float | None = None
    """Of a slow copy of the network. With one, the loss is called as (z1, z2, target1, target2): the copy's features
    of both views come last."""

    shares: bool = False
    """Whether ``contrast`` takes ``together=True``: all processes call it with the same features, those that they have
    gathered, and each does its share of the work. The values are those of all. The gradient of a process is its part,
    times their number: it is whole after ``gather`` and the mean that data-parallel training takes."""

    @typed
    def __init__(self, group: FiniteGroup) -> None:
        super().__init__()
        self.group = group

    def build(self, channels: int) -> None:
        """Make what depends on the width of the features (a predictor, a queue)."""

    def contrast(self, *features: Features) -> Contrast:
        """The loss, with an accuracy if the loss has to find the partner."""
        return Contrast(self(*features))

    def enqueue(self, target1: Features, target2: Features) -> None:
        """Take the slow copy's features of a step that is over."""


def need_no_second_derivative() -> None:
    """Raise where a backward pass is asked for a graph of its own: the gradient is there as a number."""
    if torch.is_grad_enabled():
        raise RuntimeError("InfoNCE has no second derivative; F.cross_entropy(*loss.logits(z1, z2)) has")
