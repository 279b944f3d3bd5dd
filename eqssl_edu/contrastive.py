"""Invariant contrastive loss: a similarity that absorbs the transformation of each input."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.errors import got
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.layers import need_regular

__all__ = ["SIMILARITIES", "ContrastiveModel", "InfoNCE", "orbit_correlation", "orbit_similarity"]

SIMILARITIES = ("max", "soft", "mean", "power2", "power3", "plain")


def orbit_correlation(
    group: FiniteGroup, z: Float[Tensor, "batch channel group"], w: Float[Tensor, "other channel group"]
) -> Float[Tensor, "batch other group"]:
    r"""All inner products of z with the turned copies of w: $\kappa(z, w)[g] = \langle z, \rho(g) w \rangle$.

    If z is moved by a and w by b, $\kappa[g]$ becomes $\kappa[a^{-1} g b]$: the values are permuted, none changes.

    Arguments:
        group: G.
        z, w: regular features with the same channels.

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> G, z = cyclic(4), torch.randn(2, 3, 4)
        >>> k, turned = orbit_correlation(G, z, z), orbit_correlation(G, G.transform_features(z, 1), z)
        >>> torch.allclose(k.sort(dim=2).values, turned.sort(dim=2).values, atol=1e-6)
        True
    """
    need_regular(z, group, None, grid=False)
    need_regular(w, group, z.shape[1], grid=False)
    # copies[i, g, (c, h)] = w[i, c, g^-1 h]; one matrix product against z[j, (c, h)] gives every pair and element.
    copies = torch.stack([group.transform_features(w, g) for g in group.elements], dim=1).flatten(2)
    return (z.flatten(1) @ copies.flatten(0, 1).T).unflatten(1, copies.shape[:2])


def orbit_similarity(
    group: FiniteGroup,
    z: Float[Tensor, "batch channel group"],
    w: Float[Tensor, "other channel group"],
    kind: str = "soft",
    temperature: float = 0.2,
) -> Float[Tensor, "batch other"]:
    r"""A similarity of all pairs, from the orbit correlation $\kappa$; every kind but "plain" is symmetric in
    its |G| values and so does not change when z and w are moved by elements of their own.

    | kind | formula |
    |---|---|
    | plain | $\kappa[e]$: the naive one, which changes |
    | mean | mean of $\kappa$: pooling over the group first |
    | max | max of $\kappa$: the best alignment |
    | soft | $t \log \mathrm{mean} \exp(\kappa / t)$: max for $t \to 0$, mean for $t \to \infty$ |
    | power2, power3 | mean of $\kappa^p$: power spectrum, triple correlation |

    Arguments:
        group: G.
        z, w: regular features, taken as they are (not normalised).
        kind: one of the kinds above.
        temperature: t of the soft kind, in units of $\kappa$.
    """
    if kind not in SIMILARITIES:
        raise ValueError(f"kind must be one of {', '.join(SIMILARITIES)}, {got(kind)}")
    need_temperature(temperature)
    if kind == "plain":
        need_regular(z, group, None, grid=False)
        need_regular(w, group, z.shape[1], grid=False)
        return z.flatten(1) @ w.flatten(1).T
    if kind == "mean":  # the mean over g turns w into its group mean: |G| times less work
        need_regular(z, group, None, grid=False)
        need_regular(w, group, z.shape[1], grid=False)
        return z.sum(dim=2) @ w.sum(dim=2).T / group.order
    kappa = orbit_correlation(group, z, w)
    if kind == "max":
        return kappa.amax(dim=2)
    if kind == "soft":
        return temperature * (torch.logsumexp(kappa / temperature, dim=2) - math.log(group.order))
    return kappa.pow(int(kind[-1])).mean(dim=2)


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


class ContrastiveModel(nn.Module):
    """An encoder, a projector and a contrastive loss on two views of each image.

    Arguments:
        encoder: images (B, C, H, W) to regular features (B, C', |G|).
        loss: a loss on two batches of regular features, such as ``InfoNCE``.
        views: (images, generator) -> one random view of each image; called twice.
        projector: regular to regular features, equivariant; none by default.
    """

    def __init__(
        self,
        encoder: nn.Module,
        loss: InfoNCE,
        views: Callable[[Tensor, torch.Generator | None], Tensor],
        projector: nn.Module | None = None,
    ) -> None:
        super().__init__()
        if encoder.group != loss.group:
            raise ValueError(
                f"loss must be over the encoder's group {encoder.group.name}, got {loss.group.name}"
            )
        self.encoder, self.loss, self.views = encoder, loss, views
        self.projector = nn.Identity() if projector is None else projector

    def forward(
        self, images: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch out group"]:
        return self.projector(self.encoder(images))

    def training_step(
        self, images: Float[Tensor, "batch channel height width"], generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Two views of each image: {"loss" in nats, "accuracy": how often the partner is the most similar view}."""
        both = torch.cat([self.views(images, generator), self.views(images, generator)])
        logits, partner = self.loss.logits(*self(both).chunk(2))
        accuracy = (logits.detach().argmax(dim=1) == partner).float().mean()
        return {"loss": F.cross_entropy(logits, partner), "accuracy": accuracy}


def need_temperature(temperature: float) -> None:
    """Raise ValueError unless the temperature is a positive number."""
    if not (isinstance(temperature, (int, float)) and 0 < temperature < math.inf):
        raise ValueError(f"temperature must be a positive number, {got(temperature)}")
