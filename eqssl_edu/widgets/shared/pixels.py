"""Tensors as pictures for the front end: small, a byte for each pixel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.shapes import Image

__all__ = ["extremes", "shrink", "to_bytes", "to_screen"]


def to_screen(image: Image, side: int) -> Float[Tensor, "shown small small"]:
    """Three channels as colours, any others as their mean, a grey; at most ``side`` x ``side`` pixels."""
    return shrink(image if len(image) == 3 else image.mean(0, keepdim=True), side)


def shrink(planes: Float[Tensor, "plane height width"], side: int) -> Float[Tensor, "plane small small"]:
    """Square pictures of at most ``side`` x ``side`` pixels, by averages; small ones stay as they are."""
    return planes if planes.shape[-1] <= side else F.adaptive_avg_pool2d(planes, side)


def extremes(planes: Float[Tensor, "*axes"]) -> tuple[float, float]:
    """The lowest and the highest value."""
    low, high = planes.aminmax()
    return float(low), float(high)


def to_bytes(planes: Float[Tensor, "*axes"], low: float | Tensor, high: float | Tensor) -> bytes:
    """Numbers as bytes, ``low`` .. ``high`` as 0 .. 255; what lies outside is clipped.

    Tensors give a scale to each plane; then no ``high`` equals its ``low``.
    """
    span = high - low
    scaled = (planes - low) * (255 / (span if isinstance(span, Tensor) else span or 1.0))
    return scaled.round().clamp(0, 255).to(torch.uint8).cpu().numpy().tobytes()
