"""How the library words its errors: the argument's name, what it got, and what it wanted."""

from __future__ import annotations

from numbers import Real

from torch import Tensor

__all__ = [
    "got",
    "need_images",
    "need_instance",
    "need_integers",
    "need_not_negative",
    "need_padding",
    "need_positive",
]


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


def need_not_negative(**numbers: object) -> None:
    """Raise unless each named value is a number of at least 0."""
    for name, value in numbers.items():
        if not isinstance(value, Real) or isinstance(value, bool):
            raise TypeError(f"{name} must be a number, {got(value)}")
        if not value >= 0:
            raise ValueError(f"{name} must be at least 0, {got(value)}")


def need_padding(padding: object) -> None:
    """Raise ValueError unless ``padding`` is an integer of at least 0."""
    if not isinstance(padding, int) or isinstance(padding, bool) or padding < 0:
        raise ValueError(f"padding must be an integer of at least 0, {got(padding)}")


def need_images(images: object, channels: int | None) -> None:
    """Raise unless ``images`` is a tensor (B, C, H, W), with this C if it is given."""
    need_instance("images", images, Tensor)
    if images.ndim != 4 or channels not in (None, images.shape[1]):
        raise ValueError(f"images must have shape (B, {channels or 'C'}, H, W), {got(images)}")
