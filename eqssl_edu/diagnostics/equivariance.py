"""The error of equivariance, at the elements of the group and at any angle."""

from collections.abc import Callable, Collection

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.diagnostics.group_axis import GroupAxis
from eqssl_edu.diagnostics.orders import answer, find_order
from eqssl_edu.diagnostics.turning import turn_maps
from eqssl_edu.errors import got, need_instance, need_shape, typed
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.precision import fine, norm, precise
from eqssl_edu.rotate import disc_mask
from eqssl_edu.twins import Twin

__all__ = ["equivariance_error", "rotation_error"]


@typed
def equivariance_error(
    model: Callable[[Tensor], Tensor],
    inputs: Float[Tensor, "batch ..."],
    group: FiniteGroup | None = None,
    transform_inputs: Callable[[Tensor, int], Tensor] | None = None,
    transform_outputs: Callable[[Tensor, int], Tensor] | None = None,
    group_axis: int | None = None,
    order: Collection[int] | None = None,
) -> Float[Tensor, " group"]:
    r"""For each element g the relative error $\|f(g x) - g f(x)\|_2 / \|f(x)\|_2$ over the whole batch.

    A copy of the model runs, in evaluation mode (see ``Twin``); the errors are computed in float64.
    Without more arguments this is the error of an encoder: images in, regular features out.

    Arguments:
        model: f.
        inputs: x.
        group: the group; ``model.group`` by default.
        transform_inputs: (x, g) -> g x; ``group.transform`` by default.
        transform_outputs: (y, g) -> g y; ``group.transform_features`` by default, for features (B, C, |G|). For
            feature maps say ``group.transform_maps``, for logits ``labels.transform``, for an invariant
            ``lambda y, g: y``.
        group_axis: instead of ``transform_outputs``: the output is (B, C, |G|) or (B, C, |G|, H, W), perhaps with
            another place for the group, see ``GroupAxis``.
        order: ``order[i]`` is the element at index i of the group axis. If ``group_axis`` alone is said, the order
            is measured with ``find_order``; where none fits it is our own.

    Raises:
        ValueError: if the output is zero everywhere (nothing could be compared) or not finite, or if nothing says how
            it moves.

    Example:
        >>> from eqssl_edu.encoders import GroupCNN
        >>> from eqssl_edu.groups import cyclic
        >>> encoder = GroupCNN(cyclic(4)).double()
        >>> bool(equivariance_error(encoder, torch.rand(2, 1, 9, 9, dtype=torch.float64)).max() < 1e-12)
        True
    """
    group = group if group is not None else getattr(model, "group", None)
    need_instance("group", group, FiniteGroup)
    if group_axis is not None or order is not None:
        if transform_outputs is not None:
            raise ValueError(
                "transform_outputs must not be given where group_axis or order says how outputs move"
            )
        if order is None and transform_inputs is None:
            order = find_order(model, inputs, group, group_axis)
        transform_outputs = GroupAxis.said(group, group_axis, order).act
    need_features = transform_outputs is None and transform_inputs != group.transform_features
    transform_inputs = transform_inputs or group.transform
    transform_outputs = transform_outputs or group.transform_features
    need_shape("inputs", inputs, "...", finite=True)
    twin = Twin(model).settle()  # one state for all runs: it may be in training
    reference = answer(twin, inputs)
    need_shape("model(inputs)", reference, "...", finite=True)
    if need_features and (reference.ndim != 3 or reference.shape[2] != group.order):
        raise ValueError(
            "transform_outputs must say how the output moves (or group_axis, if it has one), unless it is features "
            f"(B, C, {group.order}), {got(reference)}"
        )
    size, errors = norm(reference), []
    if size == 0:
        raise ValueError("model must not give zero everywhere on these inputs: nothing can be compared")
    for g in group.elements:
        turned = answer(twin, transform_inputs(inputs.clone(), g))
        expected = transform_outputs(reference.clone(), g)
        need_shape("model(transform_inputs(inputs, g))", turned, *reference.shape, finite=True)
        need_shape("transform_outputs(model(inputs), g)", expected, *reference.shape, finite=True)
        errors.append(norm(fine(turned) - fine(expected)) / size)
    return torch.stack(errors)


@typed
@torch.no_grad()
def rotation_error(
    maps_of_turned: Float[Tensor, "batch channel *group height width"],
    maps: Float[Tensor, "batch channel *group height width"],
    degrees: float,
    group: FiniteGroup | None = None,
    margin: float = 0.0,
) -> float:
    r"""The relative error $\|f(R x) - R f(x)\|_2 / \|R f(x)\|_2$ of feature maps for a turn by any angle.

    Both norms are taken inside the same centred disc, which no rotation moves out of the picture.

    Arguments:
        maps_of_turned: f(R x), the maps of the turned image.
        maps: f(x), the maps of the upright image.
        degrees: the angle of R, counter-clockwise.
        group: for regular maps (with a group axis): R then acts on that axis by the rotation nearest to it.
        margin: how many pixels the disc stays away from the border: as far as kernels read beyond it.
    """
    need_shape("maps", maps, "...", "H", "W", finite=True)
    need_shape("maps_of_turned", maps_of_turned, *maps.shape, finite=True)
    expected = fine(turn_maps(group, precise(maps), degrees))
    mask = disc_mask(maps.shape[-1], margin).to(maps.device)
    size = norm(expected * mask)
    if size == 0:
        raise ValueError("maps must not be zero everywhere inside the disc: nothing can be compared")
    return float(norm((fine(maps_of_turned) - expected) * mask) / size)
