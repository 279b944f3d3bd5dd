"""A table of a network, layer by layer: does it commute with a group, where does it break, and which rule?"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence

import torch
from torch import Tensor, nn

from eqssl_edu.diagnostics.group_axis import GroupAxis
from eqssl_edu.diagnostics.layouts import Tokens
from eqssl_edu.diagnostics.recorder import FeatureRecorder, Layer
from eqssl_edu.diagnostics.report_table import ROUNDING, EquivarianceReport, Row
from eqssl_edu.diagnostics.turning import nearest_element
from eqssl_edu.errors import need_number, need_positive, need_shape, typed
from eqssl_edu.groups import FiniteGroup, cyclic
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import exactness_violations
from eqssl_edu.layers.exactness import DELAY, Breach
from eqssl_edu.precision import fine, precise
from eqssl_edu.rotate import disc_mask, rotate
from eqssl_edu.shapes import Images
from eqssl_edu.twins import Twin

__all__ = ["equivariance_report"]

CHUNK = 16  # images that are looked at together


@typed
def equivariance_report(
    model: nn.Module,
    images: Images,
    group: FiniteGroup | None = None,
    angles: Sequence[float] = (15.0, 45.0, 75.0),
    group_axis: int | None = None,
    order: Collection[int] | None = None,
    tokens: Tokens = None,
    forward: Callable[[nn.Module, Tensor], object] | None = None,
) -> EquivarianceReport:
    """Turn a set of images and compare the maps of every layer: where does a network stop to commute, and why?

    A layer without a group axis is judged as scalar fields: its maps should turn, and no channel should move. In a
    plain CNN that breaks at the first convolution, since its kernels have no symmetry. Vectors are judged at the end
    of the network, and where a module has their ``group`` or ``labels``: (B, C, |G|) as regular features, (B, |L|) as
    logits of the labels, any others as invariants. The errors are those of the whole way
    from the image to the layer; the reasons come from each module on its own (``exactness_violations``).

    Arguments:
        model: any network on images (B, C, S, S); see ``FeatureRecorder``. It is left as it is.
        images: (B, C, S, S), a few dozen.
        group: by default that of the model or of one of its layers, else C4.
        angles: in degrees, between the elements, where all is approximate.
        group_axis, order, tokens, forward: as ``FieldExplorer`` takes them.

    Example:
        >>> from eqssl_edu.encoders import GroupCNN
        >>> report = equivariance_report(GroupCNN(cyclic(4)), torch.rand(8, 1, 16, 16))
        >>> report.first_broken, max(row.at_elements for row in report.rows) < 1e-5
        (None, True)
        >>> usual = nn.Sequential(nn.AvgPool2d(2), nn.MaxPool2d(3, 2, 1), nn.Conv2d(1, 2, 3))
        >>> equivariance_report(usual, torch.rand(8, 1, 16, 16)).rows[1].breaks
        'rule E1: exact sizes of its input are 7 and 9'
    """
    need_shape("images", images, "B", "C", "S", "S", floating=True, finite=True)
    need_positive(**{"len(images)": len(images)})
    for angle in angles:
        need_number("angles", angle)
    twin = Twin(model)
    twin.renew()  # a copy for all runs: the network itself may be in training
    model = twin.module
    own = group if group is not None else getattr(model, "group", None)
    axis_is_said = group_axis is not None or order is not None
    said = GroupAxis.said(own, group_axis, order) if axis_is_said or group is not None else None
    recorder = FeatureRecorder(
        model, images[0], "model", said, axis_is_said, tokens, forward, need_maps=False
    )
    labels = [getattr(module, "labels", None) for module in model.modules()]
    labels = [each for each in labels if isinstance(each, GSet)]
    groups = [own, *(layer.group for layer in recorder.layers.values())]
    groups += [getattr(module, "group", None) for module in model.modules()]
    groups = [each for each in groups if isinstance(each, FiniteGroup) and each.order > 1] or [cyclic(4)]
    errors = _errors(recorder, images, groups, labels, angles)
    breaches = _breaches(model, images) if forward is None else {}
    why, rows = recorder.left_out | dict.fromkeys(errors, "") | _reasons(breaches, recorder, errors), []
    for name in dict.fromkeys([*recorder.described, *errors]):
        kind = recorder.described[name].kind if name in recorder.described else type(model).__name__
        judged_as, *found = errors.get(name, ("not judged", None, None))
        rows.append(Row(name, kind, judged_as, *found, why.get(name, "")))
    for name, breach in breaches.items():
        if breach.judged and (name or "output") not in errors:
            kind = type(model.get_submodule(name)).__name__
            rows.append(
                Row(name or "forward", kind, "what is between its layers", breach.error, None, _rule(breach))
            )
    between = f", and turns by {', '.join(f'{angle:g}' for angle in angles)} degrees" if angles else ""
    return EquivarianceReport(rows, f"{len(images)} images, {groups[0].name}{between}")


def _errors(
    recorder: FeatureRecorder,
    images: Images,
    groups: list[FiniteGroup],
    labels: list[GSet],
    angles: Sequence[float],
) -> dict[str, tuple[str, float | None, float | None]]:
    """For each layer: as what it is judged, the largest error at the elements, and at the angles between."""
    from tqdm.auto import tqdm

    elements = [(groups[0].degrees(g), g >= groups[0].rotations) for g in groups[0].elements]
    exact = [(degrees, flip) for degrees, flip in elements if degrees % 90 == 0 and (degrees or flip)]
    between = [(float(angle), False) for angle in angles if angle % 90]
    squares: dict[tuple, Tensor | float] = defaultdict(float)  # of differences, and of what was expected
    judged_as = {}
    chunks = images.split(CHUNK)
    bar = tqdm(total=len(chunks) * (1 + len(exact) + len(between)), desc="turns", delay=DELAY, leave=False)
    for some in chunks:
        bar.update()
        upright = recorder.all_maps(some)
        acts = {
            name: _action(recorder.layers.get(name), maps, groups, labels) for name, maps in upright.items()
        }
        judged_as |= {name: words for name, (words, _, _) in acts.items()}
        for turn in (*exact, *between):
            bar.update()
            turned = recorder.all_maps(_turn(some, *turn))
            for name in upright.keys() & turned.keys():
                _, has_grid, act = acts[name]
                expected = act(precise(upright[name]), *turn)
                if expected is None:
                    continue
                parts = [precise(turned[name]) - expected, expected]
                if has_grid and turn in between:
                    inside = disc_mask(expected.shape[-1]).to(expected)
                    parts = [part.mul_(inside) for part in parts]
                elif turn in exact:  # it only moves the numbers
                    parts[1] = upright[name]
                squares[name, turn] += torch.stack([_square(part) for part in parts])
    bar.close()
    ratios = {key: float((square[0] / square[1]).sqrt()) for key, square in squares.items() if square.any()}
    largest = [
        {name: _largest([ratios.get((name, turn)) for turn in turns]) for name in judged_as}
        for turns in (exact, between)
    ]
    return {name: (words, largest[0][name], largest[1][name]) for name, words in judged_as.items()}


def _square(part: Tensor) -> Tensor:
    return torch.linalg.vector_norm(part, dtype=fine(part[:0]).dtype) ** 2


def _turn(maps: Tensor, degrees: float, flip: bool) -> Tensor:
    return rotate(maps.flip(-1) if flip else maps, degrees)


def _action(
    layer: Layer | None, output: Tensor, groups: list[FiniteGroup], labels: list[GSet]
) -> tuple[str, bool, Callable]:
    """(what an output is judged as, has it a grid, its action: maps, degrees, flip -> maps, or None if it has none)."""
    sizes = output.shape[1:]
    points = next((each for each in labels if not layer and sizes == (each.size,)), None)
    group = next((each for each in groups if not layer and sizes[1:] == (each.order,)), None)
    group = layer.group if layer else points.group if points else group

    def act(maps: Tensor, degrees: float, flip: bool) -> Tensor | None:
        if group and flip and (not group.reflections or degrees * group.rotations % 360):
            return None
        if group:
            element = nearest_element(group, degrees) + flip * group.rotations
            action = points.transform if points else group.transform_features
            maps = action(maps.movedim(1 if points else 2, -1), element).movedim(-1, 1 if points else 2)
        return _turn(maps, degrees, flip) if layer else maps

    if layer:
        kind = group.name if group else "scalar"
        return f"{layer.channels} x {kind}, {layer.side} x {layer.side} pixels", True, act
    if points:
        return f"{points.size} labels of {group.name}", False, act
    words = f"{sizes[0]} x {group.name} features" if group else f"{math.prod(sizes)} numbers, as invariants"
    return words, False, act


def _largest(errors: list[float | None]) -> float | None:
    found = [error for error in errors if error is not None]
    return math.nan if any(map(math.isnan, found)) else max(found, default=None)


def _breaches(model: nn.Module, images: Images) -> dict[str, Breach]:
    try:
        return exactness_violations(model, images.shape[-1], images.shape[1])
    except (TypeError, ValueError):  # it wants something else than noise
        return {}


def _reasons(
    breaches: dict[str, Breach], recorder: FeatureRecorder, errors: dict[str, tuple]
) -> dict[str, str]:
    """What each layer breaks, as far as that is known."""
    reasons, first = {}, None
    for name, (_, error, _) in errors.items():
        layer = recorder.layers.get(name)
        module = name.partition(" (call")[0]
        module = "" if module in ("output", "forward") else module
        around = [module.rsplit(".", n)[0] for n in range(1, 1 + module.count("."))] + [""]
        caller = next((each for each in around if each in breaches), None)
        if error is None:
            reasons[name] = "nothing can be compared at the elements"
        elif math.isnan(error):
            reasons[name] = "it gives NaN or infinity"
        elif module in breaches and (breaches[module].judged or not error <= ROUNDING):
            reasons[name] = _rule(breaches[module])
        elif error <= ROUNDING:
            continue
        elif first is not None:
            reasons[name] = f"what comes in: see {first}"
        elif layer is None:
            reasons[name] = "it does not move with the turn as it should"
        elif layer.convolves and layer.group is None:
            reasons[name] = "its kernels have no symmetry, and no group acts on its channels"
        elif caller is not None:
            where = repr(caller) if caller else "the network"
            reasons[name] = f"what the forward of {where} does between its layers: {_rule(breaches[caller])}"
        elif layer.group is not None:
            reasons[name] = f"its {layer.group.name} axis does not move as it should"
        else:
            reasons[name] = "no group acts on its channels"
        first = first if error is None or error <= ROUNDING else first or name
    return reasons


def _rule(breach: Breach) -> str:
    if breach:
        return f"rule E1: exact sizes of its input are {' and '.join(map(str, breach))}"
    return f"its geometry at any size near by, {breach.reason}" if breach.judged else breach.reason
