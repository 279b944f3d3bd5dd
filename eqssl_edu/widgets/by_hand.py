"""ByHand: a drawing of one's own, with a slider or a menu for each of its arguments."""

from __future__ import annotations

import html
import inspect
import re
from collections.abc import Callable, Sequence
from typing import Any

from eqssl_edu.errors import got, typed
from eqssl_edu.widgets.shared.base import Explorer, front_end
from eqssl_edu.widgets.shared.frozen_page import product_of

__all__ = ["ByHand"]


class ByHand(Explorer):
    """A drawing with a slider or a menu for each of its arguments.

    ``draw`` is a plain function that returns HTML, such as ``plots.row``. It can be called, read and tested without
    this class. A screen reader hears the words of what it has drawn.

    The state: the arguments of ``draw``.

    Arguments:
        draw: keyword arguments in, HTML out.
        start: the first values of the controls; otherwise each control starts with its first choice.
        choices: for each argument of ``draw`` what it can be, strings or numbers: a ``range`` or a tuple for a slider
            that runs along it, a list for a menu.

    Example:
        >>> square = ByHand(lambda n: f"<b>{n * n}</b>", n=range(1, 9), start={"n": 3})
        >>> square.set_state(n=5)
        >>> square.values["html"], square.readout
        ('<b>25</b>', '25')
    """

    _esm, _css = front_end("by_hand")

    @typed
    def __init__(
        self, draw: Callable[..., str], start: dict[str, Any] | None = None, **choices: range | Sequence[Any]
    ) -> None:
        for name, values in choices.items():
            if isinstance(values, str) or not isinstance(values, Sequence) or not values:
                raise TypeError(f"{name} must be a range, a tuple or a list of choices, {got(values)}")
        self.draw, self.choices = draw, choices
        state = {name: values[0] for name, values in choices.items()}
        try:
            inspect.signature(draw).bind(**state)
        except TypeError as problem:
            named = f"a function of {', '.join(choices)}"
            raise TypeError(f"draw must be {named}, {got(draw)}: {problem}") from None
        except ValueError:  # a function written in C may have no signature
            pass
        unknown = sorted((start or {}).keys() - state.keys())
        if unknown:
            raise ValueError(f"start must name arguments with choices, {', '.join(state)}, {got(unknown[0])}")
        controls = []
        for name, values in choices.items():
            kind = {"choices": list(values), "slides": not isinstance(values, list)}
            controls.append({"name": name, "label": name.replace("_", " "), **kind})
        super().__init__({"controls": controls}, {**state, **self.check(start or {})})

    def check(self, changes: dict[str, Any]) -> dict[str, Any]:
        """The changes of the state, checked."""
        found = {}
        for name, value in changes.items():
            offered = self.choices[name]
            value = value.item() if not getattr(value, "shape", True) else value  # numpy's number, or torch's
            if not isinstance(value, (str, int, float)) or value not in offered:
                words = str(offered) if isinstance(offered, range) else ", ".join(map(str, offered))
                raise ValueError(f"{name} must be one of {words}, {got(value)}")
            found[name] = value
        return found

    def show(self, state: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """What is drawn in a state, and its words."""
        drawn = self.draw(**state)
        if not isinstance(drawn, str):
            raise TypeError(f"draw must give HTML as a str, {got(drawn)}")
        return {"state": dict(state), "html": drawn}, words_of(drawn)

    def frozen_states(self) -> list[dict[str, Any]]:
        """Every combination of the choices."""
        return product_of(**self.choices)


def words_of(drawn: str) -> str:
    """The words of a piece of HTML, captions apart from each other.

    Example:
        >>> words_of("<figure><img><figcaption>a &lt; b</figcaption></figure><p>They <b>differ</b>.</p>")
        'a < b; They differ .'
    """
    apart = drawn.replace("</figcaption>", "; ")
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", apart)).split()).replace(" ;", ";")
