"""Training that is watched: curves that grow in the notebook, a Stop button that works, a cell that waits."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from typing import Any

import anywidget
import traitlets

from eqssl_edu.errors import got
from eqssl_edu.widgets.base import script, style

__all__ = ["LiveTraining", "curve", "guides"]

SECONDS_BETWEEN_UPDATES = 0.2
POINTS_PER_CURVE = 120


def curve(history: Sequence[Mapping[str, float]], expected: int) -> list[list[float | None]]:
    """The records of a run so far as points [step, loss, accuracy in % or None].

    Where more than ``POINTS_PER_CURVE`` records are ``expected`` from the whole run, a fixed number of them
    makes a point: their mean, at the step of the last one. So a thinned curve shows the run, not a choice of
    its noise, and a point, once it is complete, stays where it is.
    """
    size = max(1, -(-expected // POINTS_PER_CURVE))
    pieces = [history[start : start + size] for start in range(0, len(history), size)]

    def mean(piece: Sequence[Mapping[str, float]], name: str) -> float:
        return float(f"{sum(record[name] for record in piece) / len(piece):.5g}")

    return [
        [
            piece[-1]["step"],
            mean(piece, "loss"),
            round(100 * mean(piece, "accuracy"), 2) if "accuracy" in piece[0] else None,
        ]
        for piece in pieces
    ]


def guides(models: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The horizontal lines of the accuracy chart: where guessing stands, and what a model cannot pass.

    One line for each value, [{"value": in %, "label": "chance 25 %"}]; a level that not all models share is
    labelled with the names of those that have it.
    """
    levels: dict[float, list[str]] = {}
    for kind in ("chance", "cap"):
        of_kind: dict[float, list[str]] = {}
        for name, model in models.items():
            level = getattr(model, kind, None)
            if level is not None:
                of_kind.setdefault(round(100 * float(level), 1), []).append(name)
        for value, names in of_kind.items():
            whose = "" if len(names) == len(models) else f" of {', '.join(names)}"
            levels.setdefault(value, []).append(kind + whose)
    return [{"value": value, "label": f"{' = '.join(kinds)} {value:g} %"} for value, kinds in levels.items()]


