"""CircleExplorer: two hidden turns of an image, kappa as a wave over all angles, and labels of type k as arrows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from eqssl_edu.circle import AngleHead, CircleGroup, DensityHead
from eqssl_edu.errors import need_choice, need_instance, need_shape, typed
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.rotate import disc_mask, rotate
from eqssl_edu.shapes import Image
from eqssl_edu.twins import Twin, copied, same_random_numbers
from eqssl_edu.widgets.circle.values import View, alike_turns, compute, mean_cosine, unit_length
from eqssl_edu.widgets.shared.base import Explorer, front_end
from eqssl_edu.widgets.shared.checks import need_square
from eqssl_edu.widgets.shared.encoder_features import regular_features
from eqssl_edu.widgets.shared.frozen_page import MAX_BYTES, packed_size, product_of
from eqssl_edu.widgets.shared.pixels import extremes, to_bytes, to_screen

__all__ = ["CircleExplorer"]

SIDE = 88  # pixels of a view; with three colours both take 46 KB
TYPES = 6  # of labels to choose from, at most
# Degrees between the hidden turns of a page without a kernel: the first that it can hold.
STEPS = (15, 30, 45, 90)
SHORT = 1e-4  # of features with root mean square 1: labels no longer than this are not stretched to be seen


class CircleExplorer(Explorer):
    r"""Turn two views of an image by any angle: kappa is a wave, and four or eight angles see its samples.

    $\kappa(\theta)$ compares view 2 with view 1 turned on by $\theta$. Two hidden turns a and b shift the wave by
    b - a; its peak knows that angle, and a largest value over C4 or C8 misses what lies between the samples. The arrow
    on each view is a label of type k: a turn by $\theta$ turns it by $k \theta$. Its length is the confidence; where
    the image has a symmetry, it is zero. Turned views go through pixels and network, cut to the disc; copies of
    encoder and head in eval mode run.

    The state: ``first`` and ``second`` (the hidden turns a and b in degrees, 0 .. 359), ``theta`` (0 .. 360),
    ``partner`` (what view 2 shows: "image" or "other") and ``k`` (the type of the labels).

    Arguments:
        encoder: images (B, C, H, W) to features (B, C', n), with a ``group``: SO(2), or C_n with n of at least 3,
            whose kappa is known at its n angles alone.
        image: (C, H, W), square.
        other: another image like it, for a pair that does not belong together.
        head: ``AngleHead`` or ``DensityHead`` over the encoder's group. An arrow is as long as the mean cosine of what
            it says, $I_1(|o|) / I_0(|o|)$. By default the mean of all channels, for every type; the longer arrow of
            the upright images then has length 1.

    Raises:
        ValueError: among others for O(2), D_n and C2: the second circle of kappa, over the reflections, is not shown,
            and two angles know no sense of rotation.

    Example:
        >>> from eqssl_edu.encoders import GroupCNN
        >>> from eqssl_edu.groups import cyclic
        >>> explorer = CircleExplorer(GroupCNN(cyclic(4)), torch.rand(1, 16, 16))
        >>> explorer.set_state(first=90, second=270)
        >>> explorer.peak(), round(explorer.maxima()["C4"], 4)
        (180.0, 1.0)
    """

    _esm, _css = front_end("shared/chart", "shared/turn", "circle/circle")
    free = ("theta", "k")

    @typed
    def __init__(
        self,
        encoder: nn.Module,
        image: Image,
        other: Image | None = None,
        head: nn.Module | None = None,
    ) -> None:
        self.encoder, self.group = encoder, _need_circle(encoder)
        self.images = {"image": need_square("image", image, "C", "H", "W")}
        if other is not None:
            need_shape("other", other, *image.shape)
            self.images["other"] = need_square("other", other, "C", "H", "W").to(image.dtype)
        self._disc = disc_mask(image.shape[-1])
        self._alike = alike_turns(self.images["image"] * self._disc)
        self.head = head
        channels = regular_features(copied(encoder), self.images["image"][None]).shape[1]
        used = _mean_head(self.group, channels) if head is None else _checked_head(head, self.group, channels)
        self._copy = Twin(nn.ModuleList([encoder, used]))
        types = used.frequencies[:TYPES]
        turns, names = range(360), list(self.images)
        self.choices = {"first": turns, "second": turns, "theta": range(361), "partner": names, "k": types}
        continuous = isinstance(self.group, CircleGroup)
        facts = {
            "group": self.group.name,
            "angles": 0 if continuous else self.group.order,
            "types": list(types),
            "partners": names,
            "step": 1,
        }
        super().__init__(facts, {"first": 0, "second": 0, "theta": 0, "partner": "image", "k": types[0]})

    def maxima(self) -> dict[str, float]:
        """The largest value of kappa over C4, C8 and SO(2), or over the encoder's own C_n."""
        return {row["name"]: row["max"] for row in self.values["rows"]}

    def misses(self) -> dict[str, float]:
        """What the largest value over C4 and over C8 misses of the wave's; {} for an encoder over C_n."""
        return {row["name"]: row["misses"] for row in self.values["rows"] if row["bound"] is not None}

    def peak(self) -> float:
        """The angle of the largest value, in degrees."""
        return self.values["rows"][-1]["at"]

    def kappa(self) -> float:
        """Its value at theta; over C_n at the element nearest to theta."""
        return self.values["kappa"]

    def arrows(self) -> list[dict[int, complex]]:
        """The labels of each view by their type, as they are drawn: complex numbers of length 0 to about 1."""
        pairs = self.values["arrows"]
        return [
            {k: complex(*pair) for k, pair in zip(self.choices["k"], view, strict=True)} for view in pairs
        ]

    def show(self, state: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """What the state looks like, and the sentence that says it."""
        a, b, partner = state["first"], state["second"], state["partner"]
        known = self._copy.kept(lambda _: {})  # what was encoded with the present weights
        views = [self._view(known, "image", a), self._view(known, partner, b)]
        upright = [self._view(known, "image", 0), self._view(known, partner, 0)]
        values = compute(self.group, views, upright, state, self._alike)
        labels = [view.labels for view in views]
        values["arrows"] = [self._drawn(known, arrows).tolist() for arrows in labels]
        values["confidence"] = [[f"{size:.2g}" for size in arrows.norm(dim=1).tolist()] for arrows in labels]
        found = ", ".join(f"{row['max']:.4f} over {row['name']}" for row in values["rows"])
        what = f"{'another image' if partner == 'other' else 'view 2'} by {b}°"
        return values, f"View 1 turned by {a}°, {what}. Largest kappa: {found}. {values['note']}"

    def _view(self, known: dict[tuple[str, int], View], name: str, angle: int) -> View:
        """One of the images, turned by an angle and cut to the disc."""
        if (name, angle) not in known:
            image = self.images[name] * self._disc
            turned = rotate(image, float(angle)) * self._disc
            encoder, head = self._copy.module
            features = regular_features(encoder, turned[None])
            unit = unit_length(self.group, features)
            said = unit * unit[0].numel() ** 0.5 if self.head is None else features
            with torch.no_grad():
                labels = head.arrows(said.to(head.weight))[0, : len(self.choices["k"])].double().cpu()
            small = to_screen(turned, SIDE)
            picture = {"channels": len(small), "side": small.shape[-1]}
            picture["pixels"] = to_bytes(small, *extremes(image))
            known[name, angle] = View(unit, labels, picture)
        return known[name, angle]

    def _drawn(self, known: dict[tuple[str, int], View], arrows: Tensor) -> Tensor:
        """Labels as they are drawn."""
        if self.head is not None:
            return mean_cosine(arrows)
        upright = torch.stack([self._view(known, name, 0).labels for name in self.images])
        return arrows / upright.norm(dim=2, keepdim=True).amax(dim=0).clamp(min=SHORT)

    def frozen_states(self) -> list[dict[str, Any]]:
        """Every pair of hidden turns in equal steps; the page itself goes to any theta and any type."""
        traits = self.frozen(self._state)
        pictures = traits["values"].pop("pictures")
        each = packed_size({"pictures": pictures[0]})
        size = packed_size(traits)
        return next(
            states
            for step in STEPS
            if len(states := self._turns(step)) * size + 2 * each * (360 // step) < MAX_BYTES
            or step == STEPS[-1]
        )

    def _turns(self, step: int) -> list[dict[str, Any]]:
        turns = range(0, 360, step)
        others = {"partner": list(self.images)} if len(self.images) > 1 else {}
        return product_of(first=turns, second=turns, **others)

    def frozen_facts(self, states: list[dict[str, Any]]) -> dict[str, Any]:
        """The facts, with the steps in which the page can turn the views."""
        turns = sorted({state["second"] for state in states})
        return {**self.facts, "step": turns[1] - turns[0] if len(turns) > 1 else 15}


def _need_circle(encoder: object) -> FiniteGroup:
    need_instance("encoder", encoder, nn.Module)
    group = getattr(encoder, "group", None)
    if not isinstance(group, FiniteGroup) or group.reflections or group.order < 3:
        name = group.name if isinstance(group, FiniteGroup) else repr(group)
        raise ValueError(f"encoder must have a .group SO(2), or C_n with n of at least 3, got {name}")
    return group


def _checked_head(head: object, group: FiniteGroup, channels: int) -> nn.Module:
    need_instance("head", head, (AngleHead, DensityHead))
    need_choice("head.group", head.group, [group])
    need_choice("head.in_channels", head.in_channels, [channels])
    return head


def _mean_head(group: FiniteGroup, channels: int) -> DensityHead:
    """The mean of all channels, for every type."""
    with same_random_numbers(), torch.no_grad():
        head = DensityHead(group, channels).double()
        head.weight.copy_(torch.tensor([1 / channels, 0.0]).expand_as(head.weight))
    return head
