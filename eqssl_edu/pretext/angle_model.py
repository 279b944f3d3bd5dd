"""An encoder and a head that answers with an arrow, a density or bins, for labels that move through every angle."""

from __future__ import annotations

from collections.abc import Collection

import torch
from jaxtyping import Float64
from torch import Tensor, nn

from eqssl_edu.circle import AngleHead
from eqssl_edu.circle.labels import Outputs
from eqssl_edu.errors import need_choice, need_encoder, need_integer, need_number, need_shape, typed
from eqssl_edu.layers.group_state import GroupState
from eqssl_edu.ownership import steady
from eqssl_edu.pretext.angle import CircleTask
from eqssl_edu.shapes import Images
from eqssl_edu.twins import copied

__all__ = ["AngleModel"]

CHUNK = 512  # inputs that are evaluated at once


class AngleModel(GroupState):
    """An encoder and a head that answers a task of angles or vectors: inputs (B, C, s, s) -> an output of the head.

    Arguments:
        encoder: images to features (B, C', |G|); any with ``group`` and ``out_channels``. Its group need not be that
            of the angles: C4 on all angles is what notebooks compare with.
        task: ``AngleTask``, ``OffsetTask``, or your own ``CircleTask``.
        head: features to an arrow (B, 2), a density (B, F, 2) or the logits of n bins (B, n), n >= 3. By default
            the universal head of the task's type, ``AngleHead(encoder.group, channels, task.symmetry)``. An
            ``AngleHead`` of another type pays a price, which ``theory.frequency_floor`` knows.

    Example:
        >>> from eqssl_edu.circle import FreeAngleHead
        >>> from eqssl_edu.encoders import GroupCNN
        >>> from eqssl_edu.groups import cyclic
        >>> from eqssl_edu.pretext import AngleTask
        >>> AngleModel(GroupCNN(cyclic(4)), AngleTask("SO2"))(torch.rand(2, 1, 16, 16)).shape
        torch.Size([2, 2])
        >>> plain = AngleModel(GroupCNN(cyclic(1)), AngleTask("SO2"), FreeAngleHead(32, order=1))
    """

    @typed
    def __init__(self, encoder: nn.Module, task: CircleTask, head: nn.Module | None = None) -> None:
        super().__init__()
        channels = need_encoder(encoder)
        if isinstance(
            getattr(head, "frequencies", None), tuple
        ):  # one of ours, and its group says how it turns
            need_choice("head.group", head.group, [encoder.group])
            if len(head.frequencies) > 1:
                need_choice("head.symmetry", head.frequencies[0], [task.symmetry])
        self.encoder, self.task = encoder, task
        self.head = AngleHead(encoder.group, channels, task.symmetry) if head is None else head

    def belongs_to(self) -> str:
        return f"{type(self.task).__name__} of type {self.task.symmetry}"

    def forward(self, inputs: Images) -> Outputs:
        outputs = self.head(self.encoder(inputs))
        need_choice("len(outputs of the head)", len(outputs), [len(inputs)])
        return outputs

    @typed
    def training_step(self, images: Images, generator: torch.Generator | None = None) -> dict[str, Tensor]:
        """Draw inputs and labels from these images: {"loss", "error"}, both means.

        The loss of an ``AngleTask`` is in nats against uniform, its error in degrees.
        """
        need_integer("len(images)", len(images), least=1)
        inputs, labels = self.task.sample(images, generator)
        outputs = self(inputs)
        return {
            "loss": self.task.loss(outputs, labels).mean(),
            "error": self.task.error(outputs.detach(), labels).mean(),
        }

    @typed
    def evaluate(
        self, images: Images, degrees: Collection[float] = (0.0,), seed: int = 0
    ) -> Float64[Tensor, " angle"]:
        """The mean error over the images, turned by each of these angles: the curve that draws the group.

        In eval mode and in float64. A network over C_n has a curve that repeats after 360/n degrees, one over SO(2)
        a flat one, whatever it was trained on; a plain network has learned what it saw.

        Arguments:
            images: upright ones.
            degrees: by which angles they are turned, counter-clockwise.
            seed: of what a task draws besides the angle.
        """
        need_integer("len(images)", len(images), least=1)
        need_shape("images", images, "B", "C", "H", "W", finite=True)
        angles = [float(need_number("degrees", angle)) for angle in degrees]
        need_integer("len(degrees)", len(angles), least=1)
        with steady(self):
            judge = copied(self).double()
        images = images.to(next(judge.parameters()))
        labels, draws = self.task.upright(images, torch.Generator().manual_seed(seed))
        errors = []
        with torch.no_grad():
            for angle in angles:
                inputs, wanted = self.task.turned(images, labels, draws, angle)
                chunks = zip(inputs.split(CHUNK), wanted.split(CHUNK), strict=True)
                far = [self.task.error(judge(chunk), truth) for chunk, truth in chunks]
                errors.append(need_number("error of the model", float(torch.cat(far).mean())))
        return torch.tensor(errors, dtype=torch.float64)
