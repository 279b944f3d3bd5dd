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
from operator import itemgetter
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_unflatten

from eqssl_edu.groups import FiniteGroup
from eqssl_edu.precision import fine, norm

__all__ = ["Breach", "breaches"]

BATCH = 2
TOLERANCE = 1e-5  # of a relative error; above the rounding of networks that compute in single precision
NEIGHBOURS = 8  # sizes in which a module is tried on either side, or as many as its stride


class Breach(tuple):
    """The sizes of a layer's input, nearest to the one it has, at which the layer is exact; none if there is none.

    Attributes:
        error: the relative error that was measured, if the layer was judged.
        judged: False if it is not known how the layer's output should turn, so that the layer may be right or wrong.
        reason: what is wrong, in words.
    """

    error: float | None
    judged: bool
    reason: str

    def __new__(
        cls, sizes: tuple[int, ...], error: float | None = None, judged: bool = True, reason: str = ""
    ):
        self = super().__new__(cls, sizes)
        self.error, self.judged, self.reason = error, judged, reason
        return self

    def __repr__(self) -> str:
        return super().__repr__() if self else f"() {self.reason}"


class _TurnedKernels(TorchDispatchMode):
    """Inside this block the kernel of every convolution is turned by 90 degrees, also of those that have no module."""

    def __torch_dispatch__(self, operation, types, arguments=(), named=None):
        if operation is torch.ops.aten.convolution.default:
            images, kernel, *rest = arguments
            if kernel.ndim >= 4 and kernel.shape[-1] == kernel.shape[-2]:
                arguments = (images, torch.rot90(kernel, 1, (-2, -1)), *rest)
        return operation(*arguments, **(named or {}))


def _turned_grids(tensor: Tensor) -> Iterator[Tensor]:
    """A quarter turn of what is plainly a grid: maps (two axes of one length), or tokens (B, N, D) of a square."""
    for axis in range(tensor.ndim - 2, 0, -1):  # channels first, channels last, with a group axis or without
        if tensor.ndim > 3 and tensor.shape[axis] == tensor.shape[axis + 1]:
            yield torch.rot90(tensor, 1, (axis, axis + 1))
    order = _turned_tokens(tensor.shape[1]) if tensor.ndim == 3 else None
    if order is not None:
        yield tensor.index_select(1, order.to(tensor.device))


def _turned(tensor: Tensor) -> Iterator[Tensor]:
    """All that a quarter turn may make of a tensor, the likeliest first."""
    yield from _turned_grids(tensor)
    yield tensor  # an invariant
    orders = {axis: _turned_tokens(tensor.shape[axis]) for axis in range(1, tensor.ndim)}
    orders = {axis: order.to(tensor.device) for axis, order in orders.items() if order is not None}
    for axis, order in orders.items():
        yield tensor.index_select(axis, order)
    last = orders.get(tensor.ndim - 1)
    if last is not None and tensor.shape[-1] == tensor.shape[-2]:  # attention
        yield tensor.index_select(-1, last).index_select(-2, last)


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


def _plain(leaf: object) -> object:
    """The tensor in an envelope, as escnn passes it."""
    return leaf if isinstance(leaf, Tensor) else getattr(leaf, "tensor", None)


@dataclass
class _Call:
    """A module that is running."""

    name: str
    module: nn.Module
    visits: int = 0  # as many as are left when it begins; when it has run, how many it took
    inputs: tuple = ()
    known: bool = True  # do we know how its inputs turn?
    unclear: tuple | None = None  # what was not clear when it began


