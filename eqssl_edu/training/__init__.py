"""Train any self-supervised model: one loop on Lightning Fabric, seeded, interruptible, resumable."""

from eqssl_edu.training.pretrainer import Pretrainer
from eqssl_edu.training.schedule import cosine_with_warmup

__all__ = ["Pretrainer", "cosine_with_warmup"]
