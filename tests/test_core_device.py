"""Groups, layers, encoders, contrastive losses, views and diagnostics on a device that is not the CPU.

Everything is compared with the CPU. A GPU adds up in another order: it is given 1e-4.
"""

import pytest
import torch

from eqssl_edu.contrastive import (
    BYOL,
    SIMILARITIES,
    BarlowTwins,
    ContrastiveModel,
    InfoNCE,
    MoCo,
    SimSiam,
    VICReg,
    canonicalize,
    orbit_correlation,
    orbit_distance,
    orbit_similarity,
)
from eqssl_edu.contrastive.pairs import pair_similarity
from eqssl_edu.diagnostics import (
    alignment,
    equivariance_error,
    irrep_energy,
    matched_temperature,
    orbit_collapse,
    rank_me,
    rotation_error,
    uniformity,
)
from eqssl_edu.encoders import GroupCNN, GroupResNet, SymmetrizedEncoder
from eqssl_edu.evaluation import extract, orientations, recalibrated
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import GroupMLP, GroupPool, GSetHead, exactness_violations
from eqssl_edu.rotate import rotate
from eqssl_edu.views import RandomView

C4, D4 = cyclic(4), dihedral(4)


def noise(*shape, seed=0):
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def alike(there, here, device):
    """The numbers there are those here, and they are there."""
    assert there.device.type == device.type and there.shape == here.shape and there.dtype == here.dtype
    tolerance = 1e-4 if device.type == "cuda" else 1e-6
    assert (there.detach().cpu() - here.detach()).norm() <= tolerance * here.detach().norm()


@pytest.mark.parametrize("elements_there", [True, False], ids=["elements there", "elements on the CPU"])
@pytest.mark.parametrize(
    ("act", "shape"),
    [("transform", (5, 2, 8, 8)), ("transform_features", (5, 2, 8)), ("transform_maps", (5, 2, 8, 8, 8))],
)
def test_actions(act, shape, elements_there, device):
    x, g = noise(*shape), torch.tensor([0, 1, 4, 6, 7])
    move = getattr(D4, act)
    alike(move(x.to(device), g.to(device) if elements_there else g), move(x, g), device)
    alike(move(x.to(device), 5), move(x, 5), device)


def test_labels_and_turns_by_any_angle(device):
    labels, x = GSet.jigsaw(D4, 2), noise(3, 1, 9, 9)
    which, g, angles = torch.tensor([3, 17, 20]), torch.tensor([1, 6, 2]), torch.tensor([10.0, 90, 200])
    alike(labels.act(g.to(device), which.to(device)).double(), labels.act(g, which).double(), device)
    alike(labels.transform(noise(4, 24).to(device), 3), labels.transform(noise(4, 24), 3), device)
    alike(rotate(x.to(device), angles.to(device)), rotate(x, angles), device)
    alike(rotate(x.to(device), 33.0), rotate(x, 33.0), device)


