"""Pairs of regular features: correlation, similarity and alignment of each z_i with its w_i."""

import pytest
import torch
from families import by_name, features, own_elements, two_views

from eqssl_edu.contrastive import SIMILARITIES, orbit_correlation, orbit_similarity
from eqssl_edu.contrastive.features import unit
from eqssl_edu.contrastive.pairs import align, pair_correlation, pair_similarity
from eqssl_edu.contrastive.statistics import relative_products
from eqssl_edu.groups import cyclic, dihedral

over_groups = pytest.mark.parametrize("group", [cyclic(4), dihedral(4)], **by_name)


@over_groups
def test_pair_correlation_is_the_diagonal(group):
    z, w = two_views(group)
    diagonal = orbit_correlation(group, z, w).diagonal().T
    assert (pair_correlation(group, z, w) - diagonal).abs().max() < 1e-12


@over_groups
def test_pair_similarity_is_the_diagonal(group):
    z, w = (unit(z) for z in two_views(group))
    for kind in SIMILARITIES:
        diagonal = orbit_similarity(group, z, w, kind, 0.3).diagonal()
        assert (pair_similarity(group, z, w, kind, 0.3) - diagonal).abs().max() < 1e-12


@over_groups
def test_align_finds_the_turn(group):
    z = features(group)
    w = group.transform_features(z, own_elements(group, 8))
    assert torch.equal(align(group, z, w), z)


@over_groups
def test_aligned_pairs_turn_with_z_alone(group):
    z, w = two_views(group)
    a, b = own_elements(group, 8, 1), own_elements(group, 8, 2)
    moved = align(group, group.transform_features(z, a), group.transform_features(w, b))
    assert (moved - group.transform_features(align(group, z, w), a)).abs().max() < 1e-12


@over_groups
def test_relative_products_are_their_formula(group):
    z, w = two_views(group, 3, 2)
    products = relative_products(group, z, w)
    for k in group.elements:
        expected = sum(z[:, :, h].T @ w[:, :, group.product[h, k]] for h in group.elements)
        assert (products[k] - expected).abs().max() < 1e-12


@over_groups
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
