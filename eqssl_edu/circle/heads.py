r"""Heads that answer an angle: arrows that turn with the input, and the plain heads to compare them with.

The Fourier coefficient of frequency k of a feature turns as an arrow of type k does. So an equivariant linear head is
a choice of one complex weight a channel, and there is no other (docs/theory.md has the kind; ``tests/circle`` counts).
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.circle.features import spectrum
from eqssl_edu.circle.labels import Angles, Arrows
from eqssl_edu.errors import need_integer, need_positive, need_regular, need_shape, typed
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.layers.group_state import GroupState
from eqssl_edu.precision import precise
from eqssl_edu.shapes import Features

__all__ = ["AngleHead", "DensityHead", "FreeAngleHead", "NumberHead"]


def highest_frequency(group: FiniteGroup) -> int:
    """Up to which frequency a turn by any angle acts: L, and below n/2, which samples know up to a sign alone."""
    below_half = (group.rotations - 1) // 2
    return min(getattr(group, "frequency", below_half), below_half)


class _Arrows(GroupState):
    """Arrows of several types: (B, C, |G|) -> (B, F, 2), or a plain (B, 2) for one."""

    def __init__(self, group: FiniteGroup, in_channels: int, frequencies: tuple[int, ...]) -> None:
        super().__init__()
        need_positive(in_channels=in_channels)
        self.group, self.in_channels, self.frequencies = group, in_channels, frequencies
        self.weight = nn.Parameter(torch.randn(in_channels, len(frequencies), 2) / in_channels**0.5)

    def extra_repr(self) -> str:
        return f"{self.group!r}, in_channels={self.in_channels}, frequencies={self.frequencies}"

    def belongs_to(self) -> str:
        return f"arrows of types {', '.join(map(str, self.frequencies))} over {self.group!r}"

    def arrows(self, features: Features) -> Float[Tensor, "batch frequency 2"]:
        need_regular(features, self.group, self.in_channels, grid=False, like=self.weight)
        with torch.autocast(features.device.type, enabled=False):  # no coefficients in half precision
            z = torch.view_as_real(spectrum(self.group, features))  # (B, C, halves, m, 2)
            z = z[..., [abs(k) for k in self.frequencies], :] / self.group.rotations
            sign = z.new_tensor([-1.0 if k >= 0 else 1.0 for k in self.frequencies])  # conj(Z) has type +k
            x, y = z[..., 0], z[..., 1] * sign
            a, b = (self.weight.to(z)[..., i][:, None] for i in range(2))
            if self.group.reflections:  # conj(a) on the reflections' half: then the flip takes o to conj(o)
                b = b * z.new_tensor([1.0, -1.0])[:, None]
            return torch.stack([(a * x - b * y).sum(dim=(1, 2)), (a * y + b * x).sum(dim=(1, 2))], dim=-1)


class AngleHead(_Arrows):
    r"""The universal head of type k: one arrow, $o_k(z) = \frac{1}{n} \sum_c a_c \overline{Z[c, k]}$, a complex.

    A turn of the features by *any* angle $\theta$ turns it by $e^{i k \theta}$. Every equivariant linear map to an
    arrow is one of these, 2C real weights, and no bias; above the features' frequencies there is none. Over O(2) and
    D_n the flip takes the arrow to its mirror image, $o \mapsto \bar o$, which leaves 2 real weights a channel as
    well. For k = 0 it does not move, and the flip changes the sign of its second number.

    Arguments:
        group: of the features: C_n, D_n, SO(2) or O(2).
        in_channels: C of the features (B, C, |G|).
        frequency: k, for an angle modulo 360/k; negative for the wrong sense of rotation, at most L, and below n/2.

    Example:
        >>> from eqssl_edu.circle import so2, turn_arrows, turn_features
        >>> head, z = AngleHead(so2(3), in_channels=5), torch.randn(2, 5, 8)
        >>> z = turn_features(so2(3), z, 0.0)
        >>> torch.allclose(head(turn_features(so2(3), z, 20.0)), turn_arrows(head(z), 20.0), atol=1e-5)
        True
    """

    @typed
    def __init__(self, group: FiniteGroup, in_channels: int, frequency: int = 1) -> None:
        most = highest_frequency(group)
        super().__init__(group, in_channels, (need_integer("frequency", frequency, -most, most),))

    def forward(self, features: Features) -> Arrows:
        return self.arrows(features)[:, 0]


class DensityHead(_Arrows):
    r"""A density on the circle as an answer: arrows of all types k, 2k, ... that the features have, (B, F, 2).

    ``density_loss`` reads them as $s(\alpha) = \sum_m \mathrm{Re}(\bar o_m e^{i m k \alpha})$, the log density up to
    a constant. The density of a turned input is the turned density.

    Arguments:
        group: of the features: C_n, D_n, SO(2) or O(2).
        in_channels: C of the features (B, C, |G|).
        symmetry: k, for a density of angles modulo 360/k; at most L, and below n/2.

    Example:
        >>> from eqssl_edu.circle import so2
        >>> DensityHead(so2(3), in_channels=5)(torch.randn(2, 5, 8)).shape
        torch.Size([2, 3, 2])
    """

    @typed
    def __init__(self, group: FiniteGroup, in_channels: int, symmetry: int = 1) -> None:
        most = highest_frequency(group)
        types = range(need_integer("symmetry", symmetry, 1, most), most + 1, symmetry)
        super().__init__(group, in_channels, tuple(types))

    def forward(self, features: Features) -> Float[Tensor, "batch frequency 2"]:
        return self.arrows(features)


class _FreeHead(nn.Linear):
    """Any linear map of the flattened features."""

    numbers: int  # that come out

    @typed
    def __init__(self, in_channels: int, order: int) -> None:
        need_positive(in_channels=in_channels, order=order)
        super().__init__(in_channels * order, self.numbers)
        self.in_channels, self.order = in_channels, order

    def read(self, features: Features) -> Float[Tensor, "batch number"]:
        need_shape("features", features, "B", self.in_channels, self.order, like=self.weight)
        with torch.autocast(
            features.device.type, enabled=False
        ):  # half precision rounds an angle to a degree
            return precise(super().forward(features.flatten(1).to(self.weight.dtype)))


class FreeAngleHead(_FreeHead):
    """Two numbers by any linear map: an arrow, but nothing makes it turn. The control, and the head of a plain CNN.

    Arguments:
        in_channels: C of the features (B, C, |G|).
        order: |G|; 1 for a plain CNN.
    """

    numbers = 2

    def forward(self, features: Features) -> Arrows:
        return self.read(features)


class NumberHead(_FreeHead):
    r"""An angle as a *number* f: what an ordinary regression answers. Given as the arrow $\kappa (\cos f, \sin f)$.

    The number is wound onto the circle, so nothing is lost at 360 degrees, and the loss in nats is that of every other
    arrow; $\kappa$, one for all images, is learned. Still no continuous network with such a head is right everywhere:
    as an image turns once around, f comes back to where it was and the right answer does not. At some angle of every
    image it is wrong by 180 degrees.

    Arguments:
        in_channels: C of the features (B, C, |G|).
        order: |G|; 1 for a plain CNN.

    References:
        Zhou et al., On the Continuity of Rotation Representations in Neural Networks (arXiv 1812.07035).

    Example:
        >>> head = NumberHead(in_channels=5, order=8)
        >>> head(torch.randn(2, 5, 8)).shape, head.number(torch.randn(2, 5, 8)).shape
        (torch.Size([2, 2]), torch.Size([2]))
    """

    numbers = 1

    def __init__(self, in_channels: int, order: int) -> None:
        super().__init__(in_channels, order)
        self.log_confidence = nn.Parameter(torch.zeros(()))

    def number(self, features: Features) -> Angles:
        """f in degrees: any number, not modulo 360."""
        return self.read(features)[:, 0].rad2deg()

    def forward(self, features: Features) -> Arrows:
        f = self.read(features)[:, 0]
        return self.log_confidence.to(f).exp() * torch.stack([f.cos(), f.sin()], dim=1)
