"""What notebook 03b turns is turned as the library and the lesson turn it; bumps turn exactly where they can."""

import pytest
import torch

from eqssl_edu.diagnostics import turn_maps
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.lessons import notebook_03 as lesson

SOURCE = "03b_what_sets_the_error.py"


def noise(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("group", [cyclic(1), cyclic(4), cyclic(6), cyclic(8)], ids=lambda group: group.name)
def test_turned_kernels(notebook, group):
    kernels = noise(3, 1, 5, 5)
    torch.testing.assert_close(
        notebook["turned_kernels"](kernels, group), lesson.turned_kernels(kernels, group)
    )


@pytest.mark.parametrize(
    "group", [cyclic(1), cyclic(4), cyclic(8), dihedral(4)], ids=lambda group: group.name
)
@pytest.mark.parametrize("degrees", [0.0, 30.0, 90.0, 170.0, 315.0])
def test_stabilised(notebook, group, degrees):
    maps = noise(2, 3, group.order, 9, 9)
    torch.testing.assert_close(notebook["stabilised"](maps, degrees, group), turn_maps(group, maps, -degrees))


@pytest.mark.parametrize("width", [0.3, 1.0])
def test_bumps_that_turn_by_a_quarter_are_the_pixels_turned(width):
    heights = noise(2, 1, 5, 5)
    bank = lesson.turned_by_formula(heights, width)
    for g in (0, 2, 4, 6):
        quarter = torch.rot90(lesson.bumps(heights, width), g // 2, dims=(-2, -1))
        torch.testing.assert_close(bank[:, g], quarter, rtol=0, atol=1e-5)
    assert (bank[:, 1] - lesson.turned_kernels(lesson.bumps(heights, width))[:, 1]).abs().max() > 1e-2
