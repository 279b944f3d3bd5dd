"""Exactly equivariant layers: lifting and group convolution, norm, pooling, and heads for label sets.

Shapes: images (B, C, H, W); regular feature maps (B, C, |G|, H, W); regular features (B, C, |G|).
Pool the grid with torch's 3-d pooling and a window of 1 along the group axis: ``MaxPool3d((1, 2, 2))``.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.errors import got, need_instance, need_positive
from eqssl_edu.exactness import exactness_violations
from eqssl_edu.groups import FiniteGroup, need_exact
from eqssl_edu.gsets import GSet

__all__ = [
    "FreeHead",
    "GSetHead",
    "GroupBatchNorm2d",
    "GroupConv2d",
    "GroupPool",
    "HalvingPool2d",
    "InvariantHead",
    "LiftingConv2d",
    "exactness_violations",
]


class _TransformedCopies(torch.autograd.Function):
    """Gather the |G| transformed copies of each kernel; scatter their gradients back by a gather.

    Row g of ``table`` is a permutation of the kernel's entries, so the gradient of entry j is the sum over g
    of the gradient at the place where g has put j: a gather with the inverse permutations. PyTorch's own
    backward of an indexing accumulates entry by entry, which is several times slower.
    """

    @staticmethod
    def forward(ctx, weight: Tensor, table: Tensor) -> Tensor:
        ctx.save_for_backward(table)
        copies = weight.index_select(2, table.flatten())
        return copies.unflatten(2, table.shape).transpose(1, 2)

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None]:
        (table,) = ctx.saved_tensors
        size = table.shape[1]
        inverse = table.argsort(dim=1) + size * torch.arange(len(table), device=table.device)[:, None]
        flat = gradient.transpose(1, 2).flatten(2)
        return flat.index_select(2, inverse.flatten()).unflatten(2, table.shape).sum(dim=2), None


class _ExpandedConv2d(nn.Module):
    """A convolution whose kernel is the |G| transformed copies of one base kernel."""

    kernel_axes: tuple[int, ...]  # the axes of a base kernel that the group moves

    def __init__(
        self, group, in_channels, out_channels, kernel_size, stride, padding, bias, kernel_axes
    ) -> None:
        super().__init__()
        need_positive(
            in_channels=in_channels, out_channels=out_channels, kernel_size=kernel_size, stride=stride
        )
        if not isinstance(padding, int) or padding < 0:
            raise ValueError(f"padding must be an integer of at least 0, {got(padding)}")
        need_exact(group)
        self.group = group
        self.in_channels, self.out_channels = in_channels, out_channels
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding
        shape = (*kernel_axes, kernel_size, kernel_size)
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, *shape))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None
        nn.init.kaiming_normal_(self.weight, nonlinearity="relu")
        entries = torch.arange(math.prod(shape)).reshape(shape)
        move = group.transform_maps if kernel_axes else group.transform
        table = torch.stack([move(entries, g).flatten() for g in group.elements])
        self.register_buffer("table", table, persistent=False)

    def extra_repr(self) -> str:
        return (
            f"{self.group.name}, {self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}, padding={self.padding}, bias={self.bias is not None}"
        )

    def _copies(self) -> Tensor:
        """(C', |G|, C, entries): the base kernels, each turned by every element."""
        return _TransformedCopies.apply(self.weight.flatten(2), self.table)

    def _convolve(self, planes: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.repeat_interleave(self.group.order)
        out = F.conv2d(planes, self.expanded_weight(), bias, self.stride, self.padding)
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
        super().__init__(group, in_channels, out_channels, kernel_size, stride, padding, bias, ())

    def expanded_weight(self) -> Float[Tensor, "out_planes channel k k"]:
        """The kernel of the plain convolution that this layer is, (C'|G|, C, k, k)."""
        copies = self._copies()
        return copies.reshape(-1, self.in_channels, self.kernel_size, self.kernel_size)

    def forward(
        self, images: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch out group out_height out_width"]:
        if images.ndim != 4 or images.shape[1] != self.in_channels:
            raise ValueError(f"images must have shape (B, {self.in_channels}, H, W), {got(images)}")
        return self._convolve(images)


class GroupConv2d(_ExpandedConv2d):
    r"""Group convolution: correlate regular maps with every transformed copy of a kernel on the group.

    $$ y[c', g] = \sum_{c, h} (g \cdot \psi_{c', c}[g^{-1} h]) \star x[c, h] + b_{c'} $$

    Copy g is the base kernel acted on like a feature map: turned, and moved along the group axis ("twist and
    shift"). Exact if the layer keeps rule E1 (``exactness_violations``).

    Arguments:
        group: C1, C2, C4, D1, D2 or D4.
        in_channels: C of the input (B, C, |G|, H, W).
        out_channels: C' of the output (B, C', |G|, H', W').
        kernel_size, stride, padding: in pixels, the same for both axes; zeros are padded.
        bias: one number per output channel, shared along the group axis.

    References:
        Cohen and Welling, Group Equivariant Convolutional Networks (arXiv 1602.07576), section 6.

    Example:
        >>> from eqssl_edu.groups import dihedral
        >>> layer = GroupConv2d(dihedral(4), 3, 8, kernel_size=3)
        >>> layer.weight.shape, layer.expanded_weight().shape
        (torch.Size([8, 3, 8, 3, 3]), torch.Size([64, 24, 3, 3]))
    """

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
        super().__init__(group, in_channels, out_channels, kernel_size, stride, padding, bias, (group.order,))

    def expanded_weight(self) -> Float[Tensor, "out_planes in_planes k k"]:
        """The kernel of the plain convolution that this layer is, (C'|G|, C|G|, k, k)."""
        planes = self.in_channels * self.group.order
        return self._copies().reshape(-1, planes, self.kernel_size, self.kernel_size)

    def forward(
        self, maps: Float[Tensor, "batch channel group height width"]
    ) -> Float[Tensor, "batch out group out_height out_width"]:
        need_regular(maps, self.group, self.in_channels, grid=True)
        return self._convolve(maps.flatten(1, 2))


class GroupBatchNorm2d(nn.BatchNorm3d):
    """Batch norm of regular maps with statistics shared over the group axis: per channel over (B, |G|, H, W).

    Statistics for each (channel, element) would treat the copies differently and break the equivariance.

    Arguments:
        group: the group of the maps.
        channels: C of the maps (B, C, |G|, H, W).
    """

    def __init__(self, group: FiniteGroup, channels: int) -> None:
        need_instance("group", group, FiniteGroup)
        need_positive(channels=channels)
        super().__init__(channels)
        self.group = group

    def forward(
        self, maps: Float[Tensor, "batch channel group height width"]
    ) -> Float[Tensor, "batch channel group height width"]:
        need_regular(maps, self.group, self.num_features, grid=True)
        return super().forward(maps)


class GroupPool(nn.Module):
    """Pool over the group axis: regular to invariant, (B, C, |G|, ...) -> (B, C, ...).

    Features become invariant vectors; feature maps still turn, but no channel moves.

    Arguments:
        group: the group of the features.
        kind: "max" or "mean".
    """

    def __init__(self, group: FiniteGroup, kind: str = "max") -> None:
        super().__init__()
        need_instance("group", group, FiniteGroup)
        if kind not in ("max", "mean"):
            raise ValueError(f"kind must be 'max' or 'mean', {got(kind)}")
        self.group, self.kind = group, kind

    def forward(
        self, features: Float[Tensor, "batch channel group *grid"]
    ) -> Float[Tensor, "batch channel *grid"]:
        need_regular(features, self.group, None, grid=features.ndim == 5)
        return features.amax(dim=2) if self.kind == "max" else features.mean(dim=2)


class HalvingPool2d(nn.Module):
    """Halve the grid by averages, exactly at every size: windows of 2 on even sizes, padded ones of 3 on odd.

    Rule E1 asks that (S + 2p - k) be even for a stride of 2; this layer chooses k and p so that it always is.
    (B, C, |G|, H, W) -> (B, C, |G|, ceil(H/2), ceil(W/2)).
    """

    def forward(
        self, maps: Float[Tensor, "batch channel group height width"]
    ) -> Float[Tensor, "batch channel group half_height half_width"]:
        if maps.ndim != 5:
            raise ValueError(f"maps must have shape (B, C, |G|, H, W), {got(maps)}")
        odd = [size % 2 for size in maps.shape[-2:]]
        window, padding = [2 + o for o in odd], odd
        planes = F.avg_pool2d(maps.flatten(1, 2), window, 2, padding, count_include_pad=False)
        return planes.unflatten(1, maps.shape[1:3])


class GSetHead(nn.Module):
    r"""The universal equivariant head: regular features to one logit per label of a G-set.

    $$ o[l] = \sum_{c, g} F[c, g]\, W[c, g^{-1} \cdot l] + b_{\mathrm{orbit}(l)} $$

    It is every equivariant linear map from regular features to R^L, with |G| times fewer weights than a free
    head: turning the input moves the logits by the action on the labels (THEORY T7).

    Arguments:
        labels: the G-set L.
        in_channels: C of the features (B, C, |G|).

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> G = cyclic(4)
        >>> head, z = GSetHead(GSet.regular(G), in_channels=5), torch.randn(2, 5, 4)
        >>> torch.allclose(head(G.transform_features(z, 1)), head.labels.transform(head(z), 1), atol=1e-6)
        True
    """

    def __init__(self, labels: GSet, in_channels: int) -> None:
        super().__init__()
        need_instance("labels", labels, GSet)
        need_positive(in_channels=in_channels)
        self.labels = labels
        self.in_channels = in_channels
        fan_in = in_channels * labels.group.order
        self.weight = nn.Parameter(torch.randn(in_channels, labels.size) / math.sqrt(fan_in))
        self.bias = nn.Parameter(torch.zeros(len(labels.orbits)))
        self.register_buffer("index", labels.action[labels.group.inverse], persistent=False)
        self.register_buffer("orbit", labels.orbit_index, persistent=False)

    def extra_repr(self) -> str:
        return f"{self.labels!r}, in_channels={self.in_channels}"

    def forward(self, features: Float[Tensor, "batch channel group"]) -> Float[Tensor, "batch label"]:
        need_regular(features, self.labels.group, self.in_channels, grid=False)
        return torch.einsum("bcg,cgl->bl", features, self.weight[:, self.index]) + self.bias[self.orbit]


class InvariantHead(nn.Module):
    """The naive head: pool over the group, then a linear map. Its logits cannot move with the input (T1).

    Arguments:
        labels: the label set L.
        in_channels: C of the features (B, C, |G|).
    """

    def __init__(self, labels: GSet, in_channels: int) -> None:
        super().__init__()
        need_instance("labels", labels, GSet)
        need_positive(in_channels=in_channels)
        self.labels = labels
        self.pool = GroupPool(labels.group)
        self.linear = nn.Linear(in_channels, labels.size)

    def forward(self, features: Float[Tensor, "batch channel group"]) -> Float[Tensor, "batch label"]:
        need_regular(features, self.labels.group, self.linear.in_features, grid=False)
        return self.linear(self.pool(features))


class FreeHead(nn.Linear):
    """The other naive head: flatten the group axis, then any linear map. It can learn; it is not equivariant.

    Arguments:
        labels: the label set L.
        in_channels: C of the features (B, C, |G'|); the group of the features may differ from the labels' (a
            plain CNN has |G'| = 1).
        order: |G'|.
    """

    def __init__(self, labels: GSet, in_channels: int, order: int) -> None:
        need_instance("labels", labels, GSet)
        need_positive(in_channels=in_channels, order=order)
        super().__init__(in_channels * order, labels.size)
        self.labels = labels
        self.in_channels, self.order = in_channels, order

    def forward(self, features: Float[Tensor, "batch channel group"]) -> Float[Tensor, "batch label"]:
        if features.ndim != 3 or features.shape[1:] != (self.in_channels, self.order):
            raise ValueError(
                f"features must have shape (B, {self.in_channels}, {self.order}), {got(features)}"
            )
        return super().forward(features.flatten(1))


def need_regular(features: Tensor, group: FiniteGroup, channels: int | None, grid: bool) -> None:
    """Raise ValueError unless ``features`` are regular features (or maps) of this group."""
    shape = f"(B, {channels or 'C'}, {group.order}{', H, W' if grid else ''})"
    wrong_channels = channels is not None and features.ndim > 1 and features.shape[1] != channels
    if features.ndim != (5 if grid else 3) or features.shape[2] != group.order or wrong_channels:
        name = "maps" if grid else "features"
        raise ValueError(f"{name} must have shape {shape} for {group.name}, {got(features)}")
