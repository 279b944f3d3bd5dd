"""The same network without its training: what a number says of a training is seen beside it only."""

from __future__ import annotations

import contextlib

import torch
from torch import nn

from eqssl_edu.errors import need_integer, need_shape, typed
from eqssl_edu.ownership import steady
from eqssl_edu.shapes import Images
from eqssl_edu.twins import copied, know, same_random_numbers

__all__ = ["untrained_copy"]

CHUNK = 64  # images that run together


@typed
def untrained_copy(model: nn.Module, images: Images, seed: int = 0) -> nn.Module:
    """The same architecture with new random weights; its batch norms know the statistics of these images.

    Each module's own ``reset_parameters`` is called, as PyTorch's layers and ours have it, the inner ones first. So
    weights that a network has set otherwise when it was made (a last layer of zeros, say) become usual ones.

    Arguments:
        model: the network, trained or not. It is left as it is.
        images: (B, C, H, W), for the batch norms: with mean 0 and variance 1 it would be another network.
        seed: of the weights.

    Raises:
        ValueError: names a module whose weights no ``reset_parameters`` makes anew; make that network by hand.

    Example:
        >>> trained = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten())
        >>> untrained = untrained_copy(trained, torch.rand(4, 1, 8, 8), seed=1)
        >>> untrained[0].weight.shape, torch.equal(untrained[0].weight, trained[0].weight)
        (torch.Size([2, 1, 3, 3]), False)
    """
    need_shape("images", images, "B", "C", "H", "W", floating=True, finite=True)
    need_integer("len(images)", len(images), least=1)
    need_integer("seed", seed, 0, 2**63 - 1)
    with steady(model):
        model = copied(model)
    weights = {name: weight for name, weight in model.named_parameters() if weight.is_floating_point()}
    with same_random_numbers(), torch.no_grad():
        for weight in weights.values():
            weight.fill_(torch.nan)  # so that one is seen that nobody sets
        torch.manual_seed(seed)
        for module in reversed(list(model.modules())):
            reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
            if callable(reset):
                with contextlib.suppress(TypeError):  # one that wants arguments resets nothing
                    reset()
    for name, weight in weights.items():
        if weight.isnan().any():
            place, _, weight_name = name.rpartition(".")
            kind = type(model.get_submodule(place)).__name__
            raise ValueError(
                f"model must hold modules with reset_parameters only, got {weight_name} of {place or 'the network'} "
                f"({kind}), which none makes anew; make an untrained network by hand"
            )
    like = next(iter(weights.values()), images)
    with same_random_numbers():
        return know(model, [some.to(like) for some in images.split(CHUNK)])
