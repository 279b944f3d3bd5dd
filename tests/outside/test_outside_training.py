"""Trainings as people run them: cells run twice, networks read meanwhile, states of other runs, tasks that err."""

import copy
import gc
import math
import os
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import ipywidgets
import numpy as np
import pytest
import torch
import zmq
from jupyter_client.session import Session
from torch import nn
from torch.utils._pytree import tree_flatten

from eqssl_edu.diagnostics import equivariance_error, find_order
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.evaluation import extract, recalibrated
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.pretext import PretextModel, RotationTask
from eqssl_edu.training import Pretrainer
from eqssl_edu.widgets import LiveTraining
from eqssl_edu.widgets.shared import kernel

IMAGES = torch.rand(24, 1, 5, 5, generator=torch.Generator().manual_seed(0))


class Even(nn.Module):
    """Weights that are equal after each step, and a counter: a state that was torn shows."""

    def __init__(self, seconds=0.002):
        super().__init__()
        self.weights = nn.ParameterList([nn.Parameter(torch.ones(64)) for _ in range(30)])
        self.norm = nn.BatchNorm2d(1)
        self.seconds, self.result = seconds, lambda loss: {"loss": loss}

    def training_step(self, images, generator):
        self.norm(images)
        time.sleep(self.seconds)
        return self.result(sum((weight - 3).square().sum() for weight in self.weights))

    def forward(self, images):
        weights = torch.stack([weight[0] for weight in self.weights])
        return torch.cat([weights, torch.tensor([float(self.training)])]).expand(len(images), 1, -1)


def run(model=None, epochs=2000, images=IMAGES, **changes):
    model = Even() if model is None else model
    return Pretrainer(model, images, epochs=epochs, batch_size=8, accelerator="cpu", **changes)


def moved(model, seconds=0.1):
    """Whether a model's weights still change."""
    before = float(model.weights[0][0].detach())
    time.sleep(seconds)
    return before != float(model.weights[0][0].detach())


@pytest.fixture
def live():
    """live(runs, ...) -> LiveTraining that is closed at the end."""
    made = []
    yield lambda *arguments, **named: made.append(LiveTraining(*arguments, **named)) or made[-1]
    for training in made:
        training.close()


# -- a model belongs to one training ------------------------------------------------------------------------------


@pytest.mark.parametrize("again", ["the same run", "a new run", "a model that shares a weight"])
def test_a_new_training_of_the_weights_stops_the_earlier_one_and_both_say_so(live, again):
    first = run()
    early = live({"a": first})
    time.sleep(0.05)
    other = Even()
    other.weights[3] = first.model.weights[3]
    second = {"the same run": first, "a new run": run(first.model)}.get(again) or run(other)
    late = live({"b": second})
    assert early.stopped and not early.running and late.running
    assert "new training" in early.values["note"] and "new training" in early.readout
    reached = early.runs["a"].step
    late.stop()
    late.wait()
    note = late.values["note"]
    assert note.startswith("An earlier training was stopped.")
    if again == "a new run":
        assert f"'b' had been trained for {reached} steps before. To start anew, make model" in note
    with pytest.raises(RuntimeError, match="a later LiveTraining has taken this one's place"):
        early.resume()
    late.resume()
    early._handle_custom_msg("resume", [])  # its button
    assert "taken this one's place" in early.values["note"] and not early.running and late.running


def test_without_a_thread_nothing_hangs(live, monkeypatch):
    def refuse(_thread):
        raise RuntimeError("can't start new thread")

    mine = run(epochs=2)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            LiveTraining({"a": mine})
    live({"a": mine}).wait()
    assert mine.step == mine.total_steps


