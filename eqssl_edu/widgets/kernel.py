"""KernelExplorer: drag a weight of a group convolution and see all its transformed copies change."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.errors import got, need_integer, need_number, typed
from eqssl_edu.layers import GroupConv2d, LiftingConv2d
from eqssl_edu.tables import table
from eqssl_edu.widgets.shared.base import Explorer, front_end
from eqssl_edu.widgets.shared.checks import need_square
from eqssl_edu.widgets.shared.frozen_page import product_of
from eqssl_edu.widgets.shared.pixels import to_bytes

__all__ = ["KernelExplorer", "compute", "default_image", "round_up"]

# A move sends at most 60 KB: the planes of the input and of the output, a byte each, and the copies.
MAX_SIDE = 48  # of the image, with its padding, in pixels
MAX_KERNEL = 7
TIE = 5e-4  # responses that are so close look the same, with three decimals

Layer = LiftingConv2d | GroupConv2d


@torch.no_grad()
def compute(layer: Layer, image: Float[Tensor, "*axes"], state: dict[str, Any]) -> dict[str, Any]:
    """What the explorer shows in a state.

    Arguments:
        layer: with the weights that are to be seen.
        image: an input of the layer without its batch axis: (C, H, W), or (C, |G|, H, W) for a GroupConv2d.
        state: see ``KernelExplorer``; its "kernel" is not read, the layer's is.

    Returns:
        "copies": the |G| copies of the chosen filter out of ``expanded_weight()`` as float32, (|G|, planes,
        k, k); "window": row and column of the window's upper left corner in the padded input; "patch": what it
        reads, float32, (planes, k, k); "responses": for each copy its sum with the patch of every channel and
        the bias, computed by hand; "best": the copies with the largest one, none if all are alike; "shares":
        the part of it that comes from the chosen input channel; "output": the layer's own numbers there;
        "input" and "maps": the planes of the chosen channels as bytes.
    """
    order, k = layer.group.order, layer.kernel_size
    lifting = isinstance(layer, LiftingConv2d)
    planes = 1 if lifting else order
    into, out, row, column = (state[key] for key in ("in_channel", "out_channel", "row", "column"))
    image = image.to(layer.weight)  # the layer may have been moved to another device
    x = F.pad(image[:, None] if lifting else image, [layer.padding] * 4)
    top, left = row * layer.stride, column * layer.stride
    patch = x[..., top : top + k, left : left + k]  # (C, planes, k, k)
    shape = (layer.out_channels, order, layer.in_channels, planes, k, k)
    copies = layer.expanded_weight().reshape(shape)[out]  # (|G|, C, planes, k, k)
    products = (copies * patch).flatten(2).sum(dim=2)  # (|G|, C)
    bias = 0.0 if layer.bias is None else float(layer.bias[out])
    responses = products.sum(dim=1) + bias
    best = (responses > responses.max() - TIE).nonzero().flatten().tolist()
    maps = layer(image[None])[0, out]
    reach = float(maps.abs().max()) or 1.0
    low, high = float(x.min()), float(x.max())
    return {
        "state": dict(state),
        "copies": _floats(copies[:, into]),
        "window": [top, left],
        "patch": _floats(patch[into]),
        "responses": responses.tolist(),
        "best": best if len(best) < order or order == 1 else [],
        "shares": products[:, into].tolist(),
        "output": maps[:, row, column].tolist(),
        "input": to_bytes(x[into], low, high),
        "input_limits": [low, high],
        "input_side": x.shape[-1],
        "maps": to_bytes(maps, -reach, reach),
        "map_reach": reach,
        "map_side": maps.shape[-1],
        "bias": bias,
    }


def round_up(value: float) -> float:
    """The next of 0.1, 0.2, 0.5, 1, 2, 5, ... that is at least so large; 1 for 0.

    Example:
        >>> round_up(0.7), round_up(3.1)
        (1.0, 5.0)
    """
    if not value:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(factor * power for factor in (1.0, 2.0, 5.0, 10.0) if factor * power >= value * (1 - 1e-9))


def default_image(layer: Layer) -> Float[Tensor, "*axes"]:
    """A digit for every input channel; for a group convolution its maps under a bar in all orientations."""
    from eqssl_edu.data import digits

    digit = digits(16).test.images[4]
    images = digit.expand(layer.in_channels, -1, -1)
    if isinstance(layer, LiftingConv2d):
        return images
    bar = digit.new_tensor([[0, 0, 0], [1, 1, 1], [-1, -1, 0]])  # no symmetry: every copy is another one
    copies = torch.stack([layer.group.transform(bar, g) for g in layer.group.elements])[:, None]
    return F.conv2d(images[:, None], copies, padding=1).relu()


def _floats(tensor: Tensor) -> bytes:
    return tensor.detach().cpu().float().numpy().tobytes()


class KernelExplorer(Explorer):
    """Change a weight of a layer by hand, see all transformed copies change, and read a place of an image.

    The explorer works on the layer itself: its weights are what the hand makes them. ``kernel=None`` (the
    button "Reset this filter") brings a filter back to what it was when the explorer was made.

    The state: ``out_channel`` and ``in_channel`` (which filter), ``kernel`` (its weights as a flat list, in the
    order of ``layer.weight[out_channel, in_channel]``), ``row`` and ``column`` (the place in the output).

    Arguments:
        layer: a LiftingConv2d or a GroupConv2d with windows of at most 7 x 7.
        image: an input of the layer without its batch axis, (C, H, W) or (C, |G|, H, W), square; by default a
            digit, or its maps under one small filter.

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> layer = LiftingConv2d(cyclic(4), 1, 1, kernel_size=3)
        >>> explorer = KernelExplorer(layer, torch.rand(1, 9, 9))
        >>> explorer.set_state(kernel=[1.0, 2.0, 1.0, 0.0, 0.0, 0.0, -1.0, -2.0, -1.0])
        >>> layer.weight[0, 0, 0].tolist()
        [1.0, 2.0, 1.0]
    """

    _esm, _css = front_end("kernel")

    @typed
    def __init__(self, layer: Layer, image: Float[Tensor, "*axes"] | None = None) -> None:
        need_integer("layer.kernel_size", layer.kernel_size, most=MAX_KERNEL)
        self.layer = layer
        weight = layer.weight.detach()
        self._first = weight.clone()
        self._reach = round_up(1.25 * float(weight.abs().max()))  # of the colours, and of the hand
        self.image = _checked_image(layer, default_image(layer) if image is None else image)
        last = (self.image.shape[-1] + 2 * layer.padding - layer.kernel_size) // layer.stride
        places = range(last + 1)
        channels = {"in_channel": layer.in_channels, "out_channel": layer.out_channels}
        self.choices = {"row": places, "column": places, **{key: range(n) for key, n in channels.items()}}
        group = layer.group
        facts = {
            "group": group.name,
            "names": [group.element_name(g) for g in group.elements],
            # [g][h] = g^-1 h: which plane of the base filter stands at plane h of copy g
            "sources": group.product[group.inverse].tolist(),
            "lifting": isinstance(layer, LiftingConv2d),
            "channels": channels,
            "kernel_size": layer.kernel_size,
            "padding": layer.padding,
            "stride": layer.stride,
            "places": len(places),
            "table": _table(layer),
            "editable": True,
        }
        state = {"out_channel": 0, "in_channel": 0, "kernel": [], "row": last // 2, "column": last // 2}
        self._state = state  # check() reads the channels
        super().__init__(facts, {**state, **self.check({"out_channel": 0})})

    def responses(self) -> list[float]:
        """What each copy answers at the chosen place, over all input channels and with the bias."""
        return list(self.values["responses"])

    def check(self, changes: dict[str, Any]) -> dict[str, Any]:
        """The changes of the state, checked; the kernel is the layer's unless the change brings another one."""
        changes = super().check(changes)
        out, into = ({**self._state, **changes}[key] for key in ("out_channel", "in_channel"))
        kernel = changes.get("kernel", self.layer.weight[out, into])
        if kernel is None:
            kernel = self._first[out, into]
        if isinstance(kernel, Tensor):
            kernel = kernel.detach().flatten().tolist()
        size = self._first[out, into].numel()
        if not isinstance(kernel, (list, tuple)) or len(kernel) != size:
            raise ValueError(f"kernel must be a list of {size} numbers or None, {got(kernel)}")
        own = self._first.new_tensor([need_number("kernel", value) for value in kernel])
        if not own.isfinite().all():
            raise ValueError(f"kernel must hold numbers of the layer's type, {own.dtype}, {got(kernel)}")
        return {**changes, "kernel": own.tolist()}

    def show(self, state: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """Give the layer the kernel of the state; what it looks like then, and the sentence that says it."""
        weight = self.layer.weight
        own = weight.detach()[state["out_channel"], state["in_channel"]]
        kernel = own.new_tensor(state["kernel"]).reshape(own.shape)
        before = own.clone()
        try:
            if not torch.equal(own, kernel):  # moving the window must not disturb a training
                own.copy_(kernel)
            values = compute(self.layer, self.image, state)
            if not all(map(math.isfinite, values["responses"])):
                raise ValueError(f"kernel must give finite answers, got {values['responses']}")
        except BaseException:  # the layer is the user's
            own.copy_(before)
            raise
        values["reach"] = max(self._reach, round_up(float(weight.detach().abs().max())))
        return values, (
            f"Filter from input channel {state['in_channel'] + 1} to output channel {state['out_channel'] + 1}. "
            f"Window at row {state['row'] + 1}, column {state['column'] + 1}: {self._loudest(values)}."
        )

    def _loudest(self, values: dict[str, Any]) -> str:
        """Which copies give the largest answer; none where all say the same."""
        largest = f"{round(max(values['responses']), 3) + 0.0:.3f}"  # + 0.0: no minus sign before zeros
        names = [self.layer.group.element_name(g) for g in values["best"]]
        if not names:
            return f"all {len(values['responses'])} copies answer {largest}"
        copies, verb = ("copy", "gives") if len(names) == 1 else ("copies", "give")
        return f"{copies} {' and '.join(names)} {verb} the largest answer, {largest}"

    def frozen_states(self) -> list[dict[str, Any]]:
        """Every place of the window, for the filter that is shown now."""
        return product_of(row=self.choices["row"], column=self.choices["column"])

    def frozen_facts(self, states: list[dict[str, Any]]) -> dict[str, Any]:
        """The facts of a page: one filter, that cannot be changed."""
        return {**self.facts, "editable": False}


@table
def _table(layer: Layer) -> list[list[int]]:
    """[g][i]: which weight of the base filter, flat, stands at entry i of copy g."""
    shape = layer.weight.shape[2:]
    entries = torch.arange(shape.numel()).reshape(shape)
    move = layer.group.transform if isinstance(layer, LiftingConv2d) else layer.group.transform_maps
    return [move(entries, g).flatten().tolist() for g in layer.group.elements]


def _checked_image(layer: Layer, image: object) -> Tensor:
    planes = (layer.group.order,) if isinstance(layer, GroupConv2d) else ()
    image = need_square("image", image, layer.in_channels, *planes, "H", "W")
    side = image.shape[-1] + 2 * layer.padding
    if not layer.kernel_size <= side <= MAX_SIDE:
        wanted = f"{layer.kernel_size} .. {MAX_SIDE} pixels wide with its padding"
        raise ValueError(f"image must be {wanted}, got {side}")
    return image.to(layer.weight.detach())
