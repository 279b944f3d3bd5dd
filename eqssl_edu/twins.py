"""Twins of networks: the one way to look at a user's network, which leaves the network as it was."""

from __future__ import annotations

import contextlib
import copy
import functools
import random
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_forward_pre_hook
from torch.optim import Optimizer
from torch.utils.data import DataLoader, Dataset

from eqssl_edu.errors import got
from eqssl_edu.ownership import in_training, steady

__all__ = ["Twin", "copied", "eval_mode", "know", "nothing_compiled", "same_random_numbers", "tensors"]

HOOKS = ("_forward_hooks", "_forward_pre_hooks")
SHARED = (Optimizer, DataLoader, Dataset)  # what a network may know of its training, too large to be copied
PLAIN = (int, float, complex, str, bytes, type(None), torch.dtype, torch.device)
LONG = 1000  # a longer container, or one in a container in a container ..., is known by its id alone
COLUMNS = 509  # of sums; a prime, so that rows or channels of a weight that change places come into others


class Twin:
    """A network that is looked at and left as it was: in evaluation mode, on clones of the inputs, without gradients.

    A copy of the network runs; a function, or a network that cannot be copied, runs itself, and what it uses is put
    back. Modes, running statistics, images and the random state stay. The user's own hooks are off; on are those that
    torch needs (weight norm, pruning, lazy modules), and methods of the network itself.

    Arguments:
        model: the network, or any function of tensors.

    Example:
        >>> model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout())
        >>> twin, x = Twin(model), torch.rand(4, 1, 8, 8)
        >>> torch.equal(twin(x), twin(x)), model.training, int(model[1].num_batches_tracked)
        (True, True, 0)
    """

    def __init__(self, model: Callable[..., Any]) -> None:
        self.model = model
        self.module: nn.Module | None = None  # the copy
        self.weights: list[Tensor] = []  # of the network, when it was last looked at
        self.version = 0  # counts the changes of the network that were seen
        self._seen: tuple[Any, ...] = ()
        self._kept: tuple[int, Any] = (0, None)  # version, and what was computed with its weights

    def __call__(self, *inputs: Any) -> Any:
        """What the network gives for these inputs now."""
        return self.settle().run(*inputs)

    def settle(self) -> Twin:
        """The twin with a copy of the network as it is now, so that all that ``run`` gives belongs to one moment."""
        if isinstance(self.model, nn.Module):
            with contextlib.suppress(TypeError):  # it cannot be copied
                self.renew()
        return self

    @torch.no_grad()
    def run(self, *inputs: Any) -> Any:
        """What the copy gives, as it was when it was last renewed."""
        clones = [each.detach().clone() if isinstance(each, Tensor) else each for each in inputs]
        if self.module is not None:
            with same_random_numbers():
                return self.module(*clones)
        training = steady(self.model) if isinstance(self.model, nn.Module) else contextlib.nullcontext()
        with same_random_numbers(), training, _put_back():
            return self.model(*clones)

    def renew(self) -> bool:
        """Copy the network again if anything has changed in it since the last call; whether it was so."""
        objects: list[Any] = []
        marks = [_mark(vars(module), objects, module) for module in self.model.modules()]
        self.weights = tensors(self.model)
        seen = {id(each): each for each in (*self.weights, *objects) if isinstance(each, Tensor)}
        counts, sums = _signs(list(seen.values()))
        marks.append(counts)
        if self._seen and marks == self._seen[0] and all(map(torch.equal, sums, self._seen[1])):
            return False
        with steady(self.model), same_random_numbers():
            self.module, self.version = copied(self.model), self.version + 1
        self._seen = marks, sums, objects  # what is kept here keeps its id
        return True

    def kept(self, compute: Callable[[nn.Module], Any]) -> Any:
        """``compute(copy)``, computed again only when the network has changed."""
        self.renew()
        if self._kept[0] != self.version:
            self._kept = (self.version, compute(self.module))
        return self._kept[1]


