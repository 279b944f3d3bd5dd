"""InfoNCE on a GPU: all that lies between its matrix products, in four kernels.

Written with PyTorch's operations the loss takes many small kernels, most of them over all pairs. It then waits for
memory and for launches, not for arithmetic. Here the correlations are read once for the loss, and read and overwritten
once for the gradient. ``InfoNCE.logits`` is the formula; the tests compare the two.
"""

from __future__ import annotations

from typing import no_type_check

import torch
import triton
import triton.language as tl
from jaxtyping import Float
from torch import Tensor, distributed
from triton.language import constexpr

from eqssl_edu.contrastive.features import Features
from eqssl_edu.contrastive.gpu.correlation import copied
from eqssl_edu.contrastive.loss import need_no_second_derivative
from eqssl_edu.contrastive.processes import place
from eqssl_edu.groups import FiniteGroup, cyclic
from eqssl_edu.layers.weight_copies import autocast_dtype, copied_entries

__all__ = ["FusedInfoNCE", "fused_contrast", "try_on"]

PIECE = 2**27  # correlations that are held at a time: 256 MiB in half precision
BLOCK = 512  # views that a kernel works on at a time, at the most


def fused_contrast(
    z1: Features, z2: Features, group: FiniteGroup, kind: str, t: float, chunk: int | None, together: bool
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """``InfoNCE.contrast`` of features on a GPU, for one of ``INFONCE_KINDS``: mean loss in nats, and accuracy."""
    with torch.cuda.device_of(z1):  # Triton launches on the current device, wherever the tensors are
        return FusedInfoNCE.apply(z1, z2, group, kind, t, chunk, together)


class FusedInfoNCE(torch.autograd.Function):
    """Every view is compared with every other, by pieces of rows. With one piece its correlations are still there for
    the gradient: two thirds of the multiply-adds of the plain product and its two gradients. With several they are
    computed again: as many.

    Together, each of P processes compares its share of the rows with all; the slope of a pair needs both their norms.
    """

    @staticmethod
    def forward(ctx, z1, z2, group: FiniteGroup, kind: str, t: float, chunk: int | None, together: bool):
        rank, processes = place() if together else (0, 1)
        z1, z2 = z1.contiguous(), z2.contiguous()
        count, width = 2 * len(z1), z1[0].numel()
        order, kind = (1, "max") if kind == "plain" else (group.order, kind)  # of one value, the maximum
        wanted = any(ctx.needs_input_grad[:2])
        unit = z1.new_empty((count, width), dtype=autocast_dtype(z1))
        number = {"dtype": torch.float32, "device": z1.device}
        inverse, seen = torch.empty(count, **number), torch.empty(3, count, **number)
        norm, measured = seen[0], seen[1:]
        first, last = (count * part // processes for part in (rank, rank + 1))
        rows = min(last - first, chunk or max(1, PIECE // (count * order)))
        starts, block = range(first, last, rows), min(BLOCK, triton.next_power_of_2(count))
        how = 1 / t, kind, order, block
        entries = copied_entries(group, width // group.order, True, z1.device)[0]
        # A single piece is turned while it is scaled.
        copies = order if rows == count and order > 1 else 0
        all_turned = unit.new_empty((count * copies, width)) if copies else unit
        row = triton.next_power_of_2(width)
        _scale[(count,)](z1, z2, unit, inverse, all_turned, entries, len(z1), width, copies, row, num_warps=8)

        def compare(start: int) -> tuple[Tensor, Tensor]:
            """A piece of turned views, and its correlations with all views: (rows |G|, width), (rows |G|, count)."""
            piece = all_turned
            if rows < count:
                piece = unit[start:last][:rows]
                piece = copied(piece, entries, unit.dtype).view(-1, width) if order > 1 else piece
            return piece, piece @ unit.T

        for start in starts:
            turned, kappa = compare(start)
            _normalise[(len(turned) // order,)](kappa, norm, measured, count, start, *how)
        if processes > 1:
            seen[:, :first], seen[:, last:] = 0, 0
            distributed.all_reduce(seen)
        if not wanted:
            mean = measured.mean(dim=1)
        else:
            mean, total = torch.empty(2, **number), None
            for start in reversed(starts):
                if start != starts[-1]:
                    turned, kappa = compare(start)
                grid = (len(turned) // order + 1, -(-count // block))
                _slope[grid](kappa, norm, measured, mean, count, start, *how)
                share = kappa.T @ turned
                if len(starts) > 1:  # many small shares are added up precisely
                    share = share.float() if total is None else total.add_(share)
                total = share
                del turned, kappa  # before the next piece
            ctx.save_for_backward(z1, z2, inverse, total)
            ctx.slope = processes / (count * t)
        loss, accuracy = mean.unbind()
        ctx.mark_non_differentiable(accuracy)
        ctx.set_materialize_grads(False)  # zeros for the accuracy would be a kernel more
        return loss, accuracy

    @staticmethod
    def backward(ctx, grad_loss: Float[Tensor, ""], _):
        need_no_second_derivative()
        z1, z2, inverse, total = ctx.saved_tensors
        out, width = z1.new_empty((2, *z1.shape)), z1[0].numel()
        sizes = len(z1), width, triton.next_power_of_2(width)
        _scale_backward[(len(total),)](z1, z2, inverse, total, grad_loss, out, ctx.slope, *sizes)
        return *out.unbind(), *[None] * 5


def try_on(device: torch.device) -> None:
    """Make every kernel on this device; raises what Triton raises if it cannot."""
    z = torch.ones(2, 1, 2, device=device, requires_grad=True)
    with torch.enable_grad():
        loss, _ = fused_contrast(z, z, cyclic(2), "soft", 1.0, None, together=False)
        torch.autograd.grad(loss, z)


# Row i of the views is row i of z1, or row i - B of z2. Numbers are float32 in the kernels, whatever is stored.


@triton.jit
@no_type_check
def _scale(z1, z2, unit, inverse, turned, entries, half, width, COPIES: constexpr, ROW: constexpr):
    """Row i at length 1, its turned copies, its inverse length. A zero vector has no direction: it stays zero."""
    i = tl.program_id(0).to(tl.int64)
    row = z1 + i * width if i < half else z2 + (i - half) * width
    d = tl.arange(0, ROW)
    inside = d < width
    z = tl.load(row + d, inside, 0.0).to(tl.float32)
    if COPIES:
        entry = tl.load(entries + d, inside, 0)
    length = tl.maximum(tl.sqrt(tl.sum(z * z)), 1e-12)
    tl.store(inverse + i, 1 / length)
    tl.store(unit + i * width + d, z / length, inside)
    for g in tl.static_range(COPIES):
        z = tl.load(row + entry, inside, 0.0).to(tl.float32)
        if g + 1 < COPIES:  # on its way while this copy is written
            entry = tl.load(entries + (g + 1) * width + d, inside, 0)
        tl.store(turned + (i * COPIES + g) * width + d, z / length, inside)


@triton.jit
@no_type_check
def _scale_backward(z1, z2, inverse, total, grad_loss, out, slope, half, width, ROW: constexpr):
    """The gradient at a unit vector u, without its part along u, over the length."""
    i = tl.program_id(0).to(tl.int64)
    row = z1 + i * width if i < half else z2 + (i - half) * width
    d = tl.arange(0, ROW)
    inside = d < width
    scale = tl.load(inverse + i)
    u = tl.load(row + d, inside, 0.0).to(tl.float32) * scale
    g = tl.load(total + i * width + d, inside, 0.0).to(tl.float32)
    factor = tl.load(grad_loss).to(tl.float32) * slope * scale
    tl.store(out + i * width + d, (g - tl.sum(u * g) * u) * factor, inside)


@triton.jit
@no_type_check
def _correlations(kappa, inside, count, ORDER: constexpr):
    """Those of one view with a block of others, for each element; those of the next element lie ``count`` further."""
    blocks = ()  # all loads before the first store, so that they wait for memory together
    for g in tl.static_range(ORDER):
        blocks += (tl.load(kappa + g * count, inside, 0.0).to(tl.float32),)
    return blocks


@triton.jit
@no_type_check
def _similarity(blocks, over_t, KIND: constexpr, ORDER: constexpr):
    """From the correlations of all elements."""
    if KIND == "power2" or KIND == "power3":
        similarity = tl.zeros_like(blocks[0])
        for g in tl.static_range(ORDER):
            k = blocks[g]
            similarity += k * k if KIND == "power2" else k * k * k
        return similarity / ORDER
    similarity = blocks[0]
    for g in tl.static_range(1, ORDER):
        similarity = tl.maximum(similarity, blocks[g])
    if KIND == "soft":
        total = tl.zeros_like(similarity)
        for g in tl.static_range(ORDER):
            total += tl.exp((blocks[g] - similarity) * over_t)
        similarity += tl.log(total / ORDER) / over_t
    return similarity


@triton.jit
@no_type_check
def _normalise(
    kappa, norm, measured, count, start, over_t, KIND: constexpr, ORDER: constexpr, BLOCK: constexpr
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
        blocks = _correlations(kappa + j, inside, count, ORDER)
        logit = _similarity(blocks, over_t, KIND, ORDER) * over_t
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
def _average(measured, mean, count, BLOCK: constexpr):
    """The means of losses and of accuracies."""
    loss, accuracy = tl.zeros((BLOCK,), tl.float32), tl.zeros((BLOCK,), tl.float32)
    for begin in range(0, count, BLOCK):
        j = begin + tl.arange(0, BLOCK)
        loss += tl.load(measured + j, j < count, 0.0)
        accuracy += tl.load(measured + count + j, j < count, 0.0)
    tl.store(mean, tl.sum(loss) / count)
    tl.store(mean + 1, tl.sum(accuracy) / count)


@triton.jit
@no_type_check
def _slope(
    kappa, norm, measured, mean, count, start, over_t, KIND: constexpr, ORDER: constexpr, BLOCK: constexpr
):
    """Overwrite the correlations with 2B t times the derivatives of the loss, which knows each pair from both sides.

    The last programs take the means of what was measured, beside the others: a kernel less.
    """
    row = tl.program_id(0)
    if row == tl.num_programs(0) - 1:
        _average(measured, mean, count, BLOCK)
        return
    i = start + row
    j = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    inside = j < count
    partner = j == (i + count // 2) % count
    kappa += row.to(tl.int64) * ORDER * count + j
    blocks = _correlations(kappa, inside, count, ORDER)
    own, others = tl.load(norm + i), tl.load(norm + j, inside, 0.0)
    if KIND == "soft":
        # Its logit is in the weights as well and drops out of their product with the slope, save at the partner, where
        # it is known. What stands for it keeps the exponentials small.
        logit = tl.where(partner, own - tl.load(measured + i), tl.minimum(own, others))
    else:
        similarity = _similarity(blocks, over_t, KIND, ORDER)
        logit = similarity * over_t
    slope = tl.exp(logit - own) + tl.exp(logit - others) - tl.where(partner, 2.0, 0.0)
    if KIND == "max":  # elements that share the maximum share its slope
        ties = tl.zeros_like(slope)
        for g in tl.static_range(ORDER):
            ties += (blocks[g] == similarity).to(tl.float32)
        slope /= ties
    for g in tl.static_range(ORDER):
        k = blocks[g]
        if KIND == "max":
            weight = (k == similarity).to(tl.float32)
        elif KIND == "soft":
            weight = tl.exp(k * over_t - logit) / ORDER
        elif KIND == "power2":
            weight = k * (2 / ORDER)
        else:
            weight = k * k * (3 / ORDER)
        tl.store(kappa + g * count, tl.where(j == i, 0.0, slope * weight), inside)
