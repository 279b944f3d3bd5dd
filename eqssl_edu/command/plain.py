"""An encoder as plain convolutions: what any program can run that knows nothing of groups."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from eqssl_edu.encoders import Encoder, GroupCNN, GroupResNet, ResidualBlock
from eqssl_edu.errors import got, typed
from eqssl_edu.layers import GroupBatchNorm2d, GroupConv2d, HalvingPool2d, LiftingConv2d
from eqssl_edu.shapes import Images
from eqssl_edu.twins import copied

__all__ = ["PlainEncoder"]

Planes = Float[Tensor, "batch plane height width"]  # the group axis lies in the planes, behind the channels


class PlainEncoder(nn.Module):
    r"""What a trained encoder computes, by plain convolutions, ReLUs and means: images to features (B, C', |G|).

    Each convolution holds the |G| transformed copies of its kernels (``expanded_weight``), the batch norm behind it
    folded in as it is in eval mode. Layers over SO(2) and O(2) become two convolutions with an ELU between them: to the
    samples at which it is taken, and back to the |G| samples of the features. It cannot be trained on: the copies would
    part.

    Arguments:
        encoder: ``GroupCNN``, ``GroupResNet`` or ``SteerableCNN``; it is copied, and left as it is.

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> encoder, images = GroupCNN(cyclic(4)).eval(), torch.rand(2, 1, 16, 16)
        >>> torch.allclose(PlainEncoder(encoder)(images), encoder(images), atol=1e-5)
        True
    """

    @typed
    def __init__(self, encoder: Encoder) -> None:
        super().__init__()
        self.shape = encoder.out_channels, encoder.group.order
        encoder = copied(encoder)
        if isinstance(encoder, GroupCNN):
            stages, self.on_disc = encoder.stages, False
        elif isinstance(encoder, GroupResNet):
            stages, self.on_disc = [encoder.stem, encoder.blocks], False
        else:
            stages, self.on_disc = _steerable_stages(encoder), True
        self.maps = nn.Sequential(*_layers(stages))
        self.eval().requires_grad_(False)

    def forward(self, images: Images) -> Float[Tensor, "batch out group"]:
        maps = self.maps(images)
        if not self.on_disc:
            return maps.mean(dim=(-2, -1)).unflatten(1, self.shape)
        size = maps.shape[-1]
        offset = torch.arange(size, device=maps.device) - (size - 1) / 2
        disc = (offset[:, None] ** 2 + offset**2 <= (size / 2) ** 2).to(maps.dtype)
        return ((maps * disc).sum(dim=(-2, -1)) / disc.sum()).unflatten(1, self.shape)


class _Halving(nn.Module):
    """``HalvingPool2d`` on planes."""

    def forward(self, planes: Planes) -> Float[Tensor, "batch plane half_height half_width"]:
        odd = [size % 2 for size in planes.shape[-2:]]
        return F.avg_pool2d(planes, [2 + o for o in odd], 2, odd, count_include_pad=False)


class _Block(nn.Module):
    """``ResidualBlock`` on planes."""

    def __init__(self, block: ResidualBlock) -> None:
        super().__init__()
        self.body, self.shortcut = (nn.Sequential(*_layers(part)) for part in (block.body, block.shortcut))

    def forward(self, planes: Planes) -> Float[Tensor, "batch out height width"]:
        return torch.relu(self.body(planes) + self.shortcut(planes))


class _Order(nn.Module):
    """Planes in another order."""

    def __init__(self, index: Tensor) -> None:
        super().__init__()
        self.register_buffer("index", index)

    def forward(self, planes: Planes) -> Float[Tensor, "batch out height width"]:
        return planes[:, self.index]


def _layers(modules: Iterable[nn.Module]) -> list[nn.Module]:
    """The plain layers of modules that follow each other."""
    layers: list[nn.Module] = []
    for module in modules:
        if isinstance(module, LiftingConv2d | GroupConv2d):
            bias = None if module.bias is None else module.bias.repeat_interleave(module.group.order)
            layers.append(_convolution(module.expanded_weight(), bias, module.stride, module.padding))
        elif isinstance(module, GroupBatchNorm2d):
            layers[-1] = fuse_conv_bn_eval(layers[-1], _norm(module))
        elif isinstance(module, nn.BatchNorm2d):
            layers[-1] = fuse_conv_bn_eval(layers[-1], module)
        elif isinstance(module, HalvingPool2d):
            layers.append(_Halving())
        elif isinstance(module, ResidualBlock):
            layers.append(_Block(module))
        elif isinstance(module, nn.Sequential):
            layers += _layers(module)
        elif isinstance(module, nn.ReLU | nn.ELU | nn.Conv2d | _Order):
            layers.append(module)
        else:
            raise TypeError(f"encoder must be made of the library's layers alone, {got(module)}")
    return layers


def _convolution(
    weight: Tensor, bias: Tensor | None, stride: int = 1, padding: int = 0, groups: int = 1
) -> nn.Conv2d:
    """A convolution with these kernels."""
    planes, seen, side = weight.shape[:3]
    layer = nn.Conv2d(seen * groups, planes, side, stride, padding, groups=groups, bias=bias is not None)
    layer = layer.to(weight).eval()  # or no batch norm can be folded in
    with torch.no_grad():
        layer.weight.copy_(weight)
        if bias is not None:
            layer.bias.copy_(bias)
    return layer


def _norm(norm: GroupBatchNorm2d) -> nn.BatchNorm2d:
    """A batch norm of planes: each number of a channel, once for each element."""
    plain = nn.BatchNorm2d(norm.num_features * norm.group.order, norm.eps).to(norm.weight).eval()
    for name in ("weight", "bias", "running_mean", "running_var"):
        getattr(plain, name).data.copy_(getattr(norm, name).repeat_interleave(norm.group.order))
    return plain


def _steerable_stages(encoder: Encoder) -> list[nn.Module]:
    """The stages of a ``SteerableCNN`` as convolutions, batch norms and nonlinearities on planes."""
    from eqssl_edu.steerable import EscnnMaps, SteerableCNN  # they need escnn

    if not isinstance(encoder, SteerableCNN):
        raise TypeError(f"encoder must be a GroupCNN, a GroupResNet or a SteerableCNN, {got(encoder)}")
    stages = []
    for stage in encoder.stages:
        if isinstance(stage, EscnnMaps):
            stages += [*stage.module.eval().export().eval(), _Order(stage.index)]
        elif isinstance(stage, HalvingPool2d):
            stages.append(stage)
        else:
            stages += _band_limited(stage, lifting=not stages)
    return stages


def _band_limited(stage: nn.Module, lifting: bool) -> list[nn.Module]:
    """A stage over SO(2) or O(2): every linear map of its fields goes into the convolution in front of the ELU."""
    convolution, norm, activation = stage.module
    layer = fuse_conv_bn_eval(convolution.eval().export().eval(), norm.export())
    weight, bias, fields = layer.weight, layer.bias, activation.A.shape[1]
    if not lifting:  # it reads samples
        weight = torch.einsum("pcfkl,fg->pcgkl", weight.unflatten(1, (-1, fields)), stage.coefficients)
        weight = weight.flatten(1, 2)
    weight = torch.einsum("sf,cfikl->csikl", activation.A, weight.unflatten(0, (-1, fields))).flatten(0, 1)
    bias = torch.einsum("sf,cf->cs", activation.A, bias.unflatten(0, (-1, fields))).flatten()
    back = (stage.samples @ activation.Ainv)[:, :, None, None]
    channels = len(bias) // len(activation.A)
    return [
        _convolution(weight, bias, padding=layer.padding[0]),
        nn.ELU(),
        _convolution(back.repeat(channels, 1, 1, 1), None, groups=channels),
    ]
