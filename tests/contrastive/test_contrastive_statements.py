"""Statements of docs/theory.md about contrastive losses that no other room proves."""

import pytest
import torch
from families import features, own_elements

from eqssl_edu.contrastive import InfoNCE, orbit_similarity
from eqssl_edu.diagnostics import irrep_projectors
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic, dihedral

C4, D4 = cyclic(4), dihedral(4)


# -- C2: a last turn does nothing ---------------------------------------------------------------------------------


def curve(kind, turned, steps=30):
    """Losses of a training on views with other noise each step; the turns come from a generator of their own."""
    torch.manual_seed(0)
    network, loss = GroupCNN(C4, channels=(3, 6)).double().train(), InfoNCE(C4, kind, temperature=0.2)
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    draws, turns = torch.Generator().manual_seed(1), torch.Generator().manual_seed(2)
    images = torch.rand(16, 1, 9, 9, dtype=torch.float64, generator=draws)
    found = []
    for _ in range(steps):
        noise = 0.2 * torch.randn(2, *images.shape, dtype=torch.float64, generator=draws)
        elements = torch.randint(4, (2, len(images)), generator=turns)
        views = [
            C4.transform(images + n, g) if turned else images + n
            for n, g in zip(noise, elements, strict=True)
        ]
        value = loss(*map(network, views))
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        found.append(value.item())
    return torch.tensor(found, dtype=torch.float64)


@pytest.mark.parametrize("kind", ["mean", "max", "soft", "power3"])
def test_C2_a_last_turn_changes_no_step_of_a_training(kind):
    upright, turned = curve(kind, False), curve(kind, True)
    assert (upright - turned).abs().max() < 1e-9
    assert upright[-5:].mean() < upright[:5].mean() - 0.05  # something is learned


def test_C2_it_changes_the_plain_one():
    """The must-fail twin."""
    assert (curve("plain", False) - curve("plain", True)).abs().max() > 0.5


def other_part(z):
    """What is not constant along the group."""
    return z - z.mean(dim=2, keepdim=True)


def test_C2_mean_has_no_gradient_outside_the_trivial_part_of_unit_features():
    group, count = D4, 12
    views = [features(group, count, seed=seed) for seed in (0, 1)]
    units = [(z / z.flatten(1).norm(dim=1)[:, None, None]).requires_grad_() for z in views]
    for kind, none in (("mean", True), ("max", False), ("soft", False), ("power3", False)):
        similarity = orbit_similarity(group, *units, kind)
        loss = torch.nn.functional.cross_entropy(similarity / 0.2, torch.arange(count))
        (gradient,) = torch.autograd.grad(loss, units[0])
        assert gradient.abs().max() > 1e-4
        assert (other_part(gradient).abs().max() < 1e-12) == none


def test_C2_before_the_features_are_scaled_the_gradient_of_mean_makes_their_other_part_shorter_or_longer():
    """Through the division by the length of z: per image it is a multiple of z's own part. Other kinds turn it."""
    views = [features(D4, 12, seed=seed).requires_grad_() for seed in (0, 1)]
    for kind, parallel in (("mean", True), ("max", False)):
        (gradient,) = torch.autograd.grad(InfoNCE(D4, kind)(*views), views[:1])
        own, pull = (other_part(z).flatten(1) for z in (views[0].detach(), gradient))
        along = (own * pull).sum(dim=1, keepdim=True) * own / own.square().sum(dim=1, keepdim=True)
        assert pull.abs().max() > 1e-4
        assert ((pull - along).abs().max() < 1e-12) == parallel


def test_C2_the_weights_that_mean_moves_move_the_other_part_as_well():
    torch.manual_seed(0)
    network, loss = GroupCNN(C4, channels=(3, 6)).double(), InfoNCE(C4, "mean", temperature=0.2)
    generator = torch.Generator().manual_seed(1)
    images = torch.rand(16, 1, 9, 9, dtype=torch.float64, generator=generator)
    optimizer = torch.optim.Adam(network.parameters(), 0.01)
    before = other_part(network(images)).detach()
    for _ in range(20):
        noise = 0.1 * torch.randn(images.shape, dtype=torch.float64, generator=generator)
        optimizer.zero_grad()
        loss(network(images), network(images + noise)).backward()
        optimizer.step()
    assert (other_part(network(images)) - before).norm() > 0.2 * before.norm()


