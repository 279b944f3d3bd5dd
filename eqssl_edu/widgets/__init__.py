"""Explorers: pictures of equivariance that answer the hand, and training that is watched. They need anywidget."""

from eqssl_edu.widgets.dashboard import LiveTraining
from eqssl_edu.widgets.field import FieldExplorer
from eqssl_edu.widgets.orbit_correlation import OrbitCorrelationExplorer

__all__ = ["FieldExplorer", "LiveTraining", "OrbitCorrelationExplorer"]
