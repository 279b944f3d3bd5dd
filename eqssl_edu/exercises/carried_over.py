"""The exercises of notebook 10c: what maps miss of other images, and what a letter tells of its turn."""

import torch
from torch import Tensor

from eqssl_edu.exercises.judging import ask, judge, need, noise, scalar
from eqssl_edu.exercises.verdict import second_hint
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral

__all__ = ["information", "missed", "regular"]


def regular(group: FiniteGroup, skew: Tensor) -> Tensor:
    """The regular representation in another basis: (|G|, |G|, |G|)."""
    one = torch.eye(group.order, dtype=torch.float64)
    maps = torch.stack([group.transform_features(one, g).T for g in group.elements])
    return skew @ maps @ skew.inverse()


@second_hint(
    "z = z - z.mean(dim=(0, 1)); guessed = torch.einsum('gde,bhe->bghd', maps, z), to be compared with "
    "z[:, group.product]; leave g = 0 out; divide by (z - z.mean(dim=1, keepdim=True)).square().sum(dim=2).mean()."
)
def missed(answer: object) -> str:
    """A function (group, maps, z) -> the moving error of given maps on other features z (B, |G|, D)."""
    for group in (cyclic(4), dihedral(4)):
        size, product = group.order, group.product
        maps = regular(group, torch.eye(size, dtype=torch.float64)) + 0.2 * noise(size, size, size)
        z = 2 * noise(30, 1, size, seed=1) + noise(30, size, size, seed=2) + 2 * noise(size, seed=3)
        centred = z - z.mean(dim=(0, 1))

        def energies(z: Tensor, table: Tensor, maps: Tensor = maps) -> Tensor:
            return (z[:, table] - torch.einsum("gde,bhe->bghd", maps, z)).square().sum(dim=3)

        right = energies(centred, product)
        moving = (z - z.mean(dim=1, keepdim=True)).square().sum(dim=2).mean()
        wanted = right[:, 1:].mean() / moving
        upright = energies(centred, product)[:, 1:, 0].mean()
        hints = {
            "The features are not centred: take the mean of *this* set away, over all images and turns.": energies(
                z, product
            )[:, 1:].mean()
            / moving,
            "Divide by what moves, not by all energy about the mean.": right[:, 1:].mean()
            / centred.square().sum(dim=2).mean(),
            "Nothing was divided: in units of the moving energy.": right[:, 1:].mean(),
            "The identity moves nothing: leave g = e out of the mean.": right.mean() / moving,
            "Only upright images were asked; take f(hx) for all h.": upright / moving,
            "The turned image is g h x, g after h: group.product[g, h].": energies(centred, product.T)[
                :, 1:
            ].mean()
            / moving,
            "A squared length is a sum over D; the mean is over images, g and h.": right[:, 1:].mean()
            / size
            / moving,
            "R_g is used transposed: it acts on a column, so rows z are multiplied by R_g^T.": energies(
                centred, product, maps.mT
            )[:, 1:].mean()
            / moving,
            "For all x, h and g but e: |f(ghx) - R_g f(hx)|^2, centred; the mean, over the moving energy.": True,
        }
        value = scalar(ask(answer, group, maps, z), "It must return one number, {got}.", "Take the mean.")
        reason = f"Under {group.name} it gave {float(value):.4g}; it is {float(wanted):.4g}."
        judge(value, wanted, reason, hints)
    return "The error of given maps, about the set's own mean, in units of what moves."


@second_hint(
    "With p = counts / counts.sum() and H(q) = -torch.xlogy(q, q).sum(): H(p.sum(dim=1)) is H(A, X), "
    "H(p.sum(dim=0)) is H(C, X), H(p.sum(dim=(0, 1))) is H(X), H(p) is H(A, C, X)."
)
def information(answer: object) -> str:
    """A function counts (A, C, X) -> I(A; C | X) in nats."""
    tables = [(3 * noise(4, 3, 5).abs()).floor(), torch.zeros(2, 2, 2, dtype=torch.float64)]
    tables[1][0, 0, 0] = tables[1][1, 1, 0] = tables[1][0, 1, 1] = tables[1][1, 0, 1] = 1  # X says if A is C
    for counts in tables:
        value = scalar(ask(answer, counts), "It must return one number, {got}.", "Sum over all outcomes.")
        need(value.isfinite(), f"It gave {value:g}.", "0 log 0 counts as 0: torch.xlogy(p, p) knows that.")
        p = counts / counts.sum()

        def H(*axes: int, p: Tensor = p) -> Tensor:
            q = p.sum(dim=axes) if axes else p
            return -torch.xlogy(q, q).sum()

        wanted = H(1) + H(0) - H(0, 1) - H()
        hints = {
            "That is in bits, with the logarithm to base 2. Nats have the natural one.": wanted
            / torch.tensor(2.0).log(),
            "That is I(A; C), without the picture. First look at the picture: all entropies given X.": H(1, 2)
            + H(0, 2)
            - H(2),
            "That is H(A | X), what the picture leaves open. How much of it does the letter answer?": H(1)
            - H(0, 1),
            "That is H(A | C, X), what is left when both are known.": H() - H(0),
            "That is H(C | X). Take H(A | X) - H(A | C, X).": H(0) - H(0, 1),
            "The sign: information is never negative.": -wanted,
            "I(A; C | X) = H(A | X) - H(A | C, X) = H(A, X) - H(X) - H(A, C, X) + H(C, X).": True,
        }
        reason = f"It gave {float(value):.4f}; it is {float(wanted):.4f}."
        judge(value, wanted, reason, hints, within=1e-5)
    return "What the letter tells of the turn when the picture is seen already."
