"""InfoNCE, the loss of SimCLR, with a similarity of orbits."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.contrastive.similarity import SIMILARITIES, need_temperature, orbit_similarity
from eqssl_edu.errors import got
from eqssl_edu.groups import FiniteGroup

__all__ = ["InfoNCE"]


class InfoNCE(nn.Module):
    r"""InfoNCE (NT-Xent) with an orbit similarity: $-\log \frac{\exp(s_{i,i'}/t)}{\sum_{k \neq i} \exp(s_{i,k}/t)}$.

    $i'$ is the other view of image i; k runs over all 2B views but i itself; the mean over the 2B views is taken.
    With |G| = 1 it is the loss of SimCLR.

    Arguments:
        group: G.
        similarity: a kind of ``orbit_similarity``.
        temperature: t, also the temperature of the soft similarity (then all |G| copies of a positive count).

    References:
        Chen et al., A Simple Framework for Contrastive Learning of Visual Representations (arXiv 2002.05709).

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> G, z = cyclic(4), torch.randn(8, 3, 4, dtype=torch.float64)
        >>> loss = InfoNCE(G, similarity="max")
        >>> torch.allclose(loss(z, z), loss(z, G.transform_features(z, 1)))
        True
    """

    def __init__(self, group: FiniteGroup, similarity: str = "soft", temperature: float = 0.2) -> None:
        super().__init__()
        if similarity not in SIMILARITIES:
            raise ValueError(f"similarity must be one of {', '.join(SIMILARITIES)}, {got(similarity)}")
        need_temperature(temperature)
        self.group, self.similarity, self.temperature = group, similarity, temperature

    def logits(
        self, z1: Float[Tensor, "batch channel group"], z2: Float[Tensor, "batch channel group"]
    ) -> tuple[Float[Tensor, "views views"], Tensor]:
        """Similarities over the temperature between all 2B views (-inf with oneself), and each view's partner."""
        if z1.shape != z2.shape or len(z1) < 2:
            raise ValueError(
                f"z1 and z2 must have one shape with B >= 2 (one image has no negatives), got {tuple(z1.shape)} and "
                f"{tuple(z2.shape)}"
            )
        views = torch.cat([z1, z2])
        views = views / views.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None]
        similarity = orbit_similarity(self.group, views, views, self.similarity, self.temperature)
        own = torch.eye(len(views), dtype=torch.bool, device=views.device)
        partner = torch.arange(len(views), device=views.device).roll(len(z1))
        return (similarity / self.temperature).masked_fill(own, -math.inf), partner

    def forward(
        self, z1: Float[Tensor, "batch channel group"], z2: Float[Tensor, "batch channel group"]
    ) -> Float[Tensor, ""]:
        return F.cross_entropy(*self.logits(z1, z2))
