"""Pairs of regular features: the correlation of z_i with w_i alone, and the turn that aligns them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.contrastive.similarity import (
    need_features_of,
    need_similarity,
    need_temperature,
    prepared,
    reduced,
)
from eqssl_edu.contrastive.statistics import precise
from eqssl_edu.groups import FiniteGroup, tables_on

__all__ = ["align", "need_pairs", "pair_correlation", "pair_similarity", "unit"]


def unit(z: Float[Tensor, "batch channel group"]) -> Float[Tensor, "batch channel group"]:
    """Scaled to length 1 over channels and group together: no turn changes that length."""
    return z / z.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None]


def pair_correlation(
    group: FiniteGroup, z: Float[Tensor, "batch channel group"], w: Float[Tensor, "batch channel group"]
) -> Float[Tensor, "batch group"]:
    r"""The orbit correlation of each pair, $\kappa_i[g] = \langle z_i, \rho(g) w_i \rangle$.

    It is the diagonal of ``orbit_correlation``, at the cost of B pairs and not of B^2.
    """
    # products[i, a, b] = <z_i[:, a], w_i[:, b]>; z[h] meets w[g^-1 h] in kappa[g].
    with torch.autocast(z.device.type, enabled=False):
        products = precise(z).transpose(1, 2) @ precise(w)
    place = torch.arange(group.order, device=z.device)
    return products[:, place, tables_on(group, z.device).shift].sum(dim=2)


def pair_similarity(
    group: FiniteGroup,
    z: Float[Tensor, "batch channel group"],
    w: Float[Tensor, "batch channel group"],
    kind: str = "max",
    temperature: float = 0.2,
) -> Float[Tensor, " batch"]:
    """The similarity of each z_i with its w_i: the diagonal of ``orbit_similarity``.

    Arguments:
        group: G.
        z, w: regular features of one shape, taken as they are.
        kind, temperature: as in ``orbit_similarity``.
    """
    need_similarity(kind, "kind")
    need_temperature(temperature)
    need_pairs(group, z, w)
    (correlated, z), (_, w) = prepared(group, z, kind), prepared(group, w, kind)
    return reduced(pair_correlation(correlated, z, w), 1, kind, temperature)


def align(
    group: FiniteGroup, z: Float[Tensor, "batch channel group"], w: Float[Tensor, "batch channel group"]
) -> Float[Tensor, "batch channel group"]:
    r"""Each w_i turned to where it meets z_i best: $\rho(g_i) w_i$ with $g_i = \arg\max_g \kappa_i[g]$.

    The nearest of the |G| turned copies, since $|z - \rho(g) w|^2 = |z|^2 + |w|^2 - 2 \kappa[g]$. If z_i is
    moved by a and w_i by any b, the answer moves by a: the pair is again as it was, both turned by a.
    """
    best = pair_correlation(group, z.detach(), w.detach()).argmax(dim=1)
    return group.transform_features(w, best)


def need_pairs(
    group: FiniteGroup, z1: Tensor, z2: Tensor, least: int = 1, names: tuple[str, str] = ("z1", "z2")
) -> None:
    """Raise unless z1 and z2 are regular features of one shape, type and device with B >= ``least``."""
    need_features_of(group, z1, names[0])
    need_features_of(group, z2, names[1])
    if z1.shape != z2.shape or len(z1) < least:
        raise ValueError(
            f"{names[0]} and {names[1]} must have one shape with B >= {least}, got {tuple(z1.shape)} and "
            f"{tuple(z2.shape)}"
        )
    if z1.dtype != z2.dtype or z1.device != z2.device:
        raise ValueError(
            f"{names[0]} and {names[1]} must have one dtype on one device, got {z1.dtype} on {z1.device} and "
            f"{z2.dtype} on {z2.device}"
        )
