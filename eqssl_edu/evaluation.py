"""What did a representation learn? Probes on frozen features, and intervals over seeds that tell if it matters."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from numbers import Real
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from scipy.stats import t as student
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from eqssl_edu.contrastive import orbit_similarity
from eqssl_edu.data import Splits
from eqssl_edu.errors import got, need_instance, need_integers, need_positive
from eqssl_edu.groups import FiniteGroup
from eqssl_edu.layers import eval_mode

__all__ = [
    "Interval",
    "Orientations",
    "extract",
    "interval",
    "knn_probe",
    "linear_probe",
    "orbit_knn_accuracy",
    "orientations",
    "paired_interval",
    "principal_components",
    "probe_orientations",
    "recalibrated",
]


def extract(
    encoder: nn.Module, images: Float[Tensor, "count channel height width"], batch_size: int = 500
) -> Float[Tensor, "count out group"]:
    """The encoder's features of these images, in eval mode, in batches, on the CPU; its mode is restored."""
    need_instance("encoder", encoder, nn.Module)
    need_instance("images", images, Tensor)
    need_positive(batch_size=batch_size)
    like = next(encoder.parameters(), images)  # images go where the weights are
    with eval_mode(encoder), torch.no_grad():
        return torch.cat([encoder(batch.to(like)).float().cpu() for batch in images.split(batch_size)])


def recalibrated(encoder: nn.Module, images: Float[Tensor, "count channel height width"]) -> nn.Module:
    """A copy of an encoder whose batch norms know the statistics of these images; no weight is learned.

    A *random* encoder is a fair control only so: as it is made, its batch norms assume mean 0 and variance 1.
    """
    need_instance("encoder", encoder, nn.Module)
    need_instance("images", images, Tensor)
    if len(images) < 2:
        raise ValueError(f"images must hold at least two images, {got(images)}")
    encoder = copy.deepcopy(encoder).eval()  # eval: a dropout must not disturb the statistics
    norms = [module for module in encoder.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = 1.0  # the last batch counts alone: it is the whole set
        norm.train()
    with torch.no_grad():
        encoder(images.to(next(encoder.parameters(), images)))
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return encoder.eval()


def linear_probe(
    features: Float[Tensor, "count feature"],
    labels: Int64[Tensor, " count"],
    validation: tuple[Float[Tensor, "held feature"], Int64[Tensor, " held"]],
    regularization: tuple[float, ...] = (0.01, 0.1, 1.0, 10.0),
) -> Pipeline:
    """Multinomial logistic regression on standardised features; ``.score(features, labels)`` is its accuracy.

    Arguments:
        features, labels: what the probe learns from.
        validation: features and labels on which its strength is chosen; never the test set.
        regularization: the values of scikit-learn's C to try (a larger one fits closer); the first of the
            best is taken.
    """
    if not regularization or not all(
        isinstance(strength, Real) and strength > 0 for strength in regularization
    ):
        raise ValueError(f"regularization must hold at least one positive number, {got(regularization)}")
    _need_vectors(features, labels)
    if not isinstance(validation, tuple) or len(validation) != 2:
        raise TypeError(f"validation must be a pair (features, labels), {got(validation)}")
    _need_vectors(*validation)
    best, best_score = None, -1.0
    for strength in regularization:
        probe = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
        probe.fit(features.numpy(), labels.numpy())
        score = probe.score(validation[0].numpy(), validation[1].numpy())
        if score > best_score:
            best, best_score = probe, score
    return best


def knn_probe(
    features: Float[Tensor, "count feature"], labels: Int64[Tensor, " count"], neighbours: int = 10
) -> KNeighborsClassifier:
    """Cosine nearest neighbours; ``.score(features, labels)`` is its accuracy.

    Arguments:
        features, labels: the reference set.
        neighbours: how many of its members vote, weighted by nearness.
    """
    _need_vectors(features, labels)
    need_positive(neighbours=neighbours)
    if neighbours > len(features):
        raise ValueError(
            f"neighbours must be at most {len(features)}, the size of the reference set, {got(neighbours)}"
        )
    probe = KNeighborsClassifier(neighbours, metric="cosine", weights="distance")
    return probe.fit(features.numpy(), labels.numpy())


def orbit_knn_accuracy(
    group: FiniteGroup,
    reference: tuple[Float[Tensor, "count channel group"], Int64[Tensor, " count"]],
    queries: tuple[Float[Tensor, "held channel group"], Int64[Tensor, " held"]],
    neighbours: int = 10,
) -> float:
    r"""Accuracy of nearest neighbours in the metric of orbits, $d(z, w) = \min_g \|z - \rho(g) w\|$.

    Pooling over the group forgets how the orientations of two parts are related; this metric does not, and still
    does not change when an image is turned (THEORY C4). Features are normalised first; the neighbours' votes
    are weighted by nearness.

    Arguments:
        group: G.
        reference: regular features and labels that vote.
        queries: regular features and labels that are judged.
        neighbours: how many vote.
    """
    (features, labels), (others, truth) = reference, queries
    need_positive(neighbours=neighbours)
    if neighbours > len(features):
        raise ValueError(
            f"neighbours must be at most {len(features)}, the size of the reference set, {got(neighbours)}"
        )
    need_integers("labels", labels)
    normalised = [z / z.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None] for z in (features, others)]
    right = 0
    for chunk, wanted in zip(normalised[1].split(200), truth.split(200), strict=True):
        similarity = orbit_similarity(group, chunk, normalised[0], "max")
        nearest, index = similarity.topk(neighbours)
        distance = (2 - 2 * nearest).clamp_min(1e-12).sqrt()
        votes = distance.new_zeros(len(chunk), int(labels.max()) + 1).scatter_add(
            1, labels[index], 1 / distance
        )
        right += int((votes.argmax(dim=1) == wanted).sum())
    return right / len(others)