# -- C1: what the second power cannot tell apart ------------------------------------------------------------------


def orthogonal_of_the_group_algebra(group, seed=0):
    """An orthogonal matrix that is a sum of a_g rho(g): in each irreducible part one orthogonal matrix of its own."""
    generator = torch.Generator().manual_seed(seed)
    basis = torch.eye(group.order, dtype=torch.float64)[None]  # rho(g) in columns
    matrices = [group.transform_features(basis, g)[0].T for g in group.elements]
    mixed = sum(torch.randn((), dtype=torch.float64, generator=generator) * m for m in matrices)
    left, _, right = torch.linalg.svd(mixed)
    return left @ right  # the nearest orthogonal matrix to a mixture is a mixture itself


@pytest.mark.parametrize("group", [C4, cyclic(8), D4], ids=lambda group: group.name)
def test_C1_power_2_does_not_see_one_orthogonal_matrix_in_each_irreducible_part(group):
    z, w = features(group, 6), features(group, 5, seed=1)
    matrix = orthogonal_of_the_group_algebra(group)
    assert (matrix @ matrix.T - torch.eye(group.order)).abs().max() < 1e-12
    for projector in irrep_projectors(group).values():
        assert (projector @ matrix - matrix @ projector).abs().max() < 1e-12
    for other in (-z, z @ matrix.T):  # common to all channels
        change = orbit_similarity(group, other, w, "power2") - orbit_similarity(group, z, w, "power2")
        assert change.abs().max() < 1e-10
        for kind in ("power3", "max"):  # must fail
            seen = orbit_similarity(group, other, w, kind) - orbit_similarity(group, z, w, kind)
            assert seen.abs().max() > 1e-3


def test_C1_power_2_sees_a_matrix_that_differs_between_channels():
    """The must-fail twin."""
    z, w = features(D4, 6), features(D4, 5, seed=1)
    other = torch.stack(
        [z[:, c] @ orthogonal_of_the_group_algebra(D4, seed=c).T for c in range(z.shape[1])], dim=1
    )
    change = orbit_similarity(D4, other, w, "power2") - orbit_similarity(D4, z, w, "power2")
    assert change.abs().max() > 1e-2


# -- C5 and C6: what a variance over batch and group lets pass ------------------------------------------------------


def hinge(values):
    """VICReg's variance term of vectors (B, D), without its small constant under the root."""
    return torch.relu(1 - values.std(dim=0)).mean()


@pytest.mark.parametrize("group", [C4, D4], ids=lambda group: group.name)
def test_C5_one_table_in_one_pose_passes_the_variance_over_batch_and_group(group):
    """It varies along the group. The variance over the batch alone sees it, and so does that of an invariant."""
    table = 3 * features(group, 1)
    same = table.expand(64, -1, -1)
    turned = group.transform_features(same, own_elements(group, 64))
    for z in (same, turned):
        assert hinge(z.transpose(1, 2).flatten(0, 1)) < 0.05  # over batch and group: (B |G|, C)
        assert hinge(z.mean(dim=2)) > 0.99  # over the batch, of an invariant: (B, C)
    assert hinge(same.flatten(1)) > 0.99  # over the batch alone: (B, C |G|)
    assert hinge(turned.flatten(1)) < 0.05  # but turns deceive it
    assert hinge(3 * features(group, 64).mean(dim=2)) < 0.2  # must fail: images that differ


def test_C5_what_is_lost_by_the_mean_may_be_kept_by_another_invariant():
    """Features without a mean along the group have no variance of the mean, however different they are."""
    z = features(C4, 64)
    z = z - z.mean(dim=2, keepdim=True)
    assert hinge(3 * z.mean(dim=2)) > 0.99
    assert hinge(3 * z.amax(dim=2)) < 0.5