def at_once(count, call):
    threads = [threading.Thread(target=call) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()


def test_many_trainings_of_one_model_at_once(live):
    model = Even(seconds=0)
    at_once(8, lambda: live({"a": run(model)}))
    time.sleep(0.1)
    assert sum(thread.name == "eqssl_edu training" for thread in threading.enumerate()) == 1


def test_a_run_that_two_threads_fit_ends_at_its_last_step():
    mine = run(Even(), epochs=10)
    at_once(2, mine.fit)
    assert mine.step == mine.total_steps == mine.history[-1]["step"]


def test_two_runs_of_one_model_in_one_training_are_refused():
    model = Even()
    with pytest.raises(ValueError, match=r"runs\['a'\] and runs\['b'\] must train models of their own"):
        LiveTraining({"a": run(model), "b": run(model)})


def test_runs_that_share_what_does_not_learn_are_fine(live):
    one, other = Even(0), Even(0)
    one.frozen = other.frozen = nn.Linear(2, 2).requires_grad_(False)
    live({"a": run(one, epochs=3), "b": run(other, epochs=3)}).wait()


def test_a_cell_that_runs_again_ends_what_it_began_even_with_a_new_model(live, monkeypatch):
    class Kernel:
        cell, execution = "c1", "e1"

        def get_parent(self):
            return {"metadata": {"cellId": self.cell}, "header": {"msg_id": self.execution}}

    Kernel.kernel = Kernel()
    monkeypatch.setattr(kernel, "get_ipython", lambda: Kernel)
    first, beside = live({"a": run()}), live({"a": run()})
    Kernel.cell = "c2"
    elsewhere = live({"a": run()})
    assert first.running and beside.running
    Kernel.cell, Kernel.execution = "c1", "e2"
    again = live({"a": run()})
    assert first.stopped and beside.stopped and elsewhere.running and again.running


@pytest.mark.parametrize("use", ["steps", "fit", "load_state_dict"])
def test_a_run_that_is_trained_refuses_other_hands(live, use):
    model = Even()
    mine, other = run(model), run(model)
    state = mine.state_dict()
    training = live({"a": mine})
    calls = {
        "steps": lambda r: next(r.steps()),
        "fit": lambda r: r.fit(),
        "load_state_dict": lambda r: r.load_state_dict(state),
    }
    for each in (mine, other):
        with pytest.raises(RuntimeError, match=f"^{use}: a LiveTraining trains this model now"):
            calls[use](each)
    training.stop()
    training.wait()
    calls[use](run(Even(0), epochs=2) if use == "fit" else mine)


def test_a_training_that_nobody_holds_or_sees_ends(live):
    lost, closed, seen, paged = (Even() for _ in range(4))
    training = LiveTraining({"a": run(lost)})
    shown = LiveTraining({"a": run(seen)})
    shown._repr_mimebundle_()
    others = LiveTraining({"a": run(closed)}), LiveTraining({"a": run(paged)})
    del training, shown
    gc.collect()
    others[0].close()
    others[0].close()
    others[1].comm.handle_close({})  # what a page does that takes a widget away
    time.sleep(0.05)
    assert [moved(model) for model in (lost, closed, seen, paged)] == [False, False, True, False]
    with pytest.raises(RuntimeError, match="was closed"):
        others[0].resume()
    ipywidgets.Widget.close_all()
    assert not moved(seen)


def test_readouts_may_stop_a_training_but_not_wait_for_it(live):
    held = []
    training = live({"a": run()}, readouts=lambda model: held[0].stop() or {} if held else {})
    held.append(training)
    training.wait()
    assert training.stopped
    for call in (lambda: held[1].wait(), lambda: LiveTraining({"b": run(held[1].runs["a"].model)})):
        del held[1:]
        asked = live({"a": run(epochs=3)}, readouts=lambda model, call=call: call() or {})
        held.append(asked)
        with pytest.raises((RuntimeError, IndexError), match=r"asked for by the training itself|list index"):
            asked.wait()


class Speechless(Exception):
    def __str__(self):
        raise ValueError("no words")


def test_an_error_that_cannot_say_what_it_is_ends_the_training_too(live):
    model = Even(0)
    model.result = lambda loss: exec("raise wrong", {"wrong": Speechless()})
    training = live({"a": run(model)})
    with pytest.raises(Speechless):
        training.wait()
    assert "Speechless" in training.values["error"] and not training.running


@pytest.mark.parametrize(("said", "stops"), [("stop", True), ("resume", False)])
def test_a_cell_that_waits_hears_the_button_where_the_kernel_does_not(live, monkeypatch, said, stops):
    """Kernels before ipykernel 7 keep what the page says in a queue while a cell runs."""
    session = Session(key=b"")
    training = live({"a": run(epochs=40 if not stops else 100_000)})
    content = {"comm_id": training.comm.comm_id, "data": {"method": "custom", "content": said}}

    def frames(kind, content):
        parts = session.serialize(session.msg(kind, content=content), ident=b"page")
        return (list(map(zmq.Frame, parts)),)

    messages = [
        (0, None, frames("execute_request", {"code": "1"})),
        (1, None, ()),
        (2, None, frames("comm_msg", content)),
    ]
    queue, stream = SimpleNamespace(_queue=messages), SimpleNamespace(flush=lambda: None)
    shell = SimpleNamespace(kernel=SimpleNamespace(msg_queue=queue, shell_stream=stream, session=session))
    monkeypatch.setattr(kernel, "get_ipython", lambda: shell)
    training.wait()
    assert training.stopped == stops and len(messages) == 3


def test_without_interrupts_waiting_says_what_ends_it(live):
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        training = live({"a": run()})
        threading.Timer(0.2, lambda: training._handle_custom_msg("stop", [])).start()
        with pytest.warns(UserWarning, match="ignores interrupts .* the Stop button ends the training"):
            training.wait()
    finally:
        signal.signal(signal.SIGINT, before)
    assert training.stopped


SCRIPT = """
import time, torch
from torch import nn
from eqssl_edu.training import Pretrainer
from eqssl_edu.widgets import LiveTraining

class Task(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(1, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1))
    def training_step(self, images, generator):
        return {"loss": self.layers(images).square().mean()}

live = LiveTraining({"a": Pretrainer(Task(), torch.rand(64, 1, 16, 16), epochs=9999, batch_size=32, accelerator="cpu")})
time.sleep(0.3)
print("step", live.runs["a"].step, flush=True)
"""


# An interrupt ends Python by the signal; by 1 where tabulate is installed, which torch imports while Python ends.
@pytest.mark.parametrize(
    ("end", "codes"),
    [("", [0]), ("1 / 0", [1]), ("live.wait()", [-signal.SIGINT, 1])],
    ids=["", "1 / 0", "wait"],
)
def test_a_script_that_ends_while_it_trains_ends_cleanly(end, codes):
    script = subprocess.Popen(
        [sys.executable, "-c", SCRIPT + end],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert script.stdout.readline().startswith("step ")
    if end == "live.wait()":
        time.sleep(0.3)
        script.send_signal(signal.SIGINT)
    _, errors = script.communicate(timeout=60)
    assert script.returncode in codes and "terminate called" not in errors and "Fatal" not in errors
    assert ("KeyboardInterrupt" in errors) == (end == "live.wait()")
    assert ("Python ends: a training stopped at step" in errors) == (end != "live.wait()")


# -- reading while it trains --------------------------------------------------------------------------------------


@pytest.mark.parametrize("watched", [True, False], ids=["LiveTraining", "fit in a thread"])
def test_nothing_is_read_torn_and_the_mode_stays(watched):
    model = Even(seconds=0)
    mine = run(model, epochs=100_000, weight_decay=0.0)
    if watched:
        training = LiveTraining({"a": mine})
    else:
        stop = threading.Event()
        training = threading.Thread(target=mine.fit, args=(stop,))
        training.start()
    deadline, longest = time.monotonic() + 2, 0.0
    while time.monotonic() < deadline:
        asked = time.perf_counter()
        state = mine.state_dict()
        longest = max(longest, time.perf_counter() - asked)
        assert len({float(state["model"][f"weights.{i}"][0]) for i in range(30)}) == 1
        assert state["model"]["norm.num_batches_tracked"] == state["step"]
        assert {int(moments["step"]) for moments in state["optimizer"]["state"].values()} <= {state["step"]}
        *weights, mode = extract(model, IMAGES[:1])[0, 0].tolist()
        assert len(set(weights)) == 1 and mode == 0
        assert recalibrated(model, IMAGES)(IMAGES[:1])[0, 0, -1].item() == 0
    assert longest < 0.5 and mine.step > 20  # neither keeps the other from its turn
    training.close() if watched else (stop.set(), training.join())
    assert model.training


@pytest.mark.skipif(not hasattr(os, "fork"), reason="a system without it")
def test_a_forked_process_reads_and_ends(live):
    training = live({"a": run(Even(seconds=0.05))})
    time.sleep(0.1)
    if (child := os.fork()) == 0:
        signal.alarm(20)
        training.runs["a"].state_dict()
        training.close()
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7 and training.running


def test_the_error_of_equivariance_is_that_of_one_state(live):
    mine = run(task())
    training = live({"a": mine})
    before = mine.step
    encoder = mine.model.encoder
    for _ in range(20):
        assert equivariance_error(encoder, IMAGES).max() < 1e-4
        assert find_order(encoder, IMAGES, encoder.group) == [0, 1, 2, 3]
    assert training.running and mine.step > before


# -- states of other runs ------------------------------------------------------------------------------------------


def task(group=None, channels=(3, 4)):
    group = group or cyclic(4)
    torch.manual_seed(0)
    return PretextModel(GroupCNN(group, channels=channels), RotationTask(group))


def after(steps, mine=None):
    """A run, of a task by default, after its first steps."""
    mine = mine or run(task())
    taken = mine.steps()
    for _ in range(steps):
        next(taken)
    return mine


def same(one, other):
    (mine, form), (theirs, other_form) = tree_flatten(one), tree_flatten(other)
    equal = (a.equal(b) if isinstance(a, torch.Tensor) else a == b for a, b in zip(mine, theirs, strict=True))
    return form == other_form and all(equal)


def others():
    """Name -> a run that is another one than ``run(task())``."""
    return {
        "group": run(task(dihedral(2))),
        "images turned": run(task(), images=IMAGES.rot90(1, (2, 3))),
        "images in another order": run(task(), images=IMAGES.flip(0)),
        "widths": run(task(channels=(3, 5))),
        "kind": run(Even(0)),
    }


@pytest.mark.parametrize("kind", sorted(others()))
def test_a_state_of_another_run_is_refused_and_changes_nothing(kind):
    other = after(1, others()[kind])
    before = other.state_dict()
    with pytest.raises((TypeError, ValueError), match=r"^state"):
        other.load_state_dict(after(3).state_dict())
    assert same(before, other.state_dict())


def spoiled(state):
    """Name -> a state that is not whole."""
    optimizer = state["optimizer"]
    averages, groups = optimizer["state"], optimizer["param_groups"]

    def with_first(**changes):
        return {**state, "optimizer": {**optimizer, "state": {**averages, 0: {**averages[0], **changes}}}}

    lacking = {key: value for key, value in averages[0].items() if key != "exp_avg"}
    name, weight = next((name, w) for name, w in state["model"].items() if w.is_floating_point())
    return {
        "nothing": None,
        "truncated": {key: value for key, value in state.items() if key != "optimizer"},
        "no settings": {**state, "settings": None},
        "an optimizer of nothing": {**state, "optimizer": {"state": {}, "param_groups": groups}},
        "ascent": {
            **state,
            "optimizer": {**optimizer, "param_groups": [{**g, "maximize": True} for g in groups]},
        },
        "averages of another shape": with_first(exp_avg=torch.zeros(3)),
        "averages that lack": {**state, "optimizer": {**optimizer, "state": {**averages, 0: lacking}}},
        "averages that are nan": with_first(exp_avg_sq=averages[0]["exp_avg_sq"] * math.nan),
        "a weight that lacks": {**state, "model": {k: v for k, v in state["model"].items() if k != name}},
        "weights that are nan": {**state, "model": {**state["model"], name: weight * math.nan}},
        "a step beyond": {**state, "step": 10**9},
        "a history of numbers": {**state, "history": [1, 2]},
        "unread of other metrics": {**state, "unread": torch.zeros(2, 7)},
    }


@pytest.mark.parametrize("kind", sorted(spoiled(after(3).state_dict())))
@pytest.mark.usefixtures("as_a_user")
def test_a_state_that_is_not_whole_is_refused_and_changes_nothing(kind):
    mine = after(2)
    before = mine.state_dict()
    with pytest.raises((TypeError, ValueError), match=r"^(state|an entry of state)"):
        mine.load_state_dict(spoiled(after(3).state_dict())[kind])
    assert same(before, mine.state_dict())
    after(1, mine)  # and it goes on


def test_what_a_module_refuses_itself_changes_nothing():
    class Fussy(Even):
        def load_state_dict(self, state, *arguments, **named):
            super().load_state_dict(state, *arguments, **named)
            if float(state["weights.0"][0]) == 9:
                raise ValueError("state of mine must not be 9")

    mine = run(Fussy(0))
    next(mine.steps())
    before = mine.state_dict()
    state = copy.deepcopy(before)
    state["model"]["weights.0"].fill_(9)
    with pytest.raises(ValueError, match="must not be 9"):
        mine.load_state_dict(state)
    assert same(before, mine.state_dict())


# -- tasks and arguments that err -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda loss: {"loss": loss, "accuracy": 0.5}, r"'accuracy' must be a Tensor, got 0.5"),
        (
            lambda loss: {"loss": loss, "vector": torch.zeros(2)},
            r"'vector' must have shape \(\), got .* \(2,\)",
        ),
        (lambda loss: {"loss": loss, "step": loss}, "must name its metrics other than step.*, got 'step'"),
        (lambda loss: {"loss": loss, 3: loss}, "got 3"),
        (lambda loss: {"loss": loss.detach()}, "a loss with a gradient"),
        (lambda loss: loss, "a dict with a scalar tensor 'loss', got a torch.float32 tensor"),
        (lambda loss: {"loss": loss, "more": loss}, r"must keep its names \(loss\), got loss, more"),
    ],
)
def test_a_training_step_that_errs_is_refused_at_that_step_and_the_run_is_whole(wrong, words):
    model, whole = Even(0), run(Even(0), epochs=4)
    whole.fit()
    mine = run(model, epochs=4)
    steps = mine.steps()
    for _ in range(5):
        next(steps)
    model.result = wrong
    with pytest.raises((TypeError, ValueError), match=f"^training_step.*{words}") as raised:
        next(steps)
    assert (
        raised.value.__notes__ == [f"(the run was put back to its state after step {mine.step})"]
        and mine.step == 5
    )
    model.result = lambda loss: {"loss": loss}
    mine.fit()
    assert all(map(torch.equal, model.state_dict().values(), whole.model.state_dict().values()))


