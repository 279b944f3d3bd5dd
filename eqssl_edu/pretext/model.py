"""An encoder and a head that answers a pretext task."""

from __future__ import annotations

import copy

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.errors import got
from eqssl_edu.layers import GSetHead, InvariantHead
from eqssl_edu.pretext.rotation import RotationTask

__all__ = ["PretextModel"]


class PretextModel(nn.Module):
    """An encoder and a head that answers a pretext task: inputs -> logits (B, |L|).

    Arguments:
        encoder: images (B, C, H, W) to regular features (B, C', |G|).
        task: the pretext task; its labels are a G-set of the encoder's group.
        head: features to logits; the universal equivariant head ``GSetHead`` by default.

    Example:
        >>> from eqssl_edu.encoders import GroupCNN
        >>> from eqssl_edu.groups import cyclic
        >>> model = PretextModel(GroupCNN(cyclic(4)), RotationTask(cyclic(4)))
        >>> model(torch.rand(2, 1, 16, 16)).shape
        torch.Size([2, 4])
    """

    def __init__(self, encoder: nn.Module, task: RotationTask, head: nn.Module | None = None) -> None:
        super().__init__()
        if head is None and encoder.group != task.labels.group:
            raise ValueError(
                f"task must be a task of the encoder's group {encoder.group.name} for an equivariant head, "
                f"got one of {task.labels.group.name}; give a head of your own otherwise"
            )
        self.encoder = encoder
        self.task = task
        self.head = GSetHead(task.labels, encoder.out_channels) if head is None else head

    @property
    def chance(self) -> float:
        """The accuracy of guessing."""
        return self.task.chance

    @property
    def cap(self) -> float:
        """The highest accuracy that this model can reach.

        An invariant head gives the |orbit| copies of an input one and the same answer, and only one copy has
        that label (THEORY T1). Every other head is limited by the task alone.
        """
        if isinstance(self.head, InvariantHead):
            # Each label l is equally likely, and the answer is right for one member of its orbit.
            orbits = self.task.labels.orbits
            return self.task.cap * len(orbits) / self.task.labels.size
        return self.task.cap

    def forward(self, inputs: Float[Tensor, "batch channel height width"]) -> Float[Tensor, "batch label"]:
        return self.head(self.encoder(inputs))

    def training_step(
        self, images: Float[Tensor, "batch channel height width"], generator: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Draw the task's inputs and labels from these images: {"loss" in nats, "accuracy"}."""
        inputs, labels = self.task.sample(images, generator)
        logits = self(inputs)
        accuracy = (logits.detach().argmax(dim=1) == labels).float().mean()
        return {"loss": F.cross_entropy(logits, labels), "accuracy": accuracy}

    def evaluate(self, images: Float[Tensor, "batch channel height width"]) -> tuple[float, float]:
        """Loss in nats and accuracy over *all* |G| turned copies of each image, in eval mode and in float64.

        In float64 because an accuracy is to be exact: rounding must not decide between two equal logits.
        """
        if not len(images):
            raise ValueError(f"images must hold at least one image, {got(images)}")
        judge = copy.deepcopy(self).eval().double()
        images = images.to(next(judge.parameters()))
        group = self.task.labels.group
        with torch.no_grad():
            logits = torch.cat([judge(group.transform(images, g)) for g in group.elements])
        labels = torch.arange(group.order, device=logits.device).repeat_interleave(len(images))
        return float(F.cross_entropy(logits, labels)), float((logits.argmax(dim=1) == labels).double().mean())
