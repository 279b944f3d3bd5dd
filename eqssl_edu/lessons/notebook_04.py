"""Notebook 04: waves that are steered, fields of arrows, sampled nonlinearities, networks for every rotation."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from urllib.parse import quote

import plotly.graph_objects as go
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.data import digits
from eqssl_edu.diagnostics import rotation_error, turn_features
from eqssl_edu.encoders import Encoder
from eqssl_edu.errors import typed
from eqssl_edu.groups import FiniteGroup, cyclic
from eqssl_edu.layers import GroupConv2d, LiftingConv2d
from eqssl_edu.plots import COLOURS, TEMPLATE, picture, row
from eqssl_edu.rotate import rotate
from eqssl_edu.shapes import Images
from eqssl_edu.widgets import ByHand

__all__ = [
    "aliases", "arrow_and_relu", "blur", "calibrated", "carry_over", "cost_of_sampling", "dimensions",
    "error_at_45", "escnn_kernels", "follow", "following", "function_of_a_turn", "gradient",
    "load_into_escnn", "looks_like", "noise", "open_cutoff", "reading", "sampling_error", "smooth_digits",
    "solutions", "train_three", "turned_arrows", "two_waves", "two_ways", "wave",
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


@typed
def blur(images: Images, pixels: float) -> Images:
    """Images (B, 1, H, W) blurred by a Gaussian whose standard deviation is ``pixels``."""
    reach = int(4 * pixels)
    kernel = torch.exp(-(torch.arange(-reach, reach + 1.0) ** 2) / (2 * pixels**2))
    return F.conv2d(images, (kernel[:, None] * kernel)[None, None] / kernel.sum() ** 2, padding=reach)


# -- waves and their aliases ---------------------------------------------------------------------------------


@typed
def wave(m: int, degrees: float = 0.0, size: int = 5) -> Kernel:
    """The wave of frequency m on a ring, turned by an angle and read off at the pixels: (size, size)."""
    offset = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
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


def allowed(
    project: Project, source: str, target: str, size: int = 3
) -> Float[Tensor, "solution out in k k"]:
    """As many independent kernels as the constraint allows between two fields, each projected from one entry."""
    rho_in, rho_out = FIELDS[source].double(), FIELDS[target].double()
    shape = (rho_out.shape[1], rho_in.shape[1], size, size)
    ones = torch.eye(math.prod(shape), dtype=torch.float64).reshape(-1, *shape)
    found = torch.empty(0, math.prod(shape), dtype=torch.float64)
    for one in ones:
        more = torch.cat([found, project(one, C4, rho_out, rho_in).reshape(1, -1)])
        found = more if torch.linalg.matrix_rank(more) == len(more) else found
    return found.reshape(-1, *shape)


@typed
def dimensions(project: Project, size: int = 3) -> dict[str, int]:
    """For each pair of fields over C4, how many independent kernels (size x size) the constraint allows."""
    return {f"{a} -> {b}": len(allowed(project, a, b, size)) for a in FIELDS for b in FIELDS}


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
    return _curves(counts, curves, "What sampling costs", "samples n", "relative error", log=True)


def _curves(
    x: Sequence, curves: dict[str, list[float]], title: str, xs: str, ys: str, log: bool = False
) -> go.Figure:
    figure = go.Figure(layout={"template": TEMPLATE, "height": 380, "width": 740, "title": title})
    for (name, y), colour, dash in zip(
        curves.items(), COLOURS, ("solid", "dash", "dot", "dashdot"), strict=False
    ):
        print(f"{name:8}", "  ".join(f"{at}: {value:.1%}" for at, value in list(zip(x, y, strict=True))[::3]))
        figure.add_scatter(
            x=list(x), y=y, name=name, mode="lines+markers", line={"color": colour, "dash": dash}
        )
    figure.update_xaxes(title=xs)
    figure.update_yaxes(
        title=ys, **({"type": "log", "exponentformat": "e"} if log else {"rangemode": "tozero"})
    )
    return figure


# -- escnn: its kernels, and its networks for every rotation -------------------------------------------------


@typed
def escnn_kernels(r2conv: nn.Module) -> Float[Tensor, "weight entries"]:
    """Every expanded kernel of an escnn convolution, flattened: one row for each weight. Their rank is its reach."""
    with torch.no_grad():
        rows = [r2conv.basisexpansion(one).flatten() for one in torch.eye(len(r2conv.weights))]
    return torch.stack(rows).double()


@typed
def load_into_escnn(r2conv: nn.Module, layer: GroupConv2d) -> float:
    """Give an escnn convolution the weights that come nearest to our layer; returns the relative residual."""
    rows, wanted = escnn_kernels(r2conv), layer.expanded_weight().detach().double().flatten()
    weights = torch.linalg.lstsq(rows.T, wanted[:, None], driver="gelsd").solution[:, 0]
    with torch.no_grad():
        r2conv.weights.copy_(weights)
        kernel, _ = r2conv.expand_parameters()
    return float((kernel.double().flatten() - wanted).norm() / wanted.norm())


def _convolution(plane, source, fields: int, highest: int, **options):
    """escnn's 3 x 3 convolution from one field to regular ones, with frequencies up to the highest off the centre."""
    from eqssl_edu.steerable import enn  # here, so that notebook 04 needs no escnn

    inputs, outputs = enn.FieldType(plane, [source]), enn.FieldType(plane, fields * [plane.regular_repr])
    cutoff = {"frequencies_cutoff": lambda radius: highest * (radius > 0)}
    return enn.R2Conv(inputs, outputs, 3, bias=False, **cutoff, **options)


