"""Equivariant pretext labels: tasks whose target moves with the input, by a finite group or by every angle."""

from eqssl_edu.pretext.angle import AngleTask, CircleTask
from eqssl_edu.pretext.angle_model import AngleModel
from eqssl_edu.pretext.caps import image_caps, image_floors
from eqssl_edu.pretext.jigsaw import JigsawTask
from eqssl_edu.pretext.location import RelativeLocationTask
from eqssl_edu.pretext.model import PretextModel
from eqssl_edu.pretext.offset_vector import OffsetTask
from eqssl_edu.pretext.parts import lift_parts
from eqssl_edu.pretext.rotation import RotationTask
from eqssl_edu.pretext.task import Task
from eqssl_edu.pretext.verify import CounterExample, Verification, verify
from eqssl_edu.pretext.verify_angles import CircleCounterExample, CircleVerification

__all__ = [
    "AngleModel",
    "AngleTask",
    "CircleCounterExample",
    "CircleTask",
    "CircleVerification",
    "CounterExample",
    "JigsawTask",
    "OffsetTask",
    "PretextModel",
    "RelativeLocationTask",
    "RotationTask",
    "Task",
    "Verification",
    "image_caps",
    "image_floors",
    "lift_parts",
    "verify",
]
