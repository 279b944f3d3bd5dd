"""Pictures of images, feature maps and matrices.

``image_grid`` returns a plotly figure with a labelled colour scale. ``picture`` and ``row`` return small HTML, light
enough to be drawn again while a slider moves: ``widgets.ByHand(draw, ...)`` shows ``draw(...)`` below its sliders.
"""

import base64
import re
import struct
import zlib
from collections.abc import Iterable, Sequence
from functools import partial
from html import escape

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Bool, Real
from plotly.subplots import make_subplots
from torch import Tensor

from eqssl_edu.colours import BLUE_WHITE_ORANGE, CIVIDIS
from eqssl_edu.errors import got, need_instance, need_integer, need_number, typed

__all__ = ["COLOURS", "TEMPLATE", "image_grid", "picture", "row"]

# Okabe and Ito: seven colours that every kind of colour vision tells apart.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")

# A white card with dark ink: it reads the same on JupyterLab's light and dark themes, and on paper.
TEMPLATE = go.layout.Template(
    layout=go.Layout(
        paper_bgcolor="white",
        plot_bgcolor="white",
        font={"family": "system-ui, sans-serif", "size": 13, "color": "#1a1a1a"},
        title={"x": 0.02, "xanchor": "left", "font": {"size": 15}},
        colorway=COLOURS,
        modebar={"remove": ["sendChartToCloud"]},  # which leads out of a course that works offline
        margin={"l": 60, "r": 20, "t": 60, "b": 62},
        xaxis={"gridcolor": "#dddddd", "zerolinecolor": "#bbbbbb", "linecolor": "#555555"},
        yaxis={"gridcolor": "#dddddd", "zerolinecolor": "#bbbbbb", "linecolor": "#555555"},
    )
)


