"""InfoNCE, the loss of SimCLR, with a similarity of orbits; exact, without a buffer for all pairs."""

from __future__ import annotations

import math
from types import ModuleType
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from eqssl_edu.contrastive.kernels import kernels_for
from eqssl_edu.contrastive.pairs import need_pairs
from eqssl_edu.contrastive.similarity import (
    need_similarity,
    need_temperature,
    orbit_similarity,
    prepared,
    reduced,
)
from eqssl_edu.contrastive.statistics import precise
from eqssl_edu.errors import need_instance, need_positive
from eqssl_edu.groups import FiniteGroup, tables_on
from eqssl_edu.layers.weight_copies import autocast_dtype, copied_entries, transformed_copies

__all__ = ["Contrast", "InfoNCE"]

# Correlations that are worked on at a time: on a CPU few enough to stay in a cache, which is faster than all at once;
# an accelerator needs more of them to be busy.
CPU_ENTRIES, ACCELERATOR_ENTRIES = 2**18, 2**24


class Contrast(NamedTuple):
    """The mean loss in nats, and how often the positive was the most similar of all (no gradient)."""

    loss: Float[Tensor, ""]
    accuracy: Float[Tensor, ""]


class InfoNCE(nn.Module):
    r"""InfoNCE (NT-Xent) with an orbit similarity: $-\log \frac{\exp(s_{i,i'}/t)}{\sum_{k \neq i} \exp(s_{i,k}/t)}$.

    $i'$ is the other view of image i; k runs over all 2B views but i itself; the mean over the 2B views is taken.
    With |G| = 1 it is the loss of SimCLR. The inputs are normalised over (C, |G|).

    On a GPU all of it but the matrix products is done by kernels of its own (``fused.py``), where Triton is there: it
    comes with PyTorch's builds for CUDA. They never wait for the GPU, so that in a small batch, whose time is that of
    the launches, ``torch.cuda.make_graphed_callables(InfoNCE(G), (z1, z2))`` makes them one. The kinds "mean",
    "maxpool" and "canonical", float64, and groups of more than 32 elements have no kernels.

    Arguments:
        group: G.
        similarity: a kind of ``orbit_similarity``.
        temperature: t, also the temperature of the soft similarity (then all |G| copies of a positive count).
        chunk: how many of the 2B views are compared with all others at a time. The value and the gradient do not
            depend on it, memory does: chunk x 2B x |G| correlations. By default as many as stay in a cache, or, in
            the kernels for a GPU, 2^27.

    References:
        Chen et al., A Simple Framework for Contrastive Learning of Visual Representations (arXiv 2002.05709).

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> G, z = cyclic(4), torch.randn(8, 3, 4, dtype=torch.float64)
        >>> loss = InfoNCE(G, similarity="max")
        >>> torch.allclose(loss(z, z), loss(z, G.transform_features(z, 1)))
        True
    """

    def __init__(
        self,
        group: FiniteGroup,
        similarity: str = "soft",
        temperature: float = 0.2,
        chunk: int | None = None,
    ) -> None:
        super().__init__()
        need_instance("group", group, FiniteGroup)
        need_similarity(similarity, "similarity")
        need_temperature(temperature)
        if chunk is not None:
            need_positive(chunk=chunk)
        self.group, self.similarity, self.temperature, self.chunk = group, similarity, temperature, chunk

    def forward(
        self, z1: Float[Tensor, "batch channel group"], z2: Float[Tensor, "batch channel group"]
    ) -> Float[Tensor, ""]:
        return self.contrast(z1, z2).loss

    def contrast(
        self, z1: Float[Tensor, "batch channel group"], z2: Float[Tensor, "batch channel group"]
    ) -> Contrast:
        """The loss, and the accuracy with which each view's partner is found among all others."""
        need_pairs(self.group, z1, z2, least=2)  # one image has no negatives
        if fused := _fused(self.group, z1, self.similarity):
            how = self.group, self.similarity, self.temperature, self.chunk
            return Contrast(*fused.fused_contrast(z1, z2, *how))
        views = _views(z1, z2)
        group, views = prepared(self.group, views, self.similarity)
        views = views.to(autocast_dtype(views))
        chunk = self.chunk or _rows(len(views), group.order, views.device)
        return Contrast(*_AllPairs.apply(views, group, self.similarity, self.temperature, chunk))

    def logits(
        self, z1: Float[Tensor, "batch channel group"], z2: Float[Tensor, "batch channel group"]
    ) -> tuple[Float[Tensor, "views views"], Int64[Tensor, " views"]]:
        """The formula, all pairs at once: similarities over the temperature (-inf with oneself), and each view's
        partner; ``F.cross_entropy`` of the two is the loss."""
        need_pairs(self.group, z1, z2, least=2)
        views = _views(z1, z2)
        similarity = orbit_similarity(self.group, views, views, self.similarity, self.temperature)
        own = torch.eye(len(views), dtype=torch.bool, device=views.device)
        return (similarity / self.temperature).masked_fill(own, -math.inf), _partner(views)


def _fused(group: FiniteGroup, z: Tensor, kind: str) -> ModuleType | None:
    """``fused`` where it is of use."""
    if not kernels_for(group, z):
        return None
    from eqssl_edu.contrastive import fused

    return fused if kind in fused.KINDS else None


