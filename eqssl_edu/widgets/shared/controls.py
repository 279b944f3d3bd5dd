"""The checks of a state's entries."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from eqssl_edu.errors import got

__all__ = ["need_choice", "need_index", "need_square"]


def need_index(key: str, value: Any, low: int, high: int, what: str = "an integer") -> None:
    """Raise unless ``value`` is an integer ``low`` .. ``high``; ``what`` says what it stands for."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{key} must be an integer, {got(value)}")
    if not low <= value <= high:
        raise ValueError(f"{key} must be {what}, {low} .. {high}, {got(value)}")


def need_choice(key: str, value: Any, choices: list[str]) -> None:
    """Raise unless ``value`` is one of the choices."""
    if value not in choices:
        raise ValueError(f"{key} must be one of {', '.join(choices)}, {got(value)}")


def need_square(name: str, images: object, wanted: str) -> Tensor:
    """The images without their graph, on the CPU; raises unless square, finite and of a shape like "(C, H, W)"."""
    if not isinstance(images, Tensor):
        raise TypeError(f"{name} must be a tensor {wanted}, {got(images)}")
    if images.ndim != wanted.count(",") + 1 or not images.is_floating_point() or not images.numel():
        raise ValueError(f"{name} must be a floating point tensor {wanted}, {got(images)}")
    height, width = images.shape[-2:]
    if height != width:
        raise ValueError(f"{name} must be square, got {height} x {width}")
    if not images.isfinite().all():
        raise ValueError(f"{name} must hold finite numbers only, got infinities or NaN")
    return images.detach().cpu()
