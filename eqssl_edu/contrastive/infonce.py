"""InfoNCE, the loss of SimCLR, with a similarity of orbits."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from eqssl_edu.circle import CircleGroup
from eqssl_edu.contrastive.chunks import contrast_by_chunks
from eqssl_edu.contrastive.features import Features, unit_views
from eqssl_edu.contrastive.gpu.available import INFONCE_KINDS, kernels_for
from eqssl_edu.contrastive.loss import Contrast, Loss
from eqssl_edu.contrastive.similarity import compared, need_kind
from eqssl_edu.errors import need_number, need_pairs, need_positive, within_transform
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.precision import precise

__all__ = ["InfoNCE"]


class InfoNCE(Loss):
    r"""InfoNCE (NT-Xent) with an orbit similarity: $-\log \frac{\exp(s_{i,i'}/t)}{\sum_{k \neq i} \exp(s_{i,k}/t)}$.

    $i'$ is the other view of image i; k runs over all 2B views but i itself; the mean over the 2B views is taken.
    With |G| = 1 it is the loss of SimCLR. The inputs are normalised over (C, |G|). ``logits`` is the formula; the
    loss itself never holds all pairs (``chunks.py``).

    Over SO(2) and O(2) the kinds max, soft, mean, power2 and power3 are over all angles: the loss absorbs a turn of
    each view by any angle, and its gradient turns along.

    On a GPU all of it but the matrix products is done by kernels of its own (``gpu/``), where Triton is there: it
    comes with PyTorch's builds for CUDA. They never wait for the GPU, so that in a small batch, whose time is that of
    the launches, ``torch.cuda.make_graphed_callables(InfoNCE(G), (z1, z2))`` makes them one. The kinds "mean",
    "maxpool" and "canonical", float64, and groups of more than 32 elements have no kernels.

    Arguments:
        group: G.
        similarity: a kind of ``orbit_similarity``.
        temperature: t, also the temperature of the soft similarity (then all |G| copies of a positive count).
        chunk: how many of the 2B views are compared with all others at a time. The value and the gradient do not
            depend on it, memory does: chunk x 2B x |G| correlations. By default as many as stay in a cache, or, in
            the kernels for a GPU, 2^27.

    References:
        Chen et al., A Simple Framework for Contrastive Learning of Visual Representations (arXiv 2002.05709).

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> G, z = cyclic(4), torch.randn(8, 3, 4, dtype=torch.float64)
        >>> loss = InfoNCE(G, similarity="max")
        >>> torch.allclose(loss(z, z), loss(z, G.transform_features(z, 1)))
        True
    """

    shares = True

    def __init__(
        self, group: FiniteGroup, similarity: str = "soft", temperature: float = 0.2, chunk: int | None = None
    ) -> None:
        super().__init__(group)
        need_kind("similarity", similarity, group)
        need_number("temperature", temperature, above=0)
        if chunk is not None:
            need_positive(chunk=chunk)
        self.similarity, self.temperature, self.chunk = similarity, temperature, chunk

    def logits(
        self, z1: Features, z2: Features
    ) -> tuple[Float[Tensor, "views views"], Int64[Tensor, " views"]]:
        """The formula, all pairs at once: similarities over the temperature (-inf with oneself), and each view's
        partner; ``F.cross_entropy`` of the two is the loss."""
        need_pairs(self.group, least=2, z1=z1, z2=z2)  # one image has no negatives
        views = unit_views(self.group, z1, z2)
        similarity = compared(self.group, views, views, self.similarity, self.temperature)
        own = torch.eye(len(views), dtype=torch.bool, device=views.device)
        partner = torch.arange(len(views), device=views.device).roll(len(z1))
        return (similarity / self.temperature).masked_fill(own, -math.inf), partner

    def forward(self, z1: Features, z2: Features) -> Float[Tensor, ""]:
        return self.contrast(z1, z2).loss

    def contrast(self, z1: Features, z2: Features, together: bool = False) -> Contrast:
        """The loss, and the accuracy with which each view's partner is found among all others.

        Arguments:
            together: share the pairs out among all processes, as ``Loss.shares`` has it.
        """
        need_pairs(self.group, least=2, z1=z1, z2=z2)
        if within_transform():  # of the formula, not of its chunks
            logits, partner = self.logits(z1, z2)
            accuracy = (logits.argmax(dim=1) == partner).to(precise(z1[:0]).dtype).mean()
            return Contrast(F.cross_entropy(precise(logits), partner), accuracy)
        how = self.group, self.similarity, self.temperature, self.chunk, together
        finite = not isinstance(self.group, CircleGroup)
        if finite and self.similarity in INFONCE_KINDS and kernels_for(self.group, z1):
            from eqssl_edu.contrastive.gpu.infonce import fused_contrast  # it needs Triton

            return Contrast(*fused_contrast(z1, z2, *how))
        return Contrast(*contrast_by_chunks(unit_views(self.group, z1, z2), *how))