@typed
def image_grid(
    images: Real[Tensor, "count height width"] | Bool[Tensor, "count height width"],
    titles: Sequence[str] | None = None,
    title: str = "",
    columns: int = 8,
    signed: bool = False,
    value: str = "value",
    axes: tuple[str, str] = ("column", "row"),
) -> go.Figure:
    """Images, maps or matrices side by side under one labelled colour scale.

    Arguments:
        images: one picture for each entry of the first axis.
        titles: a short name above each picture.
        title: of the whole figure.
        columns: at most so many pictures in a row.
        signed: blue for negative, white for zero, orange for positive; otherwise cividis.
        value: what the colour means.
        axes: names of the horizontal and the vertical axis.
    """
    need_integer("columns", columns, least=1)
    need_integer("len(images)", len(images), 1, 1000)
    pixels = _pixels("images", images)
    count, height, width = pixels.shape
    columns = min(columns, count)
    rows = -(-count // columns)
    # In pixels, so that every picture keeps its proportions and the figure fits beside the prompts of a notebook.
    side, gap, words = min(150, 680 // columns), 12, 32
    inner_width = columns * side + (columns - 1) * gap
    inner_height = rows * round(side * height / width) + (rows - 1) * words
    spacing = {"horizontal_spacing": gap / inner_width, "vertical_spacing": words / inner_height}
    names = None if titles is None else list(titles)
    figure = make_subplots(rows, columns, subplot_titles=names, x_title=axes[0], y_title=axes[1], **spacing)
    for index, plane in enumerate(pixels):
        figure.add_heatmap(z=plane, coloraxis="coloraxis", row=index // columns + 1, col=index % columns + 1)
    frame = {"showgrid": False, "zeroline": False, "ticks": "", "showline": True, "mirror": True}
    figure.update_xaxes(showticklabels=False, **frame)
    figure.update_yaxes(showticklabels=False, autorange="reversed", **frame)
    scale, (low, high) = BLUE_WHITE_ORANGE if signed else "Cividis", _limits(pixels, signed)
    colorbar = {"title": {"text": value, "side": "top", "font": {"size": 13}}, "thickness": 14}
    figure.update_layout(
        template=TEMPLATE,
        title=title,
        margin={"l": 50, "r": 110, "t": 80, "b": 52},
        width=inner_width + 160,
        height=inner_height + 132,
        coloraxis={"colorscale": scale, "cmin": low, "cmax": high, "colorbar": colorbar},
    )
    figure.update_annotations(font_size=13)
    # make_subplots leaves room for tick labels before the names of the axes; there are none here.
    figure.update_annotations(selector={"text": axes[0]}, yshift=-6)
    figure.update_annotations(selector={"text": axes[1]}, xshift=-6)
    return figure


@typed
def picture(
    plane: Real[Tensor, "height width"] | Bool[Tensor, "height width"],
    caption: str = "",
    signed: bool = False,
    limits: tuple[float, float] | None = None,
    side: int = 84,
) -> str:
    """One image as HTML with a caption, its pixels kept sharp.

    Arguments:
        plane: the image.
        caption: shown below it, and read aloud by screen readers.
        signed: blue for negative, white for zero, orange for positive; otherwise cividis.
        limits: the values of the lowest and the highest colour; the image's own by default.
        side: width on the screen.
    """
    pixels = _pixels("plane", plane)
    need_integer("side", side, 1, 10_000)
    low, high = map(partial(need_number, "limits"), limits) if limits is not None else _limits(pixels, signed)
    index = ((pixels - low) * (255 / ((high - low) or 1.0))).round().clip(0, 255).astype(int)
    data = base64.b64encode(_png(_palette(BLUE_WHITE_ORANGE if signed else CIVIDIS)[index])).decode()
    return (
        f'<figure style="margin:0;text-align:center;width:{side + 10}px">'
        f'<img src="data:image/png;base64,{data}" alt="{escape(caption)}" width="{side}" '
        f'style="image-rendering:pixelated;border:1px solid #767b84">'
        f'<figcaption style="font-size:12px;line-height:1.3">{escape(caption)}</figcaption></figure>'
    )


@typed
def row(pictures: Iterable[str], text: str = "") -> str:
    """Pictures side by side (in several lines where they do not fit), and a sentence below them.

    Arguments:
        pictures: HTML, as ``picture`` makes it.
        text: shown as it is, whatever names stand in it; only ``<b>``, ``</b>`` and ``<br>`` are markup.
    """
    pictures = list(pictures)
    for each in pictures:
        need_instance("pictures", each, str)
    text = re.sub("&lt;(/?b|br)&gt;", r"<\1>", escape(text))
    words = f'<p style="margin:6px 0 0;font-size:14px;line-height:1.4">{text}</p>' if text else ""
    boxes = "".join(pictures)
    line = "display:flex;flex-wrap:wrap;gap:8px;align-items:flex-start"
    return f'<div style="margin-bottom:14px"><div style="{line}">{boxes}</div>{words}</div>'


def _pixels(name: str, planes: Tensor) -> np.ndarray:
    if not (planes.numel() and planes.isfinite().all()):
        raise ValueError(f"{name} must hold finite numbers, {got(planes)} with others, or none")
    return planes.detach().double().cpu().numpy()


def _limits(pixels: np.ndarray, signed: bool) -> tuple[float, float]:
    if signed:
        reach = float(np.abs(pixels).max()) or 1.0
        return -reach, reach
    low, high = float(pixels.min()), float(pixels.max())
    return (low, high) if high > low else (min(low, 0.0), max(high, 1.0))


def _palette(colours: Sequence[str]) -> np.ndarray:
    """256 colours, (256, 3) bytes, by straight lines between the given ones."""
    stops = np.array([[int(colour[i : i + 2], 16) for i in (1, 3, 5)] for colour in colours])
    places = np.linspace(0, len(colours) - 1, 256)
    channels = [np.interp(places, range(len(colours)), channel) for channel in stops.T]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def _png(colours: np.ndarray) -> bytes:
    """A PNG file of (height, width, 3) bytes: a header, the compressed rows, an end.

    By hand, so that a picture that follows the mouse needs the standard library alone.
    """

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width, _ = colours.shape
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits a channel, red green blue
    rows = b"".join(b"\0" + line.tobytes() for line in colours)  # each row says first: no filter
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
