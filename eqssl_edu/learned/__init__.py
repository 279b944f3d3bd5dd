"""Equivariance that is learned: what a loss can buy, for networks that have no group built in."""

from eqssl_edu.learned.by_contrast import EquivarianceByContrast
from eqssl_edu.learned.gram import GramLoss, orthogonal_map
from eqssl_edu.learned.model import LearnedModel
from eqssl_edu.learned.predictors import ContrastivePredictor, SplitPredictor
from eqssl_edu.learned.relatives import RELATIVES, relative
from eqssl_edu.learned.rotation_head import RotationHead
from eqssl_edu.learned.soft import SoftEquivariance, turned_back
from eqssl_edu.learned.term import Term

__all__ = [
    "RELATIVES",
    "ContrastivePredictor",
    "EquivarianceByContrast",
    "GramLoss",
    "LearnedModel",
    "RotationHead",
    "SoftEquivariance",
    "SplitPredictor",
    "Term",
    "orthogonal_map",
    "relative",
    "turned_back",
]
