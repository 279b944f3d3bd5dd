r"""Losses for angles, in nats *against uniform*: an output that knows nothing has 0, whatever its kind.

A loss of -3 nats says that the right angle got $e^3$ times the density
of the uniform one. So a classifier of n bins (its cross entropy less log n) stands on the same scale as an arrow.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.circle.labels import Angles, Arrows, Outputs, density_on_grid, kind_of, radians
from eqssl_edu.errors import got, need_integer, need_shape, typed
from eqssl_edu.precision import fine, precise

__all__ = ["angle_loss", "bin_loss", "density_loss", "von_mises_loss"]

FEWEST, MOST = 64, 2**14  # points of the mean over the circle


@typed
def von_mises_loss(arrows: Arrows, degrees: Angles, symmetry: int = 1) -> Angles:
    r"""$\log I_0(|o|) - \mathrm{Re}(\bar o\, u_k(\alpha))$ nats of each sample, with $\log I_0(r) = \log i0e(r) + r$.

    The negative log density of a von Mises law around the arrow's direction; its length is the confidence. The loss
    is smooth at o = 0, where the arrow of a symmetric image ends up; the cosine between arrow and label has an
    unbounded gradient there. It is ``density_loss`` with one frequency.

    Arguments:
        arrows: o, of any length.
        degrees: the right angles.
        symmetry: k.

    References:
        Prokudin, Gehler and Nowozin, Deep Directional Statistics (arXiv 1805.03430): the von Mises likelihood.

    Example:
        >>> von_mises_loss(torch.tensor([[5.0, 0.0]]), torch.tensor([0.0])).round(decimals=3)
        tensor([-1.6950])
    """
    need_shape("arrows", arrows, len(degrees), 2)
    o, angle = precise(arrows), radians(degrees, symmetry)
    length = torch.linalg.vector_norm(o, dim=1)  # its gradient at 0 is 0
    agreement = o[:, 0] * angle.cos() + o[:, 1] * angle.sin()
    return torch.special.i0e(length).log() + (length - agreement)


@typed
def density_loss(
    arrows: Float[Tensor, "batch frequency 2"], degrees: Angles, symmetry: int = 1
) -> Float[Tensor, " batch"]:
    r"""$\log \mathrm{mean}_\beta\, e^{s(\beta)} - s(k \alpha)$ nats of each sample, $s(\beta) = \sum_{m=1}^F
    \mathrm{Re}(\bar o_m e^{i m \beta})$.

    The label is a whole density on the circle: several peaks if several answers are right. A constant in s would
    cancel. The mean over the circle is taken at 64 points or more: at as many as the sharpest peak of the batch needs.
    (With a fixed number a network learns to hide its peak between two points, and the loss falls for nothing.)

    Arguments:
        arrows: $o_1 .. o_F$, of types 1 .. F in the angle $\beta = k \alpha$.
        degrees: the right angles.
        symmetry: k.

    Raises:
        ValueError: where a peak is narrower than the widest grid, 16,384 points, can show.

    Example:
        >>> arrows = torch.tensor([[[5.0, 0.0]]])
        >>> density_loss(arrows, torch.zeros(1)).item() - von_mises_loss(arrows[:, 0], torch.zeros(1)).item() < 1e-6
        True
    """
    need_shape("arrows", arrows, len(degrees), "F", 2)
    o, angle = precise(arrows), radians(degrees, symmetry)
    m = torch.arange(1, o.shape[1] + 1, device=o.device)
    if not len(o):
        return o.sum(dim=(1, 2))
    # A peak is at least 1 / sqrt(sum m^2 |o_m|) wide; 8 points in 2 pi times that leave an error of 1e-13.
    bend = float((fine(o.detach()).norm(dim=2) * m**2).sum(dim=1).max())
    if bend > (MOST / 8) ** 2:
        raise ValueError(f"arrows must be shorter, for peaks that {MOST} points can show, {got(arrows)}")
    points = FEWEST if bend != bend else max(FEWEST, math.ceil(8 * bend**0.5))
    phases = angle[:, None] * m
    agreement = (o[..., 0] * phases.cos() + o[..., 1] * phases.sin()).sum(dim=1)
    return density_on_grid(o, points).logsumexp(dim=1) - math.log(points) - agreement


@typed
def bin_loss(
    logits: Float[Tensor, "batch bin"], degrees: Angles, symmetry: int = 1
) -> Float[Tensor, " batch"]:
    """The cross entropy of a classifier of n bins less log n: nats of each sample, against uniform.

    Bin j is centred at j 360 / (k n) degrees. It can never be below -log n.

    Arguments:
        logits: of the n bins.
        degrees: the right angles.
        symmetry: k.
    """
    need_shape("logits", logits, len(degrees), "n", floating=True)
    need_shape("degrees", degrees, len(logits), floating=True, finite=True)
    count = logits.shape[1]
    bins = (fine(degrees) * need_integer("symmetry", symmetry, least=1) * count / 360).round().long() % count
    return F.cross_entropy(precise(logits), bins, reduction="none") - math.log(count)


@typed
def angle_loss(outputs: Outputs, degrees: Angles, symmetry: int = 1) -> Float[Tensor, " batch"]:
    """The loss that fits an output: an arrow (B, 2), a density (B, F, 2), or the logits of bins (B, n), n >= 3.

    Arguments:
        outputs: what a head gave.
        degrees: the right angles.
        symmetry: k.
    """
    losses = {"arrow": von_mises_loss, "density": density_loss, "bins": bin_loss}
    return losses[kind_of(outputs)](outputs, degrees, symmetry)
