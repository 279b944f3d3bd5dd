"""Notebook 05c: a pair of patches, what gives a task away, a jigsaw, and the lift, by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import permutations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.data.letters import letters
from eqssl_edu.diagnostics import equivariance_error
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.errors import need_integer, typed
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import GSetHead
from eqssl_edu.lessons.notebook_03 import blur
from eqssl_edu.plots import picture, row
from eqssl_edu.pretext import JigsawTask, RelativeLocationTask
from eqssl_edu.shapes import Images
from eqssl_edu.tables import table
from eqssl_edu.widgets import ByHand

__all__ = [
    "errors_of", "letter_puzzle", "parts_of_a_network", "scene", "shortcut_accuracies", "shortcuts", "side_by_side",
    "textures", "turn_the_pair", "watch_lift", "which_permutation",
]  # fmt: skip

C4, D4 = cyclic(4), dihedral(4)
RULES = ("borders", "brightness")


@table
def scene() -> Float[Tensor, "1 1 15 15"]:
    """A letter on a rough ground: no two places of it look alike."""
    noise = torch.randn(1, 1, 15, 15, generator=torch.Generator().manual_seed(0))
    return F.interpolate(letters()["R"][None, None], size=(15, 15)) + 0.1 * noise


@table
def letter_puzzle() -> Float[Tensor, "1 1 20 20"]:
    """Four tiles with a letter on each, on grounds of four brightnesses."""
    tiles = [F.pad(letters()[name], (0, 1, 0, 1)) + 0.15 * k for k, name in enumerate("FGRJ")]
    return torch.cat([torch.cat(tiles[:2], dim=1), torch.cat(tiles[2:], dim=1)])[None, None]


def turn_the_pair() -> ByHand:
    """A pair of patches, turned by hand, beside the pair that the turned image has at the place it goes to."""
    x, task = scene(), RelativeLocationTask(D4, patch=5, gap=0, jitter=0)
    names = task.labels.names

    def patches(image: Images, label: int) -> Tensor:
        return task.apply(image, torch.tensor([label]))[0, :, 0]  # (2, 5, 5)

    def line(image: Images, caption: str, pair: Tensor, captions: tuple[str, str], text: str = "") -> str:
        boxes = [picture(patch, words) for patch, words in zip(pair, captions, strict=True)]
        return row([picture(image[0, 0], caption), *boxes], text)

    def draw(neighbour: str, g: int) -> str:
        label = names.index(neighbour)
        moved, gx, pair = int(task.labels.action[g, label]), D4.transform(x, g), patches(x, label)
        text = f"The pair turned by {D4.element_name(g)} is the pair ({names[moved]}) of the turned image."
        return (
            line(x, "image x", pair, ("middle", neighbour))
            + line(gx, "image gx", D4.transform(pair, g), ("turned middle", "turned neighbour"))
            + line(gx, "image gx", patches(gx, moved), ("its middle", names[moved]), text)
        )

    return ByHand(draw, neighbour=names, g=range(8), start={"neighbour": "north", "g": 1})


# What gives the order of tiles away


@typed
def textures(seed: int) -> Float[Tensor, "300 1 40 40"]:
    """Pictures that show nothing: noise blurred by 1.5 pixels, lit a little more from the upper left."""
    noise = blur(torch.randn(300, 1, 40, 40, generator=torch.Generator().manual_seed(seed)), 1.5)
    light = torch.linspace(2, 0, 40)
    return noise / noise.std() + light[:, None] + 0.5 * light


def _tiles(images: Images, gap: int, normalised: bool) -> Float[Tensor, "batch 4 side side"]:
    """The four tiles, row by row, without ``gap`` pixels on each side."""
    tiles = images[:, 0].unflatten(2, (2, -1)).unflatten(1, (2, -1)).transpose(2, 3).flatten(1, 2)
    tiles = tiles[..., gap : tiles.shape[-1] - gap, gap : tiles.shape[-1] - gap]
    return F.layer_norm(tiles, tiles.shape[2:]) if normalised else tiles


@typed
def shortcut_accuracies(images: Images, gap: int, normalised: bool) -> dict[str, float]:
    """How often a rule without any network names the right one of the 24 orders of the tiles.

    *borders* lays the tiles so that borders that meet differ least; *brightness* lays the brightest one at the upper
    left, then upper right, lower left, lower right.

    Arguments:
        gap: pixels that are cut off on each side of a tile.
        normalised: each tile has mean 0 and standard deviation 1.
    """
    need_integer("gap", gap, 0, images.shape[-1] // 4 - 1)
    tiles, costs = _tiles(images, gap, normalised), []
    for order in permutations(range(4)):  # the right one first
        a, b, c, d = tiles[:, list(order)].unbind(dim=1)
        beside = (a[..., -1] - b[..., 0]).abs() + (c[..., -1] - d[..., 0]).abs()
        below = (a[..., -1, :] - c[..., 0, :]).abs() + (b[..., -1, :] - d[..., 0, :]).abs()
        costs.append((beside + below).sum(dim=1))
    by_light = tiles.mean(dim=(2, 3)).argsort(dim=1, descending=True)
    right = torch.stack(costs, dim=1).argmin(dim=1) == 0, (by_light == torch.arange(4)).all(dim=1)
    return {rule: float(found.double().mean()) for rule, found in zip(RULES, right, strict=True)}


@typed
def shortcuts(seed: int) -> ByHand:
    """Four tiles of a picture that shows nothing, and how often each rule names their order: by gap, by norm."""
    images = textures(seed)

    def draw(gap: int, tiles: str) -> str:
        normalised = tiles == "normalised"
        shown = _tiles(images[:1], gap, normalised)[0]
        limits = float(shown.min()), float(shown.max())
        boxes = [picture(tile, f"tile {p}", limits=limits, side=90) for p, tile in enumerate(shown)]
        found = shortcut_accuracies(images, gap, normalised)
        words = ", ".join(f"{rule} <b>{accuracy:.0%}</b>" for rule, accuracy in found.items())
        whole = picture(images[0, 0], "the picture", side=120)
        return row([whole, *boxes], f"The right order of 24, in 300 pictures: {words}. By luck: 4 %.")

    return ByHand(draw, gap=range(6), tiles=["as they are", "normalised"])


# The jigsaw


def which_permutation() -> ByHand:
    """A puzzle, turned by hand; the permutations that make the same of the turned image, found by trying all."""
    x, task = letter_puzzle(), JigsawTask(D4, grid=2)
    orders = task.labels.names

    def made_of(image: Images) -> Tensor:
        return task.apply(image.expand(24, -1, -1, -1), torch.arange(24))

    def draw(sigma: str, g: int) -> str:
        gx, moved = D4.transform(x, g), made_of(x)[orders.index(sigma)]
        turned = D4.transform(moved, g)
        fits = [name for name, puzzle in zip(orders, made_of(gx), strict=True) if torch.equal(puzzle, turned)]
        first = [
            (x[0, 0], "x"),
            (moved[0], f"tiles moved by {sigma}"),
            (turned[0], f"then {D4.element_name(g)}"),
        ]
        second = [(gx[0, 0], "gx"), (turned[0], f"tiles moved by {fits[0]}")]
        lines = [[picture(plane, words, side=105) for plane, words in line] for line in (first, second)]
        text = f"Made of gx: of all 24 permutations {' and '.join(fits)} alone gives the same puzzle."
        return row(lines[0]) + row(lines[1], text)

    return ByHand(draw, sigma=orders, g=range(8), start={"sigma": "0132", "g": 1})


# The lift

Lift = Callable[[Tensor, Tensor], Tensor]


@typed
def watch_lift(lift: Lift) -> ByHand:
    """One channel of four tiles, (4, |G|) numbers, before and after a turn; and what a lift makes of both.

    Arguments:
        lift: (features (B, P, C, |G|), the action on the P places (|G|, P)) -> (B, P C, |G|).
    """
    places = GSet.grid(C4, 2)
    before = torch.randn(1, 4, 1, 4, generator=torch.Generator().manual_seed(3))

    def draw(g: int) -> str:
        after = C4.transform_features(before, g)[:, places.action[C4.inverse[g]]]
        shown = {"features F": before[:, :, 0], "F, turned": after[:, :, 0]}
        shown |= {"lift U": lift(before, places.action), "U, turned": lift(after, places.action)}
        boxes = [picture(plane[0], name, True, (-2, 2), side=130) for name, plane in shown.items()]
        text = f"Turned by {C4.element_name(g)}. In F a row is a tile, a column an element; in U a row is a channel."
        return row(boxes, text)

    return ByHand(draw, g=range(4), start={"g": 1})


@typed
def parts_of_a_network(seed: int) -> tuple[JigsawTask, GroupCNN, GSetHead]:
    """The 2 x 2 jigsaw under C4, an encoder of its tiles with 8 channels, and a head for the lifted features."""
    torch.manual_seed(seed)
    task = JigsawTask(C4, grid=2)
    return task, GroupCNN(C4, channels=(4, 8)).double().eval(), GSetHead(task.labels, 32).double()


@typed
def side_by_side(
    features: Float[Tensor, "batch part channel group"], action: Tensor
) -> Float[Tensor, "batch wide group"]:
    """The features of the parts one after the other: right for parts that keep their places, and for no others."""
    return features.flatten(1, 2)


@typed
def errors_of(network: Callable[[Tensor, Lift], Tensor], lifts: Mapping[str, Lift]) -> dict[str, float]:
    """name of a lift -> largest equivariance error of network(puzzles (8, 1, 20, 20), lift): logits of the jigsaw."""
    task, x = JigsawTask(C4, grid=2), letter_puzzle().double().repeat(8, 1, 1, 1)
    puzzles, _ = task.sample(x, torch.Generator().manual_seed(0))
    turns = {"group": C4, "transform_outputs": task.labels.transform}
    return {
        name: float(equivariance_error(lambda x, lift=lift: network(x, lift), puzzles, **turns).max())
        for name, lift in lifts.items()
    }
