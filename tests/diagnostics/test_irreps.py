"""Energy per irreducible representation: projectors, and what they tell of features."""

import pytest
import torch
from families import by_name, features, turned

from eqssl_edu.diagnostics import irrep_energy, irrep_projectors
from eqssl_edu.groups import cyclic, dihedral

GROUPS = [make(n) for make in (cyclic, dihedral) for n in (1, 2, 3, 4, 6)]


@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_projectors_split_the_regular_representation(group):
    """Orthogonal, complementary, commuting with the group on both sides: the isotypic parts."""
    projectors = irrep_projectors(group)
    one = torch.eye(group.order, dtype=torch.float64)
    assert (sum(projectors.values()) - one).abs().max() < 1e-12
    for name, P in projectors.items():
        assert (P - P.T).abs().max() < 1e-12
        for other, Q in projectors.items():
            assert (P @ Q - (P if name == other else 0 * P)).abs().max() < 1e-12
        for g in group.elements:
            action = group.transform_features(one, g).T  # column h is rho(g) e_h
            assert (P @ action - action @ P).abs().max() < 1e-12


@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_there_are_as_many_as_real_irreps_and_each_has_its_dimension(group):
    """D_n: one part for each conjugacy class, of dimension d^2. C_n: pairs of conjugate characters together."""
    sizes = [round(float(P.trace())) for P in irrep_projectors(group).values()]
    assert sum(sizes) == group.order
    if group.reflections:
        conjugates = group.product[group.product, group.inverse[:, None]]  # [g, h] = g h g^-1
        assert len(sizes) == len({frozenset(column) for column in conjugates.T.tolist()})
        assert set(sizes) <= {1, 4}
    else:
        assert len(sizes) == group.order // 2 + 1
        assert set(sizes) <= {1, 2}


@pytest.mark.parametrize("group", GROUPS, **by_name)
def test_energies_add_up_and_no_turn_changes_them(group):
    z = features(group, 10)
    energy = irrep_energy(group, z)
    assert abs(sum(energy.values()) - z.square().sum() / 10) < 1e-12
    moved = irrep_energy(group, *turned(group, z))
    assert all(abs(energy[name] - moved[name]) < 1e-12 for name in energy)


def test_energies_of_a_cyclic_group_are_those_of_the_fourier_transform():
    z = features(cyclic(8), 10)
    power = torch.fft.fft(z).abs().square().sum(dim=(0, 1)) / 8 / 10
    names = ["trivial", *(f"frequency {k}" for k in range(1, 5))]
    energy = irrep_energy(cyclic(8), z)
    assert list(energy) == names
    for k, name in enumerate(names):
        expected = power[k] if k in (0, 4) else power[k] + power[8 - k]
        assert abs(energy[name] - expected) < 1e-12


def test_d4_tells_the_ways_of_being_symmetric_apart():
    group = dihedral(4)
    signs = {
        "trivial": [1, 1, 1, 1, 1, 1, 1, 1],
        "frequency 0, mirror-odd": [1, 1, 1, 1, -1, -1, -1, -1],
        "frequency 1": [1, 0, -1, 0, 0, 0, 0, 0],
        "frequency 2, mirror-even": [1, -1, 1, -1, 1, -1, 1, -1],
        "frequency 2, mirror-odd": [1, -1, 1, -1, -1, 1, -1, 1],
    }
    for name, values in signs.items():
        energy = irrep_energy(group, torch.tensor([values]).double())
        assert set(energy) == set(signs)
        assert abs(energy[name] - sum(energy.values())) < 1e-12


def test_C6_group_collapse_is_all_trivial_and_features_without_mean_are_not():
    group = dihedral(4)
    z = features(group, 10)
    collapsed = irrep_energy(group, z.mean(dim=2, keepdim=True).expand_as(z))
    assert sum(value for name, value in collapsed.items() if name != "trivial") < 1e-12
    centred = irrep_energy(group, z - z.mean(dim=2, keepdim=True))
    assert centred["trivial"] < 1e-12 < sum(centred.values())


def test_projectors_first_seen_in_inference_mode_can_be_differentiated_later():
    with torch.inference_mode():
        irrep_projectors(dihedral(7))
    z = torch.ones(14, dtype=torch.float64, requires_grad=True)
    (irrep_projectors(dihedral(7))["trivial"] @ z).norm().backward()
    assert z.grad.norm() > 0
