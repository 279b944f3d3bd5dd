"""What never changes while an explorer of fields is open: names, elements and layers, and what it does not show."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from eqssl_edu.diagnostics.recorder import FeatureRecorder, Layer
from eqssl_edu.errors import got
from eqssl_edu.groups import cyclic
from eqssl_edu.widgets.field.values import Network, element_label
from eqssl_edu.widgets.shared.picture_source import SOURCES

__all__ = ["checked_names", "default_layer", "facts_of"]


def facts_of(networks: list[Network], image: Tensor) -> dict[str, Any]:
    """Names and choices for the front end."""
    group = next((layer.group for layer in networks[0].recorder.layers.values() if layer.group), cyclic(4))
    elements = [
        {"label": element_label(group, g), "angle": group.degrees(g), "mirror": g >= group.rotations}
        for g in group.elements
    ]
    layers = [[_layer_fact(n.recorder, layer) for layer in n.recorder.layers.values()] for n in networks]
    return {
        "elements": elements,
        "networks": [
            {"name": n.name, "layers": facts, "note": _note(n.recorder)}
            for n, facts in zip(networks, layers, strict=True)
        ],
        "angle_step": 1,
        "fixed_channels": False,
        "input": {"side": image.shape[-1], "channels": len(image)},
        "sources": [list(source) for source in SOURCES.items()],
    }


def _layer_fact(recorder: FeatureRecorder, layer: Layer) -> dict[str, Any]:
    """A layer's name, the class of its module and the shape of its maps. Over C1 a group convolution is none."""
    module = dict(recorder.model.named_modules()).get(layer.name)
    alone = getattr(getattr(module, "group", None), "order", 0) == 1
    kind = layer.kind.removeprefix("Group").removeprefix("Lifting") if alone else layer.kind
    shape = (layer.channels, *([layer.group.order] if layer.group else []), layer.side, layer.side)
    return {"name": layer.name, "label": f"{layer.name} · {kind} · {shape}", "channels": layer.channels}


def _note(recorder: FeatureRecorder, most: int = 4) -> str:
    """What was measured of the group axis, and what is not shown."""
    notes, reasons = [], {}
    if recorder.said and recorder.said.order is None:
        order = recorder.measured
        notes.append(
            f"Measured: {f'order={order} has' if order else 'no order of the elements has'} error 0."
        )
    if recorder.still:
        notes.append(
            f"Shown as channels, which do not move along {recorder.said.group.name}: {_some(recorder.still)}."
        )
    folded = [layer for layer in recorder.layers.values() if not layer.group]
    shapes = [(recorder.described[layer.name].shape, layer.channels) for layer in folded]
    if any(
        len(shape) > 4 and shape[1] != channels for shape, channels in shapes
    ):  # not an axis of one element
        notes.append("Maps of 5 axes are shown as channels: if one is a group's, say group= and group_axis=.")
    others = {"output"} != set(recorder.left_out)  # vectors at the end of a network are no news
    for name, reason in recorder.left_out.items() if others else ():
        reasons.setdefault(reason, []).append(name)
    lines = [f"{_some(names)}: {reason}" for reason, names in list(reasons.items())[:most]]
    lines += [f"and {len(reasons) - most} other kinds"] if len(reasons) > most else []
    return " ".join(notes + [f"Not shown: {'; '.join(lines)}."] * bool(lines))


def _some(names: list[str]) -> str:
    return ", ".join(names[:2]) + (f" and {len(names) - 2} more" if len(names) > 2 else "")


def default_layer(recorder: FeatureRecorder, image_side: int) -> str:
    """The deepest convolution whose maps are still large enough to recognise the image in them."""
    layers = list(recorder.layers.values())
    large = [layer for layer in layers if 2 * layer.side >= image_side] or layers[:1]
    return ([layer for layer in large if layer.convolves] or large)[-1].name


def checked_names(names: Sequence[str] | None, recorders: list[FeatureRecorder]) -> list[str]:
    """The names of the networks, given or by default. ValueError unless they differ."""
    if names is None:
        names = [_default_name(recorder) for recorder in recorders]
        return names if len(set(names)) == len(names) else [f"{name} {i + 1}" for i, name in enumerate(names)]
    if len(names) != len(recorders) or len(set(names)) != len(names):
        wanted = f"{len(recorders)} different names, one for each network"
        raise ValueError(f"names must hold {wanted}, {got(names)}")
    return list(names)


def _default_name(recorder: FeatureRecorder) -> str:
    group = next((layer.group for layer in recorder.layers.values() if layer.group), None)
    if group:
        return f"{group.name} network"
    # A network over C1 has no group axis worth the name, and "Sequential" says nothing.
    known = isinstance(recorder.model, nn.Sequential) or hasattr(recorder.model, "group")
    return "plain CNN" if known else type(recorder.model).__name__
