"""Notebooks 04 and 04b: waves that are steered, fields of arrows, nonlinearities that are sampled."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from urllib.parse import quote

import plotly.graph_objects as go
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.data import digits
from eqssl_edu.diagnostics import turn_features
from eqssl_edu.errors import typed
from eqssl_edu.groups import FiniteGroup, cyclic
from eqssl_edu.plots import COLOURS, TEMPLATE, picture, row
from eqssl_edu.rotate import rotate
from eqssl_edu.shapes import Images
from eqssl_edu.widgets import ByHand

__all__ = [
    "aliases", "arrow_and_relu", "chart", "cost_of_sampling", "dimensions", "gradient", "looks_like",
    "noise", "sampling_error", "solutions", "turned_arrows", "two_waves", "two_ways", "wave",
]  # fmt: skip

C4, C8 = cyclic(4), cyclic(8)
# How quarter turns act on what stands at a place: rho[g] is a matrix, (4, d, d).
FIELDS: dict[str, Tensor] = {
    "number": torch.ones(4, 1, 1),
    "arrow": torch.tensor([[[1.0, 0], [0, 1]], [[0, -1], [1, 0]], [[-1, 0], [0, -1]], [[0, 1], [-1, 0]]]),
    "group axis": torch.stack([torch.eye(4).roll(g, dims=0) for g in range(4)]),
}
SIGNED = "Blue is negative, white zero, orange positive."
Kernel = Float[Tensor, "height width"]
Project = Callable[[Tensor, FiniteGroup, Tensor, Tensor], Tensor]  # what exercise 04.project asks for


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Random numbers that are the same in every run."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# -- waves and their aliases ---------------------------------------------------------------------------------


@typed
def wave(m: int, degrees: float = 0.0) -> Kernel:
    """The wave of frequency m on a ring, turned by an angle and read off at the pixels: (5, 5)."""
    offset = torch.arange(5, dtype=torch.float64) - 2
    y, x = -offset[:, None], offset[None, :]  # rows count downwards, y points up
    radius = torch.hypot(x, y)
    ring = torch.exp(-((radius - 1.5) ** 2) / (2 * 0.6**2)) * (radius > 0)  # no angle at the centre
    return ring * torch.cos(m * (torch.atan2(y, x) - math.radians(degrees)))


def two_ways() -> ByHand:
    """A wave, turned as a function and turned by interpolation: sliders for its frequency and the angle."""

    def draw(frequency: int, angle: int) -> str:
        upright = wave(frequency)
        turned = {
            "turned as a function": wave(frequency, float(angle)),
            "turned by interpolation": rotate(upright, float(angle)),
        }
        kernels = {"wave": upright, **turned}
        pictures = [picture(kernel, name, True, (-1, 1), 150) for name, kernel in kernels.items()]
        sizes = " and ".join(f"{kernel.norm() / upright.norm():.0%}" for kernel in turned.values())
        return row(pictures, f"Size compared with the upright kernel: {sizes}. {SIGNED}")

    return ByHand(draw, start={"frequency": 2, "angle": 45}, frequency=range(5), angle=range(0, 361, 15))


PLACES, EVERYWHERE = torch.arange(8) * 45.0, torch.arange(0.0, 360.0, 3.0)


@typed
def two_waves(m: int, degrees: Float[Tensor, " angles"]) -> Float[Tensor, "two angles"]:
    """The cosine and the sine of frequency m at these angles."""
    return torch.stack([torch.cos(m * degrees.deg2rad()), torch.sin(m * degrees.deg2rad())])


@typed
def looks_like(frequency: int) -> int | None:
    """A slower frequency with the same values at eight places, the sine perhaps with the other sign, or None."""
    cosine, sine = two_waves(frequency, PLACES)
    for m in range(frequency):
        for sign in (1, -1):
            if torch.allclose(two_waves(m, PLACES), torch.stack([cosine, sign * sine]), atol=1e-5):
                return m
    return None


def aliases() -> ByHand:
    """Two waves around a ring, what eight pixels see of them, and which slower waves give the same values."""

    def draw(frequency: int) -> str:
        seen = two_waves(frequency, PLACES).repeat_interleave(15, dim=1)
        pictures = [
            picture(strip.expand(6, -1), f"{name} {where}", True, (-1, 1), 600)
            for name, *strips in zip(("cosine", "sine"), two_waves(frequency, EVERYWHERE), seen, strict=True)
            for strip, where in zip(strips, ("everywhere", "at 0, 45, ..., 315 degrees"), strict=True)
        ]
        slower = looks_like(frequency)
        text = (
            "no slower frequency looks like it." if slower is None else f"it looks like frequency {slower}."
        )
        if frequency > 0 and two_waves(frequency, PLACES)[1].abs().max() < 1e-5:
            text += " Its sine is zero at all eight."
        return row(pictures, f"Frequency {frequency} at the eight places: {text} {SIGNED}")

    return ByHand(draw, start={"frequency": 3}, frequency=range(10))


# -- fields of arrows, and the kernels that the constraint allows --------------------------------------------


def arrows(field: Float[Tensor, "two height width"], caption: str, longest: float | None = None) -> str:
    """A field of arrows (x to the right, y up) as a picture; one of length ``longest`` fills its pixel."""
    step, marks = 100 / max(field.shape[1:]), ""
    longest = longest or float(field.norm(dim=0).max())
    for row_, column in (field.norm(dim=0) > 0.02 * longest).nonzero().tolist():
        dx, dy = (float(value) * 0.45 * step / longest for value in field[:, row_, column])
        x, y = step * (column + 0.5), step * (row_ + 0.5)
        tip = f"M{x + dx:.1f},{y - dy:.1f}"
        marks += f"M{x - dx:.1f},{y + dy:.1f}L{x + dx:.1f},{y - dy:.1f}"
        marks += "".join(f"{tip}l{0.6 * (s * dy - dx):.1f},{0.6 * (dy + s * dx):.1f}" for s in (0.6, -0.6))
    style = f'stroke="{COLOURS[0]}" stroke-width="{min(max(0.08 * step, 1.5), 4):.1f}" fill="none"'
    svg = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 100 100"><rect width="100" height="100" fill="white"/>'
    source = "data:image/svg+xml," + quote(f'{svg}<path d="{marks}" {style}/></svg>')
    return (
        f'<figure style="margin:0;text-align:center;width:160px"><img src="{source}" alt="{caption}" width="150" '
        f'style="border:1px solid #767b84"><figcaption style="font-size:12px">{caption}</figcaption></figure>'
    )


@typed
def gradient(images: Images) -> Float[Tensor, "batch two height width"]:
    """How fast the grey value grows to the right and upwards: (B, 1, H, W) -> arrows (B, 2, H, W)."""
    x = F.pad(images[:, 0], [1, 1, 1, 1])
    return torch.stack([x[:, 1:-1, 2:] - x[:, 1:-1, :-2], x[:, :-2, 1:-1] - x[:, 2:, 1:-1]], dim=1) / 2


def turned_arrows() -> ByHand:
    """The gradient of a digit: when the digit turns, the arrows move and turn."""
    digit = digits(8).test.images[:1]

    def draw(quarter_turns: int) -> str:
        turned, moved = (C4.transform(each, quarter_turns) for each in (digit, gradient(digit)))
        both = torch.einsum("ij,bjhw->bihw", FIELDS["arrow"][quarter_turns].to(moved), moved)
        pictures = [
            picture(turned[0, 0], "digit", side=150),
            arrows(gradient(turned)[0], "its arrows"),
            arrows(moved[0], "upright arrows, moved"),
            arrows(both[0], "moved and turned"),
        ]
        apart = [float((each - gradient(turned)).abs().max()) for each in (moved, both)]
        return row(
            pictures,
            f"Largest distance to the digit's arrows: {apart[0]:.2f} moved, {apart[1]:.2f} moved and turned.",
        )

    return ByHand(draw, start={"quarter_turns": 1}, quarter_turns=range(4))


def allowed(project: Project, source: str, target: str) -> Float[Tensor, "solution out in 3 3"]:
    """As many independent 3 x 3 kernels as the constraint allows between two fields, each projected from one entry."""
    rho_in, rho_out = FIELDS[source].double(), FIELDS[target].double()
    shape = (rho_out.shape[1], rho_in.shape[1], 3, 3)
    ones = torch.eye(math.prod(shape), dtype=torch.float64).reshape(-1, *shape)
    found = torch.empty(0, math.prod(shape), dtype=torch.float64)
    for one in ones:
        more = torch.cat([found, project(one, C4, rho_out, rho_in).reshape(1, -1)])
        found = more if torch.linalg.matrix_rank(more) == len(more) else found
    return found.reshape(-1, *shape)


@typed
def dimensions(project: Project) -> dict[str, int]:
    """For each pair of fields over C4, how many independent 3 x 3 kernels the constraint allows."""
    return {f"{a} -> {b}": len(allowed(project, a, b)) for a in FIELDS for b in FIELDS}


@typed
def solutions(project: Project) -> ByHand:
    """All independent 3 x 3 kernels from a grey image to a field, chosen in a menu."""
    found = {target: allowed(project, "number", target)[:, :, 0] for target in FIELDS}

    def draw(from_a_number_to: str) -> str:
        kernels = found[from_a_number_to]
        if from_a_number_to == "arrow":
            pictures = [arrows(kernel, f"kernel {i}") for i, kernel in enumerate(kernels, start=1)]
        else:  # the planes of a kernel side by side
            planes = [torch.cat(list(kernel), dim=1) for kernel in kernels]
            side = 84 if from_a_number_to == "number" else 210
            pictures = [picture(p, f"kernel {i}", True, side=side) for i, p in enumerate(planes, start=1)]
        return row(pictures, f"{len(kernels)} independent kernels. {SIGNED}")

    return ByHand(draw, start={"from_a_number_to": "arrow"}, from_a_number_to=list(FIELDS))


# -- nonlinearities ------------------------------------------------------------------------------------------


def arrow_and_relu() -> ByHand:
    """An arrow through ReLU and a quarter turn, in both orders: a slider for its direction."""

    def draw(direction: int) -> str:
        turn, angle = FIELDS["arrow"][1], torch.tensor(math.radians(direction))
        v = torch.stack([angle.cos(), angle.sin()])
        ends = {
            "arrow": v,
            "ReLU, then turned": turn @ torch.relu(v),
            "turned, then ReLU": torch.relu(turn @ v),
        }
        pictures = [arrows(end[:, None, None], name, longest=1.0) for name, end in ends.items()]
        apart = float((turn @ torch.relu(v) - torch.relu(turn @ v)).norm())
        return row(
            pictures, f"An arrow at {direction} degrees. The two results are <b>{apart:.2f}</b> apart."
        )

    return ByHand(draw, start={"direction": 30}, direction=range(0, 360, 15))


@typed
def sampling_error(fourier: Callable, n: int, function: Callable) -> float:
    """How far a pointwise function at n angles is from equivariant: mean over turns, relative; frequencies 0 .. 3."""
    smooth = torch.fft.irfft(torch.fft.rfft(noise(500, 8).double())[:, :4], n=8)
    errors = []
    for degrees in torch.rand(10, generator=torch.Generator().manual_seed(0)).tolist():
        expected = turn_features(C8, fourier(smooth, n, function), 360 * degrees)
        error = fourier(turn_features(C8, smooth, 360 * degrees), n, function) - expected
        errors.append(float(error.norm() / expected.norm()))
    return sum(errors) / len(errors)


@typed
def cost_of_sampling(fourier: Callable) -> go.Figure:
    """The error of equivariance over the number of samples n, for the square, ELU and ReLU."""
    counts, functions = list(range(7, 33)), {"ReLU": torch.relu, "ELU": F.elu, "square": torch.square}
    curves = {
        name: [sampling_error(fourier, n, function) for n in counts] for name, function in functions.items()
    }
    return chart(counts, curves, "What sampling costs", "samples n", "relative error", log=True)


@typed
def chart(
    x: Sequence, curves: dict[str, list[float]], title: str, xs: str, ys: str, log: bool = False
) -> go.Figure:
    """Named curves over x, and every third of their values in words."""
    figure = go.Figure(layout={"template": TEMPLATE, "height": 380, "width": 740, "title": title})
    for (name, y), colour, dash in zip(
        curves.items(), COLOURS, ("solid", "dash", "dot", "dashdot"), strict=False
    ):
        print(f"{name:8}", "  ".join(f"{at}: {value:.1%}" for at, value in list(zip(x, y, strict=True))[::3]))
        figure.add_scatter(
            x=list(x), y=y, name=name, mode="lines+markers", line={"color": colour, "dash": dash}
        )
    figure.update_xaxes(title=xs, dtick=None if log else 15)
    figure.update_yaxes(
        title=ys, **({"type": "log", "exponentformat": "e"} if log else {"rangemode": "tozero"})
    )
    return figure
