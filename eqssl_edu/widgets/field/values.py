"""What a FieldExplorer shows, as pure functions: state in, numbers and pictures out."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.nn.modules.batchnorm import _BatchNorm

from eqssl_edu.diagnostics import nearest_element, rotation_error, turn_maps
from eqssl_edu.diagnostics.recorder import FeatureRecorder, Layer
from eqssl_edu.errors import all_finite
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.rotate import disc_mask, rotate
from eqssl_edu.shapes import Image
from eqssl_edu.widgets.shared.pixels import extremes, shrink, to_bytes, to_screen

__all__ = ["CHANNELS", "LAYERS", "Network", "Sizes", "compute", "element_label", "error_text", "errors_at"]

# A move sends at most 60 KB: the image, the maps of all networks, and about 2 KB of text.
IMAGE_SIDE = 80  # pixels; 19 KB with three colours
MAP_SIDE = 32  # pixels
MAP_BYTES = 36_000  # the maps of all networks together
ROWS, FEW_ROWS = 4, 2  # of maps for each network; few if two with a long group axis share a screen
WRONG = 1e-3  # an error at a quarter turn from which on another order of elements is looked for


State = dict[str, Any]  # see FieldExplorer


class Sizes(NamedTuple):
    """How large the pictures are that are shown."""

    image: int = IMAGE_SIDE  # pixels
    maps: int = MAP_BYTES


LAYERS = ("layer", "compare_layer")  # the entries of the state that belong to each network
CHANNELS = ("channel", "compare_channel")


class Network:
    """A network that is looked at, and what it is called. It keeps the maps of the upright image."""

    def __init__(self, name: str, recorder: FeatureRecorder) -> None:
        self.name, self.recorder = name, recorder
        self._kept: tuple[Any, ...] = ()  # image, layer, version of the weights, maps
        # Without running statistics the maps of an image depend on those of the batch.
        norms = [module for module in recorder.model.modules() if isinstance(module, _BatchNorm)]
        self._in_pairs = any(norm.running_mean is None for norm in norms)
        # By layer and version of the weights: another order of elements, which fits.
        self._orders: dict[tuple[str, int], list[int] | None] = {}

    def observe(self, layer: Layer, image: Image, turned: Image, state: State) -> tuple[Tensor, Tensor]:
        """(the maps that the angle is to turn, the maps of the turned image), both with a batch axis."""
        key = (id(image), layer.name)
        known = self._kept[:2] == key and not self._in_pairs
        if known:
            maps = self.recorder.maps(turned[None], layer.name)
        if not known or self._kept[2] != self.recorder.version:
            # Both images in one batch: both maps belong to the weights of the same moment, also in a training.
            upright, maps = self.recorder.maps(torch.stack([image, turned]), layer.name).split(1)
            # The image is kept too, so that no other one gets its id.
            self._kept = (*key, self.recorder.version, upright, image)
        upright = self._kept[3]
        if state["angle"] % 360 == 0 and not state["mirror"]:
            maps = upright  # the very same image: not even rounding may differ
        return (_mirror_maps(upright, layer.group) if state["mirror"] else upright), maps

    def telling_channel(self, layer: Layer, image: Image) -> int:
        """The first of the channels whose maps differ most along the group axis: they are seen to move by a place."""
        if not layer.group:
            return 0
        maps = self.recorder.maps(image[None], layer.name)[0].float().nan_to_num(0.0, 0.0, 0.0)
        apart = (maps - maps.mean(1, keepdim=True)).square().mean((1, 2, 3)).sqrt()
        share = apart / maps.abs().amax((1, 2, 3)).clamp_min(1e-12)
        pages = share.unfold(0, min(ROWS, len(share)), 1)
        return int(
            (pages / torch.arange(1, pages.shape[1] + 1).to(pages)).sum(1).argmax()
        )  # first rows count more

    def remark(self, layer: Layer, image: Image, error: float, angle: float) -> str:
        """What the number alone does not say: why there is none, or that elements stand in another order; or ""."""
        if not math.isfinite(error):
            what = "NaN or infinity" if math.isnan(error) else "nothing but 0 for the upright one"
            return f"Layer {layer.name!r} gives {what} on this image"
        if not layer.group or angle % 90 or not error > WRONG:
            return ""
        order = self._other_order(layer, image)
        return f"order={order} has error 0" if order else ""

    def live_facts(self, image: Image) -> dict[str, Any]:
        """What a page that computes has to know: its name, and of each layer how its maps turn."""
        layers = {}
        for name, layer in self.recorder.layers.items():
            facts = {
                "channels": layer.channels,
                "side": layer.side,
                "group": None,
                "columns": [],
                "order": None,
            }
            if layer.group:
                shift = layer.group.product[layer.group.inverse].tolist()
                sizes = {"order": layer.group.order, "rotations": layer.group.rotations}
                facts["group"] = {**sizes, "reflections": layer.group.reflections, "shift": shift}
                facts["columns"] = [element_label(layer.group, g) for g in layer.group.elements]
                facts["order"] = self._other_order(layer, image)
            layers[name] = facts
        return {"name": self.name, "layers": layers}

    def _other_order(self, layer: Layer, image: Image) -> list[int] | None:
        key = (layer.name, self.recorder.version)
        if key not in self._orders:
            self._orders[key] = self.recorder.other_order(layer.name, image)
        return self._orders[key]


def compute(networks: list[Network], image: Image, state: State, sizes: Sizes) -> dict[str, Any]:
    """What is shown in a state: the turned image, the maps of each network, the equivariance errors.

    Arguments:
        networks: one or two.
        image: the upright image.
        state: see ``FieldExplorer``.
        sizes: of the pictures.

    Returns:
        "state"; "input" and "panels" describe pictures whose pixels lie one after the other in "pixels", a
        byte each; a row of maps has 0 .. 255 for low * limit .. limit. Each panel also has the "error" of its
        network.
    """
    layers = _layers(networks, state)
    columns = max((layer.group.order for layer in layers if layer.group), default=ROWS)
    rows = FEW_ROWS if len(layers) > 1 and columns > ROWS else ROWS
    turned = _turn_image(image, state["angle"], state["mirror"])
    low, high = extremes(image)
    low, high = (low, high) if low < high else (0.0, 1.0)  # one grey all over
    picture = to_screen(turned, sizes.image)
    pixels = [to_bytes(picture, low, high)]
    panels = []
    for network, layer, channel_key in zip(networks, layers, CHANNELS, strict=False):
        expected, maps = network.observe(layer, image, turned, state)
        error = _error(maps, expected, state["angle"], layer.group)
        if state["stabilised"]:
            maps = turn_maps(layer.group, maps, -state["angle"])
            maps = _mirror_maps(maps, layer.group) if state["mirror"] else maps
        budget = sizes.maps // len(networks)
        size = (columns, rows, budget)
        panel, picture_bytes = _panel(maps[0], expected[0], layer, state[channel_key], *size)
        panel |= {"element": _element(layer, state), "error": _number(error), "text": error_text(error)}
        panels.append({**panel, "remark": network.remark(layer, image, error, state["angle"])})
        pixels.append(picture_bytes)
    size = {"channels": len(picture), "side": picture.shape[-1]}
    return {"state": dict(state), "input": size, "panels": panels, "pixels": b"".join(pixels)}


def errors_at(networks: list[Network], image: Image, state: State, angle: float) -> list[float | None]:
    """The relative equivariance error of each network at any angle; layers and mirror as in the state."""
    errors, state = [], {**state, "angle": angle}
    turned = _turn_image(image, angle, state["mirror"])
    for network, layer in zip(networks, _layers(networks, state), strict=True):
        expected, maps = network.observe(layer, image, turned, state)
        errors.append(_number(_error(maps, expected, angle, layer.group)))
    return errors


def error_text(error: float) -> str:
    """A relative error as per cent, with two figures that count.

    Example:
        >>> error_text(0.634), error_text(1.2e-7), error_text(0.0)
        ('63 %', '0.000012 %', '0 %')
    """
    if not math.isfinite(error):
        return "no number"
    if error == 0:
        return "0 %"
    percent = 100 * error
    decimals = max(0, 1 - math.floor(math.log10(percent)))
    return f"{percent:.{decimals}f} %" if decimals <= 7 else f"{percent:.1e} %"


def _error(maps: Tensor, expected: Tensor, angle: float, group: FiniteGroup | None) -> float:
    """The relative error; 0 where all maps are 0, as those of an empty drawing may be; NaN where some are no numbers,
    infinite where those of the upright image are 0 and the others are not."""
    if not (all_finite(maps) and all_finite(expected)):
        return math.nan
    if not (expected * disc_mask(expected.shape[-1]).to(expected.device)).any():
        return math.inf if maps.any() else 0.0
    return rotation_error(maps, expected, angle, group)


def _number(error: float) -> float | None:
    """The error as JSON knows it."""
    return error if math.isfinite(error) else None


def _turn_image(image: Image, angle: float, mirror: bool) -> Image:
    """First flip, then turn: element n + k of D_n."""
    return rotate(image.flip(-1) if mirror else image, angle)


def _mirror_maps(maps: Tensor, group: FiniteGroup | None) -> Tensor:
    """The action of the reflection m; without a reflection in the group all one can do is flip the grid."""
    return group.transform_maps(maps, group.rotations) if group and group.reflections else maps.flip(-1)


def _element(layer: Layer, state: State) -> int:
    """The column to which the turn has moved the maps of column 0."""
    if not layer.group or state["stabilised"]:
        return 0
    flip = state["mirror"] and layer.group.reflections
    return nearest_element(layer.group, state["angle"]) + layer.group.rotations * flip


def _layers(networks: list[Network], state: State) -> list[Layer]:
    return [network.recorder.layers[state[key]] for network, key in zip(networks, LAYERS, strict=False)]


def _panel(
    maps: Tensor, upright: Tensor, layer: Layer, first: int, columns: int, most_rows: int, budget: int
) -> tuple[dict[str, Any], bytes]:
    """A page of channels: rows of maps across the group axis or, without one, one channel after the other."""
    order = layer.group.order if layer.group else 1
    width = order if layer.group else columns
    side = min(layer.side, MAP_SIDE, math.isqrt(budget // width))
    rows = max(1, min(most_rows, budget // (width * side * side)))
    page = min(layer.channels, rows * width // order)
    first = min(first, layer.channels - page)
    chosen = (m[first : first + page].reshape(-1, *m.shape[-2:]) for m in (maps, upright))
    shown, reference = (shrink(planes.float().nan_to_num(0.0, 0.0, 0.0), side) for planes in chosen)
    low, limits = _row_scales(reference.flatten(1), width)
    step = 1 if layer.group else width
    starts = range(first, first + page, step)
    panel = {
        "rows": [str(c) if step == 1 else f"{c}–{min(c + step, first + page) - 1}" for c in starts],
        "columns": [element_label(layer.group, g) for g in layer.group.elements] if layer.group else [],
    }
    panel |= {"width": width, "count": len(shown), "side": side, "first": first, "page": page}
    panel |= {"low": low, "limits": limits}  # of the scale of each row
    highest = shown.new_tensor(limits, device="cpu").repeat_interleave(width)[: len(shown), None, None]
    return panel, to_bytes(shown.cpu(), low * highest, highest)


def _row_scales(reference: Float[Tensor, "map pixel"], width: int) -> tuple[float, list[float]]:
    """Each row of maps has its own scale, low * limit .. limit; low is 0 if no map is negative, else -1.

    The scale belongs to the upright maps: colours keep their meaning while the image turns. A row that is
    almost 0 must not look like the others: no limit is below 2 % of the largest.
    """
    largest = F.pad(reference.abs().amax(1), (0, -len(reference) % width))
    limits = largest.view(-1, width).amax(1).tolist()
    floor = 0.02 * max(limits) or 1.0
    return (-1.0 if float(reference.min()) < 0 else 0.0), [max(limit, floor) for limit in limits]


def element_label(group: FiniteGroup, g: int) -> str:
    """``90°`` for a rotation, ``90° m`` for the flip m and then the rotation."""
    return f"{group.degrees(g):.3g}°" + " m" * (g >= group.rotations)
