"""verify for every angle: exact at quarter turns, within a proven bound between; wrong actions are found and named."""

import pytest
import torch
import torch.nn.functional as F
from test_angle_task import generator, glyphs, noise

from eqssl_edu.circle import turn_arrows
from eqssl_edu.pretext import AngleTask, CircleTask, OffsetTask, verify
from eqssl_edu.pretext.verify_angles import interpolation_bound, verify_circle
from eqssl_edu.rotate import disc_mask, rotate


def smooth(count, size, pixels=1.5, seed=0):
    reach = round(3 * pixels)
    kernel = torch.exp(-(torch.arange(-reach, reach + 1.0).double() ** 2) / (2 * pixels**2))
    kernel = kernel / kernel.sum()
    rows = F.conv2d(noise(count, 1, size, size, seed=seed), kernel[None, None, None], padding=(0, reach))
    return F.conv2d(rows, kernel[None, None, :, None], padding=(reach, 0))


IMAGES = {"noise": noise(3, 1, 29, 29), "letters": glyphs("FGR"), "smooth": smooth(3, 29)}
TASKS = {"angle": AngleTask(), "angle of type 3": AngleTask(symmetry=3), "offset": OffsetTask(7, 1, 2)}


# -- the bound -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("images", IMAGES.values(), ids=IMAGES)
def test_two_turns_and_one_are_never_further_apart_than_the_bound(images):
    """At every pixel inside, for many pairs of angles; and a quarter of the bound is crossed (must fail)."""
    inside, closest = disc_mask(29, 2**0.5), 0.0
    bound = interpolation_bound(images)
    angles = 360 * torch.rand(40, 2, dtype=torch.float64, generator=generator())
    for first, second in angles.tolist():
        cut = rotate(images, first) * disc_mask(29)
        far = (rotate(cut, second) - rotate(images, first + second)).abs()
        allowed = rotate(bound, first + second)
        assert (far <= allowed + 1e-12)[..., inside].all()
        closest = max(closest, (far / allowed.clamp_min(1e-9))[..., inside].max().item())
    assert closest > 1 / 4  # little is given away


def test_the_bound_is_zero_where_a_picture_is_affine_and_shrinks_as_it_gets_smooth():
    line = torch.linspace(-1, 1, 29, dtype=torch.float64)
    affine = (3 * line[:, None] - 2 * line + 5)[None, None]
    assert interpolation_bound(affine).abs().max() < 1e-12
    inside = disc_mask(29, 2**0.5)
    twice = rotate(rotate(affine, 20.0) * disc_mask(29), 31.0)
    assert (twice - rotate(affine, 51.0)).abs()[..., inside].max() < 1e-12
    bounds = [interpolation_bound(smooth(2, 41, pixels)).mean().item() for pixels in (1.0, 2.0, 4.0)]
    values = [smooth(2, 41, pixels).std().item() for pixels in (1.0, 2.0, 4.0)]
    relative = [b / v for b, v in zip(bounds, values, strict=True)]
    assert relative[0] > 2 * relative[1] > 4 * relative[2]  # it falls as the second derivative does


# -- true actions ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize("images", ["letters", "smooth"])
def test_built_in_tasks_tell_the_truth(task, images):
    verdict = verify(task, IMAGES[images].repeat(3, 1, 1, 1))
    assert verdict.ok and verdict.failed == 0 and verdict.counter_example is None and verdict.alike == ()
    assert verdict.says == verdict.fits == 1 and verdict.checked == 9 * 12
    assert verdict.difference < 1e-12 and 0.001 < verdict.interpolation < verdict.bound
    assert str(verdict).startswith("The action tells the truth") and verdict.picture().count("<img") == 0
    if isinstance(task, OffsetTask):
        assert verdict.difference == 0


def test_A10_patches_turn_with_the_image_bit_for_bit_at_quarter_turns():
    task, images = OffsetTask(6, 1, 2), noise(20, 2, 26, 26)
    labels, draws = task.draw(images, generator())
    for degrees in (90.0, 180.0, 270.0, -90.0):
        inputs, moved = task.turned(images, labels, draws, degrees)
        assert torch.equal(task.transform(task.apply(images, labels, draws), degrees), inputs)
        assert torch.equal(moved, turn_arrows(labels, degrees))
        back = task.apply(
            rotate(images, degrees), turn_arrows(labels, -degrees), draws
        )  # must fail: R(-theta)
        assert degrees == 180 or ((back - inputs).norm() / inputs.norm()).item() > 0.9


# -- wrong ones ------------------------------------------------------------------------------------------------------


def angle_task_of(speed):
    """A task whose labels move so many times as fast as they should."""

    class Wrong(AngleTask):
        def move(self, labels, degrees):
            return AngleTask.move(self, labels, speed * degrees)

    return Wrong()


