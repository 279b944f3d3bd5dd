"""What all explorers share: a state, the conversation with the front end, and errors that are seen.

An explorer has three layers: a pure function that computes what is shown (tested without a screen), a class
that shows it (an anywidget with a small JavaScript file beside its Python file), one line in the notebook.

The conversation: the front end sends ``{"token": ..., "changes": {...}}``, or ``{"token": ..., "refine": True}``
when the hand rests. It sends the next message only when ``answered`` has its token and the answer is painted.
So a flood of moves never queues: what the hand did meanwhile is merged into one message, and the last position wins.
"""

from __future__ import annotations

import functools
import itertools
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import traitlets
from tqdm.auto import tqdm

from eqssl_edu.colours import BLUE_WHITE_ORANGE, CIVIDIS
from eqssl_edu.errors import got, need_choice, typed
from eqssl_edu.widgets.live import live_page
from eqssl_edu.widgets.live.plan import NotComputed
from eqssl_edu.widgets.shared import frozen_page
from eqssl_edu.widgets.shared.checks import checked
from eqssl_edu.widgets.shared.elsewhere import ShownAnywhere, portable

__all__ = ["Explorer", "front_end", "handler"]

FOLDER = Path(__file__).parents[1]  # eqssl_edu/widgets
BESIDE_SECONDS = 0.2  # for the states of the page beside a widget
COLOURS = {"grey": ("#000000", "#FFFFFF"), "sequential": CIVIDIS, "diverging": BLUE_WHITE_ORANGE}

# Errors in handlers are shown in the widget. Under test they are raised again as well: set this to True, or
# the environment variable to 1 before the import.
RAISE_ERRORS = os.environ.get("EQSSL_EDU_RAISE_ERRORS") == "1"


def front_end(*names: str) -> tuple[str, str]:
    """The JavaScript module and the style sheet of an explorer: what all explorers share, then the named files.

    ``front_end("shared/chart", "dashboard")`` ends with ``dashboard.js`` and ``dashboard.css``.
    """
    paths = [FOLDER / name for name in ("shared/base", "shared/controls", *names)]
    module, sheet = ("".join(p.with_suffix(end).read_text("utf-8") for p in paths) for end in (".js", ".css"))
    return f"const COLOURS = {json.dumps(COLOURS)};\n{module}", sheet


def handler(method):
    """Decorate what the front end calls: an error is shown inside the widget, and raised again under test."""

    @functools.wraps(method)
    def guarded(self, *arguments):
        with self._lock, self.hold_sync():  # the front end gets one message for all traits that change
            try:
                method(self, *arguments)
                self.error = ""
            except Exception as problem:
                self.error = f"{type(problem).__name__}: {problem}"
                self.unfinished = False  # or the front end would ask for the same failure again
                if RAISE_ERRORS:
                    raise

    return guarded


