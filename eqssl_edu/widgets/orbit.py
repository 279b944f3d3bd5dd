"""OrbitExplorer: what a group makes of a picture: its orbit, its stabiliser, and the group as a map to walk on."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from eqssl_edu.data.letters import letters
from eqssl_edu.errors import need_exact, typed
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.shapes import Image
from eqssl_edu.widgets.shared.base import Explorer, front_end
from eqssl_edu.widgets.shared.checks import need_square
from eqssl_edu.widgets.shared.frozen_page import product_of
from eqssl_edu.widgets.shared.pixels import extremes, to_bytes, to_screen

__all__ = ["OWN", "OrbitExplorer", "cayley_graph", "compute", "orbit_of"]

SIDE = 40  # pixels of a picture on the screen's side; eight of them in colour take 38 KB
OWN = "your image"  # the name of a picture that is no letter


def orbit_of(group: FiniteGroup, image: Image) -> list[list[int]]:
    """The different pictures that a group makes of an image: for each of them the elements that make it.

    The first list is the stabiliser; the others are its left cosets.

    Example:
        >>> from eqssl_edu.groups import dihedral
        >>> orbit_of(dihedral(4), letters()["A"][None])
        [[0, 4], [1, 5], [2, 6], [3, 7]]
    """
    pictures = [group.transform(image, g) for g in group.elements]
    makers = [[h for h in group.elements if torch.equal(pictures[g], pictures[h])] for g in group.elements]
    return [same for g, same in enumerate(makers) if same[0] == g]


def cayley_graph(group: FiniteGroup) -> list[dict[str, int]]:
    """The steps "apply r" (element 1) and "apply m" (the flip): {"by": generator, "from": g, "to": generator g}.

    A step that undoes itself, such as every flip, is listed once.
    """
    generators = [1] * (group.rotations > 1) + [group.rotations] * group.reflections
    steps = []
    for by in generators:
        for g in group.elements:
            to = int(group.product[by, g])
            if int(group.product[by, to]) != g or g < to:
                steps.append({"by": by, "from": g, "to": to})
    return steps


def compute(group: FiniteGroup, image: Image, state: dict[str, Any]) -> dict[str, Any]:
    """What the explorer shows in a state.

    Returns:
        "pixels", the orbit, one picture after the other, "side" and "channels" of each; "makers", for each
        picture the elements that make it; "stabilizer" of the image and "kept_by", that of the turned image;
        "sentence", the product of the last step.
    """
    makers = orbit_of(group, image)
    small = to_screen(image, SIDE)
    low, high = extremes(small)
    element, applied = state["element"], state["applied"]
    conjugates = group.product[group.product[element, makers[0]], group.inverse[element]]
    before = int(group.product[group.inverse[applied], element])
    name = group.element_name
    return {
        "state": dict(state),
        "pixels": b"".join(to_bytes(group.transform(small, g), low, high) for g, *_ in makers),
        "side": small.shape[-1],
        "channels": len(small),
        "makers": makers,
        "stabilizer": makers[0],
        "kept_by": sorted(conjugates.tolist()),
        "sentence": f"{_factor(name(applied))} · {_factor(name(before))} = {name(element)}",
        "before": before,
    }


def _factor(name: str) -> str:
    """A name as a factor of a product: ``m``, but ``(r90 m)``."""
    return f"({name})" if " " in name else name


class OrbitExplorer(Explorer):
    """Apply the elements of a group to a picture: its orbit, its stabiliser, and the group as a map.

    Each place of the map is an element, with the picture that it makes; the arrows say "apply r90", the dashed
    lines "apply m" (the Cayley graph of these two). Elements that make the same picture share its number.

    The state: ``picture`` (a letter, or "your image"), ``element`` (what has been done to it so far) and
    ``applied`` (the last step, for the sentence "applied · before = element").

    Arguments:
        group: C1, C2, C4, D1, D2 or D4.
        picture: a letter out of ``eqssl_edu.data.letters``, or an image of your own (C, H, W), square.

    Example:
        >>> from eqssl_edu.groups import dihedral
        >>> explorer = OrbitExplorer(dihedral(4), "A")
        >>> len(explorer.orbit()), explorer.stabilizer()
        (4, (0, 4))
    """

    _esm, _css = front_end("shared/turn", "orbit")

    @typed
    def __init__(self, group: FiniteGroup, picture: str | Image = "A") -> None:
        need_exact(group)
        self.group = group
        self.pictures = {name: drawing[None] for name, drawing in letters().items()}
        if isinstance(picture, Tensor):
            self.pictures = {OWN: need_square("picture", picture, "C", "H", "W"), **self.pictures}
            picture = OWN
        elements = group.elements
        self.choices = {"picture": list(self.pictures), "element": elements, "applied": elements}
        facts = {
            "group": group.name,
            "rotations": group.rotations,
            "names": [group.element_name(g) for g in group.elements],
            "product": group.product.tolist(),
            "inverse": group.inverse.tolist(),
            "steps": cayley_graph(group),
            "pictures": list(self.pictures),
        }
        super().__init__(facts, self.check({"picture": picture, "element": 0, "applied": 0}))

    def orbit(self) -> list[Tensor]:
        """The different pictures that the group makes of the chosen one."""
        picture = self.pictures[self._state["picture"]]
        return [self.group.transform(picture, makers[0]) for makers in self.values["makers"]]

    def stabilizer(self) -> tuple[int, ...]:
        """The elements that do not change the chosen picture (before any step)."""
        return tuple(self.values["stabilizer"])

    def check(self, changes: dict[str, Any]) -> dict[str, Any]:
        """The changes of the state, checked. A new element with nothing applied is a new beginning."""
        changes = super().check(changes)
        if "element" in changes and "applied" not in changes:
            changes = {**changes, "applied": changes["element"]}
        return changes

    def show(self, state: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """What the state looks like, and the sentence that says it."""
        values = compute(self.group, self.pictures[state["picture"]], state)
        name = self.group.element_name
        number = next(i for i, makers in enumerate(values["makers"]) if state["element"] in makers)
        kept = ", ".join(name(g) for g in values["kept_by"])
        begun = state["element"] or state["applied"]
        step = f" {values['sentence']}." if begun else ""
        return values, (
            f"{state['picture']} under {self.group.name}, moved by {name(state['element'])}: picture {number + 1} "
            f"of {len(values['makers'])}.{step} This picture is kept by {kept}."
        )

    def frozen_states(self) -> list[dict[str, Any]]:
        """Every step to every element, for the picture that is shown now and for a few letters."""
        few = [self._state["picture"], *"AFHLNO"]
        elements = self.group.elements
        return product_of(picture=dict.fromkeys(few), element=elements, applied=elements)

    def frozen_facts(self, states: list[dict[str, Any]]) -> dict[str, Any]:
        """The facts, with the pictures that the page holds."""
        return {**self.facts, "pictures": list(dict.fromkeys(state["picture"] for state in states))}
