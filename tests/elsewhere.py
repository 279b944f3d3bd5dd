"""A pretended second device, for machines without an accelerator: its tensors do not mix with those of the CPU.

Its name is that of torch's own device without numbers, ``meta``, but here the numbers are kept and computed with.
As on a GPU, an operation takes tensors of one device, single numbers and indices from the CPU apart; ``.cpu()``
and ``.to("cpu")`` bring numbers back; ``.numpy()`` does not.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from unittest import mock

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

__all__ = ["DEVICE", "elsewhere", "needs_gpu"]

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU that torch can use")
DEVICE = torch.device("meta")
INDEXED = {torch.ops.aten.index.Tensor, torch.ops.aten.index_put_.default, torch.ops.aten.index_put.default}
INDEXED |= {torch.ops.aten._index_put_impl_.default, torch.ops.aten._unsafe_index.Tensor}
MOVES = {torch.ops.aten.copy_.default, torch.ops.aten._to_copy.default}
INDEXING = {Tensor.__getitem__, Tensor.__setitem__}
FROM_NUMBERS = {torch.tensor, torch.as_tensor, Tensor.new_tensor}


class Away(Tensor):
    """A tensor on the pretended device; ``here`` are its numbers."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> Away:
        layout = {"strides": here.stride(), "storage_offset": here.storage_offset()}
        away = Tensor._make_wrapper_subclass(cls, here.shape, dtype=here.dtype, device=DEVICE, **layout)
        away.here = here
        return away

    def __repr__(self) -> str:
        return f"Away({self.here!r})"

    @classmethod
    def __torch_dispatch__(cls, operation, _types, arguments=(), options=None):
        return _run(operation, arguments, options or {})


def _run(operation, arguments: tuple, options: dict):
    away = [leaf for leaf in tree_leaves((arguments, options)) if isinstance(leaf, Away)]
    device = options.get("device")
    if away and operation not in MOVES:
        # The first argument of an indexing operation alone decides; its indices may come from the CPU.
        checked = arguments[:1] if operation in INDEXED else (arguments, options)
        for leaf in tree_leaves(checked):
            if isinstance(leaf, Tensor) and not isinstance(leaf, Away) and leaf.ndim:
                raise RuntimeError(f"{operation}: expected all tensors on one device, got one on the CPU")
    if any(type(leaf) is Tensor and leaf.device == DEVICE for leaf in tree_leaves((arguments, options))):
        raise RuntimeError(f"{operation}: a tensor of torch's own meta device has no numbers to compute with")
    here = tree_map(lambda leaf: leaf.here if isinstance(leaf, Away) else leaf, (arguments, options))
    there = device == DEVICE if device is not None else bool(away)
    if device is not None:
        here[1]["device"] = torch.device("cpu")
    result = operation(*here[0], **here[1])
    if operation._schema.is_mutable:
        return arguments[0]
    return tree_map(lambda leaf: Away(leaf) if isinstance(leaf, Tensor) and there else leaf, result)


class _Factories(TorchDispatchMode):
    """Operations without a tensor of the device among their arguments: those that make or move one."""

    def __torch_dispatch__(self, operation, _types, arguments=(), options=None):
        return _run(operation, arguments, options or {})


class _Numbers(TorchFunctionMode):
    """torch makes tensors out of Python's numbers on the device itself; here they are made on the CPU, and moved."""

    def __torch_function__(self, function, _types, arguments=(), options=None):
        options = dict(options or {})
        if function in FROM_NUMBERS:
            like = arguments[0] if function is Tensor.new_tensor else None
            device = options.pop("device", None) or (like.device if like is not None else None)
            if like is not None:
                arguments, options = arguments[1:], {"dtype": like.dtype, **options}
            made = torch.tensor(*arguments, **options)
            return made if device is None else made.to(device)
        if function is Tensor.numpy and isinstance(arguments[0], Away):
            raise TypeError("can't convert a tensor of another device to numpy; use .cpu() first")
        if function is Tensor.tolist and isinstance(arguments[0], Away):
            return arguments[0].detach().cpu().tolist()
        if function in INDEXING:
            arguments = (arguments[0], _with_tensors(arguments[1]), *arguments[2:])
        return function(*arguments, **options)


def _with_tensors(index: object) -> object:
    """An index with tensors in the place of lists."""
    if isinstance(index, tuple):
        return tuple(_with_tensors(part) for part in index)
    return torch.tensor(index) if isinstance(index, list) else index


def _without_autocast(function, answer):
    """A function of torch.autocast: the pretended device's is off, where torch's meta device has none at all."""
    return lambda device, *rest, **named: (
        answer() if str(device) == DEVICE.type else function(device, *rest, **named)
    )


@contextlib.contextmanager
def elsewhere() -> Iterator[torch.device]:
    """Inside, tensors and modules can be moved to the pretended device."""
    off = {"autocast": contextlib.nullcontext, "is_autocast_enabled": lambda: False}
    patched = {name: _without_autocast(getattr(torch, name), answer) for name, answer in off.items()}
    with _Factories(), _Numbers(), mock.patch.multiple(torch, **patched):
        yield DEVICE