NETWORKS = {
    "GroupCNN": lambda: GroupCNN(D4, channels=(4, 8)),
    "GroupResNet": lambda: GroupResNet(C4, 1, width=2),
    "symmetrised": lambda: SymmetrizedEncoder(C4, GroupCNN(cyclic(1), channels=(4, 8))),
    "head": lambda: torch.nn.Sequential(GroupCNN(D4, channels=(4, 8)), GSetHead(GSet.neighbours(D4), 8)),
    "pooled": lambda: torch.nn.Sequential(GroupCNN(C4, channels=(4, 8)), GroupPool(C4)),
    "projector": lambda: torch.nn.Sequential(GroupCNN(C4, channels=(4, 8)), GroupMLP(C4, (8, 8, 4))),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_and_their_gradients(name, device):
    torch.manual_seed(0)
    model, x = NETWORKS[name](), noise(4, 1, 16, 16)
    out = model(x)
    out.square().sum().backward()
    wanted = [parameter.grad.clone() for parameter in model.parameters()]
    model.zero_grad()
    out_there = model.to(device)(x.to(device))
    alike(out_there, out, device)
    out_there.square().sum().backward()
    for parameter, gradient in zip(model.parameters(), wanted, strict=True):
        assert parameter.grad.device.type == device.type
        assert (parameter.grad.cpu() - gradient).norm() <= 1e-3 * gradient.norm() + 1e-4
    assert exactness_violations(model, 16) == {}


def test_errors_of_equivariance(device):
    torch.manual_seed(0)
    encoder, x = GroupCNN(C4, channels=(4, 8)).to(device), noise(2, 1, 16, 16).to(device)
    errors = equivariance_error(encoder, x)
    assert errors.device.type == device.type and float(errors.max()) < 1e-2
    maps = encoder.feature_maps(x)
    assert rotation_error(encoder.feature_maps(rotate(x, 90.0)), maps, 90.0, C4) < 1e-2


@pytest.mark.parametrize("kind", SIMILARITIES)
def test_similarities(kind, device):
    z, w = noise(4, 3, 8) - 0.5, noise(6, 3, 8, seed=1) - 0.5
    alike(orbit_similarity(D4, z.to(device), w.to(device), kind), orbit_similarity(D4, z, w, kind), device)
    for pair in (orbit_correlation, orbit_distance):
        alike(pair(D4, z.to(device), w.to(device)), pair(D4, z, w), device)
    alike(canonicalize(D4, z.to(device)), canonicalize(D4, z), device)


TABLED = {
    "actions": lambda z, w: D4.transform_features(z, 3),
    "correlation": lambda z, w: orbit_correlation(D4, z, w),
    "of one side more": lambda z, w: orbit_correlation(D4, torch.cat([z, z]), w),
    "pairs": lambda z, w: pair_similarity(D4, z, w),
    "canonical": lambda z, w: canonicalize(D4, z),
    "InfoNCE": lambda z, w: InfoNCE(D4, "max")(z, w),
    "Barlow Twins": lambda z, w: BarlowTwins(D4)(z, w),
}


@pytest.mark.parametrize("name", TABLED)
def test_tables_of_a_group_are_brought_to_the_device_once(name, device, monkeypatch):
    """An accelerator is waited for while something is copied to it."""
    z, w = noise(4, 3, 8).to(device), noise(4, 3, 8, seed=1).to(device)
    TABLED[name](z, w)
    copied, to = [], torch.Tensor.to

    def watched(tensor, *arguments, **named):
        moved = to(tensor, *arguments, **named)
        if tensor.device.type == "cpu" != moved.device.type:
            copied.append(tuple(tensor.shape))
        return moved

    monkeypatch.setattr(torch.Tensor, "to", watched)
    TABLED[name](z, w)
    assert copied == []


LOSSES = {
    **{f"InfoNCE {kind}": lambda kind=kind: InfoNCE(C4, kind, chunk=3) for kind in SIMILARITIES},
    "MoCo": lambda: MoCo(C4, size=16),
    "SimSiam": lambda: SimSiam(C4),
    "BYOL": lambda: BYOL(C4),
    "VICReg": lambda: VICReg(C4),
    "Barlow Twins": lambda: BarlowTwins(C4),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_training_step_stays_on_the_device_of_the_model(name, device):
    """Two steps with a generator on the CPU; the second one meets the slow copy and the queue of the first."""
    torch.manual_seed(0)
    views = RandomView(C4, crop=0.2, rotation=12, texture=0.5, inversion=0.5, colour=0.2)
    model = ContrastiveModel(GroupCNN(C4, channels=(4, 8)), LOSSES[name](), views, GroupMLP(C4, (8, 8, 4)))
    state = {key: value.clone() for key, value in model.state_dict().items()}

    def two_steps(images):
        generator = torch.Generator().manual_seed(0)
        for _ in range(2):
            loss = model.training_step(images, generator)["loss"]
        loss.backward()
        return loss

    wanted = two_steps(noise(6, 1, 16, 16))
    model.load_state_dict(state)
    model.zero_grad()
    model.to(device)
    found = two_steps(noise(6, 1, 16, 16).to(device))
    assert found.device.type == device.type
    assert found.item() == pytest.approx(wanted.item(), rel=1e-3 if device.type == "cuda" else 1e-5)
    assert all(p.grad is None or p.grad.device.type == device.type for p in model.parameters())


def test_diagnostics_give_the_numbers_of_the_cpu(device):
    z, w = noise(24, 3, 8) - 0.5, noise(24, 3, 8, seed=1) - 0.5
    there, other = z.to(device), w.to(device)
    assert orbit_collapse(D4, there) == pytest.approx(orbit_collapse(D4, z), rel=1e-2)
    assert rank_me(there) == pytest.approx(rank_me(z), rel=1e-2)
    assert alignment(D4, there, other) == pytest.approx(alignment(D4, z, w), rel=1e-2)
    assert uniformity(D4, there) == pytest.approx(uniformity(D4, z), rel=1e-2)
    assert irrep_energy(D4, there) == pytest.approx(irrep_energy(D4, z), rel=1e-2)
    assert matched_temperature(D4, there) == pytest.approx(matched_temperature(D4, z), rel=1e-2)


def test_features_are_brought_to_the_cpu_for_the_probes(device):
    torch.manual_seed(0)
    encoder, x = GroupCNN(C4, channels=(4, 8)), noise(6, 1, 16, 16)
    alike(extract(encoder.to(device), x), extract(encoder.to("cpu"), x), torch.device("cpu"))
    wanted = extract(recalibrated(encoder, x), x)
    alike(extract(recalibrated(encoder.to(device), x.to(device)), x.to(device)), wanted, torch.device("cpu"))
    for there, here in zip(orientations(C4, x.to(device)), orientations(C4, x), strict=True):
        alike(there, here, device)
