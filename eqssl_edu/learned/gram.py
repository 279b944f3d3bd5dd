"""Equivariance that knows no action: the angles between the features of a batch should be those of the turned batch."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.errors import need_shape, typed
from eqssl_edu.learned.term import Orbit, Term
from eqssl_edu.precision import fine

__all__ = ["GramLoss", "orthogonal_map"]


class GramLoss(Term):
    r"""The Gram matrix of a batch, $K_g = f(gX) f(gX)^T$, should be the same for all g: the mean over g, h of

    $$ \frac{2}{B} \lVert K_g - K_h \rVert^2 . $$

    It is 0 if and only if one orthogonal matrix for each g gives f(gx) = R_g f(x) on this batch (statement B3), and
    that holds for features that do not move as well. How far the best orthogonal matrix (``orthogonal_map``) is from
    them is bounded by it (statement B4).

    This is the equivariance loss of CARE for a finite group: all pairs of turns take the place of two random
    augmentations (in CARE with crops and colours, each the same for a part of the batch). CARE's code leaves the
    diagonal out, which is the same for features of length 1; there they come out of a projector, and the weight beside
    InfoNCE is 0.01 by default.

    References:
        Gupta et al., Structuring Representation Geometry with Rotationally Equivariant Contrastive Learning (arXiv
        2306.13924), compared with the authors' code.

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> z, rotation = torch.randn(8, 3), torch.linalg.qr(torch.randn(4, 3, 3)).Q
        >>> orbit = torch.einsum("kde,be->bkd", rotation, z)
        >>> GramLoss(cyclic(4))(orbit).item() < 1e-10, GramLoss(cyclic(4))(torch.randn(8, 4, 3)).item() > 0.1
        (True, True)
    """

    def loss(self, orbit: Orbit) -> Float[Tensor, ""]:
        gram = torch.einsum("akd,bkd->kab", orbit, orbit)
        # The mean over all pairs of turns is twice the variance over the turns.
        return 4 * (gram - gram.mean(dim=0)).square().sum() / (len(gram) * len(orbit))


@typed
def orthogonal_map(
    z: Float[Tensor, "batch dimension"], w: Float[Tensor, "batch dimension"]
) -> Float[Tensor, "dimension dimension"]:
    r"""The orthogonal R with the least $\lVert w - z R^T \rVert$ (Procrustes): a turn or a reflection of the space.

    Example:
        >>> z, rotation = torch.randn(8, 3, dtype=torch.float64), torch.linalg.qr(torch.randn(3, 3).double()).Q
        >>> torch.allclose(orthogonal_map(z, z @ rotation.T), rotation)
        True
    """
    need_shape("z", z, "B", "D", finite=True)
    need_shape("w", w, "B", "D", finite=True)
    left, _, right = torch.linalg.svd(fine(w).T @ fine(z))
    return (left @ right).to(z.dtype)
