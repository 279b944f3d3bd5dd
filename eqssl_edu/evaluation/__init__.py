"""What did a representation learn? Probes on frozen features, and intervals over seeds that tell if it matters."""

from eqssl_edu.evaluation.intervals import Interval, interval, paired_interval, proportion_interval
from eqssl_edu.evaluation.probes import (
    extract,
    knn_probe,
    linear_probe,
    orbit_knn_accuracy,
    orientations,
    probe_orientations,
    recalibrated,
)

__all__ = [
    "Interval",
    "extract",
    "interval",
    "knn_probe",
    "linear_probe",
    "orbit_knn_accuracy",
    "orientations",
    "paired_interval",
    "probe_orientations",
    "proportion_interval",
    "recalibrated",
]
