"""The decorator of a door: every argument must be what its annotation says."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable
from types import NoneType, UnionType
from typing import Any, NamedTuple, get_args, get_origin, get_type_hints

import torch
from jaxtyping import jaxtyped
from torch import Tensor

from eqssl_edu.errors.values import got, need_integer, need_number

__all__ = ["typed"]


class _TooLarge(ValueError):
    """A door behind this one could not hold what it was to make."""


def typed(function: Callable) -> Callable:
    """Decorate a door: every argument must be what its annotation says. TypeError, or ValueError for a tensor.

    ``int`` takes any integer (see ``need_integer``) and hands on an int, ``float`` a finite number, a shape of
    jaxtyping a tensor of that type and shape, with the same sizes under the same names; text is no sequence of
    anything. Bounds, and what is inside of containers, are left to the checkers beside it.
    """
    named_kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    names = [name for name, p in inspect.signature(function).parameters.items() if p.kind in named_kinds]

    @functools.cache
    def checked() -> dict[str, _Kinds]:  # at the first call, when all names of the module are there
        hints = {name: _kinds_of(hint) for name, hint in get_type_hints(function).items() if name in names}
        return {name: kinds for name, kinds in hints.items() if kinds}

    @functools.wraps(function)
    def asked(*arguments: Any, **named: Any) -> Any:
        given, kinds = list(arguments), checked()
        with jaxtyped("context"):
            for i, (name, value) in enumerate(zip(names, arguments, strict=False)):
                if name in kinds:
                    given[i] = _fitted(name, value, kinds[name])
            for name in named:
                if name in kinds:
                    named[name] = _fitted(name, named[name], kinds[name])
        try:
            return function(*given, **named)
        except (MemoryError, OverflowError, RuntimeError, TypeError, ValueError) as problem:
            full = isinstance(problem, MemoryError | OverflowError | _TooLarge)
            full = full or re.search(
                "allocate memory|[oO]verflow", str(problem)
            )  # a GPU has an error of its own
            values = {**dict(zip(names, given, strict=False)), **named}
            sizes = {name: value for name, value in values.items() if isinstance(value, int | tuple | list)}
            if not (full and sizes):
                raise
            raise _TooLarge(
                f"{' and '.join(sizes)} must be smaller, to fit into the memory, {got(sizes)}"
            ) from None

    return asked


class _Kinds(NamedTuple):
    """What an annotation says."""

    kinds: tuple[type, ...]
    numbers: bool  # an int or a float is among them
    integer: bool  # and no float
    boolean: bool
    container: bool  # one out of collections.abc, and text is none


def _kinds_of(hint: Any) -> _Kinds | None:
    """None for an annotation that cannot be asked with isinstance."""
    kinds = tuple(
        get_origin(kind) or kind for kind in (get_args(hint) if isinstance(hint, UnionType) else (hint,))
    )
    if Any in kinds or not all(isinstance(kind, type) for kind in kinds):
        return None
    container = str not in kinds and any(kind.__module__ == "collections.abc" for kind in kinds)
    numbers = int in kinds or float in kinds
    return _Kinds(kinds, numbers, numbers and float not in kinds, bool in kinds, container)


def _fitted(name: str, value: Any, wanted: _Kinds) -> Any:
    """``value``, if it is what the argument's annotation says; any integer as an int."""
    is_tensor = isinstance(value, Tensor)
    if wanted.container:
        fits = not (isinstance(value, str | bytes) or (is_tensor and not value.ndim))
    else:  # True is an int to Python; not every float is a finite number
        fits = not wanted.numbers or not isinstance(value, float if wanted.boolean else (float, bool))
    fits = fits and (not is_tensor or value.layout is torch.strided)
    if fits and isinstance(value, wanted.kinds):
        return value
    is_tensor = is_tensor and value.ndim > 0
    if wanted.numbers and not (is_tensor and len(wanted.kinds) > 1):
        return need_integer(name, value) if wanted.integer else need_number(name, value)
    words = " or a ".join(kind.__name__ for kind in wanted.kinds if kind is not NoneType)
    raise (ValueError if is_tensor else TypeError)(f"{name} must be a {words}, {got(value)}")
