"""The training loop: what is recorded, what is random, how a run is stopped, resumed and fails."""

import copy
import itertools
import logging
import math
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn
from trainings import TinyTask, images, pretrainer, same

from eqssl_edu.training import cosine_with_warmup


def test_it_learns_and_records():
    run = pretrainer(epochs=20)
    history = run.fit()
    assert history is run.history
    assert history[0]["step"] == 1 and history[-1]["step"] == run.total_steps == 20 * (50 // 12)
    assert history[-1]["epoch"] == 20
    assert {"step", "epoch", "seconds", "steps_per_second", "loss", "accuracy"} == set(history[-1])
    assert all(type(value) in (int, float) for record in history for value in record.values())
    assert abs(history[0]["loss"] - math.log(2)) < 0.4
    assert history[-1]["loss"] < 0.3 and history[-1]["accuracy"] > 0.85
    assert all(a["seconds"] < b["seconds"] for a, b in itertools.pairwise(history))
    threads = torch.get_num_threads()
    assert run.device == f"CPU, {threads} thread{'s' if threads > 1 else ''}"


def test_steps_yields_once_per_optimiser_step_and_reads_once_per_interval():
    run = pretrainer(epochs=60)
    assert run.interval == 2
    records = list(run.steps())
    assert [record["step"] for record in records] == list(range(1, 241))
    assert [record["epoch"] for record in records[:9]] == [1, 1, 1, 1, 2, 2, 2, 2, 3]
    assert [record["step"] for record in run.history] == [1, *range(2, 241, 2)]


def test_a_record_is_the_mean_over_its_interval():
    class Counter(TinyTask):
        calls = 0

        def training_step(self, images, generator):
            self.calls += 1
            return {"loss": 0.0 * self.linear.weight.sum() + self.calls}

    run = pretrainer(Counter(), epochs=300)
    run.fit()
    assert run.interval == 10
    assert run.history[0] | {"loss": 1.0} == run.history[0]
    assert run.history[1]["loss"] == pytest.approx(sum(range(2, 11)) / 9)
    assert run.history[2]["loss"] == pytest.approx(sum(range(11, 21)) / 10)


def test_every_batch_is_full_and_every_image_gets_its_turn():
    model = TinyTask()
    pretrainer(model, epochs=30).fit()
    assert {len(batch) for batch in model.seen} == {2 * 12}
    sums = {round(value, 4) for batch in model.seen for value in batch[:12].tolist()}
    assert sums == {round(value, 4) for value in images().flatten(1).sum(1).tolist()}
    epoch = torch.cat([batch[:12] for batch in model.seen[:4]])
    assert len(epoch.unique()) == 48


def test_the_seed_decides_batches_and_augmentation_draws():
    seen = {}
    for name, seed in [("one", 5), ("again", 5), ("other", 6)]:
        model = TinyTask()
        pretrainer(model, seed=seed).fit()
        seen[name] = torch.stack(model.seen)
    assert torch.equal(seen["one"], seen["again"])
    assert not torch.equal(seen["one"], seen["other"])
    # Another batch order in each epoch, and other labels in each step.
    assert not torch.equal(seen["one"][0, :12], seen["one"][4, :12])
    assert len({tuple(step[12:].tolist()) for step in seen["one"]}) == len(seen["one"])


def test_two_models_share_the_draws_even_when_one_draws_more():
    class Greedy(TinyTask):
        def training_step(self, images, generator):
            output = super().training_step(images, generator)
            torch.rand(1000, generator=generator)
            return output

    modest, greedy = TinyTask(), Greedy()
    before = torch.get_rng_state()
    pretrainer(modest).fit()
    pretrainer(greedy).fit()
    assert torch.equal(torch.stack(modest.seen), torch.stack(greedy.seen))
    assert torch.equal(torch.get_rng_state(), before)  # the global generator is left alone


# Before the first step, in an epoch and at its end; read at every step, and at every second step.
@pytest.mark.parametrize(("cut", "epochs"), [(0, 4), (3, 4), (4, 4), (15, 4), (7, 60), (8, 60)])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(cut, epochs, tmp_path):
    whole = pretrainer(epochs=epochs)
    whole.fit()

    first = pretrainer(epochs=epochs)
    steps = first.steps()
    for _ in range(cut):
        next(steps)
    steps.close()
    torch.save(first.state_dict(), tmp_path / "run.pt")
    for _ in first.steps():  # goes on, and must not change what was saved
        pass

    second = pretrainer(epochs=epochs)
    second.load_state_dict(torch.load(tmp_path / "run.pt", weights_only=True))
    assert second.step == cut
    second.fit()
    assert same(second.model.state_dict(), whole.model.state_dict())
    assert same(first.model.state_dict(), whole.model.state_dict())
    values = [(r["step"], r["epoch"], r["loss"], r["accuracy"]) for r in whole.history]
    assert values == [(r["step"], r["epoch"], r["loss"], r["accuracy"]) for r in second.history]


def test_a_state_is_not_changed_by_the_run_that_loaded_it():
    run = pretrainer()
    next(run.steps())
    state = run.state_dict()
    kept = copy.deepcopy(state)
    other = pretrainer()
    other.load_state_dict(state)
    other.fit()
    assert same(state["model"], kept["model"])
    moments, kept_moments = state["optimizer"]["state"], kept["optimizer"]["state"]
    assert all(same(moments[i], kept_moments[i]) for i in moments)


def test_without_the_optimizer_state_a_resumed_run_differs():
    whole, first = pretrainer(), pretrainer()
    whole.fit()
    steps = first.steps()
    for _ in range(5):
        next(steps)
    state = first.state_dict()
    for averages in state["optimizer"]["state"].values():
        for average in averages.values():
            average.zero_()
    second = pretrainer()
    second.load_state_dict(state)
    second.fit()
    assert not same(second.model.state_dict(), whole.model.state_dict())


def test_fit_stops_when_asked_and_goes_on():
    class StopsItself(TinyTask):
        def training_step(self, images, generator):
            if len(self.seen) == 4:
                stop.set()
            return super().training_step(images, generator)

    stop = threading.Event()
    run = pretrainer(StopsItself())
    run.fit(stop)
    assert run.step == 5
    run.fit(stop)
    assert run.step == 5
    stop.clear()
    run.model.eval()  # somebody looked at the model in between
    run.fit(stop)
    assert run.step == run.total_steps and run.model.training


@pytest.mark.parametrize(
    ("argument", "wrong"),
    [
        ("epochs", {"epochs": 0}),
        ("batch_size", {"batch_size": 51}),
        ("seed", {"seed": -1}),
        ("lr", {"lr": 0.0}),
        ("model", {"model": nn.Linear(2, 2)}),
        ("images", {"images": images()[:, 0]}),
        ("images", {"images": images().long()}),
    ],
)
@pytest.mark.usefixtures("as_a_user")
def test_malformed_input_is_named(argument, wrong):
    with pytest.raises((TypeError, ValueError), match=f"^{argument} must"):
        pretrainer(**wrong)


def test_a_training_step_without_a_scalar_loss_is_named():
    class Wrong(TinyTask):
        def training_step(self, images, generator):
            return {"loss": self.linear.weight.flatten()}

    with pytest.raises(TypeError, match="training_step must return a dict with a scalar tensor 'loss'"):
        pretrainer(Wrong()).fit()


# Read at every step, at every second step.
@pytest.mark.parametrize(("step", "epochs"), [(1, 4), (6, 4), (6, 60), (7, 60)])
def test_a_loss_that_is_not_finite_is_reported_and_the_last_good_state_kept(epochs, step):
    class Explodes(TinyTask):
        def training_step(self, images, generator):
            output = super().training_step(images, generator)
            return output | {"loss": output["loss"] * (math.inf if len(self.seen) == step else 1.0)}

    run = pretrainer(Explodes(), epochs=epochs)
    with pytest.raises(FloatingPointError, match=f"loss became infinite or nan at step {step};.* lr"):
        run.fit()
    good = max((r["step"] for r in run.history), default=0)
    assert run.step == good < step <= good + run.interval
    assert run.seconds == max((r["seconds"] for r in run.history), default=0)
    twin = pretrainer(epochs=epochs)
    steps = twin.steps()
    for _ in range(good):
        next(steps)
    assert same(run.model.state_dict(), twin.model.state_dict())


def test_weights_that_are_not_finite_are_found_before_the_loss_shows_them():
    class Overflows(TinyTask):
        def training_step(self, images, generator):
            output = super().training_step(images, generator)
            if len(self.seen) == 3:
                output["loss"] = output["loss"] + (self.linear.weight.sum() * 0.0).sqrt()
            return output

    run = pretrainer(Overflows())
    with pytest.raises(FloatingPointError, match="weights became infinite or nan at step 3"):
        run.fit()
    assert run.step == 2 and all(p.isfinite().all() for p in run.model.parameters())


def test_a_state_of_another_run_is_refused():
    state = pretrainer().state_dict()
    with pytest.raises(ValueError, match="state has seed = 5, this run has seed = 6"):
        pretrainer(seed=6).load_state_dict(state)


def test_the_schedule_rises_then_falls_like_a_cosine():
    factors = [cosine_with_warmup(step, 200) for step in range(200)]
    assert factors[0] == pytest.approx(0.1) and max(factors) == factors[9] > 0.99
    assert all(a > b for a, b in itertools.pairwise(factors[9:]))
    assert factors[100] == pytest.approx(0.5) and 0 < factors[-1] < 1e-3
    assert cosine_with_warmup(0, 1) == 1.0


def test_weight_decay_spares_vectors():
    class Still(TinyTask):
        def training_step(self, images, generator):
            return {"loss": 0.0 * sum(p.sum() for p in self.parameters())}

    model = Still()
    with torch.no_grad():
        model.linear.bias.fill_(1.0)
    weight = model.linear.weight.detach().clone()
    pretrainer(model, weight_decay=0.5).fit()
    assert torch.equal(model.linear.bias, torch.ones(2)) and torch.equal(model.norm.weight, torch.ones(1))
    assert (model.linear.weight.abs() < weight.abs()).all()


@pytest.mark.parametrize(("precision", "autocast"), [("auto", False), ("bf16-mixed", True)])
def test_the_precision_reaches_the_training_step(precision, autocast):
    class Looks(TinyTask):
        def training_step(self, images, generator):
            self.autocast = torch.is_autocast_enabled("cpu")
            return super().training_step(images, generator)

    run = pretrainer(Looks(), precision=precision)
    run.fit()
    assert run.model.autocast is autocast
    assert run.model.linear.weight.dtype == torch.float32 and run.history[-1]["loss"] < math.log(2)


def test_runs_made_in_several_threads_leave_the_level_of_the_log():
    log = logging.getLogger("lightning_fabric")
    level = log.level
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: pretrainer(), range(40)))
    assert log.level == level


def test_a_run_says_nothing_of_its_precision(caplog):
    """Fabric would, on a GPU for each of a dozen runs in a notebook; whoever asks Fabric itself still hears it."""
    pretrainer(precision="bf16-mixed")
    assert caplog.text == ""
    Fabric(precision="bf16-mixed", accelerator="cpu")
    assert "bfloat16 Automatic Mixed Precision" in caplog.text
