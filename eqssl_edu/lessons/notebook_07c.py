"""Pictures and measurements of notebook 07c: wheels, what similarities cannot tell apart, shortcuts, temperatures."""

import math
from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
import torch
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.contrastive import orbit_distance, orbit_similarity
from eqssl_edu.contrastive.features import unit
from eqssl_edu.data import digits
from eqssl_edu.diagnostics import matched_temperature
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.errors import typed
from eqssl_edu.evaluation import extract, recalibrated
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral
from eqssl_edu.layers import GroupMLP
from eqssl_edu.plots import COLOURS, TEMPLATE, image_grid, picture, row
from eqssl_edu.shapes import Features
from eqssl_edu.widgets import ByHand

__all__ = [
    "FAMILY",
    "compare_tables",
    "compare_wheels",
    "gaps",
    "irreps",
    "jumping",
    "letter_tables",
    "mixed",
    "moved_spectrum",
    "rebuilt",
    "relative_similarities",
    "rephased",
    "show_gaps",
    "show_jump",
    "show_rebuilt",
    "show_soft",
    "show_wheels",
    "spectrum_by_hand",
    "untrained",
    "wheels",
]

C4, D4, C8 = cyclic(4), dihedral(4), cyclic(8)
FAMILY = ("mean", "power2", "power3", "soft", "max")
Table = Float[Tensor, "1 channel group"]  # the features of one image


@typed
def relative_similarities(
    group: FiniteGroup, z: Table, w: Table, kinds: Sequence[str] = FAMILY
) -> dict[str, float]:
    """Each similarity of z and w, of equal length, as a part of that of z with itself: 1 if it takes w for z."""
    own, other = ([orbit_similarity(group, z, x, kind).item() for kind in kinds] for x in (z, w))
    return {kind: b / a for kind, a, b in zip(kinds, own, other, strict=True)}


def _numbers(values: Mapping[str, float]) -> str:
    """Numbers in a line; those that are 1 stand in brackets."""
    shown = {
        name: f"<b>[{v:.3f}]</b>" if abs(v - 1) < 1e-9 else f"<b>{v:.3f}</b>" for name, v in values.items()
    }
    return "; ".join(f"{name} {value}" for name, value in shown.items())


def _spoken(drawn: str, name: str, values: Tensor) -> str:
    """A picture whose text for screen readers has the numbers that it shows."""
    numbers = ", ".join(f"{value:.1f}" for value in values.flatten().tolist())
    return drawn.replace(f'alt="{name}"', f'alt="{name}: {numbers}"')


# Wheels: features with one channel over C8


@typed
def rephased(z: Float[Tensor, "*batch n"], degrees: float, frequency: int = 2) -> Float[Tensor, "*batch n"]:
    """Features over C_n, one of whose frequencies (neither 0 nor n / 2) is shifted in phase, in every channel alike."""
    spectrum = torch.fft.rfft(z)
    angle = math.radians(degrees)
    spectrum[..., frequency] *= complex(math.cos(angle), math.sin(angle))
    return torch.fft.irfft(spectrum, n=z.shape[-1])


@typed
def wheels() -> dict[str, Float[Tensor, "1 1 8"]]:
    """Six wheels of one length: the first, a turned copy of it, and four others that have something of it."""
    first = torch.tensor([[[1.0, 0.6, -0.4, 0.2, -0.1, -0.8, 0.4, -0.5]]], dtype=torch.float64)
    return {
        "first": first,
        "turned": C8.transform_features(first, 3),
        "other order": first[..., [0, 2, 1, 4, 3, 7, 5, 6]],
        "mirrored": first.flip(-1),
        "rephased": rephased(first, 120.0),
        "negative": -first,
    }


def _painted(z: Float[Tensor, "*batch 1 8"]) -> Float[Tensor, "*batch 96 96"]:
    """Wheels as pictures: sector h has the value z[..., 0, h]."""
    place = torch.linspace(-1, 1, 96, dtype=torch.float64)
    y, x = -place[:, None], place[None, :]
    sector = (torch.atan2(y, x) / (2 * torch.pi) * 8).round().long() % 8
    return z[..., 0, sector] * (x**2 + y**2 < 1)


