"""What notebook 04's pages have a student write is the library's function, or escnn's, on more cases."""

import math

import pytest
import torch
import torch.nn.functional as F

from eqssl_edu.diagnostics import turn_features
from eqssl_edu.exercises.notebook_04 import projected, sampled
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.layers import GroupConv2d, LiftingConv2d
from eqssl_edu.lessons import notebook_04 as lesson
from eqssl_edu.lessons import notebook_04c as lesson_c

steerable = pytest.importorskip("eqssl_edu.steerable", exc_type=ImportError)

SOURCE = "04*.py"
GROUPS = [cyclic(1), cyclic(2), cyclic(4), dihedral(1), dihedral(2), dihedral(4)]

over_groups = pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)


def noise(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def regular(group):
    """rho[g] moves entry h to gh."""
    return torch.eye(group.order, dtype=torch.float64)[group.product].mT


@pytest.mark.parametrize("m", [1, 2, 3])
def test_a_steered_wave_is_the_wave_of_that_angle(notebook, m):
    for degrees in (0.0, 33.0, 90.0, 250.0):
        mixed = notebook["steer"](lesson.wave(m), lesson.wave(m, 90 / m), m, degrees)
        torch.testing.assert_close(mixed, lesson.wave(m, degrees), rtol=0, atol=1e-12)


@over_groups
def test_averaged_kernels_are_those_of_the_group_convolutions(notebook, group):
    rho, number = regular(group), torch.ones(group.order, 1, 1, dtype=torch.float64)
    for rho_in, layer in ((rho, GroupConv2d(group, 1, 1, 3)), (number, LiftingConv2d(group, 1, 1, 3))):
        expanded = layer.double().expanded_weight().detach()
        kernel = noise(*expanded.shape)
        for average in (notebook["project"], projected):
            torch.testing.assert_close(average(expanded, group, rho, rho_in), expanded, rtol=0, atol=1e-12)
            solution = average(kernel, group, rho, rho_in)
            with torch.no_grad():
                layer.weight.copy_(solution[0].unflatten(0, layer.weight.shape[1:-2])[None])
            torch.testing.assert_close(layer.expanded_weight().detach(), solution, rtol=0, atol=1e-12)


@pytest.mark.parametrize("n", [3, 7, 8, 16])
def test_shift(notebook, n):
    group, kept = cyclic(n), (n + 1) // 2
    z = torch.fft.irfft(torch.fft.rfft(noise(2, 3, n))[..., :kept], n=n)
    for degrees in (0.0, 10.0, -77.0, 360 / n):
        expected = turn_features(group, z, degrees)
        torch.testing.assert_close(notebook["shift"](z, degrees), expected, rtol=0, atol=1e-6)


def test_arrows_keep_their_direction_under_every_turn(notebook):
    v, bias, turn = noise(2, 3, 2, 5, 5), torch.tensor([0.1, 0.5, 1.0]).double(), math.radians(77)
    matrix = torch.tensor(
        [[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]], dtype=torch.float64
    )

    def turned(arrows):
        return torch.einsum("ij,bcjhw->bcihw", matrix, arrows)

    result = notebook["norm_relu"](v, bias)
    torch.testing.assert_close(notebook["norm_relu"](turned(v), bias), turned(result), rtol=0, atol=1e-12)
    assert 0.1 < (result == 0).double().mean() < 0.9


@pytest.mark.parametrize("source", lesson.FIELDS)
@pytest.mark.parametrize("target", lesson.FIELDS)
def test_the_constraint_allows_what_escnn_allows_with_its_cutoff_open(source, target):
    enn, plane = steerable.enn, steerable.gspaces.rot2dOnR2(4)
    fields = {"number": plane.trivial_repr, "arrow": plane.irrep(1), "group axis": plane.regular_repr}
    inputs, outputs = (enn.FieldType(plane, [fields[name]]) for name in (source, target))
    opened = {"frequencies_cutoff": lambda radius: 4 * (radius > 0)}
    theirs = lesson_c.escnn_kernels(enn.R2Conv(inputs, outputs, 3, bias=False, **opened))
    ours = lesson.allowed(projected, source, target).flatten(1)
    ranks = [int(torch.linalg.matrix_rank(k, rtol=1e-5)) for k in (ours, theirs, torch.cat([ours, theirs]))]
    assert ranks == 3 * [lesson.dimensions(projected)[f"{source} -> {target}"]]


def test_the_fourier_nonlinearity_is_the_one_of_our_networks(notebook):
    stage = steerable.SteerableCNN("SO(2)", channels=(2,)).stages[0]
    elu, samples = stage.module[2], stage.samples  # samples: coefficients (7) -> values at 8 angles
    coefficients = noise(3, 2, 7).float()
    after = elu(elu.in_type(coefficients.flatten(1)[..., None, None])).tensor.reshape(3, 2, 7)
    for fourier in (notebook["fourier"], sampled):
        mine = fourier(coefficients @ samples.T, 16, F.elu)
        torch.testing.assert_close(mine, after @ samples.T, rtol=0, atol=1e-5)


@over_groups
def test_base_kernels(notebook, group):
    layer = GroupConv2d(group, 2, 3, 3)
    base = notebook["base_kernels"](layer.expanded_weight(), group.order)
    assert torch.equal(base, layer.weight)
