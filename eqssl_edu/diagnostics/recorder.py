"""Look at the feature maps inside any network without touching it."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Collection
from functools import partial
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.diagnostics.escnn_maps import EscnnFields, envelopes, has_escnn, torch_inside_escnn
from eqssl_edu.diagnostics.group_axis import GroupAxis
from eqssl_edu.diagnostics.layouts import Layout, Tokens, is_ambiguous, layouts, need_tokens
from eqssl_edu.diagnostics.orders import Columns, turned_noise
from eqssl_edu.diagnostics.outputs import Descriptions, Output, parts_of, tensor_in
from eqssl_edu.errors import got, need_instance, within_transform
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.shapes import Image, Images
from eqssl_edu.twins import Twin, nothing_compiled, same_random_numbers

__all__ = ["FeatureRecorder", "Layer"]

ENDS = ("output", "forward")  # how the network itself is named, and what calls it
FEW = 3  # layers with an axis of their own are asked for the order of its elements


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
        said: a group axis that no module says. If its order is None, it is measured with ``find_order``. It may also
            be in flattened axes (B, C |G|, H, W), where their columns are seen to move.
        needed: raise if ``said`` fits no layer.
        tokens: the grid (height, width) of tokens (B, N, D), or how many come before those of the image; by default
            told from the maps of which they were made.
        forward: (model, images) -> any output, if the network takes more than images.
        need_maps: refuse a network in which no layer gives maps.
    """

    def __init__(
        self,
        model: nn.Module,
        image: Image,
        argument: str = "model",
        said: GroupAxis | None = None,
        needed: bool = True,
        tokens: Tokens = None,
        forward: Callable[[nn.Module, Tensor], object] | None = None,
        need_maps: bool = True,
    ) -> None:
        need_instance(argument, model, nn.Module)
        if isinstance(model, torch.jit.ScriptModule):
            raise TypeError(
                f"{argument} must be the module as it was before scripting or tracing, {got(model)}"
            )
        need_tokens(tokens)
        need_instance("forward", forward, (Callable, type(None)))
        self.model, self.said, self._forward = model, said, forward
        self.measured: list[int] | None = None  # the order of elements, if it was not said
        self.still: list[str] = []  # layers with channels for the axis that was said, which do not move so
        self._copy = Twin(model)
        self._fields = EscnnFields() if has_escnn(model) else None
        outputs, grown = self._first_run(image, argument), []
        if any(map(is_ambiguous, outputs)):
            wide = torch.cat([image, image], -1)
            with contextlib.suppress(Exception):  # a network that wants one size tells as much as it has run
                self._run(torch.stack([wide, wide]), grown)
        found = layouts(outputs, tokens, {output.name: output.shape for output in grown})
        self._layouts = {name: layout for name, layout in found.items() if isinstance(layout, Layout)}
        self.left_out = {name: reason for name, reason in found.items() if isinstance(reason, str)}
        self.described = {output.name: output for output in outputs}
        if need_maps and not self._layouts:
            wanted = "(B, C, H, W) or (B, C, |G|, H, W) with H = W of at least 3"
            why = "".join(f"; {name!r} {reason}" for name, reason in list(self.left_out.items())[:3])
            raise ValueError(f"{argument} must have a layer with feature maps, {wanted}, {got(model)}{why}")
        if said:
            self._settle(image, needed)
        self.layers = {name: self._layer(name) for name in self._layouts}

    @property
    def version(self) -> int:
        """Grows when a weight has changed."""
        return self._copy.version

    def maps(self, images: Images, layer: str) -> Float[Tensor, "batch out *group out_height out_width"]:
        """The feature maps of one layer, on the network's device."""
        found = self.all_maps(images, {layer})
        if layer not in found:
            raise ValueError(f"layer must run for all images, got {layer!r}, which does not run for these")
        return found[layer]

    def all_maps(self, images: Images, layers: Collection[str] | None = None) -> dict[str, Tensor]:
        """The maps of these layers as far as they run, in one run.

        By default all, and vectors (B, ...) that the network gives, or a module that has their group or labels.
        """
        self._renew()
        return self._maps_of(images, layers or {*self._layouts, *ENDS})

    def columns(self, layers: list[str], image: Image) -> dict[str, Columns]:
        """How the columns of these layers, which have one group, move with an image: measured on noise like it."""
        self._renew()  # once: all turns are seen with the same weights, also while the network is trained
        found: dict[str, Columns] = {}
        group = self._layouts[layers[0]].axis.group
        for g, noise in turned_noise(image[None], group):
            for name, maps in self._maps_of(noise, layers).items():
                found.setdefault(name, Columns(group, maps)).add(g, maps)
        return found

    def other_order(self, layer: str, image: Image) -> list[int] | None:
        """Another order of elements than the present one, in which the group axis of a layer has no error."""
        axis = self._layouts[layer].axis
        found, present = self.columns([layer], image)[layer].order(), list(axis.group.elements)
        return [found[g] for g in axis.order or present] if found and found != present else None

    def _first_run(self, image: Image, argument: str) -> list[Output]:
        """What the layers give, for one image twice."""
        self._renew()
        problems = []
        for envelope in envelopes(self.model):
            self._envelope = envelope
            try:
                self._run(torch.stack([image, image]), outputs := [])
                break
            except Exception as problem:
                problems.append(problem)
        else:
            name = "forward" if self._forward else argument
            message = f"{name} must run on the image, {got(image)}; it says: {problems[0]}"
            raise ValueError(message) from problems[0]
        if self._calls.keys() == {"forward"}:
            raise ValueError(
                f"forward must run the network that it is given, a copy of {argument}, {got(self._forward)}"
            )
        return outputs

    def _maps_of(self, images: Images, layers: Collection[str]) -> dict[str, Tensor]:
        self._wanted, self._kept = set(layers), {}
        self._run(images)
        kept, self._kept = self._kept, {}
        return kept

    def _renew(self) -> None:
        """Copy the network again if it has changed."""
        if self._copy.renew():
            hidden = torch_inside_escnn(self._copy.module) if self._fields else set()
            for name, module in self._copy.module.named_modules():
                if name not in hidden and not isinstance(module, torch.jit.ScriptModule):
                    module.register_forward_hook(partial(self._look, name or "output"))

    @torch.no_grad()
    def _run(self, images: Tensor, outputs: list[Output] | None = None) -> None:
        """Run the copy: outputs are described, or kept where they are wanted."""
        self._calls, self._batch = {}, len(images)
        self._seen = None if outputs is None else Descriptions(self._copy.module, self._fields, outputs)
        like = next((tensor for tensor in self._copy.weights if tensor.is_floating_point()), images)
        images = self._envelope(images.to(like.device, like.dtype, copy=True))
        with contextlib.suppress(_Found), nothing_compiled(), same_random_numbers():
            if self._forward is None:
                self._copy.module(images)
            else:
                output = self._forward(self._copy.module, images)
                self._look("forward", self._copy.module, (), output)
        self._seen = None

    def _look(self, name: str, module: nn.Module, _inputs: tuple, output: object) -> None:
        """A module has run: its maps are kept if they are wanted, or described in the first run."""
        if within_transform():  # such as vmap, inside of which there are no numbers to look at
            return
        call = self._calls[name] = self._calls.get(name, 0) + 1
        unique = name if call == 1 else f"{name} (call {call})"
        if self._seen:
            self._seen.add(unique, module, output)
            return
        if unique in self._wanted and unique in self._layouts:  # a copy: the next layer may work in place
            part = parts_of(output)[self.described[unique].index]
            maps, _, _ = tensor_in(part, self._batch, self._fields)
            self._kept[unique] = self._layouts[unique].read(maps).clone()
        elif self._wanted.issuperset(ENDS) and self._are_vectors(name, module, output):
            self._kept[unique] = output.clone()
        if self._kept.keys() == self._wanted:
            raise _Found

    def _are_vectors(self, name: str, module: nn.Module, output: object) -> bool:
        """Vectors at the end of the network, or such that a module says how they move: its group, its labels."""
        is_one = isinstance(output, Tensor) and output.is_floating_point()
        if not is_one or not 1 < output.ndim < 4 or len(output) != self._batch:
            return False
        group, labels = getattr(module, "group", None), getattr(module, "labels", None)
        features = output.shape[2:] == (getattr(group, "order", 0),)
        return name in ENDS or features or output.shape[1:] == (getattr(labels, "size", 0),)

    def _layer(self, name: str) -> Layer:
        output, layout = self.described[name], self._layouts[name]
        channels = layout.read(torch.empty(output.shape, device="meta")).shape[1]
        group = layout.axis and layout.axis.group
        return Layer(name, output.kind, channels, group, layout.side, output.convolves)

    def _settle(self, image: Image, needed: bool) -> None:
        """The user has said a group axis: where is it, and in which order, if that is not said?"""
        said = self.said
        grids = {
            name: layout.grid_last(torch.empty(self.described[name].shape, device="meta"))
            for name, layout in self._layouts.items()
        }
        told = [name for name, grid in grids.items() if said.place(grid)]
        if not told and needed:
            raise ValueError(
                f"group_axis must be an axis of {said.group.order} elements ({said.group.name}) of some maps, "
                f"got {said.axis}; channels are {sorted({math.prod(grid.shape[1:-2]) for grid in grids.values()})}"
            )
        self._layouts |= {name: self._layouts[name]._replace(axis=said) for name in told}
        flat = [name for name in told if grids[name].ndim == 4]
        own = [name for name in told if grids[name].ndim == 5]
        measured = [*flat, *own[: FEW if said.order is None else 0]]
        columns = self.columns(measured, image) if measured else {}
        self.still = [name for name in flat if not columns[name].move()]
        if said.order is None:
            orders = (columns[name].order() for name in measured if name not in self.still)
            self.measured = next(filter(None, orders), None)
        axis = said._replace(order=said.order or self.measured)
        for name in told:
            self._layouts[name] = self._layouts[name]._replace(axis=None if name in self.still else axis)
