"""What a run may be told beside its data: optimiser, schedule, clipping, layout, compilation, loggers, machines."""

import csv
import math
import struct
from datetime import timedelta

import pytest
import torch
from lightning_fabric.loggers import CSVLogger, TensorBoardLogger
from lightning_fabric.strategies import DDPStrategy
from tensorboardX.proto import event_pb2
from torch import nn
from trainings import TinyTask, images, pretrainer, same

from eqssl_edu.training import cosine_with_warmup, devices


def steady(step, total_steps):
    return 1.0


# -- optimiser, schedule, clipping: compared with a loop by hand ----------------------------------------------------


def by_hand(optimizer, factors=lambda step: 1.0, lr=0.05):
    """The weights after the same steps, written down plainly, in float64."""
    batches = TinyTask(torch.float64)
    pretrainer(
        batches, images=images().double(), precision="64-true"
    ).fit()  # which images, which labels, when
    rows = {
        round(float(total), 6): row
        for total, row in zip(images().double().flatten(1).sum(1), images().double(), strict=True)
    }
    model = TinyTask(torch.float64)
    vectors = [p for p in model.parameters() if p.ndim < 2]
    groups = [
        {"params": [model.linear.weight], "weight_decay": 0.01},
        {"params": vectors, "weight_decay": 0.0},
    ]
    stepper = optimizer(groups)
    for step, seen in enumerate(batches.seen):
        batch = torch.stack([rows[round(float(total), 6)] for total in seen[:12]])
        labels = seen[12:].long()
        turned = torch.where(labels.view(-1, 1, 1, 1).bool(), batch.rot90(2, (-2, -1)), batch)
        loss = nn.functional.cross_entropy(model.linear(model.norm(turned).flatten(1)), labels)
        stepper.zero_grad()
        loss.backward()
        for group in stepper.param_groups:
            group["lr"] = lr * factors(step)
        stepper.step()
    return model.state_dict()


def after(**changes):
    run = pretrainer(TinyTask(torch.float64), images=images().double(), precision="64-true", **changes)
    run.fit()
    return run.model.state_dict()


def apart(one, other):
    return max(float((one[name] - other[name]).abs().max()) for name in one)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_is_sgd(momentum):
    wanted = by_hand(lambda groups: torch.optim.SGD(groups, lr=1.0, momentum=momentum))
    found = after(optimizer="sgd", momentum=momentum, schedule=steady)
    assert apart(found, wanted) < 1e-12
    assert apart(found, after(optimizer="sgd", momentum=0.5, schedule=steady)) > 1e-3
    assert apart(found, after(schedule=steady)) > 1e-3


def test_momentum_is_the_first_beta_of_adamw_and_the_schedule_scales_its_rate():
    wanted = by_hand(
        lambda groups: torch.optim.AdamW(groups, lr=1.0, betas=(0.5, 0.999)),
        lambda step: cosine_with_warmup(step, 16),
    )
    assert apart(after(momentum=0.5), wanted) < 1e-12
    assert apart(after(momentum=0.5, schedule=steady), wanted) > 1e-3
    assert apart(after(), wanted) > 1e-4


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        (lambda step, total: math.nan, r"schedule\(0, 16\) must be at least 0, got nan"),
        (lambda step, total: -1.0, r"schedule\(0, 16\) must be at least 0, got -1"),
        (lambda step, total: "1", r"schedule\(0, 16\) must be a number, got '1'"),
        (lambda step, total: 1.0 if step < 9 else math.inf, r"schedule\(9, 16\) must be at least 0, got inf"),
        (3, "schedule must be a Callable, got 3"),
    ],
)
@pytest.mark.usefixtures("as_a_user")
def test_a_schedule_gives_numbers(schedule, words):
    with pytest.raises((TypeError, ValueError), match=f"^{words}"):
        pretrainer(schedule=schedule).fit()


