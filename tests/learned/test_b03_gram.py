"""B3, B4: equal Gram matrices are an orthogonal action, perhaps a trivial one; how far from one they bound."""

import math

import torch
from listed import C4, D4, draw, moved

from eqssl_edu.learned import GramLoss, orthogonal_map

BOUND = 2 * (math.sqrt(2) - 1)


def gram_distance(z, w):
    return (z @ z.T - w @ w.T).square().sum()


def rotations(count, size, seed=1):
    return torch.linalg.qr(draw(count, size, size, seed=seed)).Q


def test_the_loss_is_the_mean_over_all_pairs_of_turns():
    for group in (C4, D4):
        orbit = draw(7, group.order, 5)
        pairs = [gram_distance(orbit[:, g], orbit[:, h]) for g in group.elements for h in group.elements]
        assert abs(GramLoss(group)(orbit) - 2 * torch.stack(pairs).mean() / 7) < 1e-12


def test_B3_an_orthogonal_matrix_for_each_g_has_equal_gram_matrices():
    """They need not obey the group law, and the images may be fewer or more than the dimensions."""
    for count in (4, 20):
        orbit = moved(C4, draw(count, 6), rotations(4, 6))
        assert GramLoss(C4)(orbit) < 1e-25
        for g in C4.elements:
            R = orthogonal_map(orbit[:, 0], orbit[:, g])
            assert (R @ R.T - torch.eye(6)).abs().max() < 1e-13
            assert (orbit[:, g] - orbit[:, 0] @ R.T).abs().max() < 1e-13


def test_B3_and_only_then():
    """From the Gram matrix to the matrix: features with equal Gram matrices, not made by one."""
    z = draw(9, 6)
    values, vectors = torch.linalg.eigh(z @ z.T)
    w = (vectors * values.clamp_min(0).sqrt())[:, -6:]
    assert gram_distance(z, w) < 1e-24
    assert (z - w).abs().max() > 0.1
    assert (w - z @ orthogonal_map(z, w).T).abs().max() < 1e-13


def test_B3_MF_features_that_do_not_move_have_loss_zero_too():
    z = draw(9, 6)
    assert GramLoss(C4)(z[:, None].expand(-1, 4, -1)) == 0


def test_B3_MF_a_linear_action_that_is_not_orthogonal_is_no_solution():
    """A true representation of C4, in a skew basis."""
    quarter = torch.tensor([[0.0, -1], [1, 0]], dtype=torch.float64)
    skew = torch.tensor([[1.0, 2], [0, 1]], dtype=torch.float64)
    maps = torch.stack([skew @ torch.linalg.matrix_power(quarter, k) @ skew.inverse() for k in range(4)])
    assert (maps[1] @ maps[1] - maps[2]).abs().max() < 1e-14
    assert GramLoss(C4)(moved(C4, draw(9, 2), maps)) > 5


def test_B4_the_distance_to_an_orthogonal_map_is_bounded_by_the_gram_loss():
    tightest = 0.0
    for seed in range(300):
        size = 1 + seed % 6
        z = draw(size + seed % 5, size, seed=seed)
        w = z @ rotations(1, size, seed=seed)[0] + 10 ** -(seed % 4) * draw(*z.shape, seed=seed + 1000)
        error = (w - z @ orthogonal_map(z, w).T).square().sum()
        distance = gram_distance(z, w)
        bound = distance / (BOUND * torch.linalg.svdvals(z)[-1] ** 2)
        assert error <= bound * (1 + 1e-9)
        # Why: three terms, none of them negative, of which the last one is the bound.
        best = w @ orthogonal_map(z, w)
        delta, overlap = best - z, z.T @ best
        A = delta.T @ delta
        terms = [
            (A + 2**0.5 * z.T @ delta).square().sum(),
            (4 - 8**0.5) * (A * overlap).sum(),
            BOUND * (A * (z.T @ z)).sum(),
        ]
        assert abs(sum(terms) - distance) < 1e-10 * distance and min(terms) >= -1e-10 * distance
        tightest = max(tightest, float(error / bound))
    assert tightest > 0.1  # it says something


def test_B4_MF_without_the_smallest_singular_value_there_is_no_bound():
    """Two directions, one hardly used: equal angles up to 1e-4, and no orthogonal map near."""
    z, w = draw(2, 20, 2)
    z[:, 1] *= 1e-2
    w = torch.stack([z[:, 0], 1e-2 * w[:, 1]], dim=1)
    error = (w - z @ orthogonal_map(z, w).T).square().sum()
    assert error > 10 * gram_distance(z, w) / BOUND
    assert error <= gram_distance(z, w) / (BOUND * torch.linalg.svdvals(z)[-1] ** 2)
