"""Small drawings in SVG that follow a hand: arrows on a picture, functions on a circle, curves over an angle."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from torch import Tensor

from eqssl_edu.errors import typed
from eqssl_edu.plots import picture

__all__ = ["arrow", "arrows_on", "circle", "curves"]

Points = Iterable[tuple[float, float]]
INK, PALE = "#1a1a1a", "#bbbbbb"


@typed
def arrow(numbers: Tensor, colour: str, width: float = 0.07) -> str:
    """An arrow (2,) from the centre: its first number points up, its second one left; at 1 it ends at the rim."""
    up, left = (float(number) for number in numbers)
    length = math.hypot(up, left)
    if length < 0.02:
        return f'<circle r="{width}" fill="{colour}"/>'
    head = min(0.22, length)
    tip, back = (-left, -up), 1 - head / length
    side = [(-left * back + s * head * 0.5 * up / length, -up * back - s * head * 0.5 * left / length)
            for s in (-1, 1)]  # fmt: skip
    corners = " ".join(f"{x:.3f},{y:.3f}" for x, y in (tip, *side))
    line = f'<line x2="{-left * back:.3f}" y2="{-up * back:.3f}" stroke="{colour}" stroke-width="{width}"/>'
    return f'{line}<polygon points="{corners}" fill="{colour}"/>'


@typed
def arrows_on(plane: Tensor, arrows: Sequence[tuple[Tensor, str]], caption: str = "", side: int = 190) -> str:
    """A picture (H, W) with arrows, each (2,) and its colour, drawn from its centre."""
    drawn = "".join(arrow(numbers, colour) for numbers, colour in arrows)
    over = f'<svg aria-hidden="true" viewBox="-1 -1 2 2" width="{side}" height="{side}"'
    place = 'style="position:absolute;left:5px;top:1px"'
    return f'<div style="position:relative">{picture(plane, caption, side=side)}{over} {place}>{drawn}</svg></div>'


@typed
def circle(
    functions: Mapping[str, Sequence[float]],
    dots: Sequence[tuple[float, float]] = (),
    caption: str = "",
    side: int = 210,
) -> str:
    """Functions on the circle as curves around it, 0 on the thin ring, +-1 half a radius out or in.

    Arguments:
        functions: a style of the stroke -> values at evenly spread angles, counter-clockwise from the top.
        dots: (angle in degrees, value), drawn with a spoke.
        caption: below.
        side: on the screen.
    """

    def at(degrees: float, value: float) -> tuple[float, float]:
        angle, radius = math.radians(degrees), 1 + 0.5 * value
        return -radius * math.sin(angle), -radius * math.cos(angle)

    parts = [f'<circle r="1" fill="none" stroke="{PALE}" stroke-width="0.02"/>']
    for style, values in functions.items():
        around = " ".join("{:.3f},{:.3f}".format(*at(360 * i / len(values), v)) for i, v in enumerate(values))
        parts.append(f'<polygon points="{around}" fill="none" {style}/>')
    for degrees, value in dots:
        (x, y), (x0, y0) = at(degrees, value), at(degrees, 0)
        parts.append(
            f'<line x1="{x0:.3f}" y1="{y0:.3f}" x2="{x:.3f}" y2="{y:.3f}" stroke="{INK}" stroke-width="0.03"/>'
        )
        parts.append(f'<circle cx="{x:.3f}" cy="{y:.3f}" r="0.07" fill="{INK}"/>')
    return _figure("-1.65 -1.65 3.3 3.3", "".join(parts), side, side, caption)


@typed
def curves(
    lines: Mapping[str, Points],
    dots: Sequence[tuple[float, float, str]] = (),
    window: tuple[float, float, float, float] = (0, 360, -180, 540),
    ticks: tuple[Sequence[float], Sequence[float]] = ((0, 90, 180, 270, 360), (0, 180, 360)),
    caption: str = "",
    size: tuple[int, int] = (380, 210),
) -> str:
    """Curves over an angle: a style of the stroke -> its points; dots (x, y, colour); ticks of x and y with labels.

    Arguments:
        lines: drawn in their order.
        dots: drawn last.
        window: lowest and highest x, lowest and highest y.
        ticks: where a thin line and a number stand.
        caption: below.
        size: on the screen.
    """
    (width, height), (left, right, low, high), room = size, window, 34

    def at(x: float, y: float) -> tuple[float, float]:
        return room + (x - left) / (right - left) * (width - room - 12), 8 + (high - y) / (high - low) * (
            height - 30
        )

    words = f'fill="{INK}" font-size="11" font-family="system-ui, sans-serif"'
    parts = []
    for x in ticks[0]:
        px, (top, bottom) = at(x, low)[0], (at(x, high)[1], at(x, low)[1])
        parts.append(f'<line x1="{px:.1f}" x2="{px:.1f}" y1="{top:.1f}" y2="{bottom:.1f}" stroke="#dddddd"/>')
        parts.append(f'<text x="{px:.1f}" y="{height - 6}" text-anchor="middle" {words}>{x:g}</text>')
    for y in ticks[1]:
        py = at(left, y)[1]
        parts.append(f'<line x1="{room}" x2="{width - 12}" y1="{py:.1f}" y2="{py:.1f}" stroke="#dddddd"/>')
        parts.append(f'<text x="{room - 5}" y="{py + 4:.1f}" text-anchor="end" {words}>{y:g}</text>')
    for style, points in lines.items():
        path = " ".join("{:.1f},{:.1f}".format(*at(x, min(max(y, low), high))) for x, y in points)
        parts.append(f'<polyline points="{path}" fill="none" {style}/>')
    for x, y, colour in dots:
        px, py = at(x, min(max(y, low), high))
        parts.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="5" fill="{colour}" stroke="white"/>')
    return _figure(f"0 0 {width} {height}", "".join(parts), width, height, caption)


def _figure(box: str, drawn: str, width: int, height: int, caption: str) -> str:
    svg = f'<svg aria-hidden="true" viewBox="{box}" width="{width}" height="{height}">{drawn}</svg>'
    words = f'<figcaption style="font-size:12px;line-height:1.3;color:{INK}">{caption}</figcaption>'
    return (
        f'<figure style="margin:0;text-align:center;background:white;width:{width}px">{svg}{words}</figure>'
    )