def test_clipping_bounds_the_step():
    def moved(clip):
        model = TinyTask()
        before = torch.cat([p.detach().flatten().clone() for p in model.parameters()])
        still = {"optimizer": "sgd", "momentum": 0.0, "schedule": steady, "weight_decay": 0.0}
        run = pretrainer(model, clip=clip, lr=1.0, **still)
        next(run.steps())
        return float((torch.cat([p.detach().flatten() for p in model.parameters()]) - before).norm())

    free = moved(None)
    assert moved(free / 3) == pytest.approx(free / 3, rel=1e-4)
    assert moved(free * 3) == pytest.approx(free, rel=1e-5)


def test_a_gradient_that_is_not_finite_is_told_by_the_reading_clipped_or_not():
    class Explodes(TinyTask):
        def training_step(self, images, generator):
            output = super().training_step(images, generator)
            return output | {"loss": output["loss"] + (self.linear.weight.sum() * 0.0).sqrt()}

    with pytest.raises(FloatingPointError, match="the weights became infinite or nan at step 1"):
        pretrainer(Explodes(), clip=1.0).fit()


DECIDING = {"optimizer": "sgd", "momentum": 0.5, "clip": 1.0, "schedule": steady, "weight_decay": 0.1}


@pytest.mark.parametrize("name", DECIDING)
def test_what_decides_the_run_is_among_its_settings(name):
    state = pretrainer().state_dict()
    with pytest.raises(ValueError, match=f"^state has {name} = .*, this run has {name} = "):
        pretrainer(**{name: DECIDING[name]}).load_state_dict(state)


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_a_run_with_sgd_goes_on_bit_for_bit(tmp_path, momentum):
    options = {
        "optimizer": "sgd",
        "momentum": momentum,
        "clip": 0.5,
        "folder": tmp_path,
        "checkpoint_every": 5,
    }
    whole, first = pretrainer(**options | {"folder": tmp_path / "whole"}), pretrainer(**options)
    whole.fit()
    steps = first.steps()
    for _ in range(8):
        next(steps)
    steps.close()
    second = pretrainer(**options, resume=True)
    assert second.step == 8
    second.fit()
    assert same(second.model.state_dict(), whole.model.state_dict())


@pytest.mark.parametrize(
    ("words", "wrong"),
    [
        ("optimizer must be one of 'adamw', 'sgd', got 'lars'", {"optimizer": "lars"}),
        ("momentum must be at least 0 and below 1, got 1", {"momentum": 1.0}),
        ("clip must be above 0, got 0", {"clip": 0.0}),
        ("num_nodes must be at least 1, got 0", {"num_nodes": 0}),
        ("loggers: each must be a Logger, got 'csv'", {"loggers": ["csv"]}),
        ("compile must be a bool, got 1", {"compile": 1}),
    ],
)
@pytest.mark.usefixtures("as_a_user")
def test_options_are_named(words, wrong):
    with pytest.raises((TypeError, ValueError), match=f"^{words}"):
        pretrainer(**wrong)


# -- layout and compilation -------------------------------------------------------------------------------------------


class Filters(nn.Module):
    """A convolution of several channels, whose weights can lie in two ways."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 3, bias=False), nn.BatchNorm2d(8), nn.Tanh(), nn.Conv2d(8, 4, 3)
        )
        self.lies: set[bool] = set()

    def training_step(self, images, generator):
        self.lies.add(images.is_contiguous(memory_format=torch.channels_last))
        return {"loss": (self.layers(images).mean((2, 3)) - images.mean((1, 2, 3))[:, None]).square().mean()}


def colours():
    return torch.rand(24, 3, 8, 8, generator=torch.Generator().manual_seed(1))


def filtering(**changes):
    return pretrainer(Filters(), images=colours(), batch_size=8, lr=0.01, **changes)


def test_channels_last_is_the_same_run_in_another_layout():
    plain, last = filtering(), filtering(channels_last=True)
    plain.fit()
    last.fit()
    assert plain.model.lies == {False} and last.model.lies == {True}
    assert last.model.layers[3].weight.is_contiguous(memory_format=torch.channels_last)
    assert apart(plain.model.state_dict(), last.model.state_dict()) < 1e-4


def test_averages_out_of_a_file_get_the_layout_of_their_weights(tmp_path):
    whole = filtering(channels_last=True)
    whole.fit()
    steps = filtering(channels_last=True, folder=tmp_path).steps()
    for _ in range(7):
        next(steps)
    steps.close()
    second = filtering(channels_last=True, folder=tmp_path, resume=True)
    assert second.step == 7
    second.fit()
    assert same(second.model.state_dict(), whole.model.state_dict())


def test_averages_in_another_layout_than_their_weights_would_spoil_the_run():
    """The must-fail twin: torch's fused step does not look at the layout."""
    whole, wrong = filtering(channels_last=True), filtering(channels_last=True)
    whole.fit()
    steps = wrong.steps()
    for _ in range(7):
        next(steps)
    state = wrong._update.state()
    for average in state["state"].values():
        average |= {name: value.contiguous() for name, value in average.items()}
    wrong._update.optimizer.load_state_dict(state)
    wrong.fit()
    assert apart(wrong.model.state_dict(), whole.model.state_dict()) > 1e-3


