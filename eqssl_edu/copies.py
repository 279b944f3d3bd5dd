"""The |G| transformed copies of a weight: what a layer on a group is made of."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from eqssl_edu.groups import FiniteGroup
from eqssl_edu.tables import table

__all__ = ["autocast_dtype", "moved_entries", "places_of", "transformed_copies"]


def transformed_copies(
    weight: Float[Tensor, "out entries"],
    table: Int64[Tensor, "group entries"],
    places: Int64[Tensor, "group entries"],
) -> Float[Tensor, "out group entries"]:
    """Every row of ``weight`` as each element of the group moves it, in the precision that autocast asks for.

    Arguments:
        weight: C' rows of entries.
        table: ``table[g, j]`` is the entry that copy g holds at j; each row a permutation.
        places: ``places_of(table)``, kept by the layer, since it takes a sort.
    """
    return _TransformedCopies.apply(weight, table, places, autocast_dtype(weight))


def autocast_dtype(tensor: Tensor) -> torch.dtype:
    """The type in which a convolution or a product of this tensor is computed here."""
    device, dtype = tensor.device.type, tensor.dtype
    if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
        return dtype
    return dtype if dtype == torch.float64 else torch.get_autocast_dtype(device)  # it leaves float64 alone


@table
def moved_entries(
    move: Callable[[Tensor, int], Tensor], group: FiniteGroup, shape: tuple[int, ...]
) -> Int64[Tensor, "group entries"]:
    """The table of ``transformed_copies``: ``move(weight, g)`` for a weight of this shape that holds its own places."""
    entries = torch.arange(math.prod(shape)).reshape(shape)
    return torch.stack([move(entries, g).flatten() for g in group.elements])


@table
def places_of(table: Int64[Tensor, "group entries"]) -> Int64[Tensor, "group entries"]:
    """``places_of(table)[g, j]``: where entry j is found in copy g, among all copies laid end to end."""
    starts = table.shape[1] * torch.arange(len(table))
    return table.argsort(dim=1) + starts[:, None]


class _TransformedCopies(torch.autograd.Function):
    """Gather the copies; bring their gradients back by a gather as well.

    Row g of ``table`` is a permutation, so the gradient of entry j is the sum over g of the gradient at the place
    where g has put j: a gather with the inverse permutations. PyTorch's own backward of an indexing accumulates entry
    by entry, which is several times slower.

    The weight is rounded before it is copied, which is |G| times less work than rounding the copies. Their gradients
    are added up in the weight's own precision. Forward derivatives and ``torch.func`` work as for plain indexing.
    """

    generate_vmap_rule = True

    @staticmethod
    def forward(weight: Tensor, table: Tensor, places: Tensor, dtype: torch.dtype) -> Tensor:
        return weight.to(dtype).index_select(1, table.flatten()).unflatten(1, table.shape)

    @staticmethod
    def setup_context(ctx, inputs: tuple, output: Tensor) -> None:
        weight, table, places, ctx.copied = inputs
        ctx.save_for_backward(places)
        ctx.save_for_forward(table)
        ctx.dtype = weight.dtype

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (places,) = ctx.saved_tensors
        copies = gradient.flatten(1).index_select(1, places.flatten()).unflatten(1, places.shape)
        return copies.sum(dim=1, dtype=ctx.dtype), None, None, None

    @staticmethod
    def jvp(ctx, tangent: Tensor, *_) -> Tensor:
        (table,) = ctx.saved_tensors
        return tangent.to(ctx.copied).index_select(1, table.flatten()).unflatten(1, table.shape)
