"""AngleTask: what is drawn, that nothing from outside the picture tells the angle, and what interpolation tells."""

import pytest
import torch
import torch.nn.functional as F

from eqssl_edu.circle import angle_error, so2
from eqssl_edu.data.letters import letters
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.pretext import AngleTask
from eqssl_edu.rotate import disc_mask, rotate


def noise(*shape, seed=0):
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def glyphs(names, size=29):
    """Letters with smooth edges."""
    drawn = torch.stack([letters()[name] for name in names])[:, None].double()
    return F.interpolate(drawn, size=(size, size), mode="bicubic", align_corners=False)


@pytest.mark.parametrize("symmetry", [1, 2, 3])
@pytest.mark.parametrize("group", ["SO2", "SO(2)", so2(3), cyclic(8), cyclic(7)], ids=str)
def test_inputs_are_turned_by_the_angle_and_labels_are_the_angle_modulo_the_symmetry(group, symmetry):
    task, images = AngleTask(group, symmetry), noise(6, 2, 12, 12)
    labels, draws = task.draw(images, generator())
    angles = labels + draws
    inputs, again = task.sample(images, generator())
    assert torch.equal(again, labels) and labels.dtype == images.dtype
    assert labels.min() >= 0 and labels.max() < 360 / symmetry
    assert torch.allclose(inputs, rotate(images, angles) * disc_mask(12), atol=1e-9)
    assert angle_error(angles, labels, symmetry).max() < 1e-9
    if task.turns:  # multiples of 360 / n, and all of them
        many = task.draw(images.expand(6, 2, 12, 12).repeat(500, 1, 1, 1), generator())
        steps = (sum(many) % 360 * task.turns / 360).round()
        assert (sum(many) % 360 * task.turns / 360 - steps).abs().max() < 1e-9
        assert (steps % task.turns).unique().tolist() == list(range(task.turns))
        counts = (steps % task.turns).long().bincount()
        assert counts.min() > 0.8 * 3000 / task.turns  # each as often: an end of the circle counts once


def test_the_samples_of_so2_are_not_its_turns():
    """so2(3) has 8 samples and all turns; cyclic(8) has 8 turns."""
    images = torch.zeros(100, 1, 4, 4)
    for group, few in ((so2(3), False), ("SO2", False), (cyclic(8), True)):
        angles = sum(AngleTask(group).draw(images, generator()))
        assert bool(((angles / 45 - (angles / 45).round()).abs() < 1e-6).all()) is few


def test_a_wedge_holds_the_angles_inside_of_it():
    images = torch.zeros(3000, 1, 2, 2)
    angles = sum(AngleTask("SO2", within=45.0).draw(images, generator()))
    angles = (angles + 180) % 360 - 180
    assert angles.abs().max() <= 45 and angles.min() < -44 and angles.max() > 44 and angles.mean().abs() < 2
    steps = sum(AngleTask(cyclic(8), within=90.0).draw(images, generator()))
    assert (steps % 360).unique().tolist() == [0, 45, 90, 270, 315]
    every = sum(AngleTask("SO2").draw(images, generator()))
    assert every.min() < -179 and every.max() > 179


def test_nothing_enters_the_picture_from_outside():
    """A white picture stays a white disc at every angle; without the cut its corners tell the angle (must fail)."""
    white = torch.ones(1, 1, 13, 13, dtype=torch.float64)
    task, corners = AngleTask(), []
    for degrees in (0.0, 17.0, 45.0, 90.0, 200.0):
        turned = task.apply(white, torch.tensor([degrees], dtype=torch.float64))
        assert (turned - disc_mask(13).double()).abs().max() < 1e-12
        corners.append(float(rotate(white, degrees).sum()))
    assert max(corners) - min(corners) > 10


@pytest.mark.parametrize("symmetry", [1, 4])
def test_a_turned_input_is_the_input_of_the_moved_label(symmetry):
    """Exactly at quarter turns of quarter turns, to rounding at quarter turns of any angle."""
    task, images = AngleTask("SO2", symmetry), noise(4, 1, 12, 12)
    for own in (torch.tensor([0.0, 90, 180, 270]).double(), torch.tensor([10.0, 99, 200, 359.9]).double()):
        labels = task.move(torch.zeros(4).double(), own)
        draws = own - labels
        inputs = task.apply(images, labels, draws)
        for degrees in (90.0, -180.0, 270.0):
            moved = task.move(labels, degrees)
            expected = task.apply(images, moved, task.transform_draws(draws, degrees, labels))
            far = (task.transform(inputs, degrees) - expected).abs().max()
            assert far == 0 if (own % 90 == 0).all() else far < 1e-9
            wrong = task.apply(images, task.move(labels, -degrees), draws)  # must fail: the wrong sense
            assert degrees == -180 or (task.transform(inputs, degrees) - wrong).abs().max() > 1


