"""Notebook 10b: a slide to one's symmetrisation, losses that ask for equivariance, and monitors that lie."""

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

import plotly.graph_objects as go
import torch
from plotly.subplots import make_subplots
from torch import Tensor, nn

from eqssl_edu.contrastive import ContrastiveModel
from eqssl_edu.contrastive.features import unit
from eqssl_edu.data import digits
from eqssl_edu.diagnostics.learned_action import action_alone
from eqssl_edu.errors import typed
from eqssl_edu.evaluation import extract
from eqssl_edu.exercises import check
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.learned import GramLoss, SoftEquivariance, turned_back
from eqssl_edu.lessons.learned_runs import C4, KINDS, asked, found, judged, new_model, training
from eqssl_edu.lessons.notebook_08 import dots
from eqssl_edu.lessons.notebook_10 import Orbits, library_maps, new_networks, orbits
from eqssl_edu.plots import COLOURS, TEMPLATE, picture, row
from eqssl_edu.shapes import Features, Images
from eqssl_edu.widgets import ByHand, LearnedActionExplorer, LiveTraining

__all__ = [
    "apply_by_hand",
    "library_moving",
    "library_soft",
    "library_symmetrised",
    "loud_ends",
    "louder",
    "monitors",
    "new_networks",
    "own_runs",
    "runs_chart",
    "slide",
    "tables_of",
    "train_relatives",
    "two_orbits",
    "with_a_loud_part",
]

Tables = Callable[[Images], Features]
SEVENS = (11, 0, 1, 2)  # test images; the first is a 7, and is shown
PARTS = tuple(k / 10 for k in range(11))
LOUDNESS = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)


@typed
def tables_of(network: nn.Module) -> Tables:
    """The features of a network, read as tables (C, 4)."""
    return lambda images: network(images).flatten(1).unflatten(1, (-1, 4))


@typed
def library_symmetrised(group: FiniteGroup, f: Callable, images: Images) -> Tensor:
    """The same as ``symmetrised``."""
    turned = [f(group.transform(images, g)) for g in group.elements]
    back = [group.transform_features(z, int(group.inverse[g])) for g, z in enumerate(turned)]
    return torch.stack(back).mean(dim=0)


@typed
def library_soft(group: FiniteGroup, f: Callable, images: Images) -> Tensor:
    """The same as ``soft_loss``."""
    orbit = torch.stack([f(group.transform(images, k)).flatten(1) for k in group.elements], dim=1)
    return SoftEquivariance(group)(orbit)


@typed
def two_orbits(f: Callable, images: Images, symmetrised: Callable) -> tuple[Orbits, Orbits]:
    """f and S f on all turns of the images."""
    own = symmetrised if check("10.symmetrised", symmetrised) else library_symmetrised
    return orbits(f, images), orbits(lambda x: own(C4, f, x), images)


def _energy(z: Tensor) -> float:
    return float(z.square().sum(dim=-1).mean())


@typed
def slide(f: Callable, symmetrised: Callable, soft_loss: Callable) -> ByHand:
    """From f at 0 to S f at 1: what four turned copies of a digit say of the upright one, and three losses.

    Arguments:
        f: images to tables (C, 4).
        symmetrised, soft_loss: yours; as long as the checks do not accept them, the library's.
    """
    images = digits(16).test.images[list(SEVENS)].double()
    z, s = two_orbits(f, images, symmetrised)
    scale = float(z.abs().max())
    own = symmetrised if check("10.symmetrised", symmetrised) else library_symmetrised
    loss = soft_loss if check("10.soft_loss", soft_loss) else library_soft
    with torch.no_grad():
        losses = [float(loss(C4, lambda x, p=p: (1 - p) * f(x) + p * own(C4, f, x), images)) for p in PARTS]

    def draw(part: float) -> str:
        mixed = (1 - part) * z + part * s
        tables = turned_back(C4, mixed)[0].unflatten(1, (-1, 4))
        shown = [
            picture(each.T, f"from x turned by {90 * g}°", True, (-scale, scale), 190)
            for g, each in enumerate(tables)
        ]
        soft, one = losses[PARTS.index(part)], float(SoftEquivariance(C4, generator=1)(mixed))
        words = f"soft loss: <b>{soft:.6f}</b>; 2 E |f − S f|²: <b>{2 * _energy(mixed - s):.6f}</b>; "
        return row(shown, words + f"soft loss with the quarter turn alone: {one:.6f}")

    return ByHand(draw, part=PARTS)


# -- 10b.2: relatives ----------------------------------------------------------------------------------------------


@typed
def train_relatives(kinds: Sequence[str], seed: int) -> LiveTraining:
    """Train relatives on the letters: one contrastive loss, the same batches and views, and what each adds.

    Readouts, on letters of other typefaces: the moving error, and the share that does not move.
    """
    fitted, others = asked("letters")

    def readouts(model: ContrastiveModel) -> dict[str, float]:
        plain = action_alone(model.encoder, fitted, C4, {"letters": others})["letters"].plain
        return {
            "moving error": math.nan if plain.error is None else plain.error,
            "does not move": plain.still,
        }

    every = {kind: training(new_model(kind, seed), "letters", 364, seed) for kind in kinds}
    return LiveTraining(every, "Losses that ask for equivariance", readouts)


