"""Where does a network's sampling break quarter turns? Measured on noise, in every module, whatever the weights are.

An ordinary convolution commutes with no turn. But if its *kernel* is turned as well, a turned picture must give the
turned maps, for every kernel, unless the windows lie otherwise in the turned picture. So a network runs twice: on
noise, and on the turned noise with the kernel of every convolution turned. All tensors that go into a module or come
out of it are compared. In the second run each is replaced by what it should be, so that an error is seen where it
arises and nowhere behind.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_unflatten

from eqssl_edu.errors import within_transform
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.precision import fine, norm

__all__ = ["BATCH", "Call", "Comparison", "is_equivariant", "is_square_maps", "plain", "with_tensor"]

BATCH = 2
TOLERANCE = 1e-5  # of a relative error; above the rounding of networks that compute in single precision
NOT_FINITE = "values that are not finite"
PLAIN = (type(None), bool, int, float, complex, str)


class _TurnedKernels(TorchDispatchMode):
    """Inside this block the kernel of every convolution is turned by 90 degrees, also of those that have no module."""

    def __torch_dispatch__(self, operation, types, arguments=(), named=None):
        if operation is torch.ops.aten.convolution.default:
            images, kernel, *rest = arguments
            if kernel.ndim >= 4 and kernel.shape[-1] == kernel.shape[-2]:
                arguments = (images, torch.rot90(kernel, 1, (-2, -1)), *rest)
        return operation(*arguments, **(named or {}))


def _turned_tokens(count: int) -> Tensor | None:
    """The order of the tokens of a turned square grid, with up to five tokens of no place in front of it."""
    side = math.isqrt(count)
    more = count - side**2
    if side < 2 or more > 5:
        return None
    grid = torch.rot90(torch.arange(side**2).reshape(side, side)).flatten()
    return torch.cat([torch.arange(more), more + grid])


def _relative_error(found: Tensor, wanted: Tensor) -> float:
    difference, size = float(norm(fine(found) - fine(wanted))), float(norm(wanted))
    return difference / size if size else (math.inf if difference else difference)


def plain(leaf: object) -> object:
    """The tensor in an envelope, as escnn passes it."""
    return leaf if isinstance(leaf, Tensor) else getattr(leaf, "tensor", None)


@dataclass
class Call:
    """A module that is running."""

    name: str
    module: nn.Module
    visits: int = 0  # as many as are left when it begins; when it has run, how many it took
    inputs: tuple = ()
    known: bool = True  # do we know how its inputs turn?
    unclear: tuple | None = None  # what was not clear when it began

    def holds(self, name: str) -> bool:
        """Is this module, or one inside of it, called so?"""
        return not self.name or f"{name}.".startswith(f"{self.name}.")


class Comparison:
    """The two runs of a network. Every module of it is called in between, before and after it runs."""

    def __init__(self, model: nn.Module, bar: Any) -> None:
        self.model, self.bar = model, bar
        self.turning = False
        self.upright: list[list[Tensor | None]] = []  # for each visit, of the first run
        self.grids: set[tuple[int, int]] = (
            set()
        )  # (channels, side) of maps; as many tokens are a grid as well
        self.running: list[Call] = []
        self.found: dict[str, tuple[Call, float]] = {}
        # The first output of which it is not known how it should turn.
        self.unclear: tuple[Call, str] | None = None
        self.of_group: list[Call] = []  # the modules that name a group with quarter turns

    def run(self, inputs: tuple, named: dict) -> None:
        handles = []
        for name, module in self.model.named_modules():
            if "parametrizations" not in name.split("."):  # of weights, which do not turn
                enter = partial(self._enter, name)
                handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
                handles.append(module.register_forward_hook(self._leave))
        try:
            self.model(*inputs, **named)
            self.turning = True
            leaves, structure = tree_flatten((inputs, named))
            inputs, named = tree_unflatten(
                [with_tensor(leaf, self._turn(plain(leaf))) for leaf in leaves], structure
            )
            with _TurnedKernels():
                self.model(*inputs, **named)
        finally:
            for handle in handles:
                handle.remove()

    def _turn(self, tensor: object) -> object:
        return next(self._turned(tensor))[0] if isinstance(tensor, Tensor) else tensor

    def _enter(self, name: str, module: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict] | None:
        if within_transform():  # such as vmap, inside of which nothing can be compared
            return None
        call = Call(name, module, len(self.upright), unclear=self.unclear)
        # What is wrong with the inputs happened in the forward of the module that is calling.
        (args, kwargs), call.known = self._visit(self.running[-1] if self.running else call, (args, kwargs))
        call.inputs = (args, kwargs)
        self.running.append(call)
        group = getattr(module, "group", None)
        if self.turning and isinstance(group, FiniteGroup) and group.rotations == 4:
            self.of_group.append(call)
        return args, kwargs

    def _leave(self, _module: nn.Module, _inputs: tuple, output: Any) -> Any:
        if within_transform():
            return None
        self.bar.update()
        call = self.running.pop()
        unclear = self.unclear
        output, known = self._visit(unclear[0] if unclear and not call.known else call, output)
        call.visits -= len(self.upright)
        if known and self.turning:  # what was not clear inside of it, or in front of it, is settled
            self.unclear = call.unclear if call.known else None
        return output

    def _visit(self, call: Call, values: Any) -> tuple[Any, bool]:
        """Keep the tensors of the first run; in the second compare them, and put the right ones in their place."""
        leaves, structure = tree_flatten(values)
        tensors = [plain(leaf) for leaf in leaves]
        if not self.turning:
            self.upright.append([t.clone() if isinstance(t, Tensor) else None for t in tensors])
            for _, a, b, c in (t.shape for t in tensors if isinstance(t, Tensor) and t.ndim == 4):
                self.grids.update([(a, b)] * (b == c) + [(c, a)] * (a == b))  # channels first, or last
            return values, True
        upright = self.upright.pop(0) if self.upright else []
        if len(upright) != len(leaves):
            raise ValueError(f"model must do the same for every image, got other calls around {call.name!r}")
        known = True
        for i, (leaf, found, before) in enumerate(zip(leaves, tensors, upright, strict=True)):
            if isinstance(found, Tensor):
                wanted = self._wanted(call, found, before)
                leaves[i], known = (leaf, False) if wanted is None else (with_tensor(leaf, wanted), known)
            elif not self.running and not isinstance(
                leaf, PLAIN
            ):  # the network's output, in a class of its own
                self._is_unclear(call, f"it gives {type(leaf).__name__}")
                known = False
        return tree_unflatten(leaves, structure), known

    def _wanted(self, call: Call, found: Tensor, before: Tensor) -> Tensor | None:
        """What a tensor of the second run should be; None if that is not known. Errors are put down to the call."""
        if self.running and not (found.is_floating_point() or found.is_complex()):
            return found  # places, as pooling names them: what is made of them is judged
        errors = []
        for wanted, is_plain in self._turned(before) if found.shape == before.shape else ():
            error = _relative_error(found, wanted)
            if error <= TOLERANCE:
                return found
            errors += [(error, wanted)] * is_plain
        is_finite = bool(before.isfinite().all())
        if errors and is_finite and len(before) == BATCH:  # its layout is known, so this is wrong
            error, wanted = min(errors, key=itemgetter(0))
            self.found.setdefault(call.name, (call, error))
            return wanted
        shape = ", ".join(map(str, ("B", *before.shape[1:])))
        self._is_unclear(call, f"it gives {f'a tensor of shape ({shape})' if is_finite else NOT_FINITE}")
        return None

    def _is_unclear(self, call: Call, reason: str) -> None:
        self.unclear = self.unclear or (call, reason)

    def _turned(self, tensor: Tensor) -> Iterator[tuple[Tensor, bool]]:
        """All that a quarter turn may make of a tensor; and is it plain that it is such a grid?"""
        for axis in range(
            tensor.ndim - 2, 0, -1
        ):  # channels first, channels last, with a group axis or without
            if tensor.shape[axis] == tensor.shape[axis + 1]:
                yield torch.rot90(tensor, 1, (axis, axis + 1)), tensor.ndim > 3
        yield tensor, False  # an invariant
        orders = {axis: _turned_tokens(tensor.shape[axis]) for axis in range(1, tensor.ndim)}
        orders = {axis: order.to(tensor.device) for axis, order in orders.items() if order is not None}
        for axis, order in orders.items():
            is_plain = (
                axis == 1 and tensor.ndim == 3 and (tensor.shape[2], math.isqrt(len(order))) in self.grids
            )
            yield tensor.index_select(axis, order), is_plain
        last = orders.get(tensor.ndim - 1)
        if last is not None and tensor.shape[-1] == tensor.shape[-2]:  # attention
            yield tensor.index_select(-1, last).index_select(-2, last), False


def with_tensor(leaf: Any, tensor: object) -> Any:
    """A tensor, or the envelope of one, with another one in its place."""
    if isinstance(leaf, Tensor) or not isinstance(tensor, Tensor):
        return leaf if tensor is None else tensor
    envelope = copy.copy(leaf)
    envelope.tensor = tensor
    return envelope


def is_square_maps(tensor: object) -> bool:
    is_maps = isinstance(tensor, Tensor) and tensor.ndim >= 4 and len(tensor) == BATCH
    return is_maps and tensor.shape[-1] == tensor.shape[-2]


def is_equivariant(call: Call) -> bool:
    """Does a module that names a group commute with it, images in and regular features or maps out?"""
    group, leaves = call.module.group, tree_flatten(call.inputs)[0]
    if len(leaves) != 1 or not is_square_maps(leaves[0]) or leaves[0].ndim != 4:
        return False
    images, out = leaves[0], call.module(leaves[0])
    if not isinstance(out, Tensor) or out.ndim not in (3, 5) or out.shape[2] != group.order:
        return False
    act = group.transform_features if out.ndim == 3 else group.transform_maps
    errors = [_relative_error(call.module(group.transform(images, g)), act(out, g)) for g in group.elements]
    return all(error <= TOLERANCE for error in errors)
