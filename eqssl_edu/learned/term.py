"""What a loss of equivariance is to a ``LearnedModel``: derive your own from ``Term``."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.errors import need_exact, need_integer, need_shape, typed
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.precision import precise

__all__ = ["Orbit", "Term"]

Orbit = Float[Tensor, "batch group dimension"]
"""Features of all turns of each image: ``orbit[:, k]`` is f(kx)."""


class Term(nn.Module):
    """A loss on the features of all |G| turns of each image. Yours has ``loss(orbit)``; the rest does nothing.

    Arguments:
        group: C1, C2, C4, D1, D2 or D4, which turns the images.

    Example: no feature should move.
        >>> from eqssl_edu.groups import cyclic
        >>> class Invariance(Term):
        ...     def loss(self, orbit):
        ...         return (orbit - orbit.mean(dim=1, keepdim=True)).square().mean()
        >>> Invariance(cyclic(4))(torch.ones(8, 4, 3))
        tensor(0.)
    """

    least = 1
    """Images that it needs at a time."""

    @typed
    def __init__(self, group: FiniteGroup) -> None:
        super().__init__()
        need_exact(group)
        self.group, self.dimension = group, None

    def build(self, dimension: int) -> None:
        """Make what depends on the width D of the features (a predictor, a head)."""
        self.dimension = need_integer("dimension", dimension, least=1)

    def forward(self, orbit: Orbit) -> Float[Tensor, ""]:
        if self.dimension is None and type(self).build is not Term.build:
            raise RuntimeError("build(dimension) makes this term's weights; a LearnedModel calls it")
        need_shape("orbit", orbit, "B", self.group.order, self.dimension or "D", floating=True)
        need_integer("len(orbit)", len(orbit), least=self.least)
        orbit = precise(orbit)
        with torch.autocast(orbit.device.type, enabled=False):
            return self.loss(orbit.to(next(self.parameters(), orbit).dtype))

    def loss(self, orbit: Orbit) -> Float[Tensor, ""]:
        """The scalar."""
        raise NotImplementedError
