"""B1, B2: soft equivariance is the distance to one's own symmetrisation; with one generator it is another loss."""

import math

import pytest
import torch
from listed import C4, D4, draw
from torch import nn

from eqssl_edu.encoders import SymmetrizedEncoder
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.learned import SoftEquivariance, turned_back

GROUPS = pytest.mark.parametrize("group", [C4, D4, cyclic(2), dihedral(2)], ids=lambda group: group.name)


def network(outputs, seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(49, 20), nn.ReLU(), nn.Linear(20, outputs)).double()


def images(count=6):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 1, 7, 7, dtype=torch.float64, generator=generator)


def orbit_of(encoder, group, x):
    with torch.no_grad():
        return torch.stack([encoder(group.transform(x, k)).flatten(1) for k in group.elements], dim=1)


def act(group, z, g):
    return group.transform_features(z.unflatten(1, (-1, group.order)), g).flatten(1)


@GROUPS
def test_B1_soft_equivariance_is_twice_the_distance_to_the_symmetrisation(group):
    """Both sides written out: the mean over the orbit y and g, and 2 E |f - S f|^2."""
    f, x = network(3 * group.order), images()
    orbit = orbit_of(f, group, x)
    asked, away = [], []
    for h in group.elements:
        z = orbit[:, h]
        for g in group.elements:
            difference = orbit[:, group.product[g, h]] - act(group, z, g)
            asked.append(difference.square().sum(1).mean())
        turned = group.transform(x, h)
        back = [act(group, f(group.transform(turned, g)), int(group.inverse[g])) for g in group.elements]
        away.append((z - torch.stack(back).mean(0)).square().sum(1).mean())
    left, right = torch.stack(asked).mean(), 2 * torch.stack(away).mean()
    assert right > 0.03
    assert abs(left - right) < 3e-15 * max(1, right)
    assert abs(SoftEquivariance(group)(orbit) - left) < 3e-15 * max(1, right)


@GROUPS
def test_B1_a_symmetrised_encoder_has_none_and_its_features_are_the_mean(group):
    f = network(3 * group.order)
    encoder = SymmetrizedEncoder(group, network(3))
    assert SoftEquivariance(group)(orbit_of(encoder, group, images())) < 1e-28
    assert SoftEquivariance(group)(orbit_of(f, group, images())) > 0.03


def test_B1_MF_another_action_on_the_same_features_is_no_symmetrisation_of_it():
    orbit = orbit_of(SymmetrizedEncoder(C4, network(3)), C4, images())
    backwards = orbit[:, C4.inverse]
    assert SoftEquivariance(C4)(backwards) > 0.01


def test_B2_one_generator_weighs_the_frequencies():
    """sum_j 4 sin^2(pi j / n) |F_j|^2, two to four times |f - S f|^2 on C4, and not the same."""
    for n in (2, 4):
        group = cyclic(n)
        orbit = orbit_of(network(3 * n), group, images())
        F = torch.fft.fft(turned_back(group, orbit), dim=1) / n
        energy = F.abs().square().sum(2).mean(0)
        weights = torch.tensor([4 * math.sin(math.pi * j / n) ** 2 for j in range(n)])
        away = energy[1:].sum()
        assert abs(SoftEquivariance(group)(orbit) - 2 * away) < 1e-14
        one = SoftEquivariance(group, generator=1)(orbit)
        assert abs(one - (weights * energy).sum()) < 1e-14
        assert 2 * away - 1e-14 <= one <= 4 * away + 1e-14
    assert abs(one - 2 * away) > 0.01 * away  # must fail: the same as with all g
    assert abs(one - SoftEquivariance(group, generator=3)(orbit)) < 1e-14  # the other generator of C4


def test_B2_MF_what_does_not_generate_misses_a_part():
    """The half turn alone: features that move as those of C2 cost nothing."""
    z = draw(5, 12)
    orbit = torch.stack([act(C4, z, k) for k in (0, 0, 2, 2)], dim=1)
    assert SoftEquivariance(C4, generator=2)(orbit) < 1e-28
    assert SoftEquivariance(C4)(orbit) > 1


def test_regular_features_are_needed():
    with pytest.raises(ValueError, match=r"^orbit.shape\[2\] % 4 must be one of 0, got 2"):
        SoftEquivariance(C4)(draw(5, 4, 6))
    with pytest.raises(ValueError, match=r"^generator must be"):
        SoftEquivariance(C4, generator=4)
