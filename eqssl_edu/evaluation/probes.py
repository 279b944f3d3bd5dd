"""Probes on frozen features: what did a representation learn?"""

import contextlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch import Tensor, nn

from eqssl_edu.contrastive import orbit_distance
from eqssl_edu.contrastive.features import unit_views
from eqssl_edu.data import Splits
from eqssl_edu.errors import (
    need_choice,
    need_instance,
    need_integer,
    need_integers,
    need_pairs,
    need_positive,
    need_shape,
    typed,
)
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.ownership import steady
from eqssl_edu.precision import precise
from eqssl_edu.shapes import Images
from eqssl_edu.twins import Twin, copied, know

__all__ = [
    "Orientations",
    "extract",
    "knn_probe",
    "linear_probe",
    "orbit_knn_accuracy",
    "orientations",
    "probe_orientations",
    "recalibrated",
]


@typed
def extract(encoder: nn.Module, images: Images, batch_size: int = 500) -> Float[Tensor, "batch out group"]:
    """The encoder's features of these images, in eval mode, in batches, on the CPU.

    A copy of the encoder computes them, so it may be trained meanwhile: its mode stays, all weights are of one step.
    """
    need_positive(batch_size=batch_size)
    like, twin = next(encoder.parameters(), images), Twin(encoder)  # images go where the weights are
    with contextlib.suppress(TypeError):  # what cannot be copied runs itself
        twin.renew()
    return torch.cat([twin.run(batch.to(like)).float().cpu() for batch in images.split(batch_size)])


@typed
def recalibrated(encoder: nn.Module, images: Images) -> nn.Module:
    """A copy of an encoder whose batch norms know the statistics of these images; no weight is learned.

    A *random* encoder is a fair control only so: as it is made, its batch norms assume mean 0 and variance 1. What is
    random in training (a dropout) is so here, always with the same draws.
    """
    need_shape("images", images, "...", finite=True)
    with steady(encoder):
        encoder = copied(encoder)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return know(encoder, [images.to(next(encoder.parameters(), images))])


@typed
def linear_probe(
    features: Float[Tensor, "count feature"],
    labels: Int64[Tensor, " count"],
    validation: tuple[Float[Tensor, "held feature"], Int64[Tensor, " held"]],
    regularization: Sequence[float] = (0.01, 0.1, 1.0, 10.0),
) -> Pipeline:
    """Multinomial logistic regression on standardised features; ``.score(features, labels)`` is its accuracy.

    Arguments:
        features, labels: what the probe learns from.
        validation: features and labels on which its strength is chosen; never the test set.
        regularization: the values of scikit-learn's C to try (a larger one fits closer); the first of the
            best is taken.
    """
    need_instance("validation", validation, tuple)
    need_integer("len(regularization)", len(regularization), least=1)
    known, held = _arrays(features, labels), _arrays(*validation)
    probes = [
        make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
        for strength in regularization
    ]
    return max(probes, key=lambda probe: probe.fit(*known).score(*held))


@typed
def knn_probe(
    features: Float[Tensor, "count feature"], labels: Int64[Tensor, " count"], neighbours: int = 10
) -> Pipeline:
    """Cosine nearest neighbours; ``.score(features, labels)`` is its accuracy.

    Arguments:
        features, labels: the reference set.
        neighbours: how many of its members vote, weighted by nearness.
    """
    known = _arrays(features, labels)
    need_integer("neighbours", neighbours, least=1, most=len(features))
    classifier = KNeighborsClassifier(neighbours, metric="cosine", weights="distance")
    return make_pipeline(FunctionTransformer(_directions), classifier).fit(*known)


