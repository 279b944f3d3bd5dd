"""Notebook A1b: a head on any table, and escnn's layers as they come."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from eqssl_edu.errors import typed
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.shapes import Images
from eqssl_edu.steerable import enn, gspaces

__all__ = ["complaint", "head_error", "maps_of", "new_layer", "strict_loading"]

PLANE = gspaces.rot2dOnR2(4)
IMAGE = enn.FieldType(PLANE, [PLANE.trivial_repr])


@typed
def head_error(table: Int64[Tensor, "group label"], group: FiniteGroup) -> float:
    """Of a head that shares its weights as the table says: how far turned features' logits are from the moved ones."""
    generator = torch.Generator().manual_seed(0)
    features, weight = (
        torch.randn(*shape, dtype=torch.float64, generator=generator)
        for shape in ((8, 3, group.order), (3, table.shape[1]))
    )

    def logits(z: Tensor) -> Tensor:
        return torch.einsum("bcg,cgl->bl", z, weight[:, table[group.inverse]])

    turned, expected = logits(group.transform_features(features, 1)), logits(features)
    return float((turned[:, table[1]] - expected).norm() / expected.norm())


@typed
def new_layer(seed: int) -> nn.Module:
    """escnn's convolution from an image to two regular fields of C4, with the weights of a seed."""
    torch.manual_seed(seed)
    return enn.R2Conv(IMAGE, enn.FieldType(PLANE, 2 * [PLANE.regular_repr]), kernel_size=3)


@typed
def maps_of(layer: nn.Module, images: Images) -> Float[Tensor, "batch plane rows columns"]:
    """What the layer makes of these images, as a plain tensor."""
    with torch.no_grad():
        return layer(IMAGE(images)).tensor


@typed
def complaint(layer: nn.Module, images: Images) -> str:
    """What torch says if the layer cannot run on these images; nothing if it can."""
    try:
        maps_of(layer, images)
    except RuntimeError as problem:
        return str(problem)
    return ""


@typed
def strict_loading(saving: str, loading: str) -> str:
    """Save a layer in one mode ("train", "eval"), load it into one in another: what torch says to it."""
    saved = new_layer(0).train(saving == "train").state_dict()
    try:
        new_layer(1).train(loading == "train").load_state_dict(saved)
    except RuntimeError as problem:
        return str(problem).splitlines()[1].strip()
    return "loaded"
