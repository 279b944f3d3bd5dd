"""Pictures that fit what a network takes."""

import pytest
import torch

from eqssl_edu.widgets.shared.picture_source import SOURCES, Sources, fit, from_bytes

GREY, COLOUR = torch.rand(1, 32, 32), torch.rand(3, 24, 24)


@pytest.mark.parametrize(
    "like",
    [GREY, COLOUR, torch.rand(2, 9, 9), torch.rand(1, 5, 5).double()],
    ids=lambda x: f"{tuple(x.shape)}",
)
@pytest.mark.parametrize("source", ["digits", "glyphs", "shapes"])
def test_every_source_fits(source, like):
    sources = Sources(like)
    assert sources.count(source) >= 5
    for number in range(sources.count(source)):
        image, text = sources.get(source, number)
        assert image.shape == like.shape and image.dtype == like.dtype
        assert 0 <= image.min() < image.max() <= 1
        assert text


def test_shapes_have_the_symmetry_that_they_say():
    sources = Sources(GREY)
    found = {
        sources.get("shapes", i).text: sources.get("shapes", i).image for i in range(sources.count("shapes"))
    }
    ring, cross, stripes, *others = found.values()
    for image in (ring, cross):
        assert torch.allclose(image, image.rot90(1, (1, 2)), atol=1e-5)
    assert torch.allclose(stripes, stripes.rot90(2, (1, 2)), atol=1e-5)
    for image in (stripes, *others):
        assert not torch.allclose(image, image.rot90(1, (1, 2)), atol=0.1)


def test_a_picture_is_cropped_in_the_centre_and_averaged():
    wide = torch.zeros(1, 8, 16)
    wide[:, :, 4:8] = 1  # the left half of the central square
    small = fit(wide, torch.zeros(1, 2, 2))
    assert small[0, :, 0].min() > 0.7 and small[0, :, 1].max() < 0.3
    assert torch.allclose(fit(GREY, torch.zeros(1, 32, 32)), GREY)


def test_colours_become_grey_by_luminance_and_grey_becomes_every_channel():
    red = torch.zeros(3, 4, 4)
    red[0] = 1
    assert torch.allclose(fit(red, torch.zeros(1, 4, 4)), torch.full((1, 4, 4), 0.299))
    assert torch.equal(fit(red, torch.zeros(3, 4, 4)), red)
    two = fit(red, torch.zeros(2, 4, 4))
    assert two.shape == (2, 4, 4) and torch.equal(two[0], two[1])


def test_the_range_is_that_of_a_normalised_image():
    normalised = torch.linspace(-2, 3, 16).view(1, 4, 4)
    black_and_white = torch.tensor([0.0, 1.0]).repeat(8).view(1, 4, 4)
    assert fit(black_and_white, normalised).aminmax() == (-2, 3)
    assert fit(black_and_white, torch.full((1, 4, 4), 0.5)).aminmax() == (0, 1)


def test_bytes():
    image = from_bytes(bytes(range(12)), 2, 3)
    assert image.shape == (3, 2, 2)
    assert image[1, 0, 0] * 255 == 4
    for data, side, channels in ((b"abc", 2, 1), (bytes(8), 2, 2), (bytes(8), 2, True)):
        with pytest.raises(ValueError, match="picture must have 1 or 3 channels"):
            from_bytes(data, side, channels)
    for side in (0, -2, 10**9):
        with pytest.raises(ValueError, match=r"side must be an integer 1 \.\. 4096"):
            from_bytes(bytes(4), side, 1)


@pytest.mark.parametrize(
    ("name", "data", "side"), [("side", bytes(4), "2"), ("side", bytes(4), 2.0), ("data", "abcd", 2)]
)
def test_what_is_no_picture_of_a_front_end_is_named(as_a_user, name, data, side):
    with pytest.raises(TypeError, match=f"{name} must be"):
        from_bytes(data, side, 1)
    with pytest.raises(ValueError, match="source must be one of 'file', 'drawing'"):
        Sources(GREY).add("digits", GREY, "not of the user")


def test_files_stay_and_the_drawing_is_replaced():
    sources = Sources(GREY)
    assert sources.count("file") == sources.count("drawing") == 0
    assert [sources.add("file", torch.full((1, 4, 4), level), "mine") for level in (0.25, 0.75)] == [0, 1]
    assert float(sources.get("file", 0).image[0, 0, 0]) == 0.25
    for level in (0.25, 0.75):
        assert sources.add("drawing", torch.full((1, 4, 4), level), "drawn") == 0
    assert sources.count("drawing") == 1 and sources.drawn == 2
    assert float(sources.get("drawing", 0).image[0, 0, 0]) == 0.75
    assert set(SOURCES) == {"image", "digits", "glyphs", "shapes", "file", "drawing"}