@typed
def error_at_45(highest: int, seed: int = 0) -> float:
    """The error of a C8 layer with frequencies up to the highest, on noise blurred by 2 pixels, at 45 degrees."""
    from eqssl_edu.steerable import EscnnMaps, gspaces

    plane, images = gspaces.rot2dOnR2(8), blur(noise(2, 1, 65, 65, seed=seed), 2.0)
    torch.manual_seed(seed)
    layer = EscnnMaps(_convolution(plane, plane.trivial_repr, 8, highest, padding=1))
    with torch.no_grad():
        return rotation_error(layer(rotate(images, 45.0)), layer(images), 45.0, C8, margin=4)


def open_cutoff() -> ByHand:
    """escnn's 3 x 3 kernels up to a frequency: what they reach, what a random kernel loses, the error at 45 degrees."""
    from eqssl_edu.steerable import gspaces

    plane, kernel = gspaces.rot2dOnR2(4), noise(3, 3, seed=3).double()

    def draw(highest_frequency: int) -> str:
        waves = escnn_kernels(_convolution(plane, plane.trivial_repr, 1, highest_frequency))[:, :9]
        near = (waves.T @ torch.linalg.lstsq(waves.T, kernel.reshape(9, 1)).solution).reshape(3, 3)
        parts = {"random kernel": kernel, "within reach": near, "lost": kernel - near}
        pictures = [
            picture(w.reshape(3, 3), f"wave {i}", True, side=52) for i, w in enumerate(waves, start=1)
        ]
        pictures += [picture(part, name, True, (-2, 2), 110) for name, part in parts.items()]
        all_kernels = escnn_kernels(_convolution(plane, plane.regular_repr, 1, highest_frequency))
        reached, lost = (
            torch.linalg.matrix_rank(all_kernels, rtol=1e-5),
            (kernel - near).norm() / kernel.norm(),
        )
        text = f"Frequencies up to {highest_frequency}: C4 reaches <b>{reached} of 36</b> dimensions, the random "
        text += f"kernel loses <b>{lost:.0%}</b>. A C8 layer on a smooth picture at 45 degrees: error "
        return row(pictures, f"{text}<b>{error_at_45(highest_frequency):.0%}</b>. {SIGNED}")

    return ByHand(draw, highest_frequency=range(2, 5))


@typed
def carry_over(theirs: Encoder, ours: Encoder) -> None:
    """The weights of a SteerableCNN into a GroupCNN: base kernels and batch norms; both are in evaluation mode then."""
    from eqssl_edu.steerable import enn, load_r2conv

    def parts(network: nn.Module, *kinds: type) -> list[nn.Module]:
        return [module for module in network.modules() if isinstance(module, kinds)]

    for layer, r2conv in zip(parts(ours, LiftingConv2d, GroupConv2d), parts(theirs, enn.R2Conv), strict=True):
        load_r2conv(layer, r2conv)
    norms = zip(parts(ours, nn.BatchNorm3d), parts(theirs, nn.BatchNorm3d), strict=True)
    for norm, source in norms:
        norm.load_state_dict(source.state_dict())
    ours.eval(), theirs.eval()


def smooth_digits() -> Images:
    """Eight digits (8, 1, 40, 40), blurred by 1.5 pixels, with room to turn."""
    return blur(F.pad(digits(16).test.images[:8], [12] * 4), 1.5)


@typed
def calibrated(symmetry: FiniteGroup | str, seed: int = 0) -> Encoder:
    """An untrained SteerableCNN with the batch statistics of the smooth digits, in evaluation mode."""
    from eqssl_edu.steerable import SteerableCNN

    torch.manual_seed(seed)
    encoder = SteerableCNN(symmetry, channels=(4, 8))
    with torch.no_grad():
        for _ in range(30):
            encoder(smooth_digits())
    return encoder.eval()


def _oriented(z: Tensor) -> Tensor:
    """The part of the features (B, C, |G|) that changes along the group axis."""
    return z - z.mean(dim=-1, keepdim=True)


