"""Invariant contrastive loss: a similarity that absorbs the transformation of each input."""

from eqssl_edu.contrastive.infonce import InfoNCE
from eqssl_edu.contrastive.model import ContrastiveModel
from eqssl_edu.contrastive.similarity import SIMILARITIES, orbit_correlation, orbit_similarity

__all__ = ["SIMILARITIES", "ContrastiveModel", "InfoNCE", "orbit_correlation", "orbit_similarity"]
