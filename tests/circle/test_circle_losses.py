"""A16: every loss over SO(2) and O(2) absorbs turns by any angle, or is refused with the one that does."""

import pytest
import torch
import torch.nn.functional as F
from families import circle_features, features, turned_anyhow
from torch import nn

from eqssl_edu.circle import o2, so2, turn_features
from eqssl_edu.contrastive import (
    BYOL,
    BarlowTwins,
    ContrastiveModel,
    InfoNCE,
    MoCo,
    SimSiam,
    VICReg,
    canonicalize,
    orbit_similarity,
)
from eqssl_edu.contrastive.features import unit
from eqssl_edu.contrastive.pairs import align, pair_similarity
from eqssl_edu.diagnostics import (
    alignment,
    irrep_energy,
    matched_temperature,
    orbit_collapse,
    orbit_spread,
    pooled_spread,
    uniformity,
)
from eqssl_edu.evaluation import orbit_knn_accuracy
from eqssl_edu.groups import cyclic
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import FlatMLP, GroupLinear, GroupMLP, GroupPool
from eqssl_edu.views import RandomView

GROUPS = [so2(3), so2(2, samples=5), o2(2)]
over_circles = pytest.mark.parametrize("group", GROUPS, ids=repr)
ABSORBING = ["max", "soft", "mean", "power2", "power3"]


def two_views(group, count=8, channels=3, make=circle_features):
    z = make(group, count, channels)
    return torch.stack([z, z + 0.5 * make(group, count, channels, seed=1)])


def linear(group):
    torch.manual_seed(0)
    return GroupLinear(group, 3, 3).double()


LOSSES = {
    **{f"InfoNCE, {kind}": lambda group, kind=kind: InfoNCE(group, kind) for kind in ABSORBING},
    "InfoNCE, by chunks": lambda group: InfoNCE(group, "max", chunk=3),
    "MoCo": lambda group: MoCo(group, size=16),
    "MoCo, max": lambda group: MoCo(group, "max", size=16),
    "SimSiam": lambda group: SimSiam(group, predictor=linear(group)),
    "BYOL": lambda group: BYOL(group, "soft", predictor=linear(group)),
    "VICReg": VICReg,
    "BarlowTwins": BarlowTwins,
}
NAIVE = {
    "InfoNCE": lambda group: InfoNCE(group, "plain"),
    "MoCo": lambda group: MoCo(group, "plain", size=16),
    "SimSiam": lambda group: SimSiam(group, "plain", predictor=linear(group)),
    "SimSiam, flattened predictor": lambda group: SimSiam(
        group, predictor=FlatMLP(group, (3, 6, 3)).double()
    ),
}


def changes(loss, views, turned):
    """Of the loss, and of its gradient, brought back by the turns, relative to its length."""
    views = views.requires_grad_()
    before, after = loss(*views), loss(*turned(views))
    first, second = (torch.autograd.grad(value, views)[0] for value in (before, after))
    return float((after - before).detach().abs()), float((second - first).norm() / first.norm())


@over_circles
@pytest.mark.parametrize("name", LOSSES)
def test_A16_every_loss_absorbs_turns_of_all_views_by_any_angle(group, name):
    """Of features with what lies above L as well."""
    for make in (circle_features, features):
        views = two_views(group, make=make)
        change, of_gradient = changes(LOSSES[name](group), views, lambda views: turned_anyhow(group, *views))
        assert change < 1e-12 and of_gradient < 2e-9


@pytest.mark.parametrize("kind", ["max", "soft"])
def test_A16_the_figures(kind):
    group = so2(3)
    views = two_views(group, 32, 16)
    turned = [turn_features(group, view, angle) for view, angle in zip(views, (17.0, 31.5), strict=True)]
    loss = InfoNCE(group, kind)
    assert abs(loss(*turned) - loss(*views)) < 1e-14
    assert changes(loss, views, lambda views: turned_anyhow(group, *views))[1] < 1e-13


