"""The relatives side by side: one small network, one contrastive loss, and what each adds to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from eqssl_edu.contrastive import ContrastiveModel, InfoNCE
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.errors import need_choice, need_widths, typed
from eqssl_edu.groups import FiniteGroup, cyclic
from eqssl_edu.learned.by_contrast import EquivarianceByContrast
from eqssl_edu.learned.gram import GramLoss
from eqssl_edu.learned.model import LearnedModel
from eqssl_edu.learned.predictors import ContrastivePredictor, SplitPredictor
from eqssl_edu.learned.rotation_head import RotationHead
from eqssl_edu.learned.soft import SoftEquivariance
from eqssl_edu.learned.term import Term
from eqssl_edu.views import RandomView

__all__ = ["RELATIVES", "relative"]

TERMS: dict[str, tuple[Callable[[FiniteGroup], Term], float]] = {  # and its weight
    "E-SSL": (RotationHead, 0.4),
    "Gram": (GramLoss, 1.0),
    "split": (SplitPredictor, 1.0),
    "predictor": (ContrastivePredictor, 1.0),
    "by contrast": (EquivarianceByContrast, 1.0),
    "soft": (SoftEquivariance, 1.0),
}
RELATIVES = ("upright", "turned", *TERMS, "built in")
"""InfoNCE on upright views; on views that are turned; with a term (as of E-SSL, CARE, SIE, EquiMod, EbC, SER); in a
network that has the group built in."""
C4 = cyclic(4)
UPRIGHT = RandomView()


@typed
def relative(
    kind: str,
    group: FiniteGroup = C4,
    views: RandomView = UPRIGHT,
    channels: Sequence[int] = (16, 32, 64),
    in_channels: int = 1,
) -> ContrastiveModel:
    """A model to train with ``Pretrainer``; its ``encoder`` is what ``learned_action`` looks at.

    All have as many numbers in a feature and as many multiplications: a plain ``GroupCNN`` over C1, and "built in" one
    over the group with |G| times fewer channels. The weights of the terms were tried in one run each, not tuned.

    Arguments:
        kind: one of ``RELATIVES``.
        group: of the turns.
        views: what a view changes, without turns.
        channels: widths of the plain network, multiples of |G|.
        in_channels: of the images.

    Example:
        >>> model = relative("soft", channels=(4, 8))
        >>> type(model.term).__name__, model.encoder.group.name, relative("built in", channels=(4, 8)).encoder.channels
        ('SoftEquivariance', 'C1', (1, 2))
    """
    need_choice("kind", kind, RELATIVES)
    need_widths("channels", channels)
    rest = [width % group.order for width in channels]
    need_choice(f"channels % {group.order}", rest, [[0] * len(channels)])
    upright, turned = replace(views, group=None), replace(views, group=group)
    if kind == "built in":
        encoder = GroupCNN(group, in_channels, [width // group.order for width in channels])
        return ContrastiveModel(encoder, InfoNCE(group, "max"), turned)
    encoder, loss = GroupCNN(cyclic(1), in_channels, channels), InfoNCE(cyclic(1), "plain")
    if kind in TERMS:
        term, weight = TERMS[kind]
        return LearnedModel(encoder, loss, upright, term(group), weight)
    return ContrastiveModel(encoder, loss, turned if kind == "turned" else upright)