def copied(model: nn.Module) -> nn.Module:
    """A copy of a network with weights of its own, in evaluation mode, without the user's hooks; TypeError if none."""
    model = getattr(model, "_orig_mod", model)  # of torch.compile, which would compile each copy again
    modules, known = list(model.modules()), {}
    for module in modules:
        # Not copied is what deepcopy finds in its memo. It cannot copy a tensor that is part of a graph.
        _mark(vars(module), held := [], module)
        for value in held:
            if isinstance(value, SHARED):
                known[id(value)] = value
            elif isinstance(value, Tensor) and value.grad_fn is not None:
                known[id(value)] = value.detach().clone()
        known |= {id(getattr(module, name)): OrderedDict() for name in HOOKS}
    try:
        twin = copy.deepcopy(model, memo := dict(known))
    except Exception:
        own = {**known, **{id(module): module for module in modules}}
        for value in [value for module in modules for value in vars(module).values()]:
            try:
                copy.deepcopy(value, dict(own))
            except Exception:  # a lock, a file: the copy has the same
                known[id(value)] = value
        try:
            twin = copy.deepcopy(model, memo := dict(known))
        except Exception as problem:
            raise TypeError(
                f"model must be one that copy.deepcopy can copy, {got(model)}: {problem}"
            ) from problem
    for module in modules:
        for hooks in (getattr(module, name) for name in HOOKS):
            needed = {key: copy.deepcopy(hook, memo) for key, hook in hooks.items() if _is_needed(hook)}
            known[id(hooks)].update(needed)
    return twin.eval()


