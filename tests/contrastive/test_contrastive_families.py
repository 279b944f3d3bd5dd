"""Every family of contrastive losses absorbs the transformation of each input (docs/theory.md C1, C2, C5)."""

import copy

import numpy
import pytest
import torch
from families import features, own_elements, turned, two_views

from eqssl_edu.contrastive import (
    BYOL,
    BarlowTwins,
    ContrastiveModel,
    InfoNCE,
    Loss,
    MoCo,
    SimSiam,
    VICReg,
    canonicalize,
    orbit_correlation,
    orbit_distance,
    orbit_similarity,
)
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.layers import FlatMLP, GroupMLP

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


class OrdinaryBarlowTwins(Loss):
    """Barlow Twins on flattened features, as it is for vectors."""

    def __init__(self, group):
        super().__init__(group)
        self.trivial = BarlowTwins(cyclic(1))

    def forward(self, z1, z2):
        return self.trivial(*(z.flatten(1)[:, :, None] for z in (z1, z2)))


NAIVE["Barlow Twins, ordinary"] = OrdinaryBarlowTwins


@pytest.mark.parametrize("name", LOSSES)
def test_C1_and_C2_every_loss_absorbs_2b_independent_elements_and_its_gradient_turns_with_them(name):
    group = dihedral(4)
    torch.manual_seed(0)
    loss = LOSSES[name](group)
    views = torch.stack(two_views(group)).requires_grad_()
    before = loss(*views)
    assert before.ndim == 0 and before.isfinite()
    after = loss(*turned(group, *views))
    assert abs(after - before) < 1e-12
    assert loss(*views) == before  # a call changes nothing
    (gradient,), (moved,) = (torch.autograd.grad(value, views) for value in (before, after))
    assert gradient.abs().max() > 1e-4
    assert (moved - gradient).abs().max() < 1e-12 * max(1, float(gradient.abs().max()))


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
def test_C2_parameter_gradients_ignore_turns_of_the_views(name):
    """Encoder, projector and predictor, all in training mode."""
    group = dihedral(4)
    torch.manual_seed(0)
    assert gradient_change(group, LOSSES[name](group), GroupMLP(group, (4, 6, 3))) < 1e-12


@pytest.mark.parametrize("name", ["InfoNCE", "BYOL", "MoCo", "Barlow Twins, ordinary"])
def test_C2_naive_losses_learn_something_else_from_turned_views(name):
    """The must-fail twins."""
    group = cyclic(4)
    torch.manual_seed(0)
    assert gradient_change(group, NAIVE[name](group), GroupMLP(group, (4, 6, 3))) > 1e-2


@pytest.mark.parametrize("name", ["InfoNCE", "SimSiam", "VICReg"])
def test_C5_a_flattened_projector_breaks_every_loss(name):
    """The must-fail twin of the projector: BatchNorm1d over flattened features."""
    group = cyclic(4)
    torch.manual_seed(0)
    assert gradient_change(group, LOSSES[name](group), FlatMLP(group, (4, 6, 3))) > 1e-2


@pytest.mark.parametrize("name", [name for name in LOSSES if "," not in name])
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


SIZES = [(name, size) for name in ("InfoNCE", "BYOL", "MoCo, max") for size in (1e-3, 60.0)]


# VICReg and Barlow Twins count the size of the features itself.
@pytest.mark.parametrize(("name", "size"), [*SIZES, ("VICReg", 1.0), ("BarlowTwins", 1.0)])
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


# -- doors ---------------------------------------------------------------------------------------------------------

G, Z = cyclic(4), torch.randn(4, 3, 4)
FAMILIES = [InfoNCE, SimSiam, BYOL, MoCo, VICReg, BarlowTwins]
BAD_FEATURES = [  # (the two views, the name that the message begins with)
    (([1.0], Z), "z1"),
    ((Z, None), "z2"),
    ((Z.long(), Z.long()), "z1"),
    ((Z, Z.double()), "z2.dtype"),
    ((Z, Z[:2]), "z2"),
    ((Z, Z[:, :2]), "z2"),
    ((torch.randn(4, 3, 5), Z), "z1"),
]


@pytest.mark.parametrize("loss", FAMILIES)
def test_each_loss_refuses_bad_features_and_names_them(as_a_user, loss):
    made = loss(G)
    made(Z, Z)
    for views, name in BAD_FEATURES:
        with pytest.raises((TypeError, ValueError), match=f"^{name}"):
            made(*views)
    if loss is not MoCo:
        with pytest.raises(ValueError, match=r"^len.z1. must be at least 2"):
            made(Z[:1], Z[:1])
    if made.momentum is not None:
        with pytest.raises(ValueError, match=r"^target1"):
            made(Z, Z, Z[:, :2], Z)
    with pytest.raises(TypeError, match=r"^group must be a FiniteGroup, got 'C4'"):
        loss("C4")


@pytest.mark.parametrize("function", [orbit_correlation, orbit_similarity, orbit_distance])
def test_each_similarity_refuses_bad_features_and_names_them(as_a_user, function):
    for arguments, name in [
        (("C4", Z, Z), "group"),
        ((G, [1.0], Z), "z "),
        ((G, torch.randn(3, 2, 5), Z), "z "),
        ((G, Z, None), "w "),
        ((G, Z, Z[:, :2]), "w "),
        ((G, Z.long(), Z), "z "),
        ((G, Z, Z.double()), "w.dtype"),
    ]:
        with pytest.raises((TypeError, ValueError), match=f"^{name}"):
            function(*arguments)


NAN, INFINITE = float("nan"), float("inf")
REFUSED = [  # (what is called, the name that the message begins with)
    (lambda: orbit_similarity(G, Z, Z, "best"), "kind"),
    (lambda: orbit_similarity(G, Z, Z, "soft", 0), "temperature"),
    (lambda: orbit_similarity(G, Z, Z, "soft", NAN), "temperature"),
    (lambda: canonicalize(G, torch.randn(3, 4)), "z "),
    (lambda: InfoNCE(G, "best"), "similarity"),
    (lambda: InfoNCE(G, temperature=True), "temperature"),
    (lambda: InfoNCE(G, temperature=INFINITE), "temperature"),
    (lambda: InfoNCE(G, chunk=0), "chunk"),
    (lambda: SimSiam(G, "best"), "similarity"),
    (lambda: SimSiam(G, predictor=GroupMLP(G, (3, 4, 2)))(Z, Z), "predictor"),
    (lambda: BYOL(G, momentum="x"), "momentum"),
    (lambda: BYOL(G, momentum=1.0), "momentum"),
    (lambda: BYOL(G, momentum=NAN), "momentum"),
    (lambda: MoCo(G, "best"), "similarity"),
    (lambda: MoCo(G, temperature=-1.0), "temperature"),
    (lambda: MoCo(G, momentum=-1), "momentum"),
    (lambda: MoCo(G, size=0), "size"),
    (lambda: VICReg(G, covariance=-1), "covariance"),
    (lambda: VICReg(G, invariance="x"), "invariance"),
    (lambda: VICReg(G, variance=INFINITE), "variance"),
    (lambda: BarlowTwins(G, redundancy=None), "redundancy"),
    (lambda: BarlowTwins(G, redundancy=NAN), "redundancy"),
]


def test_each_door_refuses_and_names_the_argument(as_a_user):
    for call, name in REFUSED:
        with pytest.raises((TypeError, ValueError), match=f"^{name}"):
            call()


def test_numbers_of_numpy_are_numbers(as_a_user):
    assert InfoNCE(cyclic(4), temperature=numpy.float32(0.5)).temperature == 0.5
