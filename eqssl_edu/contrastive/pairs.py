"""Pairs of regular features: how z_i and its own w_i correlate, how similar they are, the turn that aligns them."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.circle import CircleGroup, turn_features
from eqssl_edu.circle.correlation import own_coefficients, waves
from eqssl_edu.circle.similarity import best_turns, of_waves
from eqssl_edu.contrastive.features import Features
from eqssl_edu.contrastive.similarity import longest, prepared, reduced
from eqssl_edu.groups import FiniteGroup, tables_on
from eqssl_edu.precision import precise

__all__ = ["align", "pair_correlation", "pair_similarity"]


def pair_correlation(group: FiniteGroup, z: Features, w: Features) -> Float[Tensor, "batch group"]:
    r"""The orbit correlation of each pair, $\kappa_i[g] = \langle z_i, \rho(g) w_i \rangle$.

    It is the diagonal of ``orbit_correlation``, at the cost of B pairs and not of B^2.
    """
    # products[i, a, b] = <z_i[:, a], w_i[:, b]>; z[h] meets w[g^-1 h] in kappa[g].
    with torch.autocast(z.device.type, enabled=False):
        products = precise(z).transpose(1, 2) @ precise(w)
    place = torch.arange(group.order, device=z.device)
    return products[:, place, tables_on(group, z.device).shift].sum(dim=2)


def pair_similarity(
    group: FiniteGroup, z: Features, w: Features, kind: str = "max", temperature: float = 0.2
) -> Float[Tensor, " batch"]:
    """The similarity of each z_i with its w_i: the diagonal of ``orbit_similarity``, at the cost of B pairs."""
    (correlated, z), (_, w) = prepared(group, z, kind), prepared(group, w, kind)
    if isinstance(correlated, CircleGroup):
        return of_waves(own_coefficients(group, z, w), kind, temperature, longest(kind, z, w))
    return reduced(pair_correlation(correlated, z, w), 1, kind, temperature)


def align(group: FiniteGroup, z: Features, w: Features) -> Features:
    r"""Each w_i turned to where it meets z_i best: $\rho(g_i) w_i$ with $g_i = \mathrm{argmax}_g \kappa_i[g]$.

    The nearest of the |G| turned copies, since $|z - \rho(g) w|^2 = |z|^2 + |w|^2 - 2 \kappa[g]$. If z_i is
    moved by a and w_i by any b, the answer moves by a: the pair is again as it was, both turned by a. Over SO(2) and
    O(2) it is the nearest of the copies turned by all angles.
    """
    if isinstance(group, CircleGroup):
        circle, angle = best_turns(
            own_coefficients(group, waves(group, z.detach()), waves(group, w.detach()))
        )
        return turn_features(group, group.transform_features(w, circle * group.rotations), angle.rad2deg())
    best = pair_correlation(group, z.detach(), w.detach()).argmax(dim=1)
    return group.transform_features(w, best)
