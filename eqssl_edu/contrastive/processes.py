"""Several processes: the features of all, with gradients."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, distributed

__all__ = ["gather", "place"]


def place() -> tuple[int, int]:
    """The rank of this process, and how many processes there are."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1


def gather(features: Float[Tensor, "batch channel group"]) -> Float[Tensor, "all_batches channel group"]:
    """The features of all processes, joined in the order of their ranks; one process gets its own back.

    The same exchange as Fabric's ``all_gather(..., sync_grads=True)``: in the backward pass each process
    receives the sum of the gradients that all processes have for its features. So every process computes the
    loss of the joined batch, and the mean over processes that data-parallel training takes of the weights'
    gradients is exactly the gradient of that one loss.
    """
    return features if place()[1] == 1 else _Gathered.apply(features)


class _Gathered(torch.autograd.Function):
    """PyTorch's own, ``distributed.nn.functional.all_gather``, is deprecated and says so in every run."""

    @staticmethod
    def forward(ctx, own: Tensor) -> Tensor:
        own = own.contiguous()
        parts = [torch.empty_like(own) for _ in range(distributed.get_world_size())]
        distributed.all_gather(parts, own)
        return torch.cat(parts)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous()  # in the order of the ranks whose features it belongs to
        theirs = torch.empty_like(gradient)
        distributed.all_to_all_single(theirs, gradient)
        return theirs.unflatten(0, (distributed.get_world_size(), -1)).sum(dim=0)
