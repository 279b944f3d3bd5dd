"""What is asked of frozen features, for 50,000 images on a GPU: logistic regression and nearest neighbours."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import sklearn
import torch
from jaxtyping import Float, Int64
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import Tensor

from eqssl_edu.contrastive import orbit_similarity
from eqssl_edu.contrastive.features import unit_views
from eqssl_edu.groups import FiniteGroup

__all__ = ["accuracy", "dispatched", "logistic", "nearest", "orbit_nearest", "projection"]

STRENGTHS = (0.01, 0.1, 1.0, 10.0)  # of scikit-learn's C
NEIGHBOURS, SHARPNESS = 200, 0.1  # as published
CHUNK = 2**25  # similarities that are worked on at a time

Rows = Float[Tensor, "count feature"]
Labels = Int64[Tensor, " count"]


def dispatched(features: Tensor):
    """A block in which scikit-learn computes where the features are.

    On a GPU that takes SCIPY_ARRAY_API=1 in the environment; the command sets it for its processes.
    """
    return sklearn.config_context(array_api_dispatch=features.device.type != "cpu")


def projection(features: Rows, dimension: int) -> Callable[[Rows], Rows]:
    """Onto principal components of these features; the same number for all networks, or the widest would win."""
    with dispatched(features):
        components = PCA(min(dimension, *features.shape), svd_solver="covariance_eigh").fit(features.double())

    def project(others: Rows) -> Rows:
        with dispatched(others):
            return torch.as_tensor(components.transform(others.double()))

    return project


def logistic(
    features: Rows, labels: Labels, validation: tuple[Tensor, Tensor], strengths: Sequence[float] = STRENGTHS
) -> Pipeline:
    """``evaluation.linear_probe`` wherever the features are: the strength is the first of the best on validation."""
    best, score = None, -1.0
    with dispatched(features):
        for strength in strengths:
            probe = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=1000))
            probe.fit(features, labels)
            if (found := accuracy(probe, *validation)) > score:
                best, score = probe, found
    return best


def accuracy(probe: Pipeline, features: Rows, labels: Labels) -> float:
    """The share of right answers."""
    with dispatched(features):
        return float((torch.as_tensor(probe.predict(features)) == labels).double().mean())


def nearest(reference: Rows, labels: Labels, queries: Rows, neighbours: int = NEIGHBOURS) -> Labels:
    r"""The classes of the queries by cosine neighbours, each with a vote of $\exp(\cos / 0.1)$."""
    reference, queries = (torch.nn.functional.normalize(part) for part in (reference, queries))
    return voted(lambda some: some @ reference.T, labels, queries, neighbours)


def orbit_nearest(
    group: FiniteGroup,
    reference: Float[Tensor, "count channel group"],
    labels: Labels,
    queries: Float[Tensor, "asked channel group"],
    neighbours: int = NEIGHBOURS,
) -> Labels:
    """The same by the best cosine over all turns: relative orientations count, the picture's own does not."""
    reference, queries = unit_views(group, reference), unit_views(group, queries)
    return voted(
        lambda some: orbit_similarity(group, some, reference, "max"), labels, queries, neighbours, group.order
    )


def voted(
    similarity: Callable[[Tensor], Tensor], labels: Labels, queries: Tensor, neighbours: int, values: int = 1
) -> Labels:
    """By chunks of queries: never all similarities at once; ``values`` numbers are compared for each of them."""
    classes = int(labels.max()) + 1
    answers = []
    for some in queries.split(max(1, CHUNK // (len(labels) * values))):
        closest, which = similarity(some).topk(min(neighbours, len(labels)), dim=1)
        votes = closest.new_zeros(len(some), classes)
        votes.scatter_add_(1, labels[which], ((closest - 1) / SHARPNESS).exp())
        answers.append(votes.argmax(dim=1))
    return torch.cat(answers)
