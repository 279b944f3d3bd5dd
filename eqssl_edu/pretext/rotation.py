"""Rotation prediction: which way was the image turned?"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from eqssl_edu.groups import FiniteGroup, need_exact
from eqssl_edu.gsets import GSet
from eqssl_edu.pretext.draws import random_elements

__all__ = ["RotationTask"]


class RotationTask:
    r"""Which way was the image turned? Input $g x$ with g uniform in G; label g, an element of the regular G-set.

    If the input is turned by a, its label moves with it: $(a g) x$ has the label $a g$. That is what makes the
    label *equivariant*.

    Arguments:
        group: C2, C4, D1, D2 or D4 (their elements act exactly on the pixel grid).

    References:
        Gidaris et al., Unsupervised Representation Learning by Predicting Image Rotations (arXiv 1803.07728).

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> task = RotationTask(cyclic(4))
        >>> inputs, labels = task.sample(torch.rand(8, 1, 16, 16), torch.Generator().manual_seed(0))
        >>> inputs.shape, task.chance
        (torch.Size([8, 1, 16, 16]), 0.25)
    """

    def __init__(self, group: FiniteGroup) -> None:
        need_exact(group)
        self.group = group
        self.labels = GSet.regular(group)

    @property
    def chance(self) -> float:
        """The accuracy of guessing: every label is equally likely."""
        return 1 / self.labels.size

    @property
    def cap(self) -> float:
        """The highest accuracy that any network can reach on images without a symmetry of their own.

        The |G| turned copies of such an image are distinct, so each has one label; nothing stands in the way.
        """
        return 1.0

    def sample(
        self, images: Float[Tensor, "batch channel height width"], generator: torch.Generator | None = None
    ) -> tuple[Float[Tensor, "batch channel height width"], Int64[Tensor, " batch"]]:
        """Turn every image by its own random element; the elements are the labels."""
        labels = random_elements(self.group, images, generator)
        return self.group.transform(images, labels), labels

    def transform(
        self, inputs: Float[Tensor, "batch channel height width"], g: int | Int64[Tensor, " batch"]
    ) -> Float[Tensor, "batch channel height width"]:
        """How the group acts on the inputs of this task: as on any image."""
        return self.group.transform(inputs, g)