def test_the_parts_of_a_model_are_compiled_and_its_state_stays(monkeypatch):
    compiled, compile = [], nn.Module.compile

    def eager(self):
        compiled.append(type(self).__name__)
        compile(self, backend="eager")  # the real one needs a compiler, and half a minute

    monkeypatch.setattr(nn.Module, "compile", eager)
    plain, fast = pretrainer(), pretrainer(compile=True)
    plain.fit()
    fast.fit()
    assert compiled == ["BatchNorm2d", "Linear"]
    assert plain.model.state_dict().keys() == fast.model.state_dict().keys()
    assert apart(plain.model.state_dict(), fast.model.state_dict()) < 1e-5


def test_a_model_without_parts_cannot_be_compiled():
    class Bare(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(1))

        def training_step(self, images, generator):
            return {"loss": self.weight.sum()}

    with pytest.raises(ValueError, match=r"^compile must be False for a model without parts"):
        pretrainer(Bare(), compile=True)


# -- loggers and machines -------------------------------------------------------------------------------------------


def events(path):
    """The scalars of a file of TensorBoard, (step, name, value): length, its checksum, record, its checksum."""
    data = path.read_bytes()
    while data:
        (size,) = struct.unpack("<Q", data[:8])
        event = event_pb2.Event.FromString(data[12 : 12 + size])
        yield from ((event.step, value.tag, value.simple_value) for value in event.summary.value)
        data = data[16 + size :]


def test_every_reading_is_logged_at_its_step_and_written_at_once(tmp_path):
    loggers = [CSVLogger(tmp_path, name="csv"), TensorBoardLogger(tmp_path, name="board")]
    run = pretrainer(loggers=loggers, epochs=60)
    assert run.interval == 2
    steps = run.steps()
    for _ in range(7):
        next(steps)
    # Nothing was closed, as after a kill.
    with open(tmp_path / "csv" / "version_0" / "metrics.csv", newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert rows == run.history and [row["step"] for row in rows] == [1, 2, 4, 6]
    loggers[1].finalize("")  # tensorboardX writes from a thread
    [path] = (tmp_path / "board" / "version_0").iterdir()
    found = {(step, name): value for step, name, value in events(path)}
    for record in run.history:
        for name in record.keys() - {"step"}:
            assert found[record["step"], name] == pytest.approx(record[name], rel=1e-6)


def test_the_number_of_machines_reaches_fabric(monkeypatch):
    seen = {}

    def fabric(**named):
        seen.update(named)
        raise ValueError("no such machines")

    monkeypatch.setattr(devices, "Fabric", fabric)
    with pytest.raises(ValueError, match="must suit Fabric: no such machines"):
        pretrainer(num_nodes=4, strategy="ddp")
    assert (seen["num_nodes"], seen["devices"]) == (4, 1)
    assert isinstance(seen["strategy"], DDPStrategy)
    assert seen["strategy"]._timeout == timedelta(minutes=10)  # torch's own is half an hour
