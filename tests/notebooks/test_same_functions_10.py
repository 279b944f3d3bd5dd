"""The functions that notebook 10 builds are the library's, over several groups."""

import pytest
import torch
from same import noise

from eqssl_edu.diagnostics import learned_action
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.lessons import notebook_10 as lesson

SOURCE = "10_*.py"
GROUPS = pytest.mark.parametrize(
    "group", [cyclic(1), cyclic(4), dihedral(1), dihedral(4)], ids=lambda G: G.name
)


class Tables(torch.nn.Module):
    """Features of 6 numbers in which no direction is dead."""

    def forward(self, images):
        return torch.tanh(images.flatten(1) @ noise(25, 6))


@GROUPS
def test_fitted_maps(notebook, group):
    images = noise(60, 1, 5, 5, seed=1)
    z = torch.stack([Tables()(group.transform(images, k)) for k in group.elements], dim=1)
    action = learned_action(Tables(), images, group, images)
    maps, centred = notebook["fitted_maps"](group, z), z[:, 0] - z.mean(dim=(0, 1))
    for g in group.elements:
        theirs = action.act(z[:, 0], g) - action.centre
        torch.testing.assert_close(centred @ maps[g].T, theirs, rtol=1e-9, atol=1e-9)
    if group == lesson.C4:
        torch.testing.assert_close(lesson.library_maps(z), maps)


def test_any_action(notebook):
    images = noise(3, 1, 5, 5).abs()
    z = lesson.scramble(images)
    for g in lesson.C4.elements:
        mine = notebook["any_action"](
            lesson.scramble, lesson.unscramble, lambda x, g=g: lesson.C4.transform(x, g), z
        )
        assert torch.equal(mine, lesson.moved(z, g))
        assert torch.equal(mine, lesson.scramble(lesson.C4.transform(images, g)))


@GROUPS
def test_law_defect(notebook, group):
    maps = noise(group.order, 5, 5)
    torch.testing.assert_close(notebook["law_defect"](group, maps), lesson.library_law(group, maps))
