"""What a CircleExplorer shows of two turned views: their wave, what samples of it miss, and their labels."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from eqssl_edu.circle import CircleGroup, circle_correlation, circle_peak, cross_spectrum, turn_features
from eqssl_edu.contrastive import orbit_correlation
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.rotate import rotate
from eqssl_edu.shapes import Image
from eqssl_edu.theory import between_samples

__all__ = ["View", "alike_turns", "compute", "mean_cosine", "unit_length"]

SAMPLED = (4, 8)  # C4 and C8: their samples of a wave are marked
FLAT = 1e-6  # of a cosine; a wave that is no higher is rounding

Features = Float[Tensor, "1 out group"]
Angles = Float[Tensor, " angle"]
EVERY = torch.arange(360, dtype=torch.float64)  # degrees


class View(NamedTuple):
    """A turned image, and what the encoder makes of it."""

    features: Features  # of length 1 over channels and samples
    labels: Float[Tensor, "type 2"]  # the arrows of the head
    picture: dict[str, Any]


def compute(
    group: FiniteGroup,
    views: list[View],
    upright: list[View],
    state: dict[str, Any],
    alike: Collection[int] = (),
) -> dict[str, Any]:
    r"""What the explorer shows in a state, but for the labels.

    Arguments:
        group: SO(2) or C_n.
        views: the first and the second one, turned by a and b.
        upright: the same two before they were turned.
        state: see ``CircleExplorer``.
        alike: quarter turns in degrees after which the picture looks the same; then kappa has one peak more.

    Returns:
        "wave": $K_m$ as pairs of numbers, of $\kappa(\theta) = \langle z_2, \rho(\theta) z_1 \rangle$ for the
        features of length 1 of the two views; "kappa": its value at theta; "exact": the wave of the upright views,
        shifted by b - a, as the algebra says it (None for C_n, which knows no shift between its elements);
        "deviation": how far the two are apart; "rows": for C4, C8 and SO(2) the largest value ("max"), the angle "at"
        which it is, what it "misses" and what it can miss at most ("bound", None where there is none); "true": b - a,
        None for two images; "off": how far from it the peak is; "note", "aside": sentences about it.
    """
    z, w = views[1].features, views[0].features
    exact, deviation = None, 0.0
    if isinstance(group, CircleGroup):
        turns = torch.tensor([float(state["second"]), float(state["first"])], dtype=torch.float64)
        turned = turn_features(group, torch.cat([upright[1].features, upright[0].features]), turns)
        # Both pairs in one call: [0, 0] through pixels, [1, 1] in the algebra.
        both = torch.cat([z, turned[:1]]), torch.cat([w, turned[1:]])
        curve, algebra = circle_correlation(group, *both, EVERY).diagonal().T
        found, exact = map(_pairs, cross_spectrum(group, *both)[:, :, 0].diagonal().T)
        deviation = float((algebra - curve).abs().max())
        rows = _beside_the_peak(group, [_largest(curve[:: 360 // n]) for n in SAMPLED], z, w)
        aside = _dotted(deviation)
    else:
        samples = orbit_correlation(group, z, w)[0, 0]
        curve = samples[(EVERY * group.order / 360).round().long() % group.order]  # of the nearest elements
        found, rows = _pairs(_through(samples)), [_largest(samples)]
        aside = f"κ is known at the {group.order} angles of {group.name} alone."
    true = (state["second"] - state["first"]) % 360 if state["partner"] == "image" else None
    flat = float(curve.max() - curve.min()) < FLAT
    off = None if true is None or flat else (rows[-1]["at"] - true + 180) % 360 - 180
    return {
        "state": dict(state),
        "pictures": [view.picture for view in views],
        "wave": found,
        "kappa": float(curve[state["theta"] % 360]),
        "exact": exact,
        "deviation": deviation,
        "rows": rows,
        "true": true,
        "off": off,
        "note": _note(rows[-1]["at"], true, off, alike),
        "aside": aside,
    }


def alike_turns(image: Image) -> tuple[int, ...]:
    """The quarter turns in degrees after which a picture looks the same."""
    rounding = FLAT * float(image.abs().max())
    turns = {turn: rotate(image, float(turn)) for turn in (90, 180, 270)}
    return tuple(turn for turn, turned in turns.items() if (turned - image).abs().max() <= rounding)


def unit_length(group: FiniteGroup, z: Features) -> Features:
    """Features of length 1; over SO(2) without what lies above L, and 0 if nothing is left."""
    if isinstance(group, CircleGroup):
        square = circle_correlation(group, z, z, EVERY[:1])[0, 0]
    else:
        square = z.square().sum()
    return z / square.clamp(min=1e-300).sqrt()


def mean_cosine(arrows: Float[Tensor, "type 2"]) -> Float[Tensor, "type 2"]:
    """Arrows as long as the mean cosine between what they say and an angle drawn from it: $I_1(|o|) / I_0(|o|)$."""
    size = arrows.norm(dim=1, keepdim=True)
    return arrows * (torch.special.i1e(size) / torch.special.i0e(size) / size.clamp(min=1e-12))


def _through(samples: Angles) -> Complex[Tensor, " frequency"]:
    """$K_m$ of a wave through the samples of C_n."""
    found = torch.fft.rfft(samples) / len(samples)
    if len(samples) % 2 == 0:  # the frequency n/2 stands alone
        found[-1] /= 2
    return found


def _pairs(numbers: Complex[Tensor, " frequency"]) -> list[list[float]]:
    return [[round(value.real, 7), round(value.imag, 7)] for value in numbers.tolist()]


def _largest(samples: Float[Tensor, " angle"]) -> dict[str, Any]:
    """The largest of the values at the elements of C_n."""
    order = len(samples)
    best = int((samples > samples.max() - FLAT).nonzero()[0])  # the first of equal ones
    largest = {"max": float(samples[best]), "at": best * 360 / order}
    return {"name": f"C{order}", "order": order, **largest, "misses": None, "bound": None}


def _beside_the_peak(
    group: CircleGroup, rows: list[dict[str, Any]], z: Features, w: Features
) -> list[dict[str, Any]]:
    """What samples miss of the largest value of the wave, and what they can miss at most (A15)."""
    found = circle_peak(group, torch.cat([z, -z]), w)
    peak, depth = found.value[:, 0].tolist()
    for row in rows:
        row["misses"] = max(0.0, peak - row["max"])
        if row["order"] >= group.frequency:
            row["bound"] = (peak + depth) / 2 * between_samples(group.frequency, row["order"])
    every = {"name": "SO(2)", "order": 0, "max": peak, "at": round(float(found.degrees[0]), 6) % 360}
    return [*rows, {**every, "misses": 0.0, "bound": 0.0}]


def _note(peak: float, true: int | None, off: float | None, alike: Collection[int]) -> str:
    if true is None:
        return "Two different images: no turn is the true one."
    if off is None:
        return "κ is the same at all angles: these features do not tell by how much the image was turned."
    turn = f"The true turn of view 1 to view 2 is b − a = {true}°"
    quarter = 90 * round(off / 90) % 360
    same = f"; after a turn by {quarter}° the picture looks the same" * (quarter in alike)
    return f"The peak is at {peak:.4g}°. {turn}: off by {round(abs(off), 1):g}°{same}."


def _dotted(deviation: float) -> str:
    by = f"by up to {deviation:.2g}" if deviation > FLAT else "no more than rounding does"
    return (
        f"Dotted: the upright wave, shifted by b − a, as the algebra says. Pixels and network change it {by}."
    )