@pytest.mark.parametrize("name", NAIVE)
def test_A16_naive_losses_do_not(name):
    """The must-fail twins."""
    group = so2(3)
    change, of_gradient = changes(
        NAIVE[name](group), two_views(group), lambda views: turned_anyhow(group, *views)
    )
    assert change > 1e-2 and of_gradient > 1e-2


@pytest.mark.parametrize("group", [so2(3), o2(3)], ids=repr)
def test_A16_the_similarities_of_the_samples_are_broken(group):
    """As if the samples of unit SO(2) features were features of C8: mean and power2 hold, power3 above 3 L samples."""
    finite = cyclic(8)
    z, w = (unit(circle_features(so2(3), 60, 1, seed)) for seed in (0, 1))
    moved = turned_anyhow(so2(3), z, w)
    change = {
        kind: float(
            (orbit_similarity(finite, *moved, kind) - orbit_similarity(finite, z, w, kind)).abs().max()
        )
        for kind in ("mean", "power2", "power3", "soft", "max", "canonical")
    }
    assert change["mean"] < 1e-15 and change["power2"] < 1e-15
    assert (
        change["power3"] > 1e-3
        and change["soft"] > 0.02
        and change["max"] > 0.2
        and change["canonical"] > 0.5
    )
    many, enough = so2(3, samples=10), cyclic(10)
    z, w = (unit(circle_features(many, 60, 1, seed)) for seed in (0, 1))
    moved = turned_anyhow(many, z, w)
    power3 = orbit_similarity(enough, *moved, "power3") - orbit_similarity(enough, z, w, "power3")
    assert power3.abs().max() < 1e-15


@over_circles
@pytest.mark.parametrize("kind", [*ABSORBING, "plain"])
def test_chunks_and_the_formula_are_one(group, kind):
    views = two_views(group, 7).requires_grad_()
    for chunk in (None, 1, 3, 100):
        loss = InfoNCE(group, kind, 0.3, chunk)
        value, accuracy = loss.contrast(*views)
        logits, partner = loss.logits(*views)
        expected = F.cross_entropy(logits, partner)
        assert abs(value - expected) < 1e-12
        pair = [torch.autograd.grad(each, views, retain_graph=True)[0] for each in (value, expected)]
        assert (pair[0] - pair[1]).abs().max() < 1e-12
        assert accuracy == (logits.argmax(dim=1) == partner).double().mean()


@over_circles
def test_the_loss_finds_partners_that_were_turned(group):
    z = circle_features(group, 20)
    for kind in ("max", "soft", "power3"):
        assert InfoNCE(group, kind).contrast(*turned_anyhow(group, z, z)).accuracy == 1
    assert InfoNCE(group, "plain").contrast(*turned_anyhow(group, z, z)).accuracy < 0.9


@over_circles
def test_pairs_align_as_they_were(group):
    z = circle_features(group, 20)
    moved, again = turned_anyhow(group, z, z)
    assert (align(group, moved, again) - moved).abs().max() < 1e-7
    both = two_views(group, 20)
    diagonal = orbit_similarity(group, *both, "max").diagonal()
    aligned = (both[0] * align(group, *both)).sum(dim=(1, 2))
    assert (pair_similarity(group, *both) - diagonal).abs().max() < 1e-13
    assert (aligned - diagonal).abs().max() < 1e-12


def test_autocast_and_single_precision():
    group = so2(3)
    views = two_views(group, 16, 8).float()
    for kind in ("max", "soft", "power3"):
        exact = InfoNCE(group, kind)(*views)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = InfoNCE(group, kind)(*views)
            half = InfoNCE(group, kind)(*views.bfloat16())
        assert exact.dtype == rounded.dtype == half.dtype == torch.float32
        assert abs(exact - InfoNCE(group, kind)(*views.double())) < 1e-5
        assert 1e-7 < abs(rounded - exact) < 0.03 and abs(half - exact) < 0.05