class _Comparison:
    """The two runs of a network. Every module of it is called in between, before and after it runs."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.upright: list[list[Tensor | None]] = []  # for each visit, of the first run
        self.found: dict[str, tuple[_Call, float]] = {}
        # The first tensor of which it is not known how it should turn.
        self.unclear: tuple[_Call, str] | None = None
        self.of_group: list[_Call] = []  # the modules that name a group with quarter turns

    def run(self, inputs: tuple, named: dict | None = None) -> None:
        handles = []
        for name, module in self.model.named_modules():
            enter = lambda m, args, kwargs, name=name: self._enter(name, m, args, kwargs)  # noqa: E731
            handles.append(module.register_forward_pre_hook(enter, with_kwargs=True))
            handles.append(module.register_forward_hook(lambda _m, _inputs, output: self._leave(output)))
        try:
            with torch.no_grad():
                for self.turning in (False, True):
                    self.running = []
                    if not self.turning:
                        self.model(*inputs, **(named or {}))
                        continue
                    leaves, structure = tree_flatten((inputs, named or {}))
                    turned = [_with(leaf, _turn_maps(_plain(leaf))) for leaf in leaves]
                    args, kwargs = tree_unflatten(turned, structure)
                    with _TurnedKernels():
                        self.model(*args, **kwargs)
        finally:
            for handle in handles:
                handle.remove()

    def _enter(self, name: str, module: nn.Module, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
        call = _Call(name, module, len(self.upright), unclear=self.unclear)
        # What is wrong with the inputs happened in the forward of the module that is calling.
        (args, kwargs), call.known = self._visit(self.running[-1] if self.running else call, (args, kwargs))
        call.inputs = (args, kwargs)
        self.running.append(call)
        group = getattr(module, "group", None)
        if self.turning and isinstance(group, FiniteGroup) and group.rotations == 4:
            self.of_group.append(call)
        return args, kwargs

    def _leave(self, output: Any) -> Any:
        call = self.running.pop()
        unclear = self.unclear
        output, known = self._visit(unclear[0] if unclear and not call.known else call, output)
        call.visits -= len(self.upright)
        if known and self.turning:  # what was not clear inside of it, or in front of it, is settled
            self.unclear = call.unclear if call.known else None
        return output

    def _visit(self, call: _Call, values: Any) -> tuple[Any, bool]:
        """Keep the tensors of the first run; in the second compare them, and put the right ones in their place."""
        leaves, structure = tree_flatten(values)
        tensors = [_plain(leaf) for leaf in leaves]
        if not self.turning:
            self.upright.append([t.clone() if isinstance(t, Tensor) else None for t in tensors])
            return values, True
        upright = self.upright.pop(0) if self.upright else []
        if len(upright) != len(leaves):
            raise ValueError(f"model must do the same for every image, got other calls around {call.name!r}")
        known = True
        for i, (leaf, found, before) in enumerate(zip(leaves, tensors, upright, strict=True)):
            if isinstance(found, Tensor):
                wanted = self._wanted(call, found, before)
                leaves[i], known = (leaf, False) if wanted is None else (_with(leaf, wanted), known)
        return tree_unflatten(leaves, structure), known

    def _wanted(self, call: _Call, found: Tensor, before: Tensor) -> Tensor | None:
        """What a tensor of the second run should be; None if that is not known. Errors are put down to the call."""
        if not (found.is_floating_point() or found.is_complex()):
            return found  # places, as pooling names them: what is made of them is judged
        same_shape = found.shape == before.shape
        if same_shape and any(_relative_error(found, each) <= TOLERANCE for each in _turned(before)):
            return found
        is_finite = bool(before.isfinite().all())
        errors = [(_relative_error(found, each), each) for each in _turned_grids(before) if same_shape]
        if errors and is_finite and len(before) == BATCH:  # its layout is known, so this is wrong
            error, wanted = min(errors, key=itemgetter(0))
            self.found.setdefault(call.name, (call, error))
            return wanted
        if self.unclear is None:
            shape = ", ".join(map(str, ("B", *before.shape[1:])))
            reason = (
                f"it gives a tensor of shape ({shape})"
                if is_finite
                else "it gives values that are not finite"
            )
            self.unclear = (call, reason)
        return None


def _turn_maps(tensor: object) -> object:
    return next(_turned(tensor)) if isinstance(tensor, Tensor) else tensor


def _with(leaf: Any, tensor: object) -> Any:
    """A tensor, or the envelope of one, with another one in its place."""
    if isinstance(leaf, Tensor) or not isinstance(tensor, Tensor):
        return leaf if tensor is None else tensor
    envelope = copy.copy(leaf)
    envelope.tensor = tensor
    return envelope


def breaches(model: nn.Module, *inputs: object) -> dict[str, Breach]:
    """The modules of a network that break quarter turns, by name; "" is the forward of the network itself.

    Arguments:
        model: the network in eval mode, or better a copy of it.
        inputs: what it takes: noise (B, C, S, S) with B = ``BATCH``, float64 or float32.
    """
    comparison = _Comparison(model)
    comparison.run(inputs)
    found, unclear = comparison.found, comparison.unclear
    for call in comparison.of_group:
        inside = [*found, *([unclear[0].name] if unclear else [])]
        if any(_is_part(name, call.name) for name in inside) and _is_equivariant(call):
            # Whatever happens in it, such as turned copies that are reflected, the whole is exact.
            found = {name: breach for name, breach in found.items() if not _is_part(name, call.name)}
            unclear = None if unclear and _is_part(unclear[0].name, call.name) else unclear
    answer = {
        name: Breach(_exact_sizes(call), error, True, f"error {error:.2g} at this size")
        for name, (call, error) in found.items()
    }
    if unclear:
        call, reason = unclear
        answer.setdefault(call.name, Breach((), None, False, f"not judged: {reason}"))
    return answer


def _exact_sizes(call: _Call) -> tuple[int, ...]:
    """The next smaller and the next larger size at which a module on its own is exact, found by trying."""
    leaves, structure = tree_flatten(call.inputs)
    places = [i for i, leaf in enumerate(leaves) if _is_square_maps(_plain(leaf))]
    if (
        len(places) != 1 or call.visits > 4
    ):  # more than one module runs in it: too many to be tried at each size
        return ()
    envelope, stride = leaves[places[0]], getattr(call.module, "stride", None)
    maps = _plain(envelope)
    steps = range(1, 1 + max([NEIGHBOURS, *(n for n in tree_flatten(stride)[0] if isinstance(n, int))]))

    def is_exact_at(side: int) -> bool:
        leaves[places[0]] = _with(envelope, torch.rand(*maps.shape[:-2], side, side).to(maps))
        args, kwargs = tree_unflatten(leaves, structure)
        comparison = _Comparison(call.module)
        try:
            comparison.run(args, kwargs)
        except Exception:  # the window does not fit
            return False
        return not comparison.found and comparison.unclear is None

    side = maps.shape[-1]
    below = next((side - step for step in steps if side > step and is_exact_at(side - step)), None)
    above = next((side + step for step in steps if is_exact_at(side + step)), None)
    return tuple(size for size in (below, above) if size is not None)


def _is_square_maps(tensor: object) -> bool:
    is_maps = isinstance(tensor, Tensor) and tensor.ndim >= 4 and len(tensor) == BATCH
    return is_maps and tensor.shape[-1] == tensor.shape[-2]


def _is_part(name: str, of: str) -> bool:
    return not of or name == of or name.startswith(f"{of}.")


def _is_equivariant(call: _Call) -> bool:
    """Does a module that names a group commute with it, images in and regular features or maps out?"""
    group, leaves = call.module.group, tree_flatten(call.inputs)[0]
    if len(leaves) != 1 or not _is_square_maps(leaves[0]) or leaves[0].ndim != 4:
        return False
    images, out = leaves[0], call.module(leaves[0])
    if not isinstance(out, Tensor) or out.ndim not in (3, 5) or out.shape[2] != group.order:
        return False
    act = group.transform_features if out.ndim == 3 else group.transform_maps
    errors = [_relative_error(call.module(group.transform(images, g)), act(out, g)) for g in group.elements]
    return all(error <= TOLERANCE for error in errors)
