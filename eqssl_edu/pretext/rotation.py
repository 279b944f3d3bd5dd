"""Rotation prediction: which way was the image turned?"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from eqssl_edu.errors import need_integers, typed
from eqssl_edu.groups import FiniteGroup, random_integers
from eqssl_edu.gsets import GSet
from eqssl_edu.pretext.task import Cases, Images, Labels, Task
from eqssl_edu.tables import table, there

__all__ = ["RotationTask"]


class RotationTask(Task):
    r"""Which way was the image turned? Input $t x$ with t uniform in G; label t, or its coset $t H$.

    If the input is turned by g, its label moves with it: $(g t) x$ has the label $g t H$. That is what makes the
    label *equivariant*.

    The label set is the group itself, one regular orbit. If the images look the same on average after a turn by
    an element of a subgroup H, then t can be known only up to $t H$: the right label set is the set of cosets
    G/H (docs/theory.md, the right label set). With mirror images in the data that is ``stabilizer=(0, n)`` for D_n.

    Arguments:
        group: C2, C4, D1, D2 or D4 (their elements act exactly on the pixel grid).
        stabilizer: the subgroup H, its elements; the trivial one by default.

    References:
        Gidaris et al., Unsupervised Representation Learning by Predicting Image Rotations (arXiv 1803.07728).

    Example:
        >>> from eqssl_edu.groups import cyclic, dihedral
        >>> task = RotationTask(cyclic(4))
        >>> inputs, labels = task.sample(torch.rand(8, 1, 16, 16), torch.Generator().manual_seed(0))
        >>> inputs.shape, task.chance
        (torch.Size([8, 1, 16, 16]), 0.25)
        >>> RotationTask(dihedral(4), stabilizer=(0, 4)).labels
        GSet(D4, size=4, orbits of sizes [4])
    """

    @table
    @typed
    def __init__(self, group: FiniteGroup, stabilizer: Iterable[int] = (0,)) -> None:
        self.stabilizer = group.subgroup(stabilizer, "stabilizer")
        labels = GSet.regular(group) if self.stabilizer == (0,) else GSet.quotient(group, self.stabilizer)
        super().__init__(labels, image_turns=False)
        self.cosets = torch.tensor(group.left_cosets(self.stabilizer))  # (labels, elements)
        self._place = self.cosets.flatten().argsort()  # where in the cosets an element stands

    def draw(self, images: Images, generator: torch.Generator | None) -> Labels | None:
        """Which member of its coset t is; nothing if each coset has one."""
        return None if self.stabilizer == (0,) else random_integers(len(self.stabilizer), images, generator)

    def transform_draws(self, draws: Tensor | None, g: int, labels: Labels) -> Labels | None:
        """The place of g t in its coset."""
        if draws is None:
            return None
        moved = self.group.product[g, self.cosets[labels.cpu(), draws.cpu()]]
        return (self._place[moved] % len(self.stabilizer)).to(draws.device)

    @typed
    def apply(self, images: Images, labels: Labels, draws: Labels | None = None) -> Images:
        """t x for each image, with t a member of its label; the first one if nothing is drawn."""
        need_integers("labels", labels, below=self.labels.size)
        first = torch.zeros_like(labels) if draws is None else draws
        need_integers("draws", first, below=len(self.stabilizer))
        return self.group.transform(images, there(self.cosets, labels.device)[labels, first])

    def every_input(self, images: Images) -> Cases:
        """All |G| turned copies of each image and their labels."""
        inputs = torch.stack([self.group.transform(images, g) for g in self.group.elements])
        return inputs, (self._place // len(self.stabilizer)).to(images.device)
