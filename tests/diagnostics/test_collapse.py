"""Collapse: each kind is produced and caught, by the number that is there for it and not by the others."""

import math

import pytest
import torch
import torch.nn.functional as F
from families import GROUPS, by_name, features, own_elements, turned

from eqssl_edu.contrastive import InfoNCE
from eqssl_edu.diagnostics import (
    alignment,
    orbit_collapse,
    orbit_spread,
    pooled_spread,
    rank_me,
    spread,
    uniformity,
)
from eqssl_edu.groups import cyclic, dihedral

SEVERAL = [cyclic(4), dihedral(4)]


def one_orbit(group, count=200, channels=6):
    """C6: z_i = g_i v with one v that has no mean along the group."""
    v = features(group, 1, channels)
    v = v - v.mean(dim=2, keepdim=True)
    return group.transform_features(v.expand(count, -1, -1), own_elements(group, count))


@pytest.mark.parametrize("group", SEVERAL, **by_name)
def test_C6_orbit_collapse_is_healthy_to_the_usual_monitor_and_caught_by_the_others(group):
    count = 50 * group.order
    z, partner = one_orbit(group, count), one_orbit(group, count)[torch.randperm(count)]
    result = orbit_collapse(group, z)
    assert abs(result.spread - 1) < 0.02
    assert alignment(group, z, partner) < 1e-12
    assert result.orbit_spread < 1e-6 and result.pooled_spread < 1e-6
    assert result.rank <= group.order + 1e-9
    assert rank_me(z.amax(dim=2)) < 1 + 1e-6
    assert result.trivial_energy < 1e-12
    assert result.verdict == "orbit collapse"
    assert abs(uniformity(group, z)) < 1e-9


@pytest.mark.parametrize("group", SEVERAL, **by_name)
def test_C6_healthy_features_are_called_healthy(group):
    """The must-fail twin of the detector."""
    result = orbit_collapse(group, features(group, 200, 6))
    assert result.spread > 0.9 and result.orbit_spread > 0.6 and result.pooled_spread > 0.3
    assert result.rank > group.order
    assert result.verdict == "none"


@pytest.mark.parametrize("group", SEVERAL, **by_name)
def test_C6_infonce_pays_for_orbit_collapse_as_for_guessing(group):
    """Perfect alignment does not help: every stranger is as much alike. (VICReg without covariance pays nothing.)"""
    count = 48
    v, healthy = features(group, 1, 6).expand(count, -1, -1), features(group, count, 32)
    for kind in ("max", "soft"):
        loss = InfoNCE(group, kind)
        assert abs(loss(*turned(group, v, v)) - math.log(2 * count - 1)) < 1e-9
        assert loss(*turned(group, healthy, healthy)) < 0.5 * math.log(2 * count - 1)


@pytest.mark.parametrize("group", SEVERAL, **by_name)
def test_C6_group_collapse_keeps_images_apart_and_loses_the_group(group):
    z = features(group, 200, 6).mean(dim=2, keepdim=True).expand(-1, -1, group.order)
    result = orbit_collapse(group, z)
    assert result.spread > 0.9 and result.orbit_spread > 0.6 and result.pooled_spread > 0.6
    assert result.trivial_energy > 1 - 1e-12
    assert result.verdict == "group collapse"


@pytest.mark.parametrize("group", SEVERAL, **by_name)
def test_complete_collapse(group):
    result = orbit_collapse(group, features(group, 1).expand(50, -1, -1))
    assert max(result.spread, result.orbit_spread, result.pooled_spread) < 1e-6
    assert abs(result.rank - 1) < 1e-6
    assert result.verdict == "complete collapse"
    nothing = orbit_collapse(group, torch.zeros(5, 3, group.order))
    assert nothing.rank == 0 and nothing.verdict == "complete collapse"


@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_only_the_usual_monitor_and_the_rank_see_turns(group):
    z = features(group, 60)
    (moved,) = turned(group, z)
    before, after = orbit_collapse(group, z), orbit_collapse(group, moved)
    for name in ("orbit_spread", "pooled_spread"):
        assert abs(getattr(before, name) - getattr(after, name)) < 1e-12
    if group.order > 1:
        assert abs(before.trivial_energy - after.trivial_energy) < 1e-12
        assert before.spread != after.spread
    assert before.orbit_spread <= before.spread + 1e-12


