"""InfoNCE without a buffer for all pairs: exact, by chunks of rows, each pair of views compared once."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor, distributed

from eqssl_edu.circle import CircleGroup
from eqssl_edu.contrastive.features import Features
from eqssl_edu.contrastive.loss import need_no_second_derivative
from eqssl_edu.contrastive.processes import place
from eqssl_edu.contrastive.products import Copies, Waves
from eqssl_edu.contrastive.similarity import prepared
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.layers.weight_copies import autocast_dtype

__all__ = ["AllPairs", "contrast_by_chunks"]

# Correlations that are worked on at a time: on a CPU few enough to stay in a cache, which is faster than all at once;
# an accelerator needs more of them to be busy.
CPU_ENTRIES, ACCELERATOR_ENTRIES = 2**18, 2**24


def contrast_by_chunks(
    views: Features, group: FiniteGroup, kind: str, temperature: float, chunk: int | None, together: bool
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Loss and accuracy of ``InfoNCE`` for all 2B views of length 1, the first views of all images in front."""
    group, views = prepared(group, views, kind)
    views = views.to(autocast_dtype(views))
    parts = Waves if isinstance(group, CircleGroup) else Copies
    return AllPairs.apply(views, parts, group, kind, temperature, chunk, together)


class AllPairs(torch.autograd.Function):
    """Cross entropy and accuracy of picking each view's partner among all others, by chunks of rows.

    A similarity is symmetric, because kappa(w, z)[g] = kappa(z, w)[g^-1], so half of the pairs are enough: a chunk of
    views against itself and all *later* views. Two sweeps: the first adds up each view's normaliser, a running
    log-sum-exp; the second goes back, from the last chunk, which is still there, and adds up the gradient. That makes
    two thirds of the multiply-adds of the plain product and its two gradients.

    Together, P processes share the chunks out, so that each pair is compared by one of them, and join what they have
    seen between the sweeps. Early chunks meet more views than late ones: everybody takes of both.
    """

    @staticmethod
    def forward(ctx, views, parts, group, kind, temperature, chunk, together):
        rank, processes = place() if together else (0, 1)
        count, parts = len(views), parts(views, group, kind, temperature)
        if chunk is None:
            entries = CPU_ENTRIES if views.device.type == "cpu" else ACCELERATOR_ENTRIES
            chunk = max(1, entries // (count * parts.values))
            if 2 * chunk >= count:  # one piece is never computed twice, two are
                chunk = count
        if processes > 1:
            chunk = max(1, min(chunk, count // (2 * processes)))
        partner = torch.arange(count, device=views.device).roll(count // 2)
        wanted = ctx.needs_input_grad[0]
        precise = {"dtype": torch.promote_types(views.dtype, torch.float32), "device": views.device}

        def compare(start):
            """A chunk of views with itself and all later ones: their products, and logits (rows, later)."""
            turned = parts.turned(slice(start, start + chunk))
            kappa = parts.products(turned, start).requires_grad_(wanted)
            with torch.set_grad_enabled(wanted):
                similarity = parts.similarity(kappa)
            logits = similarity.detach().to(precise["dtype"]) / temperature
            logits.fill_diagonal_(-math.inf)  # nobody is among their own candidates
            return turned, kappa, similarity, logits, _pairs(start, len(logits), count, views.device)

        norm, best = (torch.full((count,), -math.inf, **precise) for _ in range(2))
        found = torch.full_like(partner, -1)

        def see(who, logits, start):
            """Views ``who`` meet more candidates, those from ``start`` on."""
            norm[who] = torch.logaddexp(norm[who], logits.logsumexp(dim=1))
            value, index = logits.max(dim=1)
            found[who] = torch.where(value > best[who], index + start, found[who])
            best[who] = best[who].maximum(value)

        positive = torch.zeros((), **precise)  # the sum of all views' logits with their partners
        turns = rank, 2 * processes - 1 - rank  # of one process: all
        starts = [start for i, start in enumerate(range(0, count, chunk)) if i % (2 * processes) in turns]
        for start in starts:
            *kept, logits, pairs = compare(start)
            rows = len(logits)
            see(slice(start, start + rows), logits, start)
            if start + rows < count:
                see(slice(start + rows, count), logits[:, rows:].T, start)
            # A pair inside the chunk is met from both sides, one with a later view stands for both.
            twice = 1 + (pairs[1] >= rows).to(logits.dtype)
            positive += (logits[pairs] * twice).sum()
        if processes > 1:
            _join(norm, best, found, positive)
        if wanted:
            gradient = torch.zeros_like(parts.flat, dtype=precise["dtype"])
            for start in reversed(starts):
                if start != starts[-1]:
                    *kept, logits, pairs = compare(start)
                turned, kappa, similarity = kept
                rows, after = len(logits), start + len(logits)
                # Softmax minus 1 at the partner, for both sides of each pair.
                slope = (logits - norm[start:after, None]).exp_()
                slope += logits.sub_(norm[start:]).exp_()
                slope[pairs] -= 2
                slope *= processes / (count * temperature)  # data parallelism takes the mean of processes
                (along,) = torch.autograd.grad(similarity, kappa, slope.to(similarity.dtype))
                parts.add_to_later(gradient[start:], along, turned)
                if after < count:  # inside the chunk that was both sides; now its share from the later views
                    gradient[start:after] += parts.share(along[..., rows:], after)
            ctx.save_for_backward(gradient.to(views.dtype).view_as(views))
        accuracy = (found == partner).to(precise["dtype"]).mean()
        ctx.mark_non_differentiable(accuracy)
        return (norm.sum() - positive) / count, accuracy

    @staticmethod
    def backward(ctx, grad_loss, _):
        need_no_second_derivative()
        (gradient,) = ctx.saved_tensors
        return (gradient * grad_loss, *[None] * 6)


def _join(norm: Tensor, best: Tensor, found: Tensor, positive: Tensor) -> None:
    """What each process has seen of every view becomes what all have; of equally similar views the first counts."""
    top = best.clone()
    distributed.all_reduce(top, distributed.ReduceOp.MAX)
    found.masked_fill_(best < top, len(found))
    distributed.all_reduce(found, distributed.ReduceOp.MIN)
    sums = torch.cat([(norm - top).exp(), positive[None]])
    distributed.all_reduce(sums)
    norm.copy_(sums[:-1].log() + top)
    positive.copy_(sums[-1])


def _pairs(start: int, rows: int, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Who of ``rows`` views from ``start`` on meets their partner among the views from ``start`` on, and where."""
    half = count // 2
    ahead = torch.arange(max(0, min(rows, half - start)), device=device)  # the partner is half a batch later,
    behind = torch.arange(half, max(half, rows), device=device)  # or earlier
    return torch.cat([ahead, behind]), torch.cat([ahead + half, behind - half])
