"""A contrastive model: an encoder, a projector, two views of each image, and a loss between them."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.contrastive.infonce import InfoNCE

__all__ = ["ContrastiveModel"]


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
