"""Encoders that the explorers of features look at, and their images."""

import torch
from torch import nn

from eqssl_edu.encoders import GroupCNN


def images(count=5, channels=1, side=12, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(count, channels, side, side, dtype=dtype, generator=generator)


def network(group, in_channels=1, dtype=torch.float32) -> GroupCNN:
    torch.manual_seed(0)
    encoder = GroupCNN(group, in_channels, channels=(6, 8)).to(dtype).train()
    # Without statistics from images, the batch norms of a new network hide the differences between them.
    with torch.no_grad():
        for _ in range(30):
            encoder(images(32, in_channels, seed=7, dtype=dtype))
    return encoder.eval()


class NotEquivariant(nn.Module):
    """A network that says it has the group, and has not: the must-fail twin."""

    def __init__(self, group):
        super().__init__()
        self.group = group
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(144, 4 * group.order))

    def forward(self, x):
        return self.body(x).unflatten(1, (4, self.group.order))
