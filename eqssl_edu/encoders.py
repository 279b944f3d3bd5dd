"""Encoders: images (B, C, H, W) to regular features (B, C', |G|)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.errors import need_choice, need_exact, need_positive, need_shape, need_widths, typed
from eqssl_edu.groups import FiniteGroup, cyclic
from eqssl_edu.layers import GroupBatchNorm2d, GroupConv2d, HalvingPool2d, LiftingConv2d
from eqssl_edu.layers.group_state import GroupState
from eqssl_edu.shapes import Images, Maps
from eqssl_edu.twins import Twin

__all__ = [
    "Encoder",
    "GroupCNN",
    "GroupResNet",
    "SymmetrizedEncoder",
    "count_multiplications",
    "count_parameters",
    "matched_cnn",
]


class Encoder(GroupState):
    """An encoder with feature maps: has ``group``, ``in_channels``, ``out_channels``, ``feature_maps``."""

    group: FiniteGroup
    in_channels: int
    out_channels: int

    def feature_maps(self, images: Images) -> Float[Tensor, "batch out group out_height out_width"]:
        """The last regular feature maps; they turn with the image."""
        raise NotImplementedError

    def forward(self, images: Images) -> Float[Tensor, "batch out group"]:
        """Regular features: the mean of the last feature maps over the grid."""
        return self.feature_maps(images).mean(dim=(-2, -1))


class GroupCNN(Encoder):
    """A small group-convolutional network: one convolution a stage, the grid halved in between.

    It is exact at every image size. With ``cyclic(1)`` it is a plain CNN.

    Arguments:
        group: C1, C2, C4, D1, D2 or D4.
        in_channels: channels of the images.
        channels: regular channels of each stage; the expanded width is |G| times that.
        kernel_size: side of all kernels in pixels; odd, so that the padding keeps the size.

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> GroupCNN(cyclic(4), in_channels=1, channels=(8, 16))(torch.rand(2, 1, 29, 29)).shape
        torch.Size([2, 16, 4])
    """

    @typed
    def __init__(
        self,
        group: FiniteGroup,
        in_channels: int = 1,
        channels: Sequence[int] = (8, 16, 32),
        kernel_size: int = 3,
    ) -> None:
        super().__init__()
        need_stages(in_channels, channels, kernel_size)
        self.group, self.in_channels, self.out_channels = group, in_channels, channels[-1]
        self.channels, self.kernel_size = tuple(channels), kernel_size
        stages = [*normed(LiftingConv2d, group, in_channels, channels[0], kernel_size), nn.ReLU()]
        for width, out_width in itertools.pairwise(channels):
            stages += [HalvingPool2d(), *normed(GroupConv2d, group, width, out_width, kernel_size), nn.ReLU()]
        self.stages = nn.Sequential(*stages)

    def feature_maps(self, images: Images) -> Float[Tensor, "batch out group out_height out_width"]:
        return self.stages(images)

    def scaled(self, group: FiniteGroup, factor: float) -> GroupCNN:
        """The same network over another group, its widths multiplied by ``factor``."""
        channels = tuple(max(1, round(factor * width)) for width in self.channels)
        return GroupCNN(group, self.in_channels, channels, self.kernel_size)


class ResidualBlock(nn.Module):
    """Two 3 x 3 group convolutions with a shortcut around them.

    Arguments:
        group: the group.
        in_channels, out_channels: regular channels; a 1 x 1 convolution stands in the shortcut where they differ.
    """

    def __init__(self, group: FiniteGroup, in_channels: int, out_channels: int) -> None:
        super().__init__()
        first = normed(GroupConv2d, group, in_channels, out_channels, 3)
        second = normed(GroupConv2d, group, out_channels, out_channels, 3)
        self.body = nn.Sequential(*first, nn.ReLU(), *second)
        self.shortcut = nn.Sequential()
        if in_channels != out_channels:
            self.shortcut.extend(normed(GroupConv2d, group, in_channels, out_channels, 1))

    def forward(self, maps: Maps) -> Float[Tensor, "batch out group height width"]:
        return torch.relu(self.body(maps) + self.shortcut(maps))


class GroupResNet(Encoder):
    """ResNet-18 in its CIFAR form over a group: a 3 x 3 stem and four stages of two residual blocks.

    Where the usual network halves the grid by convolutions with stride 2, which are not exact on even sizes (rule E1),
    this one pools in front of them. It is exact at every image size.

    Arguments:
        group: C1, C2, C4, D1, D2 or D4.
        in_channels: channels of the images.
        width: regular channels of the first stage; the stages have 1, 2, 4 and 8 times as many. 64 with C1 has the
            size of ResNet-18; 64 / sqrt(|G|) has about as many parameters.

    References:
        He et al., Deep Residual Learning for Image Recognition (arXiv 1512.03385), section 4.2.
    """

    @typed
    def __init__(self, group: FiniteGroup, in_channels: int = 3, width: int = 32) -> None:
        super().__init__()
        need_positive(in_channels=in_channels, width=width)
        self.group, self.in_channels, self.width, self.out_channels = group, in_channels, width, 8 * width
        self.stem = nn.Sequential(*normed(LiftingConv2d, group, in_channels, width, 3), nn.ReLU())
        self.blocks = nn.Sequential(ResidualBlock(group, width, width), ResidualBlock(group, width, width))
        for channels in (width, 2 * width, 4 * width):
            wider = ResidualBlock(group, channels, 2 * channels)
            self.blocks.extend([HalvingPool2d(), wider, ResidualBlock(group, 2 * channels, 2 * channels)])

    def feature_maps(self, images: Images) -> Float[Tensor, "batch out group out_height out_width"]:
        return self.blocks(self.stem(images))

    def scaled(self, group: FiniteGroup, factor: float) -> GroupResNet:
        """As ``GroupCNN.scaled``."""
        return GroupResNet(group, self.in_channels, max(1, round(factor * self.width)))


class SymmetrizedEncoder(GroupState):
    r"""Any network made equivariant: apply it to the |G| turned copies, $f(x)[g] = m(g^{-1} x)$.

    It costs |G| times the network, and every comparison needs it as a control (docs/theory.md, one scorer).

    Arguments:
        group: C1, C2, C4, D1, D2 or D4.
        module: images (B, C, H, W) to vectors; its outputs are flattened per image.

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> mlp = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
        >>> SymmetrizedEncoder(cyclic(4), mlp)(torch.rand(2, 1, 8, 8)).shape
        torch.Size([2, 10, 4])
    """

    @typed
    def __init__(self, group: FiniteGroup, module: nn.Module) -> None:
        super().__init__()
        need_exact(group)
        widths = [getattr(m, "out_features", getattr(m, "out_channels", None)) for m in module.modules()]
        widths = [width for width in widths if isinstance(width, int)]
        if not widths:
            raise ValueError("module must hold a layer with out_features or out_channels, got none")
        # A module that names its own width is believed; else the last layer's width counts.
        own = getattr(module, "out_channels", None)
        self.group, self.module = group, module
        self.back = [int(group.inverse[g]) for g in group.elements]  # no tensors: a graph can hold them
        self.out_channels = own if isinstance(own, int) else widths[-1]

    def forward(self, images: Images) -> Float[Tensor, "batch out group"]:
        need_shape("images", images, "B", "C", "H", "W")
        turned_back = [self.group.transform(images, g) for g in self.back]
        # One batch, so that a batch norm inside sees all copies and shares its statistics over the group.
        vectors = self.module(torch.cat(turned_back)).flatten(1)
        width = vectors.shape[1]
        if width != self.out_channels:
            raise ValueError(
                f"module must give {self.out_channels} numbers per image, the width of its last layer, got {width}; "
                f"if that is right, say so before: module.out_channels = {width}"
            )
        return vectors.unflatten(0, (self.group.order, len(images))).permute(1, 2, 0)


@typed
def matched_cnn(encoder: GroupCNN | GroupResNet, by: str = "parameters") -> GroupCNN | GroupResNet:
    """The plain CNN (group C1) of the same architecture with as many parameters, or as many multiplications.

    By compute, the plain network simply has the expanded widths, |G| times the channels. By parameters, the
    widths grow by about sqrt(|G|); the nearest network is searched for. One factor scales all widths, so networks with
    stages of one to three channels can miss by tens of per cent: print ``count_parameters`` of both.

    Arguments:
        encoder: the group network to match.
        by: "parameters" or "flops".
    """
    need_choice("by", by, ("parameters", "flops"))
    order = encoder.group.order
    if by == "flops":
        return encoder.scaled(cyclic(1), order)
    wanted = count_parameters(encoder)
    low, high = 1.0, float(order)  # between the same channels and the same expanded width
    for _ in range(10):  # the count grows with the factor: bisect
        middle = (low + high) / 2
        if count_parameters(encoder.scaled(cyclic(1), middle)) < wanted:
            low = middle
        else:
            high = middle
    candidates = [encoder.scaled(cyclic(1), factor) for factor in (low, high)]
    return min(candidates, key=lambda candidate: abs(count_parameters(candidate) - wanted))


@typed
def count_parameters(module: nn.Module) -> int:
    """How many numbers a module learns."""
    return sum(parameter.numel() for parameter in module.parameters())


@typed
def count_multiplications(module: nn.Module, images: Images) -> int:
    """Multiply-adds of one forward pass in eval mode over these images (convolutions, matrix products)."""
    from torch.utils.flop_counter import FlopCounterMode  # it brings Triton, which takes a second to import

    twin = Twin(module).settle()
    if twin.module is not None:  # the counter's hooks stumble over weights with gradients in escnn's layers
        twin.module.requires_grad_(False)
    with FlopCounterMode(display=False) as counter:
        twin.run(images)
    return counter.get_total_flops() // 2


def need_stages(in_channels: int, channels: Sequence[int], kernel_size: int) -> None:
    """Raise unless a network of one convolution a stage can have these sizes."""
    need_positive(in_channels=in_channels, kernel_size=kernel_size)
    need_widths("channels", channels)
    if kernel_size % 2 == 0:
        raise ValueError(f"kernel_size must be odd, so that the padding keeps the size, got {kernel_size}")


def normed(convolution: type, group: FiniteGroup, width: int, out_width: int, side: int) -> list[nn.Module]:
    """A convolution that keeps the size of odd kernels, without a bias: the batch norm behind it has one."""
    layer = convolution(group, width, out_width, side, padding=side // 2, bias=False)
    return [layer, GroupBatchNorm2d(group, out_width)]
