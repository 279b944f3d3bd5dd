"""The arms as models: an encoder, and what it is trained with."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from eqssl_edu.contrastive import ContrastiveModel, InfoNCE
from eqssl_edu.encoders import GroupCNN, GroupResNet, SymmetrizedEncoder, matched_cnn
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import FreeHead, GroupMLP, InvariantHead
from eqssl_edu.pretext import JigsawTask, PretextModel, RelativeLocationTask, RotationTask, Task
from eqssl_edu.views import RandomView
from experiments.benchmark.images import CLASSES
from experiments.benchmark.plan import Run, Tier
from experiments.benchmark.published_view import PublishedView

__all__ = ["Supervised", "build", "encoder_of", "temperature_of", "with_labels"]

C4, D4 = cyclic(4), dihedral(4)
WIDTH = 128  # of what a projector gives, |G| times its channels
# What a view of a digit may change.
DIGITS = {"crop": 0.3, "scale": 0.15, "shift": 0.08, "rotation": 15.0, "contrast": 0.4, "noise": 0.05}
# Of digits: chosen on letters, by "python -m experiments temperature". Of CIFAR-10: as was published for plain.
TEMPERATURES = {"plain, views turned": 0.1, "plain, views not turned": 0.1, "max": 0.1, "soft": 0.05}
PUBLISHED_TEMPERATURE = 0.5


def build(run: Run, tier: Tier, channels: int) -> nn.Module:
    """The model of a run for images with so many channels; its ``encoder`` is what is judged."""
    encoder = encoder_of(run.network, tier, channels)
    group = D4 if run.network == "D4" else C4  # by which inputs are turned, and orders of tiles moved
    if run.method.startswith("InfoNCE"):
        return contrastive(run, encoder, group)
    if run.method in ("supervised", "no training"):
        return Supervised(encoder, views_of(run.data, None))
    task = task_of(run.method, group)
    if run.network == "plain":
        return PretextModel(encoder, task, FreeHead(task.labels, encoder.out_channels, 1))
    return PretextModel(encoder, task)


def encoder_of(network: str, tier: Tier, channels: int) -> nn.Module:
    """Networks of the same expanded width and about the same number of multiplications.

    "C4", "D4": group networks. "plain": a ResNet-18 in the form for CIFAR (or a CNN), with the multiplications of C4.
    "symmetrised": a plain network on the four turned copies, with the weights of C4, and so with its multiplications.
    """
    if tier.channels:
        group_network = GroupCNN(C4, channels, tier.channels)
    else:
        group = D4 if network == "D4" else C4
        group_network = GroupResNet(group, channels, tier.width // group.order)
    if network == "plain":
        return matched_cnn(group_network, by="flops")
    return SymmetrizedEncoder(C4, matched_cnn(group_network)) if network == "symmetrised" else group_network


def task_of(method: str, group: FiniteGroup) -> Task:
    """A pretext task; gaps and jitter, so that lines which go on across an edge do not give the answer away."""
    if method == "rotation":
        return RotationTask(group)
    if method == "relative location":
        return RelativeLocationTask(group, patch=8, gap=1, jitter=1)
    return JigsawTask(group, grid=2, action=method.removeprefix("jigsaw, "), gap=1, jitter=1)


def views_of(data: str, group: FiniteGroup | None) -> RandomView | PublishedView:
    """Of photographs as was published, of digits with what may change in a digit; turned last."""
    return PublishedView(group) if data == "cifar10" else RandomView(group, **DIGITS)


def temperature_of(run: Run) -> float:
    """Of the similarity of a run."""
    return (
        PUBLISHED_TEMPERATURE if run.data == "cifar10" else TEMPERATURES[run.method.removeprefix("InfoNCE ")]
    )


def contrastive(run: Run, encoder: nn.Module, group: FiniteGroup) -> ContrastiveModel:
    """InfoNCE; a turn that comes last does nothing to a similarity that absorbs it, so there it is left out."""
    similarity = run.method.removeprefix("InfoNCE ").split(",")[0]
    views = views_of(run.data, group if run.method.endswith(", views turned") else None)
    width, own = encoder.out_channels, encoder.group
    loss = InfoNCE(own, similarity, temperature_of(run))
    return ContrastiveModel(encoder, loss, views, GroupMLP(own, (width, width, WIDTH // own.order)))


class Supervised(nn.Module):
    """An encoder that learns the classes themselves, from one view of each image; its head pools over the group.

    A training hands images alone to its model. So the class of an image is its last channel (``with_labels``).
    """

    def __init__(self, encoder: nn.Module, views: RandomView | PublishedView) -> None:
        super().__init__()
        self.encoder, self.views = encoder, views
        self.head = InvariantHead(GSet.trivial(encoder.group, CLASSES), encoder.out_channels)

    def training_step(
        self, images: Float[Tensor, "batch channel height width"], generator: torch.Generator
    ) -> dict[str, Tensor]:
        labels = (255 * images[:, -1, 0, 0]).round().long()
        logits = self.head(self.encoder(self.views(images[:, :-1], generator)))
        accuracy = (logits.detach().argmax(dim=1) == labels).float().mean()
        return {"loss": F.cross_entropy(logits, labels), "accuracy": accuracy}


def with_labels(images: Tensor, labels: Tensor) -> Tensor:
    """Bytes with one more channel, that of the class."""
    return torch.cat([images, labels.byte()[:, None, None, None].expand_as(images[:, :1])], dim=1)
