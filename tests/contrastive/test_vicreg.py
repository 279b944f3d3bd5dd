"""VICReg: the standard loss at |G| = 1 and on batches joined with their turned copies; orbit collapse."""

import pytest
import torch
import torch.nn.functional as F
from families import (
    by_name,
    features,
    joined_with_turned_copies,
    lightly_loss,
    own_elements,
    two_views,
)

from eqssl_edu.contrastive import VICReg
from eqssl_edu.groups import cyclic, dihedral


def standard_terms(a, b):
    """Algorithm 1 of the paper, for vectors (B, D)."""
    invariance = F.mse_loss(a, b)
    variance = sum(F.relu(1 - torch.sqrt(x.var(dim=0) + 1e-4)).mean() for x in (a, b)) / 2
    covariance = 0.0
    for x in (a, b):
        x = x - x.mean(dim=0)
        matrix = x.T @ x / (len(x) - 1)
        covariance += (matrix.square().sum() - matrix.diagonal().square().sum()) / x.shape[1]
    return {"invariance": invariance, "variance": variance, "covariance": covariance}


def test_C5_trivial_group_gives_the_standard_loss():
    group = cyclic(1)
    z1, z2 = (0.7 * z for z in two_views(group, channels=6))
    terms = standard_terms(z1[:, :, 0], z2[:, :, 0])
    assert all(abs(VICReg(group).terms(z1, z2)[name] - terms[name]) < 1e-12 for name in terms)
    expected = 25 * terms["invariance"] + 25 * terms["variance"] + terms["covariance"]
    assert abs(VICReg(group)(z1, z2) - expected) < 1e-12


def test_C5_trivial_group_gives_lightlys_loss():
    theirs = lightly_loss("vicreg_loss").VICRegLoss()
    z1, z2 = (0.7 * z for z in two_views(cyclic(1), channels=6))
    assert abs(VICReg(cyclic(1))(z1, z2) - theirs(z1[:, :, 0], z2[:, :, 0])) < 1e-12


@pytest.mark.parametrize("group", [cyclic(4), dihedral(4)], **by_name)
def test_C5_variance_and_covariance_are_those_of_all_turned_copies(group):
    """Any group: the standard terms of the batch joined with the |G| turned copies of its members."""
    z1, z2 = (0.7 * z for z in two_views(group))
    ours = VICReg(group).terms(z1, z2)
    theirs = standard_terms(*(joined_with_turned_copies(group, z) for z in (z1, z2)))
    assert ours["covariance"] > 0.01 and ours["variance"] > 0.01
    assert abs(ours["variance"] - theirs["variance"]) < 1e-12
    assert abs(ours["covariance"] - theirs["covariance"]) < 1e-12


@pytest.mark.parametrize("group", [cyclic(4), dihedral(4)], **by_name)
def test_C5_invariance_is_the_nearest_turned_copy(group):
    z1, z2 = two_views(group)
    copies = [(z1 - group.transform_features(z2, g)).square().mean(dim=(1, 2)) for g in group.elements]
    expected = torch.stack(copies).amin(dim=0).mean()
    assert abs(VICReg(group).terms(z1, z2)["invariance"] - expected) < 1e-12


class OfAnInvariant(VICReg):
    """The variance over the batch of each channel's values in ascending order: no turn changes their order."""

    def variances(self, z):
        return z.sort(dim=2).values.var(dim=0).mean(dim=1)


def one_table(group, turned, count=64):
    """The same table for all images, in one pose or each turned by an element of its own; two views."""
    z = features(group, 1, channels=8)
    z = (2 * z / z.std(dim=2, keepdim=True)).expand(count, -1, -1)
    views = [group.transform_features(z, own_elements(group, count, s)) for s in (0, 1)]
    return views if turned else [z, z]


@pytest.mark.parametrize("turned", [False, True], ids=["complete collapse", "orbit collapse"])
def test_C6_without_covariance_collapse_costs_nothing(turned):
    """Aligned, with a healthy variance over batch and group, and no content; turned or not makes no difference."""
    group = cyclic(4)
    terms = VICReg(group).terms(*one_table(group, turned))
    assert terms["invariance"] < 1e-24 and terms["variance"] == 0
    assert VICReg(group, covariance=0)(*one_table(group, turned)) < 1e-20
    assert VICReg(group)(*one_table(group, turned)) > 1  # the covariance sees that the rank is at most |G|


@pytest.mark.parametrize("group", [cyclic(4), dihedral(4)], **by_name)
def test_C6_the_variance_of_an_invariant_sees_both_collapses(group):
    """Must fail for the variance of each entry over the batch alone: it misses tables that are turned."""
    loss = OfAnInvariant(group)
    for turned in (False, True):
        z1, z2 = one_table(group, turned)
        assert abs(loss.terms(z1, z2)["variance"] - 0.99) < 1e-9
        assert (z1.var(dim=0).min() > 1e-3) == turned
    z1, z2 = two_views(group)
    moved = [group.transform_features(z, own_elements(group, len(z), s)) for s, z in enumerate((z1, z2))]
    assert abs(loss(*moved) - loss(z1, z2)) < 1e-12
    assert loss.terms(3 * z1, 3 * z2)["variance"] < 0.01  # healthy features pass


def test_C5_the_variance_of_an_invariant_is_the_standard_one_at_the_trivial_group():
    z1, z2 = (0.7 * z for z in two_views(cyclic(1), channels=6))
    assert abs(OfAnInvariant(cyclic(1))(z1, z2) - VICReg(cyclic(1))(z1, z2)) < 1e-12


def test_group_collapse_costs_covariance():
    """Features that are constant along the group: each channel's copies are perfectly correlated."""
    group = cyclic(4)
    z = features(group, 64)
    constant = z.mean(dim=2, keepdim=True).expand_as(z) * 2
    assert (
        VICReg(group).terms(constant, constant)["covariance"] > 10 * VICReg(group).terms(z, z)["covariance"]
    )


def test_gradients():
    z1, z2 = two_views(cyclic(4), 4, 2)
    assert torch.autograd.gradcheck(
        VICReg(cyclic(4)), ((0.5 * z1).requires_grad_(), (0.5 * z2).requires_grad_())
    )
