"""The pictures of notebook 01: letters that are turned, wallpapers, cosets, and the regular representation."""

from collections.abc import Iterable, Sequence

import plotly.graph_objects as go
import torch
from IPython.display import HTML
from jaxtyping import Shaped
from torch import Tensor

from eqssl_edu.data.letters import letters
from eqssl_edu.errors import typed
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.plots import image_grid, picture, row
from eqssl_edu.widgets.by_hand import ByHand
from eqssl_edu.widgets.orbit import orbit_of

__all__ = [
    "C4_BASIS",
    "blocks_of_c4",
    "coloured_orbits",
    "cosets",
    "letters_by_stabilizer",
    "regular_by_hand",
    "shift_and_turn",
    "side_by_side",
    "turn_a_letter",
    "wallpaper",
    "wallpapers",
]

D4 = dihedral(4)
SHIFTS = range(-3, 4)
# Real and imaginary parts of the discrete Fourier transform of four numbers: k = 0, k = 2, and k = 1.
C4_BASIS = torch.tensor(
    [
        [0.5, 0.5, 0.5, 0.5],
        [0.5, -0.5, 0.5, -0.5],
        [0.5**0.5, 0, -(0.5**0.5), 0],
        [0, 0.5**0.5, 0, -(0.5**0.5)],
    ]
)


@typed
def side_by_side(
    planes: Iterable[Shaped[Tensor, "height width"]], captions: Iterable[str], side: int = 84
) -> HTML:
    """Small pictures in a row, each with its caption.

    Arguments:
        planes: images (H, W).
        captions: one for each.
        side: width of a picture on the screen.
    """
    boxes = [picture(plane, text, side=side) for plane, text in zip(planes, captions, strict=True)]
    return HTML(row(boxes))


def turn_a_letter() -> ByHand:
    """A letter and the slider of the elements of D4: the turned letter, and which other letter it is.

    Example:
        >>> turn_a_letter().readout
        'N; r90; r90 turns N into Z .'
    """
    alphabet = letters()

    def turned_letter(letter: str, g: int) -> str:
        turned, name = D4.transform(alphabet[letter], g), D4.element_name(g)
        same = next((other for other, drawing in alphabet.items() if torch.equal(drawing, turned)), None)
        text = f"<b>{name}</b> turns {letter} into " + (f"<b>{same}</b>." if same else "no letter.")
        return row([picture(alphabet[letter], letter, side=140), picture(turned, name, side=140)], text)

    return ByHand(turned_letter, letter=list(alphabet), g=D4.elements, start={"letter": "N", "g": 1})


def shift_and_turn() -> ByHand:
    """An F that is shifted and then turned, and the two attempts to turn first: with the same shift, and with gt.

    The image goes on at the opposite border, so that a shift loses nothing.
    """
    canvas = torch.nn.functional.pad(letters()["F"], (4, 4, 4, 4))

    def three_ways(down: int, right: int, g: int) -> str:
        name, shift, moved = D4.element_name(g), (down, right), _turned_shift((down, right), g)
        boxes = [
            picture(D4.transform(canvas.roll(shift, (0, 1)), g), f"shift {shift}, then {name}", side=150),
            picture(D4.transform(canvas, g).roll(shift, (0, 1)), f"{name}, then shift {shift}", side=150),
            picture(D4.transform(canvas, g).roll(moved, (0, 1)), f"{name}, then shift {moved}", side=150),
        ]
        text = f"The shift (down, right) = {shift} before <b>{name}</b> is the shift <b>{moved}</b> after it."
        return row(boxes, text)

    start = {"right": 3, "g": 1}
    return ByHand(three_ways, down=SHIFTS, right=SHIFTS, g=D4.elements, start={"down": 0, **start})


def _turned_shift(shift: tuple[int, int], g: int) -> tuple[int, int]:
    """g t: what becomes of a shift (down, right) under an element of D4."""
    down, right = shift[0], -shift[1] if g >= 4 else shift[1]
    for _ in range(g % 4):
        down, right = -right, down
    return down, right