def test_a_label_never_is_its_own_period():
    task = AngleTask("SO2", 3)
    for degrees in (-1e-9, -1e-30, 120.0, 1e-9, 240.0, -360.0):
        for dtype in (torch.float32, torch.float64):
            assert 0 <= task.move(torch.zeros(1, dtype=dtype), degrees).item() < 120


def test_interpolation_tells_the_angle_modulo_90_and_nothing_of_the_quarter():
    """White noise has no orientation. Its turned copies are blurred, unless the turn is exact: so much is told."""
    task, images = AngleTask(), noise(400, 1, 24, 24)

    def energy(degrees):
        turned = task.apply(images, torch.full((400,), degrees, dtype=torch.float64))
        return turned.square().mean().item() / (images * disc_mask(24)).square().mean().item()

    exact, between = [energy(90.0 * q) for q in range(4)], [energy(30.0 + 90.0 * q) for q in range(4)]
    assert max(exact) - min(exact) < 1e-12 and max(between) - min(between) < 1e-12
    assert 0.4 < between[0] < 0.5 and exact[0] == pytest.approx(1)  # (2/3)^2: white noise shows it plainly
    for angle in (12.3, 71.0):  # the pattern itself: the blur at alpha + 90 is the blur at alpha, turned
        here, there = (
            task.apply(images[:2], torch.full((2,), a, dtype=torch.float64)) for a in (angle, angle + 90)
        )
        assert (torch.rot90(here, 1, dims=(-2, -1)) - there).abs().max() < 1e-9
    # Of smooth letters a hundredth of the energy is lost.
    letter = glyphs("FGR", 41)
    energies = [
        task.apply(letter, torch.full((3,), a, dtype=torch.float64)).square().sum().item()
        for a in (0.0, 30.0)
    ]
    assert 0.9 < energies[1] / energies[0] < 1


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_labels_are_fine_whatever_the_images_are_made_of(dtype):
    inputs, labels = AngleTask().sample(noise(50, 1, 8, 8).to(dtype), generator())
    assert inputs.dtype == dtype and labels.dtype == torch.float32 and len(labels.unique()) == 50


def test_empty_batches_and_the_generator():
    task = AngleTask()
    inputs, labels = task.sample(torch.zeros(0, 1, 8, 8))
    assert inputs.shape == (0, 1, 8, 8) and labels.shape == (0,)
    images = noise(3, 1, 8, 8)
    one, two, other = (task.sample(images, generator(seed))[1] for seed in (0, 0, 1))
    assert torch.equal(one, two) and not torch.equal(one, other)


REFUSED = [
    ("group", lambda: AngleTask("SO3")),
    ("group", lambda: AngleTask(dihedral(4))),
    ("group", lambda: AngleTask(4)),
    ("symmetry", lambda: AngleTask(symmetry=0)),
    ("symmetry", lambda: AngleTask(symmetry=1.5)),
    ("within", lambda: AngleTask(within=0.0)),
    ("within", lambda: AngleTask(within=200.0)),
    ("within", lambda: AngleTask(within=float("nan"))),
    ("images", lambda: AngleTask().sample(torch.zeros(2, 1, 8, 9))),
    ("images", lambda: AngleTask().sample(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))),
    ("labels", lambda: AngleTask().apply(torch.zeros(2, 1, 8, 8), torch.zeros(3))),
    ("labels", lambda: AngleTask().apply(torch.zeros(2, 1, 8, 8), torch.full((2,), torch.nan))),
    ("labels", lambda: AngleTask().apply(torch.zeros(2, 1, 8, 8), torch.zeros(2, dtype=torch.long))),
    ("degrees", lambda: AngleTask().transform(torch.zeros(2, 1, 8, 8), "east")),
    ("inputs", lambda: AngleTask().transform(torch.zeros(2, 1, 8, 9), 30.0)),
    ("inputs", lambda: AngleTask().transform(torch.zeros(2, 1, 0, 0), 30.0)),
]


def test_each_door_refuses_and_names_the_argument(as_a_user):
    for number, (name, call) in enumerate(REFUSED):
        with pytest.raises((TypeError, ValueError)) as refusal:
            call()
        assert str(refusal.value).startswith(name), (number, refusal.value)
