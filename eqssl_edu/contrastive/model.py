"""A contrastive model: an encoder, a projector, two views of each image, and a loss between them."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.contrastive.loss import Loss
from eqssl_edu.contrastive.processes import gather, place
from eqssl_edu.errors import need_choice, need_encoder, need_integer, typed

__all__ = ["ContrastiveModel"]


class ContrastiveModel(nn.Module):
    """An encoder, a projector and a loss on two views of each image.

    A loss is called with the regular features of both views, (B, C, |G|) each, and gives a scalar: ``InfoNCE``,
    ``VICReg``, ``BarlowTwins``, ``SimSiam``, or your own, derived from ``Loss``. For one with a ``momentum``
    (``BYOL``, ``MoCo``) the model keeps ``target``, a slow copy of encoder and projector.

    The copy, and what a loss keeps, move inside ``training_step`` and lie in ``state_dict``: any training loop will
    do, and a run can be resumed. The slow copy follows at the *start* of a step, when the optimiser has moved the
    weights. If the gradients of k calls are added up before it moves, take the momentum to the power 1/k.

    With several processes the features of all are gathered, with gradients: the loss is that of the joined batch, and
    so are its own statistics (covariances, the batch norm of a predictor); the pairs of ``InfoNCE`` are shared out.
    Batch norms of encoder and projector see their process's part alone, as usual; on GPUs
    ``nn.SyncBatchNorm.convert_sync_batchnorm(model)`` joins them.

    Arguments:
        encoder: images (B, C, H, W) to regular features (B, C', |G|).
        loss: see above, over the encoder's group.
        views: (images, generator) -> one random view of each image; called twice.
        projector: regular to regular features with ``out_channels``, such as ``GroupMLP``; none by default.
    """

    @typed
    def __init__(
        self,
        encoder: nn.Module,
        loss: Loss,
        views: Callable[[Tensor, torch.Generator | None], Tensor],
        projector: nn.Module | None = None,
    ) -> None:
        super().__init__()
        channels = need_encoder(encoder)
        if not encoder.group.is_finite and loss.group != encoder.group:
            raise ValueError(
                f"loss.group must be {encoder.group!r}, over which a loss absorbs turns by every angle; a loss over "
                f"{loss.group!r} does not absorb turns between the samples"
            )
        need_choice("loss.group", loss.group, [encoder.group])
        if projector is not None:
            need_choice("projector.group", getattr(projector, "group", encoder.group), [encoder.group])
            need_choice("projector.channels[0]", getattr(projector, "channels", [channels])[0], [channels])
            channels = need_integer("projector.out_channels", getattr(projector, "out_channels", None), 1)
        self.encoder, self.loss, self.views = encoder, loss, views
        self.projector = nn.Identity() if projector is None else projector
        loss.build(channels)
        self.target = None
        if loss.momentum is not None:
            self.target = copy.deepcopy(nn.Sequential(self.encoder, self.projector)).requires_grad_(False)

    def forward(
        self, images: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch out group"]:
        return self.projector(self.encoder(images))

    @typed
    def training_step(
        self, images: Float[Tensor, "batch channel height width"], generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Two views of each image: {"loss", and "accuracy" for a loss that has to find the partner}."""
        need_integer("len(images)", len(images), least=1)
        views = torch.cat([self.views(images, generator) for _ in range(2)])
        features = [gather(z) for z in self(views).chunk(2)]
        if self.target is not None:
            with torch.no_grad():
                self._follow()
                features += [gather(z) for z in self.target(views).chunk(2)]
        share = {"together": True} if self.loss.shares and place()[1] > 1 else {}
        loss, accuracy = self.loss.contrast(*features, **share)
        if self.target is not None:
            self.loss.enqueue(*features[2:])
        return {"loss": loss} if accuracy is None else {"loss": loss, "accuracy": accuracy}

    def _follow(self) -> None:
        """The slow copy moves towards the network."""
        network = nn.Sequential(self.encoder, self.projector)
        for slow, fast in zip(self.target.parameters(), network.parameters(), strict=True):
            slow.lerp_(fast, 1 - self.loss.momentum)
