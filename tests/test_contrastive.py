"""Orbit similarities and the invariant loss: what absorbs the transformation of each input, and what does not."""

import math

import pytest
import torch
import torch.nn.functional as F

from eqssl_edu.contrastive import SIMILARITIES, ContrastiveModel, InfoNCE, orbit_correlation, orbit_similarity
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.layers import GroupPool
from eqssl_edu.views import RandomView

GROUPS = [cyclic(1), cyclic(4), cyclic(8), dihedral(1), dihedral(4)]
ABSORBING = [kind for kind in SIMILARITIES if kind != "plain"]
by_name = {"ids": lambda group: group.name}


def features(group, count=5, channels=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, channels, group.order, dtype=torch.float64, generator=generator)


def own_elements(group, count, seed=9):
    return torch.randint(group.order, (count,), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_c1_definition(group):
    z, w = features(group), features(group, 4, seed=1)
    kappa = orbit_correlation(group, z, w)
    for i in range(5):
        for j in range(4):
            for g in group.elements:
                assert abs(kappa[i, j, g] - (z[i] * group.transform_features(w[j], g)).sum()) < 1e-12


@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_c1_kappa_is_permuted(group):
    """C1: kappa(a z, b w)[g] = kappa(z, w)[a^-1 g b]."""
    z, w = features(group), features(group, seed=1)
    kappa = orbit_correlation(group, z, w)
    for a in group.elements:
        for b in group.elements:
            moved = orbit_correlation(group, group.transform_features(z, a), group.transform_features(w, b))
            index = group.product[group.product[group.inverse[a]], b]
            assert (moved - kappa[:, :, index]).abs().max() < 1e-12


@pytest.mark.parametrize("kind", ABSORBING)
@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_c1_similarity_absorbs_independent_elements(group, kind):
    z, w = features(group, 8), features(group, 8, seed=1)
    before = orbit_similarity(group, z, w, kind)
    z, w = (group.transform_features(x, own_elements(group, 8, seed)) for x, seed in ((z, 2), (w, 3)))
    assert (orbit_similarity(group, z, w, kind) - before).abs().max() < 1e-12


def test_c1_plain_similarity_does_not_absorb():
    """The must-fail twin."""
    group = cyclic(4)
    z, w = features(group, 8), features(group, 8, seed=1)
    moved = orbit_similarity(group, group.transform_features(z, own_elements(group, 8)), w, "plain")
    assert (moved - orbit_similarity(group, z, w, "plain")).abs().max() > 0.1


@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_mean_is_pooling_over_the_group_first(group):
    z, w = features(group), features(group, seed=1)
    pooled = z.sum(dim=2) @ w.sum(dim=2).T / group.order
    assert (orbit_correlation(group, z, w).mean(dim=2) - pooled).abs().max() < 1e-12
    assert (orbit_similarity(group, z, w, "mean") - pooled).abs().max() < 1e-12


@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_max_is_a_distance_of_orbits(group):
    """min_g |z - g w|^2 = 2 - 2 max kappa for unit vectors."""
    z, w = (F.normalize(features(group, seed=seed).flatten(1)).reshape(5, 3, -1) for seed in (0, 1))
    best = torch.stack(
        [(z[:, None] - group.transform_features(w, g)).square().sum((2, 3)) for g in group.elements]
    )
    assert (best.amin(dim=0) - (2 - 2 * orbit_similarity(group, z, w, "max"))).abs().max() < 1e-12


def test_soft_lies_between_mean_and_max_and_reaches_both():
    group = dihedral(4)
    z, w = features(group), features(group, seed=1)
    mean, soft, best = (orbit_similarity(group, z, w, kind) for kind in ("mean", "soft", "max"))
    assert (mean < soft).all() and (soft < best).all()
    cold, hot = (orbit_similarity(group, z, w, "soft", t) for t in (1e-4, 1e6))
    assert (cold - best).abs().max() < 1e-4 * math.log(8) + 1e-12
    assert (hot - mean).abs().max() < 1e-4


@pytest.mark.parametrize("kind", ABSORBING)
@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_loss_absorbs_independent_elements_of_all_views(group, kind):
    z1, z2 = features(group, 8), features(group, 8, seed=1)
    loss = InfoNCE(group, kind)
    before = loss(z1, z2)
    moved = loss(
        *(group.transform_features(z, own_elements(group, 8, seed)) for z, seed in ((z1, 2), (z2, 3)))
    )
    assert abs(moved - before) < 1e-12


def test_plain_loss_does_not_absorb():
    """The must-fail twin."""
    group = cyclic(4)
    z1, z2 = features(group, 8), features(group, 8, seed=1)
    loss = InfoNCE(group, "plain")
    assert abs(loss(group.transform_features(z1, own_elements(group, 8)), z2) - loss(z1, z2)) > 1e-2


@pytest.mark.parametrize("kind", SIMILARITIES)
def test_c2_parameter_gradients_ignore_turns_of_the_views(kind):
    """C2: with an equivariant encoder every parameter gradient is the same after independent turns of 2B views."""
    group = dihedral(4)
    torch.manual_seed(0)
    encoder = GroupCNN(group, channels=(3, 4)).double().train()
    views = torch.rand(2, 6, 1, 9, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    loss = InfoNCE(group, kind)

    def gradient(first, second):
        value = loss(*encoder(torch.cat([first, second])).chunk(2))
        return torch.cat([part.flatten() for part in torch.autograd.grad(value, list(encoder.parameters()))])

    before = gradient(*views)
    after = gradient(
        *(
            group.transform(view, own_elements(group, 6, seed))
            for view, seed in zip(views, (2, 3), strict=True)
        )
    )
    change = (after - before).norm() / before.norm()
    assert change > 1e-2 if kind == "plain" else change < 1e-12


def test_mean_sends_no_gradient_along_the_group():
    """With the mean similarity the orientation channels learn nothing: the gradient is constant along the group."""
    group = cyclic(4)
    z, w = features(group).requires_grad_(), features(group, seed=1)
    (mean,) = torch.autograd.grad(orbit_similarity(group, z, w, "mean").square().sum(), z)
    (soft,) = torch.autograd.grad(orbit_similarity(group, z, w, "soft").square().sum(), z)
    assert (mean - mean.mean(dim=2, keepdim=True)).abs().max() < 1e-12
    assert (soft - soft.mean(dim=2, keepdim=True)).abs().max() > 1e-2


def test_trivial_group_gives_the_standard_loss():
    """|G| = 1: SimCLR's NT-Xent, written out here with loops."""
    group = cyclic(1)
    z1, z2 = features(group, 4), features(group, 4, seed=1)
    views = F.normalize(torch.cat([z1, z2]).flatten(1))
    total = 0.0
    for i in range(8):
        scores = [math.exp(float(views[i] @ views[k]) / 0.5) for k in range(8) if k != i]
        total -= math.log(math.exp(float(views[i] @ views[(i + 4) % 8]) / 0.5) / sum(scores)) / 8
    for kind in ("plain", "max", "soft", "mean"):  # a power is another similarity, even for one element
        assert abs(float(InfoNCE(group, kind, 0.5)(z1, z2)) - total) < 1e-12


def test_pooling_each_channel_loses_what_max_keeps():
    """Two features that differ in the relative orientation of their channels: equal when max-pooled, not under max."""
    group = cyclic(4)
    z = torch.eye(4, dtype=torch.float64)[[0, 0]][None]
    w = torch.eye(4, dtype=torch.float64)[[0, 1]][None]
    pool = GroupPool(group)
    assert torch.equal(pool(z), pool(w))
    assert orbit_similarity(group, z, w, "max") < orbit_similarity(group, z, z, "max")


@pytest.mark.parametrize("kind", ["plain", "max"])
def test_model_reports_loss_and_accuracy(kind):
    group = cyclic(4)
    torch.manual_seed(0)
    model = ContrastiveModel(GroupCNN(group, channels=(4, 6)), InfoNCE(group, kind), RandomView(group))
    images = torch.rand(8, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    first, second = (model.training_step(images, torch.Generator().manual_seed(5)) for _ in range(2))
    assert first["loss"].requires_grad and torch.equal(first["loss"], second["loss"])
    assert 0 <= first["accuracy"] <= 1


def test_errors_name_the_argument(as_a_user):
    group = cyclic(4)
    z = torch.randn(3, 2, 4)
    with pytest.raises(ValueError, match=r"kind must be one of max, soft, .* got 'best'"):
        orbit_similarity(group, z, z, "best")
    with pytest.raises(ValueError, match="similarity must be one of"):
        InfoNCE(group, "best")
    with pytest.raises(ValueError, match="temperature must be a positive number, got 0"):
        InfoNCE(group, "soft", 0)
    with pytest.raises(ValueError, match=r"features must have shape \(B, C, 4\)"):
        orbit_correlation(group, torch.randn(3, 2, 5), z)
    with pytest.raises(ValueError, match=r"features must have shape \(B, 2, 4\)"):
        orbit_correlation(group, z, torch.randn(3, 5, 4))
    with pytest.raises(ValueError, match="B >= 2"):
        InfoNCE(group)(z[:1], z[:1])
    with pytest.raises(ValueError, match="loss must be over the encoder's group C4, got D4"):
        ContrastiveModel(GroupCNN(group), InfoNCE(dihedral(4)), RandomView())
