"""How the library words its errors: the argument's name, what it got, and what it wanted."""

from __future__ import annotations

from torch import Tensor

__all__ = ["got", "need_instance", "need_integers", "need_positive"]


def got(value: object) -> str:
    """``value`` as the second half of an error message: a tensor by shape and type, anything else by repr."""
    if isinstance(value, Tensor):
        return f"got a {value.dtype} tensor of shape {tuple(value.shape)}"
    text = repr(value)
    return f"got {text if len(text) <= 80 else text[:77] + '...'}"


def need_instance(name: str, value: object, kind: type) -> None:
    """Raise TypeError unless ``value`` is a ``kind``."""
    if not isinstance(value, kind):
        raise TypeError(f"{name} must be a {kind.__name__}, {got(value)}")


def need_integers(name: str, tensor: object) -> None:
    """Raise TypeError unless ``tensor`` is a LongTensor (PyTorch indexes with int64)."""
    if not isinstance(tensor, Tensor) or str(tensor.dtype) != "torch.int64":
        raise TypeError(f"{name} must be a LongTensor, {got(tensor)}")


def need_positive(**sizes: object) -> None:
    """Raise unless each named value is an integer of at least 1."""
    for name, value in sizes.items():
        if not isinstance(value, int) or isinstance(value, bool):
            raise TypeError(f"{name} must be an integer, {got(value)}")
        if value < 1:
            raise ValueError(f"{name} must be at least 1, {got(value)}")
