"""Random views: every change on its own, drawn from the generator alone, turned by own elements."""

import pytest
import torch

from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.views import RandomView

NOTHING = {"scale": 0.0, "shift": 0.0, "contrast": 0.0, "noise": 0.0}


def images(count=8, size=16, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 2, size, size, dtype=torch.float64, generator=generator).to(dtype)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def spot(size=33, count=64):
    """A small square in the middle of a black picture."""
    picture = torch.zeros(count, 1, size, size, dtype=torch.float64)
    picture[..., size // 2 - 2 : size // 2 + 3, size // 2 - 2 : size // 2 + 3] = 1
    return picture


def test_the_generator_decides_and_the_global_one_is_neither_read_nor_moved():
    view = RandomView(cyclic(4), crop=0.2, rotation=10, texture=0.5, inversion=0.5, colour=0.2)
    torch.manual_seed(0)
    before, first = torch.get_rng_state(), view(images(), seeded(1))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert torch.equal(view(images(), seeded(1)), first)
    assert not torch.equal(view(images(), seeded(2)), first)


def test_every_image_gets_its_own_change():
    same = images(1).expand(8, -1, -1, -1)
    changes = {"scale": 0.2, "shift": 0.1, "contrast": 0.4, "noise": 0.1, "crop": 0.3, "rotation": 20.0}
    changes |= {"texture": 0.5, "colour": 0.4}
    for change in ({name: size} for name, size in changes.items()):
        views = RandomView(**{**NOTHING, **change})(same, seeded())
        assert len(views.flatten(1).unique(dim=0)) == 8, change


def test_shift_moves_by_at_most_its_fraction_of_the_side():
    size, shift = 33, 0.2
    views = RandomView(**{**NOTHING, "shift": shift})(spot(size), seeded())
    axis = torch.arange(size, dtype=torch.float64)
    mass = views.sum(dim=(1, 2, 3))
    for profile in (views.sum(dim=(1, 2)), views.sum(dim=(1, 3))):
        moved = (profile * axis).sum(dim=1) / mass - size // 2
        assert moved.abs().max() <= shift * size + 1e-9
        assert moved.max() > 0.5 * shift * size
        assert moved.min() < -0.5 * shift * size


def test_scale_changes_the_area_by_its_square_at_most():
    views = RandomView(**{**NOTHING, "scale": 0.5})(spot(), seeded())
    area = views.sum(dim=(1, 2, 3)) / 25
    assert area.max() < 1.5**2 + 0.2
    assert area.min() > 0.5**2 - 0.1
    assert area.max() > 1.5
    assert area.min() < 0.6


@pytest.mark.parametrize(("change", "axis"), [("contrast", 1), ("colour", 2)])
def test_contrast_multiplies_each_image_and_colour_each_channel(change, axis):
    factors = (RandomView(**{**NOTHING, change: 0.4})(images(64), seeded()) / images(64)).flatten(axis)
    assert (factors - factors[..., :1]).abs().max() < 1e-9
    assert 0.6 <= factors.min() < 0.75 and 1.25 < factors.max() <= 1.4
    if change == "colour":
        assert (factors[:, 0, 0] - factors[:, 1, 0]).abs().max() > 0.3


def test_inversion_has_its_probability():
    views = RandomView(**{**NOTHING, "inversion": 0.25})(images(400, 4), seeded())
    inverted = (views - (1 - images(400, 4))).abs().amax(dim=(1, 2, 3)) < 1e-12
    assert ((views - images(400, 4)).abs().amax(dim=(1, 2, 3)) < 1e-12).logical_xor(inverted).all()
    assert abs(inverted.double().mean() - 0.25) < 4 * (0.25 * 0.75 / 400) ** 0.5
    assert torch.equal(RandomView(**{**NOTHING, "inversion": 1.0})(images(), seeded()), 1 - images())


def test_texture_is_mixed_in_by_its_weight():
    """One weight for each image: view = (1 - w) image + w texture, with textures around one half."""
    black, white = torch.zeros(64, 1, 16, 16), torch.ones(64, 1, 16, 16)
    view = RandomView(**{**NOTHING, "texture": 0.6})
    dark, light = view(black, seeded()), view(white, seeded())
    weights = 1 - (light - dark)
    assert (weights - weights[:, :, :1, :1]).abs().max() < 1e-6
    assert 0 <= weights.min() < 0.1 and 0.5 < weights.max() <= 0.6
    pattern = dark / weights
    assert abs(pattern.mean() - 0.5) < 0.05 and 0.15 < pattern.std() < 0.35
    assert len(pattern.flatten(1).unique(dim=0)) == 64


def test_textures_of_channels_and_of_oblong_images():
    views = RandomView(**{**NOTHING, "texture": 0.6})(torch.zeros(4, 3, 12, 20), seeded())
    assert views.shape == (4, 3, 12, 20)
    assert (views[:, 0] - views[:, 1]).abs().max() > 0.05


def ramps(size=33, count=64):
    """The column and the row of each pixel, from -1 to 1 across the picture: where a view looks, read from it."""
    axis = (2 * torch.arange(size, dtype=torch.float64) + 1) / size - 1
    return torch.stack([axis.expand(size, size), axis[:, None].expand(size, size)]).expand(
        count, 2, size, size
    )


def test_crop_shows_a_window_inside_the_picture():
    size, crop = 33, 0.5
    looks = RandomView(**{**NOTHING, "crop": crop})(ramps(size), seeded())
    # The outermost half pixel is mirrored: measure between the second and the last but one.
    sides = (looks[:, 0, 1, -2] - looks[:, 0, 1, 1]) / (2 - 6 / size)
    assert 0.5 <= sides.min() < 0.6 and 0.9 < sides.max() <= 1
    assert ((looks[:, 1, -2, 1] - looks[:, 1, 1, 1]) / (2 - 6 / size) - sides).abs().max() < 1e-9
    assert looks.abs().max() <= 1  # never beyond the edge
    centers = looks[..., size // 2, size // 2]
    assert (centers.abs() <= 1 - sides[:, None] + 1e-9).all()
    assert centers.max() > 0.3 and centers.min() < -0.3


def test_rotation_turns_by_at_most_its_angle():
    size = 33
    looks = RandomView(**{**NOTHING, "rotation": 20.0})(ramps(size), seeded())
    middle = slice(size // 2 - 5, size // 2 + 6)
    across = looks[:, :, size // 2, middle]  # how both coordinates change along a row of the view
    step = across[:, :, -1] - across[:, :, 0]
    angles = torch.atan2(step[:, 1], step[:, 0]) * 180 / torch.pi
    assert 15 < angles.max() <= 20 and -20 <= angles.min() < -15
    assert (step.norm(dim=1) - 20 / size).abs().max() < 1e-9  # a rotation keeps lengths


def test_sample_tells_the_element():
    group = dihedral(4)
    view = RandomView(group, texture=0.5, inversion=0.5, rotation=10.0, crop=0.2)
    sampled = view.sample(images(), seeded(3))
    assert torch.equal(sampled.images, view(images(), seeded(3)))
    back = group.transform(sampled.images, group.inverse[sampled.elements])
    again = RandomView(None, texture=0.5, inversion=0.5, rotation=10.0, crop=0.2).sample(images(), seeded(3))
    assert torch.equal(back, again.images) and not again.elements.any()


def test_turns_cost_no_other_draw():
    """View after view of one generator: with each group the same ones, but for the turns."""
    everything = {"texture": 0.5, "inversion": 0.5, "rotation": 10.0, "crop": 0.2, "colour": 0.2}
    groups, streams = [None, cyclic(1), cyclic(4), dihedral(4)], [seeded(3) for _ in range(4)]
    for _ in range(3):
        upright, *others = (
            RandomView(group, **everything).sample(images(), draws)
            for group, draws in zip(groups, streams, strict=True)
        )
        for group, (views, elements) in zip(groups[1:], others, strict=True):
            assert torch.equal(group.transform(views, group.inverse[elements]), upright.images)
        assert others[-1].elements.any() and not torch.equal(others[-1].images, upright.images)


def test_noise_has_its_standard_deviation_and_types_stay():
    for dtype in (torch.float32, torch.float64):
        views = RandomView(**{**NOTHING, "noise": 0.1})(images(64, dtype=dtype), seeded())
        assert views.dtype == dtype and views.shape == images(64).shape
        assert abs((views - images(64)).std() - 0.1) < 0.005


def test_turned_views_are_turned_by_own_uniform_elements():
    group, pictures = dihedral(4), images(400, size=4)
    assert torch.allclose(RandomView(**NOTHING)(pictures, seeded()), pictures)  # the must-fail twin
    turned = RandomView(group, **NOTHING)(pictures, seeded())
    copies = torch.stack([group.transform(pictures, g) for g in group.elements])
    error = (copies - turned).flatten(2).abs().amax(dim=2)
    assert error.amin(dim=0).max() < 1e-12
    counts = error.argmin(dim=0).bincount(minlength=group.order)
    assert (counts - 400 / group.order).abs().max() < 4 * (400 / group.order) ** 0.5


def test_half_precision_of_a_network_does_not_round_its_views():
    view = RandomView(cyclic(4), crop=0.3, rotation=10, texture=0.5)
    pictures = images(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        found = view(pictures, seeded())
    assert torch.equal(found, view(pictures, seeded()))


def test_gradients_flow():
    pictures = images(2, 5).requires_grad_()
    view = RandomView(cyclic(4))
    assert torch.autograd.gradcheck(lambda x: view(x, seeded()), pictures)


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        *(
            (name, lambda name=name: RandomView(**{name: 1.0}))
            for name in ("scale", "crop", "texture", "colour")
        ),
        ("shift", lambda: RandomView(shift=-0.1)),
        ("contrast", lambda: RandomView(contrast="high")),
        ("noise", lambda: RandomView(noise=float("nan"))),
        ("inversion", lambda: RandomView(inversion=1.5)),
        ("rotation", lambda: RandomView(rotation=181)),
        ("group", lambda: RandomView(cyclic(8))),
        ("images", lambda: RandomView()(torch.zeros(1, 8, 8))),
        ("images", lambda: RandomView()(torch.zeros(1, 1, 8, 8).byte())),
        ("images", lambda: RandomView(cyclic(4))(torch.zeros(64, 1, 8, 9), seeded())),
        ("generator", lambda: RandomView()(torch.rand(2, 1, 8, 8), 3)),
    ],
)
def test_malformed_input_is_named(as_a_user, argument, call):
    with pytest.raises((TypeError, ValueError), match=f"^{argument} must"):
        call()


@pytest.mark.parametrize("shape", [(33, 65), (65, 33)])
def test_oblong_pictures_are_turned_and_not_sheared(shape):
    """A round spot stays round, and two spots keep their distance in pixels. (Mirror images do not count.)"""
    y, x = torch.meshgrid(*(torch.arange(side) - side // 2 for side in shape), indexing="ij")
    spots = [torch.exp(-((y - a) ** 2 + (x - b) ** 2) / 8.0) for a, b in ((0, 0), (8, 8))]
    picture = torch.stack(spots)[None]  # one channel for each spot
    view = RandomView(scale=0, shift=0, contrast=0, noise=0, rotation=90)
    turned = view(picture, torch.Generator().manual_seed(3))[0]
    centres, widths = [], []
    for spot in turned:
        near = y**2 + x**2 < 17**2
        weight = spot * near / (spot * near).sum()
        centre = torch.stack([(weight * y).sum(), (weight * x).sum()])
        spread = [(weight * (axis - c) ** 2).sum() for axis, c in zip((y, x), centre, strict=True)]
        centres.append(centre), widths.append(spread)
    assert abs((centres[1] - centres[0]).norm() - 8 * 2**0.5) < 0.3
    assert (centres[1] - centres[0] - 8).abs().max() > 1  # it has turned
    assert all(abs(a - b) < 0.2 for a, b in widths)


def test_surroundings_are_the_picture_mirrored():
    view = RandomView(scale=0.9, shift=0.5, contrast=0, noise=0)
    views = view(torch.ones(64, 1, 16, 16), torch.Generator().manual_seed(0))
    assert (views - 1).abs().max() < 1e-6  # zeros would enter from outside
