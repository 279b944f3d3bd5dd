"""A contrastive model: an encoder, a projector, two views of each image, and a loss between them."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.contrastive.processes import gather
from eqssl_edu.errors import got, need_instance
from eqssl_edu.groups import tables_on

__all__ = ["ContrastiveModel"]


class ContrastiveModel(nn.Module):
    """An encoder, a projector and a loss on two views of each image.

    A loss is a module with ``group`` that is called with the regular features of both views, (B, C, |G|) each, and
    gives a scalar: ``InfoNCE``, ``VICReg``, ``BarlowTwins``, ``SimSiam``, or your own. It may have

    - ``contrast(...)``: the loss together with an accuracy (``InfoNCE``, ``MoCo``);
    - ``build(channels)``: makes what depends on the width of the features (a predictor, a queue);
    - ``momentum``: then the model keeps ``target``, a slow copy of encoder and projector, and calls the loss with
      its features of both views as well (``BYOL``, ``MoCo``);
    - ``enqueue(target1, target2)``: takes the keys of a step that is over (``MoCo``).

    All of that moves inside ``training_step`` and lies in ``state_dict``: any training loop will do, and a run can
    be resumed. The slow copy follows at the *start* of a step, when the optimiser has moved the weights. If the
    gradients of k calls are added up before it moves, take the momentum to the power 1/k.

    With several processes the features of all are gathered, with gradients: the loss is that of the joined batch, and
    so are its own statistics (covariances, the batch norm of a predictor). Batch norms of encoder and projector see
    their process's part alone, as usual; on GPUs ``nn.SyncBatchNorm.convert_sync_batchnorm(model)`` joins them.

    Arguments:
        encoder: images (B, C, H, W) to regular features (B, C', |G|).
        loss: see above.
        views: (images, generator) -> one random view of each image; called twice.
        projector: regular to regular features with ``out_channels``, such as ``GroupMLP``; none by default.
        known: turn the features back by the elements that ``views.sample`` has drawn, before the loss sees them.
            A loss that *absorbs* the turns does without; this is how much *knowing* them would help a plain one.
    """

    def __init__(
        self,
        encoder: nn.Module,
        loss: nn.Module,
        views: Callable[[Tensor, torch.Generator | None], Tensor],
        projector: nn.Module | None = None,
        known: bool = False,
    ) -> None:
        super().__init__()
        for name, module in (("encoder", encoder), ("loss", loss)):
            need_instance(name, module, nn.Module)
            if not hasattr(module, "group"):
                raise TypeError(f"{name} must have a group, such as a GroupCNN or InfoNCE has, {got(module)}")
        if encoder.group != loss.group:
            raise ValueError(
                f"loss must be over the encoder's group {encoder.group.name}, got {loss.group.name}"
            )
        if known and (not hasattr(views, "sample") or views.group not in (None, encoder.group)):
            raise ValueError(
                f"views must be able to sample known elements of {encoder.group.name}, {got(views)}"
            )
        if projector is not None and not hasattr(projector, "out_channels"):
            raise ValueError(f"projector must have out_channels, {got(projector)}")
        if getattr(projector, "group", encoder.group) != encoder.group:
            raise ValueError(
                f"projector must be over the encoder's group {encoder.group.name}, got {projector.group.name}"
            )
        width = getattr(projector, "channels", [encoder.out_channels])[0]
        if width != encoder.out_channels:
            raise ValueError(
                f"projector must take the encoder's {encoder.out_channels} channels, got {width}"
            )
        self.encoder, self.loss, self.views, self.known = encoder, loss, views, known
        self.projector = nn.Identity() if projector is None else projector
        if hasattr(loss, "build"):
            loss.build((encoder if projector is None else projector).out_channels)
        self.target = None
        if hasattr(loss, "momentum"):
            self.target = copy.deepcopy(nn.Sequential(self.encoder, self.projector)).requires_grad_(False)

    def forward(
        self, images: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch out group"]:
        return self.projector(self.encoder(images))

    def training_step(
        self, images: Float[Tensor, "batch channel height width"], generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Two views of each image: {"loss", and "accuracy" for a loss that has to find the partner}."""
        views, turn_back = self._two_views(images, generator)
        features = [gather(turn_back(z, i)) for i, z in enumerate(self(views).chunk(2))]
        if self.target is not None:
            with torch.no_grad():
                self._follow()
                features += [gather(turn_back(t, i)) for i, t in enumerate(self.target(views).chunk(2))]
        if hasattr(self.loss, "contrast"):
            measured = self.loss.contrast(*features)._asdict()
        else:
            measured = {"loss": self.loss(*features)}
        if hasattr(self.loss, "enqueue"):
            self.loss.enqueue(*features[2:])
        return measured

    def _two_views(
        self, images: Float[Tensor, "batch channel height width"], generator: torch.Generator | None
    ) -> tuple[Tensor, Callable[[Tensor, int], Tensor]]:
        """Both views as one batch of 2B, and what to do with the features of view 0 or 1 before the loss."""
        if not self.known:
            return torch.cat([self.views(images, generator) for _ in range(2)]), lambda z, view: z
        group = self.encoder.group
        pictures, elements = zip(*(self.views.sample(images, generator) for _ in range(2)), strict=True)
        inverse = tables_on(group, images.device).inverse
        return torch.cat(pictures), lambda z, view: group.transform_features(z, inverse[elements[view]])

    def _follow(self) -> None:
        """The slow copy moves towards the network."""
        network = nn.Sequential(self.encoder, self.projector)
        for slow, fast in zip(self.target.parameters(), network.parameters(), strict=True):
            slow.lerp_(fast, 1 - self.loss.momentum)
