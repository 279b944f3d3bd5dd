"""Pictures turned by any angle: approximate off the quarter turns, and the disc in which they can be compared."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from eqssl_edu.errors import got, need_integer, need_number, need_shape, typed
from eqssl_edu.precision import fine
from eqssl_edu.tables import table

__all__ = ["disc_mask", "rotate"]

Grid = Float[Tensor, "samples height width 2"]


@typed
def rotate(
    images: Float[Tensor, "*batch height width"], degrees: float | Float[Tensor, " samples"]
) -> Float[Tensor, "*batch height width"]:
    """Turn images counter-clockwise: exact at multiples of 90 degrees, else *approximate* (bilinear).

    What enters from outside the picture is 0. Compare turned pictures inside ``disc_mask`` only.

    Arguments:
        images: any leading axes, then height and width.
        degrees: one angle, or one angle per sample of the first axis.

    Example:
        >>> x = torch.eye(3)
        >>> torch.equal(rotate(x, 90.0), torch.rot90(x))
        True
    """
    need_shape("images", images, "...", "H", "W", floating=True)
    height, width = images.shape[-2:]
    # Half precision cannot tell where a pixel is: 8 to 11 bits for the position and the weight together.
    precision = torch.promote_types(images.dtype, torch.float32)
    if isinstance(degrees, Tensor):
        if images.ndim < 3 or degrees.shape != images.shape[:1] or not degrees.isfinite().all():
            raise ValueError(f"degrees must hold one finite angle per sample of the images, {got(degrees)}")
        degrees = (fine(degrees) % 360).to(images.device, precision)
        planes = images.reshape(len(images), math.prod(images.shape[1:-2]), height, width)
        grid = _grid(degrees.deg2rad(), height, width)
    else:
        turns, rest = divmod(degrees, 90)
        if rest == 0 and (turns % 2 == 0 or height == width):
            return torch.rot90(images, int(turns) % 4, dims=(-2, -1))
        planes = images.reshape(1, math.prod(images.shape[:-2]), height, width)
        grid = _grid_of_one(float(degrees), height, width, precision, images.device)
    turned = F.grid_sample(planes.to(precision), grid, mode="bilinear", align_corners=False).to(images.dtype)
    if isinstance(degrees, Tensor):
        exact = degrees % (90 if height == width else 180) == 0
        quarters = (degrees / 90).long() % 4
        for turns in set(quarters[exact].tolist()):
            chosen = exact & (quarters == turns)
            turned[chosen] = torch.rot90(planes[chosen], turns, dims=(-2, -1))
    return turned.reshape(images.shape)


def _grid(angle: Float[Tensor, " samples"], height: int, width: int) -> Grid:
    """Where each pixel of the turned images reads, for angles in radians."""
    cos, sin, zero = angle.cos(), angle.sin(), torch.zeros_like(angle)
    # Output pixel (x, y), y pointing down, reads the input at the point turned back; the two ratios undo the
    # normalisation of both axes to [-1, 1].
    rows = [cos, -sin * height / width, zero, sin * width / height, cos, zero]
    theta = torch.stack(rows, dim=1).reshape(-1, 2, 3)
    if not len(angle):  # affine_grid wants at least one
        return theta.new_zeros(0, height, width, 2)
    return F.affine_grid(theta, [len(angle), 1, height, width], align_corners=False)


@lru_cache(maxsize=16)
@table
def _grid_of_one(degrees: float, height: int, width: int, dtype: torch.dtype, device: torch.device) -> Grid:
    """The same for one angle. An explorer turns several stacks of maps by the angle under the hand."""
    angle = torch.tensor([degrees % 360], dtype=dtype, device=device).deg2rad()
    return _grid(angle, height, width)


@typed
def disc_mask(size: int, margin: float = 0.0) -> Bool[Tensor, "size size"]:
    """True on the centred disc that no rotation moves out of a square picture.

    Arguments:
        size: side of the picture in pixels.
        margin: how many pixels the disc stays away from the border (for what convolutions read from outside);
            at most its radius.
    """
    need_integer("size", size, least=1)
    need_number("margin", margin, least=0, most=(size - 1) / 2)
    return _disc(size, margin).clone()


@lru_cache(maxsize=16)
@table
def _disc(size: int, margin: float) -> Bool[Tensor, "size size"]:
    radius = (size - 1) / 2
    offset = torch.arange(size) - radius
    return offset[:, None] ** 2 + offset[None, :] ** 2 <= (radius - margin) ** 2 + 1e-9
