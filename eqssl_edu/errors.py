"""How the library refuses: the argument's name, what it got, and what it wanted. The checkers of every door."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from numbers import Real

import torch
from torch import Tensor

__all__ = [
    "got",
    "need_choice",
    "need_instance",
    "need_integer",
    "need_integers",
    "need_number",
    "need_positive",
    "need_shape",
    "need_widths",
]


def got(value: object) -> str:
    """``value`` as the second half of an error message: a tensor by shape and type, anything else by repr."""
    if isinstance(value, Tensor):
        return f"got a {value.dtype} tensor of shape {tuple(value.shape)}"
    text = repr(value)
    return f"got {text if len(text) <= 80 else text[:77] + '...'}"


def need_instance(name: str, value: object, kind: type | tuple[type, ...]) -> None:
    """Raise TypeError unless ``value`` is a ``kind``, or one of several kinds."""
    if not isinstance(value, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        raise TypeError(f"{name} must be a {' or a '.join(each.__name__ for each in kinds)}, {got(value)}")


def need_choice(name: str, value: object, choices: Sequence[object]) -> None:
    """Raise ValueError unless ``value`` is one of the choices."""
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, {got(value)}")


def need_integer(name: str, value: object, least: int | None = None, most: int | None = None) -> int:
    """``value`` as an int, also numpy's or a tensor of no axes. TypeError if it is none, ValueError out of bounds."""
    try:
        if isinstance(value, bool) or (
            isinstance(value, Tensor) and (value.ndim or value.dtype == torch.bool)
        ):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, {got(value)}") from None
    if (least is not None and number < least) or (most is not None and number > most):
        wanted = f"at least {least}" if most is None else f"an integer {least} .. {most}"
        raise ValueError(f"{name} must be {wanted}, got {number}")
    return number


def need_positive(**sizes: object) -> None:
    """Raise unless each named value is an integer of at least 1."""
    for name, value in sizes.items():
        need_integer(name, value, least=1)


def need_number(
    name: str,
    value: object,
    least: float = -math.inf,
    most: float = math.inf,
    above: float = -math.inf,
    below: float = math.inf,
) -> None:
    """Raise TypeError unless ``value`` is a real number, ValueError unless it is finite and within the bounds."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, {got(value)}")
    if not (math.isfinite(value) and least <= value <= most and above < value < below):
        words = {"at least": least, "at most": most, "above": above, "below": below}
        bounds = [f"{word} {bound:g}" for word, bound in words.items() if math.isfinite(bound)]
        raise ValueError(f"{name} must be {' and '.join(bounds) or 'finite'}, {got(value)}")


def need_integers(name: str, tensor: object, below: int | None = None) -> None:
    """Raise TypeError unless ``tensor`` is a LongTensor, ValueError unless its entries are 0 .. below - 1."""
    if not isinstance(tensor, Tensor) or tensor.dtype != torch.int64:
        raise TypeError(f"{name} must be a LongTensor, {got(tensor)}")
    if below is not None and tensor.numel() and not 0 <= int(tensor.min()) <= int(tensor.max()) < below:
        raise ValueError(f"{name} must hold integers 0 .. {below - 1}, {got(tensor.tolist())}")


def need_shape(name: str, tensor: object, *shape: int | str, floating: bool = False) -> None:
    """Raise unless ``tensor`` is a Tensor of this shape: a letter stands for any size, "..." in front for any axes.

    ``need_shape("features", z, "B", 8, "G")`` is content with (2, 8, 4). With ``floating`` the numbers must be
    floating-point numbers. TypeError for the kind, ValueError for the shape.
    """
    need_instance(name, tensor, Tensor)
    if floating and not tensor.is_floating_point():
        raise TypeError(f"{name} must hold floating-point numbers, {got(tensor)}")
    any_axes = shape[0] == "..."
    sizes = shape[any_axes:]
    more = tensor.ndim - len(sizes)
    wrong = any(
        a != b and not isinstance(a, str) for a, b in zip(sizes, tensor.shape[max(0, more) :], strict=False)
    )
    if wrong or more < 0 or (more and not any_axes):
        raise ValueError(f"{name} must have shape ({', '.join(map(str, shape))}), {got(tensor)}")


def need_widths(name: str, widths: object, least: int = 1) -> None:
    """Raise unless ``widths`` is a sequence of at least so many positive integers. ValueError, or TypeError for one."""
    if not isinstance(widths, Sequence) or isinstance(widths, str) or len(widths) < least:
        raise ValueError(f"{name} must be a sequence of at least {least} widths, {got(widths)}")
    for width in widths:
        need_integer(name, width, least=1)
