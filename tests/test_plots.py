"""Figures have their labels, pictures their pixels, sliders their drawing."""

import base64
import re
import struct
import zlib

import plotly.graph_objects as go
import pytest
import torch

from eqssl_edu.plots import BLUE_WHITE_ORANGE, CIVIDIS, TEMPLATE, image_grid, picture, row


def pixels_of(html):
    """The colours in a picture's PNG, (height, width, 3)."""
    file = base64.b64decode(re.search(r'base64,([^"]+)"', html)[1])
    assert file.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = struct.unpack(">II", file[16:24])
    start = file.index(b"IDAT")
    (length,) = struct.unpack(">I", file[start - 4 : start])
    data = torch.frombuffer(
        bytearray(zlib.decompress(file[start + 4 : start + 4 + length])), dtype=torch.uint8
    )
    return data.reshape(height, 1 + 3 * width)[:, 1:].reshape(height, width, 3)


def colour(text):
    return [int(text[i : i + 2], 16) for i in (1, 3, 5)]


def test_picture_shows_lowest_and_highest_value_in_the_ends_of_the_scale():
    shown = pixels_of(picture(torch.tensor([[0.0, 1.0, 0.5], [2.0, 0.0, 1.0]])))
    assert shown.shape == (2, 3, 3)
    assert shown[0, 0].tolist() == shown[1, 1].tolist() == colour(CIVIDIS[0])
    assert shown[1, 0].tolist() == colour(CIVIDIS[-1])


def test_signed_pictures_have_white_at_zero():
    shown = pixels_of(picture(torch.tensor([[-1.0, 0.0, 2.0]]), signed=True))
    assert min(shown[0, 1].tolist()) > 250
    assert shown[0, 2].tolist() == colour(BLUE_WHITE_ORANGE[-1])
    assert shown[0, 0, 2] > shown[0, 0, 0]  # negative: more blue than red


def test_what_lies_outside_the_limits_is_clipped():
    shown = pixels_of(picture(torch.tensor([[-5.0, 0.0, 1.0, 9.0]]), limits=(0.0, 1.0)))
    assert shown[0, 0].tolist() == shown[0, 1].tolist() != shown[0, 2].tolist() == shown[0, 3].tolist()


def test_captions_are_escaped_and_are_the_alternative_text():
    html = row([picture(torch.zeros(2, 2), "a < b")], "<b>words</b>")
    assert 'alt="a &lt; b"' in html and "a < b" not in html and "<b>words</b>" in html


def test_image_grid_has_a_title_axes_and_a_scale():
    figure = image_grid(
        torch.randn(5, 4, 6), list("abcde"), "the title", columns=3, signed=True, value="weight"
    )
    assert isinstance(figure, go.Figure)
    assert len(figure.data) == 5 and figure.layout.title.text == "the title"
    assert {"a", "e", "column", "row"} <= {annotation.text for annotation in figure.layout.annotations}
    assert figure.layout.coloraxis.colorbar.title.text == "weight"
    assert figure.layout.coloraxis.cmin == -figure.layout.coloraxis.cmax
    assert len(figure.to_json()) < 20_000


def test_image_grid_keeps_the_proportions_of_the_pictures():
    layout = image_grid(torch.rand(3, 4, 8), columns=2).layout
    width = layout.width - layout.margin.l - layout.margin.r
    height = layout.height - layout.margin.t - layout.margin.b
    for x, y in ((layout.xaxis, layout.yaxis), (layout.xaxis3, layout.yaxis3)):
        across = (x.domain[1] - x.domain[0]) * width
        down = (y.domain[1] - y.domain[0]) * height
        assert across / down == pytest.approx(2, rel=0.05)


def test_image_grid_refuses_a_single_picture(as_a_user):
    with pytest.raises(ValueError, match="images must be a Real"):
        image_grid(torch.zeros(3, 3))


def test_no_chart_has_a_button_that_uploads_it():
    assert "sendChartToCloud" in TEMPLATE.layout.modebar.remove
