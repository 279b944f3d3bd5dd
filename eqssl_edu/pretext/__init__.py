"""Equivariant pretext labels: tasks whose target moves with the input."""

from eqssl_edu.pretext.jigsaw import JigsawTask
from eqssl_edu.pretext.lift import lift_parts
from eqssl_edu.pretext.location import RelativeLocationTask
from eqssl_edu.pretext.model import PretextModel
from eqssl_edu.pretext.rotation import RotationTask
from eqssl_edu.pretext.spatial_head import SpatialHead
from eqssl_edu.pretext.task import Task
from eqssl_edu.pretext.verify import CounterExample, Verdict, verify

__all__ = [
    "CounterExample",
    "JigsawTask",
    "PretextModel",
    "RelativeLocationTask",
    "RotationTask",
    "SpatialHead",
    "Task",
    "Verdict",
    "lift_parts",
    "verify",
]