def tensors(model: nn.Module) -> list[Tensor]:
    """All parameters and buffers, from torch's private dictionaries of a module.

    The public ``parameters()`` and ``buffers()`` also make their names, which takes longer than a layer.
    """
    found, known, waiting = [], {id(model)}, [model]
    while waiting:
        module = waiting.pop()
        found += [*module._parameters.values(), *module._buffers.values()]
        fresh = [child for child in module._modules.values() if child is not None and id(child) not in known]
        known.update(map(id, fresh))
        waiting += fresh
    return [tensor for tensor in found if tensor is not None]


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Run a block with a model in eval mode; every module in it gets its own mode back afterwards."""
    modes = [(module, module.training) for module in model.modules()]
    try:
        model.eval()
        yield
    finally:
        for module, training in modes:
            module.training = training


@torch.no_grad()
def know(model: nn.Module, batches: Iterable[Tensor]) -> nn.Module:
    """The model in evaluation mode; its batch norms know the mean statistics of these batches, and of nothing else.

    As ``torch.optim.swa_utils.update_bn`` does it, which does not see the norms of escnn that are its own.
    """
    momenta = {each: each.momentum for each in model.modules() if _is_batch_norm(each)}
    if momenta:
        model.train()
        for norm in momenta:
            norm.reset_running_stats()
            norm.momentum = None  # the mean of all batches
        for batch in batches:
            model(batch)
        for norm, momentum in momenta.items():
            norm.momentum = momentum
    return model.eval()


def _is_batch_norm(module: nn.Module) -> bool:
    of_escnn = type(module).__module__.startswith("escnn.") and hasattr(module, "reset_running_stats")
    return of_escnn or isinstance(module, nn.modules.batchnorm._BatchNorm)


def nothing_compiled() -> contextlib.AbstractContextManager:
    """Compiled code calls no hooks. Where the compiler was never loaded, it need not be."""
    loaded = "torch._dynamo" in sys.modules
    return torch.compiler.set_stance("force_eager") if loaded else contextlib.nullcontext()


@contextmanager
def same_random_numbers() -> Iterator[None]:
    """Run a block that may draw random numbers; the next ones are the same as without it."""
    devices = range(torch.cuda.device_count() if torch.cuda.is_initialized() else 0)
    of_python, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    # Not beside a training in another thread, which would draw its numbers a second time.
    with torch.random.fork_rng(devices, enabled=not in_training()):
        try:
            yield
        finally:
            random.setstate(of_python)
            np.random.set_state(of_numpy)  # noqa: NPY002


def _mark(value: Any, objects: list[Any], module: nn.Module | None = None, depth: int = 5) -> Any:
    """A value that can be compared: numbers and words themselves, containers by what they hold, all else by its id."""
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, dict) and not value:  # most modules have nine of them, for hooks
        return {}
    small = depth and isinstance(value, (dict, list, tuple)) and len(value) <= LONG
    if small and isinstance(value, dict):
        names = [name for name in value if module is None or name != "training"]
        return (
            id(module),
            type(module),
            *names,
            *(_mark(value[name], objects, depth=depth - 1) for name in names),
        )
    if small:
        return [_mark(part, objects, depth=depth - 1) for part in value]
    objects.append(value)
    return id(value)


@torch.no_grad()
def _signs(weights: list[Tensor]) -> tuple[list[tuple], list[Tensor]]:
    """(what torch knows of each tensor, sums of its bits in columns of 8 bytes, and the bytes of the rest).

    Some ways to write weights (fused optimisers, ``.data``, numpy) do not count in ``_version``.
    """
    counts, small, sums = [], {}, []
    for tensor in weights:
        try:
            version = 0 if tensor.is_inference() else tensor._version
            counts.append((id(tensor), tensor.shape, tensor.dtype, tensor.device, version))
            bits = tensor.detach().reshape(-1).view(torch.uint8)
        except (RuntimeError, ValueError, NotImplementedError):  # sparse, or without numbers yet
            continue
        count, rest = bits.numel(), bits.numel() % (8 * COLUMNS)
        if rest < count and not bits.is_meta:
            large = bits[: count - rest]
            rows = (
                (large.clone() if large.storage_offset() % 8 else large).view(torch.int64).view(-1, COLUMNS)
            )
            numpy = rows.device.type == "cpu"  # which sums integers faster than torch
            sums.append(torch.from_numpy(rows.numpy().sum(axis=0)) if numpy else rows.sum(dim=0))
        if not bits.is_meta:
            small.setdefault(tensor.device, []).append(bits[count - rest :])
    return counts, [*map(torch.cat, small.values()), *sums]


def _is_needed(hook: Any) -> bool:
    """Is it a hook of torch, or one of ours, or a method with which a network looks at itself?"""
    while isinstance(hook, functools.partial):
        hook = hook.func
    homes = [getattr(hook, "__module__", None), *(kind.__module__ for kind in type(hook).__mro__)]
    own = isinstance(getattr(hook, "__self__", None), nn.Module)
    return own or any(str(home).startswith(("torch.", "eqssl_edu.")) for home in homes)


@contextmanager
def _put_back() -> Iterator[None]:
    """Run a block in which every network that this thread runs is in eval mode, and is put back afterwards."""
    me, before = threading.get_ident(), {}

    def first(network: nn.Module, _inputs: Any) -> None:
        if threading.get_ident() != me or network in before:
            return
        for module in network.modules():
            hooks = {name: getattr(module, name) for name in HOOKS}
            buffers = [(buffer, buffer.clone()) for buffer in module.buffers(recurse=False)]
            before.setdefault(module, ({"training": module.training, **hooks}, buffers))
            for name, known in hooks.items():
                needed = {key: hook for key, hook in known.items() if _is_needed(hook)}
                setattr(module, name, OrderedDict(needed))
        network.eval()  # some layers prepare their kernels then

    handle = register_module_forward_pre_hook(first)
    try:
        yield
    finally:
        handle.remove()
        for module, (settings, _) in before.items():
            module.train(settings["training"])
        for module, (settings, buffers) in before.items():
            for name, value in settings.items():
                setattr(module, name, value)
            for buffer, values in buffers:
                buffer.copy_(values)
