"""Explorers: pictures of equivariance that answer the hand, and training that is watched. They need anywidget."""

from eqssl_edu.widgets.by_hand import ByHand
from eqssl_edu.widgets.circle import CircleExplorer
from eqssl_edu.widgets.dashboard import LiveTraining
from eqssl_edu.widgets.embedding import EmbeddingExplorer
from eqssl_edu.widgets.exactness_lab import ExactnessLab
from eqssl_edu.widgets.field import FieldExplorer
from eqssl_edu.widgets.kernel import KernelExplorer
from eqssl_edu.widgets.label_action import LabelActionExplorer
from eqssl_edu.widgets.learned_action import LearnedActionExplorer
from eqssl_edu.widgets.orbit import OrbitExplorer
from eqssl_edu.widgets.orbit_correlation import OrbitCorrelationExplorer

__all__ = [
    "ByHand",
    "CircleExplorer",
    "EmbeddingExplorer",
    "ExactnessLab",
    "FieldExplorer",
    "KernelExplorer",
    "LabelActionExplorer",
    "LearnedActionExplorer",
    "LiveTraining",
    "OrbitCorrelationExplorer",
    "OrbitExplorer",
]
