"""Invariant contrastive loss: a similarity that absorbs the transformation of each input."""

from eqssl_edu.contrastive.barlow_twins import BarlowTwins
from eqssl_edu.contrastive.infonce import InfoNCE
from eqssl_edu.contrastive.loss import Loss
from eqssl_edu.contrastive.moco import MoCo
from eqssl_edu.contrastive.model import ContrastiveModel
from eqssl_edu.contrastive.siamese import BYOL, SimSiam
from eqssl_edu.contrastive.similarity import (
    SIMILARITIES,
    canonicalize,
    orbit_correlation,
    orbit_distance,
    orbit_similarity,
)
from eqssl_edu.contrastive.vicreg import VICReg

__all__ = [
    "BYOL",
    "SIMILARITIES",
    "BarlowTwins",
    "ContrastiveModel",
    "InfoNCE",
    "Loss",
    "MoCo",
    "SimSiam",
    "VICReg",
    "canonicalize",
    "orbit_correlation",
    "orbit_distance",
    "orbit_similarity",
]
