"""MoCo on orbits: keys of a slow copy of the network, and a queue of earlier keys as negatives."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.contrastive.features import Features, unit, unit_views
from eqssl_edu.contrastive.loss import Contrast, Loss
from eqssl_edu.contrastive.pairs import pair_similarity
from eqssl_edu.contrastive.similarity import compared, need_kind
from eqssl_edu.errors import need_choice, need_number, need_pairs, need_positive
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.precision import precise

__all__ = ["MoCo"]


class MoCo(Loss):
    r"""Momentum contrast with an orbit similarity s.

    $$ -\log \frac{\exp(s(q, k')/t)}{\exp(s(q, k')/t) + \sum_j \exp(s(q, k_j)/t)} $$

    q are the features of one view, k' those that a slow copy of the network gives for the other view, k_j the
    keys of earlier steps in a queue; all have length 1. Both directions are taken, as in the authors' symmetric
    version. Keys are stored once, as regular features: the queries, which are fewer, are turned, not the keys, so
    the queue costs no more memory than without a group. With |G| = 1 it is the standard loss.

    Calling the loss changes nothing: ``enqueue`` does, and ``ContrastiveModel`` calls it in each training step. Call
    ``build(channels)`` before ``load_state_dict``: the queue has the width of the features.

    Arguments:
        group: G.
        similarity: a kind of ``orbit_similarity``.
        temperature: t, also the temperature of the soft similarity.
        momentum: of the slow copy, which ``ContrastiveModel`` keeps: its weights move by 1 - momentum towards the
            network's in each step.
        size: number of keys in the queue, K. At first they are random.

    References:
        He et al., Momentum Contrast for Unsupervised Visual Representation Learning (arXiv 1911.05722),
        algorithm 1.

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> G, z = cyclic(4), torch.randn(8, 3, 4, dtype=torch.float64)
        >>> loss = MoCo(G, similarity="max", size=64)
        >>> torch.allclose(loss(z, z), loss(z, G.transform_features(z, 1)))
        True
    """

    queue: Float[Tensor, "size channel group"] | None

    def __init__(
        self,
        group: FiniteGroup,
        similarity: str = "soft",
        temperature: float = 0.2,
        momentum: float = 0.99,
        size: int = 1024,
    ) -> None:
        super().__init__(group)
        need_kind("similarity", similarity, group)
        need_number("temperature", temperature, above=0)
        need_number("momentum", momentum, least=0, below=1)
        need_positive(size=size)
        self.similarity, self.temperature = similarity, temperature
        self.momentum, self.size = momentum, size
        self.register_buffer("queue", None)

    def build(self, channels: int) -> None:
        """Fill the queue with random keys of this width, if there is none yet; always the same keys."""
        if self.queue is None:
            generator = torch.Generator().manual_seed(0)
            keys = torch.randn(self.size, channels, self.group.order, generator=generator)
            self.queue = unit_views(self.group, keys)

    def forward(self, z1: Features, z2: Features, *targets: Features) -> Float[Tensor, ""]:
        """The loss; without targets of a slow copy, z1 and z2 themselves are the keys."""
        return self.contrast(z1, z2, *targets).loss

    def contrast(self, z1: Features, z2: Features, *targets: Features) -> Contrast:
        """The loss, and how often the partner's key is nearer than all the queue."""
        logits = self.logits(z1, z2, *targets)
        partner = torch.zeros(len(logits), dtype=torch.long, device=logits.device)
        accuracy = (logits.detach().argmax(dim=1) == partner).float().mean()
        return Contrast(F.cross_entropy(logits, partner), accuracy)

    def logits(self, z1: Features, z2: Features, *targets: Features) -> Float[Tensor, "queries keys"]:
        """(2B, 1 + K) similarities over t of all 2B views with their partner's key, first, and with the queue."""
        target1, target2 = targets or (z1, z2)
        need_pairs(self.group, least=1, z1=z1, z2=z2, target1=target1, target2=target2)
        self._queue_for(z1)
        queries = unit_views(self.group, precise(z1), precise(z2))
        keys = unit_views(self.group, *(precise(target.detach()) for target in (target2, target1)))
        kind = (self.similarity, self.temperature)
        positive = pair_similarity(self.group, queries, keys, *kind)[:, None]
        negative = compared(self.group, queries, self.queue.to(queries), *kind)  # turns the fewer: queries
        return torch.cat([positive, negative], dim=1) / self.temperature

    @torch.no_grad()
    def enqueue(self, target1: Features, target2: Features) -> None:
        """Put the keys of both views into the queue; the oldest leave it."""
        self._queue_for(target1)
        keys = unit_views(self.group, precise(target1), precise(target2))
        # A new tensor and not a change in place: the backward pass of this step still needs the old one.
        self.queue = torch.cat([self.queue, keys.to(self.queue)])[-self.size :]

    def _queue_for(self, z: Features) -> None:
        """Make a queue for these features if there is none; raise if there is one of another width."""
        if self.queue is None:
            self.build(z.shape[1])
            self.queue = unit(self.queue.to(z))
        need_choice("channels", z.shape[1], [self.queue.shape[1]])
