"""Encoders whose features of each turned image stand in a list: any f on a few images, and nothing but f."""

import torch
from torch import nn

from eqssl_edu.groups import cyclic, dihedral

C4, D4 = cyclic(4), dihedral(4)


def cards(count, dtype=torch.float64):
    """Images that no turn and no reflection maps to themselves or to another: one bright pixel beside a corner."""
    images = torch.zeros(count, 1, 4, 4, dtype=dtype)
    images[:, 0, 0, 1] = torch.arange(1, count + 1)
    return images


class Listed(nn.Module):
    """f(k x_i) = z[i, k] for the cards."""

    def __init__(self, group, z):
        super().__init__()
        self.register_buffer("z", z)
        card = cards(1)
        self.place = [int(group.transform(card, k).flatten().argmax()) for k in group.elements]

    def forward(self, images):
        value, place = images.flatten(1).max(dim=1)
        turn = torch.tensor([self.place.index(p) for p in place.tolist()])
        return self.z[value.round().long() - 1, turn]


def draw(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def moved(group, x, maps):
    """Features of a linear action: z[i, k] = maps[k] x_i."""
    return torch.einsum("kde,ie->ikd", maps, x)


def regular_maps(group, channels):
    """The matrices of the regular action on (channels, |G|), flattened."""
    one = torch.eye(channels * group.order, dtype=torch.float64)
    rows = one.unflatten(1, (channels, group.order))
    return torch.stack([group.transform_features(rows, g).flatten(1).T for g in group.elements])
