"""A0: features over SO(2) are functions on the circle of frequencies 0 .. L, and any turn acts on them."""

import math

import pytest
import torch
from families import by_name, circle_features, features

from eqssl_edu.circle import o2, so2, spectrum, turn_features
from eqssl_edu.circle.correlation import limited, waves
from eqssl_edu.groups import cyclic, dihedral

GROUPS = [so2(3), so2(2, samples=5), o2(2), o2(3, samples=9)]
over_circles = pytest.mark.parametrize("group", GROUPS, ids=repr)


@over_circles
def test_A0_a_turn_multiplies_the_spectrum_by_a_phase(group):
    z = circle_features(group)
    phases = torch.exp(-1j * math.radians(37) * torch.arange(group.frequency + 1).double())
    assert (spectrum(group, turn_features(group, z, 37.0)) - phases * spectrum(group, z)).abs().max() < 1e-14


@over_circles
def test_A0_turns_add_up_and_keep_inner_products(group):
    z, w = circle_features(group), circle_features(group, seed=1)
    twice = turn_features(group, turn_features(group, z, 17.0), 31.5)
    assert (twice - turn_features(group, z, 48.5)).abs().max() < 1e-14
    turned = turn_features(group, z, 17.0).flatten(1) @ turn_features(group, w, 17.0).flatten(1).T
    assert (turned - z.flatten(1) @ w.flatten(1).T).abs().max() < 1e-13


@pytest.mark.parametrize(("group", "finite"), [(so2(3), cyclic(8)), (o2(3), dihedral(8))], **by_name)
def test_A0_at_the_samples_it_is_the_regular_action(group, finite):
    z = circle_features(group)
    for g in range(group.rotations):
        assert (
            turn_features(group, z, group.degrees(g)) - finite.transform_features(z, g)
        ).abs().max() < 1e-14


def test_A0_the_frequency_above_has_no_action():
    """The must-fail twin: white features of C8, turned by 22.5 degrees and back, lose a third of their length."""
    z = features(cyclic(8), 200)
    back = turn_features(cyclic(8), turn_features(cyclic(8), z, 22.5), -22.5)
    assert 0.3 < (back - z).norm() / z.norm() < 0.4
    z = circle_features(so2(3), 200)
    back = turn_features(so2(3), turn_features(so2(3), z, 22.5), -22.5)
    assert (back - z).abs().max() < 1e-14


@over_circles
def test_A0_what_no_turn_acts_on_is_cut_and_the_rest_stays(group):
    z = features(group)
    kept = limited(group, z)
    assert (spectrum(group, kept) - spectrum(group, z)).abs().max() < 1e-13
    assert (limited(group, kept) - kept).abs().max() < 1e-14
    assert (kept - z).norm() > 0.1 * z.norm() or group.rotations == 2 * group.frequency + 1
    assert limited(cyclic(group.order), z) is z


@over_circles
def test_A0_waves_are_the_spectrum_in_an_orthonormal_basis(group):
    z, w = circle_features(group), features(group, seed=1)
    inner = waves(group, z).flatten(1) @ waves(group, w).flatten(1).T
    assert (inner - z.flatten(1) @ w.flatten(1).T).abs().max() < 1e-13
