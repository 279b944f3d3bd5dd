"""Equivariant pretext labels: tasks whose target moves with the input."""

from eqssl_edu.pretext.draws import random_elements
from eqssl_edu.pretext.model import PretextModel
from eqssl_edu.pretext.rotation import RotationTask

__all__ = ["PretextModel", "RotationTask", "random_elements"]
