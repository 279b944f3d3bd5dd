"""Notebook 12: images of one's own: how they are read, which symmetry they have, and a run that is stopped."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import plotly.graph_objects as go
import torch
from jaxtyping import Bool, Float
from scipy import stats
from torch import Tensor

from eqssl_edu.data import ImageSet, load_images
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.errors import typed
from eqssl_edu.evaluation import extract
from eqssl_edu.exercises import check
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import FreeHead
from eqssl_edu.lessons.four_worlds import SYMMETRY, on_disk
from eqssl_edu.lessons.notebook_00 import Table
from eqssl_edu.plots import image_grid, picture, row
from eqssl_edu.pretext import JigsawTask, PretextModel, RotationTask
from eqssl_edu.shapes import Images
from eqssl_edu.theory import inconsistency_floor, label_cap
from eqssl_edu.training import Pretrainer
from eqssl_edu.widgets import ByHand, LiveTraining

__all__ = [
    "LEVEL",
    "SYMMETRY",
    "ask_wrongly",
    "be_the_network",
    "chance",
    "coin_table",
    "jigsaw_run",
    "largest_difference",
    "library_hits",
    "library_symmetry",
    "on_disk",
    "prices",
    "show",
    "stopped_at",
    "symmetries",
    "which_copy",
]

C4, D4 = cyclic(4), dihedral(4)
NAMES = [D4.element_name(g) for g in D4.elements]
LEVEL = 1e-4  # what is less likely by chance counts as told
Scores = Callable[[Tensor], Tensor]
Coins = Bool[Tensor, " batch"]


# -- 12.1: reading --------------------------------------------------------------------------------------------------


@typed
def show(worlds: Mapping[str, Mapping[str, ImageSet]]) -> go.Figure:
    """Nine pictures of each world, a row each; of coloured ones the mean of the channels."""
    names = [name if column == 0 else "" for name in worlds for column in range(9)]
    planes = torch.cat([spread(parts["train"].images, 9).mean(dim=1) for parts in worlds.values()])
    return image_grid(planes, names, "Nine pictures of each", columns=9, axes=("", ""))


def spread(images: Images, count: int) -> Float[Tensor, "few channel height width"]:
    """So many of them, evenly spread."""
    return images[torch.linspace(0, len(images) - 1, count).round().long()]


@typed
def ask_wrongly(place: Path) -> ByHand:
    """Five wrong questions to ``load_images``, and its answers."""
    (place / "notes.txt").write_text("not a picture", "utf-8")
    questions = {
        "no size, for pictures of two sizes": ("storms", {}),
        "a part that is not there": ("scenes", {"split": "validation", "size": 24}),
        "an array of another part": ("tissue", {"split": "dev", "size": 24}),
        "a name that is not there": ("galaxys.parquet", {"size": 24}),
        "a file of another kind": ("notes.txt", {"size": 24}),
    }

    def draw(question: str) -> str:
        name, options = questions[question]
        asked = "".join(
            f', {key}="{value}"' if key == "split" else f", {key}={value}" for key, value in options.items()
        )
        try:
            answer = f"{len(load_images(place / name, **options).images)} images"
        except (ValueError, OSError) as problem:
            answer = f"<b>{type(problem).__name__}</b><br>{problem}".replace(f"{place}{os.sep}", "")
        return row([], f'load_images(place / "{name}"{asked})<br><br>{answer}')

    return ByHand(draw, question=list(questions))


# -- 12.2: which symmetry -------------------------------------------------------------------------------------------


@typed
def be_the_network(worlds: Mapping[str, Mapping[str, ImageSet]]) -> ByHand:
    """Five pictures of a world as they are, and five others, changed by an element: can one tell?"""

    def draw(world: str, element: str) -> str:
        images = spread(worlds[world]["test"].images, 10).mean(dim=1, keepdim=True)
        changed = D4.transform(images[1::2], NAMES.index(element))
        shown = [picture(each[0], "as it is", side=100) for each in images[::2]]
        shown += [picture(each[0], f"after {element}", side=100) for each in changed]
        return row(shown, "If you had mixed them up: could you sort these ten again?")

    return ByHand(draw, world=list(worlds), element=NAMES[1:])


@typed
def which_copy(worlds: Mapping[str, Mapping[str, ImageSet]], seed: int, epochs: int = 12) -> LiveTraining:
    """For each world a plain CNN that is trained to say which of the eight copies it sees; nothing is built in."""
    task, runs = RotationTask(D4), {}
    for name, parts in worlds.items():
        images = parts["train"].images
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            encoder = GroupCNN(cyclic(1), images.shape[1], (12, 24, 48))
            model = PretextModel(encoder, task, FreeHead(task.labels, encoder.out_channels, order=1))
        runs[name] = Pretrainer(model, images, epochs=epochs, batch_size=64, lr=1e-2, seed=seed)
    return LiveTraining(runs, title="Which of the eight copies is it?")


@typed
def library_hits(group: FiniteGroup, g: int, images: Images, coins: Coins, scores: Callable) -> int:
    """The same as ``hits``."""
    z = scores(group.transform(images, g * coins.long()))
    return int(((z[:, g] > z[:, 0]) == coins).sum())


@typed
def chance(hits: int, count: int) -> float:
    """The probability of at least so many hits in so many throws of a fair coin."""
    return float(stats.binom.sf(hits - 1, count, 0.5))


@typed
def library_symmetry(group: FiniteGroup, told: Iterable[int]) -> tuple[int, ...]:
    """The same as ``symmetry``: a largest subgroup without an element that was told."""
    told = set(told)
    return max((H for H in group.subgroups() if not told & set(H)), key=len)


@typed
def coin_table(
    live: LiveTraining,
    worlds: Mapping[str, Mapping[str, ImageSet]],
    hits: Callable,
    seed: int,
) -> Table:
    """For each world and each element of D4 but the identity: how likely a guesser has as many hits on test images.

    Arguments:
        live: what ``which_copy`` gave.
        worlds: the images.
        hits: yours; as long as the check does not accept it, the library's.
        seed: of the coins.
    """
    hits = hits if check("12.hits", hits) else library_hits
    live.wait()
    draws, rows = torch.Generator().manual_seed(seed), {}
    for name, run in live.runs.items():
        images, network = worlds[name]["test"].images, _OneChannel(run.model)
        rows[name] = {}
        for g in D4.elements[1:]:
            coins = torch.randint(2, (len(images),), generator=draws) == 1
            found = hits(D4, g, images, coins, lambda x, network=network: extract(network, x)[:, 0])
            rows[name][D4.element_name(g)] = chance(int(found), len(images))
    said = dict.fromkeys(NAMES[1:], lambda p: f"{p:.1g}" + " told" * (p < LEVEL))
    return Table(rows, "How likely a guesser is right as often as the network, on test images", said)


class _OneChannel(torch.nn.Module):
    """Logits as features (B, 1, |L|): ``extract`` takes those in eval mode, in batches."""

    def __init__(self, model: PretextModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Images) -> Float[Tensor, "batch one label"]:
        return self.model(images)[:, None]


@typed
def symmetries(table: Table, symmetry: Callable) -> dict[str, tuple[int, ...]]:
    """World -> the largest symmetry that its tests do not contradict.

    Arguments:
        table: of ``coin_table``.
        symmetry: yours; as long as the check does not accept it, the library's.
    """
    symmetry = symmetry if check("12.symmetry", symmetry) else library_symmetry
    told = {name: [NAMES.index(g) for g, p in cells.items() if p < LEVEL] for name, cells in table.items()}
    return {name: D4.subgroup(symmetry(D4, elements)) for name, elements in told.items()}


@typed
def prices(found: Mapping[str, tuple[int, ...]]) -> Table:
    """What data of a symmetry leave of a task for a D4 network: the cap of rotation, the floors of the jigsaw."""
    rotation, true = RotationTask(D4).labels, GSet.jigsaw(D4, 2, "conjugation")
    rows = {}
    for name, H in found.items():
        floors = {
            f"jigsaw, {action}": inconsistency_floor(true, GSet.jigsaw(D4, 2, action), H).nats
            for action in ("conjugation", "left", "trivial")
        }
        copies = {"symmetry": float(len(H)), "rotation, at best": label_cap(rotation, H).accuracy}
        rows[f"{name}: {', '.join(NAMES[h] for h in H)}"] = copies | floors
    said = dict.fromkeys(floors, "{:.3f} nats".format) | {"symmetry": "{:.0f} of 8".format}
    said["rotation, at best"] = "{:.1%}".format
    return Table(rows, "Before any training: what these data leave of a task", said)


# -- 12.4: a run that is stopped ------------------------------------------------------------------------------------


@typed
def jigsaw_run(images: Images, seed: int, **kept: object) -> Pretrainer:
    """A training of a C4 network on the jigsaw, 72 steps on 800 images; ``kept`` says where it lives."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = PretextModel(GroupCNN(C4, images.shape[1], (8, 16)), JigsawTask(C4, 2))
    return Pretrainer(model, images, epochs=6, batch_size=64, lr=1e-2, seed=seed, **kept)


@typed
def stopped_at(step: int, run: Pretrainer) -> None:
    """Train until so many steps are done, and leave."""
    for record in run.steps():
        if record["step"] >= step:
            break


@typed
def largest_difference(one: Pretrainer, other: Pretrainer) -> float:
    """Between the weights of two runs."""
    pairs = zip(one.model.parameters(), other.model.parameters(), strict=True)
    return max(float((a - b).detach().abs().max()) for a, b in pairs)
