"""Training that is watched: curves that grow in the notebook, a Stop button that works, a cell that waits."""

from __future__ import annotations

import itertools
import os
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import traitlets

from eqssl_edu.errors import got, need_instance
from eqssl_edu.ownership import Claim
from eqssl_edu.widgets.background import Background
from eqssl_edu.widgets.shared.base import front_end
from eqssl_edu.widgets.shared.elsewhere import ShownAnywhere
from eqssl_edu.widgets.shared.kernel import hear_stop, hold, hold_loosely, this_cell
from eqssl_edu.widgets.training_curves import curve, figures, guides, trail

__all__ = ["LiveTraining"]


class LiveTraining(ShownAnywhere):
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

    **One training for a model.** A new LiveTraining of the same weights, or of the same cell that is run again, stops
    the earlier one and says so. What that one had learned stays in the model: to start anew, make the model and its
    Pretrainer anew, best in the same cell. :meth:`close` ends the training, and so does the end of Python, or of the
    last reference to a LiveTraining that was never displayed.

    **A run that was kept** in a folder is shown again, beside others: ``LiveTraining({"a": "runs/a"})``.

    Arguments:
        runs: name -> ``eqssl_edu.training.Pretrainer``, or the folder of one that ran before; no two of them may share
            weights that learn.
        title: the heading.
        readouts: a function from the model of a run to its numbers by name.

    Raises:
        TypeError, ValueError: when ``runs`` holds no runs, a folder holds none, or ``readouts`` is no function.
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
        need_instance("title", title, str)
        runs = dict(runs)
        for name, run in runs.items():
            need_instance("a name in runs", name, str)
            if isinstance(run, str | os.PathLike):
                from eqssl_edu.training.saved_run import SavedRun  # with Lightning, which takes seconds

                if readouts is not None:
                    raise ValueError(
                        f"readouts must be None: runs[{name!r}] is a folder, with curves and no network"
                    )
                runs[name] = run = SavedRun(run)
            if not isinstance(getattr(run, "claim", None), Claim):
                raise TypeError(f"runs[{name!r}] must be a Pretrainer or a run's folder, {got(run)}")
        for (one, first), (other, second) in itertools.combinations(runs.items(), 2):
            if first.claim.learning & second.claim.learning:
                words = f"runs[{one!r}] and runs[{other!r}] must train models of their own, got weights that both train"
                raise ValueError(words)
        if readouts is not None and not callable(readouts):
            raise TypeError(f"readouts must be a function from a model to a dict of numbers, {got(readouts)}")
        # The thread must not keep the widget alive: what nobody holds or sees any more is to stop.
        show = weakref.WeakMethod(self._show)
        self._training = Background(runs, readouts, lambda: (shown := show()) and shown(), this_cell())
        facts = {
            "title": title,
            "runs": [{"name": name, "total": run.total_steps} for name, run in self.runs.items()],
            "guides": guides({name: run.model for name, run in self.runs.items()}),
            "device": " and ".join(dict.fromkeys(run.device for run in self.runs.values())),
        }
        super().__init__(facts=facts, **self._view())
        self.on_msg(self._receive)
        hold_loosely(self)
        # JupyterLab sends what a button says to a side thread of the kernel (a "subshell"), so that it
        # arrives while a cell runs. ipykernel 7.4 hands it on to the thread that used the widget last: the
        # main one, which is busy in wait() under "Run All". Without that detour Stop arrives within 20 ms;
        # with it, when the cell ends (both measured). Kernels without subshells, or without the detour, do
        # not have the method. An async cell that awaits the end would do without this line, but a forgotten
        # "await" would be a silent mistake. Where a front end knows no side threads, the button waits for
        # the cell and says so; the kernel's interrupt works everywhere.
        if hasattr(self.comm, "_reply_subshell_for"):
            self.comm._reply_subshell_for = lambda _data, side_thread: side_thread
        self._training.start()

    @property
    def runs(self) -> dict[str, Any]:
        """The Pretrainers by name."""
        return self._training.runs

    @property
    def readings(self) -> dict[str, list[dict[str, float]]]:
        """What the readouts gave, by name of the run."""
        return self._training.readings

    @property
    def running(self) -> bool:
        """Whether the training goes on right now."""
        return self._training.running

    @property
    def stopped(self) -> bool:
        """Whether it was stopped before its end; the runs keep their state, and :meth:`resume` goes on."""
        return self._training.status == "stopped"

    def stop(self) -> None:
        """Stop after the step, or the readouts of a model, being computed. Returns at once; :meth:`wait` waits."""
        self._training.stop()

    def resume(self) -> None:
        """Go on after a stop; does nothing if the training runs, has ended or has failed.

        Raises:
            RuntimeError: when it was closed, or a later LiveTraining trains the same models now.
        """
        if self.comm is None:
            raise RuntimeError("this LiveTraining was closed: make a new one of the same runs, they go on")
        self._training.resume()

    def wait(self) -> None:
        """Block until the training has ended or was stopped; raise here what went wrong in it.

        An interrupt of the kernel stops the training and is raised again.
        """
        self._training.wait(lambda: hear_stop(self))

    def close(self) -> None:
        """Stop the training, wait for its step, and take the picture out of the notebook."""
        self._training.stop()
        self._training.join()
        super().close()

    def __del__(self) -> None:
        if hasattr(self, "_training"):  # else the arguments were refused
            self._training.stop()  # without waiting: the thread may need what whoever deletes this holds
            super().close()

    @property
    def model_id(self) -> str | None:
        """Of ipywidgets. Whoever asks for it is about to show this: it is held from now on, until it is closed."""
        hold(self)
        return super().model_id

    def __repr__(self) -> str:
        return f"LiveTraining: {self.readout}"

    def _receive(self, _widget: Any, message: Any, _buffers: Any) -> None:
        """A button was pressed, on whatever thread."""
        if message == "stop":
            self.stop()
        elif message == "resume":
            try:
                self.resume()
            except RuntimeError as error:
                self._training.note = str(error)
                self._show()

    def _show(self) -> None:
        """Send the present state, from any thread: the socket behind ipywidgets has a thread of its own."""
        with self.hold_sync():
            for name, value in self._view().items():
                setattr(self, name, value)

    def _view(self) -> dict[str, Any]:
        """``values``, ``measured`` and ``readout`` of the present state."""
        now = self._training
        seconds = now.seconds - now.seconds_before
        speed = (now.steps - now.steps_before) / seconds if seconds else 0.0
        runs = self.runs.values()
        curves = [curve(run.history, run.total_steps // run.interval + 1) for run in runs]
        values = {
            "status": now.status,
            "seconds": round(now.seconds, 2),
            "steps_per_second": round(speed, 1),
            "runs": [{"step": run.step, "points": points} for run, points in zip(runs, curves, strict=True)],
            "error": now.words,
            "trace": now.trace,
            "note": now.note,
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
        sentences = [f"{now.status}, {now.seconds:.0f} s."]
        for (name, run), shown in zip(self.runs.items(), values["runs"], strict=True):
            sentence = f"{name}: step {run.step} of {run.total_steps}"
            for _, loss, accuracy in shown["points"][-1:]:
                # What has an accuracy is a cross entropy. Other losses have no unit.
                told = "" if accuracy is None else f" nats, accuracy {accuracy:.1f} %"
                sentence += f", loss {loss:.3f}{told}"
            sentence += "".join(f", {kind} {figures(last[name].get(kind))}" for kind in kinds)
            sentences.append(sentence + ".")
        readout = " ".join([*sentences, now.note, now.words]).strip()
        return {"values": values, "measured": measured, "readout": readout}
