"""Orbit correlation and the similarities made of it: what absorbs the transformation of each input, what does not."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from families import by_name, features, turned

from eqssl_edu.contrastive import (
    SIMILARITIES,
    canonicalize,
    orbit_correlation,
    orbit_distance,
    orbit_similarity,
)
from eqssl_edu.contrastive import similarity as module
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.layers import GroupPool

over_groups = pytest.mark.parametrize("group", [cyclic(4), dihedral(4)], **by_name)
ABSORBING = [kind for kind in SIMILARITIES if kind != "plain"]


def unit(z):
    return F.normalize(z.flatten(1)).view_as(z)


# -- the correlation -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("counts", [(5, 4), (4, 5)], ids=["z turned", "w turned"])
@over_groups
def test_C1_definition(group, counts):
    """Whichever side is turned in the computation."""
    z, w = features(group, counts[0]), features(group, counts[1], seed=1)
    kappa = orbit_correlation(group, z, w)
    assert kappa.shape == (*counts, group.order)
    for i, j, g in itertools.product(range(counts[0]), range(counts[1]), group.elements):
        assert abs(kappa[i, j, g] - (z[i] * group.transform_features(w[j], g)).sum()) < 1e-12


@over_groups
def test_C1_kappa_is_permuted(group):
    """C1: kappa(a z, b w)[g] = kappa(z, w)[a^-1 g b]."""
    z, w = features(group), features(group, seed=1)
    kappa = orbit_correlation(group, z, w)
    for a, b in itertools.product(group.elements, group.elements):
        moved = orbit_correlation(group, group.transform_features(z, a), group.transform_features(w, b))
        index = group.product[group.product[group.inverse[a]], b]
        assert (moved - kappa[:, :, index]).abs().max() < 1e-12


@over_groups
def test_C1_kappa_of_the_swapped_pair_is_at_the_inverse(group):
    """kappa(w, z)[g] = kappa(z, w)[g^-1]: half of all pairs are enough for a symmetric similarity."""
    z, w = features(group), features(group, 5, seed=1)
    swapped = orbit_correlation(group, w, z).transpose(0, 1)
    assert (swapped - orbit_correlation(group, z, w)[:, :, group.inverse]).abs().max() < 1e-12


@pytest.mark.parametrize("counts", [(5, 4), (4, 5)])
def test_C3_all_relative_elements_are_one_matrix_product(counts):
    """C3: w gathered to (B' |G|, C |G|), times z; and the gradients of both are those of that product."""
    group = dihedral(4)
    z, w = (features(group, count, seed=seed).requires_grad_() for seed, count in enumerate(counts))
    copies = torch.stack([group.transform_features(w, g) for g in group.elements], dim=1)
    assert copies.flatten(2).shape == (counts[1], 8, 3 * 8)
    direct = (z.flatten(1) @ copies.flatten(2).flatten(0, 1).T).unflatten(1, (counts[1], 8))
    weight = torch.randn(*counts, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    kappa = orbit_correlation(group, z, w)
    assert (kappa - direct).abs().max() < 1e-12
    pairs = zip(*(torch.autograd.grad(x, (z, w), weight) for x in (kappa, direct)), strict=True)
    for ours, expected in pairs:
        assert (ours - expected).abs().max() < 1e-12


# -- C1, the table ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ABSORBING)
def test_C1_similarity_absorbs_independent_elements(kind):
    group = dihedral(4)
    z, w = features(group, 8), features(group, 8, seed=1)
    before = orbit_similarity(group, z, w, kind)
    assert (orbit_similarity(group, *turned(group, z, w), kind) - before).abs().max() < 1e-12


def test_C1_plain_similarity_does_not_absorb():
    """The must-fail twin."""
    group = cyclic(4)
    z, w = features(group, 8), features(group, 8, seed=1)
    change = orbit_similarity(group, *turned(group, z, w), "plain") - orbit_similarity(group, z, w, "plain")
    assert change.abs().max() > 0.1


def test_similarities_are_symmetric():
    group = dihedral(4)
    z, w = features(group, 5), features(group, 4, seed=1)
    for kind in SIMILARITIES:
        swapped = orbit_similarity(group, w, z, kind).T
        assert (swapped - orbit_similarity(group, z, w, kind)).abs().max() < 1e-12


@over_groups
def test_C1_mean_is_pooling_over_the_group_first(group):
    z, w = features(group), features(group, seed=1)
    pooled = z.sum(dim=2) @ w.sum(dim=2).T / group.order
    assert (orbit_correlation(group, z, w).mean(dim=2) - pooled).abs().max() < 1e-12
    assert (orbit_similarity(group, z, w, "mean") - pooled).abs().max() < 1e-12


def test_C1_mean_sends_no_gradient_along_the_group():
    """With the mean similarity the orientation channels learn nothing: the gradient is constant along the group."""
    group = cyclic(4)
    z, w = features(group).requires_grad_(), features(group, seed=1)
    (mean,) = torch.autograd.grad(orbit_similarity(group, z, w, "mean").square().sum(), z)
    (soft,) = torch.autograd.grad(orbit_similarity(group, z, w, "soft").square().sum(), z)
    assert (mean - mean.mean(dim=2, keepdim=True)).abs().max() < 1e-12
    assert (soft - soft.mean(dim=2, keepdim=True)).abs().max() > 1e-2


def test_C1_soft_lies_between_mean_and_max_and_reaches_both():
    """max - t log |G| <= soft <= max, mean <= soft; to second order in 1 / t soft is mean + variance / 2t."""
    group = dihedral(4)
    z, w = features(group), features(group, seed=1)
    mean, soft, best = (orbit_similarity(group, z, w, kind) for kind in ("mean", "soft", "max"))
    assert (mean < soft).all() and (soft < best).all()
    for t in (1.0, 1e-2, 1e-4):
        below = best - orbit_similarity(group, z, w, "soft", t)
        assert (below > 0).all() and (below <= t * math.log(8) + 1e-12).all()
    variance = orbit_correlation(group, z, w).var(dim=2, correction=0)
    for t in (1e2, 1e3):
        above = orbit_similarity(group, z, w, "soft", t) - mean
        assert (above - variance / (2 * t)).abs().max() < 1e3 / t**2


def tensor_power(group, z, p):
    """M_p(z): the mean over the orbit of the p-fold tensor power of the flattened feature."""
    powers = []
    for g in group.elements:
        v = group.transform_features(z, g).flatten(1)
        power = v
        for _ in range(p - 1):
            power = torch.einsum("bi,bj->bij", power, v).flatten(1)
        powers.append(power)
    return torch.stack(powers).mean(dim=0)


@pytest.mark.parametrize(("p", "kind"), [(1, "mean"), (2, "power2"), (3, "power3")])
def test_C1_power_p_is_a_product_of_invariants(p, kind):
    """mean of kappa^p = <M_p(z), M_p(w)>."""
    group = dihedral(4)
    z, w = features(group, 4), features(group, 3, seed=1)
    moments = tensor_power(group, z, p) @ tensor_power(group, w, p).T
    similarity = orbit_similarity(group, z, w, kind)
    assert (similarity - moments).abs().max() < 1e-12 * similarity.abs().max().clamp_min(1)


def test_C1_the_triple_correlation_is_complete_and_the_power_spectrum_is_not():
    """z and its reflection in time, one channel of C8: same pooled value and power spectrum, another orbit."""
    group = cyclic(8)
    z = unit(features(group, 1, channels=1))
    w = z.flip(2)
    gap = {kind: float(difference(group, z, w, kind)) for kind in ("mean", "power2", "power3", "max")}
    assert abs(gap["mean"]) < 1e-12 and abs(gap["power2"]) < 1e-12
    assert gap["power3"] > 1e-3 and gap["max"] > 1e-3
    same = group.transform_features(z, 3)
    assert abs(float(difference(group, z, same, "power3"))) < 1e-12


def difference(group, z, w, kind):
    """|M(z) - M(w)|^2 for a similarity that is a product <M(z), M(w)>."""
    return sum(orbit_similarity(group, x, x, kind) for x in (z, w)) - 2 * orbit_similarity(group, z, w, kind)


@over_groups
def test_C1_canonical_features_are_one_of_each_orbit(group):
    z = features(group, 8)
    canonical = canonicalize(group, z)
    (moved,) = turned(group, z)
    assert torch.equal(canonicalize(group, moved), canonical)
    assert orbit_distance(group, z, canonical).diagonal().max() < 1e-6
    assert (canonical.sum(dim=1).argmax(dim=1) == 0).all()


def test_C1_canonical_similarity_jumps_where_the_argmax_does():
    """An arbitrarily small change of z near a tie moves the canonical similarity, and hardly the max."""
    group = cyclic(4)
    w = features(group, 1)
    change = {}
    for kind in ("canonical", "max"):
        sides = []
        for sign in (-1, 1):
            z = torch.tensor([[[1.0, 1.0, 0.3, 0], [1.0, 1.0, 0, 0.7], [0, 0, 0, 0]]], dtype=torch.float64)
            z[0, 0, 0] += sign * 1e-9
            sides.append(orbit_similarity(group, z, w, kind))
        change[kind] = float((sides[0] - sides[1]).abs())
    assert change["canonical"] > 0.1
    assert change["max"] < 1e-6


def test_C1_pooling_each_channel_loses_what_max_keeps():
    """Two features that differ in the relative orientation of their channels: equal when max-pooled, not under max."""
    group = cyclic(4)
    z = torch.eye(4, dtype=torch.float64)[[0, 0]][None]
    w = torch.eye(4, dtype=torch.float64)[[0, 1]][None]
    pool = GroupPool(group)
    assert torch.equal(pool(z), pool(w))
    assert abs(orbit_similarity(group, z, w, "maxpool") - 1) < 1e-12
    assert orbit_similarity(group, z, w, "max") < orbit_similarity(group, z, z, "max")
    cosine = F.cosine_similarity(pool(features(group))[:, None], pool(features(group, seed=1))[None], dim=2)
    maxpool = orbit_similarity(group, features(group), features(group, seed=1), "maxpool")
    assert (maxpool - cosine).abs().max() < 1e-12


# -- C4, geometry ----------------------------------------------------------------------------------------------


@over_groups
def test_C4_distance_of_orbits(group):
    """d(z, w) = min_g |z - g w|, and 2 - 2 max kappa is its square for unit vectors."""
    z, w = features(group, 5), features(group, 4, seed=1)
    distances = [(z[:, None] - group.transform_features(w, g)).flatten(2).norm(dim=2) for g in group.elements]
    best = torch.stack(distances).amin(dim=0)
    assert (orbit_distance(group, z, w) - best).abs().max() < 1e-12
    z, w = unit(z), unit(w)
    square = 2 - 2 * orbit_similarity(group, z, w, "max")
    assert (orbit_distance(group, z, w).square() - square).abs().max() < 1e-12


@over_groups
def test_C4_it_is_a_metric_on_orbits(group):
    z = features(group, 12, channels=1)
    d = orbit_distance(group, z, z)
    assert (d - d.T).abs().max() < 1e-12
    assert (d[:, None, :] <= d[:, :, None] + d[None] + 1e-12).all()  # d(i, k) <= d(i, j) + d(j, k)
    moved = orbit_distance(group, *turned(group, z, z))
    off = ~torch.eye(12, dtype=torch.bool)
    assert (moved - d)[off].abs().max() < 1e-12
    # Zero if and only if the orbit is the same.
    assert moved.diagonal().max() < 1e-7 and d.diagonal().max() < 1e-6
    assert d[off].min() > 1e-3


def test_C4_the_distance_of_pooled_features_is_no_metric_on_orbits():
    """The must-fail twin: zero between different orbits."""
    group = cyclic(4)
    z, w = torch.eye(4, dtype=torch.float64)[[0, 0]][None], torch.eye(4, dtype=torch.float64)[[0, 1]][None]
    assert (z.mean(2) - w.mean(2)).norm() == 0
    assert orbit_distance(group, z, w) > 1


def test_C7_the_maximum_raises_the_similarity_of_random_pairs():
    """Mean 0.18 for 8 channels of C4, 0.06 for 64; the plain one has 0."""
    group = cyclic(4)
    for channels, expected in ((8, 0.18), (64, 0.06)):
        z, w = (unit(features(group, 400, channels, seed)) for seed in (0, 1))
        assert abs(orbit_similarity(group, z, w, "max").mean() - expected) < 0.006
        assert abs(orbit_similarity(group, z, w, "plain").mean()) < 0.002


@pytest.mark.parametrize("group", [dihedral(4), dihedral(3)], **by_name)
def test_C3_fourier_blocks_need_fewer_products(group):
    r"""C3: in the Fourier basis kappa is one small matrix product for each irreducible representation.

    With z^(rho) = sum_h z[h] rho(h): kappa^(rho) = z^(rho) w^(rho)^T for real orthogonal rho. A block of size d takes
    d^3 multiplies for each pair of channels. The transforms themselves are not counted.
    """
    n, blocks = group.rotations, []
    for j in range(n // 2 + 1):
        angle = 2 * math.pi * j / n
        if 2 * j % n:
            cos, sin = math.cos(angle), math.sin(angle)
            turn = torch.tensor([[cos, -sin], [sin, cos]], dtype=torch.float64)
            flip = torch.diag(torch.tensor([1.0, -1], dtype=torch.float64))
            powers = [torch.linalg.matrix_power(turn, g % n) for g in group.elements]
            blocks.append(torch.stack([p @ flip if g >= n else p for g, p in enumerate(powers)]))
            continue
        elements = torch.arange(group.order, dtype=torch.float64).view(-1, 1, 1)
        wave, signs = torch.cos(angle * (elements % n)), 1 - 2 * (elements >= n).double()
        blocks += [wave, wave * signs]
    multiplies = sum(block.shape[1] ** 3 for block in blocks)
    assert {"D4": (64, 12), "D3": (36, 10)}[group.name] == (group.order**2, multiplies)
    z, w = features(group, 4), features(group, 5, seed=1)
    kappa = torch.zeros(4, 5, group.order, dtype=torch.float64)
    for block in blocks:
        d = block.shape[1]
        z_hat, w_hat = (torch.einsum("bch,hij->bcij", x, block) for x in (z, w))
        product = torch.einsum("acij,bckj->abik", z_hat, w_hat)
        kappa += d / group.order * torch.einsum("abij,gij->abg", product, block)
    assert (kappa - orbit_correlation(group, z, w)).abs().max() < 1e-12


def test_C3_the_smaller_side_is_turned(monkeypatch):
    turned = []

    def watched(few, many, *tables):
        turned.append(len(few))
        return correlated(few, many, *tables)

    correlated = module.products_with_copies
    monkeypatch.setattr(module, "products_with_copies", watched)
    group = cyclic(4)
    for count, other in ((3, 8), (8, 3), (5, 5)):
        orbit_correlation(group, features(group, count), features(group, other))
    assert turned == [3, 3, 5]


def test_distances_of_half_precision_are_finite():
    group = cyclic(4)
    z = (60 * features(group, 4, 64)).half()
    exact = orbit_distance(group, z.double(), z.double())
    assert (orbit_distance(group, z, z) - exact).abs().max() < 0.02 * exact.max()
