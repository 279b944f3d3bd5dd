"""Pretext tasks as puzzles: made with any label, turned, and put back together by any label."""

from __future__ import annotations

from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.errors import got
from eqssl_edu.permutations import move
from eqssl_edu.pretext import JigsawTask, RelativeLocationTask, RotationTask

__all__ = ["JigsawPuzzle", "LocationPuzzle", "Puzzle", "RotationPuzzle", "puzzle_of"]

Picture = Float[Tensor, "channel _ _"]
Tiles = Float[Tensor, "tile channel _ _"]
Code = tuple[int, ...]  # a label written out: (element,), (neighbour,), or the places that the tiles go to
MOST = 3  # fitting labels are listed up to so many


class Puzzle:
    """What the explorer needs of a task. A code is a label written out, so that any action can move it.

    Attributes:
        true: the action that tells the truth about every picture.
        actions: name -> (formula, what it says).
        image_turns: False if the label is a pose, and the turned input is made of the image as it was.
    """

    true: str
    actions: ClassVar[dict[str, tuple[str, str]]]
    image_turns = True

    def __init__(self, task: RotationTask | RelativeLocationTask | JigsawTask) -> None:
        self.task, self.group, self.size = task, task.group, task.labels.size

    def code(self, label: int) -> Code:
        """A label, written out."""
        return (label,)

    def name(self, code: Code) -> str:
        """What a label is called."""
        return self.task.labels.names[code[0]]

    def move(self, action: str, g: int, code: Code) -> Code:
        """g.l under one of the actions."""
        return code if action == "trivial" else (int(self.task.labels.action[g, code[0]]),)

    def make(self, image: Picture, code: Code) -> Tensor:
        """The input that the task makes of an image with this label, without jitter."""
        return self.task.apply(image[None], torch.tensor(code, device="cpu"))[0]

    def turn(self, made: Tensor, g: int) -> Tensor:
        """How g acts on an input."""
        return self.task.transform(made[None], g)[0]

    def board(self, made: Tensor, code: Code) -> Picture:
        """An input as one picture."""
        return made

    def undo(self, image: Picture, made: Tensor, code: Code) -> Picture:
        """What the input is put together to by a label; ``image`` is the whole picture, turned as the input is."""
        raise NotImplementedError

    def fitting(self, image: Picture, made: Tensor) -> list[Code]:
        """The labels with which the task makes this input of this image: the truth, read off the pictures."""
        return [c for c in map(self.code, range(self.size)) if torch.equal(self.make(image, c), made)][:MOST]


class RotationPuzzle(Puzzle):
    """Which way was the image turned? Undone by turning back."""

    true = "left"
    actions: ClassVar = {
        "conjugation": (
            "g t g⁻¹",
            "The turn is seen from another side. A turn of a picture is not like that.",
        ),
        "left": ("g t", "First t, then g: the label counts on. True of every picture."),
        "trivial": ("t", "The label stays while the picture turns."),
    }
    image_turns = False

    def __init__(self, task: RotationTask) -> None:
        if task.stabilizer != (0,):
            raise ValueError(f"tasks must have rotations as labels, not cosets, {got(task)}")
        super().__init__(task)

    def move(self, action: str, g: int, code: Code) -> Code:
        moved = super().move(action, g, code)
        back = self.group.inverse[g]
        return (int(self.group.product[moved[0], back]),) if action == "conjugation" else moved

    def undo(self, image: Picture, made: Tensor, code: Code) -> Picture:
        return self.group.transform(made, int(self.group.inverse[code[0]]))


class LocationPuzzle(Puzzle):
    """On which side of the first patch lay the second one? Undone by laying it there."""

    true = "left"
    actions: ClassVar = {
        "left": ("π(g) p", "The side turns with the picture. True of every picture."),
        "trivial": ("p", "The label stays while the picture turns."),
    }

    def board(self, made: Tensor, code: Code) -> Picture:
        patch, gap = self.task.patch, self.task.gap
        side = 3 * patch + 2 * gap
        return self._lay(made.new_full((made.shape[1], side, side), float(made.min())), made, code)

    def undo(self, image: Picture, made: Tensor, code: Code) -> Picture:
        return self._lay(image.clone(), made, code)

    def _lay(self, ground: Picture, made: Tensor, code: Code) -> Picture:
        """Both patches on a ground: the first in the centre, the second on the side that the label says."""
        patch = self.task.patch
        cell = code[0] + (code[0] > 3)  # of 3 x 3, without the centre
        start = (ground.shape[-1] - patch) // 2
        for part, (row, column) in zip(made, [(1, 1), divmod(cell, 3)], strict=True):
            top, left = (start + (at - 1) * (patch + self.task.gap) for at in (row, column))
            ground[:, top : top + patch, left : left + patch] = part
        return ground


class JigsawPuzzle(Puzzle):
    """In which order were the tiles put? Undone by putting them back. A code says where each tile goes."""

    true = "conjugation"
    actions: ClassVar = {
        "conjugation": ("π(g) σ π(g)⁻¹", "The picture and the order turn together. True of every picture."),
        "left": (
            "π(g) σ",
            "Names each tile's place in the upright picture: true only where all pictures are upright.",
        ),
        "trivial": ("σ", "The order stays while the picture turns: true only where nothing is ever turned."),
    }

    def code(self, label: int) -> Code:
        return tuple(self.task.labels.permutations[label].tolist())

    def name(self, code: Code) -> str:
        return "".join(map(str, code))

    def move(self, action: str, g: int, code: Code) -> Code:
        return tuple(
            move(self.group, self.task.grid, action, g, torch.tensor([code], device="cpu"))[0].tolist()
        )

    def make(self, image: Picture, code: Code) -> Tensor:
        # Not task.apply: an action that is not the task's own may lead out of its set of permutations.
        return self._join(self._tiles(self.cut(image))[torch.tensor(code, device="cpu").argsort()])

    def undo(self, image: Picture, made: Tensor, code: Code) -> Picture:
        return self._join(self._tiles(made)[list(code)])

    def fitting(self, image: Picture, made: Tensor) -> list[Code]:
        parts, codes = self._tiles(made), [()]
        for tile in self._tiles(self.cut(image)):
            places = [q for q, part in enumerate(parts) if torch.equal(tile, part)]
            # The first beginnings are enough: equal tiles have the same places, so that all can be completed or none.
            codes = [(*code, q) for code in codes for q in places if q not in code][:MOST]
        return codes

    def cut(self, image: Picture) -> Picture:
        """The tiles of an image in their own places: what the task makes of it with label 0, put back."""
        return self.undo(image, super().make(image, (0,)), self.code(0))

    def _tiles(self, picture: Picture) -> Tiles:
        n = self.task.grid
        tile = picture.shape[-1] // n
        return picture.unflatten(2, (n, tile)).unflatten(1, (n, tile)).permute(1, 3, 0, 2, 4).flatten(0, 1)

    def _join(self, tiles: Tiles) -> Picture:
        n = self.task.grid
        return tiles.unflatten(0, (n, n)).permute(2, 0, 3, 1, 4).flatten(3, 4).flatten(1, 2)


def puzzle_of(task: object) -> Puzzle:
    """A task as a puzzle; TypeError if it is none of the three."""
    kinds = {RotationTask: RotationPuzzle, RelativeLocationTask: LocationPuzzle, JigsawTask: JigsawPuzzle}
    for kind, puzzle in kinds.items():
        if isinstance(task, kind):
            return puzzle(task)
    raise TypeError(f"tasks must be RotationTasks, RelativeLocationTasks or JigsawTasks, {got(task)}")
