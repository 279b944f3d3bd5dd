"""The weights of an escnn convolution, carried over into ours."""

from __future__ import annotations

import torch

from eqssl_edu.errors import need_instance
from eqssl_edu.layers import GroupConv2d, LiftingConv2d
from eqssl_edu.steerable.escnn_fixes import enn
from eqssl_edu.steerable.escnn_modules import group_of

__all__ = ["load_r2conv"]


def load_r2conv(layer: LiftingConv2d | GroupConv2d, r2conv: enn.R2Conv) -> None:
    """Copy the weights of an escnn convolution into ours, so that both compute the same function.

    escnn's expanded kernel holds the |G| copies of each base kernel; the base kernel is the copy of the identity.
    The other way loses what escnn's ``frequencies_cutoff`` leaves out: 12 of 36 for C4 and 3 x 3
    (docs/theory.md, escnn's cutoff).

    Arguments:
        layer: of the same group, sizes, stride and padding; its weights are overwritten.
        r2conv: from trivial fields (for a ``LiftingConv2d``) or regular fields (for a ``GroupConv2d``) to regular ones.

    Raises:
        ValueError: if no setting of the layer's weights computes what r2conv does.

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> from eqssl_edu.steerable import gspaces
        >>> plane = gspaces.rot2dOnR2(4)
        >>> image, fields = (enn.FieldType(plane, [r]) for r in (plane.trivial_repr, plane.regular_repr))
        >>> r2conv, layer = enn.R2Conv(image, fields, 3), LiftingConv2d(cyclic(4), 1, 1, 3)
        >>> load_r2conv(layer, r2conv)
        >>> x = torch.randn(2, 1, 9, 9)
        >>> torch.allclose(layer(x)[:, 0], r2conv(image(x)).tensor, atol=1e-5)
        True
    """
    need_instance("layer", layer, (LiftingConv2d, GroupConv2d))
    need_instance("r2conv", r2conv, enn.R2Conv)
    group = group_of(r2conv.space)
    if group != layer.group:
        raise ValueError(f"r2conv must be over the layer's group {layer.group.name}, got {group.name}")
    same = {name: getattr(layer, name) for name in ("kernel_size", "stride", "padding")}
    for name, wanted in {**same, "dilation": 1, "groups": 1, "padding_mode": "zeros"}.items():
        if getattr(r2conv, name) != wanted:
            raise ValueError(f"r2conv must have {name} = {wanted}, got {getattr(r2conv, name)}")
    with torch.no_grad():
        # In eval mode too: what escnn keeps expanded there may be older than the weights.
        kernel, bias = r2conv.expand_parameters()
        bias = torch.zeros(len(kernel)) if bias is None else bias
        wanted = layer.expanded_weight().shape[:2]
        if kernel.shape[:2] != wanted:
            raise ValueError(f"r2conv must lead from and to {wanted[::-1]} planes, got {kernel.shape[1::-1]}")
        if layer.bias is None and bias.any():
            raise ValueError("layer must have a bias, since r2conv has one that is not zero")
        before = layer.weight.clone()
        layer.weight.copy_(kernel[:: group.order].reshape(layer.weight.shape))
        rounding = 1e-4 * float(kernel.abs().max())
        if not torch.allclose(layer.expanded_weight(), kernel.to(layer.weight), atol=rounding):
            layer.weight.copy_(before)
            fields = "trivial" if isinstance(layer, LiftingConv2d) else "regular"
            wanted = f"{fields} fields to regular fields"
            raise ValueError(f"r2conv must lead from {wanted}, got {r2conv.in_type} to {r2conv.out_type}")
        if layer.bias is not None:
            layer.bias.copy_(bias[:: group.order])
