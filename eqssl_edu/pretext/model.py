"""An encoder and a head that answers a pretext task."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from eqssl_edu.errors import need_choice, need_encoder, need_integer, need_number, need_shape, typed
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import GroupLinear, GSetHead, InvariantHead
from eqssl_edu.layers.group_state import GroupState, labels_in_words
from eqssl_edu.ownership import steady
from eqssl_edu.pretext.parts import lift_parts
from eqssl_edu.pretext.task import Images, Inputs, Task
from eqssl_edu.twins import copied

__all__ = ["PretextModel"]

CHUNK = 512  # inputs that are evaluated at once


class PretextModel(GroupState):
    """An encoder and a head that answers a pretext task: inputs -> logits (B, |L|).

    The encoder sees every part of an input by itself (a patch, a tile, or the whole image). The features of the
    parts are lifted to one regular field (``lift_parts``). If there are several parts, a hidden layer (a group linear
    map, batch norm, ReLU) lets them meet. Then comes the head.

    Arguments:
        encoder: images (B, C, H, W) to regular features (B, C', |G|); any with ``group`` and ``out_channels``.
        task: the pretext task; its labels are a G-set of the encoder's group.
        head: features (B, hidden, |G|) to logits; the universal equivariant head ``GSetHead`` by default. For
            comparison ``InvariantHead`` or ``FreeHead``. With a head of your own the encoder may have another group
            (a plain CNN has C1).
        hidden: channels of the hidden layer, 0 for none; by default as many as the encoder's if there are several
            parts, and none for whole images. (So a head always has ``encoder.out_channels`` by default.)

    Example:
        >>> from eqssl_edu.encoders import GroupCNN
        >>> from eqssl_edu.groups import cyclic
        >>> from eqssl_edu.pretext import JigsawTask
        >>> model = PretextModel(GroupCNN(cyclic(4)), JigsawTask(cyclic(4), grid=2))
        >>> model(torch.rand(2, 1, 16, 16)).shape
        torch.Size([2, 24])
    """

    @typed
    def __init__(
        self, encoder: nn.Module, task: Task, head: nn.Module | None = None, hidden: int | None = None
    ) -> None:
        super().__init__()
        channels, parts = need_encoder(encoder), task.positions.size
        if head is None:
            need_choice("task.group", task.group, [encoder.group])
        if hidden is None:
            hidden = channels if parts > 1 else 0
        need_integer("hidden", hidden, 0, 2**16)
        width = parts * channels
        self.encoder, self.task = encoder, task
        self.mlp = nn.Sequential()
        if hidden:
            # The norm takes its statistics per channel over the batch and the group axis: exact in training too.
            linear = GroupLinear(encoder.group, width, hidden, bias=False)
            self.mlp.extend([linear, nn.BatchNorm1d(hidden), nn.ReLU()])
        self.head = GSetHead(task.labels, hidden or width) if head is None else head
        # The parts of a network of another group, such as a plain CNN, are concatenated.
        same = encoder.group == task.group
        self._positions = task.positions if same else GSet.trivial(encoder.group, parts)

    def belongs_to(self) -> str:
        return labels_in_words(self.task.labels)

    @property
    def chance(self) -> float:
        """The accuracy of guessing."""
        return self.task.chance

    @property
    def cap(self) -> float:
        """The highest accuracy that this model can reach.

        An invariant head gives the |orbit| copies of an input one and the same answer, and only one copy has
        that label (docs/theory.md, the cap of an invariant output). That binds where the task itself draws all
        copies, as rotation does. Every other head is limited by the task alone.
        """
        if isinstance(self.head, InvariantHead) and not self.task.image_turns:
            # Each label l is equally likely, and the answer is right for one member of its orbit.
            orbits = self.task.labels.orbits
            return self.task.cap * len(orbits) / self.task.labels.size
        return self.task.cap

    def forward(self, inputs: Inputs) -> Float[Tensor, "batch label"]:
        return self.head(self.features(inputs))

    def features(self, inputs: Inputs) -> Float[Tensor, "batch wide group"]:
        """The regular features that the head sees."""
        parts = self.task.parts(inputs)
        features = self.encoder(parts.flatten(0, 1)).unflatten(0, parts.shape[:2])
        return self.mlp(lift_parts(features, self._positions))

    @typed
    def training_step(self, images: Images, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Draw the task's inputs and labels from these images: {"loss" in nats, "accuracy"}."""
        need_integer("len(images)", len(images), least=1)
        inputs, labels = self.task.sample(images, generator)
        logits = self(inputs)
        accuracy = _right(logits.detach(), labels).float().mean()
        return {"loss": F.cross_entropy(logits, labels), "accuracy": accuracy}

    @typed
    def evaluate(self, images: Images, seed: int | None = 0, turned: bool = True) -> tuple[float, float]:
        """Loss in nats and accuracy, in eval mode and in float64.

        In float64 because an accuracy is to be exact: rounding must not decide between two equal logits.

        Arguments:
            seed: of the label and the jitter that are drawn for each image. None takes every label of every image,
                without jitter: the exact mean over the task. (For rotation all turned copies are taken anyway.)
            turned: over *all* |G| turned copies of each input, their labels moved along. False takes the inputs as
                they are drawn: upright if the images are. (An equivariant model gives the same numbers.)
        """
        need_integer("len(images)", len(images), least=1)
        need_shape("images", images, "B", "C", "H", "W", finite=True)
        with steady(self):
            judge = copied(self).double()
        images = images.to(next(judge.parameters()))
        if seed is None:
            inputs, cases = self.task.every_input(images)
            inputs, labels = inputs.flatten(0, 1), cases.repeat_interleave(len(images))
        else:
            inputs, labels = self.task.sample(images, torch.Generator().manual_seed(seed))
        loss = right = 0.0
        elements = self.task.group.elements if turned else [0]
        with torch.no_grad():
            for g in elements:
                for chunk, truth in zip(inputs.split(CHUNK), labels.split(CHUNK), strict=True):
                    logits, wanted = judge(self.task.transform(chunk, g)), self.task.labels.act(g, truth)
                    loss += float(F.cross_entropy(logits, wanted, reduction="sum"))
                    right += int(_right(logits, wanted).sum())
        total = len(inputs) * len(elements)
        return need_number("loss of the model", loss / total), right / total


def _right(logits: Tensor, labels: Tensor) -> Bool[Tensor, " batch"]:
    """Which answers are right; NaN is none (the argmax would be its place)."""
    return (logits.argmax(dim=1) == labels) & ~logits.isnan().any(dim=1)
