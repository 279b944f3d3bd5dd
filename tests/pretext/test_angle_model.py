"""AngleModel: the curve of its error draws the group of the encoder; A6 and A8 on real networks."""

import pytest
import torch
from test_angle_task import generator, glyphs, noise
from torch import nn

from eqssl_edu.circle import AngleHead, DensityHead, FreeAngleHead, NumberHead, so2, turn_arrows
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import FreeHead
from eqssl_edu.pretext import AngleModel, AngleTask, OffsetTask, verify
from eqssl_edu.steerable import SteerableCNN
from eqssl_edu.theory import equivariant_floor, frequency_floor
from eqssl_edu.training import Pretrainer

C4 = cyclic(4)


def model_of(group=C4, head=None, task=None, channels=(4, 6)):
    torch.manual_seed(0)
    return AngleModel(GroupCNN(group, channels=channels), task or AngleTask(), head)


HEADS = {
    "arrow": (C4, None),
    "free arrow": (C4, lambda: FreeAngleHead(6, 4)),
    "plain": (cyclic(1), lambda: FreeAngleHead(6, 1)),
    "number": (cyclic(1), lambda: NumberHead(6, 1)),
    "density": (cyclic(4), lambda: DensityHead(C4, 6)),
    "bins": (cyclic(1), lambda: FreeHead(GSet.trivial(cyclic(1), 36), 6, 1)),
}


@pytest.mark.parametrize("head", HEADS)
def test_every_head_trains_with_the_pretrainer(head):
    group, make = HEADS[head]
    model = model_of(group, make and make())
    run = Pretrainer(model, glyphs("FGR", 16).float(), epochs=2, batch_size=3, accelerator="cpu")
    history = run.fit()
    assert history[-1]["loss"] < 5 and 0 <= history[-1]["error"] <= 180
    curve = model.evaluate(glyphs("FGR", 16).float(), (0.0, 30.0))
    assert curve.shape == (2,) and curve.dtype == torch.float64 and curve.isfinite().all()
    resumed = model_of(group, make and make())
    resumed.load_state_dict(model.state_dict())
    assert torch.equal(resumed.evaluate(glyphs("FGR", 16).float(), (0.0, 30.0)), curve)


def test_A8_under_c4_every_quarter_of_the_circle_is_the_same():
    """The error at alpha is that at alpha + 90, after a training on upright images alone; a plain network's is not."""
    images = glyphs("FGR", 16)
    for group, head in ((C4, None), (cyclic(1), FreeAngleHead(6, 1))):
        model = model_of(group, head, AngleTask("SO2", within=10.0)).double()
        optimizer = torch.optim.Adam(model.parameters(), 0.02)
        for step in range(60):
            optimizer.zero_grad()
            model.training_step(images, generator(step))["loss"].backward()
            optimizer.step()
        curve = model.evaluate(images, (0.0, 90.0, 180.0, 270.0, 33.0, 123.0))
        flat = (curve[:4].max() - curve[:4].min(), curve[5] - curve[4])
        assert curve[0] < 15
        assert max(map(abs, flat)) < 1e-6 if group == C4 else curve[1:4].min() > 40


@pytest.mark.parametrize("k", [1, 0, 2, -1, 5, -11])
def test_A6_the_floor_of_a_wrong_frequency(k):
    """The general floor of finite labels: on C_24 the head moves label l to l + k g, where it really moves to l + g."""
    n = 24
    group, steps = cyclic(n), torch.arange(24)
    assumed = GSet(group, (steps[None] + k * steps[:, None]) % n)
    floor = equivariant_floor(torch.eye(n) / n, GSet.regular(group), assumed)
    assert frequency_floor(n, k) == pytest.approx(floor.nats, abs=1e-12)
    assert frequency_floor(n, k + n) == frequency_floor(n, k)  # samples cannot tell them apart


@pytest.mark.parametrize("k", [1, -1, 0, 2])
def test_A6_what_is_left_of_a_wrong_frequency(k):
    """Images turned by all eighths: answers, each turned back as its label turns, agree for k = 1 and cancel else."""
    group, angles = cyclic(8), torch.arange(8).double() * 45
    features = noise(1, 6, 8)
    orbit = torch.cat([group.transform_features(features, g) for g in group.elements])
    torch.manual_seed(0)
    arrows = AngleHead(group, 6, k).double()(orbit)
    back = turn_arrows(arrows, -angles)
    left = back.mean(dim=0).norm() / back.norm(dim=1).mean()
    assert left.item() == pytest.approx(1.0 if k == 1 else 0.0, abs=1e-12)
    assert (frequency_floor(8, k) == 0) is (k == 1)