def test_a_view_of_length_zero_and_a_collapse():
    group = so2(3)
    views = two_views(group).float()
    views[0, 2] = 0
    for kind in ABSORBING:
        leaf = views.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(InfoNCE(group, kind)(*leaf), leaf)
        assert gradient.isfinite().all() and gradient.abs().max() < 1e13
    same = circle_features(group, 1).expand(8, 3, 8)
    assert abs(InfoNCE(group, "max")(*turned_anyhow(group, same, same)) - torch.tensor(15.0).log()) < 1e-6


# -- what is refused -----------------------------------------------------------------------------------------------


class Encoder(nn.Module):
    group, out_channels = so2(3), 3

    def forward(self, images):
        return images.flatten(1)[:, :24].unflatten(1, (3, 8))


def test_a_loss_of_another_group_is_refused_with_the_right_one():
    for loss in (InfoNCE(cyclic(8)), VICReg(cyclic(8)), InfoNCE(so2(2, samples=8))):
        with pytest.raises(
            ValueError, match=r"loss.group must be so2\(3, samples=8\), .* between the samples"
        ):
            ContrastiveModel(Encoder(), loss, RandomView(cyclic(4)))
    model = ContrastiveModel(Encoder(), InfoNCE(so2(3)), RandomView(cyclic(4)))
    assert model.training_step(torch.rand(4, 1, 8, 8))["loss"].isfinite()


@pytest.mark.parametrize(
    ("refused", "message"),
    [
        (lambda group: InfoNCE(group, "canonical"), "similarity must be one of 'max', 'soft'"),
        (lambda group: MoCo(group, "maxpool"), "similarity must be one of 'max', 'soft'"),
        (lambda group: SimSiam(group, "maxpool", linear(group)), "similarity must be one of 'max', 'soft'"),
        (SimSiam, "group must be finite: .*pass predictor=GroupLinear"),
        (BYOL, "group must be finite: .*pass predictor=GroupLinear"),
        (lambda group: GroupMLP(group, (3, 6, 3)), "group must be finite: a ReLU sees"),
        (GroupPool, "group must be finite: a maximum sees"),
        (GSet.regular, "group must be finite: a finite set of labels"),
        (lambda group: canonicalize(group, features(group)), "group must be finite: the largest sample sees"),
        (lambda group: matched_temperature(group, features(group), "maxpool"), "kind must be one of"),
    ],
)
def test_what_looks_at_the_samples_alone_is_refused(refused, message):
    with pytest.raises(ValueError, match=message):
        refused(so2(3))


@over_circles
def test_linear_maps_and_means_commute_with_turns_by_any_angle(group):
    z = circle_features(group)
    torch.manual_seed(0)
    for layer in (linear(group), GroupMLP(group, (3, 5), norm_output=True).double()):
        assert (
            layer(turn_features(group, z, 17.0)) - turn_features(group, layer(z), 17.0)
        ).abs().max() < 1e-13
    pool = GroupPool(group, "mean")
    assert (pool(turn_features(group, z, 31.5)) - pool(z)).abs().max() < 1e-14


@over_circles
def test_diagnostics_absorb_turns_by_any_angle(group):
    z, w = two_views(group, 20)
    labels = torch.arange(20) % 3
    readings = {
        "alignment": lambda z, w: alignment(group, z, w),
        "uniformity": lambda z, w: uniformity(group, z),
        "orbit spread": lambda z, w: orbit_spread(group, z),
        "pooled spread": lambda z, w: pooled_spread(group, z),
        "energy": lambda z, w: torch.tensor(list(irrep_energy(group, z).values())),
        "collapse": lambda z, w: orbit_collapse(group, z).orbit_spread,
        "temperature": lambda z, w: matched_temperature(group, z, "max") if z is w else 0.0,
        "neighbours": lambda z, w: orbit_knn_accuracy(group, (z, labels), (w, labels), 3),
    }
    for name, read in readings.items():
        before, after = read(z, w), read(*turned_anyhow(group, z, w))
        assert torch.allclose(torch.as_tensor(before), torch.as_tensor(after), atol=1e-9), name
    v = circle_features(group, 1).expand(20, 3, group.order)
    assert orbit_collapse(group, *turned_anyhow(group, v)).verdict == "orbit collapse"
