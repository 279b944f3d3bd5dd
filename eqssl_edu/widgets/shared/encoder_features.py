"""The regular features of an encoder, as the explorers need them."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.errors import got, need_instance, need_shape
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.shapes import Images
from eqssl_edu.twins import same_random_numbers, tensors

__all__ = ["need_encoder", "regular_features"]

CHUNK = 256  # images that go through an encoder at once


@torch.no_grad()
@same_random_numbers()
def regular_features(encoder: nn.Module, images: Images) -> Float[Tensor, "batch feature group"]:
    """Regular features in float64 on the CPU: what is computed of them adds no rounding of its own."""
    like = next((tensor for tensor in tensors(encoder) if tensor.is_floating_point()), images)
    try:
        parts = [encoder(chunk.to(like.device, like.dtype, copy=True)) for chunk in images.split(CHUNK)]
    except RuntimeError as problem:
        raise ValueError(f"encoder must run on the images, {got(images)}; it says: {problem}") from problem
    order = encoder.group.order
    if not all(isinstance(part, Tensor) and part.ndim == 3 and part.shape[2] == order for part in parts):
        name = encoder.group.name
        raise ValueError(f"encoder must give regular features (B, C, {order}) for {name}, {got(parts[0])}")
    features = torch.cat(parts)
    need_shape("encoder(images)", features, "...", finite=True)
    return features.cpu().double()


def need_encoder(encoder: object) -> FiniteGroup:
    """The group of an encoder. Raises unless it has one that turns pixels into pixels, and more than the identity."""
    need_instance("encoder", encoder, nn.Module)
    group = getattr(encoder, "group", None)
    if not isinstance(group, FiniteGroup) or group.order == 1 or not group.exact_on_grid:
        name = group.name if isinstance(group, FiniteGroup) else repr(group)
        raise ValueError(f"encoder must have a .group out of C2, C4, D1, D2, D4, got {name}")
    return group