@typed
def follow(encoder: Encoder, images: Images, degrees: float) -> float:
    """How well the oriented part of the features moves with a turn: relative error."""
    with torch.no_grad():
        z, z_turned = (_oriented(encoder(each)) for each in (images, rotate(images, degrees)))
    return float((z_turned - turn_features(encoder.group, z, degrees)).norm() / z.norm())


@typed
def following(encoders: dict[str, Encoder]) -> go.Figure:
    """Curves: how well the features of each network follow a turn by 0 to 90 degrees."""
    angles, images = range(0, 91, 5), smooth_digits()
    curves = {
        name: [follow(each, images, float(angle)) for angle in angles] for name, each in encoders.items()
    }
    words = ("angle of the turn (degrees)", "relative error of the oriented part")
    return _curves(angles, curves, "How well the features follow a turn", *words)


@typed
def function_of_a_turn(encoder: Encoder) -> ByHand:
    """A feature of SO(2) as a function on the circle: of the turned digit, and of the upright digit, shifted."""
    digit, turns = smooth_digits()[:1], list(range(0, 361, 10))
    with torch.no_grad():
        z = torch.cat([_oriented(encoder(rotate(digit, float(angle)))) for angle in turns])
    z = z[:, int(z[0].norm(dim=1).argmax())]  # the channel that changes most: (37, 8)
    limit = 1.2 * float(z.abs().max())

    def function(samples: Tensor) -> Float[Tensor, " angles"]:
        """The values at 0, 3, ..., 357 degrees."""
        return torch.stack([turn_features(encoder.group, samples, -3.0 * i)[0] for i in range(120)])

    def draw(turn: int) -> str:
        of_turned, shifted = z[turns.index(turn)], turn_features(encoder.group, z[0], float(turn))
        strips = {
            "upright digit: its function, from 0 to 357 degrees": z[0],
            f"upright digit: its function, shifted by {turn} degrees": shifted,
            "turned digit: its function": of_turned,
        }
        values = [function(samples) for samples in strips.values()]
        pictures = [picture(rotate(digit, float(turn))[0, 0], "digit", side=150)]
        pictures += [
            picture(strip.expand(6, -1), name, True, (-limit, limit), 560)
            for name, strip in zip(strips, values, strict=True)
        ]
        apart = float((values[1] - values[2]).abs().max() / values[2].abs().max())
        text = f"Digit turned by {turn}°. Largest distance of the last two: <b>{apart:.1%}</b> of the largest value."
        return row(pictures, f"{text} {SIGNED}")

    return ByHand(draw, start={"turn": 20}, turn=range(0, 361, 10))


# -- trained -------------------------------------------------------------------------------------------------

TURNS = range(0, 91, 15)  # from 90 degrees on all three networks repeat themselves


@typed
def train_three(turned: bool, seed: int = 0, epochs: int = 6) -> dict[str, list[float]]:
    """C4, C8 and SO(2) trained to read digits (upright, or each turned anew): accuracies at 0, 15, ..., 90 degrees.

    One recipe for all: two stages of 4 and 12 channels, the largest value along the group axis, a linear layer, Adam.
    """
    from eqssl_edu.steerable import SteerableCNN

    data, accuracies = digits(12), {}
    images, unseen = (F.pad(part.images, [2] * 4) for part in (data.train, data.test))  # room to turn
    for name, symmetry in {"C4": C4, "C8": C8, "SO(2)": "SO(2)"}.items():
        torch.manual_seed(seed)
        generator, start = torch.Generator().manual_seed(seed), time.perf_counter()
        encoder, head = SteerableCNN(symmetry, channels=(4, 12)), nn.Linear(12, 10)
        optimizer = torch.optim.Adam([*encoder.parameters(), *head.parameters()])
        steps = epochs * -(-len(images) // 32)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.03, total_steps=steps)
        for _ in range(epochs):
            for batch in torch.randperm(len(images), generator=generator).split(32):
                angles = 360 * torch.rand(len(batch), generator=generator)
                x = rotate(images[batch], angles) if turned else images[batch]
                loss = F.cross_entropy(head(encoder(x).amax(dim=2)), data.train.labels[batch])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                schedule.step()
        encoder.eval()
        with torch.no_grad():
            answers = [head(encoder(rotate(unseen, float(turn))).amax(dim=2)).argmax(dim=1) for turn in TURNS]
        accuracies[name] = [float((answer == data.test.labels).float().mean()) for answer in answers]
        print(f"{name} took {time.perf_counter() - start:.0f} s")
    return accuracies


@typed
def reading(title: str, accuracies: dict[str, list[float]]) -> go.Figure:
    """Curves: which part of 300 unseen digits each network reads right, over the angle of the turn."""
    figure = _curves(TURNS, accuracies, title, "angle of the turn (degrees)", "read right")
    return figure.update_yaxes(range=[0, 1])
