"""Training that is watched: curves that grow in the notebook, a Stop button that works, a cell that waits."""

from __future__ import annotations

import threading
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import anywidget
import torch
import traitlets

from eqssl_edu.errors import got, need_instance
from eqssl_edu.twins import eval_mode
from eqssl_edu.widgets.shared.base import front_end
from eqssl_edu.widgets.training_curves import curve, figures, guides, trail

__all__ = ["LiveTraining"]

SECONDS_BETWEEN_UPDATES = 0.2
SECONDS_BETWEEN_READINGS = 1.0
SHARE_OF_READINGS = 0.1  # of the time, for readouts that take long


class LiveTraining(anywidget.AnyWidget):
    """Train one or several models in the background and show how it goes.

    The training starts at once, on a thread of its own that advances the runs in turn, one step each, so
    that their curves can be compared while they grow. Put it on the last line of a cell to see it; let a
    later cell call :meth:`wait`::

        live = LiveTraining({"invariant head": Pretrainer(...), "equivariant head": Pretrainer(...)})
        live

        live.wait()

    **Readouts** are numbers that tell more than the loss, such as the diagnostics of features::

        def readouts(model):
            z = extract(model, letters)
            return {"RankMe": rank_me(z), "orbit spread": orbit_spread(G, z)}

        live = LiveTraining(runs, readouts=readouts)

    They are taken of every model after its first step, at its end, and between steps about once a second; less often
    where they would take more than a tenth of the time. The model is then in eval mode, without gradients, so that
    looking changes nothing. ``live.readings[name of a run]`` is [{"step": 1, "RankMe": 3.2, ...}, ...]. If the
    function fails, its error is shown and the training goes on; :meth:`wait` raises the first such error at the end.

    Arguments:
        runs: name -> ``eqssl_edu.training.Pretrainer``.
        title: the heading.
        readouts: a function from the model of a run to its numbers by name.

    Raises:
        TypeError, ValueError: when ``runs`` holds no runs, or ``readouts`` is no function.
    """

    _esm, _css = front_end("shared/chart", "dashboard")
    facts = traitlets.Dict().tag(sync=True)  # what does not change: title, names, lengths, levels, device
    values = traitlets.Dict().tag(sync=True)  # status, progress and curves
    measured = traitlets.Dict().tag(sync=True)  # the readouts: sent when they are taken, not with each update
    readout = traitlets.Unicode().tag(sync=True)  # the sentence that a screen reader announces

    def __init__(
        self,
        runs: Mapping[str, Any],
        title: str = "Training",
        readouts: Callable[[Any], Mapping[str, float]] | None = None,
    ) -> None:
        need_instance("runs", runs, Mapping)
        if not runs:
            raise ValueError("runs must hold at least one Pretrainer, got an empty dict")
        for name, run in runs.items():
            if not callable(getattr(run, "steps", None)):
                raise TypeError(f"runs[{name!r}] must be a Pretrainer, {got(run)}")
        if readouts is not None and not callable(readouts):
            raise TypeError(f"readouts must be a function from a model to a dict of numbers, {got(readouts)}")
        self.runs, self.readouts = dict(runs), readouts
        self.readings: dict[str, list[dict[str, float]]] = {name: [] for name in runs}
        self._stop, self._idle = threading.Event(), threading.Event()
        self._error: BaseException | None = None
        self._status, self._words, self._trace = "running", "", ""
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
        """Stop after the step, or the readouts of a model, being computed. Returns at once; :meth:`wait` waits."""
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
            self._status, self._error = "failed", error
            self._words, self._trace = f"{type(error).__name__}: {error}", traceback.format_exc()
        try:
            self._show()
        finally:
            self._idle.set()

    def _train(self) -> None:
        """All runs in turn, one step each, until they end or a stop is asked for."""
        started = time.perf_counter()
        shown, due = -SECONDS_BETWEEN_UPDATES, started  # when it was last shown; when readouts are next taken
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
            begin = time.perf_counter()
            if self.readouts is not None and (begin >= due or not turns):
                self._read()
                end = time.perf_counter()
                due = max(begin + SECONDS_BETWEEN_READINGS, end + (end - begin) * (1 / SHARE_OF_READINGS - 1))

    def _read(self) -> None:
        """Take the readouts of every run that has moved since its last reading; a stop leaves the rest out."""
        for name, run in self.runs.items():
            if self.readings[name] and self.readings[name][-1]["step"] == run.step:
                continue
            if self._stop.is_set() and run.step < run.total_steps:  # what has ended is read all the same
                return
            reading: dict[str, float] = {"step": run.step}
            try:
                with eval_mode(run.model), torch.no_grad():
                    numbers = self.readouts(run.model)
                if not isinstance(numbers, Mapping):
                    raise TypeError(f"readouts must give a dict of numbers by name, {got(numbers)}")
                reading |= {kind: float(value) for kind, value in numbers.items()}
            except Exception as error:
                if self._error is None:
                    where = f"the readouts of {name!r} at step {run.step}"
                    error.add_note(f"(in {where})")
                    self._error, self._trace = error, traceback.format_exc()
                    self._words = f"In {where}: {type(error).__name__}: {error}"
            self.readings[name].append(reading)

    def _show(self) -> None:
        """Send the present state, from any thread: the socket behind ipywidgets has a thread of its own."""
        with self.hold_sync():
            for name, value in self._view().items():
                setattr(self, name, value)

    def _view(self) -> dict[str, Any]:
        """``values``, ``measured`` and ``readout`` of the present state."""
        seconds = self._seconds - self._seconds_before
        speed = (self._steps - self._steps_before) / seconds if seconds else 0.0
        runs = self.runs.values()
        curves = [curve(run.history, run.total_steps // run.interval + 1) for run in runs]
        values = {
            "status": self._status,
            "seconds": round(self._seconds, 2),
            "steps_per_second": round(speed, 1),
            "runs": [{"step": run.step, "points": points} for run, points in zip(runs, curves, strict=True)],
            "error": self._words,
            "trace": self._trace,
        }
        taken = {name: list(readings) for name, readings in self.readings.items()}
        found = (kind for readings in taken.values() for reading in readings for kind in reading)
        kinds = [kind for kind in dict.fromkeys(found) if kind != "step"]
        last = {name: readings[-1] if readings else {"step": 0} for name, readings in taken.items()}
        measured = {
            "step": max(reading["step"] for reading in last.values()),
            "names": kinds,
            "trails": [[trail(readings, kind) for readings in taken.values()] for kind in kinds],
            "last": [[figures(reading.get(kind)) for reading in last.values()] for kind in kinds],
        }
        sentences = [f"{self._status}, {self._seconds:.0f} s."]
        for (name, run), shown in zip(self.runs.items(), values["runs"], strict=True):
            sentence = f"{name}: step {run.step} of {run.total_steps}"
            for _, loss, accuracy in shown["points"][-1:]:
                # What has an accuracy is a cross entropy. Other losses have no unit.
                told = "" if accuracy is None else f" nats, accuracy {accuracy:.1f} %"
                sentence += f", loss {loss:.3f}{told}"
            sentence += "".join(f", {kind} {figures(last[name].get(kind))}" for kind in kinds)
            sentences.append(sentence + ".")
        readout = " ".join([*sentences, self._words]).strip()
        return {"values": values, "measured": measured, "readout": readout}