@typed
def orbit_knn_accuracy(
    group: FiniteGroup,
    reference: tuple[Float[Tensor, "count channel group"], Int64[Tensor, " count"]],
    queries: tuple[Float[Tensor, "held channel group"], Int64[Tensor, " held"]],
    neighbours: int = 10,
) -> float:
    r"""Accuracy of nearest neighbours in the metric of orbits, $d(z, w) = \min_g \|z - \rho(g) w\|$.

    Pooling over the group forgets how the orientations of two parts are related; this metric does not, and still
    does not change when an image is turned (the metric of orbits). Features are normalised first; the neighbours' votes
    are weighted by nearness.

    Arguments:
        group: G.
        reference: regular features and labels that vote.
        queries: regular features and labels that are judged.
        neighbours: how many vote.
    """
    need_choice("(len(reference), len(queries))", (len(reference), len(queries)), [(2, 2)])
    (features, labels), (others, truth) = reference, queries
    need_pairs(group, finite=True, reference=features, queries=others)
    for name, z, of_z in (("reference", features, labels), ("queries", others, truth)):
        need_integers(name, of_z)
        need_shape(name, of_z, len(z))
    classes, labels = labels.unique(return_inverse=True)  # a class may have any number
    need_integer("neighbours", neighbours, least=1, most=len(features))
    features, right = unit_views(group, features), 0
    for chunk, wanted in zip(unit_views(group, others).split(200), truth.split(200), strict=True):
        distance, index = orbit_distance(group, chunk, features).topk(neighbours, largest=False)
        votes = distance.new_zeros(len(chunk), len(classes))
        votes.scatter_add_(1, labels[index], 1 / distance.clamp_min(1e-6))
        right += int((classes[votes.argmax(dim=1)] == wanted).sum())
    return right / len(others)


@typed
def orientations(group: FiniteGroup, images: Images) -> list[Images]:
    """The images turned by every element, upright first: to report upright, mean and worst accuracy."""
    need_instance("group", group, FiniteGroup)
    return [group.transform(images, g) for g in group.elements]


class Orientations(NamedTuple):
    """Accuracies on test images as they are, and mean and worst over all their orientations."""

    upright: float
    mean: float
    worst: float


@typed
def probe_orientations(
    encoder: nn.Module, splits: Splits, group: FiniteGroup, dimension: int, pooled: bool = True
) -> Orientations:
    """A linear probe, trained on the images as they are, tested in every orientation.

    Arguments:
        encoder: images to regular features.
        splits: train, validation (on which the probe's strength is chosen) and test images.
        group: the orientations that are tested.
        dimension: how many principal components of the training features the probe reads; the same for all encoders
            that are compared, since a wider one would otherwise win by its width alone.
        pooled: pool over the encoder's own group first (a plain CNN has nothing to pool): such a probe does not
            change when a picture is turned. False reads all C |G| features, which know the orientation.
    """

    def read(images: Tensor) -> Tensor:
        features = extract(encoder, images)
        return features.mean(dim=2) if pooled else features.flatten(1)

    train = read(splits.train.images)
    need_integer("dimension", dimension, least=1, most=min(train.shape))
    components = PCA(dimension, svd_solver="full").fit(train.double().numpy())

    def project(features: Tensor) -> Tensor:
        return torch.from_numpy(components.transform(features.double().numpy())).float()

    validation = project(read(splits.validation.images)), splits.validation.labels
    probe = linear_probe(project(train), splits.train.labels, validation)
    scores = [
        probe.score(project(read(turned)).numpy(), splits.test.labels.numpy())
        for turned in orientations(group, splits.test.images)
    ]
    return Orientations(scores[0], sum(scores) / len(scores), min(scores))


def _directions(rows: np.ndarray | Tensor) -> np.ndarray:
    """The rows with entries up to 1: squares of very large or small ones overflow, or vanish."""
    rows = np.asarray(rows)
    largest = np.abs(rows).max(axis=1, keepdims=True)
    return rows / np.where(largest == 0, 1, largest)


def _arrays(features: Tensor, labels: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """For scikit-learn: a row of features for each label. (Pool or flatten the group axis first.)"""
    need_shape("features", features, "count", "feature", floating=True, finite=True)
    need_integers("labels", labels)
    need_shape("labels", labels, len(features))
    return precise(features.detach()).cpu().numpy(), labels.cpu().numpy()
