r"""An angle as a label is a point of a circle: written as an arrow of type k, $u_k(\alpha) = e^{i k \alpha}$.

An arrow is the pair (cos, sin). Drawn on a picture, its first number points up and its second one left: the arrow of
an upright picture points up, and turns with the picture. What looks the same after 360/k degrees has an angle modulo
360/k; as a number it would jump there, as an arrow of type k it does not.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.errors import got, need_integer, need_shape, typed
from eqssl_edu.precision import fine, precise

__all__ = ["angle_error", "angles_of", "arrows_of", "turn_arrows"]

Angles = Float[Tensor, " batch"]  # degrees, counter-clockwise
Arrows = Float[Tensor, "batch 2"]
Outputs = Float[Tensor, "batch *output"]  # arrows (B, 2), densities (B, F, 2), logits of bins (B, n)
GRID = 720  # points on which the peak of a density is looked for
TIE = 1e-6  # relative: peaks that differ by less are equally high


@typed
def arrows_of(degrees: Angles, symmetry: int = 1) -> Arrows:
    r"""$u_k(\alpha) = (\cos k \alpha, \sin k \alpha)$.

    Arguments:
        degrees: angles.
        symmetry: k, at least 1.

    Example:
        >>> arrows_of(torch.tensor([0.0, 90.0]), symmetry=2).round() + 0
        tensor([[ 1.,  0.],
                [-1.,  0.]])
    """
    angle = radians(degrees, symmetry)
    return torch.stack([angle.cos(), angle.sin()], dim=1)


@typed
def turn_arrows(arrows: Float[Tensor, "*batch 2"], degrees: float | Angles, frequency: int = 1) -> Tensor:
    r"""How a turn by $\theta$ acts on arrows of type k: $o \mapsto e^{i k \theta} o$. Exact at quarter turns for k = 1.

    Arguments:
        arrows: of any length.
        degrees: one angle, or one per sample of the first axis.
        frequency: k, any integer: 0 for what does not move, -1 for the wrong sense.
    """
    need_shape("arrows", arrows, "...", 2)
    angle = fine(torch.as_tensor(degrees, dtype=torch.float64, device=arrows.device)) * frequency % 360
    if angle.ndim and (arrows.ndim < 2 or len(angle) != len(arrows)):
        raise ValueError(f"degrees must hold one angle per sample of arrows, {got(degrees)}")
    cos, sin = (part.reshape(-1, *[1] * (arrows.ndim - 2)) if angle.ndim else part for part in _circle(angle))
    x, y = fine(arrows).unbind(-1)
    return torch.stack([cos * x - sin * y, sin * x + cos * y], dim=-1).to(arrows.dtype)


@typed
def angles_of(outputs: Outputs, symmetry: int = 1) -> Angles:
    """The angle that an output says, in degrees, 0 <= angle < 360/k. NaN if it says none.

    The shape tells what the output is: an arrow (B, 2) says its direction; a density (B, F, 2), given by its arrows
    of the types 1 .. F, its highest peak; the logits of n bins, (B, n) with n >= 3, the middle of the most likely bin.
    An arrow of length 0, two peaks of one height, two most likely bins say nothing: a symmetric image looks so.

    Arguments:
        outputs: arrows, densities or logits.
        symmetry: k.

    Example:
        >>> angles_of(torch.tensor([[0.0, 3.0], [0.0, 0.0]]))
        tensor([90., nan])
    """
    kind, period = kind_of(outputs), 360 / need_integer("symmetry", symmetry, least=1)
    dtype, outputs = precise(outputs).dtype, fine(outputs.detach())
    if kind == "bins":
        top = outputs.amax(dim=1, keepdim=True)
        angle, alone = outputs.argmax(dim=1) * period / outputs.shape[1], (outputs == top).sum(dim=1) == 1
    elif kind == "arrow":
        angle = torch.atan2(outputs[:, 1], outputs[:, 0]).rad2deg() / symmetry
        alone = outputs.isfinite().all(dim=1) & outputs.any(dim=1)
    else:
        s, step = density_on_grid(outputs, GRID), period / GRID
        before, after = s.roll(1, 1), s.roll(-1, 1)
        low, high = s.aminmax(dim=1, keepdim=True)
        alone = ((s > before) & (s >= after) & (s >= high - TIE * (high - low))).sum(dim=1) == 1
        left, middle, right = (x.gather(1, s.argmax(dim=1, keepdim=True))[:, 0] for x in (before, s, after))
        bend = (2 * middle - left - right).clamp_min(torch.finfo(s.dtype).tiny)
        angle = step * (s.argmax(dim=1) + (right - left) / (2 * bend))  # the top of the parabola
    return (angle.to(dtype) % period).where(alone, torch.nan)


@typed
def angle_error(answers: Angles, degrees: Angles, symmetry: int = 1) -> Angles:
    """How far two angles are apart on the circle of 360/k degrees: at most 180/k. No answer (NaN) counts as a guess.

    A guess is wrong by 90/k degrees on average. So an output that says nothing does not look better, or worse, than
    one that says anything.

    Arguments:
        answers: what was said, in degrees.
        degrees: what is true.
        symmetry: k.

    Example:
        >>> angle_error(torch.tensor([350.0, torch.nan]), torch.tensor([10.0, 10.0]))
        tensor([20., 90.])
    """
    need_shape("degrees", degrees, len(answers), floating=True, finite=True)
    period = 360 / need_integer("symmetry", symmetry, least=1)
    away = (answers - degrees) % period
    return torch.minimum(away, period - away).nan_to_num(period / 4)


def kind_of(outputs: Tensor) -> str:
    """What an output is, from its shape: "arrow", "density" or "bins"."""
    need_shape("outputs", outputs, "...", floating=True)
    if outputs.ndim == 3 and outputs.shape[2] == 2 and outputs.shape[1]:
        return "density"
    if outputs.ndim != 2 or outputs.shape[1] < 2:
        wanted = "(B, 2), an arrow, (B, F, 2), a density, or (B, n), the logits of n >= 3 bins"
        raise ValueError(f"outputs must have shape {wanted}, {got(outputs)}")
    return "arrow" if outputs.shape[1] == 2 else "bins"


def radians(degrees: Angles, symmetry: int) -> Angles:
    """k alpha in radians; k times 359.99 degrees has lost nothing in single precision."""
    return (
        (fine(degrees) * need_integer("symmetry", symmetry, least=1) % 360)
        .deg2rad()
        .to(precise(degrees).dtype)
    )


def density_on_grid(arrows: Float[Tensor, "batch frequency 2"], points: int) -> Float[Tensor, "batch points"]:
    r"""$s(\beta) = \sum_m \mathrm{Re}(\bar o_m e^{i m \beta})$ at so many points of the circle."""
    turns = torch.arange(points, device=arrows.device, dtype=torch.float64) / points
    phases = torch.arange(1, arrows.shape[1] + 1, device=arrows.device)[:, None] * turns % 1 * 2 * torch.pi
    return arrows[..., 0] @ phases.cos().to(arrows) + arrows[..., 1] @ phases.sin().to(arrows)


def _circle(degrees: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine of degrees in 0 .. 360, exact at quarter turns."""
    angle, quarters = degrees.deg2rad(), degrees / 90
    exact = quarters == quarters.round()
    return angle.cos().round().where(exact, angle.cos()), angle.sin().round().where(exact, angle.sin())
