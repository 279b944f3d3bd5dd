"""The |G| transformed copies of a weight, or of features: what layers and similarities on a group are made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from eqssl_edu.errors import within_transform
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.tables import table

__all__ = [
    "autocast_dtype",
    "copied_entries",
    "moved_entries",
    "places_of",
    "products_with_copies",
    "transformed_copies",
]

Table = Int64[Tensor, "group all_entries"]  # [g, j] says something about entry j of copy g


def transformed_copies(
    weight: Float[Tensor, "out channel *entries"], table: Table, places: Table, *shape: int
) -> Float[Tensor, "*shape"]:
    """Each of the C' parts of ``weight`` as every element of the group moves it, in the precision of autocast.

    Arguments:
        weight: C' parts, (C', C, ...).
        table: ``table[g, j]`` is the entry of a part that its copy g holds at j; each row a permutation.
        places: ``places_of(table)``, kept by the layer, since it takes a sort.
        shape: of the answer, which holds (C', |G|, entries) numbers.
    """
    dtype = autocast_dtype(weight)
    # A Function that torch.func can transform is bound to its signature anew in every call, which takes longer than a
    # small convolution; one with a ``jvp`` cannot be compiled. An indexing can be transformed as it is.
    if within_transform():
        return _copies(weight, table, dtype, shape)
    return _TransformedCopies.apply(weight, table, places, dtype, shape)


def autocast_dtype(tensor: Tensor) -> torch.dtype:
    """The type in which a convolution or a product of this tensor is computed here."""
    device, dtype = tensor.device.type, tensor.dtype
    if not torch.amp.is_autocast_available(device) or not torch.is_autocast_enabled(device):
        return dtype
    return dtype if dtype == torch.float64 else torch.get_autocast_dtype(device)  # it leaves float64 alone


@table
def moved_entries(move: Callable[[Tensor, int], Tensor], group: FiniteGroup, shape: tuple[int, ...]) -> Table:
    """The table of ``transformed_copies``: ``move(weight, g)`` for a weight of this shape that holds its own places."""
    entries = torch.arange(math.prod(shape)).reshape(shape)
    return torch.stack([move(entries, g).flatten() for g in group.elements])


@table
def places_of(table: Table) -> Table:
    """``places_of(table)[g, j]``: where entry j is found in copy g, among all copies laid end to end."""
    starts = table.shape[1] * torch.arange(len(table))
    return table.argsort(dim=1) + starts[:, None]


@lru_cache(maxsize=64)
@table
def copied_entries(
    group: FiniteGroup, channels: int, back: bool, device: torch.device
) -> tuple[Table, Table]:
    r"""The two tables of ``transformed_copies`` for all $\rho(g) z$, or, turned back, all $\rho(g^{-1}) z$."""
    moved = moved_entries(group.transform_features, group, (channels, group.order))
    moved = moved[group.inverse] if back else moved
    return moved.to(device), places_of(moved).to(device)


def products_with_copies(
    few: Float[Tensor, "few channel group"],
    many: Float[Tensor, "many channel group"],
    table: Table,
    places: Table,
) -> Float[Tensor, "few group many"]:
    """Inner products of all copies of the few with the many; tables as in ``transformed_copies``."""
    copies = transformed_copies(few, table, places, -1, table.shape[1])
    return (copies @ many.flatten(1).T).unflatten(0, (len(few), len(table)))


def _copies(weight: Tensor, table: Tensor, dtype: torch.dtype, shape: tuple[int, ...]) -> Tensor:
    # Rounding the weight and not its copies is |G| times less work.
    return weight.flatten(1).to(dtype).index_select(1, table.flatten()).reshape(shape)


class _TransformedCopies(torch.autograd.Function):
    """Gather the copies; bring their gradients back by a gather as well.

    Row g of ``table`` is a permutation, so the gradient of entry j is the sum over g of the gradient at the place
    where g has put j: a gather with the inverse permutations. PyTorch's own backward of an indexing accumulates entry
    by entry, which is several times slower. The sum is taken in the weight's own precision.
    """

    @staticmethod
    def forward(ctx, weight: Tensor, table: Tensor, places: Tensor, *how) -> Tensor:
        ctx.save_for_backward(places)
        ctx.save_for_forward(table)
        ctx.dtype, ctx.shape, ctx.how = weight.dtype, weight.shape, how
        return _copies(weight, table, *how)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None, None, None]:
        (places,) = ctx.saved_tensors
        rows = ctx.shape[0]
        copies = gradient.reshape(rows, places.numel()).index_select(1, places.flatten())
        total = copies.view(rows, *places.shape).sum(dim=1, dtype=ctx.dtype)
        return total.view(ctx.shape), None, None, None, None

    @staticmethod
    def jvp(ctx, tangent: Tensor, *_) -> Tensor:
        (table,) = ctx.saved_tensors
        return _copies(tangent, table, *ctx.how)
