"""Notebooks 03 and 03b: the error at every angle, before and after training; kernels that are turned, and how."""

import cmath
import math
from collections.abc import Callable, Mapping, Sequence

import plotly.graph_objects as go
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.data import digits
from eqssl_edu.diagnostics import rotation_error, turn_maps
from eqssl_edu.encoders import Encoder, GroupCNN, matched_cnn
from eqssl_edu.errors import typed
from eqssl_edu.evaluation import Interval, proportion_interval, recalibrated
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral
from eqssl_edu.lessons.reading_digits import Reader, taught
from eqssl_edu.plots import COLOURS, TEMPLATE, image_grid, picture, row
from eqssl_edu.rotate import disc_mask, rotate
from eqssl_edu.shapes import Images
from eqssl_edu.steerable import SteerableCNN
from eqssl_edu.widgets import ByHand

__all__ = [
    "ANGLES",
    "blur",
    "bumps",
    "curves_of",
    "disc_picture",
    "error_at_45",
    "error_curve",
    "errors_by_blur",
    "errors_by_place",
    "five_networks",
    "readers",
    "reading_accuracy",
    "show_blur_curves",
    "show_copies",
    "show_curves",
    "show_kernels",
    "show_places",
    "turned_again",
    "turned_by_formula",
    "turned_kernels",
]

ANGLES = list(range(0, 361, 15))  # of the curves
WIDTHS = [0, 0.5, 1, 1.5, 2, 2.5, 3]  # of the blur, in pixels
C8 = cyclic(8)


@typed
def blur(images: Images, pixels: float) -> Images:
    """Images blurred by a Gaussian whose standard deviation is so many pixels."""
    if pixels == 0:
        return images
    reach = math.ceil(4 * pixels)
    bell = torch.exp(-(torch.arange(-reach, reach + 1.0) ** 2) / (2 * pixels**2))
    kernel = (bell[:, None] * bell / bell.sum() ** 2).to(images)
    return F.conv2d(images.flatten(0, 1)[:, None], kernel[None, None], padding=reach).reshape(images.shape)


@typed
def turned_again(image: Float[Tensor, "1 size size"], degrees: float, times: int) -> go.Figure:
    """The picture, and what it has become after each of so many turns by the same angle."""
    turned = [image]
    for _ in range(times):
        turned.append(rotate(turned[-1], degrees))
    names = [f"{n * degrees:g}°" for n in range(times + 1)]
    title = f"A digit, turned by {degrees:g} degrees again and again"
    return image_grid(torch.cat(turned), names, title, columns=5)


@typed
def disc_picture(f: Callable[[Images], Images], image: Images, degrees: float) -> go.Figure:
    """f(R x), R f(x) and their difference, whole and inside the disc; the title says the relative error of both."""
    got, expected = f(rotate(image, degrees)), rotate(f(image), degrees)
    everywhere, inside = (
        float((got - expected).norm() / expected.norm()),
        rotation_error(got, f(image), degrees),
    )
    planes = torch.cat([got, expected, got - expected, (got - expected) * disc_mask(image.shape[-1])])[:, 0]
    title = f"Relative error: {everywhere:.0%} of the whole square, {inside:.1e} of the disc"
    return image_grid(planes, ["f(R x)", "R f(x)", "difference", "inside the disc"], title, signed=True)


# The curves


@typed
def five_networks(seed: int) -> dict[str, Encoder]:
    """The networks of the curves: random weights, about 7,000 parameters each, two stages with 5 x 5 kernels."""
    torch.manual_seed(seed)
    c4_network = GroupCNN(cyclic(4), channels=(6, 12), kernel_size=5)
    return {
        "ordinary CNN": matched_cnn(c4_network),
        "augmented CNN": matched_cnn(c4_network),
        "C4 network": c4_network,
        "D4 network": GroupCNN(dihedral(4), channels=(4, 8), kernel_size=5),
        "C8 network": SteerableCNN(C8, channels=(6, 12), kernel_size=5),
    }


def _bordered(images: Images) -> Float[Tensor, "batch channel wider_height wider_width"]:
    """Two pixels of border on each side, so that a turned digit stays inside."""
    return F.pad(images, [2] * 4)


@typed
@torch.no_grad()
def error_curve(
    f: Callable[[Images], Tensor], images: Images, angles: Sequence[float], group: FiniteGroup
) -> list[float]:
    """The error of the regular maps f(x) at each of the angles."""
    upright = f(images)
    return [rotation_error(f(rotate(images, float(a))), upright, float(a), group) for a in angles]


@typed
def curves_of(
    networks: Mapping[str, Encoder], measure: Callable[..., Sequence[float]], recalibrate: bool = False
) -> dict[str, Sequence[float]]:
    """name -> measure(last feature maps, 32 upright test digits, ``ANGLES``, group), such as ``error_curve``.

    Networks that are ``recalibrate``d know mean and variance of 400 digits; others must be in evaluation mode.
    """
    data = digits(16)
    images, known = _bordered(data.test.images[:32]), _bordered(data.train.images[:400])
    measured = {name: recalibrated(f, known) if recalibrate else f for name, f in networks.items()}
    return {name: measure(f.feature_maps, images, ANGLES, f.group) for name, f in measured.items()}


