"""Alignment, uniformity and matched temperatures in the geometry of orbits."""

import math

import pytest
import torch
import torch.nn.functional as F
from families import GROUPS, by_name, features, turned, two_views

from eqssl_edu.contrastive import SIMILARITIES, orbit_distance, orbit_similarity
from eqssl_edu.diagnostics import alignment, matched_temperature, uniformity
from eqssl_edu.groups import cyclic, dihedral


def unit(z):
    return F.normalize(z.flatten(1)).view_as(z)


@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_C4_alignment_and_uniformity_are_those_of_the_distance_of_orbits(group):
    z1, z2 = two_views(group, 10)
    d = orbit_distance(group, unit(z1), unit(z2)).diagonal()
    assert abs(alignment(group, z1, z2) - d.square().mean()) < 1e-12
    d = orbit_distance(group, unit(z1), unit(z1))[~torch.eye(10, dtype=torch.bool)]
    assert abs(uniformity(group, z1) - (-2 * d.square()).exp().mean().log()) < 1e-12


@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_C4_they_do_not_see_turns(group):
    z1, z2 = two_views(group, 10)
    moved1, moved2 = turned(group, z1, z2)
    assert abs(alignment(group, moved1, moved2) - alignment(group, z1, z2)) < 1e-12
    assert abs(uniformity(group, moved1) - uniformity(group, z1)) < 1e-12
    assert alignment(group, z1, turned(group, z1)[0]) < 1e-12


def test_C4_the_plain_ones_do():
    """The must-fail twin: the same numbers for the trivial group, on flattened features."""
    group, one = cyclic(4), cyclic(1)
    z1, z2 = two_views(group, 10)
    flat = [z.flatten(1)[:, :, None] for z in (z1, *turned(group, z1, z2))]
    assert alignment(one, flat[0], flat[1]) > 0.5
    assert abs(uniformity(one, flat[1]) - uniformity(one, flat[0])) > 1e-3


def test_trivial_group_gives_wang_and_isola():
    z1, z2 = two_views(cyclic(1), 10)
    x, y = F.normalize(z1.flatten(1)), F.normalize(z2.flatten(1))
    assert abs(alignment(cyclic(1), z1, z2) - (x - y).norm(dim=1).square().mean()) < 1e-12
    assert abs(uniformity(cyclic(1), z1) - torch.pdist(x).square().mul(-2).exp().mean().log()) < 1e-12


def gap(group, z, kind, t):
    s = orbit_similarity(group, z, z, kind, t)
    return (s.diagonal().mean() - s[~torch.eye(len(z), dtype=torch.bool)].mean()) / t


@pytest.mark.parametrize("kind", SIMILARITIES)
def test_C7_matched_temperatures_give_equal_gaps(kind):
    group = dihedral(4)
    z = features(group, 50, channels=8)
    t = matched_temperature(group, z, kind, 0.3)
    assert abs(gap(group, unit(z), kind, t) - gap(group, unit(z), "plain", 0.3)) < 1e-6
    assert (abs(t - 0.3) < 1e-6) == (kind == "plain")


def test_C7_the_maximum_needs_a_lower_temperature():
    """Random pairs have a maximal similarity of 0.18 for 8 channels of C4, 0.06 for 64: t shrinks by as much."""
    group = cyclic(4)
    for channels, mean in ((8, 0.18), (64, 0.06)):
        z = features(group, 250, channels)
        assert abs(matched_temperature(group, z, "max", 1.0) - (1 - mean)) < 0.01
        # The mean keeps a quarter of the similarity with oneself: its temperature is about a quarter.
        assert abs(matched_temperature(group, z, "mean", 1.0) - 0.25) < 0.02


def test_no_temperature_matches_collapsed_features():
    group = cyclic(4)
    assert math.isnan(matched_temperature(group, features(group, 1).expand(5, -1, -1), "max"))
    z = features(group, 5)
    without_mean = z - z.mean(dim=2, keepdim=True)
    assert math.isnan(matched_temperature(group, without_mean, "mean"))
    assert matched_temperature(group, without_mean, "max") > 0