@typed
def show_wheels() -> go.Figure:
    """The wheels. Sector 0 is on the right, the next ones follow anticlockwise."""
    planes = _painted(torch.cat(list(wheels().values())))
    title = "Six wheels: features (1, 8) over C8"
    return image_grid(planes, list(wheels()), title, signed=True, axes=("", ""))


@typed
def compare_wheels() -> ByHand:
    """The first wheel, turned by hand, beside one of the others; what each similarity says of the two."""
    first = wheels()["first"]

    def draw(wheel: str, places: int) -> str:
        pair = {f"first, by {places} places": C8.transform_features(first, places), wheel: wheels()[wheel]}
        shown = [
            _spoken(picture(_painted(z[0]), name, True, (-1.1, 1.1), 150), name, z)
            for name, z in pair.items()
        ]
        return row(shown, _numbers(relative_similarities(C8, *pair.values())))

    return ByHand(draw, {"wheel": "other order"}, wheel=list(wheels())[1:], places=range(8))


@typed
def rebuilt(kind: str, seed: int) -> tuple[Float[Tensor, "count 1 8"], Float[Tensor, " count"]]:
    """Of 40 random wheels that gradient descent moves until a power takes them for the first one, those that arrive.

    The descent is on $s(z, z) + s(w, w) - 2 s(z, w)$ with the first wheel z; below $10^{-6} s(z, z)$ one has
    arrived. With them comes the distance of each to the orbit of the first wheel.
    """
    first, generator = wheels()["first"], torch.Generator().manual_seed(seed)
    w = (0.6 * torch.randn(40, 1, 8, dtype=torch.float64, generator=generator)).requires_grad_()
    optimizer = torch.optim.Adam([w], lr=0.2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 400)
    own = orbit_similarity(C8, first, first, kind)[0, 0]
    for _ in range(400):
        itself = orbit_similarity(C8, w, w, kind).diagonal()
        squares = own + itself - 2 * orbit_similarity(C8, w, first, kind)[:, 0]
        optimizer.zero_grad()
        squares.sum().backward()
        optimizer.step()
        schedule.step()
    left, order = (squares.detach().abs() / own).sort()
    arrived = w.detach()[order][left < 1e-6]
    return arrived, orbit_distance(C8, arrived, first)[:, 0]


@typed
def show_rebuilt(found: Mapping[str, tuple[Tensor, Tensor]]) -> go.Figure:
    """The best six wheels of each kind, as ``rebuilt`` gives them, with their distance to the first wheel's orbit."""
    planes = [_painted(z[:6]) for z, _ in found.values()]
    names = [f"{kind}: {d:.2f}" for kind, (_, away) in found.items() for d in away[:6]]
    title = "Wheels that a power takes for the first one, and how far each is from it, turned as fits best"
    return image_grid(torch.cat(planes), names, title, columns=6, signed=True, axes=("", ""))


# What power2 cannot tell apart, over the dihedral groups


