"""What power2 cannot tell apart: one orthogonal matrix for each irreducible representation, and nothing else."""

import pytest
import torch

from eqssl_edu.contrastive import orbit_correlation, orbit_distance, orbit_similarity
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.lessons.notebook_07c import irreps, mixed, rephased

DIHEDRAL = [dihedral(n) for n in (1, 2, 3, 4, 5)]
over_dihedral = pytest.mark.parametrize("group", DIHEDRAL, ids=lambda group: group.name)


def noise(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def random_matrices(group):
    """An orthogonal matrix for each irreducible representation."""
    return {
        name: torch.linalg.qr(noise(rho.shape[1], rho.shape[1], seed=i)).Q * (-1) ** i
        for i, (name, rho) in enumerate(irreps(group).items())
    }


def coefficients(z, rho):
    return torch.einsum("bch,hij->bcij", z, rho)


def takes_for(group, z, w, kind="power2"):
    """Does the kind take w for z? Also against strangers."""
    others = [z, noise(5, *z.shape[1:], seed=7)]
    return all(
        torch.allclose(
            orbit_similarity(group, w, x, kind), orbit_similarity(group, z, x, kind), rtol=0, atol=1e-10
        )
        for x in others
    )


@over_dihedral
def test_irreps_are_homomorphisms_of_orthogonal_matrices_and_complete(group):
    for rho in irreps(group).values():
        products = torch.einsum("gij,hjk->ghik", rho, rho)
        torch.testing.assert_close(rho[group.product], products, rtol=0, atol=1e-12)
        torch.testing.assert_close(
            rho @ rho.mT, torch.eye(rho.shape[1]).double().expand_as(rho), rtol=0, atol=1e-12
        )
    assert sum(rho.shape[1] ** 2 for rho in irreps(group).values()) == group.order
    z = noise(2, 3, group.order)
    for g in group.elements:
        moved = mixed(group, z, {name: rho[g] for name, rho in irreps(group).items()})
        torch.testing.assert_close(moved, group.transform_features(z, g), rtol=0, atol=1e-12)


@over_dihedral
def test_power2_is_a_sum_of_squared_norms(group):
    """The formula of notebook 7c, from which the blindness follows."""
    z, w = noise(2, 3, group.order), noise(4, 3, group.order, seed=1)
    total = torch.zeros(2, 4, dtype=torch.float64)
    for rho in irreps(group).values():
        hats = torch.einsum("acij,bckj->abik", coefficients(z, rho), coefficients(w, rho))
        transform = torch.einsum("abg,gik->abik", orbit_correlation(group, z, w), rho)
        torch.testing.assert_close(hats, transform, rtol=0, atol=1e-11)
        total += rho.shape[1] * hats.square().sum(dim=(2, 3)) / group.order**2
    torch.testing.assert_close(total, orbit_similarity(group, z, w, "power2"), rtol=0, atol=1e-11)


@over_dihedral
def test_power2_cannot_tell_one_orthogonal_matrix_for_each_irrep(group):
    z = noise(1, 3, group.order)
    other = mixed(group, z, random_matrices(group))
    assert takes_for(group, z, other) and takes_for(group, z, -z)
    if group.order > 4:  # no element is such a choice
        assert orbit_distance(group, z, other) > 0.1 and not takes_for(group, z, other, "power3")


@over_dihedral
def test_it_is_one_matrix_for_all_channels_and_an_orthogonal_one(group):
    """Must fail: another matrix for each channel, or one that is not orthogonal."""
    z = noise(1, 3, group.order)
    matrices = random_matrices(group)
    opposite = {name: -matrix for name, matrix in matrices.items()}
    apart = torch.cat([mixed(group, z[:, :1], matrices), mixed(group, z[:, 1:], opposite)], dim=1)
    scaled = {name: 1.1 * matrix for name, matrix in matrices.items()}
    assert not takes_for(group, z, apart) and not takes_for(group, z, mixed(group, z, scaled))


def test_nothing_else_is_lost():
    """What descent finds that power2 takes for z over D4 is z up to one orthogonal matrix for each irrep."""
    group, z = dihedral(4), noise(1, 2, 8)
    w = noise(6, 2, 8, seed=3).requires_grad_()
    optimizer = torch.optim.LBFGS(
        [w], max_iter=500, tolerance_grad=1e-12, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def squares():
        itself = orbit_similarity(group, w, w, "power2").diagonal()
        return (
            orbit_similarity(group, z, z, "power2")[0, 0]
            + itself
            - 2 * orbit_similarity(group, w, z, "power2")[:, 0]
        )

    def closure():
        optimizer.zero_grad()
        loss = squares().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    found = w.detach()[squares().detach() < 1e-10]
    assert len(found) >= 3 and orbit_distance(group, found, z).max() > 0.3
    for rho in irreps(group).values():
        for each in found:
            a, b = (coefficients(x.view(1, 2, 8), rho)[0].permute(1, 0, 2).flatten(1) for x in (z, each))
            u, _, v = torch.linalg.svd(b @ a.T)  # the orthogonal matrix that brings a nearest to b
            assert (u @ v @ a - b).norm() < 1e-3 * a.norm()


@pytest.mark.parametrize("n", [5, 8])
def test_over_a_cyclic_group_it_is_a_phase_for_each_frequency(n):
    group, z = cyclic(n), noise(1, 2, n)
    for degrees in (30.0, 180.0):
        for frequency in (1, 2):
            other = rephased(z, degrees, frequency)
            assert takes_for(group, z, other) and not takes_for(group, z, other, "power3")
    assert takes_for(group, z, -z)
    apart = torch.cat([rephased(z[:, :1], 90.0), z[:, 1:]], dim=1)
    mirrored = z[..., group.inverse]  # of one channel this is a phase for each frequency, of two it is none
    assert not takes_for(group, z, apart) and not takes_for(group, z, mirrored)
    assert takes_for(group, z[:, :1], mirrored[:, :1])
