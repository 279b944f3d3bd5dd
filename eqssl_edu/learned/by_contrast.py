"""Equivariance by contrast: the linear map of a turn is fitted to one half of the batch and tried on the other."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.errors import need_number, typed
from eqssl_edu.groups import FiniteGroup, tables_on
from eqssl_edu.learned.term import Orbit, Term

__all__ = ["EquivarianceByContrast"]

RIDGE = 1e-3  # of the mean square: a batch may have fewer pairs than directions


class EquivarianceByContrast(Term):
    r"""For each g a matrix $R_g$ is fitted by least squares to the pairs of one half of the batch; on the other half
    $R_g f(hx)$ should be nearer to f(ghx) than to the features of other images and turns:

    $$ -\log \frac{\exp(-\lVert R_g f(hx) - f(ghx) \rVert^2 / t)}
                    {\sum_{x', k} \exp(-\lVert R_g f(hx) - f(kx') \rVert^2 / t)} . $$

    What is asked for is what ``learned_action`` measures, and the other half keeps it from being known by heart.
    Features that do not move, with $R_g = 1$, find the image but not the turn: they pay log |G|.

    This is a reduction of EbC, which has this loss on tuples of pairs that share an unknown g, and proves that under
    its assumptions it finds the group's representation. Ours: g is known, all turns of each image are there, the
    features have length 1 and a temperature, and the least squares a small ridge.

    Arguments:
        group: G.
        temperature: t.

    References:
        Schmidt, Schneider and Bethge, Equivariance by Contrast (arXiv 2510.21706), compared with the authors' code.
    """

    least = 2

    @typed
    def __init__(self, group: FiniteGroup, temperature: float = 0.2) -> None:
        super().__init__(group)
        self.temperature = need_number("temperature", temperature, above=0)

    def loss(self, orbit: Orbit) -> Float[Tensor, ""]:
        known, asked = orbit.tensor_split(2)
        pairs = known.flatten(0, 1)
        gram = pairs.T @ pairs
        ridge = RIDGE * gram.diagonal().mean() + torch.finfo(gram.dtype).tiny
        gram = gram + ridge * torch.eye(len(gram)).to(gram)
        losses = []
        for row in tables_on(self.group, orbit.device).product:
            transposed = torch.linalg.solve(gram, pairs.T @ known[:, row].flatten(0, 1))  # of R_g
            predicted, targets = asked.flatten(0, 1) @ transposed, asked[:, row].flatten(0, 1)
            logits = -torch.cdist(predicted, targets).square() / self.temperature
            losses.append(F.cross_entropy(logits, torch.arange(len(logits), device=logits.device)))
        return torch.stack(losses).mean()
