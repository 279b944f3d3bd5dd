"""The functions that notebook 10 builds are the library's, over several groups."""

import pytest
import torch
from same import noise

from eqssl_edu.diagnostics import learned_action
from eqssl_edu.encoders import SymmetrizedEncoder
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.learned import turned_back
from eqssl_edu.lessons import notebook_10 as lesson
from eqssl_edu.lessons import notebook_10b as relatives
from eqssl_edu.lessons import notebook_10c as carried

SOURCE = "10*.py"
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


@GROUPS
def test_symmetrised(notebook, group):
    images, weight = noise(4, 1, 5, 5), noise(25, 3 * group.order, seed=1)

    def f(x):
        return torch.tanh(x.flatten(1) @ weight).unflatten(1, (3, group.order))

    mine = notebook["symmetrised"](group, f, images)
    orbit = torch.stack([f(group.transform(images, k)).flatten(1) for k in group.elements], dim=1)
    torch.testing.assert_close(mine.flatten(1), turned_back(group, orbit).mean(dim=1))
    torch.testing.assert_close(mine, relatives.library_symmetrised(group, f, images))
    # What is equivariant already is its own symmetrisation.
    linear = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(25, 3)).double()
    already = SymmetrizedEncoder(group, linear)
    torch.testing.assert_close(notebook["symmetrised"](group, already, images), already(images))


@GROUPS
def test_soft_loss(notebook, group):
    images, weight = noise(4, 1, 5, 5), noise(25, 3 * group.order, seed=1)

    def f(x):
        return torch.tanh(x.flatten(1) @ weight).unflatten(1, (3, group.order))

    torch.testing.assert_close(
        notebook["soft_loss"](group, f, images), relatives.library_soft(group, f, images)
    )


def test_moving_energy_is_the_unit_of_learned_action(notebook):
    images = noise(60, 1, 5, 5, seed=1)
    z = torch.stack([Tables()(lesson.C4.transform(images, k)) for k in lesson.C4.elements], dim=1)
    moving = notebook["moving_energy"](z)
    torch.testing.assert_close(moving, relatives.library_moving(z))
    still = learned_action(Tables(), images, lesson.C4, images).plain.still
    all_energy = (z - z.mean(dim=(0, 1))).square().sum(dim=2).mean()
    assert abs(still - (1 - float(moving / all_energy))) < 1e-12


@GROUPS
def test_missed_is_what_learned_action_reports_of_other_images(notebook, group):
    images, others = noise(60, 1, 5, 5, seed=1), noise(20, 1, 5, 5, seed=2)
    z, w = (
        torch.stack([Tables()(group.transform(x, k)) for k in group.elements], dim=1)
        for x in (images, others)
    )
    maps = notebook["fitted_maps"](group, z)
    if group.order > 1:
        theirs = learned_action(Tables(), images, group, others).plain.error
        assert abs(float(notebook["missed"](group, maps, w)) - theirs) < 1e-9
        torch.testing.assert_close(notebook["missed"](group, maps, w), carried.library_missed(group, maps, w))


def test_information(notebook):
    counts = noise(3, 4, 5).abs()
    torch.testing.assert_close(notebook["information"](counts), carried.library_information(counts))
