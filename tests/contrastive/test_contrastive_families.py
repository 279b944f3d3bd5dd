"""Every family of contrastive losses absorbs the transformation of each input (THEORY C1, C2, C5)."""

import copy

import numpy
import pytest
import torch
from families import GROUPS, by_name, features, own_elements, turned, two_views
from torch import nn

from eqssl_edu.contrastive import (
    BYOL,
    BarlowTwins,
    ContrastiveModel,
    FlatMLP,
    GroupMLP,
    InfoNCE,
    MoCo,
    SimSiam,
    VICReg,
)
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic, dihedral

LOSSES = {
    "InfoNCE": InfoNCE,
    "SimSiam": SimSiam,
    "SimSiam, soft": lambda group: SimSiam(group, "soft"),
    "BYOL": BYOL,
    "BYOL, soft": lambda group: BYOL(group, "soft"),
    "MoCo": lambda group: MoCo(group, size=16),
    "MoCo, max": lambda group: MoCo(group, "max", size=16),
    "VICReg": VICReg,
    "BarlowTwins": BarlowTwins,
}
NAIVE = {
    "InfoNCE": lambda group: InfoNCE(group, "plain"),
    "SimSiam": lambda group: SimSiam(group, "plain"),
    "BYOL": lambda group: BYOL(group, "plain"),
    "MoCo": lambda group: MoCo(group, "plain", size=16),
    "SimSiam, flattened predictor": lambda group: SimSiam(
        group, predictor=FlatMLP(group, (3, 6, 3)).double()
    ),
    "BYOL, flattened predictor": lambda group: BYOL(group, predictor=FlatMLP(group, (3, 6, 3)).double()),
}


class OrdinaryBarlowTwins(nn.Module):
    """Barlow Twins on flattened features, as it is for vectors."""

    def __init__(self, group):
        super().__init__()
        self.group, self.trivial = group, BarlowTwins(cyclic(1))

    def forward(self, z1, z2):
        return self.trivial(*(z.flatten(1)[:, :, None] for z in (z1, z2)))


NAIVE["Barlow Twins, ordinary"] = OrdinaryBarlowTwins


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_C1_every_loss_absorbs_2b_independent_elements(group, name):
    torch.manual_seed(0)
    loss = LOSSES[name](group)
    views = two_views(group)
    before = loss(*views)
    assert before.ndim == 0 and before.isfinite()
    assert abs(loss(*turned(group, *views)) - before) < 1e-12
    assert loss(*views) == before  # a call changes nothing


@pytest.mark.parametrize("name", NAIVE)
def test_C1_naive_losses_do_not_absorb(name):
    """The must-fail twins."""
    torch.manual_seed(0)
    group = cyclic(4)
    loss = NAIVE[name](group)
    views = two_views(group)
    assert abs(loss(*turned(group, *views)) / loss(*views) - 1) > 1e-2


@pytest.mark.parametrize("name", [name for name in LOSSES if "MoCo" in name or "BYOL" in name])
def test_C1_targets_may_be_turned_as_well(name):
    group = dihedral(4)
    torch.manual_seed(0)
    loss = LOSSES[name](group)
    batches = [*two_views(group), features(group, seed=5), features(group, seed=6)]
    before = loss(*batches)
    assert abs(loss(*turned(group, *batches)) - before) < 1e-12
    assert abs(before - loss(*batches[:2])) > 1e-3  # the targets count


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_C2_gradients_of_the_features_turn_with_them(group, name):
    torch.manual_seed(0)
    loss = LOSSES[name](group)
    views = torch.stack(two_views(group)).requires_grad_()
    loss(*views)  # builds what the loss builds
    (gradient,) = torch.autograd.grad(loss(*views), views)
    (moved,) = torch.autograd.grad(loss(*turned(group, *views)), views)
    assert gradient.abs().max() > 1e-4
    assert (moved - gradient).abs().max() < 1e-12 * max(1, float(gradient.abs().max()))


