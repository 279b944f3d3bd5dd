"""InfoNCE on a GPU: all that lies between its matrix products, in four kernels.

Written with PyTorch's operations the loss takes many small kernels, most of them over all pairs. It then waits for
memory and for launches, not for arithmetic. Here the correlations are read once for the loss, and read and overwritten
once for the gradient. ``infonce.py`` has the same loss for every device; the tests compare the two.
"""

from __future__ import annotations

from typing import no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.contrastive.infonce import need_no_second_derivative
from eqssl_edu.contrastive.similarity import copied_entries
from eqssl_edu.copies import autocast_dtype
from eqssl_edu.groups import FiniteGroup, cyclic

__all__ = ["KINDS", "FusedInfoNCE", "fused_contrast", "try_on"]

KINDS = ("plain", "max", "soft", "power2", "power3")  # those whose features need no preparation
PIECE = 2**27  # correlations that are held at a time: 256 MiB in half precision
BLOCK = 512  # entries that a kernel works on at a time


def fused_contrast(
    z1: Float[Tensor, "batch channel group"],
    z2: Float[Tensor, "batch channel group"],
    group: FiniteGroup,
    kind: str,
    temperature: float,
    chunk: int | None,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """``InfoNCE.contrast`` of features on a GPU, for one of ``KINDS``: mean loss in nats, and accuracy."""
    with torch.cuda.device_of(z1):  # Triton launches on the current device, wherever the tensors are
        return FusedInfoNCE.apply(z1, z2, group, kind, temperature, chunk)


class FusedInfoNCE(torch.autograd.Function):
    """Every view is compared with every other, by pieces of rows. With one piece its correlations are still there for
    the gradient: two thirds of the multiply-adds of the plain product and its two gradients. With several they are
    computed again: as many.
    """

    @staticmethod
    def forward(ctx, z1: Tensor, z2: Tensor, group: FiniteGroup, kind: str, t: float, chunk: int | None):
        z1, z2 = z1.contiguous(), z2.contiguous()
        count, width = 2 * len(z1), z1[0].numel()
        order, kind = (1, "max") if kind == "plain" else (group.order, kind)  # of one value, the maximum
        wanted = any(ctx.needs_input_grad[:2])
        unit = z1.new_empty((count, width), dtype=autocast_dtype(z1))
        number = {"dtype": torch.float32, "device": z1.device}
        inverse, norm, measured = (
            torch.empty(*shape, **number) for shape in ((count,), (count,), (2, count))
        )
        rows = min(count, chunk or max(1, PIECE // (count * order)))
        starts = range(0, count, rows)
        entries = copied_entries(group, width // group.order, True, z1.device)[0]
        # A single piece is turned while it is scaled.
        copies = order if rows == count and order > 1 else 0
        all_turned = unit.new_empty((count * copies, width)) if copies else unit
        _scale[(count,)](z1, z2, unit, inverse, all_turned, entries, len(z1), width, copies, BLOCK)

        def compare(start: int) -> tuple[Tensor, Tensor]:
            """A piece of turned views, and its correlations with all views: (rows |G|, width), (rows |G|, count)."""
            piece = all_turned
            if len(starts) > 1:
                piece = unit[start : start + rows]
                piece = piece.index_select(1, entries.flatten()).view(-1, width) if order > 1 else piece
            return piece, piece @ unit.T

        for start in starts:
            turned, kappa = compare(start)
            _normalise[(len(turned) // order,)](
                kappa, norm, measured, count, start, 1 / t, kind, order, BLOCK
            )
        if wanted:
            total = None
            for start in reversed(starts):
                if start != starts[-1]:
                    turned, kappa = compare(start)
                grid = (len(turned) // order, triton.cdiv(count, BLOCK))
                _slope[grid](kappa, norm, count, start, 1 / t, kind, order, BLOCK)
                share = kappa.T @ turned
                if len(starts) > 1:  # many small shares are added up precisely
                    share = share.float() if total is None else total.add_(share)
                total = share
                del turned, kappa  # before the next piece
            ctx.save_for_backward(z1, z2, inverse, total)
            ctx.slope = 1 / (count * t)
        loss, accuracy = measured.mean(dim=1).unbind()
        ctx.mark_non_differentiable(accuracy)
        return loss, accuracy

    @staticmethod
    def backward(ctx, grad_loss: Float[Tensor, ""], _):
        need_no_second_derivative()
        z1, z2, inverse, total = ctx.saved_tensors
        out = z1.new_empty((2, *z1.shape))
        _scale_backward[(len(total),)](
            z1, z2, inverse, total, grad_loss, out, ctx.slope, len(z1), z1[0].numel(), BLOCK
        )
        return *out.unbind(), None, None, None, None


def try_on(device: torch.device) -> None:
    """Make every kernel on this device; raises what Triton raises if it cannot."""
    z = torch.ones(2, 1, 1, device=device, requires_grad=True)
    with torch.enable_grad():
        loss, _ = fused_contrast(z, z, cyclic(1), "max", 1.0, None)
        torch.autograd.grad(loss, z)


# Row i of the views is row i of z1, or row i - B of z2. Numbers are float32 in the kernels, whatever is stored.


@triton.jit
@no_type_check
def _scale(z1, z2, unit, inverse, turned, entries, half, width, COPIES: tl.constexpr, BLOCK: tl.constexpr):
    """Row i at length 1, its turned copies, its inverse length. A zero vector has no direction: it stays zero."""
    i = tl.program_id(0).to(tl.int64)
    row = z1 + i * width if i < half else z2 + (i - half) * width
    squares = tl.zeros((BLOCK,), tl.float32)
    for begin in range(0, width, BLOCK):
        d = begin + tl.arange(0, BLOCK)
        z = tl.load(row + d, d < width, 0.0).to(tl.float32)
        squares += z * z
    length = tl.maximum(tl.sqrt(tl.sum(squares)), 1e-12)
    tl.store(inverse + i, 1 / length)
    for begin in range(0, width, BLOCK):
        d = begin + tl.arange(0, BLOCK)
        z = tl.load(row + d, d < width, 0.0).to(tl.float32)
        tl.store(unit + i * width + d, z / length, d < width)
        for g in tl.static_range(COPIES):
            entry = tl.load(entries + g * width + d, d < width, 0)
            z = tl.load(row + entry, d < width, 0.0).to(tl.float32)
            tl.store(turned + (i * COPIES + g) * width + d, z / length, d < width)


@triton.jit
@no_type_check
def _scale_backward(z1, z2, inverse, total, grad_loss, out, slope, half, width, BLOCK: tl.constexpr):
    """The gradient at a unit vector u, without its part along u, over the length."""
    i = tl.program_id(0).to(tl.int64)
    row = z1 + i * width if i < half else z2 + (i - half) * width
    scale = tl.load(inverse + i)
    along = tl.zeros((BLOCK,), tl.float32)
    for begin in range(0, width, BLOCK):
        d = begin + tl.arange(0, BLOCK)
        u = tl.load(row + d, d < width, 0.0).to(tl.float32) * scale
        along += u * tl.load(total + i * width + d, d < width, 0.0).to(tl.float32)
    radial = tl.sum(along)
    factor = tl.load(grad_loss).to(tl.float32) * slope * scale
    for begin in range(0, width, BLOCK):
        d = begin + tl.arange(0, BLOCK)
        u = tl.load(row + d, d < width, 0.0).to(tl.float32) * scale
        g = tl.load(total + i * width + d, d < width, 0.0).to(tl.float32)
        tl.store(out + i * width + d, (g - radial * u) * factor, d < width)


@triton.jit
@no_type_check
def _similarity(kappa, inside, count, over_t, KIND: tl.constexpr, ORDER: tl.constexpr):
    """From the correlations of one view with a block of others; those of the next element lie ``count`` further."""
    if KIND == "power2" or KIND == "power3":
        similarity = tl.zeros(kappa.shape, tl.float32)
        for g in tl.static_range(ORDER):
            k = tl.load(kappa + g * count, inside, 0.0).to(tl.float32)
            similarity += k * k if KIND == "power2" else k * k * k
        return similarity / ORDER
    similarity = tl.load(kappa, inside, 0.0).to(tl.float32)
    for g in tl.static_range(1, ORDER):
        k = tl.load(kappa + g * count, inside, 0.0).to(tl.float32)
        similarity = tl.maximum(similarity, k)
    if KIND == "soft":
        total = tl.zeros(kappa.shape, tl.float32)
        for g in tl.static_range(ORDER):
            k = tl.load(kappa + g * count, inside, 0.0).to(tl.float32)
            total += tl.exp((k - similarity) * over_t)
        similarity += tl.log(total / ORDER) / over_t
    return similarity


@triton.jit
@no_type_check
def _normalise(
    kappa, norm, measured, count, start, over_t, KIND: tl.constexpr, ORDER: tl.constexpr, BLOCK: tl.constexpr
):
    """Row i's log-sum-exp over all other views, its loss, and whether its partner is the most similar of all."""
    row = tl.program_id(0)
    i = start + row
    partner = (i + count // 2) % count
    kappa += row.to(tl.int64) * ORDER * count
    # Each lane sees every BLOCK-th view: its largest logit and where it was, and the sum of exp relative to it.
    top, total = tl.full((BLOCK,), -1e30, tl.float32), tl.zeros((BLOCK,), tl.float32)
    where = tl.full((BLOCK,), 2147483647, tl.int32)
    positive = tl.zeros((BLOCK,), tl.float32)
    for begin in range(0, count, BLOCK):
        j = begin + tl.arange(0, BLOCK)
        inside = (j < count) & (j != i)  # nobody is among their own candidates
        logit = _similarity(kappa + j, inside, count, over_t, KIND, ORDER) * over_t
        logit = tl.where(inside, logit, -float("inf"))
        where = tl.where(logit > top, j, where)
        higher = tl.maximum(top, logit)
        total = total * tl.exp(top - higher) + tl.exp(logit - higher)
        top = higher
        positive += tl.where(j == partner, logit, 0.0)
    highest = tl.max(top)
    value = highest + tl.log(tl.sum(total * tl.exp(top - highest)))
    found = tl.min(tl.where(top == highest, where, 2147483647))
    tl.store(norm + i, value)
    tl.store(measured + i, value - tl.sum(positive))
    tl.store(measured + count + i, (found == partner).to(tl.float32))


@triton.jit
@no_type_check
def _slope(kappa, norm, count, start, over_t, KIND: tl.constexpr, ORDER: tl.constexpr, BLOCK: tl.constexpr):
    """Overwrite the correlations with 2B t times the derivatives of the loss, which knows each pair from both sides."""
    row = tl.program_id(0)
    i = start + row
    j = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = j < count
    kappa += row.to(tl.int64) * ORDER * count + j
    similarity = _similarity(kappa, inside, count, over_t, KIND, ORDER)
    logit = similarity * over_t
    slope = tl.exp(logit - tl.load(norm + i)) + tl.exp(logit - tl.load(norm + j, inside, 0.0))
    slope = tl.where(j == (i + count // 2) % count, slope - 2, slope)
    slope = tl.where(j == i, 0.0, slope)
    if KIND == "max":  # elements that share the maximum share its slope
        ties = tl.zeros((BLOCK,), tl.float32)
        for g in tl.static_range(ORDER):
            k = tl.load(kappa + g * count, inside, 0.0).to(tl.float32)
            ties += (k == similarity).to(tl.float32)
        slope /= ties
    for g in tl.static_range(ORDER):
        k = tl.load(kappa + g * count, inside, 0.0).to(tl.float32)
        if KIND == "max":
            weight = (k == similarity).to(tl.float32)
        elif KIND == "soft":
            weight = tl.exp((k - similarity) * over_t) / ORDER
        elif KIND == "power2":
            weight = k * (2 / ORDER)
        else:
            weight = k * k * (3 / ORDER)
        tl.store(kappa + g * count, slope * weight, inside)