def test_an_output_that_says_nothing_is_no_good_answer_at_angle_zero():
    """Zero everywhere would read as "0 degrees", which is right for upright images."""
    model = model_of()
    nn.init.zeros_(model.head.weight)
    assert model.evaluate(glyphs("FG", 16), (0.0, 90.0)).tolist() == [90.0, 90.0]


def test_a_blank_image_counts_as_a_guess():
    assert model_of().double().evaluate(torch.zeros(2, 1, 9, 9), (0.0, 45.0)).tolist() == [90.0, 90.0]


def test_what_does_not_fit_is_refused(as_a_user):
    plain = GroupCNN(cyclic(1), channels=(4, 6))
    refused = [
        ("encoder", lambda: AngleModel(nn.Linear(1, 1), AngleTask())),
        ("task", lambda: AngleModel(plain, "SO2")),
        ("frequency", lambda: AngleModel(plain, AngleTask())),  # a plain CNN has no arrow of its own
        ("frequency", lambda: AngleModel(GroupCNN(C4, channels=(4, 6)), AngleTask(symmetry=2))),
        ("head.group", lambda: AngleModel(GroupCNN(C4, channels=(4, 6)), AngleTask(), AngleHead(so2(3), 6))),
        (
            "head.symmetry",
            lambda: AngleModel(GroupCNN(C4, channels=(6,)), AngleTask(symmetry=2), _density()),
        ),
        ("len(outputs", lambda: model_of(C4, nn.Flatten(0)).training_step(noise(2, 1, 8, 8).float())),
        ("images", lambda: model_of().evaluate(torch.full((2, 1, 8, 8), torch.nan))),
        ("len(images)", lambda: model_of().training_step(torch.zeros(0, 1, 8, 8))),
        ("len(degrees)", lambda: model_of().evaluate(torch.zeros(2, 1, 8, 8), ())),
        ("degrees", lambda: model_of().evaluate(torch.zeros(2, 1, 8, 8), (0.0, float("nan")))),
    ]
    for number, (name, call) in enumerate(refused):
        with pytest.raises((TypeError, ValueError)) as refusal:
            call()
        assert str(refusal.value).startswith(name), (number, refusal.value)


def _density():
    head = DensityHead(C4, 6)
    head.frequencies = (1, 2)
    return head


@pytest.mark.parametrize(
    "task", [AngleTask("SO2", 1), AngleTask(C4, within=90.0), OffsetTask(5, 1, 1)], ids=repr
)
def test_everything_works_on_another_device(task, device):
    images = noise(4, 1, 19, 19).float()
    channels = 2 if isinstance(task, OffsetTask) else 1
    model = AngleModel(GroupCNN(C4, channels, (2, 3)), task).to(device)
    here, there = (task.sample(x, generator()) for x in (images, images.to(device)))
    for ours, theirs in zip(here, there, strict=True):
        assert theirs.device.type == device.type and (ours - theirs.cpu()).abs().max() < 1e-5
    record = model.training_step(images.to(device), generator())
    record["loss"].backward()
    assert record["loss"].isfinite() and record["error"].device.type == device.type
    if device.type == "cuda":  # the pretended one does not change a network's type
        assert model.evaluate(images, (0.0, 30.0)).isfinite().all()
    assert verify(task, images.to(device)).failed == 0


@pytest.mark.parametrize("symmetry", ["SO(2)", cyclic(8)], ids=str)
def test_the_arrow_of_a_steerable_network_turns_counter_clockwise_with_the_image(symmetry):
    """Before any training; off the quarter turns approximately. In the wrong sense nothing fits (must fail)."""
    torch.manual_seed(0)
    images = glyphs("FGRLPJ", 33).float()
    encoder = SteerableCNN(symmetry, channels=(4, 8))
    with torch.no_grad():
        for _ in range(5):
            encoder(images)
        model = AngleModel(encoder, AngleTask()).eval()
        arrows = model(model.task.apply(images, torch.zeros(6)))
        for degrees, most in ((90.0, 1e-3), (45.0, 0.35), (-100.0, 0.5)):
            turned = model(model.task.apply(images, torch.full((6,), degrees)))
            errors = [(turned - turn_arrows(arrows, s * degrees)).norm() / arrows.norm() for s in (1, -1)]
            assert errors[0] < most and errors[1] > 1
