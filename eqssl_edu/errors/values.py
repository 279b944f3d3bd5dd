"""Checkers of single values: an instance of a class, a choice, an integer, a number."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from math import inf, isfinite
from numbers import Real
from sys import float_info
from types import NoneType
from typing import Any

import torch
from torch import Tensor

__all__ = [
    "got",
    "need_choice",
    "need_instance",
    "need_integer",
    "need_number",
    "need_positive",
    "need_widths",
]


def got(value: object) -> str:
    """``value`` as the second half of an error message: a tensor by shape and type, anything else by repr."""
    if isinstance(value, Tensor):
        layout = "" if value.layout is torch.strided else f" and layout {value.layout}"
        return f"got a {value.dtype} tensor of shape {tuple(value.shape)}{layout}"
    text = repr(value)
    return f"got {text if len(text) <= 80 else text[:77] + '...'}"


def need_instance(name: str, value: object, kind: type | tuple[type, ...]) -> None:
    """Raise TypeError unless ``value`` is a ``kind``, or one of several kinds."""
    if not isinstance(value, kind):
        kinds = [
            each.__name__ for each in (kind if isinstance(kind, tuple) else (kind,)) if each is not NoneType
        ]
        raise TypeError(f"{name} must be a {' or a '.join(kinds)}, {got(value)}")


def need_choice(name: str, value: object, choices: Sequence[object]) -> Any:
    """``value``, as it stands among the choices; integers also as numpy's or torch's. ValueError if it is none."""
    plain = value.item() if not getattr(value, "shape", True) else value  # () is the shape of a single number
    try:
        return next(choice for choice in choices if type(plain) is type(choice) and plain == choice)
    except StopIteration:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, {got(value)}") from None


def need_integer(name: str, value: object, least: int | None = None, most: int | None = None) -> int:
    """``value`` as an int, also numpy's or a tensor of no axes. TypeError if it is none, ValueError out of bounds."""
    try:
        is_tensor = isinstance(value, Tensor)
        if isinstance(value, bool) or (is_tensor and (value.ndim or value.dtype == torch.bool)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, {got(value)}") from None
    if (least is not None and number < least) or (most is not None and number > most):
        wanted = f"at least {least}" if most is None else f"an integer {least} .. {most}"
        wanted = f"at most {most}" if least is None else wanted
        raise ValueError(f"{name} must be {wanted}, got {number}")
    return number


def need_positive(**sizes: object) -> None:
    """Raise unless each named value is an integer of at least 1."""
    for name, value in sizes.items():
        need_integer(name, value, least=1)


def need_number(
    name: str, value: object, least: float = -inf, most: float = inf, above: float = -inf, below: float = inf
) -> int | float:
    """``value`` as Python's number. TypeError unless it is real, ValueError unless finite and in the bounds."""
    given, value = value, value.item() if not getattr(value, "shape", True) else value
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, {got(given)}")
    if not (abs(value) <= float_info.max and least <= value <= most and above < value < below):
        words = {"at least": least, "at most": most, "above": above, "below": below}
        bounds = [f"{word} {bound:g}" for word, bound in words.items() if isfinite(bound)]
        raise ValueError(f"{name} must be {' and '.join(bounds) or 'finite'}, {got(value)}")
    return value


def need_widths(name: str, widths: object, least: int = 1) -> None:
    """Raise unless ``widths`` is a sequence of at least so many positive integers. ValueError, or TypeError for one."""
    if not isinstance(widths, Sequence) or isinstance(widths, str) or len(widths) < least:
        raise ValueError(f"{name} must be a sequence of at least {least} widths, {got(widths)}")
    for width in widths:
        need_integer(name, width, least=1)
