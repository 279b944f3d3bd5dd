"""Statistics of a batch of regular features that no turn of its members changes."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.contrastive.features import Features
from eqssl_edu.groups import FiniteGroup, tables_on

__all__ = ["center", "relative_products", "standardize"]


def center(z: Features) -> Features:
    """Minus the mean of each channel over batch and group."""
    return z - z.mean(dim=(0, 2), keepdim=True)


def standardize(z: Features) -> Features:
    """Mean 0 and standard deviation 1 of each channel over batch and group, as batch norm does it."""
    z = center(z)
    return z / (z.square().mean(dim=(0, 2), keepdim=True) + 1e-5).sqrt()


def relative_products(group: FiniteGroup, z: Features, w: Features) -> Float[Tensor, "group channel channel"]:
    r"""Products of channels at a relative element: $P_k[c, c'] = \sum_{i, h} z_i[c, h]\, w_i[c', hk]$.

    Turning z_i and w_i by one and the same element only renames h in the sum: nothing changes.

    Seen another way: join all |G| turned copies of the pairs to one batch of B|G|, flatten them to vectors of
    C|G| numbers, and multiply. That matrix, of side C|G|, has $P_{h^{-1} h'}[c, c']$ at (c, h), (c', h'). So
    $P$ is a matrix of products of all dimensions with |G| times fewer different entries.
    """
    # One matrix product: (C, B h) times (B h, k C).
    relative = w[:, :, tables_on(group, w.device).product]  # (B, C, h, k): w[c, hk]
    left = z.transpose(0, 1).flatten(1)
    right = relative.permute(0, 2, 3, 1).flatten(0, 1).flatten(1)
    with torch.autocast(z.device.type, enabled=False):
        return (left @ right).unflatten(1, (group.order, -1)).transpose(0, 1)