def gradient_change(group, loss, projector):
    """Relative change of every parameter's gradient when all 2B views are turned by elements of their own."""
    torch.manual_seed(0)
    encoder = GroupCNN(group, channels=(3, 4))
    pictures = torch.rand(2, 6, 1, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    model = ContrastiveModel(encoder, loss, lambda images, generator: images, projector).double().train()
    if model.target is not None:  # a target that is not just the network itself
        for parameter in model.target.parameters():
            parameter.mul_(1.1)
    parameters = [p for p in model.parameters() if p.requires_grad]

    def gradient(views):
        twin = copy.deepcopy(model)
        order = iter(views)
        twin.views = lambda images, generator: next(order)
        twin.training_step(pictures[0])["loss"].backward()
        learned = [p for p in twin.parameters() if p.requires_grad]
        return torch.cat([p.grad.flatten() for p in learned])

    assert parameters
    before = gradient(pictures)
    elements = [own_elements(group, 6, seed) for seed in (2, 3)]
    after = gradient([group.transform(p, g) for p, g in zip(pictures, elements, strict=True)])
    return float((after - before).norm() / before.norm())


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("group", [cyclic(4), dihedral(4)], **by_name)
def test_C2_parameter_gradients_ignore_turns_of_the_views(group, name):
    """Encoder, projector and predictor, all in training mode."""
    torch.manual_seed(0)
    assert gradient_change(group, LOSSES[name](group), GroupMLP(group, (4, 6, 3))) < 1e-12


@pytest.mark.parametrize("name", ["InfoNCE", "SimSiam", "BYOL", "MoCo", "Barlow Twins, ordinary"])
def test_C2_naive_losses_learn_something_else_from_turned_views(name):
    """The must-fail twins."""
    group = cyclic(4)
    torch.manual_seed(0)
    assert gradient_change(group, NAIVE[name](group), GroupMLP(group, (4, 6, 3))) > 1e-2


@pytest.mark.parametrize("name", LOSSES)
def test_C5_a_flattened_projector_breaks_every_loss(name):
    """The must-fail twin of the projector: BatchNorm1d over flattened features."""
    group = cyclic(4)
    torch.manual_seed(0)
    assert gradient_change(group, LOSSES[name](group), FlatMLP(group, (4, 6, 3))) > 1e-2


@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_under_autocast(name):
    """Features may be bfloat16: the loss and its gradient stay close to those in single precision."""
    group = cyclic(4)
    torch.manual_seed(0)
    loss = LOSSES[name](group)
    views = torch.stack(two_views(group, 64, 8)).float().bfloat16().float().requires_grad_()
    loss(*views)
    expected = loss(*views)
    (gradient,) = torch.autograd.grad(expected, views)
    with torch.autocast("cpu", torch.bfloat16):
        value = loss(*views.bfloat16())
        (half,) = torch.autograd.grad(value, views)
    assert value.dtype == torch.float32
    assert abs(value - expected) < 1e-2 * max(1, abs(expected))
    # A predictor computes in bfloat16, and another of two near maxima may win.
    tolerance = 0.3 if hasattr(loss, "predictor") else 0.05
    assert (half - gradient).norm() < tolerance * gradient.norm()


@pytest.mark.parametrize("loss", [InfoNCE, SimSiam, BYOL, MoCo, VICReg, BarlowTwins])
def test_the_first_argument_is_the_group_and_is_enough(loss):
    for group in (cyclic(4), dihedral(4)):
        made = loss(group)
        assert made.group is group
        assert loss(group)(torch.randn(4, 2, group.order), torch.randn(4, 2, group.order)).ndim == 0


@pytest.mark.parametrize("loss", [SimSiam, BYOL, MoCo, VICReg, BarlowTwins])
def test_errors_name_the_argument(as_a_user, loss):
    group = cyclic(4)
    z = torch.randn(4, 3, 4)
    with pytest.raises(TypeError, match="group must be a FiniteGroup, got 'C4'"):
        loss("C4")
    with pytest.raises(ValueError, match=r"features must have shape \(B, C, 4\)"):
        loss(group)(torch.randn(4, 3, 5), z)
    with pytest.raises(ValueError, match="z1 and z2 must have one shape"):
        loss(group)(z, z[:2])


# VICReg and Barlow Twins count the size of the features itself.
SIZES = [(name, size) for name in LOSSES for size in (1e-3, 1.0, 20.0, 60.0)]
SIZES = [(name, size) for name, size in SIZES if size == 1 or name not in ("VICReg", "BarlowTwins")]


@pytest.mark.parametrize(("name", "size"), SIZES)
def test_half_precision_at_every_size(name, size):
    """In float16 squares overflow above 256 and vanish below 2e-4: lengths are taken in single precision."""
    group = cyclic(4)
    torch.manual_seed(0)
    loss = LOSSES[name](group)
    views = (size * torch.stack(two_views(group, 32, 64))).half().float().requires_grad_()
    loss(*views)
    expected = loss(*views)
    (gradient,) = torch.autograd.grad(expected, views)
    with torch.autocast("cpu", torch.float16):
        value = loss(*views.half())
        (found,) = torch.autograd.grad(value, views)
    assert abs(value - expected) < 2e-2 * max(1, abs(expected))
    assert (found - gradient).norm() < 0.3 * gradient.norm()


NAMED = {
    "list": (lambda loss, z: loss([1.0], z), TypeError, "z1 must be a Tensor, got"),
    "none": (lambda loss, z: loss(z, None), TypeError, "z2 must be a Tensor, got None"),
    "integers": (lambda loss, z: loss(z.long(), z.long()), TypeError, "z1 must hold floating-point numbers"),
    "types": (lambda loss, z: loss(z, z.double()), ValueError, "z1 and z2 must have one dtype on one device"),
    "targets": (
        lambda loss, z: loss(z, z, z[:, :2], z) if hasattr(loss, "momentum") else loss(z, z[:, :2]),
        ValueError,
        "(z1 and target1|z1 and z2) must have one shape",
    ),
}


@pytest.mark.parametrize("case", NAMED)
@pytest.mark.parametrize("loss", [InfoNCE, SimSiam, BYOL, MoCo, VICReg, BarlowTwins])
def test_wrong_features_are_named(as_a_user, loss, case):
    call, error, words = NAMED[case]
    made, z = loss(cyclic(4)), torch.randn(4, 3, 4)
    made(z, z)
    with pytest.raises(error, match=words):
        call(made, z)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: VICReg(cyclic(4), invariance="x"), TypeError, "invariance must be a number, got 'x'"),
        (lambda: BarlowTwins(cyclic(4), redundancy=None), TypeError, "redundancy must be a number, got None"),
        (lambda: BYOL(cyclic(4), momentum="x"), ValueError, "momentum must be at least 0 and below 1, got 'x'"),
        (lambda: InfoNCE(cyclic(4), temperature=True), ValueError, "temperature must be a positive number, got True"),
        (lambda: InfoNCE(cyclic(4), temperature=float("inf")), ValueError, "temperature must be a positive number"),
        (lambda: SimSiam(cyclic(4), predictor=GroupMLP(cyclic(4), (3, 4, 2)))(*[torch.randn(4, 3, 4)] * 2),
         ValueError, r"predictor must keep the shape \(4, 3, 4\)"),
    ],
)  # fmt: skip
def test_wrong_settings_are_named(as_a_user, make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_numbers_of_numpy_are_numbers(as_a_user):
    assert InfoNCE(cyclic(4), temperature=numpy.float32(0.5)).temperature == 0.5
