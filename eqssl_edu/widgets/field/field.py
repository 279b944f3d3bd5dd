"""FieldExplorer: turn an image by hand and watch the feature maps of a network follow, or not."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import traitlets
from torch import Tensor, nn

from eqssl_edu.diagnostics.group_axis import GroupAxis
from eqssl_edu.diagnostics.recorder import FeatureRecorder
from eqssl_edu.errors import need_choice, need_integer, need_number, typed
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.shapes import Image
from eqssl_edu.widgets.field.facts import checked_names, default_layer, facts_of
from eqssl_edu.widgets.field.page import FieldPage
from eqssl_edu.widgets.field.values import CHANNELS, LAYERS, Network, Sizes, compute, errors_at
from eqssl_edu.widgets.shared.base import Explorer, front_end
from eqssl_edu.widgets.shared.checks import need_square
from eqssl_edu.widgets.shared.picture_source import SOURCES, Sources, from_bytes

__all__ = ["CURVE_ANGLES", "FieldExplorer"]

# The curve of errors is computed while the hand rests, the coarse angles first, in short slices.
CURVE_ANGLES = sorted(range(0, 361, 5), key=lambda angle: (angle % 45 > 0, angle % 15 > 0, angle))
COARSE_ANGLES = 25  # every 15 degrees
SLICE_SECONDS = 0.03
PATIENCE_SECONDS = 1.0  # networks that need longer for the coarse angles get no finer ones


@dataclass
class Curve:
    """The errors at the angles that are known by now, and how long the coarse ones took."""

    errors: dict[int, list[float | None]] = field(default_factory=dict)
    seconds: float = 0.0

    @property
    def unfinished(self) -> bool:
        slow = self.seconds > PATIENCE_SECONDS and len(self.errors) >= COARSE_ANGLES
        return len(self.errors) < len(CURVE_ANGLES) and not slow

    def points(self) -> dict[str, list]:
        """{"angles": [...], "errors": [[...] for each network]}, in the order of the angles."""
        angles = sorted(self.errors)
        by_network = zip(*(self.errors[angle] for angle in angles), strict=True)
        return {"angles": angles, "errors": [list(errors) for errors in by_network]}


class FieldExplorer(FieldPage, Explorer):
    """Turn an image by hand and see the feature maps of a network follow: turned and moved along the group.

    The equivariance error compares the maps of the turned image with the turned maps of the image (relative
    L2 norm in the centred disc; on a group axis acts the element nearest to the angle).

    The state: ``angle`` (0 .. 360 degrees, counter-clockwise), ``mirror`` (flip the image first),
    ``stabilised`` (turn the maps back), ``animate``, ``layer`` (a name out of ``layers[0]``), ``channel`` (the
    first one shown); for the second network ``compare_layer`` and ``compare_channel``. A new ``layer`` takes
    ``compare_layer`` to the same depth, and begins with the channel whose maps differ most along the group.
    ``source`` says where the picture comes from (``image``: the given one; ``digits``, ``glyphs``, ``shapes``;
    ``file`` and ``drawing`` once the hand has made them), ``picture`` which one of them it is, from 0.

    A group axis is one where a module says so (``.group``, or escnn's types) or where you do. All else is channels,
    judged as scalar fields. ``left_out`` says which layers have no maps to show, and why.

    Arguments:
        model: any network on images (B, C, H, W). Maps (B, C, |G|, H, W) show their group axis.
        image: (C, H, W), square.
        compare: a second network, shown beside the first.
        names: what the networks are called, one name for each.
        group: the group of an axis that no module names, for both networks.
        group_axis: where it stands, by default 2: (B, C, |G|, H, W); 1 is (B, |G|, C, H, W). The two may be flattened
            into one, (B, C |G|, H, W): it is measured in which layers such columns move along the group.
        order: ``order[i]`` is the element of ``group`` at index i of the axis. By default the order is measured
            (``diagnostics.find_order``).
        tokens: the grid (height, width) of tokens (B, N, D), or how many come before those of the image (class
            token, registers). By default told from the maps of which they were made.
        forward: ``forward(model, images)`` runs a network that takes more than images.

    Example:
        >>> import torch
        >>> from eqssl_edu.encoders import GroupCNN
        >>> from eqssl_edu.groups import cyclic
        >>> explorer = FieldExplorer(GroupCNN(cyclic(4)), torch.rand(1, 32, 32))
        >>> explorer.set_state(angle=90)
        >>> explorer.errors()["C4 network"] < 1e-5
        True
        >>> copies = nn.Conv2d(1, 8, 3, bias=False)  # two kernels, each turned clockwise in four steps
        >>> turned = [torch.rot90(copies.weight[::4], -i, (2, 3)) for i in range(4)]
        >>> copies.weight.data = torch.stack(turned, 1).flatten(0, 1)
        >>> explorer = FieldExplorer(copies, torch.rand(1, 32, 32), group=cyclic(4), group_axis=2, order=[0, 3, 2, 1])
        >>> explorer.set_state(angle=90)
        >>> explorer.errors()["C4 network"] < 1e-5
        True
    """

    _esm, _css = front_end("shared/chart", "shared/picture_source", "shared/turn", "field/field")
    free = ("animate",)

    # The error against the angle as far as known: {"angles": [...], "errors": [[...] for each network]}.
    curve = traitlets.Dict({"angles": [], "errors": []}).tag(sync=True)

    @typed
    def __init__(
        self,
        model: nn.Module,
        image: Image,
        compare: nn.Module | None = None,
        names: Sequence[str] | None = None,
        *,
        group: FiniteGroup | None = None,
        group_axis: int | None = None,
        order: Collection[int] | None = None,
        tokens: int | Sequence[int] | None = None,
        forward: Callable[[nn.Module, Tensor], object] | None = None,
    ) -> None:
        image = need_square("image", image, "C", "H", "W")
        self.sources = Sources(image)
        models = {"model": model} if compare is None else {"model": model, "compare": compare}
        own = group if group is not None else getattr(model, "group", None)
        words = any(word is not None for word in (group, group_axis, order))
        said = GroupAxis.said(own, group_axis, order) if words else None
        recorders = [
            FeatureRecorder(module, image, argument, said, module is model, tokens, forward)
            for argument, module in models.items()
        ]
        self.networks = list(map(Network, checked_names(names, recorders), recorders))
        self.layers = [list(recorder.layers) for recorder in recorders]
        self.choices = dict.fromkeys(("mirror", "stabilised", "animate"), (False, True))
        self.choices |= {"source": list(SOURCES), **dict(zip(LAYERS, self.layers, strict=False))}
        self._curves: dict[tuple, Curve] = {}  # of the weights of _versions, by layers and mirror
        self._versions = [recorder.version for recorder in recorders]
        first = default_layer(recorders[0], image.shape[-1])
        state = {"angle": 0.0, "mirror": False, "stabilised": False, "animate": False}
        state |= {"layer": first, "channel": 0, "source": "image", "picture": 0}
        if compare is not None:
            state |= {"compare_layer": self._same_depth(first), "compare_channel": 0}
        state |= self._telling_channels(state, image)
        super().__init__(facts_of(self.networks, image), state, unfinished=True)

    def errors(self) -> dict[str, float]:
        """The relative equivariance error of each network in this state."""
        panels = self.values["panels"]
        errors = (math.nan if panel["error"] is None else panel["error"] for panel in panels)
        return dict(zip((network.name for network in self.networks), errors, strict=True))

    @property
    def left_out(self) -> dict[str, str]:
        """The layers that are not shown, and why; with the name of the network before each if there are two."""
        if len(self.networks) == 1:
            return dict(self.networks[0].recorder.left_out)
        return {f"{n.name}: {name}": why for n in self.networks for name, why in n.recorder.left_out.items()}

    def check(self, changes: dict[str, Any]) -> dict[str, Any]:
        """The changes of the state, checked; a new layer brings the layer of the second network with it."""
        changes = super().check(changes)
        if "angle" in changes:
            changes["angle"] = need_number("angle", changes["angle"], least=0, most=360)
        for key in changes.keys() & {*CHANNELS, "picture"}:
            changes[key] = need_integer(key, changes[key], least=0)
        if "layer" in changes and "compare_layer" in self._state:
            changes = {"compare_layer": self._same_depth(changes["layer"]), **changes}
        image = self.sources.get(self._state["source"], self._state["picture"]).image
        changes = {**self._telling_channels(changes, image), **changes}
        if "source" in changes or "picture" in changes:
            changes = {"picture": 0, **changes}
            source = changes.get("source", self._state["source"])
            count = self.sources.count(source)
            if not count:
                raise ValueError(f"source must have a picture, got {source!r}: open a file or draw first")
            need_integer("picture", changes["picture"], 0, count - 1)
        return changes

    def unpack(self, changes: dict[str, Any], buffers: Sequence[memoryview]) -> dict[str, Any]:
        """A picture that the front end sends becomes the one that is shown."""
        if "upload" not in changes:
            return changes
        changes = dict(changes)
        upload = changes.pop("upload")
        self.check(changes)  # before the picture is taken: all of it, or nothing
        source = need_choice("source", upload["source"], ["file", "drawing"])
        image = from_bytes(buffers[0], upload["side"], upload["channels"])
        text = describe(upload["name"], upload["size"], image) if source == "file" else "my drawing"
        return {"source": source, "picture": self.sources.add(source, image, text), **changes}

    def show(self, state: dict[str, Any], sizes: Sizes = Sizes()) -> tuple[dict[str, Any], str]:  # noqa: B008
        """What the state looks like, in pictures of these sizes, and the sentence that says it."""
        image, text = self.sources.get(state["source"], state["picture"])
        own = {source: self.sources.count(source) for source in ("file", "drawing")}
        picture = {"text": text, "count": self.sources.count(state["source"]), "own": own}
        values = {**compute(self.networks, image, state, sizes), "picture": picture}
        pairs = zip(self.networks, values["panels"], strict=True)
        errors = [f"{network.name} {panel['text']}" for network, panel in pairs]
        mirrored = "mirrored and " if state["mirror"] else ""
        named = f"Picture: {text}. " if text else ""
        turn = f"Image {mirrored}turned by {state['angle']:g}°."
        remarks = dict.fromkeys(
            panel["remark"] for panel in values["panels"]
        )  # two networks may say the same
        remarks = "".join(f" {remark}." for remark in remarks if remark)
        return values, f"{named}{turn} Equivariance error: {'; '.join(errors)}.{remarks}"

    def changed(self) -> None:
        """Show what is known of the curve for these layers and these weights."""
        self.forget_old_weights()
        self._show_curve()

    def forget_old_weights(self) -> None:
        """Curves belong to the weights with which they were computed."""
        versions = [network.recorder.version for network in self.networks]
        if versions != self._versions:
            self._versions, self._curves = versions, {}

    def refine(self) -> None:
        """Compute a slice of the curve."""
        known, start = self.known_curve(self._state), time.perf_counter()
        image = self.sources.get(self._state["source"], self._state["picture"]).image
        for angle in [angle for angle in CURVE_ANGLES if angle not in known.errors]:
            known.errors[angle] = errors_at(self.networks, image, self._state, angle)
            if len(known.errors) == COARSE_ANGLES or time.perf_counter() - start > SLICE_SECONDS:
                break
        if len(known.errors) <= COARSE_ANGLES:  # once begun, the finer ones are finished
            known.seconds += time.perf_counter() - start
        self._show_curve()

    def known_curve(self, state: dict[str, Any]) -> Curve:
        """What is known of the curve of a state."""
        drawn = self.sources.drawn if state["source"] == "drawing" else 0
        key = (drawn, *(state.get(entry) for entry in ("source", "picture", "mirror", *LAYERS)))
        return self._curves.setdefault(key, Curve())

    def _show_curve(self) -> None:
        known = self.known_curve(self._state)
        self.curve, self.unfinished = known.points(), known.unfinished

    def _telling_channels(self, layers: dict[str, Any], image: Image) -> dict[str, int]:
        """For each layer among these changes the channel that shows most."""
        chosen = zip(self.networks, LAYERS, CHANNELS, strict=False)
        return {
            channel: network.telling_channel(network.recorder.layers[layers[layer]], image)
            for network, layer, channel in chosen
            if layer in layers
        }

    def _same_depth(self, layer: str) -> str:
        """The layer of the second network that is as deep in it as ``layer`` is in the first."""
        ours, theirs = self.layers
        return theirs[round(ours.index(layer) * (len(theirs) - 1) / max(1, len(ours) - 1))]


def describe(name: str, size: Sequence[int], image: Image) -> str:
    """What was done to a picture of a file.

    Example:
        >>> import torch
        >>> describe("cat.png", (640, 480), torch.zeros(1, 32, 32))
        'cat.png: the central 480 × 480 of 640 × 480 pixels, made 32 × 32, grey'
    """
    width, height = size
    square, side = min(width, height), image.shape[-1]
    cut = "" if width == height else f"the central {square} × {square} of "
    made = f", made {side} × {side}" if square != side else ""
    return f"{name}: {cut}{width} × {height} pixels{made}{', grey' if len(image) == 1 else ''}"