@typed
def wallpaper(group: FiniteGroup) -> Shaped[Tensor, "60 60"]:
    """The letter F, everywhere that the shifts by 30 pixels and a group of C1, C4 or D4 carry it."""
    cell = torch.zeros(30, 30)
    cell[:9, 7:16] = letters()["F"]  # where eight copies do not touch
    return sum(group.transform(cell, g) for g in group.elements).repeat(2, 2)


def wallpapers() -> HTML:
    """Three wallpapers of one F: under the shifts alone, under p4 and under p4m."""
    kinds = {"shifts alone": cyclic(1), "p4: shifts and turns": cyclic(4), "p4m: and mirrors": D4}
    return side_by_side([wallpaper(group) for group in kinds.values()], kinds, side=220)


def letters_by_stabilizer() -> HTML:
    """Thirty letters, sorted by the elements of D4 that leave them as they are."""
    kept: dict[tuple[int, ...], list[str]] = {}
    for name, drawing in letters().items():
        kept.setdefault(tuple(orbit_of(D4, drawing[None])[0]), []).append(name)
    boxes = []
    for elements in sorted(kept, key=lambda elements: (len(elements), elements)):
        drawings = [picture(letters()[name], name, side=44) for name in kept[elements]]
        boxes.append(row(drawings, "kept by " + ", ".join(map(D4.element_name, elements))))
    return HTML(f'<div style="display:flex;flex-wrap:wrap;gap:4px 36px">{"".join(boxes)}</div>')


@typed
def cosets(letter: str) -> HTML:
    """The orbit of a letter under D4: each picture with the elements that make it, a coset of the stabiliser."""
    drawing = letters()[letter]
    makers = orbit_of(D4, drawing[None])
    captions = [" or ".join(map(D4.element_name, same)) for same in makers]
    return side_by_side([D4.transform(drawing, same[0]) for same in makers], captions, side=110)


@typed
def coloured_orbits(labels: Sequence[GSet], rows: Sequence[int]) -> HTML:
    """The labels of G-sets, each set in so many rows, one colour for each orbit."""
    planes = [each.orbit_index.reshape(n, -1).double() for each, n in zip(labels, rows, strict=True)]
    captions = [f"{each.size} labels, a colour for each of {len(each.orbits)} orbits" for each in labels]
    return side_by_side(planes, captions, side=150)


def regular_by_hand() -> ByHand:
    """Eight numbers, one for each element of D4, before and after the regular action, and its matrix."""
    z, names = torch.linspace(-1, 1, 8), [D4.element_name(g) for g in D4.elements]

    def numbers(vector: Tensor, text: str) -> str:
        captions = [f"{name}: {value:.2f}" for name, value in zip(names, vector, strict=True)]
        planes = vector.reshape(8, 1, 1)
        boxes = [picture(v, c, True, (-1, 1), side=66) for v, c in zip(planes, captions, strict=True)]
        return row(boxes, text)

    def regular_action(g: int) -> str:
        matrix = picture(D4.transform_features(torch.eye(8), g).T, f"the matrix of {names[g]}", side=150)
        text = f"The number of <b>e</b> now stands at <b>{names[g]}</b>. Rows and columns stand for {', '.join(names)}."
        before, after = numbers(z, "z, before"), numbers(D4.transform_features(z, g), f"z, after {names[g]}")
        return before + after + row([matrix], text)

    return ByHand(regular_action, g=D4.elements, start={"g": 1})


def blocks_of_c4() -> go.Figure:
    """The matrices of the regular representation of C4, before and after the change to the Fourier basis."""
    group = cyclic(4)
    rho = torch.stack([group.transform_features(torch.eye(4), g).T for g in group.elements])
    titles = [f"{group.element_name(g)}{text}" for text in ("", ", new basis") for g in group.elements]
    title = "The regular representation of C4, before and after a change of basis"
    blocks = C4_BASIS @ rho @ C4_BASIS.T
    return image_grid(torch.cat([rho, blocks]), titles, title, columns=4, signed=True, value="entry")
