"""What one call of a layer gives: a tensor that may hold maps, or the reason why it cannot."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from eqssl_edu.diagnostics.escnn_maps import EscnnFields
from eqssl_edu.groups import FiniteGroup

__all__ = ["Descriptions", "Output", "parts_of", "shown", "tensor_in"]

RANDOM = 0.05  # relative: two results for one image differ by no more (in bfloat16 by some roundings)


class Output(NamedTuple):
    """What one call of a layer has given."""

    name: str
    kind: str  # class of the module
    shape: tuple[int, ...] = ()
    index: int = 0  # of the tensor among all that it gave
    group: FiniteGroup | None = None  # of axis 2, as a module says
    convolves: bool = False
    attends: bool = False  # its rows sum to 1
    trouble: str = ""  # why these can be no maps


def parts_of(output: object) -> list[object]:
    """The tensors of a nested output (dict, list, dataclass), and whatever else is in it, in order."""
    if dataclasses.is_dataclass(output) and not isinstance(output, type):
        output = {field.name: getattr(output, field.name) for field in dataclasses.fields(output)}
    if isinstance(output, (Mapping, list, tuple)):
        parts = output.values() if isinstance(output, Mapping) else output
        return [part for each in parts for part in parts_of(each)]
    return [] if output is None else [output]


def tensor_in(
    part: object, batch: int, fields: EscnnFields | None
) -> tuple[Tensor | None, FiniteGroup | None, str]:
    """(tensor, the group of its axis 2 if escnn says it, why it can be no maps) of a part of an output."""
    if fields and fields.knows(part):
        return fields.maps(part)
    part = part if isinstance(part, Tensor) else getattr(part, "tensor", None)  # as e2cnn's fields keep it
    if not isinstance(part, Tensor):
        trouble = "gives no tensor"
    elif not part.is_floating_point() or part.is_nested or part.layout != torch.strided:
        trouble = f"gives {part.dtype} numbers, {part.layout}"
    elif not part.ndim or len(part) != batch:
        trouble = f"gives {tuple(part.shape)} for {batch} images"
    else:
        trouble = f"gives {shown(part.shape)}, no maps" if part.ndim < 3 else ""
    return part, None, trouble


def shown(shape: tuple[int, ...]) -> str:
    """A shape in words, such as (B, 4, 8)."""
    return f"(B{''.join(f', {n}' for n in shape[1:])})"


class Descriptions:
    """Writes down what the layers of a network give in one run, for one image twice, in the order of their calls."""

    def __init__(self, network: nn.Module, fields: EscnnFields | None, outputs: list[Output]) -> None:
        self._network, self._fields, self._outputs = network, fields, outputs
        self._last: object = None  # what the last layer has given
        self._said: FiniteGroup | None = None  # by the last layer with a group axis

    def add(self, name: str, module: nn.Module, output: object) -> None:
        """A module has run, in a call of this name."""
        parts = parts_of(output)
        seen = [tensor_in(part, 2, self._fields) for part in parts]
        index = next((i for i, (_, _, trouble) in enumerate(seen) if not trouble), 0)
        tensor, group, trouble = seen[index] if seen else (None, None, "gives nothing")
        convolution = hasattr(module, "expand_parameters")  # escnn's, with the parts of its kernels inside
        container = name == "forward" or (not convolution and any(True for _ in module.children()))
        if container and (trouble or parts[index] is self._last):
            return  # a container gives the very tensor of its last layer: it is known by that name
        kind = type(module).__name__
        if not trouble and _is_random(tensor):
            trouble = "gives something else when the same image comes twice"
        if trouble:
            self._outputs.append(Output(name, kind, trouble=trouble))
            return
        self._last = parts[index]
        group = group or self._group(name, tensor)
        convolves = convolution or getattr(getattr(module, "weight", None), "ndim", 0) >= 4
        shape = tuple(tensor.shape)
        self._outputs.append(Output(name, kind, shape, index, group, convolves, _attends(tensor)))

    def _group(self, name: str, tensor: Tensor) -> FiniteGroup | None:
        """The group that a module says the axis behind the channels has: its own, or one around it, or before it."""
        if tensor.ndim == 3:
            return None
        order = tensor.shape[2] if tensor.ndim == 5 else 1
        path = name.partition(" (call")[0]
        parts = path.split(".") if path not in ("output", "forward") else []
        around = [self._network.get_submodule(".".join(parts[:n])) for n in range(len(parts), -1, -1)]
        said = [*(getattr(module, "group", None) for module in around), self._said]
        self._said = next((g for g in said if isinstance(g, FiniteGroup) and g.order == order > 1), None)
        return self._said


def _is_random(maps: Tensor) -> bool:
    """Do the two results for one image differ? NaN is said elsewhere."""
    first, second = maps[:2].float()
    return bool((first - second).norm() > RANDOM * first.norm())


def _attends(maps: Tensor) -> bool:
    """Are the last two axes a matrix whose rows sum to 1?"""
    square = maps.shape[-1] == maps.shape[-2] and bool((maps >= 0).all())
    return square and torch.allclose(maps.sum(-1), maps.new_ones(()), atol=0.02)
