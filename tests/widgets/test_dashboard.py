"""widgets/dashboard.py without a screen: what is shown, and that stopping, waiting and failing work."""

import _thread
import json
import math
import signal
import threading
import time
from itertools import pairwise

import pytest
import torch
from torch import nn

from eqssl_edu.contrastive import ContrastiveModel, InfoNCE
from eqssl_edu.diagnostics import (
    alignment,
    irrep_energy,
    matched_temperature,
    orbit_collapse,
    orbit_spread,
    pooled_spread,
    rank_me,
    spread,
    uniformity,
)
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.evaluation import extract
from eqssl_edu.groups import cyclic
from eqssl_edu.layers import GroupMLP
from eqssl_edu.training import Pretrainer
from eqssl_edu.views import RandomView
from eqssl_edu.widgets import background
from eqssl_edu.widgets.dashboard import LiveTraining
from eqssl_edu.widgets.training_curves import POINTS_PER_CURVE, POINTS_PER_TRAIL, curve, guides, trail


class Coin(nn.Module):
    """A model whose training takes as long as asked, and fails when asked."""

    chance, cap = 0.5, 1.0

    def __init__(self, seconds: float = 0.0, fails_at: int | None = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.seconds, self.fails_at, self.calls = seconds, fails_at, 0

    def training_step(self, images, generator):
        self.calls += 1
        if self.calls == self.fails_at:
            raise KeyError("no such page")
        time.sleep(self.seconds)
        return {"loss": self.weight.square().sum(), "accuracy": torch.tensor(0.75)}


class Quiet(Coin):
    """A task without an accuracy."""

    chance = cap = None

    def training_step(self, images, generator):
        return {"loss": super().training_step(images, generator)["loss"]}


def run(model: nn.Module | None = None, epochs: int = 10) -> Pretrainer:
    model = Coin() if model is None else model
    return Pretrainer(model, torch.zeros(20, 1, 2, 2), epochs=epochs, batch_size=10, accelerator="cpu")


def until(condition, seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_it_trains_every_run_to_the_end_and_shows_the_last_state():
    live = LiveTraining({"a": run(), "b": run(Quiet(), epochs=5)}, title="Two coins")
    live.wait()
    assert not live.running and not live.stopped
    assert [r.step for r in live.runs.values()] == [20, 10]
    values = live.values
    assert values["status"] == "finished" and values["error"] == ""
    assert [shown["step"] for shown in values["runs"]] == [20, 10]
    assert [shown["points"][-1][0] for shown in values["runs"]] == [20, 10]
    assert values["runs"][0]["points"][-1][2] == 75.0 and values["runs"][1]["points"][-1][2] is None
    assert values["seconds"] > 0 and values["steps_per_second"] > 0
    assert live.facts["title"] == "Two coins" and live.facts["device"].startswith("CPU")
    assert live.facts["runs"] == [{"name": "a", "total": 20}, {"name": "b", "total": 10}]
    assert "a: step 20 of 20, loss 0." in live.readout and "accuracy 75.0 %" in live.readout
    told, quiet = live.readout.split("b: ")
    assert "nats" in told and "loss" in quiet and "nats" not in quiet  # no accuracy: no cross entropy
    assert repr(live) == f"LiveTraining: {live.readout}"


def test_the_runs_advance_in_turn():
    fast, slow = Coin(), Coin(seconds=0.01)
    live = LiveTraining({"fast": run(fast, 500), "slow": run(slow, 500)})
    until(lambda: slow.calls > 10)
    live.stop()
    live.wait()
    assert abs(fast.calls - slow.calls) <= 1


def test_stop_is_quick_keeps_the_state_and_can_be_resumed():
    whole = run(epochs=60)
    whole.fit()
    live = LiveTraining({"a": run(Coin(seconds=0.01), epochs=60)})
    until(lambda: live.runs["a"].step > 5)
    assert live.running and not live.stopped
    start = time.monotonic()
    live.stop()
    live.wait()
    assert time.monotonic() - start < 0.3
    assert live.stopped and not live.running and live.values["status"] == "stopped"
    reached = live.runs["a"].step
    assert 5 < reached < 120 and live.values["runs"][0]["step"] == reached
    live.runs["a"].model.seconds = 0.0
    seconds, seen = live.values["seconds"], []
    live.observe(lambda change: seen.append(change["new"]), "values")
    live.resume()
    live.wait()
    assert [seen[0]["status"], seen[-1]["status"]] == ["running", "finished"] and not live.stopped
    assert all(values["seconds"] >= seconds for values in seen)
    assert torch.equal(live.runs["a"].model.weight, whole.model.weight)
    live.resume()
    assert not live.running


def test_the_buttons_messages_stop_and_resume():
    live = LiveTraining({"a": run(Coin(seconds=0.01), epochs=500)})
    # As ipywidgets does it when a message comes in, on whatever thread.
    receive = threading.Thread(target=live._handle_custom_msg, args=("stop", []))
    receive.start()
    live.wait()
    receive.join()
    assert live.stopped
    live._handle_custom_msg("resume", [])
    assert live.running
    live._handle_custom_msg("stop", [])
    live.wait()


def test_wait_raises_what_went_wrong_in_the_training():
    live = LiveTraining({"good": run(), "bad": run(Coin(fails_at=4))})
    with pytest.raises(KeyError, match="no such page") as raised:
        live.wait()
    assert any("training_step" in str(entry) for entry in raised.traceback)
    assert live.values["status"] == "failed" and not live.stopped
    assert live.values["error"] == "KeyError: 'no such page'" and "training_step" in live.values["trace"]
    assert live.runs["bad"].step == 3
    with pytest.raises(KeyError):
        live.wait()
    live.resume()
    assert not live.running


def test_an_interrupt_stops_the_training(request):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a script's background job ignores it
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    live = LiveTraining({"a": run(Coin(seconds=0.01), epochs=500)})
    threading.Timer(0.1, _thread.interrupt_main).start()
    with pytest.raises(KeyboardInterrupt):
        live.wait()
    assert live.stopped and not live.running


def test_updates_are_few_and_small():
    sent = []
    live = LiveTraining({"a": run(epochs=5000), "b": run(epochs=5000)})
    live.observe(lambda change: sent.append((time.monotonic(), len(json.dumps(change["new"])))), "values")
    time.sleep(1.0)
    live.stop()
    live.wait()
    assert 3 <= len(sent) <= 7
    assert max(size for _, size in sent) < 8000


def test_a_curve_is_the_mean_of_equal_pieces():
    history = [{"step": 10 * i, "loss": float(i), "accuracy": i / 1000} for i in range(1, 251)]
    points = curve(history, 250)
    assert len(points) == 84 <= POINTS_PER_CURVE
    assert points[0] == [30, 2.0, 0.2] and points[-1] == [2500, 250.0, 25.0]
    # What is there stays there while the run goes on.
    assert curve(history[:90], 250) == points[:30]
    assert len(curve(history[:100], 100)) == 100
    assert curve([], 100) == []
    assert curve([{"step": 1, "loss": 2.0}], 5) == [[1, 2.0, None]]


def test_guides_name_whose_level_it_is():
    equivariant, invariant, quiet = Coin(), Coin(), nn.Linear(1, 1)
    equivariant.chance = invariant.chance = invariant.cap = 0.25
    assert guides({"e": equivariant, "i": invariant}) == [
        {"value": 25.0, "label": "chance = cap of i 25 %"},
        {"value": 100.0, "label": "cap of e 100 %"},
    ]
    assert [g["label"] for g in guides({"e": equivariant})] == ["chance 25 %", "cap 100 %"]
    many = guides({"a": equivariant, "b": equivariant, "c": equivariant, "i": invariant})
    assert [g["label"] for g in many] == ["chance = cap of i 25 %", "cap of 3 runs 100 %"]
    assert guides({"q": quiet}) == []
    third = Coin()
    third.chance = 1 / 24
    assert guides({"t": third})[0] == {"value": 4.2, "label": "chance 4.2 %"}


G = cyclic(4)
LETTERS = torch.rand(24, 1, 9, 9, generator=torch.Generator().manual_seed(0))


def z(model):
    return extract(model, LETTERS)


def contrastive_run(epochs: int = 6) -> Pretrainer:
    torch.manual_seed(0)
    encoder, projector = GroupCNN(G, channels=(3, 4)), GroupMLP(G, (4, 6))
    model = ContrastiveModel(encoder, InfoNCE(G), RandomView(G), projector)
    return Pretrainer(model, LETTERS, epochs=epochs, batch_size=8, accelerator="cpu")


def every_diagnostic(model):
    z1, z2 = extract(model, LETTERS).split(12)
    found = {f"orbit collapse, {name}": value for name, value in orbit_collapse(G, z1)._asdict().items()}
    return {
        **found,
        "spread": spread(z1),
        "orbit spread": orbit_spread(G, z1),
        "pooled spread": pooled_spread(G, z1),
        "RankMe": rank_me(z1),
        "RankMe, pooled": rank_me(z1.mean(dim=2)),
        **irrep_energy(G, z1),
        "alignment": alignment(G, z1, z2),
        "uniformity": uniformity(G, z1),
        "matched temperature": matched_temperature(G, z1),
    }


def test_every_diagnostic_is_a_live_readout():
    live = LiveTraining({"letters": contrastive_run()}, readouts=every_diagnostic)
    live.wait()
    first, *_, last = live.readings["letters"]
    now = every_diagnostic(live.runs["letters"].model)
    assert (first["step"], last["step"]) == (1, 18)
    assert {"step": 18, **now} == last
    for name, value in now.items():
        assert math.isfinite(value) and first[name] != value
        assert f"{name} {value:.3g}" in live.readout
    assert live.measured["step"] == 18 and live.measured["names"] == list(now)
    assert live.measured["last"] == [[f"{value:.3g}"] for value in now.values()]
    ends = [trails[0][-1] for trails in live.measured["trails"]]
    assert ends == [pytest.approx([18, value], rel=1e-4) for value in now.values()]


def test_looking_changes_nothing(monkeypatch):
    """Even a readout that calls the model as it is: its batch norms must not see the pictures."""
    monkeypatch.setattr(background, "SECONDS_BETWEEN_READINGS", 0.0)
    monkeypatch.setattr(background, "SHARE_OF_READINGS", 1.0)
    modes = []

    def careless(model):
        modes.append((model.training, torch.is_grad_enabled()))
        return {"spread": spread(model(LETTERS))}

    live = LiveTraining({"a": contrastive_run(), "b": contrastive_run(3)}, readouts=careless)
    live.wait()
    assert [reading["step"] for reading in live.readings["a"]] == list(range(1, 19))
    assert [reading["step"] for reading in live.readings["b"]] == list(range(1, 10))
    assert modes == [(False, False)] * 27
    alone = contrastive_run()
    alone.fit()
    watched = live.runs["a"].model.state_dict()
    assert all(torch.equal(watched[name], value) for name, value in alone.model.state_dict().items())


def test_readouts_take_no_more_than_their_share_of_the_time():
    for seconds, shortest, longest in ((0.15, 1.45, 3), (0.0, 0.95, 2)):  # 0.15 s are a tenth of 1.5 s
        taken = []

        def reading(_model, taken=taken, seconds=seconds):
            taken.append(time.monotonic())
            time.sleep(seconds)
            return {"one": 1.0}

        live = LiveTraining({"a": run(Coin(seconds=0.005), epochs=5000)}, readouts=reading)
        until(lambda taken=taken: len(taken) == 2)
        live.stop()
        live.wait()
        assert shortest < taken[1] - taken[0] < longest


def calls(model):
    return {"calls": model.calls}


def test_readings_go_on_after_a_stop(monkeypatch):
    monkeypatch.setattr(background, "SECONDS_BETWEEN_READINGS", 0.02)
    live = LiveTraining({"a": run(Coin(seconds=0.01), epochs=60)}, readouts=calls)
    until(lambda: len(live.readings["a"]) > 2)
    live.stop()
    live.wait()
    before = len(live.readings["a"])
    assert live.stopped and before < 120
    live.runs["a"].model.seconds = 0.0
    live.resume()
    live.wait()
    steps = [reading["step"] for reading in live.readings["a"]]
    assert len(steps) > before and steps == sorted(set(steps)) and steps[-1] == 120
    assert all(reading["calls"] == reading["step"] for reading in live.readings["a"])


def fussy(model):
    if model.calls > 15:
        raise KeyError("no such page")
    return calls(model)


def test_readouts_that_fail_are_shown_and_raised_and_the_training_goes_on(monkeypatch):
    monkeypatch.setattr(background, "SECONDS_BETWEEN_READINGS", 0.0)
    monkeypatch.setattr(background, "SHARE_OF_READINGS", 1.0)
    live = LiveTraining({"a": run()}, readouts=fussy)
    with pytest.raises(KeyError, match="no such page") as raised:
        live.wait()
    assert raised.value.__notes__ == ["(in the readouts of 'a' at step 16)"]
    assert live.values["status"] == "finished" and live.runs["a"].step == 20
    assert live.values["error"] == "In the readouts of 'a' at step 16: KeyError: 'no such page'"
    assert "in fussy" in live.values["trace"] and "calls no value." in live.readout
    assert live.measured["last"] == [["no value"]] and live.measured["trails"][0][0][-1] == [15, 15]
    assert live.readings["a"][14:16] == [{"step": 15, "calls": 15}, {"step": 16}]


def test_readouts_that_fail_do_not_keep_from_resuming():
    words = r"readouts must give a dict of numbers by name, got 1\.0"
    live = LiveTraining({"a": run(Coin(seconds=0.01), epochs=60)}, readouts=lambda model: 1.0)
    until(lambda: live.runs["a"].step > 3)
    live.stop()
    with pytest.raises(TypeError, match=words):
        live.wait()
    assert live.stopped
    live.runs["a"].model.seconds = 0.0
    live.resume()
    with pytest.raises(TypeError, match=words):
        live.wait()
    assert live.runs["a"].step == 120


def test_a_trail_is_thinned_and_holds_finite_numbers_alone():
    readings = [{"step": step, "a": float(step), "b": math.nan} for step in range(1, 251)]
    readings.insert(100, {"step": 0})
    points = trail(readings, "a")
    assert 40 < len(points) <= POINTS_PER_TRAIL
    assert points[-1] == [250, 250.0]
    assert len({after[0] - before[0] for before, after in pairwise(points)}) == 1
    assert trail(readings, "b") == [] and trail([], "a") == []
    assert trail(readings[:3], "a") == [[1, 1.0], [2, 2.0], [3, 3.0]]
    # A front end reads JSON, which knows no nan.
    json.dumps(trail([{"step": 1, "a": math.inf}], "a"), allow_nan=False)
