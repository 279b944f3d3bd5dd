"""A contrastive model with a further loss that asks for equivariance: what a loss can buy."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.contrastive import ContrastiveModel, Loss
from eqssl_edu.contrastive.features import unit
from eqssl_edu.errors import need_encoder, need_number, typed
from eqssl_edu.learned.term import Orbit, Term
from eqssl_edu.shapes import Images

__all__ = ["LearnedModel"]


class LearnedModel(ContrastiveModel):
    """A ``ContrastiveModel`` whose loss is that of the two views, plus ``weight`` times a term on a third one.

    The third view is turned by all of the term's group, and the term sees the encoder's features of all turns, scaled
    to length 1: their size means nothing to the contrastive loss, and a term that counts squared distances would make
    it small. (Most of the papers put the term behind a projector; here it acts where ``learned_action`` looks.)

    With several processes the term is that of each process's own part of the batch.

    Arguments:
        encoder: images (B, C, H, W) to features (B, C', |G'|). A plain network has G' = C1: ``GroupCNN(cyclic(1))``.
        loss: contrastive, over the group of the *encoder*.
        views: (images, generator) -> one random view of each image; called three times.
        term: what asks for equivariance, over the group of the *turns*.
        weight: of the term.
        projector: of the contrastive loss alone.

    Example:
        >>> from eqssl_edu.contrastive import InfoNCE
        >>> from eqssl_edu.encoders import GroupCNN
        >>> from eqssl_edu.groups import cyclic
        >>> from eqssl_edu.learned import GramLoss
        >>> from eqssl_edu.views import RandomView
        >>> encoder, loss = GroupCNN(cyclic(1), channels=(4, 8)), InfoNCE(cyclic(1), "plain")
        >>> model = LearnedModel(encoder, loss, RandomView(), GramLoss(cyclic(4)), weight=1.0)
        >>> sorted(model.training_step(torch.rand(8, 1, 16, 16)))
        ['accuracy', 'contrast', 'loss', 'term']
    """

    @typed
    def __init__(
        self,
        encoder: nn.Module,
        loss: Loss,
        views: Callable[[Tensor, torch.Generator | None], Tensor],
        term: Term,
        weight: float = 1.0,
        projector: nn.Module | None = None,
    ) -> None:
        super().__init__(encoder, loss, views, projector)
        self.weight = need_number("weight", weight, least=0)
        term.build(need_encoder(encoder) * encoder.group.order)
        self.term = term

    def orbit(self, images: Images) -> Orbit:
        """The features of all turns of these images, of length 1: (B, |G|, D)."""
        group = self.term.group
        turned = torch.cat([group.transform(images, k) for k in group.elements])
        return unit(self.encoder(turned).flatten(1)).unflatten(0, (group.order, -1)).transpose(0, 1)

    @typed
    def training_step(
        self, images: Float[Tensor, "batch channel height width"], generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """As of ``ContrastiveModel``; besides "loss" its two parts, "contrast" and "term" (without its weight)."""
        output = super().training_step(images, generator)
        term = self.term(self.orbit(self.views(images, generator)))
        return {
            **output,
            "loss": output["loss"] + self.weight * term,
            "contrast": output["loss"],
            "term": term,
        }
