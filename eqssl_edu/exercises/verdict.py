"""What a check says, and how it is asked.

The checks of notebook NN are the functions in ``notebook_NN``: ``check("02.lifting", answer)`` calls
``notebook_02.lifting``. Such a function takes the answer and returns the sentence that praises it; it raises
``Wrong`` with a reason and a hint, or ``NotDone``. What else is raised comes from the answer.
"""

from __future__ import annotations

import importlib.util
import re
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from eqssl_edu.errors import got

__all__ = ["NotDone", "Verdict", "Wrong", "ask", "check", "filled_in", "need_shape", "same"]

PACKAGE = Path(__file__).parents[1]
LOOK = {  # colour (Okabe and Ito), mark and words: never the colour alone
    True: ("#009E73", "✓", "right"),
    False: ("#D55E00", "✗", "not yet right"),
    None: ("#0072B2", "…", "not done yet"),
}


class Wrong(Exception):
    """The answer is wrong: why, and what to try."""

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(reason)
        self.reason, self.hint = reason, hint


class NotDone(Exception):
    """There is no answer yet: the gap still holds its three dots."""


@dataclass(frozen=True)
class Verdict:
    """What a check found.

    Attributes:
        exercise: its name, "NN.word".
        ok: True if the answer is right.
        done: False while the gap still holds its three dots.
        reason: what was seen, in a sentence.
        hint: what to try next; empty if the answer is right.
    """

    exercise: str
    ok: bool
    done: bool
    reason: str
    hint: str = ""

    def __repr__(self) -> str:
        _, mark, words = LOOK[self.ok if self.done else None]
        return f"{mark} {self.exercise}: {words}. {self.reason}" + (
            f"\n  Hint: {self.hint}" if self.hint else ""
        )

    def _repr_html_(self) -> str:
        colour, mark, words = LOOK[self.ok if self.done else None]
        hint = f'<div style="margin-top:4px"><b>Hint.</b> {escape(self.hint)}</div>' if self.hint else ""
        return (
            f'<div role="status" style="border-left:6px solid {colour};padding:6px 12px;line-height:1.45">'
            f"<b>{mark} {escape(self.exercise)}: {words}.</b> {escape(self.reason)}{hint}</div>"
        )


def check(exercise: str, answer: Any) -> Verdict:
    """Check an answer. A wrong answer, an empty one or one that raises gives a verdict, never an exception.

    Arguments:
        exercise: "NN.word", as the notebook names it.
        answer: whatever the exercise asks for: a number, a tuple, a function, a class.

    Raises:
        ValueError: if there is no such exercise (a mistake of the notebook, not of the answer).

    Example:
        >>> check("01.count_orbits", lambda action: ...).done
        False
    """
    judge = _find(exercise)
    try:
        filled_in(answer)
        return Verdict(exercise, ok=True, done=True, reason=judge(answer))
    except NotDone:
        hint = "Replace the three dots by your answer and run the cell again."
        return Verdict(exercise, ok=False, done=False, reason="The gap is still open.", hint=hint)
    except Wrong as wrong:
        return Verdict(exercise, ok=False, done=True, reason=wrong.reason, hint=wrong.hint)
    except Exception as problem:
        reason = f"Your answer raised {type(problem).__name__}: {problem}"
        return Verdict(exercise, ok=False, done=True, reason=reason, hint=_where(problem))


# -- for the checks ------------------------------------------------------------------------------------


def filled_in(value: Any) -> Any:
    """``value``, unless it is the empty stub: ``...`` (also inside a dictionary or a list) or nothing."""
    parts: Iterable[Any] = (value,)
    if isinstance(value, dict):
        parts = value.values()
    elif isinstance(value, (list, tuple)):
        parts = value
    if value is None or any(part is ... for part in parts):
        raise NotDone
    return value


def ask(function: Callable[..., Any], *arguments: Any) -> Any:
    """What the student's function returns; NotDone if it returns nothing."""
    if not callable(function):
        raise Wrong(
            f"The answer must be a function, {got(function)}.",
            "Give its name, without brackets: check(..., name).",
        )
    return filled_in(function(*arguments))


def need_shape(value: Any, shape: tuple[int, ...], axes: str) -> Tensor:
    """``value``, if it is a tensor of this shape; ``axes`` says in words what the axes are."""
    if not isinstance(value, Tensor):
        raise Wrong(f"The answer must be a tensor, {got(value)}.", f"Its axes are {axes}.")
    if value.shape != shape:
        raise Wrong(
            f"The result has the shape {tuple(value.shape)}; wanted was {shape}.",
            f"The axes are {axes}. If only the order is wrong, look at the dim of torch.stack.",
        )
    return value


def same(value: Any, expected: Any) -> bool:
    """True if two numbers or tensors agree to 1e-6 of the expected size."""
    value, expected = torch.as_tensor(value).double(), torch.as_tensor(expected).double()
    return value.shape == expected.shape and bool((value - expected).norm() <= 1e-6 * expected.norm() + 1e-12)


def _find(exercise: str) -> Callable[[Any], str]:
    parts = re.fullmatch(r"([\dA]\d)\.(\w+)", exercise)
    module = f"eqssl_edu.exercises.notebook_{parts[1]}" if parts else ""
    if not parts or importlib.util.find_spec(module) is None:
        raise ValueError(
            f"exercise must be 'NN.word' with the number of a notebook that has exercises, {got(exercise)}"
        )
    checks = importlib.import_module(module)
    if parts[2] not in checks.__all__:
        names = ", ".join(f"{parts[1]}.{name}" for name in checks.__all__)
        raise ValueError(f"exercise must be one of {names}, {got(exercise)}")
    return getattr(checks, parts[2])


def _where(problem: Exception) -> str:
    """The line of the student's own code that raised."""
    frames = traceback.extract_tb(problem.__traceback__)
    own = [
        f
        for f in frames
        if "site-packages" not in f.filename and not Path(f.filename).is_relative_to(PACKAGE)
    ]
    if own and own[-1].line:
        return f"It happened in your line: {own[-1].line}"
    return "Compare the type and the shape of the answer with what the exercise asks for."
