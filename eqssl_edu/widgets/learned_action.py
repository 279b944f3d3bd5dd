"""LearnedActionExplorer: a linear action fitted to a network's features, applied again and again beside the truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from tqdm.auto import tqdm

from eqssl_edu.diagnostics import LearnedAction, untrained_copy
from eqssl_edu.diagnostics.learned_action import Orbits, action_alone, halves, moving_energy, orbit_features
from eqssl_edu.errors import need_exact, need_instance, need_integer, typed
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.shapes import Images
from eqssl_edu.widgets.shared.base import Explorer, front_end
from eqssl_edu.widgets.shared.checks import need_square
from eqssl_edu.widgets.shared.frozen_page import MAX_BYTES, packed_size, product_of
from eqssl_edu.widgets.shared.pixels import extremes, to_bytes, to_screen

__all__ = ["TIMES", "Fit", "LearnedActionExplorer", "compute", "plane_of"]

TIMES = 4  # a quarter turn is then back where it began
NUMBERS = 24  # of a feature, in a strip
NETWORKS = 6  # rows of the table
SHOWN = 40  # images that can be chosen
SIDE = 40  # pixels of a picture
PAGE_STATES = 4000
ROUNDING = 1e-9  # of an energy, in units of what moves
COLUMNS = ("does not move", "moving error", "group law", "transfer")


class Fit(NamedTuple):
    """A network, and images on which its fitted action is tried."""

    action: LearnedAction  # its errors are of these images
    orbits: Orbits  # features of all turns of those that are shown
    moving: float  # energy of all of them that moves; 0 if it is rounding
    numbers: list[int]  # which of a feature's numbers move most
    share: float  # of the energy that moves, in these numbers


def fitted(action: LearnedAction, z: Orbits) -> Fit:
    """What a move needs to know, of an action and the features of all turns of the reported images."""
    moves = action.plain.error is not None
    z = z - z.mean(dim=(0, 1)) + action.centre  # R acts about the mean of a set, as in the errors
    energies = (z - z.mean(dim=1, keepdim=True)).square().mean(dim=(0, 1))
    # What is equal but for rounding stays in its order, so that a turn shifts the numbers of one channel.
    rank = torch.argsort(energies / (energies.max() if moves else 1) // 1e-5, descending=True, stable=True)
    numbers = sorted(rank[:NUMBERS].tolist())
    share = float(energies[numbers].sum() / energies.sum()) if moves else 0.0
    return Fit(action, z[:SHOWN].clone(), moving_energy(z) if moves else 0.0, numbers, share)


def plane_of(moving: Float[Tensor, "group dimension"]) -> Float[Tensor, "dimension 2"]:
    """The plane that keeps most of the moving part of an orbit; e points up, and the next element to the left."""
    gram = moving @ moving.T
    values, vectors = torch.linalg.eigh(gram)
    # An orbit of two points has one direction.
    weights = values[-2:].flip(0).clamp(min=0).sqrt()
    weights = weights.where(weights > 1e-6 * weights[0], torch.inf)
    axes = moving.T @ vectors[:, -2:].flip(1) / weights
    x, y = (moving[0] @ axes).tolist()
    length = (x**2 + y**2) ** 0.5
    if length > 0:
        up = torch.tensor([x, y], dtype=axes.dtype) / length
        axes = axes @ torch.stack([torch.stack([up[1], -up[0]]), up], dim=1)
    if float(moving[1] @ axes[:, 0]) > 0:
        axes = axes * axes.new_tensor([-1.0, 1.0])
    return axes


def compute(fit: Fit, images: Images, state: dict[str, Any]) -> dict[str, Any]:
    r"""What the explorer shows in a state, for all m = 0 .. 4.

    Arguments:
        fit: of the network and the images.
        images: those that are shown.
        state: see ``LearnedActionExplorer``.

    Returns:
        "steps": the elements $g^m$; "pixels" of the images $g^m x$, with their "side" and "channels"; "true" and
        "fitted": a byte for each of the shown numbers of the moving parts of $f(g^m x)$ and $R_g^m f(x)$, the mean
        over all turns taken away; "dots" of f(kx), for all k, and the "path" of $R_g^m f(x)$ in ``plane_of`` the
        moving part, with the typical length of that part as "ring", all in units that make 1 the farthest; "kept" by
        that plane, a share of what moves; "missed":
        $\lVert f(g^m x) - R_g^m f(x) \rVert^2$ in units of the energy that moves, or None where nothing moves.
    """
    group, g = fit.action.group, state["element"]
    steps = [0]
    for _ in range(TIMES):
        steps.append(int(group.product[g, steps[-1]]))
    image, orbit = images[state["image"]], fit.orbits[state["image"]]
    guesses = [orbit[:1]]
    for _ in range(TIMES):
        guesses.append(fit.action.act(guesses[-1], g))
    centre = orbit.mean(dim=0)
    moving, path = orbit - centre, torch.cat(guesses) - centre
    if not fit.moving:  # what is left is rounding
        moving, path = torch.zeros_like(moving), torch.zeros_like(path)
    axes = plane_of(moving)
    dots, trace, ring = moving @ axes, path @ axes, fit.moving**0.5
    far = max(float(torch.cat([dots, trace]).norm(dim=1).max()), ring) or 1.0
    energy = float(moving.square().sum())
    limit = 2.5 * (fit.moving * fit.share / len(fit.numbers)) ** 0.5 or 1.0
    missed = (moving[steps] - path).square().sum(dim=1) / (fit.moving or 1.0)
    pictures = [to_screen(group.transform(image, step), SIDE) for step in steps]
    scale = extremes(image)
    return {
        "state": dict(state),
        "steps": steps,
        "pixels": b"".join(to_bytes(picture, *scale) for picture in pictures),
        "side": pictures[0].shape[-1],
        "channels": len(pictures[0]),
        "true": to_bytes(moving[steps][:, fit.numbers], -limit, limit),
        "fitted": to_bytes(path[:, fit.numbers], -limit, limit),
        "dots": _short(dots / far),
        "path": _short(trace / far),
        "ring": ring / far,
        "kept": float(dots.square().sum()) / energy if energy else 0.0,
        "missed": missed.tolist() if fit.moving else None,
    }


def _short(points: Tensor) -> list[list[float]]:
    return [[round(value, 3) for value in point] for point in points.tolist()]


class LearnedActionExplorer(Explorer):
    r"""Apply the linear map that fits a turn best, again and again, beside the features of images that are turned.

    For each network and its untrained copy ``learned_action`` fits $R_g$ once, when the explorer is made, on a random
    half of the images; the other half is shown, and gives the errors. With ``report``, images of another kind, one sees
    what carries over. All errors are shares of the energy that moves.

    The state: ``network`` (a name), ``untrained`` (its untrained copy instead), ``source`` ("images" or "report"),
    ``image`` (its number), ``element`` (g, not the identity) and ``times``, 0 .. 4, that g and $R_g$ are applied.

    Arguments:
        encoders: networks with their names, at most 6; each gives features of any shape. They are left as they are,
            and later changes of their weights are not seen.
        images: (B, C, S, S), enough of them for ``learned_action``.
        group: C2, C4, D1, D2 or D4.
        report: (B', C, S, S), of another kind.
        seed: of the halves, and of the untrained copies.

    Example:
        >>> from eqssl_edu.encoders import GroupCNN
        >>> from eqssl_edu.groups import cyclic
        >>> encoder = GroupCNN(cyclic(4), channels=(2, 3))
        >>> explorer = LearnedActionExplorer({"C4": encoder}, torch.rand(20, 1, 8, 8), cyclic(4))
        >>> explorer.set_state(element=1, times=3)
        >>> max(explorer.missed()) < 1e-6
        True
    """

    _esm, _css = front_end("learned_action")
    # What was computed last, and for which state; the times of application are left to the front end.
    _computed: tuple[dict[str, Any], dict[str, Any]] = ({}, {})

    @typed
    def __init__(
        self,
        encoders: Mapping[str, nn.Module],
        images: Images,
        group: FiniteGroup,
        report: Float[Tensor, "others channel height width"] | None = None,
        seed: int = 0,
    ) -> None:
        need_exact(group)
        if group.order == 1:
            raise ValueError(f"group must have more than the identity, got {group.name}")
        if not 0 < len(encoders) <= NETWORKS:
            raise ValueError(f"encoders must hold 1 .. {NETWORKS} networks, got {len(encoders)}")
        images = need_square("images", images, "B", "C", "S", "S")
        need_integer("len(images)", len(images), least=2)
        need_integer("seed", seed, 0, 2**63 - 1)
        self.encoders, self.group = dict(encoders), group
        self.images = {"images": halves(images, seed)[1]}
        if report is not None:
            self.images["report"] = need_square("report", report, "B", *images.shape[1:])
        self.fits: dict[tuple[str, bool, str], Fit] = {}
        for name, encoder in tqdm(self.encoders.items(), "fitted actions", leave=False, delay=1):
            need_instance(f"encoders[{name!r}]", encoder, nn.Module)
            try:
                self._fit(name, encoder, images, seed)
            except (RuntimeError, TypeError, ValueError) as problem:
                raise ValueError(f"encoders[{name!r}]: {problem}") from problem
        names, count = list(self.encoders), min(SHOWN, *map(len, self.images.values()))
        self.choices = {
            "network": names,
            "untrained": (False, True),
            "source": tuple(self.images),
            "image": range(count),
            "element": range(1, group.order),
            "times": range(TIMES + 1),
        }
        columns = COLUMNS[: 3 + (report is not None)]
        facts = {
            "group": group.name,
            "elements": [group.element_name(g) for g in group.elements],
            "networks": names,
            "sources": list(self.images),
            "images": [0, count - 1],
            "columns": list(columns),
            # For each network and its untrained copy: (error, in words).
            "rows": [
                [
                    [_said(error) for error in self.errors(name, untrained).values()]
                    for untrained in (False, True)
                ]
                for name in names
            ],
        }
        state = {"network": names[0], "untrained": False, "source": "images"}
        super().__init__(facts, {**state, "image": 0, "element": 1, "times": 1})

    def _fit(self, name: str, encoder: nn.Module, images: Images, seed: int) -> None:
        half = halves(images, seed)[0]
        copy = untrained_copy(encoder, half, seed)
        for called, network in (("encoder", encoder), ("untrained", copy)):
            for source, action in action_alone(network, half, self.group, self.images, called, 2).items():
                z, _ = orbit_features(called, network, self.images[source], self.group)
                self.fits[name, called == "untrained", source] = fitted(action, z)

    def errors(self, network: str, untrained: bool = False) -> dict[str, float | None]:
        """The share that does not move, moving error, group law and transfer; None where nothing moves."""
        own = self.fits[network, untrained, "images"].action.plain
        found = {"does not move": own.still, "moving error": own.error, "group law": own.law}
        if "report" in self.images:
            found["transfer"] = self.fits[network, untrained, "report"].action.plain.error
        return found

    def missed(self) -> list[float] | None:
        """What the fitted map misses of this image after 0 .. 4 times; 1 is the energy that moves, of all images."""
        return self.values["missed"]

    def show(self, state: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """What the state looks like, and the sentence that says it."""
        fit = self.fits[state["network"], state["untrained"], state["source"]]
        asked = {**state, "times": 0}
        if self._computed[0] != asked:  # the same for all times
            self._computed = asked, compute(fit, self.images[state["source"]], asked)
        values = {**self._computed[1], "state": dict(state)}
        values |= {"numbers": len(fit.numbers), "dimension": fit.action.dimension, "share": fit.share}
        which = f"{state['network']}{', untrained' * state['untrained']}"
        place = f"{which}, image {state['image'] + 1} of {state['source']}"
        if values["missed"] is None:
            return (
                values,
                f"{place}: the features do not move, so there is nothing to fit and nothing to miss.",
            )
        name = self.group.element_name(state["element"])
        values["texts"] = [_said(each)[1] for each in values["missed"]]
        errors = self.errors(state["network"], state["untrained"])
        of_all = ", ".join(f"{column} {_said(error)[1]}" for column, error in errors.items())
        times = f"{state['times']} time{'s' * (state['times'] != 1)}"
        return values, (
            f"{place}: {name} and its fitted map, applied {times}, are {values['texts'][state['times']]} of what "
            f"moves apart. Of all images: {of_all}."
        )

    def frozen_states(self) -> list[dict[str, Any]]:
        """All networks, elements and times; of the images as many as a page can hold."""
        axes = {name: each for name, each in self.choices.items() if name not in ("image", "times")}
        others = len(product_of(**axes))
        # The states of one image that differ in times alone share nearly all that they hold.
        size = 2 * packed_size(self.frozen(self._state))
        all_images = len(self.choices["image"])
        room = min(PAGE_STATES // (others * (TIMES + 1)), MAX_BYTES // (size * others))
        count = max(1, min(all_images, room))
        first = min(self._state["image"], all_images - count)
        return product_of(**axes, image=range(first, first + count), times=self.choices["times"])

    def frozen_facts(self, states: list[dict[str, Any]]) -> dict[str, Any]:
        """The facts, and between which images the page can choose."""
        images = [state["image"] for state in states]
        return {**self.facts, "images": [min(images), max(images)]}


def _said(error: float | None) -> tuple[float | None, str]:
    if error is None:
        return error, "nothing moves"
    if error < 1e-3:
        return error, "0 %" if error < ROUNDING else "< 0.1 %"
    return error, f"{100 * error:.{max(0, 2 - len(str(int(100 * error))))}f} %"