@typed
def apply_by_hand(live: LiveTraining) -> LearnedActionExplorer:
    """Wait for the training; then the fitted action of each network, applied again and again."""
    live.wait()
    encoders = {name: run.model.encoder for name, run in live.runs.items()}
    return LearnedActionExplorer(encoders, asked("letters")[0], C4, asked("digits")[1])


@typed
def own_runs(live: LiveTraining, seed: int) -> list[dict]:
    """What one's own networks have bought, each as a run among the shipped ones."""
    live.wait()
    return [{"kind": kind, **judged(run.model.encoder, "letters", seed)} for kind, run in live.runs.items()]


MEASURES = {
    "error": "moving error",
    "four times": "away after four quarter turns",
    "of all": "error in units of all energy",
    "still": "share that does not move",
}


@typed
def runs_chart(mine: Sequence[Mapping], *measures: str) -> go.Figure:
    """The shipped runs of each kind as dots, a panel for each measure, with their means; own runs as stars.

    Prints the means.
    """
    titles = [MEASURES[measure] for measure in measures]
    figure = make_subplots(1, len(measures), subplot_titles=titles, horizontal_spacing=0.09)
    for column, measure in enumerate(measures, 1):
        for i, kind in enumerate(KINDS):
            own = [run[measure] for run in mine if run["kind"] == kind]
            dots(figure, i, found(kind, measure), own, row=1, col=column)
    for kind in KINDS:
        means = (
            f"{title} {fmean(found(kind, each)):.2g}" for each, title in zip(measures, titles, strict=True)
        )
        print(f"{kind:12}", "; ".join(means))
    figure.update_xaxes(tickvals=list(range(len(KINDS))), ticktext=list(KINDS), tickangle=60)
    figure.update_yaxes(rangemode="tozero").update_annotations(font={"size": 12})
    layout = {"template": TEMPLATE, "width": 900, "height": 360, "margin": {"t": 40, "b": 90}}
    return figure.update_layout(**layout, showlegend=False)


# -- 10b.3: monitors -----------------------------------------------------------------------------------------------


@typed
def library_moving(z: Orbits) -> Tensor:
    """The same as ``moving_energy``."""
    return (z - z.mean(dim=1, keepdim=True)).square().sum(dim=2).mean()


@typed
def with_a_loud_part(z: Orbits, loudness: float) -> Tensor:
    """Features and, beside them, so many times their mean over all turns: numbers that no turn moves."""
    return torch.cat([z, loudness * z.mean(dim=1, keepdim=True).expand(-1, 4, -1)], dim=2)


@typed
def monitors(z: Orbits, maps: Tensor, moving_energy: Callable) -> dict[str, float]:
    """Three numbers of features and of maps for them: the Gram loss, and the maps' error in two units.

    Arguments:
        z: features of all turns.
        maps: (4, D, D); numbers of z beyond D are left as they are.
        moving_energy: of features, (B, |G|, D) -> one number.
    """
    size = maps.shape[1]
    centred = z - z.mean(dim=(0, 1))
    turned = centred[:, C4.product[1:], :size]  # (B, g, h, D)
    missed = turned - torch.einsum("gde,bhe->bghd", maps[1:], centred[..., :size])
    return {
        "Gram loss": float(GramLoss(C4)(unit(z.flatten(0, 1)).view_as(z))),
        "error in units of all energy": _energy(missed) / _energy(centred),
        "error in units of what moves": _energy(missed) / float(moving_energy(z)),
    }


@typed
def louder(network: nn.Module, moving_energy: Callable) -> ByHand:
    """Add to a network's features numbers that do not move, louder and louder; three monitors, their bars began equal.

    Arguments:
        network: images to features; maps are fitted to letters, and tried on others.
        moving_energy: yours; as long as the check does not accept it, the library's.
    """
    own = moving_energy if check("10.moving_energy", moving_energy) else library_moving
    maps, z = _fitted(network)

    first = monitors(z, maps, own)

    def draw(loudness: float) -> str:
        said = monitors(with_a_loud_part(z, loudness), maps, own)
        return "".join(_bar(name, value, value / first[name]) for name, value in said.items())

    return ByHand(draw, loudness=LOUDNESS)


@typed
def loud_ends(network: nn.Module) -> list[dict[str, float]]:
    """What the monitors say where nothing is added, and where it is loudest."""
    maps, z = _fitted(network)
    return [monitors(with_a_loud_part(z, each), maps, library_moving) for each in (0.0, LOUDNESS[-1])]


def _fitted(network: nn.Module) -> tuple[Tensor, Orbits]:
    """Maps that are fitted to 364 letters, and the features of all turns of 104 others."""
    fitted, z = (orbits(lambda x: extract(network, x), images).double() for images in asked("letters"))
    return library_maps(fitted), z


def _bar(name: str, value: float, part: float) -> str:
    """A bar, so long as a part of where it began."""
    bar = f"width:{400 * part:.1f}px;height:18px;background:{COLOURS[0]}"
    return (
        '<div style="display:flex;gap:10px;line-height:24px;background:white;color:#1a1a1a">'
        f'<span style="width:210px">{name}</span><b style="width:70px">{value:.4f}</b>'
        f'<span style="{bar}"></span></div>'
    )
