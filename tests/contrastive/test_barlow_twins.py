"""Barlow Twins: the standard loss at |G| = 1 and on aligned pairs joined with their turned copies."""

import pytest
import torch
from families import by_name, features, joined_with_turned_copies, lightly_loss, turned, two_views

from eqssl_edu.contrastive import BarlowTwins
from eqssl_edu.contrastive.pairs import align
from eqssl_edu.contrastive.statistics import standardize
from eqssl_edu.groups import cyclic, dihedral


def standard(a, b, redundancy=5e-3):
    """Algorithm 1 of the paper, for vectors (B, D); 1e-5 under the root as in batch norm."""
    a, b = ((x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt() for x in (a, b))
    correlation = a.T @ b / len(a)
    squares = (correlation - torch.eye(a.shape[1], dtype=a.dtype)).square()
    diagonal = squares.diagonal().sum()
    return diagonal + redundancy * (squares.sum() - diagonal)


def test_C5_trivial_group_gives_the_standard_loss():
    z1, z2 = two_views(cyclic(1), channels=6)
    assert abs(BarlowTwins(cyclic(1))(z1, z2) - standard(z1[:, :, 0], z2[:, :, 0])) < 1e-12


def test_C5_trivial_group_gives_lightlys_loss():
    theirs = lightly_loss("barlow_twins_loss").BarlowTwinsLoss()
    z1, z2 = two_views(cyclic(1), channels=6)
    assert abs(BarlowTwins(cyclic(1))(z1, z2) - theirs(z1[:, :, 0], z2[:, :, 0])) < 1e-12


@pytest.mark.parametrize("group", [cyclic(4), dihedral(4)], **by_name)
def test_C5_it_is_the_standard_loss_of_aligned_pairs_and_all_their_turned_copies(group):
    z1, z2 = two_views(group)
    partner = align(group, standardize(z1), standardize(z2))
    expected = standard(*(joined_with_turned_copies(group, z) for z in (z1, partner)))
    # Standardised twice: the 1e-5 under the root counts twice in the expected value.
    assert abs(BarlowTwins(group)(z1, z2) - expected) < 1e-4 * expected
    assert expected > 1e-3


@pytest.mark.parametrize("group", [cyclic(4), dihedral(4)], **by_name)
def test_the_same_image_twice_leaves_redundancy_alone(group):
    z = features(group, 32)
    first, second = turned(group, z, z)
    assert BarlowTwins(group, redundancy=0)(first, second) < 1e-6
    assert BarlowTwins(group, redundancy=1)(first, second) > 1e-2


def test_gradients():
    views = tuple(z.requires_grad_() for z in two_views(dihedral(1), 4, 2))
    assert torch.autograd.gradcheck(BarlowTwins(dihedral(1)), views)
