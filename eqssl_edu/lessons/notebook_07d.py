"""Pictures and measurements of notebook 07d: neighbours, gradients, and two collapses of free features.

The table ``neighbours.json`` beside this file holds ``nearest_scores(turn_reader(seed))`` of the seeds 0 to 19.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import plotly.graph_objects as go
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from tqdm.auto import tqdm

from eqssl_edu.contrastive import InfoNCE, orbit_correlation, orbit_distance, orbit_similarity
from eqssl_edu.contrastive.features import Others, unit
from eqssl_edu.data import digits
from eqssl_edu.diagnostics import irrep_energy, orbit_collapse
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.errors import typed
from eqssl_edu.evaluation import recalibrated
from eqssl_edu.groups import cyclic
from eqssl_edu.layers import GroupMLP
from eqssl_edu.plots import COLOURS, TEMPLATE, image_grid, picture, row
from eqssl_edu.pretext import PretextModel, RotationTask
from eqssl_edu.shapes import Features, Images
from eqssl_edu.training import Pretrainer
from eqssl_edu.views import RandomView
from eqssl_edu.widgets import ByHand

__all__ = [
    "collapsing",
    "found",
    "gradient_shares",
    "in_both_poses",
    "known",
    "nearest_scores",
    "neighbours",
    "part_shares",
    "plain_distance",
    "points",
    "show_lines",
    "show_poses",
    "show_shares",
    "sixty_steps",
    "triangle_violations",
    "turn_reader",
    "turned_apart",
]

C4 = cyclic(4)
VIEW = RandomView(scale=0.15, shift=0.08, contrast=0.3, noise=0.05)
Encode = Callable[[Images], Features]
Distance = Callable[..., Float[Tensor, "batch other"]]


@typed
def points(seed: int) -> Float[Tensor, "60 2 4"]:
    """60 random tables, short ones and long ones."""
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.tensor([0.3, 1, 3]).repeat_interleave(20)[:, None, None]
    return lengths * torch.randn(60, 2, 4, dtype=torch.float64, generator=generator)


@typed
def triangle_violations(d: Float[Tensor, "count count"]) -> int:
    """How many triples i, j, k have d[i, k] > d[i, j] + d[j, k]."""
    return int((d[:, None, :] > d[:, :, None] + d[None, :, :] + 1e-6).sum())


# Neighbours


@typed
def turn_reader(seed: int) -> Encode:
    """Images to features (B, 16, 4) of length 1, of a C4 network that has learned for seconds to read a digit's turn.

    What the features of 200 test digits have in common, in all poses, is taken away.
    """
    torch.manual_seed(seed)
    model, data = PretextModel(GroupCNN(C4, channels=(8, 16, 16)), RotationTask(C4)), digits(16)
    Pretrainer(model, data.train.images, epochs=3, batch_size=64, lr=1e-2, seed=seed).fit()
    encoder = model.encoder.cpu().double().eval()
    with torch.no_grad():
        common = encoder(data.test.images[:200].double()).mean(dim=(0, 2), keepdim=True)  # (1, 16, 1)

    @torch.no_grad()
    def encode(images: Images) -> Float[Tensor, "batch feature group"]:
        return unit(encoder(images.double()) - common)

    return encode


@typed
def plain_distance(z: Features, w: Others) -> Float[Tensor, "batch other"]:
    """The distance of features as they stand."""
    return torch.cdist(z.flatten(1), w.flatten(1))


def _distances() -> dict[str, Distance]:
    return {"plain": plain_distance, "orbits": lambda z, w: orbit_distance(C4, z, w)}


@typed
def in_both_poses() -> dict[str, Images]:
    """200 test digits, upright, and each turned by 90, 180 or 270 degrees, always the same."""
    upright = digits(16).test.images[:200]
    turns = torch.randint(1, 4, (200,), generator=torch.Generator().manual_seed(0))
    return {"upright": upright, "turned": C4.transform(upright, turns)}


@typed
def known(encode: Encode) -> Features:
    """The features of 600 upright digits, among which neighbours are sought."""
    return encode(digits(16).train.images[:600])


@typed
def neighbours(encode: Encode) -> ByHand:
    """A test digit and its six nearest among 600 upright digits, by both distances, upright and turned."""
    library, poses = digits(16).train, in_both_poses()
    among, z = known(encode), {pose: encode(images) for pose, images in poses.items()}

    def draw(query: int, pose: str) -> str:
        rows = []
        for name, distance in _distances().items():
            nearest = distance(z[pose][query : query + 1], among)[0].topk(6, largest=False).indices
            shown = [picture(poses[pose][query, 0], "query", side=76)]
            shown += [picture(library.images[i, 0], f"a {library.labels[i]}", side=76) for i in nearest]
            rows.append(row(shown, f"<b>{name}</b>: the query and its six nearest images"))
        return "".join(rows)

    return ByHand(draw, query=range(40), pose=["turned", "upright"])


@typed
def nearest_scores(encode: Encode) -> dict[str, float]:
    """How often the nearest of 600 upright digits has the label of a test digit: "plain, upright" and so on."""
    library, labels, scores = digits(16).train, digits(16).test.labels[:200], {}
    for pose, images in in_both_poses().items():
        for name, distance in _distances().items():
            nearest = distance(encode(images), known(encode)).argmin(dim=1)
            scores[f"{name}, {pose}"] = float((library.labels[nearest] == labels).double().mean())
    return scores


@typed
def found() -> list[dict[str, float]]:
    """``nearest_scores`` of twenty networks, one for each seed."""
    return json.loads(Path(__file__).with_name("neighbours.json").read_text("utf-8"))


# What a gradient reaches, and what a training changes


@typed
def part_shares(z: Features) -> dict[str, float]:
    """The share of each irreducible part of the regular representation of C4 in the energy of features."""
    energy = irrep_energy(C4, z)
    return {part: value / sum(energy.values()) for part, value in energy.items()}


@typed
def gradient_shares(encode: Encode, seed: int) -> dict[str, dict[str, float]]:
    """``part_shares`` of the gradient of InfoNCE at the features of the first views of 200 digits, for each kind."""
    generator, shares = torch.Generator().manual_seed(seed), {}
    z, w = (encode(VIEW(digits(16).test.images[:200], generator)) for _ in range(2))
    for kind in ("plain", "mean", "power2", "power3", "soft", "max"):
        leaf = z.clone().requires_grad_()
        F.cross_entropy(orbit_similarity(C4, leaf, w, kind) / 0.2, torch.arange(200)).backward()
        shares[kind] = part_shares(leaf.grad)
    return shares


@typed
def show_shares(shares: Mapping[str, Mapping[str, float]], title: str) -> go.Figure:
    """Shares that add up to 1, a bar for each name."""
    layout = {"template": TEMPLATE, "title": title, "height": 330, "width": 780, "barmode": "stack"}
    figure = go.Figure(layout=layout)
    for part, colour in zip(next(iter(shares.values())), COLOURS, strict=False):
        y = [share[part] for share in shares.values()]
        figure.add_bar(x=list(shares), y=y, name=part, marker_color=colour)
    return figure.update_yaxes(title="share of the energy")


@typed
def sixty_steps(seed: int) -> dict[str, Features]:
    """Features of 200 test digits of a new C4 network with a projector, before and after 60 steps of InfoNCE."""
    torch.manual_seed(seed)
    new = nn.Sequential(GroupCNN(C4, channels=(6, 12, 12)), GroupMLP(C4, (12, 32, 16)))
    images, held_out = digits(16).train.images, digits(16).test.images[:200]
    networks = {"before": new, "60 steps of mean": copy.deepcopy(new), "60 steps of max": copy.deepcopy(new)}
    for name, network in list(networks.items())[1:]:
        generator, loss = torch.Generator().manual_seed(seed), InfoNCE(C4, name.split()[-1], 0.1)
        optimizer = torch.optim.Adam(network.parameters(), lr=2e-3)
        for _ in tqdm(range(60), desc=name, unit="step", leave=False):
            batch = images[torch.randint(len(images), (48,), generator=generator)]
            optimizer.zero_grad()
            loss(network(VIEW(batch, generator)), network(VIEW(batch, generator))).backward()
            optimizer.step()
    with torch.no_grad():
        return {name: recalibrated(network, images[:400])(held_out) for name, network in networks.items()}


# Two collapses of free features


@typed
def collapsing(seed: int) -> tuple[dict[str, list[float]], Features, Features]:
    """64 free tables (4, 4) that become alike as orbits while the usual monitor stays high, in 300 steps.

    Returns:
        three monitors, every ten steps; the features before and after, of length 1.
    """
    z = torch.randn(
        64, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    ).requires_grad_()
    before, history, optimizer = unit(z.detach().clone()), [], torch.optim.Adam([z], lr=0.05)
    for step in range(301):
        u = unit(z)
        if step % 10 == 0:
            history.append(orbit_collapse(C4, u.detach()))
        apart = 1 - orbit_similarity(C4, u, u, "max").mean()
        usual_monitor = (u - u.mean(dim=0)).square().sum(dim=(1, 2)).mean().sqrt()
        optimizer.zero_grad()
        (apart - usual_monitor).backward()
        optimizer.step()
    names = {"usual spread": "spread", "spread of orbits": "orbit_spread", "spread, pooled": "pooled_spread"}
    monitors = {name: [getattr(report, field) for report in history] for name, field in names.items()}
    return monitors, before, unit(z.detach())


@typed
def show_poses(before: Features, after: Features) -> go.Figure:
    """Features as columns, before and after; sorted by the turn that brings each nearest to the first one after."""
    order = orbit_correlation(C4, after, after[:1])[:, 0].argmax(dim=1).argsort()
    planes = torch.stack([before.flatten(1)[order].T, after.flatten(1)[order].T])
    title = "64 features, one in each column: 4 channels x 4 elements"
    axes = ("image", "entry")
    return image_grid(planes, ["before", "after"], title, 1, True, axes=axes).update_layout(
        height=400, width=780
    )


@typed
def turned_apart(seed: int) -> tuple[dict[str, list[float]], dict[str, Features]]:
    """48 free tables (4, 4) under InfoNCE; both views of each are the table, turned by two elements of their own.

    Returns:
        for three similarities the share of the energy that is constant along the group, every ten steps of 200, and
        the features at the end.
    """
    tracks, ends = {}, {}
    for kind in ("plain", "mean", "max"):
        generator, loss = torch.Generator().manual_seed(seed), InfoNCE(C4, kind)
        z = torch.randn(48, 4, 4, dtype=torch.float64, generator=generator).requires_grad_()
        optimizer, tracks[kind] = torch.optim.Adam([z], lr=0.03), []
        for step in range(201):
            if step % 10 == 0:
                tracks[kind].append(part_shares(unit(z.detach()))["trivial"])
            turns = torch.randint(4, (2, 48), generator=generator)
            optimizer.zero_grad()
            loss(*(C4.transform_features(z, g) for g in turns)).backward()
            optimizer.step()
        ends[kind] = z.detach()
    return tracks, ends


@typed
def show_lines(lines: Mapping[str, Sequence[float]], title: str, what: str) -> go.Figure:
    """Numbers that were taken every ten steps."""
    figure = go.Figure(layout={"template": TEMPLATE, "title": title, "height": 340, "width": 780})
    for (name, y), colour, dash in zip(lines.items(), COLOURS, ("solid", "dash", "dot"), strict=False):
        style = {"color": colour, "dash": dash}
        figure.add_scatter(x=list(range(0, 10 * len(y), 10)), y=list(y), name=name, mode="lines", line=style)
    return figure.update_xaxes(title="step").update_yaxes(title=what, range=[0, 1.05])
