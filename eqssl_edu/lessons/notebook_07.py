"""Notebook 07: two views, all their similarities, what a row asks, and what InfoNCE teaches."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.contrastive import ContrastiveModel, InfoNCE, Loss
from eqssl_edu.contrastive.loss import Contrast
from eqssl_edu.data import digits
from eqssl_edu.errors import typed
from eqssl_edu.evaluation import extract, linear_probe, recalibrated
from eqssl_edu.exercises import check
from eqssl_edu.groups import cyclic
from eqssl_edu.layers import GroupMLP
from eqssl_edu.lessons.notebook_00 import Table, new_network
from eqssl_edu.plots import picture, row
from eqssl_edu.shapes import Features, Images
from eqssl_edu.training import Pretrainer
from eqssl_edu.views import RandomView
from eqssl_edu.widgets import ByHand, LiveTraining

__all__ = [
    "TEMPERATURES",
    "ask_a_row",
    "found_when_turned",
    "show_similarities",
    "show_views",
    "train",
    "turn_a_view",
    "what_was_learned",
]

C4 = cyclic(4)
TEMPERATURES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)
LABELLED, DRAWS = 2, 20  # images of each digit that a probe may learn from, and how often they are drawn
LEARNED = (
    "cosine of strangers",
    "partners found",
    "digit, from 20 labelled",
    "brighter or fainter?",
)
Vectors = Float[Tensor, "batch feature"]
Encode = Callable[[Tensor], Tensor]
"""Images (B, 1, H, W) -> vectors (B, D)."""


# -- pictures ------------------------------------------------------------------------------------------------------


@typed
def show_views(images: Images, first: Images, second: Images) -> ByHand:
    """Each image with its two views below it; the slider walks along the images."""

    def draw(image: int) -> str:
        planes = {"the image": images, "first view": first, "second view": second}
        return row(picture(x[image, 0], name, limits=(0, 1.2), side=150) for name, x in planes.items())

    return ByHand(draw, image=range(len(images)))


@typed
def show_similarities(s: Float[Tensor, "view view"], first: Images, second: Images) -> ByHand:
    """All similarities of 2B views as a table of colours: a slider picks a row, a menu says whose cells are framed."""
    shown = _thumbnails(first, second, side=26)
    low = float(s.min())

    def cell(i: int, k: int, marked: bool) -> str:
        part = (float(s[i, k]) - low) / (1 - low)
        frame = "outline:3px solid #D55E00;outline-offset:-3px;" if marked else ""
        style = f"background:rgba(0,114,178,{0.8 * part:.2f});{frame}padding:4px 6px;text-align:center"
        return "<td></td>" if i == k else f'<td style="{style}">{float(s[i, k]):.2f}</td>'

    def draw(frame: str) -> str:
        lines = []
        for i, view in enumerate(shown):
            most = int(s[i].masked_fill(torch.arange(len(s)) == i, -math.inf).argmax())
            framed = (i + len(first)) % len(s) if frame == "the partner" else most
            cells = "".join(cell(i, k, k == framed) for k in range(len(s)))
            lines.append(f'<tr><th style="padding:0 4px;white-space:nowrap">{i} {view}</th>{cells}</tr>')
        head = "".join(f'<th style="padding:0 2px">{view}<br>{k}</th>' for k, view in enumerate(shown))
        look = "font-size:12px;line-height:1.2;background:white;color:#1a1a1a"
        return f'<table style="{look}"><tr><td></td>{head}</tr>{"".join(lines)}</table>'

    return ByHand(draw, frame=["the partner", "the most similar"])


@typed
def ask_a_row(s: Float[Tensor, "view view"], first: Images, second: Images) -> ByHand:
    """What one view says of the 2B - 1 others: probabilities as bars, for a row and a temperature."""
    shown = _thumbnails(first, second)

    def draw(row: int, temperature: float) -> str:
        return _bars(s[row], row, (row + len(first)) % len(s), temperature, shown)

    return ByHand(draw, row=range(len(s)), temperature=TEMPERATURES, start={"temperature": 0.2})


@typed
def turn_a_view(live: LiveTraining, images: Images, seed: int) -> ByHand:
    """The trained network's row of the first view of an image, while its second view is turned."""
    live.wait()
    encode = _encode(live.runs["InfoNCE"].model.eval().cpu(), projected=True)
    first, second = _two_views(images, seed)

    def draw(image: int, degrees: int) -> str:
        moved = second.clone()
        moved[image] = C4.transform(second[image], degrees // 90)
        z = _unit(encode(torch.cat([first, moved])))
        return _bars(z @ z[image], image, image + len(first), 0.2, _thumbnails(first, moved))

    return ByHand(draw, image=range(len(images)), degrees=(0, 90, 180, 270))


def _thumbnails(first: Images, second: Images, side: int = 40) -> list[str]:
    """All 2B views as small pictures, the first views before the second ones."""
    words = [f"{i}, {which} view" for which in ("first", "second") for i in range(len(first))]
    planes = torch.cat([first, second])[:, 0]
    return [_small(plane, text, side) for plane, text in zip(planes, words, strict=True)]


def _small(plane: Tensor, text: str, side: int) -> str:
    drawn = picture(plane, text, limits=(0, 1.2), side=side)
    return drawn[drawn.index("<img") : drawn.index("<figcaption")]  # the text is heard, not seen


def _bars(s: Tensor, own: int, partner: int, temperature: float, shown: Sequence[str]) -> str:
    """Probabilities of all views but one's own, as bars with the views below; the partner's is orange."""
    logits = (s.double() / temperature).masked_fill(torch.arange(len(s)) == own, -math.inf)
    p = logits.softmax(dim=0)
    columns = []
    for k, view in enumerate(shown):
        colour = "#D55E00" if k == partner else "#0072B2"
        bar = f'<div style="height:{150 * float(p[k]):.0f}px;background:{colour};width:36px;margin:0 auto"></div>'
        said = "itself" if k == own else f"{float(p[k]):.3f}"
        label = f'<div style="font-size:12px">{said}</div>'
        columns.append(f'<div style="width:48px;text-align:center">{label}{bar}{view}<br>{k}</div>')
    loss, guessing = -float(p[partner].log()), math.log(len(s) - 1)
    text = (
        f"The partner is orange: p = {p[partner]:.3f}, −log p = {loss:.2f} nats. Guessing has {guessing:.2f}."
    )
    line = '<div style="display:flex;align-items:flex-end;min-height:220px;background:white;color:#1a1a1a">'
    return f'{line}{"".join(columns)}</div><p style="margin:6px 0 0;font-size:14px">{escape(text)}</p>'


# -- the training --------------------------------------------------------------------------------------------------


class _Yours(InfoNCE):
    """InfoNCE as the student wrote it, of vectors."""

    def __init__(self, info_nce: Callable[[Tensor, Tensor, float], Tensor]) -> None:
        super().__init__(C4, "plain")
        self.written = info_nce

    def contrast(self, z1: Features, z2: Features) -> Contrast:
        logits, partner = self.logits(z1, z2)
        loss = self.written(z1.flatten(1), z2.flatten(1), self.temperature)
        return Contrast(loss, (logits.argmax(dim=1) == partner).float().mean())


class _PartnersAlone(Loss):
    """One minus the cosine of partners: nothing is said about strangers."""

    def forward(self, z1: Features, z2: Features) -> Float[Tensor, ""]:
        return 1 - F.cosine_similarity(z1.flatten(1), z2.flatten(1)).mean()


@typed
def train(info_nce: Callable[[Tensor, Tensor, float], Tensor], seed: int) -> LiveTraining:
    """Train a C4 network with a projector on views of 1,297 digits: with InfoNCE, and without any negatives.

    Arguments:
        info_nce: yours, (z1, z2, t) -> loss; the library's takes its place unless ``check`` accepts it.
        seed: of the weights, of the order of the images and of the views.
    """
    nce = _Yours(info_nce) if check("07.info_nce", info_nce) else InfoNCE(C4, "plain")
    runs, images = {}, digits().train.images
    for name, loss, epochs in (("InfoNCE", nce, 12), ("partners alone", _PartnersAlone(C4), 3)):
        network = new_network(seed)
        model = ContrastiveModel(network, loss, RandomView(), GroupMLP(C4, (32, 32, 16)))
        runs[name] = Pretrainer(model, images, epochs=epochs, batch_size=128, lr=1e-2, seed=seed)

    def readouts(model: ContrastiveModel) -> dict[str, float]:
        images = digits().test.images.to(next(model.parameters()))
        return {LEARNED[0]: _mean_cosine(model(images).flatten(1))}

    return LiveTraining(runs, "Which view belongs to which?", readouts)


@typed
def what_was_learned(live: LiveTraining, seed: int) -> Table:
    """Wait for the training; then what can be read from pixels, from encoders, and behind projectors.

    Columns: the mean cosine of two images; how often the partner is the most similar of 599 views; the accuracy of a
    linear probe of the digit that learns from two labelled images of each (mean of 20 draws); that of a linear probe
    that says whether a view was made brighter (by 1.2) or fainter (by 0.8).

    Arguments:
        live: what ``train`` gave.
        seed: of the weights of the network without training, and of the views.
    """
    live.wait()
    trained, alone = (live.runs[name].model.eval().cpu() for name in ("InfoNCE", "partners alone"))
    random = recalibrated(new_network(seed), digits().train.images)
    encoders: dict[str, Encode] = {
        "pixels": lambda images: images.flatten(1),
        "encoder, no training": lambda images: extract(random, images).flatten(1),
        "InfoNCE, encoder": _encode(trained, projected=False),
        "InfoNCE, behind the projector": _encode(trained, projected=True),
        "partners alone, behind the projector": _encode(alone, projected=True),
    }
    rows = {
        name: dict(zip(LEARNED, (*_found(encode, seed), *_probed(encode, seed)), strict=True))
        for name, encode in encoders.items()
    }
    caption = "300 test digits; a view looks for its partner among 599; one training run"
    return Table(rows, caption, {LEARNED[0]: "{:.2f}".format})


@typed
def found_when_turned(live: LiveTraining, degrees: int, seed: int) -> float:
    """How often the first view of a test digit finds the second, if that one alone is turned, among 599 views."""
    live.wait()
    encode = _encode(live.runs["InfoNCE"].model.eval().cpu(), projected=True)
    first, second = _two_views(digits().test.images, seed)
    z, w, turned = (_unit(encode(x)) for x in (first, second, C4.transform(second, degrees // 90)))
    strangers = torch.cat([(z @ others.T).fill_diagonal_(-math.inf) for others in (z, w)], dim=1)
    partner = (z * turned).sum(dim=1)
    return float((partner > strangers.amax(dim=1)).float().mean())


def _two_views(images: Images, seed: int) -> tuple[Images, Images]:
    generator, views = torch.Generator().manual_seed(seed), RandomView()
    return views(images, generator), views(images, generator)


def _encode(model: ContrastiveModel, projected: bool) -> Encode:
    network = nn.Sequential(model.encoder, model.projector) if projected else model.encoder
    return lambda images: extract(network.eval(), images).flatten(1)


def _unit(z: Vectors) -> Vectors:
    return F.normalize(z, dim=1)


def _mean_cosine(z: Vectors) -> float:
    """Of two images, over all pairs."""
    return float((_unit(z).sum(dim=0).square().sum() - len(z)) / (len(z) * (len(z) - 1)))


def _found(encode: Encode, seed: int) -> tuple[float, float]:
    """The mean cosine of two images, and how often the partner is the most similar of all other views."""
    z = _unit(torch.cat([encode(views) for views in _two_views(digits().test.images, seed)]))
    most = (z @ z.T).fill_diagonal_(-math.inf).argmax(dim=1)
    found = float((most == torch.arange(len(z)).roll(len(z) // 2)).float().mean())
    return _mean_cosine(encode(digits().test.images)), found


def _probed(encode: Encode, seed: int) -> tuple[float, float]:
    """Accuracy of a probe of the digit, from few labelled images, and of one of the light of a view."""
    data, generator = digits(), torch.Generator().manual_seed(seed)
    z, held, labels = encode(data.train.images), encode(data.test.images), data.test.labels.numpy()
    scores = []
    for _ in range(DRAWS):
        order = torch.randperm(len(z), generator=generator)
        few = torch.cat([order[data.train.labels[order] == digit][:LABELLED] for digit in range(10)])
        known = z[few], data.train.labels[few]
        scores.append(linear_probe(*known, known, (1.0,)).score(held.numpy(), labels))
    views, lit = RandomView(contrast=0), []
    for images in (data.train.images, data.test.images):
        bright = torch.randint(2, (len(images),), generator=generator)
        light = torch.where(bright == 1, 1.2, 0.8)[:, None, None, None]
        lit.append((encode(views(light * images, generator)), bright))
    known, (z, bright) = lit
    return sum(scores) / DRAWS, linear_probe(*known, known, (1.0,)).score(z.numpy(), bright.numpy())