class Explorer(ShownAnywhere):
    """Base of the explorers: a plain state in, a picture and a sentence out.

    A subclass says what a state can be (``choices``, ``check``) and what it looks like (``show``), and names its
    files: ``_esm, _css = front_end("orbit")``.

    Arguments:
        facts: what never changes (names, choices, limits), for the front end.
        state: the first state; its keys are the keys of every state.
    """

    facts = traitlets.Dict().tag(sync=True, to_json=portable)
    values = traitlets.Dict().tag(sync=True, to_json=portable)  # what the picture shows; pixels as bytes
    readout = traitlets.Unicode().tag(sync=True)  # the sentence that a screen reader announces
    error = traitlets.Unicode().tag(sync=True)  # what went wrong in the last handler, or ""
    answered = traitlets.Unicode().tag(sync=True)  # token of the last message that was answered
    unfinished = traitlets.Bool(False).tag(sync=True)  # refine() has more to do when the hand rests

    def __init__(self, facts: dict[str, Any], state: dict[str, Any], **traits: Any) -> None:
        # A front end may deliver its messages on another thread than the one that runs the cells.
        self._lock = threading.RLock()
        self._state = dict(state)
        values, readout = self.show(self._state)
        # All traits go into the one message that opens the widget.
        super().__init__(facts=facts, values=values, readout=readout, **traits)
        self.on_msg(lambda _widget, content, buffers: self.receive(content, buffers))

    # -- for users and tests --------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """The state as a plain dictionary; ``set_state(**explorer.state())`` brings it back."""
        return dict(self._state)

    def set_state(self, traits_from_front_end: dict[str, Any] | None = None, /, **changes: Any) -> None:
        """Change some entries of the state and show the result. If one is not allowed, nothing changes."""
        if traits_from_front_end is not None:  # ipywidgets has a method of this name with one argument
            super().set_state(traits_from_front_end)
            return
        unknown = sorted(changes.keys() - self._state.keys())
        if unknown:
            raise ValueError(f"{unknown[0]} is not part of the state; it has {', '.join(self._state)}")
        with self._lock, self.hold_sync():
            before = self._state, self.values, self.readout
            try:
                state = {**self._state, **self.check(changes)}
                values, readout = self.show(state)
                self._state, self.values, self.readout = state, values, readout
                self.changed()
            except BaseException:
                self._state, self.values, self.readout = before
                raise
            self.error = ""

    @typed
    def to_html(self, path: str | os.PathLike, title: str = "", live: bool | str = "auto") -> Path:
        """Write one page that still turns with no kernel and no network, and return its path.

        Where it can (FieldExplorer, OrbitCorrelationExplorer), the page computes: it runs the networks itself, for
        every state and on the reader's own pictures. Else it holds states computed beforehand (see
        ``frozen_states``) and shows the one nearest to what the hand wants; the page says which, and why. Either
        holds at most 2 MB of them. This explorer itself stays as it is.

        Arguments:
            path: of the file, ending in .html; an older one is replaced when all is computed.
            title: of the page; by default what the explorer is called.
            live: is the page to compute? "auto": where it can; True: or ``NotComputed`` is raised, a ValueError that
                names what stands in the way; False: no.
        """
        path = Path(path)
        if path.suffix not in (".html", ".htm"):
            raise ValueError(f"path must end in .html, {got(str(path))}")
        if path.is_dir() or not os.access(path.absolute().parent, os.W_OK):
            raise ValueError(f"path must name a file in a folder that can be written to, {got(str(path))}")
        need_choice("live", live, ("auto", True, False))
        title = title or self._title()
        with self._lock, tqdm(desc=path.name, unit="state", leave=False) as bar:
            text, why = self._live_page(title, live) if live else (None, "")
            if text is None:
                states = self.frozen_states()
                bar.reset(len(states))
                text = self._frozen_page(states, title, why, bar.update)
        new = path.with_name(f"{path.name}.new")  # an interrupt leaves the older file, or none
        try:
            new.write_text(text, encoding="utf-8")
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)
        return path

    def page_beside(self) -> str:
        """The page for front ends without widgets: it computes, or holds what states a moment suffices for."""
        with self._lock:
            text, why = self._live_page(self._title(), "auto", quick=True)
            if text is not None:
                return text
            try:
                near = frozen_page.by_nearness(self.frozen_states(), self._state)
                end = time.monotonic() + BESIDE_SECONDS
                quick = itertools.takewhile(lambda _: time.monotonic() < end, near[1:])
                return self._frozen_page(itertools.chain(near[:1], quick), self._title(), why)
            except (NotImplementedError, ValueError):  # it has no page, or one that is too large
                return ""

    def _title(self) -> str:
        return re.sub(r"(?<=[a-z])(?=[A-Z])", " ", type(self).__name__)

    def _live_page(self, title: str, live: bool | str, quick: bool = False) -> tuple[str | None, str]:
        """(the page that computes, ""), or (None, why there is none)."""
        try:
            data = self.live_data(quick)
            if data is None:
                raise NotComputed("")
            return live_page.page(data, (self._esm, self._css), self.live_files, title, self.readout), ""
        except NotComputed as problem:
            if live is True:
                raise NotComputed(
                    str(problem) or f"there is no {type(self).__name__} that computes"
                ) from None
            return None, str(problem)

    def _frozen_page(
        self, states: Iterable[dict[str, Any]], title: str, why: str, tick: Callable = lambda: None
    ) -> str:
        table = []
        for changes in states:
            table.append((changes, self.frozen({**self._state, **self.check(changes)})))
            tick()
        facts = self.frozen_facts([changes for changes, _ in table])
        head = {"facts": facts, "free": self.free, "first": self.state()}
        return frozen_page.page(table, head, (self._esm, self._css), title, why)

    @handler
    def receive(self, content: dict[str, Any], buffers: Sequence[memoryview] = ()) -> None:
        """Answer one message of the front end."""
        self.answered = str(content["token"])
        if content.get("refine"):
            self.refine()
        else:
            self.set_state(**self.unpack(content["changes"], buffers))

    # -- for subclasses -------------------------------------------------------------------------------------

    # What entries of the state can be: a range of integers, or the values themselves.
    choices: dict[str, range | Sequence[Any]]

    def check(self, changes: dict[str, Any]) -> dict[str, Any]:
        """The changes, checked and completed. Raises ValueError or TypeError that names the entry."""
        return checked(changes, **self.choices)

    def show(self, state: dict[str, Any]) -> tuple[dict[str, Any], str]:
        """(values, readout) of a state."""
        raise NotImplementedError

    def unpack(self, changes: dict[str, Any], buffers: Sequence[memoryview]) -> dict[str, Any]:
        """Changes of the state out of a message that may bring bytes with it, such as a picture."""
        return changes

    def changed(self) -> None:
        """What else depends on the state; called after each change."""

    def refine(self) -> None:
        """A slice of slow work, done while the hand rests; sets ``unfinished``."""

    def __repr__(self) -> str:
        return f"{type(self).__name__}: {self.readout}"

    # -- for pages without a kernel -------------------------------------------------------------------------

    # The scripts that compute what the kernel does, which define makeKernel(data, engines); see live/model.js.
    live_files: tuple[str, ...] = ()

    def live_data(self, quick: bool = False) -> dict[str, Any] | None:
        """What a page that computes holds: "plans" of networks, and what else its script reads; None if none does.

        Quick is without what takes a second to make. Raises NotComputed where this one cannot.
        """
        return None

    # Entries of the state that change nothing in the picture but themselves, such as "is an animation on".
    free: tuple[str, ...] = ()

    def frozen_states(self) -> list[dict[str, Any]]:
        """The states that a page holds, each as changes of the present state with the same keys.

        What they do not name stays as it is now. ``frozen_page.product_of(angle=[0, 90], mirror=[False, True])``
        makes such a list. The values of a state must carry it: ``values["state"]``.
        """
        raise NotImplementedError(f"{type(self).__name__} has no page without a kernel")

    def frozen(self, state: dict[str, Any]) -> dict[str, Any]:
        """The traits that the script reads in a state: values, readout and what else it needs."""
        values, readout = self.show(state)
        return {"values": values, "readout": readout}

    def frozen_facts(self, states: list[dict[str, Any]]) -> dict[str, Any]:
        """The facts of a page that holds these states; without choices that it cannot answer."""
        return self.facts