@typed
def readers(networks: Mapping[str, Encoder], seed: int) -> dict[str, Reader]:
    """Train the networks, in place, to read 1,297 upright digits in five epochs; each with its classifier on top.

    It sees the largest value along the group axis. The "augmented CNN" gets 15 epochs, each digit turned at random.
    """
    torch.manual_seed(seed + 1)
    data, found = digits(16).train, {}
    for name, network in networks.items():
        turned = name == "augmented CNN"
        recipe = {
            "epochs": 15 if turned else 5,
            "batch_size": 64,
            "rate": 0.02,
            "turned": turned,
            "seed": seed,
        }
        found[name] = taught(Reader(network), _bordered(data.images), data.labels, **recipe)
    return found


@typed
@torch.no_grad()
def reading_accuracy(reader: Reader) -> list[Interval]:
    """The part of the 300 test digits that is read right at each of ``ANGLES``, with its 95 % interval."""
    data, found = digits(16).test, []
    for angle in ANGLES:
        answers = reader(rotate(_bordered(data.images), float(angle))).argmax(dim=1)
        found.append(proportion_interval(int((answers == data.labels).sum()), len(data.labels)))
    return found


def _lines(
    curves: Mapping[str, Sequence[float]], x: Sequence[float], title: str, axes: tuple[str, str]
) -> go.Figure:
    """One line for each name, told apart by colour and dash."""
    figure = go.Figure(layout={"template": TEMPLATE, "title": title, "height": 390, "width": 780})
    dashes = ("solid", "dash", "dot", "solid", "dash")
    for (name, y), color, dash in zip(curves.items(), COLOURS, dashes, strict=False):
        figure.add_scatter(x=x, y=y, name=name, mode="lines+markers", line={"color": color, "dash": dash})
    return figure.update_xaxes(title=axes[0]).update_yaxes(title=axes[1], rangemode="tozero")


@typed
def show_curves(curves: Mapping[str, Sequence[float | Interval]], title: str, what: str) -> go.Figure:
    """A line for each network against ``ANGLES`` (an interval as a band); prints the numbers of some angles."""
    middles = {
        name: [value.mean if isinstance(value, Interval) else float(value) for value in curve]
        for name, curve in curves.items()
    }
    figure = _lines(middles, ANGLES, title, ("angle of the turn (degrees)", what)).update_xaxes(dtick=45)
    for (name, curve), color in zip(curves.items(), COLOURS, strict=False):
        middle = middles[name]
        some = "  ".join(f"{angle}°: {middle[ANGLES.index(angle)]:.2f}" for angle in (0, 15, 30, 45, 90, 180))
        print(f"{name:14} {some}   mean of 15° to 345°: {sum(middle[1:-1]) / len(middle[1:-1]):.2f}")
        if isinstance(curve[0], Interval):
            band = [value.low for value in curve] + [value.high for value in curve[::-1]]
            shade = {"fill": "toself", "fillcolor": color, "opacity": 0.15, "line": {"width": 0}}
            figure.add_scatter(x=ANGLES + ANGLES[::-1], y=band, hoverinfo="skip", showlegend=False, **shade)
    return figure


# Kernels that are turned

Heights = Float[Tensor, "out 1 5 5"]
Kernels = Float[Tensor, "out 1 side side"]
Bank = Float[Tensor, "out group 1 side side"]


@typed
def bumps(heights: Heights, width: float, degrees: float = 0.0) -> Kernels:
    r"""Kernels of 11 x 11 pixels that are sums of 25 bumps, $k(x) = \sum_p a_p \, e^{-|x - R p|^2 / 2 \sigma^2}$.

    Arguments:
        heights: $a_p$; their 5 x 5 places are the centres $p$ in the upright kernel.
        width: $\sigma$ in pixels.
        degrees: the angle of R, counter-clockwise: the centres turn, then the sum is read off at the pixels.
    """
    at = torch.arange(-5.0, 6.0)
    pixels = torch.complex(at.expand(11, 11), -at[:, None].expand(11, 11))  # x + i y, y pointing up
    centres = cmath.exp(1j * math.radians(degrees)) * pixels[3:8, 3:8].flatten()
    distance = (pixels - centres[:, None, None]).abs()
    return torch.einsum("cop,phw->cohw", heights.flatten(2), torch.exp(-(distance**2) / (2 * width**2)))


@typed
def turned_by_formula(heights: Heights, width: float) -> Bank:
    """The kernels of ``bumps``, turned once by each of the eight angles of C8: their centres turn."""
    return torch.stack([bumps(heights, width, C8.degrees(g)) for g in C8.elements], dim=1)


