"""The checks at the explorers' doors: entries of a state, and images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from eqssl_edu.errors import need_choice, need_integer, need_shape

__all__ = ["checked", "need_square"]


def checked(changes: dict[str, Any], **choices: range | Sequence[Any]) -> dict[str, Any]:
    """The changes of a state. Raises if one of them, where it has choices, is none of them.

    Example:
        >>> checked({"element": 3, "features": "pooled"}, element=range(4), features=["regular", "pooled"])
        {'element': 3, 'features': 'pooled'}
    """
    found = dict(changes)
    for name in changes.keys() & choices.keys():
        allowed = choices[name]
        if isinstance(allowed, range):
            found[name] = need_integer(name, changes[name], allowed[0], allowed[-1])
        else:
            found[name] = need_choice(name, changes[name], allowed)
    return found


def need_square(name: str, images: object, *shape: int | str) -> Tensor:
    """The images without their graph, on the CPU. Raises unless they are square, finite and of this shape."""
    need_shape(name, images, *shape, floating=True, finite=True)
    height, width = images.shape[-2:]
    if height != width or not images.numel():
        raise ValueError(f"{name} must be square, got {height} x {width}")
    return images.detach().cpu()
