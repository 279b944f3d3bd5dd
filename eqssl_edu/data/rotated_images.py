"""Every image turned by its own random angle, as in rotated MNIST."""

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.errors import got, need_integer, need_shape, typed
from eqssl_edu.rotate import rotate

__all__ = ["rotated"]


@typed
def rotated(
    images: Float[Tensor, "count channel size size"], seed: int = 0
) -> Float[Tensor, "count channel size size"]:
    """Each image turned counter-clockwise about its centre by an angle of its own, uniform over the circle.

    Bilinear, with zeros where nothing is known: for images whose content lies in the centred disc on ground 0.
    Such data has no upright orientation left, and the law of its images does not change under any rotation.

    Arguments:
        images: square images.
        seed: another number gives other angles.

    References:
        Larochelle et al., An empirical evaluation of deep architectures on problems with many factors of
        variation, ICML 2007 (rotated MNIST).

    Example:
        >>> rotated(torch.rand(4, 1, 28, 28)).shape
        torch.Size([4, 1, 28, 28])
    """
    need_shape("images", images, "N", "C", "S", "S", floating=True)
    if images.shape[-1] != images.shape[-2]:
        raise ValueError(f"images must be square, {got(images)}")
    need_integer("seed", seed, least=0)
    generator = torch.Generator().manual_seed(seed)
    return rotate(
        images, 360 * torch.rand(len(images), generator=generator, device="cpu", dtype=torch.float32)
    )
