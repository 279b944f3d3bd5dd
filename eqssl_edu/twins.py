"""Copies of networks that can be looked at while the networks themselves are trained."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from eqssl_edu.ownership import steady

__all__ = ["Twin", "eval_mode", "tensors"]


class Twin:
    """A copy of a network in eval mode. The mode, the hooks and the gradients of the network stay as they are.

    Arguments:
        model: the network.
        share: the copy has the very weights of the network, also while they are trained; otherwise it has weights
            of its own, which a training in another thread cannot change between two moves of the hand.
    """

    def __init__(self, model: nn.Module, share: bool = False) -> None:
        self.model, self.share = model, share
        self.module: nn.Module | None = None  # the copy
        self.weights: list[Tensor] = []  # of the network, when it was last looked at
        self.version: tuple | None = None  # changes when a weight has changed
        self._kept: tuple[tuple | None, Any] = (None, None)  # version, and what was computed with its weights

    def renew(self) -> bool:
        """Copy the network again if a weight has changed since the last call; whether it was so."""
        self.weights = tensors(self.model)
        # Torch counts in ``_version``, which has no public name, how often a tensor has been changed in place.
        version = tuple((id(tensor), tensor._version, tensor.device) for tensor in self.weights)
        if version == self.version:
            return False
        # What deepcopy finds in the memo it does not copy. Tensors that a module keeps as plain attributes are
        # always shared: they may be part of a graph, which cannot be copied.
        kept = [value for module in self.model.modules() for value in vars(module).values()]
        shared = (*kept, *self.weights) if self.share else kept
        memo = {id(value): value for value in shared if isinstance(value, Tensor)}
        # In eval mode some layers prepare their kernels, so that new weights need a new copy.
        with steady(self.model):
            self.module = copy.deepcopy(self.model, memo).eval()
        self.version = version
        return True

    def kept(self, compute: Callable[[nn.Module], Any]) -> Any:
        """``compute(copy)``, computed again only when a weight of the network has changed."""
        self.renew()
        if self._kept[0] != self.version:
            self._kept = (self.version, compute(self.module))
        return self._kept[1]


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
