"""Look at the feature maps inside any network without touching it."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.diagnostics.escnn_maps import EscnnFields, has_escnn, torch_inside_escnn
from eqssl_edu.errors import got, need_instance
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.shapes import Image, Images
from eqssl_edu.twins import Twin

__all__ = ["FeatureRecorder", "Layer"]

SMALLEST_SIDE = 3  # the centred disc, in which maps are compared, is empty on 2 x 2


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


class FeatureRecorder:
    """The feature maps of every layer of any ``torch.nn.Module``.

    The network itself is never run. A copy of it runs: the same modules around the *same* parameters and buffers.
    So the mode (train or eval), hooks and gradients of the network stay as they are, even while another thread
    trains it, and the copy always shows the current weights.

    Regular maps (B, C, |G|, H, W) keep their group axis where a module says so: the layer has a ``group`` of that
    order, or a module around it, or the layer that ran before it. All other axes in front of the grid are channels:
    frames, depths and bands are no group. An axis of one element (C1) counts as none.
    escnn's modules are looked into as well, alone or inside other modules: their fields get a group axis.

    Arguments:
        model: any network on images (B, C, H, W).
        image: (C, H, W), an example of what it takes.
        argument: how errors name the model.
    """

    def __init__(self, model: nn.Module, image: Image, argument: str = "model") -> None:
        need_instance(argument, model, nn.Module)
        self.model = model
        self._copy = Twin(model, share=True)
        self._wanted: str | None = None
        self._outputs: dict[str, Tensor | Layer] = {}
        self._fields = EscnnFields() if has_escnn(model) else None
        try:
            self._run(image[None])
        except Exception as problem:
            message = f"{argument} must run on the image, {got(image)}; it says: {problem}"
            raise ValueError(message) from problem
        self.layers: dict[str, Layer] = dict(self._outputs)
        if not self.layers:
            wanted = f"(B, C, H, W) or (B, C, |G|, H, W) with H = W of at least {SMALLEST_SIDE}"
            raise ValueError(f"{argument} must have a layer with feature maps, {wanted}, {got(model)}")

    @property
    def version(self) -> tuple | None:
        """Changes when a weight has changed."""
        return self._copy.version

    def maps(self, images: Images, layer: str) -> Float[Tensor, "batch out *group out_height out_width"]:
        """The feature maps of one layer, on the network's device."""
        self._wanted = layer
        try:
            self._run(images)
            maps = self._outputs[layer]
        finally:
            self._wanted, self._outputs = None, {}
        return maps if self.layers[layer].group else maps.flatten(1, -3)

    @torch.no_grad()
    def _run(self, images: Tensor) -> None:
        if self._copy.renew():
            hidden = torch_inside_escnn(self._copy.module) if self._fields else set()
            for name, module in self._copy.module.named_modules():
                if name not in hidden:
                    module.register_forward_hook(partial(self._look, name or "output"))
        self._outputs, self._calls, self._batch, self._last = {}, {}, len(images), None
        self._said: FiniteGroup | None = None  # by the last layer with a group axis
        like = next((tensor for tensor in self._copy.weights if tensor.is_floating_point()), images)
        images = images.to(like.device, like.dtype)
        fields = getattr(self._copy.module, "in_type", None) if self._fields else None
        with contextlib.suppress(_Found):
            self._copy.module(images if fields is None else fields(images))
        self._last = None

    def _look(self, name: str, module: nn.Module, _inputs: tuple, output: object) -> None:
        """A module has run: its maps are kept if they are wanted, or described in the first run."""
        plain, group = output, None
        if self._fields and self._fields.knows(output):
            plain = output.tensor
            output, group = self._fields.maps(output) or (None, None)
        if not isinstance(output, Tensor) or output.ndim not in (4, 5):
            return
        if plain is self._last and any(True for _ in module.children()):
            return  # a container gives the very tensor of its last layer: it is known by that name
        height, width = output.shape[-2:]
        if len(output) != self._batch or height != width or width < SMALLEST_SIDE:
            return
        self._last = plain
        call = self._calls[name] = self._calls.get(name, 0) + 1
        unique = name if call == 1 else f"{name} (call {call})"
        if self._wanted == unique:
            self._outputs[unique] = output
            raise _Found
        if self._wanted is None:
            group = group or self._group(name, output)
            convolves = getattr(getattr(module, "weight", None), "ndim", 0) >= 4
            convolves |= hasattr(module, "expand_parameters")  # escnn's convolutions
            kind = type(module).__name__
            channels = output.shape[1] if group else output[0].numel() // width**2
            self._outputs[unique] = Layer(unique, kind, channels, group, width, convolves)

    def _group(self, name: str, output: Tensor) -> FiniteGroup | None:
        """The group that a module says the axis behind the channels has: its own, or one around it, or before it."""
        order = output.shape[2] if output.ndim == 5 else 1
        parts = name.split(".") if name != "output" else []
        around = [self._copy.module.get_submodule(".".join(parts[:n])) for n in range(len(parts), -1, -1)]
        said = [*(getattr(module, "group", None) for module in around), self._said]
        fitting = (g for g in said if isinstance(g, FiniteGroup) and g.order == order > 1)
        self._said = next(fitting, None)
        return self._said