WORDS = {
    -1: "in the wrong sense",
    0: "not at all",
    2: "2 times as fast as the image turns",
    5: "5 times as fast",
}


@pytest.mark.parametrize("images", ["noise", "letters", "smooth"])
@pytest.mark.parametrize("speed", [-1, 0, 2, -3, 5])
def test_wrong_labels_are_found_and_named(speed, images):
    """5 and -3 are right at quarter turns: what finds them are the angles between."""
    task = angle_task_of(speed)
    verdict = verify(task, IMAGES[images])
    assert not verdict.ok and verdict.failed > 0 and (verdict.says, verdict.fits) == (speed, 1)
    text = str(verdict)
    assert "does not tell the truth" in text and "moves with the image" in text
    assert speed not in WORDS or f"The task moves its labels {WORDS[speed]}" in text
    case = verdict.counter_example
    label = case.label[None]
    assert (task.apply(case.image[None], label)[0] - case.before).abs().max() < 1e-9
    assert torch.equal(task.transform(case.before[None], case.degrees)[0], case.turned)
    assert torch.equal(task.apply(case.image[None], case.promised[None])[0], case.expected)
    assert ((case.found - case.label - case.degrees + 180) % 360 - 180).abs() < 1e-9  # the true label
    assert verdict.picture().count("<img") == 4
    quarters = verify_circle(task, IMAGES[images], degrees=(90.0, 180.0, 270.0))
    assert (quarters.failed == 0) is (speed in (-3, 5))


@pytest.mark.parametrize("images", ["letters", "smooth"])
def test_vectors_that_turn_in_the_wrong_sense_are_found(images):
    class Wrong(OffsetTask):
        def move(self, labels, degrees):
            return turn_arrows(labels, -degrees)

    verdict = verify(Wrong(7, 1, 2), IMAGES[images].repeat(3, 1, 1, 1))
    assert not verdict.ok and (verdict.says, verdict.fits) == (-1, 1)
    assert "The task moves its labels in the wrong sense" in str(verdict)
    case = verdict.counter_example
    assert torch.equal(case.found, turn_arrows(case.label[None], case.degrees)[0])


def test_an_action_that_is_none_of_those_is_found_too():
    class Shaky(AngleTask):
        def move(self, labels, degrees):
            return AngleTask.move(self, labels, degrees + 20)

    verdict = verify(Shaky(), IMAGES["letters"])
    assert not verdict.ok and verdict.says is None and verdict.fits == 1


def test_a_task_that_does_something_else_to_turned_inputs_fits_nothing():
    class Flipped(AngleTask):
        def transform(self, inputs, degrees):
            return AngleTask.transform(self, inputs, degrees).flip(-1)

    verdict = verify(Flipped(), IMAGES["letters"])
    assert not verdict.ok and verdict.fits is None and verdict.counter_example.found is None
    assert "no label that was tried fits it" in str(verdict)


def test_images_that_cannot_tell_are_no_witnesses():
    line = torch.linspace(-1, 1, 21, dtype=torch.float64)
    round_one = torch.exp(-4 * (line[:, None] ** 2 + line**2))[None, None]
    for images in (torch.zeros(2, 1, 21, 21), round_one):
        verdict = verify(AngleTask(), images)
        assert not verdict.ok and verdict.failed == 0 and verdict.alike == (-1, 0, 2, -2, 3, -3, 5)
        assert "no witnesses: labels that move in the wrong sense, or not at all" in str(verdict)
    # The must-fail twin: the wrong sense passes on them, so "failed == 0" alone proves nothing.
    assert verify(angle_task_of(-1), torch.zeros(2, 1, 21, 21)).failed == 0
    half = F.interpolate(glyphs("S", 29)[:, :, 2:-2, 2:-2], 21)
    half = (half + torch.rot90(half, 2, dims=(-2, -1))) / 2
    assert verify(AngleTask(symmetry=2), half).ok


def test_the_bound_asks_for_a_linear_task(as_a_user):
    class Normed(AngleTask):
        def apply(self, images, labels, draws=None):
            return F.layer_norm(AngleTask.apply(self, images, labels, draws), images.shape[1:])

    refused = [
        ("task.apply", lambda: verify(Normed(), IMAGES["letters"])),
        ("images", lambda: verify(AngleTask(), torch.full((1, 1, 8, 8), torch.nan))),
        ("len(images)", lambda: verify(AngleTask(), torch.zeros(0, 1, 8, 8))),
        ("tolerance", lambda: verify(AngleTask(), IMAGES["letters"], tolerance=-1.0)),
        ("task", lambda: verify(CircleTask, IMAGES["letters"])),
    ]
    for number, (name, call) in enumerate(refused):
        with pytest.raises((TypeError, ValueError)) as refusal:
            call()
        assert str(refusal.value).startswith(name), (number, refusal.value)