class LiveTraining(anywidget.AnyWidget):
    """Train one or several models in the background and show how it goes.

    The training starts at once, on a thread of its own that advances the runs in turn, one step each, so
    that their curves can be compared while they grow. Put it on the last line of a cell to see it; let a
    later cell call :meth:`wait`::

        live = LiveTraining({"invariant head": Pretrainer(...), "equivariant head": Pretrainer(...)})
        live

        live.wait()

    Arguments:
        runs: name -> ``eqssl_edu.training.Pretrainer``.
        title: the heading.

    Raises:
        TypeError, ValueError: when ``runs`` holds no runs.
    """

    _esm = script("dashboard.js")
    _css = style("dashboard.css")
    facts = traitlets.Dict().tag(sync=True)  # what does not change: title, names, lengths, levels, device
    values = traitlets.Dict().tag(sync=True)  # status, progress and curves
    readout = traitlets.Unicode().tag(sync=True)  # the sentence that a screen reader announces

    def __init__(self, runs: Mapping[str, Any], title: str = "Training") -> None:
        if not isinstance(runs, Mapping):
            raise TypeError(f"runs must be a dict from names to Pretrainers, {got(runs)}")
        if not runs:
            raise ValueError("runs must hold at least one Pretrainer, got an empty dict")
        for name, run in runs.items():
            if not callable(getattr(run, "steps", None)):
                raise TypeError(f"runs[{name!r}] must be a Pretrainer, {got(run)}")
        self.runs = dict(runs)
        self._stop, self._idle = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        self._status, self._trace = "running", ""
        self._steps = self._steps_before = sum(run.step for run in runs.values())
        self._seconds = self._seconds_before = 0.0
        facts = {
            "title": title,
            "runs": [{"name": name, "total": run.total_steps} for name, run in self.runs.items()],
            "guides": guides({name: run.model for name, run in self.runs.items()}),
            "device": " and ".join(dict.fromkeys(run.device for run in self.runs.values())),
        }
        super().__init__(facts=facts, **self._view())
        self.on_msg(self._receive)
        # JupyterLab sends what a button says to a side thread of the kernel (a "subshell"), so that it
        # arrives while a cell runs. ipykernel 7.4 hands it on to the thread that used the widget last: the
        # main one, which is busy in wait() under "Run All". Without that detour Stop arrives within 20 ms;
        # with it, when the cell ends (both measured). Kernels without subshells, or without the detour, do
        # not have the method. An async cell that awaits the end would do without this line, but a forgotten
        # "await" would be a silent mistake. Where a front end knows no side threads, the button waits for
        # the cell and says so; the kernel's interrupt works everywhere.
        if hasattr(self.comm, "_reply_subshell_for"):
            self.comm._reply_subshell_for = lambda _data, side_thread: side_thread
        self._start()

    @property
    def running(self) -> bool:
        """Whether the training goes on right now."""
        return not self._idle.is_set()

    @property
    def stopped(self) -> bool:
        """Whether it was stopped before its end; the runs keep their state, and :meth:`resume` goes on."""
        return self._status == "stopped"

    def stop(self) -> None:
        """Stop after the step that is being computed. Returns at once; :meth:`wait` then waits for it."""
        self._stop.set()

    def resume(self) -> None:
        """Go on after a stop; does nothing if the training runs, has ended or has failed."""
        if self.stopped and not self.running:
            self._steps_before, self._seconds_before = self._steps, self._seconds
            self._status = "running"
            self._start()

    def wait(self) -> None:
        """Block until the training has ended or was stopped; raise here what went wrong in it.

        An interrupt of the kernel stops the training and is raised again.
        """
        try:
            # With a timeout, because on Windows a wait without one cannot be interrupted. Not Thread.join:
            # when that is interrupted, Python 3.11 takes the thread for dead.
            while not self._idle.wait(timeout=0.1):
                pass
        except KeyboardInterrupt:
            self.stop()
            self._idle.wait()
            raise
        if self._error is not None:
            raise self._error

    def __repr__(self) -> str:
        return f"LiveTraining: {self.readout}"

    def _receive(self, _widget: Any, message: Any, _buffers: Any) -> None:
        """A button was pressed. Runs on a side thread: it touches no trait, the training thread does."""
        if message == "stop":
            self.stop()
        elif message == "resume":
            self.resume()

    def _start(self) -> None:
        self._stop.clear()
        self._idle.clear()
        threading.Thread(target=self._work, name="eqssl_edu training", daemon=True).start()

    def _work(self) -> None:
        """The training thread: trains, then shows the last state, whatever happened."""
        try:
            self._train()
            complete = all(run.step >= run.total_steps for run in self.runs.values())
            self._status = "finished" if complete else "stopped"
        except BaseException as error:
            self._status, self._error, self._trace = "failed", error, traceback.format_exc()
        try:
            self._show()
        finally:
            self._idle.set()

    def _train(self) -> None:
        """All runs in turn, one step each, until they end or a stop is asked for."""
        started = time.perf_counter()
        shown = -SECONDS_BETWEEN_UPDATES
        turns = [run.steps() for run in self.runs.values()]
        while turns:
            for turn in list(turns):
                if self._stop.is_set():
                    return
                if next(turn, None) is None:
                    turns.remove(turn)
                self._steps = sum(run.step for run in self.runs.values())
                self._seconds = self._seconds_before + time.perf_counter() - started
                if self._seconds - shown >= SECONDS_BETWEEN_UPDATES:
                    shown = self._seconds
                    self._show()

    def _show(self) -> None:
        """Send the present state, from any thread: the socket behind ipywidgets has a thread of its own."""
        with self.hold_sync():
            for name, value in self._view().items():
                setattr(self, name, value)

    def _view(self) -> dict[str, Any]:
        """``values`` and ``readout`` of the present state."""
        seconds = self._seconds - self._seconds_before
        speed = (self._steps - self._steps_before) / seconds if seconds else 0.0
        values = {
            "status": self._status,
            "seconds": round(self._seconds, 2),
            "steps_per_second": round(speed, 1),
            "runs": [
                {"step": run.step, "points": curve(run.history, run.total_steps // run.interval + 1)}
                for run in self.runs.values()
            ],
            "error": "" if self._error is None else f"{type(self._error).__name__}: {self._error}",
            "trace": self._trace,
        }
        sentences = [f"{self._status}, {self._seconds:.0f} s."]
        for (name, run), shown in zip(self.runs.items(), values["runs"], strict=True):
            sentence = f"{name}: step {run.step} of {run.total_steps}"
            if shown["points"]:
                _, loss, accuracy = shown["points"][-1]
                sentence += f", loss {loss:.3f} nats"
                sentence += "" if accuracy is None else f", accuracy {accuracy:.1f} %"
            sentences.append(sentence + ".")
        return {"values": values, "readout": " ".join([*sentences, values["error"]]).strip()}
