"""OrbitCorrelationExplorer: turn each view of an image by hand and see which contrastive losses absorb it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.contrastive import InfoNCE, orbit_correlation
from eqssl_edu.errors import got, need_shape, typed
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.shapes import Features, Image, Images
from eqssl_edu.twins import Twin, tensors
from eqssl_edu.widgets.live.plan import NotComputed, compiled, packed_words
from eqssl_edu.widgets.shared.base import Explorer, front_end
from eqssl_edu.widgets.shared.checks import need_square
from eqssl_edu.widgets.shared.encoder_features import need_encoder, regular_features
from eqssl_edu.widgets.shared.frozen_page import MAX_BYTES, packed_size, product_of
from eqssl_edu.widgets.shared.pixels import extremes, to_bytes, to_screen

__all__ = ["KINDS", "TOLERANCE", "OrbitCorrelationExplorer"]

KINDS = ("plain", "mean", "max", "soft", "power2", "power3")  # the naive one first
TOLERANCE = 1e-6  # nats; a smaller change of a loss is the rounding of a float32 encoder
DEVIATION = 1e-4  # of kappa, from the rule; far above rounding, far below what a broken layer does

# A move sends at most 60 KB: two views, the image, and about 2 KB of text.
VIEW_SIDE = 80  # pixels; 19 KB with three colours
IMAGE_SIDE = 48  # pixels
PAGE_STATES = 512  # of a page without a kernel: a state takes about 10 ms to compute

Views = Float[Tensor, "view=2 batch channel height width"]


class Batch(NamedTuple):
    """What does not change while a view is turned: the upright views and what the encoder makes of them."""

    images: Images
    views: Views
    features: Float[Tensor, "view=2 batch out group"]
    losses: dict[str, float]  # of each kind, before any turn


def embed(encoder: nn.Module, images: Images, views: Views) -> Batch:
    """Encode both views of every image, upright. The encoder is used as it is; it should be in eval mode."""
    features = torch.stack([regular_features(encoder, view) for view in views])
    return Batch(images, views, features, losses(encoder.group, *features))


def compute(encoder: nn.Module, batch: Batch, state: dict[str, Any]) -> dict[str, Any]:
    r"""What the explorer shows in a state: two views, their orbit correlation, the losses of the batch.

    A turned view really goes through the encoder; all other features are those of the batch.

    Arguments:
        encoder: in eval mode; the one that made the batch.
        batch: see ``embed``.
        state: see ``OrbitCorrelationExplorer``.

    Returns:
        "kappa" and "kappa_before", each |G| cosines: $\kappa[g] = \langle z, \rho(g) w \rangle$ of the unit
        vectors z and w of the two views; "origins": for each g the element $a^{-1} g b$ whose value the rule
        expects at g when the views are turned by a and b; "deviation": how far $\kappa$ is from that rule;
        "losses": for each kind its loss in nats before any turn and now, and whether it "moved", stood
        "still" or no view is turned ("upright"); "pixels": the image and the two views, a byte each, with their
        sizes in "pictures".
    """
    group, index = encoder.group, state["image"]
    elements = a, b = state["first"], state["second"]
    upright = batch.views[:, index]
    shown = torch.stack([group.transform(view, g) for view, g in zip(upright, elements, strict=True)])
    features = batch.features.clone()
    turned = [view for view, g in enumerate(elements) if g]
    if turned:
        features[turned, index] = regular_features(encoder, shown[turned])
    kappa = _kappa(group, features[:, index])
    before = _kappa(group, batch.features[:, index])
    origins = group.product[group.product[group.inverse[a]], b]
    deviation = float((kappa - before[origins]).abs().max())
    return {
        "state": dict(state),
        **_pictures(batch.images[index], *shown),
        "kappa": kappa.tolist(),
        "kappa_before": before.tolist(),
        "origins": origins.tolist(),
        "deviation": deviation,
        "note": _note(deviation, bool(turned)),
        "scale": radial_scale([*before.tolist(), *kappa.tolist()]),
        "views": [_view_text(group, g) for g in elements],
        "losses": _compare(batch.losses, losses(group, *features), bool(turned)),
    }


def losses(group: FiniteGroup, z1: Features, z2: Features) -> dict[str, float]:
    """InfoNCE over the batch with each kind of similarity, in nats."""
    return {kind: float(InfoNCE(group, kind)(z1, z2)) for kind in KINDS}


def radial_scale(values: list[float]) -> dict[str, float]:
    """A round "low", "high" and "step" of a radial axis that holds all values; it need not start at 0.

    Example:
        >>> radial_scale([1.0, 0.917, 0.935, 0.917])
        {'low': 0.9, 'high': 1.0, 'step': 0.05}
    """
    # Six digits: the scale must not jump when rounding moves the largest value from 1 to 1.0000001.
    lowest, highest = round(min(values), 6), round(max(values), 6)
    span = max(highest - lowest, 0.01)
    power = 10.0 ** math.floor(math.log10(span / 2))
    step = next(factor * power for factor in (1, 2, 5, 10) if span / (factor * power) <= 4)
    # The smallest bar keeps a length that one can see.
    low = math.floor(round((lowest - 0.15 * span) / step, 6)) * step
    high = math.ceil(round(highest / step, 6)) * step
    return {"low": round(low, 6), "high": round(high, 6), "step": round(step, 6)}


def _kappa(group: FiniteGroup, pair: Float[Tensor, "view=2 out group"]) -> Float[Tensor, " group"]:
    z, w = F.normalize(pair.flatten(1)).reshape(pair.shape).split(1)
    return orbit_correlation(group, z, w)[0, 0]


def _pictures(*whole: Image) -> dict[str, Any]:
    """The image and its views for the front end; a turn changes no colour: the scales belong to whole pictures."""
    small = [to_screen(x, side) for x, side in zip(whole, (IMAGE_SIDE, VIEW_SIDE, VIEW_SIDE), strict=True)]
    return {
        "pictures": [{"channels": len(picture), "side": picture.shape[-1]} for picture in small],
        "pixels": b"".join(to_bytes(s, *extremes(w)) for s, w in zip(small, whole, strict=True)),
    }


def _compare(before: dict[str, float], now: dict[str, float], turned: bool) -> list[dict[str, Any]]:
    rows = []
    for kind in KINDS:
        change = now[kind] - before[kind]
        moved = abs(change) > TOLERANCE
        status = ("moved" if moved else "still") if turned else "upright"
        text = f"{change:+.6f}".replace("-", "−") if moved else _small(change)
        row = {"kind": kind, "before": before[kind], "now": now[kind]}
        rows.append({**row, "change": change, "status": status, "text": text})
    return rows


def _small(value: float) -> str:
    """A number near 0, by its order of magnitude: ``−4e−9``."""
    return f"{value:.0e}".replace("e-0", "e-").replace("e+00", "").replace("-", "−")


def _note(deviation: float, turned: bool) -> str:
    if not turned:
        return "Turn a view: the bars change places."
    if deviation > DEVIATION:
        return f"The turn changed the bars by up to {deviation:.2g}: this encoder is not equivariant."
    return f"The turn moved the bars and changed none (up to rounding, {_small(deviation)})."


def _view_text(group: FiniteGroup, g: int) -> str:
    turn = f"turned by {group.degrees(g):g}°" if g % group.rotations else ""
    flip = "mirrored" if g >= group.rotations else ""
    return ", ".join(filter(None, [flip, turn])) or "upright"


class OrbitCorrelationExplorer(Explorer):
    r"""Turn the two views of an image by hand: the plain loss moves, the invariant ones stand still.

    The orbit correlation is permuted, $\kappa[g]$ becomes $\kappa[a^{-1} g b]$; a loss that is symmetric in its
    values cannot tell. The losses are those of the whole batch; all images but the chosen one stay upright. The
    encoder itself is never run: a copy in eval mode is, and a new one is made when its weights have changed.

    The state: ``image`` (0 .. B - 1), ``first`` and ``second`` (the group elements that turn its two views).

    Arguments:
        encoder: images (B, C, H, W) to regular features (B, C', |G|), with a ``group``: C2, C4, D1, D2 or D4.
        images: (B, C, H, W), square, at least two; 8 to 32 answer at once (the losses compare all pairs).
        views: the first and the second view of each image, two tensors like ``images``. Both are the image
            itself by default.

    Example:
        >>> from eqssl_edu.encoders import GroupCNN
        >>> from eqssl_edu.groups import cyclic
        >>> explorer = OrbitCorrelationExplorer(GroupCNN(cyclic(4)), torch.rand(8, 1, 16, 16))
        >>> explorer.set_state(first=1)
        >>> abs(explorer.changes()["max"]) < TOLERANCE < abs(explorer.changes()["plain"])
        True
    """

    _esm, _css = front_end("shared/turn", "orbit_correlation")
    live_files = ("live/orbit_correlation",)

    @typed
    def __init__(self, encoder: nn.Module, images: Images, views: Sequence[Images] | None = None) -> None:
        self.encoder, self.group = encoder, need_encoder(encoder)
        self._images = need_square("images", images, "B", "C", "H", "W")
        if len(images) < 2:
            raise ValueError(f"images must hold at least two (one has no negatives), got {len(images)}")
        self._views = torch.stack([self._images] * 2 if views is None else _checked_views(views, images))
        self._copy = Twin(encoder)
        elements, rotations = self.group.elements, self.group.rotations
        self.choices = {"image": range(len(images)), "first": elements, "second": elements}
        facts = {
            "count": len(images),
            "rotations": rotations,
            "reflections": self.group.reflections,
            # 90° for a rotation, m 90° for the flip and then the rotation
            "labels": ["m " * (g >= rotations) + f"{self.group.degrees(g):g}°" for g in elements],
            "kinds": list(KINDS),
            "tolerance": f"{TOLERANCE:.6f}",
        }
        super().__init__(facts, {"image": 0, "first": 0, "second": 0})

    def losses(self) -> dict[str, float]:
        """The loss of the batch with each kind of similarity in this state, in nats."""
        return {row["kind"]: row["now"] for row in self.values["losses"]}

    def changes(self) -> dict[str, float]:
        """How far each loss has moved from its value before any turn, in nats."""
        return {row["kind"]: row["change"] for row in self.values["losses"]}

    def show(self, state: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """What the state looks like, and the sentence that says it."""
        self._batch = self._copy.kept(lambda encoder: embed(encoder, self._images, self._views))
        values = compute(self._copy.module, self._batch, state)
        place = f"Image {state['image'] + 1} of {len(self._images)}. "
        first, second = values["views"]
        rows = values["losses"]
        if rows[0]["status"] == "upright":
            return values, f"{place}Both views upright: no loss has moved."
        parts = [f"{row['kind']} moved by {row['text']}" for row in rows if row["status"] == "moved"]
        still = ", ".join(row["kind"] for row in rows if row["status"] == "still")
        parts += [f"{still} stood still"] * bool(still)
        return values, f"{place}View 1 {first}, view 2 {second}. Losses: {'; '.join(parts)}."

    def live_data(self, quick: bool = False) -> dict[str, Any]:
        """The encoder as a plan, the pictures, and the tables of the group."""
        group, first = self.group, self._images[0]
        if self._views.dtype not in (torch.float32, torch.float64):
            raise NotComputed(f"the engine of pages does not know pictures of {self._views.dtype}")
        self._copy.renew()
        encoder = self._copy.module
        like = next((each for each in tensors(encoder) if each.is_floating_point()), first)
        tables = {"product": group.product, "inverse": group.inverse, "shift": group.product[group.inverse]}
        return {
            "facts": self.facts,
            "first": self.state(),
            "plans": [compiled(lambda images: {"features": encoder(images.to(like))}, first)],
            "images": _words(self._images),
            "views": [_words(view) for view in self._views],
            "side": first.shape[-1],
            "group": {"order": group.order, "rotations": group.rotations}
            | {name: each.tolist() for name, each in tables.items()},
            "view_texts": [_view_text(group, g) for g in group.elements],
            "tolerance": TOLERANCE,
            "deviation": DEVIATION,
        }

    def frozen_states(self) -> list[dict[str, Any]]:
        """Both views by every element; of the images as many as a page can hold."""
        size = packed_size(self.frozen({**self._state, "first": 1}))
        pairs = self.group.order**2
        count = max(1, min(len(self._images), PAGE_STATES // pairs, MAX_BYTES // (size * pairs)))
        # The image that is shown now is one of them.
        first = min(self._state["image"], len(self._images) - count)
        elements = self.group.elements
        return product_of(image=range(first, first + count), first=elements, second=elements)

    def frozen_facts(self, states: list[dict[str, Any]]) -> dict[str, Any]:
        """The facts, and between which images the page can choose."""
        images = [state["image"] for state in states]
        return {**self.facts, "images": [min(images), max(images)]}


def _words(pictures: Tensor) -> bytes:
    return packed_words([pictures.float().cpu().reshape(-1)])


def _checked_views(views: object, images: Tensor) -> list[Tensor]:
    if not isinstance(views, (tuple, list)) or len(views) != 2:
        raise TypeError(f"views must be two tensors like images, {got(views)}")
    for view in views:
        need_shape("views", view, *images.shape)
        if view.dtype != images.dtype:
            raise TypeError(f"views must have the type of images, {images.dtype}, {got(view)}")
    return [need_square("views", view, "B", "C", "H", "W") for view in views]