def _views(z1: Tensor, z2: Tensor) -> Tensor:
    """All 2B views, normalised."""
    # Scaled one by one, and times the inverse length: the backward pass then holds the fewest copies.
    return torch.cat([(z * _inverse_length(z)).to(z.dtype) for z in (z1, z2)])


def _partner(views: Tensor) -> Tensor:
    """The index of each view's partner."""
    return torch.arange(len(views), device=views.device).roll(len(views) // 2)


def _inverse_length(z: Tensor) -> Tensor:
    # In half precision squares overflow, or vanish. A zero vector has no direction: it stays about zero.
    squares = precise(z).flatten(1).square().sum(dim=1).clamp_min(1e-24)
    return squares.rsqrt()[:, None, None]


def _rows(count: int, order: int, device: torch.device) -> int:
    """How many of ``count`` views to compare at a time."""
    entries = CPU_ENTRIES if device.type == "cpu" else ACCELERATOR_ENTRIES
    rows = max(1, entries // (count * order))
    return count if 2 * rows >= count else rows  # one piece is never computed twice, two are


def need_no_second_derivative() -> None:
    """Raise where a backward pass is asked for a graph of its own: the gradient is there as a number."""
    if torch.is_grad_enabled():
        raise RuntimeError(
            "InfoNCE has no second derivative; take F.cross_entropy(*loss.logits(z1, z2)), which has"
        )


class _AllPairs(torch.autograd.Function):
    """Cross entropy and accuracy of picking each view's partner among all others, by chunks of rows.

    A similarity is symmetric, because kappa(w, z)[g] = kappa(z, w)[g^-1], so half of the pairs are enough: a chunk of
    views against itself and all *later* views. Two sweeps: the first adds up each view's normaliser, a running
    log-sum-exp; the second goes back, from the last chunk, which is still there, and adds up the gradient. That makes
    two thirds of the multiply-adds of the plain product and its two gradients.
    """

    @staticmethod
    def forward(ctx, views, group, kind, temperature, chunk):
        count, order = len(views), group.order
        partner = _partner(views)
        wanted = ctx.needs_input_grad[0]
        precise = {"dtype": torch.promote_types(views.dtype, torch.float32), "device": views.device}
        undo = tables_on(group, views.device).shift
        tables = copied_entries(group, views.shape[1], True, views.device)
        flat = views.flatten(1)

        def compare(start):
            """A chunk of views with itself and all later ones: kappa (rows, |G|, later), logits (rows, later)."""
            turned = transformed_copies(views[start : start + chunk], *tables, -1, flat.shape[1])
            kappa = (turned @ flat[start:].T).unflatten(0, (-1, order)).requires_grad_(wanted)
            with torch.set_grad_enabled(wanted):
                similarity = reduced(kappa, 1, kind, temperature)
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
        starts = range(0, count, chunk)
        for start in starts:
            *parts, logits, pairs = compare(start)
            rows = len(logits)
            see(slice(start, start + rows), logits, start)
            if start + rows < count:
                see(slice(start + rows, count), logits[:, rows:].T, start)
            # A pair inside the chunk is met from both sides, one with a later view stands for both.
            twice = 1 + (pairs[1] >= rows).to(logits.dtype)
            positive += (logits[pairs] * twice).sum()
        if wanted:
            gradient = torch.zeros_like(flat, dtype=precise["dtype"])
            for start in reversed(starts):
                if start != starts[-1]:
                    *parts, logits, pairs = compare(start)
                turned, kappa, similarity = parts
                rows, after = len(logits), start + len(logits)
                # Softmax minus 1 at the partner, for both sides of each pair.
                slope = (logits - norm[start:after, None]).exp_()
                slope += logits.sub_(norm[start:]).exp_()
                slope[pairs] -= 2
                slope *= 1 / (count * temperature)
                (along,) = torch.autograd.grad(similarity, kappa, slope.to(similarity.dtype))
                along = along.flatten(0, 1)
                if along.dtype == gradient.dtype:
                    gradient[start:].addmm_(along.T, turned)  # in place
                else:
                    gradient[start:] += along.T @ turned
                if after < count:  # inside the chunk that was both sides; now its share from the later views
                    share = along[:, rows:] @ flat[after:]
                    share = share.view(rows, order, *views.shape[1:])
                    share = share.gather(3, undo[:, None, :].expand_as(share)).sum(dim=1)
                    gradient[start:after] += share.flatten(1)
            ctx.save_for_backward(gradient.to(views.dtype).view_as(views))
        accuracy = (found == partner).to(precise["dtype"]).mean()
        ctx.mark_non_differentiable(accuracy)
        return (norm.sum() - positive) / count, accuracy

    @staticmethod
    def backward(ctx, grad_loss, _):
        need_no_second_derivative()
        (gradient,) = ctx.saved_tensors
        return (gradient * grad_loss, *[None] * 4)


def _pairs(start: int, rows: int, count: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Who of ``rows`` views from ``start`` on meets their partner among the views from ``start`` on, and where."""
    half = count // 2
    ahead = torch.arange(max(0, min(rows, half - start)), device=device)  # the partner is half a batch later,
    behind = torch.arange(half, max(half, rows), device=device)  # or earlier
    return torch.cat([ahead, behind]), torch.cat([ahead + half, behind - half])
