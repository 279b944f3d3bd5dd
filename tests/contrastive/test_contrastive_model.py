"""The contrastive model: every family in a training step, the slow copy, the queue, resuming."""

import copy
import threading

import pytest
import torch
from torch import nn

from eqssl_edu.contrastive import BYOL, BarlowTwins, ContrastiveModel, InfoNCE, Loss, MoCo, SimSiam, VICReg
from eqssl_edu.encoders import GroupCNN, GroupResNet, SymmetrizedEncoder
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.layers import GroupMLP
from eqssl_edu.training import Pretrainer
from eqssl_edu.views import RandomView

GROUP = cyclic(4)
FAMILIES = {
    "InfoNCE": lambda: InfoNCE(GROUP),
    "SimSiam": lambda: SimSiam(GROUP),
    "BYOL": lambda: BYOL(GROUP, momentum=0.9),
    "MoCo": lambda: MoCo(GROUP, momentum=0.9, size=40),
    "VICReg": lambda: VICReg(GROUP),
    "BarlowTwins": lambda: BarlowTwins(GROUP),
}


@pytest.fixture(autouse=True)
def one_thread():
    """Models this small gain nothing from threads, and lose much by them on a busy machine."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def made(family, views=None):
    torch.manual_seed(0)
    encoder = GroupCNN(GROUP, channels=(3, 4))
    return ContrastiveModel(
        encoder, FAMILIES[family](), views or RandomView(GROUP), GroupMLP(GROUP, (4, 8, 6))
    )


def pictures(count=24, size=8):
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(1))


def seeded(seed=5):
    return torch.Generator().manual_seed(seed)


def same(left, right):
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.parametrize("family", FAMILIES)
def test_a_step_reports_a_loss_and_an_accuracy_where_there_is_one(family):
    model = made(family)
    twin = copy.deepcopy(model)
    record = model.training_step(pictures(), seeded())
    assert record["loss"].ndim == 0 and record["loss"].requires_grad
    assert torch.equal(record["loss"], twin.training_step(pictures(), seeded())["loss"])
    assert set(record) == ({"loss", "accuracy"} if family in ("InfoNCE", "MoCo") else {"loss"})
    assert 0 <= record.get("accuracy", 0) <= 1
    record["loss"].backward()
    for name, parameter in model.named_parameters():
        assert parameter.requires_grad != name.startswith("target.")
        assert (parameter.grad is not None) == parameter.requires_grad, name


def test_a_loss_of_your_own_is_called_with_the_features_of_both_views():
    """And, if it has a momentum, with those of the slow copy, which it may keep."""

    class Distance(Loss):
        def forward(self, z1, z2, *targets):
            self.seen = [z1, z2, *targets]
            return (z1 - z2).square().mean()

        def enqueue(self, target1, target2):
            self.kept = target1, target2

    loss = Distance(GROUP)
    model = ContrastiveModel(GroupCNN(GROUP, channels=(3, 4)), loss, RandomView(GROUP))
    record = model.training_step(pictures(), seeded())
    assert set(record) == {"loss"} and record["loss"] > 0 and len(loss.seen) == 2
    loss.momentum = 0.9
    model = ContrastiveModel(GroupCNN(GROUP, channels=(3, 4)), loss, RandomView(GROUP))
    model.training_step(pictures(), seeded())
    assert all(torch.equal(seen, kept) for seen, kept in zip(loss.seen[2:], loss.kept, strict=True))


def steerable():
    network = pytest.importorskip("eqssl_edu.steerable", reason="escnn is not installed")
    return network.SteerableCNN(GROUP, channels=(2, 4), kernel_size=3)


ENCODERS = {  # and what their errors of equivariance allow: escnn's kernels are made in single precision
    "GroupCNN": (lambda: GroupCNN(GROUP, channels=(3, 4)), 1e-12),
    "GroupResNet": (lambda: GroupResNet(GROUP, in_channels=1, width=2), 1e-10),
    "a symmetrised plain network": (
        lambda: SymmetrizedEncoder(GROUP, nn.Sequential(nn.Flatten(), nn.Linear(64, 4), nn.Tanh())),
        1e-12,
    ),
    "escnn": (steerable, 1e-5),
}


@pytest.mark.parametrize("name", ENCODERS)
def test_any_encoder_with_regular_output_will_do(name):
    torch.manual_seed(0)
    make, tolerance = ENCODERS[name]
    encoder = make().double()
    values = {}
    for similarity in ("max", "plain"):
        model = ContrastiveModel(
            encoder,
            InfoNCE(GROUP, similarity),
            lambda images, _: images,
            GroupMLP(GROUP, (encoder.out_channels, 6)),
        ).double()
        turns = torch.arange(12) % 4
        for kind, views in (("upright", pictures(12)), ("turned", GROUP.transform(pictures(12), turns))):
            order = iter([pictures(12).double(), views.double()])
            model.views = lambda images, generator, order=order: next(order)
            values[similarity, kind] = float(model.training_step(pictures(12).double())["loss"].detach())
    assert abs(values["max", "turned"] - values["max", "upright"]) < tolerance
    assert abs(values["plain", "turned"] - values["plain", "upright"]) > 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_training_lowers_the_loss_and_moves_every_weight(family):
    model = made(family, RandomView(noise=0.02))
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    run = Pretrainer(model, pictures(96), epochs=15, batch_size=32, lr=0.01, accelerator="cpu")
    history = run.fit()
    if family == "MoCo":  # its first loss is against random keys: easy
        assert history[-1]["accuracy"] > 2 / 41
    else:
        assert history[-1]["loss"] < history[0]["loss"] - 0.02 * abs(history[0]["loss"])
    still = [name for name, p in model.named_parameters() if torch.equal(p, before[name])]
    assert not still


@pytest.mark.parametrize("family", ["BYOL", "MoCo"])
def test_the_slow_copy_follows_by_its_formula(family):
    """Before each step: target <- m target + (1 - m) network, with the weights that the optimiser has left."""
    model = made(family)
    network = nn.Sequential(model.encoder, model.projector)
    expected = [p.detach().clone() for p in network.parameters()]
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    for _ in range(4):
        fast = [p.detach().clone() for p in network.parameters()]
        expected = [0.9 * slow + 0.1 * new for slow, new in zip(expected, fast, strict=True)]
        optimizer.zero_grad()
        model.training_step(pictures(), seeded())["loss"].backward()
        optimizer.step()
        slow = list(model.target.parameters())
        assert max(float((s - e).abs().max()) for s, e in zip(slow, expected, strict=True)) < 1e-6
    apart = [s - f.detach() for s, f in zip(slow, network.parameters(), strict=True)]
    assert max(float(difference.abs().max()) for difference in apart) > 1e-3


def test_families_without_momentum_keep_no_copy():
    for family in ("InfoNCE", "SimSiam", "VICReg", "BarlowTwins"):
        assert made(family).target is None
    assert not any(name.startswith("target") for name in made("SimSiam").state_dict())


def test_each_step_puts_its_keys_into_the_queue():
    model = made("MoCo")
    with torch.no_grad():
        for parameter in model.target.parameters():  # a copy that is not the network itself
            parameter.add_(0.3 * torch.randn_like(parameter))
    start = model.loss.queue.clone()
    model.training_step(pictures(8), seeded())
    assert torch.equal(model.loss.queue[:24], start[16:])
    assert not model.loss.queue.requires_grad
    with torch.no_grad():
        views = [model.views(pictures(8), generator) for generator in [seeded()] for _ in range(2)]
        keys = copy.deepcopy(model.target)(torch.cat(views)).flatten(1)
    keys = keys / keys.norm(dim=1, keepdim=True)
    assert (model.loss.queue[24:].flatten(1) - keys).abs().max() < 1e-6


@pytest.mark.parametrize("family", ["SimSiam", "BYOL", "MoCo"])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_for_bit(family, tmp_path):
    def run():
        return Pretrainer(made(family), pictures(), epochs=3, batch_size=8, accelerator="cpu", seed=3)

    whole, first, second = run(), run(), run()
    whole.fit()
    steps = first.steps()
    for _ in range(4):
        next(steps)
    torch.save(first.state_dict(), tmp_path / "run.pt")
    second.load_state_dict(torch.load(tmp_path / "run.pt", weights_only=True))
    second.fit(threading.Event())
    assert second.step == whole.step == 9
    assert same(second.model.state_dict(), whole.model.state_dict())
    state = whole.model.state_dict()
    assert any(name.startswith("target") for name in state) == (family in ("BYOL", "MoCo"))
    assert ("loss.queue" in state) == (family == "MoCo")
    assert any(name.startswith("loss.predictor") for name in state) == (family in ("SimSiam", "BYOL"))


def test_without_its_slow_copy_a_resumed_run_would_differ():
    """The must-fail twin: what lies in the state is needed."""
    model = made("BYOL")
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    model.training_step(pictures(), seeded())["loss"].backward()
    optimizer.step()
    forgetful = copy.deepcopy(model)
    forgetful.target = copy.deepcopy(made("BYOL").target)
    for twin in (model, forgetful):
        twin.training_step(pictures(), seeded(6))
    forgetful.target = copy.deepcopy(nn.Sequential(forgetful.encoder, forgetful.projector))
    losses = [twin.training_step(pictures(), seeded(7))["loss"] for twin in (model, forgetful)]
    assert abs(losses[0] - losses[1]) > 1e-5


@pytest.mark.parametrize("family", ["BYOL", "MoCo"])
def test_a_deep_copy_is_independent(family):
    model = made(family)
    kept = copy.deepcopy(model)
    before = {name: value.clone() for name, value in kept.state_dict().items()}
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
    model.training_step(pictures(), seeded())
    assert same(kept.state_dict(), before)


def test_parts_that_do_not_fit_are_named_at_once(as_a_user):
    encoder, loss, views = GroupCNN(GROUP), InfoNCE(GROUP), RandomView()
    plain = nn.MSELoss()
    plain.group = GROUP
    for parts, name in [
        ((nn.Linear(3, 3), loss, views), "encoder"),
        (("GroupCNN", loss, views), "encoder"),
        ((encoder, plain, views), "loss must be a Loss"),
        ((encoder, InfoNCE(dihedral(4)), views), "loss.group"),
        ((encoder, loss, views, nn.Linear(2, 2)), "projector.out_channels"),
        ((encoder, loss, views, GroupMLP(cyclic(2), (32, 8))), "projector.group"),
        ((encoder, loss, views, GroupMLP(GROUP, (16, 8))), "projector.channels"),
    ]:
        with pytest.raises((TypeError, ValueError), match=f"^{name}"):
            ContrastiveModel(*parts)
