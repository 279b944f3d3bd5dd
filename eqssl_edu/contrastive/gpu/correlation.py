"""Orbit correlation on a GPU: the turned copies are made by one kernel, and so is their gradient.

PyTorch's indexing takes longer on the GPU, and its gradient is two kernels.
"""

from __future__ import annotations

from typing import no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float, Int64
from torch import Tensor

from eqssl_edu.layers.weight_copies import autocast_dtype, products_with_copies

__all__ = ["FusedCorrelation", "copied", "summed", "try_on"]

BLOCK = 512  # entries that a kernel works on at a time,
ROWS = 2  # for so many rows: they share what is read of the table
WARPS = 8


class FusedCorrelation(torch.autograd.Function):
    """``products_with_copies``, and its gradient."""

    @staticmethod
    def forward(ctx, few: Tensor, many: Tensor, table: Tensor, places: Tensor) -> Tensor:
        dtype = autocast_dtype(few)
        copies = copied(few.flatten(1), table, dtype).view(-1, table.shape[1])
        others = many.flatten(1).to(dtype)
        ctx.save_for_backward(few, many, table, places, copies, others)
        ctx.save_for_forward(few, many, table, places)
        return (copies @ others.T).view(len(few), len(table), len(many))

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        few, many, table, places, copies, others = ctx.saved_tensors
        wanted = ctx.needs_input_grad[:2]
        if torch.is_grad_enabled():  # there will be a second derivative, which the formula has
            kappa = products_with_copies(few, many, table, places)
            asked = [z for z, need in zip((few, many), wanted, strict=True) if need]
            found = iter(torch.autograd.grad(kappa, asked, gradient.to(kappa.dtype), create_graph=True))
            return *(next(found) if need else None for need in wanted), None, None
        gradient = gradient.reshape(len(copies), len(many))
        along = summed(gradient @ others, places, few.dtype).view_as(few) if wanted[0] else None
        across = (gradient.T @ copies).to(many.dtype).view_as(many) if wanted[1] else None
        return along, across, None, None

    @staticmethod
    def jvp(ctx, few_tangent: Tensor | None, many_tangent: Tensor | None, *_) -> Tensor:
        few, many, *tables = ctx.saved_tensors
        pairs = (few_tangent, many), (few, many_tangent)
        return sum(products_with_copies(*pair, *tables) for pair in pairs if None not in pair)


def copied(
    rows: Float[Tensor, "rows entries"], table: Int64[Tensor, "copies entries"], dtype: torch.dtype
) -> Float[Tensor, "rows copies entries"]:
    """``rows[i, table[g, j]]``, rounded to a type, for all i, g, j."""
    rows = rows.contiguous()
    count, width, entries = *rows.shape, table.numel()
    copies = rows.new_empty((count, *table.shape), dtype=dtype)
    grid = (-(-count // ROWS), -(-entries // BLOCK))
    with torch.cuda.device_of(rows):  # Triton launches on the current device, wherever the tensors are
        _copy[grid](rows, table, copies, count, width, entries, ROWS, BLOCK, num_warps=WARPS)
    return copies


def summed(
    copies: Float[Tensor, "all_rows entries"], places: Int64[Tensor, "copies entries"], dtype: torch.dtype
) -> Float[Tensor, "rows entries"]:
    """For all i, j: the sum over g of entry ``places[g, j]`` of the copies of row i; in float32, then rounded."""
    order, width = places.shape
    count = len(copies) // order
    total = copies.new_empty((count, width), dtype=dtype)
    grid = (-(-count // ROWS), -(-width // BLOCK))
    with torch.cuda.device_of(copies):
        _sum[grid](copies, places, total, count, width, order, ROWS, BLOCK, num_warps=WARPS)
    return total


def try_on(device: torch.device) -> None:
    """Make both kernels on this device; raises what Triton raises if it cannot."""
    table = torch.zeros((1, 1), dtype=torch.int64, device=device)
    one = torch.ones((1, 1), device=device)
    summed(copied(one, table, one.dtype)[0], table, one.dtype)


@triton.jit
@no_type_check
def _copy(rows, table, copies, count, width, entries, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """A block of all copies' entries, for a few rows."""
    j = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    entry = tl.load(table + j, j < entries, 0)
    first = tl.program_id(0).to(tl.int64) * ROWS
    for r in tl.static_range(ROWS):
        i = first + r
        inside = (j < entries) & (i < count)
        tl.store(copies + i * entries + j, tl.load(rows + i * width + entry, inside), inside)


@triton.jit
@no_type_check
def _sum(copies, places, total, count, width, ORDER: tl.constexpr, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    """A block of entries, each the sum of where the copies have put it, for a few rows."""
    j = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    first = tl.program_id(0).to(tl.int64) * ROWS
    for r in tl.static_range(ROWS):
        i = first + r
        inside = (j < width) & (i < count)
        value = tl.zeros((BLOCK,), tl.float32)
        for g in tl.static_range(ORDER):
            place = tl.load(places + g * width + j, j < width, 0)
            value += tl.load(copies + i * width * ORDER + place, inside, 0.0).to(tl.float32)
        tl.store(total + i * width + j, value, inside)
