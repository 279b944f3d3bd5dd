"""Every angle: features that are functions on the circle, with labels and similarities for SO(2) and O(2)."""

from eqssl_edu.circle.features import spectrum, turn_features
from eqssl_edu.circle.group import CircleGroup, o2, so2

__all__ = ["CircleGroup", "o2", "so2", "spectrum", "turn_features"]
