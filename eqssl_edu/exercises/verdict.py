"""What a check says: ``check("02.lifting", answer)`` calls ``lifting`` of ``notebook_02`` and gives a verdict.

Such a function takes the answer, judges it with the words of ``judging`` and returns the sentence that praises it.
``Wrong`` carries a reason and a hint, ``NotDone`` nothing; what else is raised comes from the answer.
"""

from __future__ import annotations

import importlib.util
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from eqssl_edu.errors import got, need_choice, typed

__all__ = ["NotDone", "Verdict", "Wrong", "check", "filled_in", "second_hint"]

FOREIGN = ("site-packages", str(Path(__file__).parents[1]))  # where code is not the student's
LOOK = {  # colour (Okabe and Ito), mark and words: never the colour alone
    True: ("#009E73", "✓", "right"),
    False: ("#D55E00", "✗", "not yet right"),
    None: ("#0072B2", "…", "not done yet"),
}


class Wrong(Exception):
    """The answer is wrong: ``Wrong(reason, hint)`` says why, and what to try."""


class NotDone(Exception):
    """There is no answer yet: the gap still holds its three dots."""


@dataclass(frozen=True)
class Verdict:
    """What a check found; as a condition it is True only for a right answer.

    Attributes:
        exercise: its name, "NN.word".
        ok: True if the answer is right.
        done: False while the gap still holds its three dots.
        reason: what was seen, in a sentence.
        hint: what to try next; empty if the answer is right.
        second_hint: the next step, for whoever asks for it.
    """

    exercise: str
    ok: bool
    done: bool
    reason: str
    hint: str = ""
    second_hint: str = ""

    def __bool__(self) -> bool:
        return self.ok

    def __repr__(self) -> str:
        _, mark, words = LOOK[self.ok if self.done else None]
        hint = f"\n  Hint: {self.hint}" if self.hint else ""
        more = "\n  There is a second hint: print(_.second_hint)" if self.second_hint else ""
        return f"{mark} {self.exercise}: {words}. {self.reason}{hint}{more}"

    def _repr_html_(self) -> str:
        colour, mark, words = LOOK[self.ok if self.done else None]
        hint = f'<div style="margin-top:4px"><b>Hint.</b> {escape(self.hint)}</div>' if self.hint else ""
        if self.second_hint:
            hint += f"<details><summary>A second hint</summary>{escape(self.second_hint)}</details>"
        style = f"border-left:6px solid {colour};padding:6px 12px;line-height:1.45;white-space:pre-line"
        return (
            f'<div role="status" style="{style}">'
            f"<b>{mark} {escape(self.exercise)}: {words}.</b> {escape(self.reason)}{hint}</div>"
        )


@typed
def check(exercise: str, answer: Any) -> Verdict:
    """Check an answer. A wrong answer, an empty one or one that raises gives a verdict, never an exception.

    It runs as long as the answer does: interrupt the kernel to end an answer that does not end by itself.

    Arguments:
        exercise: "NN.word", as the notebook names it.
        answer: whatever the exercise asks for: a number, a tuple, a function, a class.

    Raises:
        ValueError: if there is no such exercise (a mistake of the notebook, not of the answer).

    Example:
        >>> check("01.orbits", lambda action: ...).done
        False
    """
    judged = _find(exercise)
    more = getattr(judged, "second_hint", "")
    try:
        return Verdict(exercise, ok=True, done=True, reason=judged(filled_in(answer)))
    except NotDone:
        hint = "Replace the three dots by your answer and run the cell again."
        return Verdict(exercise, ok=False, done=False, reason="The gap is still open.", hint=hint)
    except Wrong as wrong:
        reason, hint = wrong.args
        return Verdict(exercise, ok=False, done=True, reason=reason, hint=hint, second_hint=more)
    except (Exception, SystemExit) as problem:
        words = traceback.format_exception_only(problem)[0].strip()  # whatever its own words do
        reason = f"Your answer raised {words}"
        return Verdict(exercise, ok=False, done=True, reason=reason, hint=_where(problem), second_hint=more)


def second_hint(words: str) -> Callable[[Callable], Callable]:
    """Give a check its second hint: a more explicit step than the first hint, which follows from the mistake."""

    def marked(judged: Callable[[Any], str]) -> Callable[[Any], str]:
        judged.second_hint = words
        return judged

    return marked


def filled_in(value: Any) -> Any:
    """``value``, unless it is the empty stub: ``...`` or nothing, also inside a dictionary, a list or a tuple."""
    if value is None or value is ...:
        raise NotDone
    if isinstance(value, (dict, list, tuple)):
        for part in value.values() if isinstance(value, dict) else value:
            filled_in(part)
    return value


def _find(exercise: str) -> Callable[[Any], str]:
    parts = re.fullmatch(r"([\dA]\d)\.(\w+)", exercise)
    module = f"eqssl_edu.exercises.notebook_{parts[1]}" if parts else ""
    if not parts or importlib.util.find_spec(module) is None:
        raise ValueError(
            f"exercise must be 'NN.word' with the number of a notebook that has exercises, {got(exercise)}"
        )
    checks = importlib.import_module(module)
    need_choice("exercise", exercise, [f"{parts[1]}.{name}" for name in checks.__all__])
    return getattr(checks, parts[2])


def _where(problem: BaseException) -> str:
    """The line of the student's own code that raised."""
    frames = traceback.extract_tb(problem.__traceback__)
    own = [frame for frame in frames if not any(place in frame.filename for place in FOREIGN)]
    if own and own[-1].line:
        return f"It happened in your line: {own[-1].line}"
    return "Compare the type and the shape of the answer with what the exercise asks for."
