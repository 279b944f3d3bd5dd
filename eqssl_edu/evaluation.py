"""What did a representation learn? Probes on frozen features, by scikit-learn."""

from __future__ import annotations

import copy
from numbers import Real

import torch
from jaxtyping import Float, Int64
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor, nn

from eqssl_edu.errors import got, need_instance, need_integers, need_positive
from eqssl_edu.exactness import eval_mode
from eqssl_edu.groups import FiniteGroup

__all__ = ["extract", "knn_probe", "linear_probe", "orientations", "recalibrated"]


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


def orientations(
    group: FiniteGroup, images: Float[Tensor, "count channel height width"]
) -> list[Float[Tensor, "count channel height width"]]:
    """The images turned by every element, upright first: to report upright, mean and worst accuracy."""
    need_instance("group", group, FiniteGroup)
    return [group.transform(images, g) for g in group.elements]


def _need_vectors(features: Tensor, labels: Tensor) -> None:
    need_instance("features", features, Tensor)
    need_integers("labels", labels)
    if features.ndim != 2 or labels.shape != features.shape[:1] or not len(labels):
        raise ValueError(
            f"features must have shape (count, feature) with one label each, got features of shape "
            f"{tuple(features.shape)} and labels of shape {tuple(labels.shape)}; pool the group axis first"
        )
