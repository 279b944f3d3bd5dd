"""Features of all processes, with gradients."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

__all__ = ["gather"]


def gather(features: Float[Tensor, "batch channel group"]) -> Float[Tensor, "all_batches channel group"]:
    """The features of all processes, joined in the order of their ranks; one process gets its own back.

    The same exchange as Fabric's ``all_gather(..., sync_grads=True)``: in the backward pass each process
    receives the sum of the gradients that all processes have for its features. So every process computes the
    loss of the joined batch, and the mean over processes that data-parallel training takes of the weights'
    gradients is exactly the gradient of that one loss.
    """
    distributed = torch.distributed
    if not (distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1):
        return features
    from torch.distributed.nn.functional import all_gather

    joined = torch.cat(all_gather(features.contiguous()))
    if joined.requires_grad:
        # The gloo backend sends a gradient as it lies in memory: a transposed one would arrive scrambled.
        joined.register_hook(Tensor.contiguous)
    return joined
