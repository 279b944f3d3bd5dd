"""EmbeddingExplorer: a map of what an encoder makes of images; turn one and see whether its point moves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from eqssl_edu.errors import got, need_integers, typed
from eqssl_edu.shapes import Features, Images
from eqssl_edu.twins import Twin
from eqssl_edu.widgets.shared.base import Explorer, front_end
from eqssl_edu.widgets.shared.checks import need_square
from eqssl_edu.widgets.shared.encoder_features import need_encoder, regular_features
from eqssl_edu.widgets.shared.frozen_page import product_of
from eqssl_edu.widgets.shared.pixels import extremes, shrink, to_bytes, to_screen

__all__ = ["FEATURES", "EmbeddingExplorer", "Map", "compute", "map_of"]

FEATURES = ("regular", "pooled")
MAX_IMAGES = 2000
THUMBNAIL_BYTES = 110_000  # of all small pictures together; a page takes at most 200 KB to show
SIDE = 64  # pixels of the chosen picture
STILL = 1e-4  # of the typical distance between two images; below it a point stands still, up to rounding

Vectors = Float[Tensor, "batch feature"]


class Map(NamedTuple):
    """A plane through the features of all images, the one that keeps most of their variance (PCA)."""

    mean: Float[Tensor, " feature"]
    axes: Float[Tensor, "feature 2"]
    points: Float[Tensor, "image 2"]
    share: float  # of the variance that the plane keeps
    spread: float  # root mean square distance between two images, in all dimensions
    corner: Float[Tensor, " axis"]  # of the part of the plane that is shown
    sides: Float[Tensor, " axis"]  # of that part; each axis has its own scale


def vectors(features: Features, kind: str) -> Vectors:
    """Regular features as they are, or pooled: the mean over the group axis."""
    return features.flatten(1) if kind == "regular" else features.mean(dim=2)


def map_of(features: Vectors, inside: Float[Tensor, "other feature"] | None = None) -> Map:
    """The first two principal axes of the features; their signs are such that the largest entry is positive.

    Arguments:
        inside: other features that are to lie on the part of the plane that is shown.
    """
    mean = features.mean(dim=0)
    centred = features - mean
    variances, directions = torch.linalg.eigh(centred.T @ centred)
    axes = directions[:, -2:].flip(1)
    if axes.shape[1] < 2:  # one feature alone
        axes = torch.cat([axes, torch.zeros_like(axes)], dim=1)
    axes = axes * axes.gather(0, axes.abs().argmax(dim=0, keepdim=True)).sign()
    total = float(variances.sum().clamp(min=0))
    share = float(variances[-2:].sum()) / (total or 1.0)
    spread = (2 * total / max(1, len(features) - 1)) ** 0.5  # E|x - y|^2 = 2 trace of the covariance
    shown = centred if inside is None else torch.cat([centred, inside - mean])
    low, high = (shown @ axes).aminmax(dim=0)
    sides = 1.1 * (high - low)
    sides = sides.where(sides > 0, 1.0)
    return Map(mean, axes, centred @ axes, share, spread, (low + high - sides) / 2, sides)


def compute(
    encoder: nn.Module,
    images: Images,
    features: Float[Tensor, "batch feature group"],
    plane: Map,
    state: dict[str, Any],
) -> dict[str, Any]:
    """What the explorer shows in a state.

    Arguments:
        encoder: in eval mode.
        images: all of them.
        features: what the encoder makes of them, upright.
        plane: the map of these features.
        state: see ``EmbeddingExplorer``.

    Returns:
        "points": all images on the map as 16-bit numbers, x and y in turn; "orbit": where each element takes the
        chosen image, [[x, y], ...] in the same numbers, each through the encoder; "moved": how far it takes it
        in all dimensions, in typical distances between two images; whether no element moves it ("still");
        "share" of the variance on the map; "pixels" of the turned image and their "side".
    """
    group, index, kind = encoder.group, state["image"], state["features"]
    copies = torch.stack([group.transform(images[index], g) for g in group.elements])
    found = vectors(regular_features(encoder, copies), kind)
    orbit = (found - plane.mean) @ plane.axes

    def scaled(points: Tensor) -> Tensor:
        return ((points - plane.corner) / plane.sides * 65535).round().clamp(0, 65535).int()

    upright = vectors(features[index : index + 1], kind)[0]
    moved = (found - upright).norm(dim=1) / (plane.spread or 1.0)
    picture = to_screen(copies[state["element"]], SIDE)
    return {
        "state": dict(state),
        "points": scaled(plane.points).numpy().astype("<u2").tobytes(),
        "orbit": scaled(orbit).tolist(),
        "moved": moved.tolist(),
        "still": bool((moved <= STILL).all()),
        "share": plane.share,
        "pixels": to_bytes(picture, *extremes(images[index])),
        "side": picture.shape[-1],
    }


class EmbeddingExplorer(Explorer):
    """A map of the embeddings of images: find an image, turn it, and see its point move or stand still.

    With *regular* features, |G| numbers for each channel, a turned image has another point: the |G| points are
    its orbit. *Pooled* features, the mean over the group, are invariant: the point stands still. A copy of the
    encoder in eval mode is run; a new one is made when the weights have changed.

    The state: ``features`` ("regular" or "pooled"), ``image`` (its number), ``element`` (what turns it).

    Arguments:
        encoder: images (B, C, H, W) to regular features (B, C', |G|), with a ``group``: C2, C4, D1, D2 or D4.
        images: (N, C, H, W), square, at most 2000.
        labels: (N,), the class of each image: 0, 1, ...
        names: of the classes; their numbers by default. The first letter marks the points.

    Example:
        >>> from eqssl_edu.encoders import GroupCNN
        >>> from eqssl_edu.groups import cyclic
        >>> images, labels = torch.rand(20, 1, 8, 8), torch.arange(20) % 3
        >>> explorer = EmbeddingExplorer(GroupCNN(cyclic(4), channels=(4, 4)), images, labels)
        >>> explorer.set_state(features="pooled", element=1)
        >>> explorer.moved() < STILL
        True
    """

    _esm, _css = front_end("shared/turn", "embedding")

    @typed
    def __init__(
        self,
        encoder: nn.Module,
        images: Images,
        labels: Int64[Tensor, " batch"],
        names: Sequence[str] | str | None = None,
    ) -> None:
        self.encoder, self.group = encoder, need_encoder(encoder)
        self.images = need_square("images", images, "N", "C", "H", "W")
        self.labels = _checked_labels(labels, len(self.images))
        classes = int(labels.max()) + 1
        self.names = [str(name) for name in (range(classes) if names is None else names)]
        if len(self.names) < classes:
            raise ValueError(f"names must hold a name for each of {classes} classes, got {len(self.names)}")
        self._copy = Twin(encoder)
        count = range(len(self.images))
        self.choices = {"features": FEATURES, "image": count, "element": self.group.elements}
        side = min(20, self.images.shape[-1], int((THUMBNAIL_BYTES / len(images)) ** 0.5))
        small = shrink(self.images.mean(1), side)
        facts = {
            "group": self.group.name,
            "elements": [self.group.element_name(g) for g in self.group.elements],
            "labels": self.labels.tolist(),
            "names": self.names,
            "thumbnails": to_bytes(small, *extremes(small)),
            "thumbnail_side": side,
            "count": len(images),
            "channels": 3 if images.shape[1] == 3 else 1,
            "images": list(count),
        }
        super().__init__(facts, {"features": "regular", "image": 0, "element": 0})

    def moved(self) -> float:
        """How far the turned image is from the upright one, in typical distances between two images."""
        return self.values["moved"][self._state["element"]]

    def show(self, state: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """What the state looks like, and the sentence that says it."""
        features, maps = self._copy.kept(self._embed)
        values = compute(self._copy.module, self.images, features, maps[state["features"]], state)
        name = self.names[int(self.labels[state["image"]])]
        moved = values["moved"][state["element"]]
        what = "stands still" if moved <= STILL else f"has moved by {moved:.2f} typical distances"
        return values, (
            f"Image {state['image'] + 1} of {len(self.images)}, class {name}, turned by "
            f"{self.group.element_name(state['element'])}: with {state['features']} features its point {what}. "
            f"The map keeps {100 * values['share']:.0f} % of the variance."
        )

    def frozen_states(self) -> list[dict[str, Any]]:
        """Every element and both kinds of features, for the image that is shown now and some others."""
        step = max(1, len(self.images) // 20)
        images = dict.fromkeys([self._state["image"], *range(0, len(self.images), step)])
        return product_of(features=FEATURES, image=images, element=self.group.elements)

    def frozen_facts(self, states: list[dict[str, Any]]) -> dict[str, Any]:
        """The facts, with the images that the page can turn."""
        return {**self.facts, "images": sorted({state["image"] for state in states})}

    def _embed(self, encoder: nn.Module) -> tuple[Tensor, dict[str, Map]]:
        """The features of all images, and the map of each kind of them."""
        features = regular_features(encoder, self.images)
        # The map has room for the orbits of all images, so that it stands still while another one is chosen.
        orbits = torch.cat([self.group.transform_features(features, g) for g in self.group.elements])
        return features, {kind: map_of(vectors(features, kind), vectors(orbits, kind)) for kind in FEATURES}


def _checked_labels(labels: object, count: int) -> Int64[Tensor, " image"]:
    need_integers("labels", labels, below=100_000)  # a name for each class
    if count > MAX_IMAGES or count < 3:
        raise ValueError(f"images must hold 3 .. {MAX_IMAGES} images, got {count}")
    if labels.shape != (count,) or int(labels.min()) < 0:
        raise ValueError(f"labels must hold a class 0, 1, ... for each of {count} images, {got(labels)}")
    return labels.cpu()