@typed
def irreps(group: FiniteGroup) -> dict[str, Float[Tensor, "group rows rows"]]:
    r"""The irreducible representations of a dihedral group as real orthogonal matrices $\rho(g)$, (|G|, d, d) each.

    Rotation k of n turns the plane by $2 \pi j k / n$ in "plane j"; the flip is a mirror there. The others have one
    row: a sign for the rotation by one step, and a sign for the flip.
    """
    n, g = group.rotations, torch.arange(group.order)
    flip, k = (g >= n)[:, None, None], (g % n)[:, None, None].double()
    found = {}
    for turn in (1, -1)[: 2 - n % 2]:
        for mirror in (1, -1):
            found[f"signs {turn:+d} {mirror:+d}"] = turn**k * torch.where(flip, mirror, 1)
    for j in range(1, (n + 1) // 2):
        angle = 2 * torch.pi * j * k / n
        turned = torch.cat(
            [torch.cat([angle.cos(), -angle.sin()], 2), torch.cat([angle.sin(), angle.cos()], 2)], 1
        )
        found[f"plane {j}"] = torch.where(flip, turned * torch.tensor([-1.0, 1.0]), turned)
    return found


@typed
def mixed(group: FiniteGroup, z: Features, matrices: Mapping[str, Float[Tensor, "rows rows"]]) -> Features:
    r"""Features over a dihedral group, each Fourier coefficient multiplied from the left by a matrix of its own.

    The coefficients of a channel are $\hat z = \sum_h z[h]\, \rho(h)$, (d, d) for each $\rho$ of ``irreps``; a move
    by g multiplies them by $\rho(g)$. Back: $z[h] = \frac1{|G|} \sum_\rho d\, \mathrm{tr}(\rho(h)^T \hat z)$.
    """
    result = torch.zeros_like(z)
    for name, rho in irreps(group).items():
        moved = matrices[name] @ torch.einsum("bch,hij->bcij", z, rho)
        result += rho.shape[1] / group.order * torch.einsum("hij,bcij->bch", rho, moved)
    return result


@typed
def moved_spectrum(z: Features, degrees: float) -> Features:
    """Features over D4 whose coefficients in the plane are turned by an angle, in every channel alike; no others."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    matrices = {name: torch.eye(rho.shape[1], dtype=z.dtype) for name, rho in irreps(D4).items()}
    return mixed(D4, z, {**matrices, "plane 1": torch.tensor([[c, -s], [s, c]], dtype=z.dtype)})


@typed
def spectrum_by_hand(z: Table) -> ByHand:
    """Features over D4 beside their ``moved_spectrum`` at every angle; what the similarities say, and the distance."""

    def draw(degrees: int) -> str:
        pair = {"z": z, "w": moved_spectrum(z, float(degrees))}
        shown = [_spoken(picture(x[0], name, True, (-2, 2), 240), name, x) for name, x in pair.items()]
        away = orbit_distance(D4, *pair.values()).item()
        text = f"{degrees} degrees: {_numbers(relative_similarities(D4, *pair.values()))}"
        return row(shown, f"{text}<br>From w to the nearest moved copy of z: <b>{away:.2f}</b>")

    return ByHand(draw, degrees=range(0, 361, 15))


# Soft, and two shortcuts


def _figure(
    curves: Mapping[str, Sequence[float]], x: Sequence[float], title: str, axes: tuple[str, str]
) -> go.Figure:
    """Lines, told apart by colour and dash."""
    figure = go.Figure(layout={"template": TEMPLATE, "title": title, "height": 330, "width": 780})
    for (name, y), colour, dash in zip(curves.items(), COLOURS, ("solid", "dash", "dot"), strict=False):
        figure.add_scatter(x=x, y=y, name=name, mode="lines", line={"color": colour, "dash": dash})
    return figure.update_xaxes(title=axes[0]).update_yaxes(title=axes[1])


@typed
def show_soft(kappa: Float[Tensor, " group"]) -> go.Figure:
    """The soft similarity of a kappa against its temperature, between the maximum and the mean."""
    temperatures = torch.logspace(-2.5, 2, 60).tolist()
    soft = [float(t * ((kappa / t).logsumexp(0) - math.log(len(kappa)))) for t in temperatures]
    curves = {"soft": soft, "max": [float(kappa.max())] * 60, "mean": [float(kappa.mean())] * 60}
    figure = _figure(curves, temperatures, "Soft is between max and mean", ("temperature t", "similarity"))
    return figure.update_xaxes(type="log", tickvals=[0.01, 0.1, 1, 10, 100])


@typed
def letter_tables() -> dict[str, Table]:
    """Features (1, 2, 4) of images of an F and an R: a channel for each letter, one number for each orientation."""
    f, r = torch.tensor([1.0, 0.2, 0, 0.2], dtype=torch.float64), torch.tensor([0.9, 0.1, 0.3, 0.1])
    upright = torch.stack([f, r.double()])[None]
    alone = torch.stack([f, r.double().roll(1)])[None]
    return {
        "both upright": upright,
        "both turned": C4.transform_features(upright, 1),
        "R alone turned": alone,
    }


@typed
def compare_tables() -> ByHand:
    """One of the ``letter_tables`` beside the first; what the similarities and the shortcut "maxpool" say of them."""
    upright, *_ = letter_tables().values()

    def draw(other: str) -> str:
        pair = {"both upright": upright, other: letter_tables()[other]}
        shown = [_spoken(picture(z[0], name, False, (0, 1), 200), name, z) for name, z in pair.items()]
        numbers = _numbers(relative_similarities(C4, *pair.values(), kinds=(*FAMILY, "maxpool")))
        key = "Channel F above, channel R below; a column for each orientation. Dark blue is 0, yellow 1."
        return row(shown, f"{key}<br>{numbers}")

    return ByHand(draw, other=list(letter_tables())[1:])


@typed
def jumping() -> dict[str, list[float]]:
    """A wheel with two bright sectors, one of which grows from 0.8 to 1.2: its similarities with a fixed wheel."""
    heights = [0.8 + 0.01 * step for step in range(41)]
    wheel = torch.zeros(41, 1, 8, dtype=torch.float64)
    wheel[:, 0, 0], wheel[:, 0, 1], wheel[:, 0, 4] = 1.0, 0.4, torch.tensor(heights, dtype=torch.float64)
    fixed = wheel[:1].clone()
    fixed[0, 0, 4] = 0
    found = {
        kind: orbit_similarity(C8, unit(wheel), unit(fixed), kind)[:, 0].tolist()
        for kind in ("canonical", "max")
    }
    return {"height": heights, **found}


@typed
def show_jump() -> go.Figure:
    """``jumping`` as two lines."""
    heights, *_ = (curves := jumping()).values()
    axes = ("brightness of the second sector (the first one has 1)", "similarity")
    del curves["height"]
    return _figure(curves, heights, "A wheel changes slowly: two similarities with a fixed wheel", axes)


# Temperatures


@typed
def untrained(seed: int) -> Features:
    """Features (300, 32, 4) of digits, from a C4 network and a projector whose weights are random."""
    torch.manual_seed(seed)
    network, data = nn.Sequential(GroupCNN(C4, channels=(8, 16, 16)), GroupMLP(C4, (16, 64, 32))), digits(16)
    return extract(recalibrated(network, data.train.images[:400]), data.test.images).double()


@typed
def gaps(z: Features, temperatures: Mapping[str, float]) -> dict[str, float]:
    """For each kind, (similarity with oneself - similarity with a stranger) / its temperature, in the mean."""
    strangers, found = ~torch.eye(len(z), dtype=torch.bool), {}
    for kind, t in temperatures.items():
        table = orbit_similarity(C4, unit(z), unit(z), kind, t)
        found[kind] = float(table.diagonal().mean() - table[strangers].mean()) / t
    return found


@typed
def show_gaps(features: Mapping[str, Features], kinds: Sequence[str] = ("plain", *FAMILY)) -> go.Figure:
    """The ``gaps`` of features of two origins, at the temperatures that are matched on the first of them."""
    first, *_ = features.values()
    temperatures = {kind: matched_temperature(C4, first, kind, 0.2) for kind in kinds}
    figure = go.Figure(layout={"template": TEMPLATE, "height": 330, "width": 780, "barmode": "group"})
    for (name, z), colour in zip(features.items(), COLOURS, strict=False):
        found = gaps(z, temperatures)
        print(f"{name:18}", "  ".join(f"{kind} {value:.1f}" for kind, value in found.items()))
        figure.add_bar(x=list(found), y=list(found.values()), name=name, marker_color=colour)
    title = "The gap in units of the temperature, matched on " + next(iter(features))
    return figure.update_layout(title=title).update_yaxes(title="gap / t")