def test_spread_is_half_the_mean_squared_distance():
    z = F.normalize(features(cyclic(1), 30, 5).flatten(1))
    assert abs(spread(z) ** 2 - torch.cdist(z, z).square().mean() / 2) < 1e-12
    group = dihedral(4)
    z = features(group, 20)
    unit = F.normalize(z.flatten(1)).view_as(z)
    squares = torch.stack(
        [(unit[:, None] - group.transform_features(unit, g)).square().sum((2, 3)) for g in group.elements]
    )
    assert abs(orbit_spread(group, z) ** 2 - squares.amin(dim=0).mean() / 2) < 1e-12
    assert abs(pooled_spread(group, z) - spread(z.amax(2))) < 1e-12


def test_rank_me_is_the_exponential_of_an_entropy():
    assert abs(rank_me(torch.eye(7, dtype=torch.float64)) - 7) < 1e-9
    assert abs(rank_me(torch.ones(7, 3, 4)) - 1) < 1e-5
    p = torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)
    assert abs(rank_me(torch.diag(4 * p)) - torch.exp(-(p * p.log()).sum())) < 1e-9
    q = torch.linalg.qr(features(cyclic(1), 3, 3).flatten(1))[0]
    assert abs(rank_me(q @ torch.diag(p) @ q.T) - rank_me(torch.diag(p))) < 1e-9
    assert rank_me(torch.zeros(3, 2)) == 0


def test_half_precision_is_read():
    group = cyclic(4)
    z = features(group, 20)
    full, half = orbit_collapse(group, z.requires_grad_()), orbit_collapse(group, z.detach().bfloat16())
    assert abs(full.orbit_spread - half.orbit_spread) < 0.02 and abs(full.rank - half.rank) < 0.1


def test_without_a_group_there_is_no_group_collapse():
    healthy = orbit_collapse(cyclic(1), features(cyclic(1), 100, 32))
    assert healthy.verdict == "none" and math.isnan(healthy.trivial_energy)
    assert (
        orbit_collapse(cyclic(1), features(cyclic(1), 1, 32).expand(9, -1, -1)).verdict == "complete collapse"
    )


def test_features_of_length_zero_are_not_taken_for_unit_vectors():
    group = dihedral(4)
    zero = torch.zeros(20, 6, group.order, dtype=torch.float64)
    assert spread(zero) == orbit_spread(group, zero) == alignment(group, zero, zero) == 0
    assert uniformity(group, zero) == 0  # all in one orbit
    z = features(group, 20, 6)
    z[3] = 0
    assert orbit_spread(group, z) <= spread(z) and alignment(group, z, z) < 1e-12


def test_features_that_are_not_finite_are_said_to_be_so():
    """A readout has to live through a training that went wrong."""
    z = features(cyclic(4), 20, 6)
    z[3, 2, 1] = math.nan
    assert math.isnan(rank_me(z)) and orbit_collapse(cyclic(4), z).verdict == "not finite"


def test_nearly_all_energy_is_not_all_and_a_small_orbit_spread_is_one_below_a_tenth():
    """The limits of the verdicts are those that the module names."""
    group = cyclic(4)
    z = features(group, 200, 6)
    trivial = z.mean(dim=2, keepdim=True).expand_as(z)
    rest = z - trivial
    for share, verdict in ((0.9, "none"), (0.999, "group collapse")):
        scale = trivial.norm() / rest.norm() * math.sqrt((1 - share) / share)
        result = orbit_collapse(group, trivial + scale * rest)
        assert abs(result.trivial_energy - share) < 1e-3 and result.verdict == verdict
    z, noise = (
        x / x.flatten(1).norm(dim=1)[:, None, None] for x in (one_orbit(group), features(group, 200, 6))
    )
    for size, verdict in ((0.05, "orbit collapse"), (0.2, "none")):
        assert orbit_collapse(group, z + size * noise).verdict == verdict
