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


def test_a_view_without_changes_is_the_image():
    assert (RandomView(**NOTHING)(images(), seeded()) - images()).abs().max() < 1e-12


def test_the_generator_decides():
    view = RandomView(cyclic(4))
    first, second, other = view(images(), seeded(1)), view(images(), seeded(1)), view(images(), seeded(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_the_global_generator_is_neither_read_nor_moved():
    view = RandomView(cyclic(4))
    torch.manual_seed(0)
    before, first = torch.get_rng_state(), view(images(), seeded(1))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert torch.equal(view(images(), seeded(1)), first)


def test_every_image_gets_its_own_change():
    same = images(1).expand(8, -1, -1, -1)
    for change in ({"scale": 0.2}, {"shift": 0.1}, {"contrast": 0.4}, {"noise": 0.1}):
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


def test_contrast_multiplies_each_image():
    views = RandomView(**{**NOTHING, "contrast": 0.4})(images(64), seeded())
    factors = (views / images(64)).flatten(1)
    assert (factors - factors[:, :1]).abs().max() < 1e-9
    assert 1.2 < factors.max() <= 1.4
    assert 0.6 <= factors.min() < 0.8


def test_noise_has_its_standard_deviation():
    views = RandomView(**{**NOTHING, "noise": 0.1})(images(64), seeded())
    assert abs((views - images(64)).std() - 0.1) < 0.005


@pytest.mark.parametrize("group", [cyclic(4), dihedral(4)], ids=lambda group: group.name)
def test_turned_views_are_turned_by_own_uniform_elements(group):
    pictures = images(400, size=4)
    turned = RandomView(group, **NOTHING)(pictures, seeded())
    copies = torch.stack([group.transform(pictures, g) for g in group.elements])
    error = (copies - turned).flatten(2).abs().amax(dim=2)
    assert error.amin(dim=0).max() < 1e-12
    counts = error.argmin(dim=0).bincount(minlength=group.order)
    assert (counts - 400 / group.order).abs().max() < 4 * (400 / group.order) ** 0.5


def test_without_a_group_nothing_is_turned():
    """The must-fail twin."""
    upright = RandomView(**NOTHING)(images(400, size=4), seeded())
    assert (upright - images(400, size=4)).abs().max() < 1e-12


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_types_and_shapes_stay(dtype):
    views = RandomView(cyclic(4))(images(dtype=dtype), seeded())
    assert views.dtype == dtype
    assert views.shape == images().shape


def test_gradients_flow():
    pictures = images(2, 5).requires_grad_()
    view = RandomView(cyclic(4))
    assert torch.autograd.gradcheck(lambda x: view(x, seeded()), pictures)


MALFORMED = {
    "scale": (lambda: RandomView(scale=1.0), ValueError, "scale must be at least 0 and below 1, got 1.0"),
    "shift": (lambda: RandomView(shift=-0.1), ValueError, "shift must be at least 0 and below 1, got -0.1"),
    "contrast": (lambda: RandomView(contrast="high"), ValueError, "contrast must be .* got 'high'"),
    "noise": (lambda: RandomView(noise=float("nan")), ValueError, "noise must be .* got nan"),
    "group": (lambda: RandomView("C4"), TypeError, "group must be a FiniteGroup, got 'C4'"),
    "C8": (lambda: RandomView(cyclic(8)), ValueError, "group must map the pixel grid to itself.* got C8"),
    "image": (
        lambda: RandomView()(torch.zeros(1, 8, 8)),
        ValueError,
        r"images must be floating point of shape \(B, C, H, W\), got a torch.float32 tensor of shape \(1, 8, 8\)",
    ),
    "bytes": (
        lambda: RandomView()(torch.zeros(1, 1, 8, 8).byte()),
        ValueError,
        "images must be .* torch.uint8",
    ),
    "list": (lambda: RandomView()([1.0]), TypeError, r"images must be a Tensor, got \[1.0\]"),
    "oblong": (
        lambda: RandomView(cyclic(4))(torch.zeros(64, 1, 8, 9), seeded()),
        ValueError,
        "images must be square for a rotation by .* got 8 x 9",
    ),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_input_is_named(as_a_user, case):
    call, error, message = MALFORMED[case]
    with pytest.raises(error, match=message):
        call()
