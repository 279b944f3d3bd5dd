"""LabelActionExplorer: turn the input of a pretext task and see which action on its labels tells the truth."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.data.letters import letters
from eqssl_edu.errors import need_choice, typed
from eqssl_edu.groups import dihedral
from eqssl_edu.pretext import JigsawTask, RelativeLocationTask, RotationTask
from eqssl_edu.shapes import Image
from eqssl_edu.tables import table
from eqssl_edu.widgets.puzzles import Puzzle, puzzle_of
from eqssl_edu.widgets.shared.base import Explorer, front_end
from eqssl_edu.widgets.shared.checks import checked, need_square
from eqssl_edu.widgets.shared.frozen_page import product_of
from eqssl_edu.widgets.shared.pixels import extremes, to_bytes, to_screen

__all__ = ["LabelActionExplorer", "compute", "default_image", "default_tasks"]

SIDE = 56  # pixels of a picture; four of them in colour take 38 KB
Task = RotationTask | RelativeLocationTask | JigsawTask


def compute(puzzle: Puzzle, image: Image, state: dict[str, Any]) -> dict[str, Any]:
    """What the explorer shows in a state.

    Returns:
        "pixels" of four pictures, with their "sides" and "channels": the image, the input, the turned input, and
        what the chosen label puts the turned input together to; "kind" of the puzzle and "size" of its label set;
        "label": of the input; "actions": for each action its "name", its "formula", a sentence about it ("words")
        and its "cells", one for each element: the label that it predicts for the turned input, and whether
        that is "right", that is, whether the task makes exactly this input with it; "truth": the labels with
        which it does, found by comparing pictures; "orbit": how many labels the chosen action makes.
    """
    group, element, action = puzzle.group, state["element"], state["action"]
    label = puzzle.code(state["label"])
    made = puzzle.make(image, label)

    def reference(g: int) -> Tensor:
        return group.transform(image, g) if puzzle.image_turns else image

    def cell(by: str, g: int) -> dict[str, Any]:
        predicted = puzzle.move(by, g, label)
        right = torch.equal(puzzle.make(reference(g), predicted), puzzle.turn(made, g))
        return {"label": puzzle.name(predicted), "right": right}

    actions = []
    for by, (formula, words) in puzzle.actions.items():
        cells = [cell(by, g) for g in group.elements]
        actions.append({"name": by, "formula": formula, "words": words, "cells": cells})
    turned = puzzle.turn(made, element)
    pictures = [
        image,
        puzzle.board(made, label),
        puzzle.board(turned, puzzle.move(puzzle.true, element, label)),
        puzzle.undo(group.transform(image, element), turned, puzzle.move(action, element, label)),
    ]
    small = [to_screen(picture, SIDE) for picture in pictures]
    scale = extremes(image)  # of all pictures
    return {
        "state": dict(state),
        "kind": type(puzzle).__name__,
        "size": puzzle.size,
        "pixels": b"".join(to_bytes(picture, *scale) for picture in small),
        "sides": [picture.shape[-1] for picture in small],
        "channels": len(small[0]),
        "label": puzzle.name(label),
        "actions": actions,
        "truth": [puzzle.name(code) for code in puzzle.fitting(reference(element), turned)],
        "orbit": len({puzzle.move(action, g, label) for g in group.elements}),
    }


def default_tasks(side: int) -> dict[str, Callable[[], Task]]:
    """All tasks of the course under D4, for images of this side; each is made when it is called for."""
    group = dihedral(4)
    patch = (side - 4) // 3
    patch -= (side - patch) % 2
    return {
        "rotation": lambda: RotationTask(group),
        "relative location": lambda: RelativeLocationTask(group, patch, gap=2, jitter=0),
        "jigsaw 2 x 2": lambda: JigsawTask(group, 2),
        "jigsaw 3 x 3": _nine_tiles,
    }


@cache
def _nine_tiles() -> JigsawTask:
    """Made once: to choose among 362,880 permutations takes seconds."""
    return JigsawTask(dihedral(4), 3, count=24)


@table
def default_image() -> Float[Tensor, "1 36 36"]:
    """A letter on a ground that gets brighter to one corner: no symmetry, and no two tiles alike."""
    letter = F.interpolate(letters()["R"][None, None], scale_factor=4.0)[0]
    ramp = torch.linspace(0, 1, 36)
    return 0.6 * letter + 0.25 * ramp + 0.15 * ramp[:, None]


def _telling_label(puzzle: Puzzle) -> int:
    """A label that many elements move: one out of the largest orbit."""
    orbit = max(puzzle.task.labels.orbits, key=len)
    return orbit[min(1, len(orbit) - 1)]


class LabelActionExplorer(Explorer):
    """Make a pretext task of an image, turn it, and see which action on the labels tells the truth.

    Each action predicts the label of the turned input. It is right if the task makes exactly this input of the
    turned image with the predicted label. (A rotation is a pose: there the image stays as it was.)

    The state: ``task`` (a name), ``label`` (its number), ``element`` (what turns the input) and ``action``
    ("conjugation", "left" or "trivial").

    Arguments:
        tasks: a RotationTask, RelativeLocationTask or JigsawTask, or a dict of them with their names, all of
            one group; by default all of them under D4.
        image: (C, H, W), square; by default a letter.

    Example:
        >>> explorer = LabelActionExplorer()
        >>> explorer.set_state(task="jigsaw 2 x 2", label=7, element=1)
        >>> explorer.verdicts()
        {'conjugation': True, 'left': False, 'trivial': False}
    """

    _esm, _css = front_end("shared/turn", "label_action")

    @typed
    def __init__(self, tasks: Task | Mapping[str, Task] | None = None, image: Image | None = None) -> None:
        self.image = default_image() if image is None else need_square("image", image, "C", "H", "W")
        self._factories = default_tasks(self.image.shape[-1]) if tasks is None else {}
        given = tasks if isinstance(tasks, Mapping) else {type(tasks).__name__: tasks}
        self._made = {} if tasks is None else {name: puzzle_of(task) for name, task in given.items()}
        self.names = list(self._factories or self._made)
        if not self.names:
            raise ValueError("tasks must hold at least one task, got an empty dict")
        self.group = self.puzzle(self.names[0]).group
        for puzzle in self._made.values():
            if puzzle.group != self.group:
                raise ValueError(f"tasks must have one group, got {self.group.name} and {puzzle.group.name}")
            puzzle.make(self.image, puzzle.code(0))  # does the image fit the task?
        facts = {
            "group": self.group.name,
            "names": [self.group.element_name(g) for g in self.group.elements],
            "rotations": self.group.rotations,
            "tasks": self.names,
        }
        self._state = {"task": "", "label": 0, "element": 0, "action": ""}  # check() reads it
        super().__init__(facts, {**self._state, **self.check({"task": self.names[0]})})

    def puzzle(self, name: str) -> Puzzle:
        """One of the tasks, as something that can be made and undone."""
        if name not in self._made:
            self._made[name] = puzzle_of(self._factories[name]())
        return self._made[name]

    def verdicts(self) -> dict[str, bool]:
        """For each action whether it tells the truth about the turned input."""
        return {row["name"]: row["cells"][self._state["element"]]["right"] for row in self.values["actions"]}

    def check(self, changes: dict[str, Any]) -> dict[str, Any]:
        """The changes of the state, checked. A new task begins with a label and an action of its own."""
        task = changes.get("task", self._state["task"])
        need_choice("task", task, self.names)
        puzzle = self.puzzle(task)
        if task != self._state["task"]:
            changes = {"label": _telling_label(puzzle), "action": puzzle.true, **changes}
        labels, elements = range(puzzle.size), self.group.elements
        return checked(changes, label=labels, element=elements, action=list(puzzle.actions))

    def show(self, state: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """What the state looks like, and the sentence that says it."""
        values = compute(self.puzzle(state["task"]), self.image, state)
        cells = next(row["cells"] for row in values["actions"] if row["name"] == state["action"])
        cell = cells[state["element"]]
        verdict = "right" if cell["right"] else "wrong"
        wrong = sum(not cell["right"] for cell in cells)
        return values, (
            f"{state['task']}: label {values['label']}, turned by {self.group.element_name(state['element'])}. The "
            f"{state['action']} action says {cell['label']}: {verdict}. Read off the picture: "
            f"{' or '.join(values['truth']) or 'none'}. Over the whole group it is wrong {wrong} of {len(cells)} times."
        )

    def frozen_states(self) -> list[dict[str, Any]]:
        """Every element and action, for a few labels of each task.

        The first state of a task is the one that a page shows when the task is chosen, as ``check`` does.
        """
        states = []
        for name in self.names:
            puzzle = self.puzzle(name)
            labels = [_telling_label(puzzle), 0, 3] + [self._state["label"]] * (name == self._state["task"])
            few = dict.fromkeys(label for label in labels if label < puzzle.size)
            actions = dict.fromkeys([puzzle.true, *puzzle.actions])
            states += product_of(task=[name], label=few, element=self.group.elements, action=actions)
        return states
