"""Lifting and group convolution: a plain convolution with the |G| transformed copies of each kernel."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.errors import need_exact, need_integer, need_positive, need_regular, need_shape, typed
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.layers.group_state import GroupState
from eqssl_edu.layers.weight_copies import moved_entries, places_of, transformed_copies
from eqssl_edu.shapes import Images, Maps

__all__ = ["GroupConv2d", "LiftingConv2d"]


class _ExpandedConv2d(GroupState):
    """A convolution whose kernel is the |G| transformed copies of one base kernel; see the two below."""

    on_group: bool  # does it read maps on the group? Then a kernel has a group axis too.

    @typed
    def __init__(
        self,
        group: FiniteGroup,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        padding: int = 0,
        bias: bool = True,
    ) -> None:
        super().__init__()
        need_positive(in_channels=in_channels, out_channels=out_channels)
        need_positive(kernel_size=kernel_size, stride=stride)
        need_integer("padding", padding, least=0)
        need_exact(group)
        self.group, self.in_channels, self.out_channels = group, in_channels, out_channels
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        shape = (*[group.order] * self.on_group, kernel_size, kernel_size)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, *shape))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.reset_parameters()
        # table[g, j]: the entry of a kernel that its copy g holds at j; a kernel is flattened, channels and all,
        # so that one gather writes the copies where the convolution wants them: in the order of its input's memory.
        move = group.transform_maps if self.on_group else group.transform
        moved = moved_entries(move, group, (in_channels, *shape))
        last = moved.unflatten(1, (-1, kernel_size**2)).transpose(1, 2).flatten(1)
        for order, table in (("", moved), ("_channels_last", last)):
            self.register_buffer(f"table{order}", table, persistent=False)
            self.register_buffer(f"places{order}", places_of(table), persistent=False)

    def reset_parameters(self) -> None:
        """New random kernels; the bias is zero."""
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        if self.bias is not None:
            nn.init.zeros_(self.bias)

    def extra_repr(self) -> str:
        return (
            f"{self.group.name}, {self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, padding={self.padding}, bias={self.bias is not None}"
        )

    def belongs_to(self) -> str:
        return f"{'regular maps' if self.on_group else 'lifting'} over {self.group.name}"

    def expanded_weight(self) -> Float[Tensor, "out_planes in_planes k k"]:
        """The kernel of the plain convolution that this layer is: (C'|G|, C, k, k), or (C'|G|, C|G|, k, k) on maps."""
        out_planes, k = self.out_channels * self.group.order, self.kernel_size
        return transformed_copies(self.weight, self.table, self.places, out_planes, -1, k, k)

    def _convolve(self, planes: Tensor) -> Tensor:
        if planes.stride(1) == 1 and planes.stride(3) == planes.shape[1]:
            # A convolution copies a kernel that lies in memory otherwise than its input, and so does its gradient.
            tables, k = (self.table_channels_last, self.places_channels_last), self.kernel_size
            kernel = transformed_copies(self.weight, *tables, -1, k, k, planes.shape[1]).permute(0, 3, 1, 2)
        else:
            kernel = self.expanded_weight()
        bias = None if self.bias is None else self.bias.repeat_interleave(self.group.order)
        out = F.conv2d(planes, kernel, bias, self.stride, self.padding)
        return out.unflatten(1, (self.out_channels, self.group.order))


class LiftingConv2d(_ExpandedConv2d):
    r"""Lifting convolution: correlate the image with every transformed copy of a kernel.

    $$ y[c', g] = \sum_c (g \cdot \psi_{c', c}) \star x[c] + b_{c'} $$

    If the image turns by a, copy g sees what copy $a^{-1} g$ saw before: the maps turn and move along the
    group axis, which is the action of ``group.transform_maps``. Exact if the layer keeps rule E1
    (``exactness_violations``).

    Arguments:
        group: C1, C2, C4, D1, D2 or D4 (their elements map the kernel's grid to itself).
        in_channels: C of the input (B, C, H, W).
        out_channels: C' of the output (B, C', |G|, H', W').
        kernel_size, stride, padding: in pixels, the same for both axes; zeros are padded.
        bias: one number per output channel, shared along the group axis.

    References:
        Cohen and Welling, Group Equivariant Convolutional Networks (arXiv 1602.07576), section 6.

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> G, x = cyclic(4), torch.randn(2, 3, 9, 9, dtype=torch.float64)
        >>> layer = LiftingConv2d(G, 3, 8, kernel_size=3).double()
        >>> torch.allclose(layer(G.transform(x, 1)), G.transform_maps(layer(x), 1))
        True
    """

    on_group = False

    def forward(self, images: Images) -> Float[Tensor, "batch out group out_height out_width"]:
        need_shape("images", images, "B", self.in_channels, "H", "W", floating=True, like=self.weight)
        return self._convolve(images)


class GroupConv2d(_ExpandedConv2d):
    r"""Group convolution: correlate regular maps with every transformed copy of a kernel on the group.

    $$ y[c', g] = \sum_{c, h} (g \cdot \psi_{c', c}[g^{-1} h]) \star x[c, h] + b_{c'} $$

    Copy g is the base kernel acted on like a feature map: turned, and moved along the group axis ("twist and
    shift"). Exact if the layer keeps rule E1 (``exactness_violations``).

    Arguments:
        those of ``LiftingConv2d``; the input is (B, C, |G|, H, W), the output (B, C', |G|, H', W').

    References:
        Cohen and Welling, Group Equivariant Convolutional Networks (arXiv 1602.07576), section 6.

    Example:
        >>> from eqssl_edu.groups import dihedral
        >>> layer = GroupConv2d(dihedral(4), 3, 8, kernel_size=3)
        >>> layer.weight.shape, layer.expanded_weight().shape
        (torch.Size([8, 3, 8, 3, 3]), torch.Size([64, 24, 3, 3]))
    """

    on_group = True

    def _apply(self, convert: Callable[[Tensor], Tensor], recurse: bool = True) -> GroupConv2d:
        # ``.to(memory_format=torch.channels_last)`` asks for four axes; this layer follows the layout of its input.
        def on_planes(weight: Tensor) -> Tensor:
            planes = convert(weight.flatten(1, 2)) if weight.ndim == 5 else convert(weight)
            return planes.contiguous().unflatten(1, weight.shape[1:3]) if weight.ndim == 5 else planes

        return super()._apply(on_planes, recurse)

    def forward(self, maps: Maps) -> Float[Tensor, "batch out group out_height out_width"]:
        need_regular(maps, self.group, self.in_channels, grid=True, like=self.weight)
        return self._convolve(maps.flatten(1, 2))
