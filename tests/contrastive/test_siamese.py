"""SimSiam and BYOL: the standard losses at |G| = 1, where the gradient stops, the predictor."""

import pytest
import torch
import torch.nn.functional as F
from families import features, lightly_loss, turned, two_views
from torch import nn

from eqssl_edu.contrastive import BYOL, SimSiam
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.layers import GroupMLP

TRIVIAL = cyclic(1)


def predicted(loss, *batches):
    """Predictions and targets as plain vectors."""
    return [loss.predictor(z).flatten(1) for z in batches], [z.detach().flatten(1) for z in batches]


@pytest.mark.parametrize("kind", ["max", "soft"])
def test_C5_trivial_group_gives_simsiam(kind):
    """Algorithm 1 of the paper: D(p, z) = -cosine(p, stopgrad(z)), L = D(p1, z2)/2 + D(p2, z1)/2."""
    z1, z2 = two_views(TRIVIAL, channels=6)
    loss = SimSiam(TRIVIAL, kind)
    value = loss(z1, z2)
    (p1, p2), (t1, t2) = predicted(loss, z1, z2)
    expected = -F.cosine_similarity(p1, t2).mean() / 2 - F.cosine_similarity(p2, t1).mean() / 2
    assert abs(value - expected) < 1e-12


@pytest.mark.parametrize("kind", ["max", "soft"])
def test_C5_trivial_group_gives_byol(kind):
    """Equations 2 of the paper: |unit(q) - unit(t')|^2 and the same with the views exchanged."""
    z1, z2, t1, t2 = (features(TRIVIAL, channels=6, seed=seed) for seed in range(4))
    loss = BYOL(TRIVIAL, kind)
    value = loss(z1, z2, t1, t2)
    (p1, p2), _ = predicted(loss, z1, z2)
    distance = [
        (F.normalize(p) - F.normalize(t.flatten(1))).square().sum(1).mean() for p, t in ((p1, t2), (p2, t1))
    ]
    assert abs(value - sum(distance)) < 1e-12


def test_C5_trivial_group_gives_lightlys_losses():
    cosine = lightly_loss("negative_cosine_similarity").NegativeCosineSimilarity()
    z1, z2 = two_views(TRIVIAL, channels=6)
    for loss, offset, scale in ((SimSiam(TRIVIAL), 0, 1), (BYOL(TRIVIAL), 4, 4)):
        value = loss(z1, z2)
        (p1, p2), (t1, t2) = predicted(loss, z1, z2)
        assert abs(value - offset - scale * (cosine(p1, t2) + cosine(p2, t1)) / 2) < 1e-12


def test_C5_max_is_the_distance_to_the_nearest_turned_target():
    group = dihedral(4)
    z1, z2, t1, t2 = (features(group, channels=6, seed=seed) for seed in range(4))
    loss = BYOL(group)
    value = loss(z1, z2, t1, t2)

    def nearest(z, t):
        p, t = (x / x.flatten(1).norm(dim=1)[:, None, None] for x in (loss.predictor(z), t))
        copies = [(p - group.transform_features(t, g)).square().sum((1, 2)) for g in group.elements]
        return torch.stack(copies).amin(dim=0).mean()

    assert abs(value - nearest(z1, t2) - nearest(z2, t1)) < 1e-12


@pytest.mark.parametrize("loss", [SimSiam(cyclic(4)), BYOL(cyclic(4))], ids=["SimSiam", "BYOL"])
def test_the_gradient_stops_at_the_targets(loss):
    """The gradient of z1 comes through its prediction alone, as if the target were a constant."""
    z1, z2 = (z.requires_grad_() for z in two_views(cyclic(4)))
    (gradient,) = torch.autograd.grad(loss(z1, z2), z1)
    one_sided = BYOL(cyclic(4), predictor=loss.predictor)
    (expected,) = torch.autograd.grad(one_sided(z1, z2.detach(), z1.detach(), z2.detach()), z1)
    scale = 1 if isinstance(loss, BYOL) else 1 / 4
    assert (gradient - scale * expected).abs().max() < 1e-12


def test_the_predictor_is_made_for_the_width_and_kept():
    loss = SimSiam(cyclic(4))
    assert loss.predictor is None
    loss.build(24)
    assert loss.predictor.channels == (24, 6, 24)
    first = loss.predictor
    loss.build(24)
    assert loss.predictor is first
    own = GroupMLP(cyclic(4), (8, 8))
    assert BYOL(cyclic(4), predictor=own).predictor is own


def test_a_perfect_pair_has_the_lowest_value():
    """With a predictor that changes nothing, turned copies of one feature agree perfectly."""
    group = dihedral(4)
    z = features(group)
    copies = turned(group, z, z)
    assert abs(SimSiam(group, predictor=nn.Identity())(*copies) + 1) < 1e-12
    assert abs(BYOL(group, predictor=nn.Identity())(*copies)) < 1e-12
    assert SimSiam(group, "plain", predictor=nn.Identity())(*copies) > -0.9


def test_the_hidden_layer_is_never_narrower_than_4_and_a_state_loads_after_build():
    """A single hidden unit would give predictions of one direction only."""
    for channels, hidden in ((3, 4), (64, 16)):
        loss = SimSiam(cyclic(4))
        loss.build(channels)
        assert loss.predictor.channels == (channels, hidden, channels)
    other = SimSiam(cyclic(4))
    other.build(64)
    other.load_state_dict(loss.state_dict())
