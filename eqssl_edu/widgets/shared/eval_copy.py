"""Copies of networks that can be looked at while the networks themselves are trained."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.errors import got, need_instance
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.shapes import Images

__all__ = ["EvalCopy", "need_encoder", "regular_features", "tensors"]

CHUNK = 256  # images that go through an encoder at once


class EvalCopy:
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


@torch.no_grad()
def regular_features(encoder: nn.Module, images: Images) -> Float[Tensor, "batch feature group"]:
    """Regular features in float64 on the CPU: what is computed of them adds no rounding of its own."""
    like = next((tensor for tensor in tensors(encoder) if tensor.is_floating_point()), images)
    try:
        parts = [encoder(chunk.to(like.device, like.dtype)) for chunk in images.split(CHUNK)]
    except RuntimeError as problem:
        raise ValueError(f"encoder must run on the images, {got(images)}; it says: {problem}") from problem
    order = encoder.group.order
    if not all(isinstance(part, Tensor) and part.ndim == 3 and part.shape[2] == order for part in parts):
        name = encoder.group.name
        raise ValueError(f"encoder must give regular features (B, C, {order}) for {name}, {got(parts[0])}")
    features = torch.cat(parts)
    if not features.isfinite().all():
        raise ValueError("encoder must give finite numbers, got infinities or NaN")
    return features.cpu().double()


def need_encoder(encoder: object) -> FiniteGroup:
    """The group of an encoder. Raises unless it has one that turns pixels into pixels, and more than the identity."""
    need_instance("encoder", encoder, nn.Module)
    group = getattr(encoder, "group", None)
    if not isinstance(group, FiniteGroup) or group.order == 1 or not group.exact_on_grid:
        name = group.name if isinstance(group, FiniteGroup) else repr(group)
        raise ValueError(f"encoder must have a .group out of C2, C4, D1, D2, D4, got {name}")
    return group