def test_an_interrupt_in_the_middle_of_a_step_leaves_a_run_that_goes_on():
    whole, mine = run(Even(0), epochs=40), run(Even(0), epochs=40)
    whole.fit()
    step, calls = mine._update._optimizer.step, []

    def interrupted():
        step()
        calls.append(1)
        if len(calls) == 7:
            raise KeyboardInterrupt

    mine._update._optimizer.step = interrupted
    with pytest.raises(KeyboardInterrupt):
        mine.fit()
    assert mine.step < 7
    mine.fit()
    assert len(mine.fit()) == len(whole.history)  # to fit once more changes nothing
    assert all(map(torch.equal, mine.model.state_dict().values(), whole.model.state_dict().values()))


NAN = IMAGES.index_fill(0, torch.tensor([3, 5]), math.nan)


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("lr must be a number, got 'x'", {"lr": "x"}),
        ("lr must be finite", {"lr": math.nan}),
        ("seed must be an integer, got True", {"seed": True}),
        ("epochs must be an integer", {"epochs": 1.5}),
        (r"images must hold finite numbers only, got NaN or infinity at 3, 5", {"images": NAN}),
        ("images must be a Float", {"images": (IMAGES * 255).long()}),
        ("model must have parameters that need gradients", {"model": Even().requires_grad_(False)}),
        ("model must know its shapes", {"model": nn.Sequential(nn.LazyLinear(2))}),
        (f"devices must be at most {len(os.sched_getaffinity(0))}, got 99", {"devices": 99}),
        ("devices must be an integer, got 'many'", {"devices": "many"}),
    ],
)
@pytest.mark.usefixtures("as_a_user")
def test_arguments_are_named(words, wrong):
    if "lazy" in str(wrong).lower():
        wrong["model"].training_step = lambda images, generator: {}
    with pytest.raises((TypeError, ValueError), match=f"^{words}"):
        run(**{"epochs": 1, **wrong})


