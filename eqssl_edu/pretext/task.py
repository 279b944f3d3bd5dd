"""A pretext task: what is done to an image, the label of what was done, and how the label moves."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from eqssl_edu.errors import need_choice, need_exact, need_instance, need_integers, need_shape, typed
from eqssl_edu.groups import random_integers
from eqssl_edu.gsets import GSet
from eqssl_edu.shapes import Images

__all__ = ["Cases", "Images", "Inputs", "Labels", "Task"]

# Images are (B, C, H, W). Inputs are images as well, or several pictures for each image: (B, parts, C, h, w).
Inputs = Float[Tensor, "batch *input"]
Labels = Int64[Tensor, " batch"]
Cases = tuple[
    Float[Tensor, "case batch *input"], Int64[Tensor, " case"]
]  # all inputs of each image, and their labels


class Task:
    r"""A pretext task of your own: an image is changed in one of several ways; which one was it?

    The ways are the elements l of a G-set, drawn uniformly. Its action has to say the truth about the inputs
    $a(x, l)$: turning an input gives the input of the turned image with the moved label,

    $$ g \cdot a(x, l) = a(g x, g \cdot l). $$

    ``verify(task, images)`` checks that. For a label that *is* a pose, such as the rotation itself, the image
    stays: $g \cdot a(x, l) = a(x, g \cdot l)$.

    Arguments:
        labels: the G-set of labels, of C1, C2, C4, D1, D2 or D4.
        apply: (images (B, C, H, W), labels (B,)) -> inputs, images (B, C, h, w) or parts (B, P, C, h, w).
        transform: (inputs, g) -> how g acts on the inputs; it turns every picture by default.
        image_turns: False if the label is a pose: the second identity.
        positions: the G-set of the P parts of an input (``GSet.trivial(group, P)`` if they keep their places);
            one part by default.

    Example: is it shifted up, left, down or right?
        >>> from eqssl_edu.groups import cyclic
        >>> shifts = torch.tensor([[-2, 0], [0, -2], [2, 0], [0, 2]])  # each is the quarter turn of the one before
        >>> def shift(images, labels):
        ...     moved = [x.roll(shifts[l].tolist(), dims=(-2, -1)) for x, l in zip(images, labels)]
        ...     return torch.stack(moved)
        >>> task = Task(GSet.regular(cyclic(4)), shift)
        >>> inputs, labels = task.sample(torch.rand(8, 1, 9, 9), torch.Generator().manual_seed(0))
        >>> inputs.shape, task.chance
        (torch.Size([8, 1, 9, 9]), 0.25)
    """

    assumption = ""  # a sentence: what the data must be like if the action is not true of every image

    @typed
    def __init__(
        self,
        labels: GSet,
        apply: Callable[[Tensor, Tensor], Tensor] | None = None,
        transform: Callable[[Tensor, int], Tensor] | None = None,
        image_turns: bool = True,
        positions: GSet | None = None,
    ) -> None:
        need_exact(labels.group, "labels.group" if type(self) is Task else "group")
        if type(self).apply is Task.apply:
            need_instance("apply", apply, Callable)
        self.group, self.labels, self.image_turns = labels.group, labels, image_turns
        self.positions = GSet.trivial(labels.group, 1) if positions is None else positions
        need_choice("positions.group", self.positions.group, [labels.group])
        self._apply, self._transform = apply, transform

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.labels!r})"

    @property
    def chance(self) -> float:
        """The accuracy of guessing: every label is equally likely."""
        return 1 / self.labels.size

    @property
    def cap(self) -> float:
        """The highest accuracy on images that have no symmetry of their own and tell all labels apart.

        ``image_caps(task, images)`` has the cap of each image.
        """
        return 1.0

    @typed
    def apply(self, images: Images, labels: Labels, draws: Tensor | None = None) -> Inputs:
        """The input of each image and label.

        Arguments:
            draws: what else the task draws (jitter, ...), from ``draw``; none by default.
        """
        need_integers("labels", labels, below=self.labels.size)
        return self._apply(images, labels)

    def draw(self, images: Images, generator: torch.Generator | None) -> Tensor | None:
        """What the task draws besides the label; nothing by default."""
        return None

    def transform_draws(self, draws: Tensor | None, g: int, labels: Labels) -> Tensor | None:
        """How g acts on the draws (jitter turns as vectors do), so that the identity is exact with them too."""
        return draws

    @typed
    def sample(self, images: Images, generator: torch.Generator | None = None) -> tuple[Inputs, Labels]:
        """Draw a label for every image, on its device: (inputs, labels)."""
        labels = random_integers(self.labels.size, images, generator)
        return self.apply(images, labels, self.draw(images, generator)), labels

    @typed
    def transform(self, inputs: Inputs, g: int | Labels) -> Inputs:
        """How the group acts on the inputs of this task; g is one element, or one per sample."""
        return self.group.transform(inputs, g) if self._transform is None else self._transform(inputs, g)

    def parts(self, inputs: Inputs) -> Float[Tensor, "batch part channel part_height part_width"]:
        """The pictures that the encoder sees, one after the other: part p belongs to ``positions`` p."""
        parts = inputs[:, None] if getattr(inputs, "ndim", 0) == 4 else inputs
        need_shape("inputs", parts, "B", self.positions.size, "C", "h", "w", floating=True)
        return parts

    def every_input(self, images: Images) -> Cases:
        """All inputs of each image, without jitter, and their labels; all cases are equally likely."""
        labels = torch.arange(self.labels.size, device=images.device)
        inputs = [self.apply(images, label.expand(len(images))) for label in labels]
        return torch.stack(inputs), labels
