"""Every angle: features that are functions on the circle, with labels and similarities for SO(2) and O(2)."""

from eqssl_edu.circle.correlation import circle_correlation, cross_spectrum
from eqssl_edu.circle.features import spectrum, turn_features
from eqssl_edu.circle.group import CircleGroup, o2, so2
from eqssl_edu.circle.heads import AngleHead, DensityHead, FreeAngleHead, NumberHead
from eqssl_edu.circle.labels import angle_error, angles_of, arrows_of, turn_arrows
from eqssl_edu.circle.losses import angle_loss, bin_loss, density_loss, von_mises_loss
from eqssl_edu.circle.similarity import CirclePeak, circle_distance, circle_peak

__all__ = [
    "AngleHead",
    "CircleGroup",
    "CirclePeak",
    "DensityHead",
    "FreeAngleHead",
    "NumberHead",
    "angle_error",
    "angle_loss",
    "angles_of",
    "arrows_of",
    "bin_loss",
    "circle_correlation",
    "circle_distance",
    "circle_peak",
    "cross_spectrum",
    "density_loss",
    "o2",
    "so2",
    "spectrum",
    "turn_arrows",
    "turn_features",
    "von_mises_loss",
]
