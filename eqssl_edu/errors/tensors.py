"""Checkers of tensors: their shape and type, and the numbers that they hold."""

from __future__ import annotations

import torch
from torch import Tensor

from eqssl_edu.errors.values import got, need_instance

__all__ = ["all_finite", "may_ask", "need_integers", "need_shape", "within_transform"]


# PyTorch's own question in ``autograd.Function.apply``, without a public name.
_within_torch_func = getattr(torch._C, "_are_functorch_transforms_active", lambda: False)


def within_transform() -> bool:
    """Is ``torch.compile`` or ``torch.func`` at work? Then tensors have no values that one could ask for."""
    return torch.compiler.is_compiling() or _within_torch_func()


def may_ask(tensor: Tensor) -> bool:
    """Has it values that one could ask for? Not within a transform, nor while a GPU records a graph of its work."""
    return not within_transform() and not (tensor.is_cuda and torch.cuda.is_current_stream_capturing())


def need_integers(name: str, tensor: object, below: int | None = None) -> None:
    """Raise TypeError unless ``tensor`` is a LongTensor, ValueError unless its entries are 0 .. below - 1."""
    if not isinstance(tensor, Tensor) or tensor.dtype != torch.int64 or tensor.layout is not torch.strided:
        raise TypeError(f"{name} must be a LongTensor, {got(tensor)}")
    if below is None or not tensor.numel() or not may_ask(tensor):
        return
    if not 0 <= int(tensor.min()) <= int(tensor.max()) < below:
        raise ValueError(f"{name} must hold integers 0 .. {below - 1}, {got(tensor.tolist())}")


def all_finite(numbers: Tensor) -> bool:
    """No NaN, no infinity? The extremes tell, which is ten times as fast as to ask each number."""
    if numbers.is_complex() or not numbers.numel():
        return bool(numbers.isfinite().all())
    return all(bool(each.isfinite()) for each in numbers.detach().aminmax())


def need_shape(
    name: str,
    tensor: object,
    *shape: int | str,
    floating: bool = False,
    finite: bool = False,
    like: Tensor | None = None,
) -> None:
    """Raise unless ``tensor`` is a Tensor of this shape: a letter stands for one size, "..." in front for any axes.

    ``need_shape("features", z, "B", 8, "G")`` is content with (2, 8, 4). With ``floating`` the numbers must be
    floating-point numbers, with ``finite`` all must be finite, with ``like`` those of the weights that they meet.
    TypeError for the kind, ValueError for the shape and for NaN or infinity, with the places along the first axis.
    """
    need_instance(name, tensor, Tensor)
    if floating and not tensor.is_floating_point():
        raise TypeError(f"{name} must hold floating-point numbers, {got(tensor)}")
    if tensor.layout is not torch.strided:
        raise TypeError(f"{name} must be strided, {got(tensor)}")
    if like is not None and tensor.dtype != like.dtype and not torch.is_autocast_enabled(tensor.device.type):
        raise TypeError(f"{name} must have the type of the weights, {like.dtype}, {got(tensor)}")
    any_axes = shape[:1] == ("...",)
    sizes = shape[any_axes:]
    more = tensor.ndim - len(sizes)
    last = tensor.shape[max(0, more) :]
    known: dict[str, int] = {}
    pairs = zip(sizes, last, strict=False)
    wrong = any(b != (known.setdefault(a, b) if isinstance(a, str) else a) for a, b in pairs)
    if wrong or more < 0 or (more and not any_axes) or 0 in last[1:]:  # a batch may be empty, nothing else
        raise ValueError(f"{name} must have shape ({', '.join(map(str, shape))}), {got(tensor)}")
    if finite and not all_finite(tensor):
        fine = tensor.isfinite()
        places = (~fine.flatten(1).all(1) if fine.ndim > 1 else ~fine.flatten()).nonzero().flatten().tolist()
        first = f"{', '.join(map(str, places[:8]))}{', ...' if len(places) > 8 else ''}"
        raise ValueError(
            f"{name} must hold finite numbers only, got NaN or infinity at {first} of the first axis"
        )
