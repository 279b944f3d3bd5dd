"""The error of equivariance at any angle, for each frequency of the features by itself."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.circle import spectrum
from eqssl_edu.errors import got, need_instance, need_integer, need_number, need_shape, typed
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.precision import fine
from eqssl_edu.rotate import disc_mask, rotate
from eqssl_edu.shapes import Images
from eqssl_edu.twins import Twin

__all__ = ["FrequencyErrors", "equivariance_by_frequency"]


class FrequencyErrors(NamedTuple):
    """Relative errors of the features of turned images; the angles first."""

    frequencies: Float[
        Tensor, "angle frequency"
    ]  # of each frequency by itself; NaN where the features have none
    total: Float[Tensor, " angle"]  # of all of them together
    share: Float[Tensor, " frequency"]  # of the energy of upright features; sums to 1


@typed
def equivariance_by_frequency(
    encoder: Callable[[Tensor], Tensor],
    images: Images,
    degrees: Collection[float] = (45.0,),
    group: FiniteGroup | None = None,
) -> FrequencyErrors:
    r"""How well features follow a turn of the image, for each frequency m: $\|Z_m(f(R_\theta x)) - e^{-i m \theta}
    Z_m(f(x))\| / \|Z_m(f(x))\|$ over the whole batch.

    One error over all features hides the part that turns: most of the energy is in the mean over the group, frequency
    0, which does not move and which a blur hardly changes. What an angle is read from are the frequencies above 0.

    Upright and turned images are both cut to the inscribed disc. Turned ones are interpolated, except by quarter turns;
    so part of an error is the picture's, not the network's (smooth pictures show the network's).

    Arguments:
        encoder: images to features (B, C, |G|); a copy runs in eval mode.
        images: square ones.
        degrees: the angles of the turns, counter-clockwise.
        group: of the features, ``encoder.group`` by default. For C_n and D_n the frequencies below n/2, at the angles
            between the elements too, where nothing promises a small error; n/2 has no action there and is left out, of
            the total as well.

    Raises:
        ValueError: if the features are zero everywhere, or not finite.

    Example:
        >>> from eqssl_edu.encoders import GroupCNN
        >>> from eqssl_edu.groups import cyclic
        >>> errors = equivariance_by_frequency(GroupCNN(cyclic(4)), torch.rand(2, 1, 9, 9), degrees=(90.0, 45.0))
        >>> errors.frequencies.shape, bool((errors.frequencies[0] < 1e-4).all())
        (torch.Size([2, 2]), True)
    """
    group = group if group is not None else getattr(encoder, "group", None)
    need_instance("group", group, FiniteGroup)
    need_integer("len(images)", len(images), least=1)
    need_shape("images", images, "B", "C", "S", "S", finite=True)
    angles = [float(need_number("degrees", angle)) for angle in degrees]
    need_integer("len(degrees)", len(angles), least=1)
    disc, twin = disc_mask(images.shape[-1]).to(images), Twin(encoder).settle()
    last = (group.rotations - 1) // 2  # below n/2; the group of a circle has cut at L

    def coefficients(pictures: Tensor) -> Tensor:
        z = twin.run(pictures * disc)
        need_shape("encoder(images)", z, len(images), "C", group.order, floating=True, finite=True)
        return spectrum(group, fine(z))[..., : last + 1]

    upright = coefficients(images)
    m = torch.arange(upright.shape[-1], device=upright.device)
    weight = torch.where(m > 0, 2.0, 1.0).to(upright.real)  # m and -m

    def energy(z: Tensor) -> Float[Tensor, " frequency"]:
        return z.abs().square().flatten(0, -2).sum(dim=0) * weight

    size = energy(upright)
    if not size.sum() > 0:
        raise ValueError(f"encoder must not give zero everywhere: nothing can be compared, {got(images)}")
    parts, totals = [], []
    for angle in angles:
        phases = (-m * (angle % 360)).to(upright.real).deg2rad()
        moved = upright * torch.polar(torch.ones_like(phases), phases)
        far = energy(coefficients(rotate(images, angle)) - moved)
        parts.append((far / size.where(size > 0, torch.nan)).sqrt())
        totals.append((far.sum() / size.sum()).sqrt())
    return FrequencyErrors(torch.stack(parts), torch.stack(totals), size / size.sum())