def principal_components(
    features: Float[Tensor, "count feature"], dimension: int
) -> Callable[[Tensor], Float[Tensor, "any dimension"]]:
    """The projection on the first principal components of these features: probes then have equal dimension.

    A wider network would otherwise win by its width alone.

    Arguments:
        features: of the training images; the test images play no part.
        dimension: how many components; at most as many as there are features.
    """
    need_instance("features", features, Tensor)
    need_positive(dimension=dimension)
    if features.ndim != 2 or dimension > min(features.shape):
        raise ValueError(
            f"dimension must be at most the number of features and of samples, got {dimension} for features of "
            f"shape {tuple(features.shape)}"
        )
    mean = features.mean(dim=0)
    directions = torch.linalg.svd((features - mean).double(), full_matrices=False).Vh[:dimension].to(features)
    return lambda others: (others - mean) @ directions.T


def orientations(
    group: FiniteGroup, images: Float[Tensor, "count channel height width"]
) -> list[Float[Tensor, "count channel height width"]]:
    """The images turned by every element, upright first: to report upright, mean and worst accuracy."""
    need_instance("group", group, FiniteGroup)
    return [group.transform(images, g) for g in group.elements]


class Orientations(NamedTuple):
    """Accuracies on test images as they are, and mean and worst over all their orientations."""

    upright: float
    mean: float
    worst: float


def probe_orientations(
    encoder: nn.Module, splits: Splits, group: FiniteGroup, dimension: int, pooled: bool = True
) -> Orientations:
    """A linear probe, trained on the images as they are, tested in every orientation.

    Arguments:
        encoder: images to regular features.
        splits: train, validation (on which the probe's strength is chosen) and test images.
        group: the orientations that are tested.
        dimension: how many principal components the probe reads; the same for all encoders that are compared.
        pooled: pool over the encoder's own group first (a plain CNN has nothing to pool): such a probe does not
            change when a picture is turned. False reads all C |G| features, which know the orientation.
    """

    def read(images: Tensor) -> Tensor:
        features = extract(encoder, images)
        return features.mean(dim=2) if pooled else features.flatten(1)

    train, validation = read(splits.train.images), read(splits.validation.images)
    project = principal_components(train, dimension)
    probe = linear_probe(project(train), splits.train.labels, (project(validation), splits.validation.labels))
    scores = [
        probe.score(project(read(turned)).numpy(), splits.test.labels.numpy())
        for turned in orientations(group, splits.test.images)
    ]
    return Orientations(scores[0], sum(scores) / len(scores), min(scores))


class Interval(NamedTuple):
    """A mean over seeds and its confidence interval."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """For a difference: do the seeds tell the two methods apart?"""
        return self.low > 0 or self.high < 0


def interval(values: Sequence[float], level: float = 0.95) -> Interval:
    r"""Student's t interval of a mean: $\bar x \pm t_{n-1} \, s / \sqrt n$, for n values that are independent.

    Arguments:
        values: one number for each *pretraining* seed, at least two. (Restarts of a probe are not seeds.)
        level: how often such an interval holds the true mean.

    Example:
        >>> [round(x, 3) for x in interval([0.70, 0.72, 0.74])]
        [0.72, 0.67, 0.77]
    """
    numbers = [float(value) for value in values]
    if len(numbers) < 2 or not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"values must hold at least two finite numbers, {got(values)}")
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, {got(level)}")
    count, mean = len(numbers), math.fsum(numbers) / len(numbers)
    variance = math.fsum((number - mean) ** 2 for number in numbers) / (count - 1)
    half = float(student.ppf((1 + level) / 2, count - 1)) * math.sqrt(variance / count)
    return Interval(mean, mean - half, mean + half)


def paired_interval(values: Sequence[float], reference: Sequence[float], level: float = 0.95) -> Interval:
    """The t interval of the mean difference to a reference method, seed by seed.

    Both methods saw the same data order and the same draws with each seed, so what a seed does to both cancels.

    Arguments:
        values, reference: the results of the two methods; entry i of both belongs to the same seed.
        level: how often such an interval holds the true difference.
    """
    if len(values) != len(reference):
        raise ValueError(
            f"values and reference must have one entry a seed, got {len(values)} and {len(reference)}"
        )
    return interval([value - other for value, other in zip(values, reference, strict=True)], level)


def _need_vectors(features: Tensor, labels: Tensor) -> None:
    need_instance("features", features, Tensor)
    need_integers("labels", labels)
    if features.ndim != 2 or labels.shape != features.shape[:1] or not len(labels):
        raise ValueError(
            f"features must have shape (count, feature) with one label each, got features of shape "
            f"{tuple(features.shape)} and labels of shape {tuple(labels.shape)}; pool the group axis first"
        )