def test_the_images_of_a_run_are_its_own():
    images = IMAGES.clone()
    mine = run(Even(0), epochs=1, images=images)
    images.fill_(math.nan)
    assert same(mine.images, IMAGES)


@pytest.mark.usefixtures("as_a_user")
def test_numbers_of_numpy_are_those_of_python(tmp_path):
    plain = run(Even(0), epochs=3, seed=5, lr=0.5)
    other = run(Even(0), epochs=np.int64(3), seed=np.int64(5), lr=np.float32(0.5))
    torch.save(other.state_dict(), tmp_path / "state.pt")
    plain.load_state_dict(torch.load(tmp_path / "state.pt", weights_only=True))


class Busy(Even):
    """Whose ``chance`` and ``cap`` mean something else."""

    chance = math.nan

    def cap(self):
        raise NotImplementedError


def test_a_model_may_have_a_chance_and_a_cap_of_its_own(live):
    training = live({"a": run(Busy(0), epochs=1)})
    training.wait()
    assert training.facts["guides"] == []


@pytest.mark.usefixtures("as_a_user")
def test_the_arguments_of_a_training_are_named(live):
    for words, runs, title in (
        ("a name in runs", {3: 0}, ""),
        (r"runs\['a'\]", {"a": 0}, ""),
        ("title", {"a": 0}, 5),
    ):
        with pytest.raises(TypeError, match=f"^{words} must be a "):
            LiveTraining(runs, title=title)
    with pytest.raises(TypeError, match=r"^stop must be a Event"):
        run().fit(True)
    with pytest.raises(ValueError, match="readouts must give names other than 'step'"):
        live({"a": run(Even(0), epochs=1)}, readouts=lambda model: {"step": 3}).wait()


def test_another_default_device_and_type_change_nothing():
    whole, mine = run(Even(0), epochs=3), run(Even(0), epochs=3)
    whole.fit()
    torch.set_default_device("meta")
    torch.set_default_dtype(torch.float64)
    try:
        mine.fit()
        mine.load_state_dict(mine.state_dict())
    finally:
        torch.set_default_device(None)
        torch.set_default_dtype(torch.float32)
    assert all(map(torch.equal, mine.model.state_dict().values(), whole.model.state_dict().values()))


def test_hooks_frozen_weights_and_modes_of_the_user_stay():
    model, seen = Even(0), []
    model.weights[0].requires_grad_(False)
    model.norm.register_forward_hook(lambda *_: seen.append(1))
    model.eval()
    run(model, epochs=2).fit()
    assert len(seen) == 6 and model.training and torch.equal(model.weights[0], torch.ones(64))
