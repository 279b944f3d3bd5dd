"""Look at the feature maps inside any network without touching it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.diagnostics.escnn_maps import EscnnFields, envelopes, has_escnn, torch_inside_escnn
from eqssl_edu.diagnostics.group_axis import GroupAxis, find_order
from eqssl_edu.diagnostics.layouts import Layout, Output, Tokens, layouts, need_tokens, parts_of
from eqssl_edu.errors import got, need_instance
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.shapes import Image, Images
from eqssl_edu.twins import Twin, nothing_compiled

__all__ = ["FeatureRecorder", "Layer"]


class Layer(NamedTuple):
    """A place in a network where feature maps come out."""

    name: str
    kind: str  # class of the module
    channels: int
    group: FiniteGroup | None  # of the axis behind the channels; None if there is no such axis
    side: int  # of the square maps, in pixels
    convolves: bool


class _Found(BaseException):
    """Stops a forward pass behind the layer that was asked for. No ``except Exception`` in a model stops it."""


class _Called(nn.Module):
    """A network as a user calls it."""

    def __init__(self, network: nn.Module, call: Callable[[nn.Module, Tensor], object]) -> None:
        super().__init__()
        self.network, self.call = network, call

    def forward(self, images: Tensor) -> object:
        return self.call(self.network, images)


class FeatureRecorder:
    """The feature maps of every layer of any ``torch.nn.Module``.

    The network itself is never run. A copy of it runs (see ``Twin``), made again when a weight has changed. So the
    mode (train or eval), hooks and gradients of the network stay as they are, even while another thread trains it.

    Regular maps (B, C, |G|, H, W) keep their group axis where the user says so, or a module: the layer has a ``group``
    of that order, or a module around it, or the layer that ran before it. All other axes in front of the grid are
    channels: frames, depths and bands are no group. An axis of one element (C1) counts as none.
    escnn's modules are looked into as well, alone or inside other modules: their fields get a group axis.
    Channels may come last, tokens (B, N, D) may lie on a grid, and a layer may give a dict, a list or a dataclass: its
    first tensor that can be maps is taken. ``left_out`` says which layers are not shown, and why.

    Arguments:
        model: any network on images (B, C, H, W).
        image: (C, H, W), an example of what it takes.
        argument: how errors name the model.
        said: a group axis that no module says. If its order is None, it is measured with ``find_order``.
        split: ``said`` may also be in flattened axes (B, C |G|, H, W).
        tokens: the grid (height, width) of tokens (B, N, D), or how many come before those of the image; by default
            told from the maps of which they were made.
        forward: (model, images) -> any output, if the network takes more than images.
    """

    def __init__(
        self,
        model: nn.Module,
        image: Image,
        argument: str = "model",
        said: GroupAxis | None = None,
        split: bool = True,
        tokens: Tokens = None,
        forward: Callable[[nn.Module, Tensor], object] | None = None,
    ) -> None:
        need_instance(argument, model, nn.Module)
        if isinstance(model, torch.jit.ScriptModule):
            raise TypeError(
                f"{argument} must be the module as it was before scripting or tracing, {got(model)}"
            )
        need_tokens(tokens)
        need_instance("forward", forward, (Callable, type(None)))
        self.model, self.said = model, said
        self.measured: list[int] | None = None  # the order of elements, if only the axis was said
        self._copy = Twin(_Called(model, forward) if forward else model)
        self._wanted: str | None = None
        self._all: dict[str, Tensor] | None = None
        self._fields = EscnnFields() if has_escnn(model) else None
        problems = []
        for envelope in envelopes(self._copy.model):
            self._envelope = envelope
            try:
                self._run(torch.stack([image, image]))
                break
            except Exception as problem:
                problems.append(problem)
        else:
            name = "forward" if forward else argument
            message = f"{name} must run on the image, {got(image)}; it says: {problems[0]}"
            raise ValueError(message) from problems[0]
        if self._calls.keys() == {"forward"}:
            raise ValueError(
                f"forward must run the network that it is given, a copy of {argument}, {got(forward)}"
            )
        outputs = self._seen
        found = layouts(outputs, tokens, said, split, partial(self._wide_shapes, image))
        self._layouts = {name: layout for name, layout in found.items() if isinstance(layout, Layout)}
        self.left_out = {name: reason for name, reason in found.items() if isinstance(reason, str)}
        self.described = {output.name: output for output in outputs}
        self.layers = {name: self._layer(name) for name in self._layouts}
        if not self.layers:
            wanted = "(B, C, H, W) or (B, C, |G|, H, W) with H = W of at least 3"
            why = "".join(f"; {name!r} {reason}" for name, reason in list(self.left_out.items())[:3])
            raise ValueError(f"{argument} must have a layer with feature maps, {wanted}, {got(model)}{why}")
        if said and not any(layout.axis is said for layout in self._layouts.values()) and split:
            raise ValueError(
                f"group_axis must be an axis of {said.group.order} elements ({said.group.name}) of some maps, "
                f"got {said.axis}; channels are {sorted({layer.channels for layer in self.layers.values()})}"
            )
        if said:
            self._settle_order(image)

    @property
    def folded(self) -> bool:
        """Do layers have an axis more that nobody calls a group's?"""
        return any(
            len(self.described[name].shape) > 4 and not each.group for name, each in self.layers.items()
        )

    @property
    def version(self) -> int:
        """Grows when a weight has changed."""
        return self._copy.version

    def maps(self, images: Images, layer: str) -> Float[Tensor, "batch out *group out_height out_width"]:
        """The feature maps of one layer, on the network's device."""
        self._wanted, self._maps = layer, None
        try:
            self._run(images)
            if self._maps is None:
                raise ValueError(
                    f"layer must run for all images, got {layer!r}, which does not run for these"
                )
            return self._layouts[layer].read(self._maps)
        finally:
            self._wanted = self._maps = None

    def all_maps(self, images: Images) -> dict[str, Tensor]:
        """The feature maps of all layers that run, in one run, and vectors (B, ...) if the network gives such."""
        self._all = {}
        try:
            self._run(images)
            return self._all
        finally:
            self._all = None

    def find_order(self, layer: str, image: Image) -> list[int] | None:
        """The order of elements in which the group axis of a layer has no error, measured; see ``find_order``."""
        axis = self._layouts[layer].axis
        found = find_order(partial(self.maps, layer=layer), image[None], axis.group)
        return found and [found[g] for g in axis.order or axis.group.elements]

    @torch.no_grad()
    def _run(self, images: Tensor) -> None:
        if self._copy.renew():
            copy = self._copy.module
            self._network = copy.network if isinstance(copy, _Called) else copy
            hidden = torch_inside_escnn(self._network) if self._fields else set()
            for name, module in self._network.named_modules():
                if name not in hidden and not isinstance(module, torch.jit.ScriptModule):
                    module.register_forward_hook(partial(self._look, name or "output"))
            if copy is not self._network:
                copy.register_forward_hook(partial(self._look, "forward"))
        self._seen, self._calls, self._batch, self._last = [], {}, len(images), None
        self._said: FiniteGroup | None = None  # by the last layer with a group axis
        like = next((tensor for tensor in self._copy.weights if tensor.is_floating_point()), images)
        images = images.to(like.device, like.dtype, copy=True)
        with contextlib.suppress(_Found), nothing_compiled():
            self._copy.run(self._envelope(images))
        self._last = None

    def _look(self, name: str, module: nn.Module, _inputs: tuple, output: object) -> None:
        """A module has run: its maps are kept if they are wanted, or described in the first run."""
        call = self._calls[name] = self._calls.get(name, 0) + 1
        unique = name if call == 1 else f"{name} (call {call})"
        if self._all is not None:
            if unique in self._layouts:  # a copy: the next layer may work in place
                maps = self._part(parts_of(output)[self.described[unique].index])[0]
                self._all[unique] = self._layouts[unique].read(maps).clone()
            elif name in ("output", "forward") and isinstance(output, Tensor) and 1 < output.ndim < 4:
                self._all[unique] = output.clone()
        elif self._wanted == unique:
            self._maps = self._part(parts_of(output)[self.described[unique].index])[0]
            raise _Found
        elif self._wanted is None:
            self._describe(unique, name, module, parts_of(output))

    def _describe(self, unique: str, name: str, module: nn.Module, parts: list[object]) -> None:
        seen = [self._part(part) for part in parts]
        index = next((i for i, (_, _, trouble) in enumerate(seen) if not trouble), 0)
        tensor, group, trouble = seen[index] if seen else (None, None, "gives nothing")
        convolution = hasattr(module, "expand_parameters")  # escnn's, with the parts of its kernels inside
        container = not convolution and any(True for _ in module.children())
        if container and (trouble or parts[index] is self._last):
            return  # a container gives the very tensor of its last layer: it is known by that name
        kind = type(module).__name__
        if trouble:
            self._seen.append(Output(unique, kind, trouble=trouble))
            return
        self._last = parts[index]
        group = group or self._group(name, tensor)
        convolves = convolution or getattr(getattr(module, "weight", None), "ndim", 0) >= 4
        attends = tensor.shape[-1] == tensor.shape[-2] and bool((tensor >= 0).all())
        attends = attends and torch.allclose(tensor.sum(-1), tensor.new_ones(()), atol=0.02)
        self._seen.append(Output(unique, kind, tuple(tensor.shape), index, group, convolves, attends))

    def _part(self, part: object) -> tuple[Tensor | None, FiniteGroup | None, str]:
        """(tensor, the group of its axis 2 if escnn says it, why it can be no maps) of a part of an output."""
        if self._fields and self._fields.knows(part):
            return self._fields.maps(part)
        # e2cnn's fields, for one, keep their tensor so.
        part = part if isinstance(part, Tensor) else getattr(part, "tensor", None)
        if not isinstance(part, Tensor):
            return None, None, "gives no tensor"
        if not part.is_floating_point() or part.is_nested or part.layout != torch.strided:
            return None, None, f"gives {part.dtype} numbers, {part.layout}"
        if not part.ndim or len(part) != self._batch:
            return None, None, f"gives {tuple(part.shape)} for {self._batch} images"
        if part.ndim < 3:
            return None, None, f"gives (B{''.join(f', {n}' for n in part.shape[1:])}), no maps"
        return part, None, ""

    def _wide_shapes(self, image: Image) -> dict[str, tuple[int, ...]]:
        """What the layers give, as far as they run, for a picture that is twice as wide."""
        with contextlib.suppress(Exception):
            self._run(torch.cat([image, image], -1)[None].repeat(2, 1, 1, 1))
        return {output.name: output.shape for output in self._seen}

    def _layer(self, name: str) -> Layer:
        output, layout = self.described[name], self._layouts[name]
        channels = layout.read(torch.empty(output.shape, device="meta")).shape[1]
        group = layout.axis and layout.axis.group
        return Layer(name, output.kind, channels, group, layout.side, output.convolves)

    def _group(self, name: str, tensor: Tensor) -> FiniteGroup | None:
        """The group that a module says the axis behind the channels has: its own, or one around it, or before it."""
        if tensor.ndim == 3:
            return None
        order = tensor.shape[2] if tensor.ndim == 5 else 1
        parts = name.split(".") if name not in ("output", "forward") else []
        around = [self._network.get_submodule(".".join(parts[:n])) for n in range(len(parts), -1, -1)]
        said = [*(getattr(module, "group", None) for module in around), self._said]
        fitting = (g for g in said if isinstance(g, FiniteGroup) and g.order == order > 1)
        self._said = next(fitting, None)
        return self._said

    def _settle_order(self, image: Image) -> None:
        """The user has said a group axis, perhaps without the order of its elements: then it is measured."""
        told = [name for name, layout in self._layouts.items() if layout.axis is self.said]
        if told and self.said.order is None:
            orders = (self.find_order(name, image) for name in told[:3])
            self.measured = next(filter(None, orders), None)
            said = self.said._replace(order=self.measured)
            self._layouts |= {name: self._layouts[name]._replace(axis=said) for name in told}
