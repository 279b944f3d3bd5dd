"""The bug museum, notebooks A1 to A1c: the trainings and pictures that stand around the mistakes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache

import plotly.graph_objects as go
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from eqssl_edu.data import digits
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.errors import typed
from eqssl_edu.evaluation import Interval, extract, interval, knn_probe
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.plots import COLOURS, TEMPLATE, picture, row
from eqssl_edu.pretext import PretextModel, RotationTask
from eqssl_edu.shapes import Images
from eqssl_edu.theory import label_cap
from eqssl_edu.training import Pretrainer
from eqssl_edu.widgets import ByHand

__all__ = [
    "FeatureMaps", "curves", "every_case", "learn_rotation", "loss_curves", "mirrored_digits", "mirrors", "pretrained",
    "probe_accuracy", "seeds_chart", "six_seeds", "stopped_at", "two_methods",
    "two_orders",
]  # fmt: skip

C4, D4 = cyclic(4), dihedral(4)
LEFT_TO_RIGHT = 4
Cases = tuple[Float[Tensor, "cases channel height width"], Int64[Tensor, " cases"]]
Pipeline = Callable[[Tensor, Tensor, torch.Generator], tuple[Tensor, Tensor]]


class FeatureMaps(nn.Module):
    """An encoder without the mean over its grid: images (B, 1, S, S) -> maps (B, C, |G|, H, W)."""

    def __init__(self, encoder: GroupCNN) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, images: Images) -> Float[Tensor, "batch out group rows columns"]:
        return self.encoder.feature_maps(images)


def _losses(network: nn.Module, pipeline: Pipeline, seed: int, steps: int) -> list[float]:
    """Train a network to tell the label of its input; images and turns come from a generator of their own."""
    images = digits(16).train.images.to(next(network.parameters()))
    optimizer = torch.optim.Adam(network.train().parameters(), 0.01)
    draws, own = (torch.Generator().manual_seed(2 * seed + k) for k in range(2))
    losses = []
    for _ in range(steps):
        chosen = torch.randint(len(images), (32,), generator=draws)
        turns = torch.randint(4, (32,), generator=own)
        inputs, labels = pipeline(images[chosen], turns, draws)
        loss = F.cross_entropy(network(inputs), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    network.eval()
    return losses


@typed
def learn_rotation(network: nn.Module, seed: int, steps: int = 60) -> float:
    """Train a network on "by how many quarter turns?"; its accuracy on the test digits in all four poses."""
    task = RotationTask(C4)
    _losses(network, lambda images, turns, draws: task.sample(images, draws), seed, steps)
    inputs, labels = every_case(task, digits(16).test.images)
    with torch.no_grad():
        accuracy = float((network(inputs).argmax(dim=1) == labels).double().mean())
    print(f"accuracy {accuracy:.2f}, chance is 0.25")
    return accuracy


@typed
def every_case(task: RotationTask, images: Images) -> Cases:
    """All inputs that a task makes of these images, and their labels."""
    inputs, labels = task.every_input(images)
    return inputs.flatten(0, 1), labels.repeat_interleave(len(images))


@typed
def loss_curves(pipelines: Mapping[str, Pipeline], seed: int, steps: int = 80) -> dict[str, list[float]]:
    """Losses, in float64, of one and the same network on the same images: with the task as it was, and each pipeline.

    A pipeline makes inputs and labels of images, of an element for each that it may turn them by, and of a generator.
    """
    found = {}
    as_it_was = {"as it was": lambda images, turns, draws: RotationTask(C4).sample(images, draws)}
    for name, pipeline in (as_it_was | dict(pipelines)).items():
        torch.manual_seed(seed)
        network = PretextModel(GroupCNN(C4, channels=(4, 8)), RotationTask(C4)).double()
        found[name] = _losses(network, pipeline, seed, steps)
    return found


@typed
def curves(losses: Mapping[str, list[float]]) -> go.Figure:
    """Loss curves on the line of log 4, each the mean of five steps, and how they end in words."""
    figure = go.Figure(layout={"template": TEMPLATE, "width": 740, "height": 380})
    looks = zip(losses.items(), COLOURS, ("solid", "solid", "dot"), (6, 2, 3), strict=False)
    for (name, values), colour, dash, width in looks:
        smooth = torch.tensor(values).unfold(0, 5, 1).mean(dim=1)
        look = {"color": colour, "dash": dash, "width": width}
        figure.add_scatter(
            y=smooth.tolist(), name=name, mode="lines", line=look, opacity=0.4 if width == 6 else 1
        )
        print(f"{name}: {torch.tensor(values[-10:]).mean():.3f} nats in the last ten steps")
    figure.add_hline(y=float(torch.tensor(4.0).log()), line_dash="dash", annotation_text="log 4")
    return figure.update_layout(xaxis_title="step", yaxis_title="loss (nats)", yaxis_rangemode="tozero")


# -- the coset of another mirror ------------------------------------------------------------------------------------


def mirrored_digits() -> Images:
    """Twelve test digits and their mirror images, left to right: what the pipeline makes, both equally often."""
    images = digits(16).test.images[:12]
    return torch.cat([images, D4.transform(images, LEFT_TO_RIGHT)])


@typed
def stopped_at(task: RotationTask, seed: int) -> tuple[float, float]:
    """Loss in nats and accuracy after three epochs on digits of which each was mirrored or not, at random."""
    data = digits(16)
    mirrored = torch.rand(len(data.train.images), generator=torch.Generator().manual_seed(seed)) < 0.5
    seen = data.train.images.clone()
    seen[mirrored] = D4.transform(seen[mirrored], LEFT_TO_RIGHT)
    torch.manual_seed(seed)
    model = PretextModel(GroupCNN(D4, channels=(4, 8)), task)
    for _ in Pretrainer(model, seen, epochs=3, batch_size=64, lr=1e-2, seed=seed).steps():
        pass
    test = data.test.images
    loss, accuracy = model.evaluate(torch.cat([test, D4.transform(test, LEFT_TO_RIGHT)]))
    print(f"loss {loss:.3f} nats, accuracy {accuracy:.1%}")
    return loss, accuracy


MIRRORS = {"upside down": (0, 6), "left to right": (0, 4), "along a diagonal": (0, 5)}


def mirrors() -> ByHand:
    """For each mirror of the labels: the two pictures that share label 0, beside what the pipeline makes."""
    image = digits(16).test.images[3]
    flipped = D4.transform(image, LEFT_TO_RIGHT)[0]

    def draw(mirror: str) -> str:
        chosen = RotationTask(D4, stabilizer=MIRRORS[mirror])
        elements = chosen.cosets[0].tolist()
        copies = [D4.transform(image, t)[0] for t in elements]
        boxes = [
            picture(plane, f"label 0: {D4.element_name(t)}", side=150)
            for plane, t in zip(copies, elements, strict=True)
        ]
        agree = "holds" if torch.equal(copies[1], flipped) else "does not hold"
        cap = label_cap(chosen.labels, (0, LEFT_TO_RIGHT)).accuracy
        text = f"Label 0 {agree} the pipeline's mirror image. Best accuracy {cap:.0%}."
        return row([*boxes, picture(flipped, "the pipeline's mirror image", side=150)], text)

    return ByHand(draw, mirror=list(MIRRORS))


# -- the probe in training mode ----------------------------------------------------------------------------------------


@typed
def two_orders(features_of: Callable, encoder: nn.Module) -> dict[str, float]:
    """Accuracy of nearest neighbours on the test digits in two orders; features_of(encoder, images) gives (N, C)."""
    train, test = digits(16).train, digits(16).test
    probe = knn_probe(features_of(encoder, train.images), train.labels)
    orders = {"mixed": torch.arange(len(test.labels)), "sorted by class": test.labels.argsort()}
    return {
        name: probe.score(features_of(encoder, test.images[order]), test.labels[order])
        for name, order in orders.items()
    }


# -- the bar that measures the wrong thing -----------------------------------------------------------------------------


@typed
def pretrained(seed: int) -> tuple[Float[Tensor, "train channel"], Float[Tensor, "test channel"]]:
    """Two epochs of rotation labels; the pooled features of all training and test digits, scaled to variance 1."""
    data = digits(16)
    torch.manual_seed(seed)
    model = PretextModel(GroupCNN(C4, channels=(3, 6)), RotationTask(C4))
    for _ in Pretrainer(model, data.train.images, epochs=2, batch_size=64, lr=1e-2, seed=seed).steps():
        pass
    train, test = (extract(model.encoder.cpu(), part.images).mean(dim=2) for part in (data.train, data.test))
    return tuple((part - train.mean(dim=0)) / train.std(dim=0) for part in (train, test))


@typed
def probe_accuracy(train: Float[Tensor, "n c"], test: Float[Tensor, "m c"], restart: int) -> float:
    """A linear probe by gradient descent from a random start; its accuracy on the test digits in %."""
    data = digits(16)
    generator = torch.Generator().manual_seed(restart)
    weight = (0.1 * torch.randn(train.shape[1], 10, generator=generator)).requires_grad_()
    bias = torch.zeros(10, requires_grad=True)
    optimizer = torch.optim.Adam([weight, bias], lr=0.1)
    for _ in range(100):
        optimizer.zero_grad()
        F.cross_entropy(train @ weight + bias, data.train.labels).backward()
        optimizer.step()
    return 100 * float(((test @ weight + bias).argmax(dim=1) == data.test.labels).double().mean())


@cache
@typed
def six_seeds(seed: int) -> Float[Tensor, "6 5"]:
    """Accuracy in % of one method: six pretrainings, and five restarts of the probe on each; worst mean first."""
    features = [pretrained(6 * seed + each) for each in range(6)]
    found = torch.tensor([[probe_accuracy(*pair, restart) for restart in range(5)] for pair in features])
    return found[found.mean(dim=1).argsort()]


@typed
def two_methods(seed: int) -> dict[str, Interval]:
    """Mean and 95 % interval, over five restarts of the probe, of method A and of method B."""
    restarts = six_seeds(seed)
    return {"method A": interval(restarts[0].tolist()), "method B": interval(restarts[-1].tolist())}


@typed
def seeds_chart(restarts: Float[Tensor, "seed restart"]) -> go.Figure:
    """Each restart as a dot over its pretraining seed, and the 95 % interval over the seeds' means as a band."""
    figure = go.Figure(layout={"template": TEMPLATE, "width": 720, "height": 380})
    for column, values in enumerate(restarts.tolist()):
        look = {"color": COLOURS[0], "size": 9, "opacity": 0.6}
        figure.add_scatter(x=[column] * len(values), y=values, mode="markers", marker=look, showlegend=False)
    band = interval(restarts.mean(dim=1).tolist())
    print("mean of each pretraining:", [round(value, 1) for value in restarts.mean(dim=1).tolist()])
    print(f"over pretrainings: {band.mean:.1f} %, from {band.low:.1f} to {band.high:.1f}")
    figure.add_hrect(band.low, band.high, fillcolor=COLOURS[4], opacity=0.3, line_width=0)
    figure.update_xaxes(title="pretraining (each dot: one restart of the probe)", dtick=1)
    return figure.update_yaxes(title="accuracy of the probe (%)")
