"""How the library refuses: the argument's name, what it got, and what it wanted. The checkers of every door."""

from __future__ import annotations

import functools
import inspect
import operator
from collections.abc import Callable, Sequence
from math import inf, isfinite
from numbers import Real
from types import NoneType
from typing import Any, get_args, get_type_hints

import torch
from jaxtyping import Int64
from torch import Tensor

__all__ = [
    "got",
    "need_choice",
    "need_elements",
    "need_exact",
    "need_grid",
    "need_instance",
    "need_integer",
    "need_integers",
    "need_number",
    "need_positive",
    "need_regular",
    "need_shape",
    "need_widths",
    "typed",
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
        kinds = [
            each.__name__ for each in (kind if isinstance(kind, tuple) else (kind,)) if each is not NoneType
        ]
        raise TypeError(f"{name} must be a {' or a '.join(kinds)}, {got(value)}")


def typed(function: Callable) -> Callable:
    """Decorate a door: an argument that is annotated with a class, or some, must be of that kind; else TypeError.

    Numbers and tensors are left to the checkers below, which ask for bounds and shapes as well.
    """
    names = list(inspect.signature(function).parameters)

    @functools.cache
    def kinds() -> dict[str, tuple]:  # at the first call, when all names of the module are there
        hints = {name: get_args(hint) or (hint,) for name, hint in get_type_hints(function).items()}
        return {name: parts for name, parts in hints.items() if all(map(_is_kind, parts))}

    @functools.wraps(function)
    def asked(*arguments: Any, **named: Any) -> Any:
        for name, value in (*zip(names, arguments, strict=False), *named.items()):
            if name in kinds():
                need_instance(name, value, kinds()[name])
        return function(*arguments, **named)

    return asked


def _is_kind(hint: object) -> bool:
    return isinstance(hint, type) and hint not in (int, float, str) and hint.__module__ != "jaxtyping"


def need_choice(name: str, value: object, choices: Sequence[object]) -> None:
    """Raise ValueError unless ``value`` is one of the choices."""
    if not any(type(value) is type(choice) and value == choice for choice in choices):
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, {got(value)}")


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
        raise ValueError(f"{name} must be {wanted}, got {number}")
    return number


def need_positive(**sizes: object) -> None:
    """Raise unless each named value is an integer of at least 1."""
    for name, value in sizes.items():
        need_integer(name, value, least=1)


def need_number(
    name: str, value: object, least: float = -inf, most: float = inf, above: float = -inf, below: float = inf
) -> None:
    """Raise TypeError unless ``value`` is a real number, ValueError unless it is finite and within the bounds."""
    if not isinstance(value, Real) or isinstance(value, bool):
        raise TypeError(f"{name} must be a number, {got(value)}")
    if not (isfinite(value) and least <= value <= most and above < value < below):
        words = {"at least": least, "at most": most, "above": above, "below": below}
        bounds = [f"{word} {bound:g}" for word, bound in words.items() if isfinite(bound)]
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
    last = tensor.shape[max(0, more) :]
    wrong = any(a != b and not isinstance(a, str) for a, b in zip(sizes, last, strict=False))
    if wrong or more < 0 or (more and not any_axes):
        raise ValueError(f"{name} must have shape ({', '.join(map(str, shape))}), {got(tensor)}")


def need_widths(name: str, widths: object, least: int = 1) -> None:
    """Raise unless ``widths`` is a sequence of at least so many positive integers. ValueError, or TypeError for one."""
    if not isinstance(widths, Sequence) or isinstance(widths, str) or len(widths) < least:
        raise ValueError(f"{name} must be a sequence of at least {least} widths, {got(widths)}")
    for width in widths:
        need_integer(name, width, least=1)


# -- what takes a group (a FiniteGroup; this module is below it) ------------------------------------------------


def need_exact(group: Any) -> None:
    """Raise unless every element of the group maps a pixel grid to itself."""
    if not hasattr(group, "exact_on_grid"):
        raise TypeError(f"group must be a FiniteGroup, {got(group)}")
    if not group.exact_on_grid:
        raise ValueError(
            f"group must map the pixel grid to itself (C1, C2, C4, D1, D2, D4; eqssl_edu.steerable has encoders "
            f"for the others), got {group.name}"
        )


def need_regular(features: Tensor, group: Any, channels: int | None, grid: bool) -> None:
    """Raise unless ``features`` are regular features (or maps) of this group, with so many channels."""
    shape = ("B", channels or "C", group.order, *("H", "W")[: 2 * grid])
    need_shape("maps" if grid else "features", features, *shape)


def need_elements(
    group: Any, g: int | Tensor, batch: Tensor, name: str, own_axes: int
) -> int | Int64[Tensor, " samples"]:
    """One element as an int, or a LongTensor with one per sample of a batch: it has an axis more than a sample."""
    if not isinstance(g, Tensor) or not g.ndim:
        return need_integer("g", g, 0, group.order - 1)
    need_integers("g", g, below=group.order)
    if batch.ndim <= own_axes or g.shape != batch.shape[:1]:
        raise ValueError(f"g must hold one element per sample of {name}, {got(g)} for {tuple(batch.shape)}")
    return g


def need_grid(group: Any, g: int | Tensor, images: Tensor, name: str, own_axes: int) -> int | Tensor:
    """``need_elements``; ValueError unless each of them maps the pixels of these images to pixels."""
    g = need_elements(group, g, images, name, own_axes)
    height, width = images.shape[-2:]
    for element in [] if group.exact_on_grid and height == width else torch.as_tensor(g).flatten().tolist():
        turn = group.degrees(element)
        if turn % 90:
            raise ValueError(
                f"g = {element} of {group.name} turns by {turn:g} degrees, which does not map the pixel grid to "
                f"itself; use rotate(images, degrees) for an approximation"
            )
        if turn % 180 and height != width:
            raise ValueError(
                f"images must be square for a rotation by {turn:g} degrees, got {height} x {width}"
            )
    return g
