"""Pairs of regular features: correlation, similarity and alignment of each z_i with its w_i."""

import pytest
import torch
from families import GROUPS, by_name, features, own_elements, two_views

from eqssl_edu.contrastive import SIMILARITIES, orbit_correlation, orbit_similarity
from eqssl_edu.contrastive.pairs import align, pair_correlation, pair_similarity, unit
from eqssl_edu.contrastive.statistics import relative_products
from eqssl_edu.groups import cyclic


@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_pair_correlation_is_the_diagonal(group):
    z, w = two_views(group)
    diagonal = orbit_correlation(group, z, w).diagonal().T
    assert (pair_correlation(group, z, w) - diagonal).abs().max() < 1e-12


@pytest.mark.parametrize("kind", SIMILARITIES)
@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_pair_similarity_is_the_diagonal(group, kind):
    z, w = two_views(group)
    z, w = unit(z), unit(w)
    diagonal = orbit_similarity(group, z, w, kind, 0.3).diagonal()
    assert (pair_similarity(group, z, w, kind, 0.3) - diagonal).abs().max() < 1e-12


@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_align_finds_the_turn(group):
    z = features(group)
    w = group.transform_features(z, own_elements(group, 8))
    assert torch.equal(align(group, z, w), z)


@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_aligned_pairs_turn_with_z_alone(group):
    z, w = two_views(group)
    a, b = own_elements(group, 8, 1), own_elements(group, 8, 2)
    moved = align(group, group.transform_features(z, a), group.transform_features(w, b))
    assert (moved - group.transform_features(align(group, z, w), a)).abs().max() < 1e-12


@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_relative_products_are_their_formula(group):
    z, w = two_views(group, 3, 2)
    products = relative_products(group, z, w)
    for k in group.elements:
        expected = sum(z[:, :, h].T @ w[:, :, group.product[h, k]] for h in group.elements)
        assert (products[k] - expected).abs().max() < 1e-12


@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_relative_products_are_the_matrix_of_all_turned_copies(group):
    """At (c, h), (c', h') stands the product of the relative element h^-1 h'."""
    z, w = two_views(group, 3, 2)
    products = relative_products(group, z, w)
    copies = [torch.cat([group.transform_features(x, g) for g in group.elements]) for x in (z, w)]
    matrix = torch.einsum("bch,bdk->chdk", *copies)
    for h in group.elements:
        for j in group.elements:
            relative = group.product[group.inverse[h], j]
            assert (matrix[:, h, :, j] - products[relative]).abs().max() < 1e-12


def test_errors_name_the_argument(as_a_user):
    z = torch.randn(3, 2, 4)
    with pytest.raises(ValueError, match="kind must be one of"):
        pair_similarity(cyclic(4), z, z, "best")
    with pytest.raises(ValueError, match="temperature must be"):
        pair_similarity(cyclic(4), z, z, "soft", 0.0)
    with pytest.raises(ValueError, match="z1 and z2 must have one shape with B >= 1"):
        pair_similarity(cyclic(4), z, z[:2])
