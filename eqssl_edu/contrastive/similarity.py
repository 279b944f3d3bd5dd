"""Orbit correlation, and similarities that absorb the transformation of each input."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.errors import got
from eqssl_edu.groups import FiniteGroup, need_regular

__all__ = ["SIMILARITIES", "need_temperature", "orbit_correlation", "orbit_similarity"]

SIMILARITIES = ("max", "soft", "mean", "power2", "power3", "plain")


def orbit_correlation(
    group: FiniteGroup, z: Float[Tensor, "batch channel group"], w: Float[Tensor, "other channel group"]
) -> Float[Tensor, "batch other group"]:
    r"""All inner products of z with the turned copies of w: $\kappa(z, w)[g] = \langle z, \rho(g) w \rangle$.

    If z is moved by a and w by b, $\kappa[g]$ becomes $\kappa[a^{-1} g b]$: the values are permuted, none changes.

    Arguments:
        group: G.
        z, w: regular features with the same channels.

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> G, z = cyclic(4), torch.randn(2, 3, 4)
        >>> k, turned = orbit_correlation(G, z, z), orbit_correlation(G, G.transform_features(z, 1), z)
        >>> torch.allclose(k.sort(dim=2).values, turned.sort(dim=2).values, atol=1e-6)
        True
    """
    need_regular(z, group, None, grid=False)
    need_regular(w, group, z.shape[1], grid=False)
    # copies[i, g, (c, h)] = w[i, c, g^-1 h]; one matrix product against z[j, (c, h)] gives every pair and element.
    copies = torch.stack([group.transform_features(w, g) for g in group.elements], dim=1).flatten(2)
    return (z.flatten(1) @ copies.flatten(0, 1).T).unflatten(1, copies.shape[:2])


def orbit_similarity(
    group: FiniteGroup,
    z: Float[Tensor, "batch channel group"],
    w: Float[Tensor, "other channel group"],
    kind: str = "soft",
    temperature: float = 0.2,
) -> Float[Tensor, "batch other"]:
    r"""A similarity of all pairs, from the orbit correlation $\kappa$; every kind but "plain" is symmetric in
    its |G| values and so does not change when z and w are moved by elements of their own.

    | kind | formula |
    |---|---|
    | plain | $\kappa[e]$: the naive one, which changes |
    | mean | mean of $\kappa$: pooling over the group first |
    | max | max of $\kappa$: the best alignment |
    | soft | $t \log \mathrm{mean} \exp(\kappa / t)$: max for $t \to 0$, mean for $t \to \infty$ |
    | power2, power3 | mean of $\kappa^p$: power spectrum, triple correlation |

    Arguments:
        group: G.
        z, w: regular features, taken as they are (not normalised).
        kind: one of the kinds above.
        temperature: t of the soft kind, in units of $\kappa$.
    """
    if kind not in SIMILARITIES:
        raise ValueError(f"kind must be one of {', '.join(SIMILARITIES)}, {got(kind)}")
    need_temperature(temperature)
    if kind == "plain":
        need_regular(z, group, None, grid=False)
        need_regular(w, group, z.shape[1], grid=False)
        return z.flatten(1) @ w.flatten(1).T
    if kind == "mean":  # the mean over g turns w into its group mean: |G| times less work
        need_regular(z, group, None, grid=False)
        need_regular(w, group, z.shape[1], grid=False)
        return z.sum(dim=2) @ w.sum(dim=2).T / group.order
    kappa = orbit_correlation(group, z, w)
    if kind == "max":
        return kappa.amax(dim=2)
    if kind == "soft":
        return temperature * (torch.logsumexp(kappa / temperature, dim=2) - math.log(group.order))
    return kappa.pow(int(kind[-1])).mean(dim=2)


def need_temperature(temperature: float) -> None:
    """Raise ValueError unless the temperature is a positive number."""
    if not (isinstance(temperature, (int, float)) and 0 < temperature < math.inf):
        raise ValueError(f"temperature must be a positive number, {got(temperature)}")