@typed
def turned_kernels(kernels: Kernels, group: FiniteGroup = C8) -> Bank:
    """The kernels, turned once by each angle of a group: as pictures, by ``rotate``."""
    return torch.stack([rotate(kernels, group.degrees(g)) for g in group.elements], dim=1)


def _maps(bank: Bank, images: Images) -> Float[Tensor, "batch out group height width"]:
    """The lifting convolution with these kernels."""
    planes = F.conv2d(images, bank.flatten(0, 1), padding=bank.shape[-1] // 2)
    return planes.unflatten(1, bank.shape[:2])


@typed
def error_at_45(bank: Bank, images: Images) -> float:
    """The error of the layer with these kernels, 6 pixels away from the border, beyond which kernels read."""
    return rotation_error(_maps(bank, rotate(images, 45.0)), _maps(bank, images), 45.0, C8, margin=6)


@typed
def errors_by_blur(banks: Mapping[str, Bank], images: Images) -> dict[str, dict[float, float]]:
    """The error of each layer at 45 degrees: name -> {blur of the images in pixels, of ``WIDTHS``: error}."""
    blurred = {width: blur(images, width) for width in WIDTHS}
    return {name: {w: error_at_45(bank, x) for w, x in blurred.items()} for name, bank in banks.items()}


@typed
def show_copies(bank: Bank) -> go.Figure:
    """The eight copies of the first kernel."""
    names = [f"{C8.degrees(g):g}°" for g in C8.elements]
    return image_grid(bank[0, :, 0], names, "One kernel, turned once by each of eight angles", signed=True)


@typed
def show_blur_curves(errors: Mapping[str, Mapping[float, float]]) -> go.Figure:
    """What ``errors_by_blur`` gives, as lines; prints the numbers."""
    for name, curve in errors.items():
        print(f"{name:21}", " ".join(f"{width:g} px: {error:.1%} " for width, error in curve.items()))
    curves = {name: list(curve.values()) for name, curve in errors.items()}
    axes = ("blur of the picture (pixels)", "relative error")
    figure = _lines(curves, WIDTHS, "Error of one layer for a turn by 45 degrees", axes)
    return figure.update_yaxes(type="log", range=[-2.6, 0.1], dtick=1)


@typed
def show_kernels(banks: Mapping[str, Bank], images: Images) -> ByHand:
    """One of the layers at work on a picture that the hand blurs: its kernel, its maps, its error at 45 degrees."""

    def blurred(layer: str, blur_in_tenths: int) -> str:
        x, bank, mask = blur(images, blur_in_tenths / 10), banks[layer], disc_mask(images.shape[-1], margin=6)
        got, expected = _maps(bank, rotate(x, 45.0)), turn_maps(C8, _maps(bank, x), 45.0)
        pairs = {
            "kernel": (bank[0, 0, 0], bank[0]),
            "kernel, turned": (bank[0, 1, 0], bank[0]),
            "picture": (x[0, 0], x[0]),
            "map, then turned": (expected[0, 0, 1] * mask, expected[0, 0, 1] * mask),
            "map of the turned picture": (got[0, 0, 1] * mask, expected[0, 0, 1] * mask),
            "difference": ((got - expected)[0, 0, 1] * mask, expected[0, 0, 1] * mask),
        }
        limits = {name: float(scale.abs().max()) for name, (_, scale) in pairs.items()}
        shown = [picture(p, name, True, (-limits[name], limits[name]), 110) for name, (p, _) in pairs.items()]
        colours = "Blue is negative, white zero, orange positive."
        return row(shown, f"Error at 45 degrees: <b>{error_at_45(bank, x):.1%}</b>. {colours}")

    return ByHand(blurred, layer=list(banks), blur_in_tenths=range(0, 31, 5))


@typed
def errors_by_place(bank: Bank, images: Images, degrees: float) -> list[float]:
    """The error for a turn by an angle, if the group axis moves by the element g of C8: one number for each g."""
    pair = _maps(bank, rotate(images, degrees)), rotate(_maps(bank, images), degrees)
    got, expected = (maps.movedim(2, -1) * disc_mask(maps.shape[-1], 6)[..., None] for maps in pair)
    return [float((got - C8.transform_features(expected, g)).norm() / expected.norm()) for g in C8.elements]


@typed
def show_places(bank: Bank, images: Images) -> go.Figure:
    """``errors_by_place`` as a picture: a row for each angle, a column for each place."""
    angles = [7.5 * step for step in range(25)]
    errors = [errors_by_place(bank, images, angle) for angle in angles]
    title = "Which place of the group axis explains the maps of the turned picture?"
    figure = go.Figure(layout={"template": TEMPLATE, "title": title, "height": 420, "width": 680})
    bar = {"title": {"text": "relative error"}}
    figure.add_heatmap(x=list(C8.elements), y=angles, z=errors, colorscale="Cividis", zmin=0, colorbar=bar)
    figure.update_xaxes(title="places by which the group axis has moved", dtick=1)
    return figure.update_yaxes(title="angle of the turn (degrees)", dtick=45)
