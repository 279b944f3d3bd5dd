"""SteerableCNN: a small network of escnn layers over C_n, D_n, SO(2) or O(2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.circle import o2, so2
from eqssl_edu.encoders import Encoder, need_stages
from eqssl_edu.errors import got, need_positive, need_shape, typed
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.layers import HalvingPool2d
from eqssl_edu.shapes import Images
from eqssl_edu.steerable.escnn_fixes import FixedEscnn, enn, gspaces
from eqssl_edu.steerable.escnn_modules import EscnnMaps, ImagesOrMaps

__all__ = ["SteerableCNN"]


class _BandLimitedStage(FixedEscnn):
    """Convolution, norm and ELU for functions on a circle of frequencies 0 .. L, given by samples.

    (B, C, |G|, H, W) -> (B, C', |G|, H, W). The samples at the elements of C_n or D_n, n = 2 L + 2, and the Fourier
    coefficients, in which escnn computes, are the same thing in two bases. ELU, taken at twice as many points, makes
    new frequencies; those above L are cut.
    """

    def __init__(self, plane, group: FiniteGroup, inputs: enn.FieldType, out_channels: int, kernel_size: int):
        irreps = plane.fibergroup.bl_irreps(group.rotations // 2 - 1)
        activation = enn.FourierELU(plane, out_channels, irreps, type="regular", N=2 * group.rotations)
        fields = activation.in_type
        convolution = enn.R2Conv(inputs, fields, kernel_size, padding=kernel_size // 2, bias=False)
        super().__init__(enn.SequentialModule(convolution, enn.IIDBatchNorm2d(fields), activation))
        self.group = group
        samples = activation.A[::2]  # [h, frequency]: value at element h of each basis function
        self.register_buffer("samples", samples.clone(), persistent=False)
        self.register_buffer("coefficients", torch.linalg.pinv(samples.double()).float(), persistent=False)

    def forward(self, maps: ImagesOrMaps) -> Float[Tensor, "batch out order height width"]:
        if maps.ndim == 5:  # on the group, by samples
            maps = torch.einsum("fg,bcghw->bcfhw", self.coefficients, maps).flatten(1, 2)
        fields = self.module(self.module.in_type(maps)).tensor.unflatten(1, (-1, self.samples.shape[1]))
        return torch.einsum("gf,bcfhw->bcghw", self.samples, fields)


class SteerableCNN(Encoder):
    """A small steerable network: one escnn convolution a stage, the grid halved in between.

    Over C_n and D_n its features are regular, (B, C, |G|). Off the quarter turns they follow the image approximately:
    the smoother the image, the better (docs/theory.md, the band limit).

    Over SO(2) and O(2) a feature is a function on the whole group, of frequencies 0 .. L. No tensor has an axis with
    all angles, so the encoder gives the values at n = 2 L + 2 rotations, and ``group`` is ``so2(L)`` or ``o2(L)``
    (``eqssl_edu.circle``). These samples determine the function. So a turn by *any* angle acts on the features,
    between the samples too (``circle.turn_features``). Layers, heads and labels of C_n commute with the turns of C_n
    alone; the similarities and the losses over ``encoder.group`` absorb a turn by any angle, or are refused.

    Arguments:
        symmetry: ``cyclic(n)`` or ``dihedral(n)``, or "SO(2)" or "O(2)". The first network with
            reflections on a machine takes escnn up to half a minute; it keeps what it computed on disk.
        in_channels: channels of the images.
        channels: regular channels of each stage.
        kernel_size: side of all kernels in pixels; odd, so that the padding keeps the size.
        frequency: L, for SO(2) and O(2); 3 gives as many samples as C8 or D8 have.

    References:
        Weiler and Cesa, General E(2)-Equivariant Steerable CNNs (arXiv 1911.08251).

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> encoder = SteerableCNN(cyclic(8), channels=(4, 8))
        >>> encoder(torch.rand(2, 1, 29, 29)).shape
        torch.Size([2, 8, 8])
    """

    @typed
    def __init__(
        self,
        symmetry: FiniteGroup | str,
        in_channels: int = 1,
        channels: Sequence[int] = (8, 16, 32),
        kernel_size: int = 5,
        frequency: int = 3,
    ) -> None:
        super().__init__()
        need_stages(in_channels, channels, kernel_size)
        need_positive(frequency=frequency)
        continuous = {"SO(2)": so2, "O(2)": o2}
        if isinstance(symmetry, FiniteGroup):
            self.group, order = symmetry, symmetry.rotations
        elif isinstance(symmetry, str) and symmetry in continuous:
            self.group, order = continuous[symmetry](frequency), -1
        else:
            raise ValueError(f"symmetry must be a FiniteGroup, 'SO(2)' or 'O(2)', {got(symmetry)}")
        self.in_channels, self.out_channels = in_channels, channels[-1]
        dtype = torch.get_default_dtype()
        torch.set_default_dtype(torch.float32)  # escnn makes its kernels in no other type
        try:
            plane = (gspaces.flipRot2dOnR2 if self.group.reflections else gspaces.rot2dOnR2)(order)
            inputs = enn.FieldType(plane, in_channels * [plane.trivial_repr])
            self.stages = nn.Sequential()
            for width in channels:
                if self.stages:
                    self.stages.append(HalvingPool2d())
                if order > 0:
                    fields = enn.FieldType(plane, width * [plane.regular_repr])
                    convolution = enn.R2Conv(
                        inputs, fields, kernel_size, padding=kernel_size // 2, bias=False
                    )
                    layers = enn.SequentialModule(convolution, enn.InnerBatchNorm(fields), enn.ReLU(fields))
                    self.stages.append(EscnnMaps(layers))
                else:
                    self.stages.append(_BandLimitedStage(plane, self.group, inputs, width, kernel_size))
                inputs = self.stages[-1].module.out_type
        finally:
            torch.set_default_dtype(dtype)
        self.to(dtype)

    def feature_maps(self, images: Images) -> Float[Tensor, "batch out group out_height out_width"]:
        return self.stages(images)

    def forward(self, images: Images) -> Float[Tensor, "batch out group"]:
        """Regular features: the mean of the last feature maps over the inscribed disc."""
        need_shape("images", images, "B", self.in_channels, "H", "W")
        maps = self.feature_maps(images)
        # Without the corners: at other angles than quarter turns, what is there comes from outside the picture.
        size = maps.shape[-1]
        offset = torch.arange(size, device=maps.device) - (size - 1) / 2
        inside = offset[:, None] ** 2 + offset**2 <= (size / 2) ** 2
        return maps[..., inside].mean(dim=-1)
