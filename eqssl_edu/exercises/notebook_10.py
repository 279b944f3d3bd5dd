"""The exercises of 10: fitted maps, any action, the group law; those of 10b and 10c are imported."""

from collections.abc import Callable

import torch
from torch import Tensor

from eqssl_edu.exercises.carried_over import information, missed, regular
from eqssl_edu.exercises.judging import ask, judge, need, noise
from eqssl_edu.exercises.own_symmetrisation import moving_energy, soft_loss, symmetrised
from eqssl_edu.exercises.verdict import second_hint
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral

__all__ = [
    "any_action",
    "fitted_maps",
    "information",
    "law_defect",
    "missed",
    "moving_energy",
    "soft_loss",
    "symmetrised",
]


def _solved(before: Tensor, after: Tensor) -> Tensor:
    """The R with the least |after - before R^T|."""
    return torch.linalg.lstsq(before, after).solution.T


@second_hint(
    "before = centred.flatten(0, 1); after = centred[:, group.product[g]].flatten(0, 1); "
    "torch.linalg.lstsq(before, after).solution is R_g transposed."
)
def fitted_maps(answer: object) -> str:
    """A function (group, z) -> for each g the matrix that fits f(hx) -> f(ghx) best, over all images and all h."""
    for group in (cyclic(4), dihedral(4)):
        size = group.order
        maps = regular(group, noise(size, size, seed=1))
        z = torch.einsum("kde,be->bkd", maps, noise(40, size))
        z = z + z.std() * (0.3 * noise(40, size, size, seed=2) + 1.5 * noise(size, seed=3) + 1)
        centred = z - z.mean(dim=(0, 1))

        def fit(
            z: Tensor,
            row: Callable[[int], Tensor] | None = None,
            group: FiniteGroup = group,
            turned: bool = True,
        ) -> Tensor:
            rows = [group.product[g] if row is None else row(g) for g in group.elements]
            first = z if turned else z[:, :1]
            return torch.stack(
                [
                    _solved(first.flatten(0, 1), z[:, each if turned else each[:1]].flatten(0, 1))
                    for each in rows
                ]
            )

        expected = fit(centred)
        hints = {
            "These are the R_g transposed. The solver works with rows, before @ X = after: X is R_g^T.": expected.mT,
            "Only pairs with x upright were used. Take h of all the group: f(hx) and f(ghx).": [
                fit(centred, turned=False),
                fit(z, turned=False),
                fit(z - z[:, 0].mean(dim=0), turned=False),
            ],
            "The features are not centred: their mean is no part of what a turn does.": fit(z),
            "Take the mean over all images and turns. What differs from image to image is to stay.": [
                fit(z - z.mean(dim=1, keepdim=True)),
                fit(z - z.mean(dim=0)),
            ],
            "That maps what is turned back: from f(ghx) to f(hx).": torch.stack(
                [expected[int(group.inverse[g])] for g in group.elements]
            ),
            "The turned image is g h x, g after h: group.product[g, h].": fit(
                centred, lambda g, group=group: group.product[:, g]
            ),
            "For each g one least squares over the pairs f(hx), f(ghx) of all images and all h.": True,
        }
        value = ask(answer, group, z)
        reason = f"Under {group.name} the maps are not those with the least squared error."
        axes = "(|G|, D, D), one matrix for each g"
        judge(value, expected, reason, hints, axes, within=1e-5)
    return "Least squares over both-turned pairs, for C4 and for D4."


@second_hint("From features to the image with back, then turn, then f.")
def any_action(answer: object) -> str:
    """A function (f, back, turn, z) -> f(turn(back(z))), the action on features that a turn of the images makes."""
    keys = torch.randperm(25, generator=torch.Generator().manual_seed(0))
    images = noise(6, 1, 5, 5)

    def f(x: Tensor) -> Tensor:
        return x.flatten(1)[:, keys] ** 3 + 1

    def back(z: Tensor) -> Tensor:
        return (z - 1).sign().mul((z - 1).abs() ** (1 / 3))[:, keys.argsort()].view(-1, 1, 5, 5)

    for g in (1, 2):

        def turn(x: Tensor, g: int = g) -> Tensor:
            need(
                x.ndim == 4,
                "It turns features as if they were images.",
                "First make the images of them: back(z).",
            )
            return cyclic(4).transform(x, g)

        value = ask(answer, f, back, turn, f(images))
        hints = {
            "That is the turned image; wanted are its features.": turn(images),
            "Nothing is turned.": [f(images), images],
            "Back to the image, turn it, and make its features.": True,
        }
        reason = "The result is not f of the turned images."
        judge(value, f(turn(images)), reason, hints, within=1e-6)
    return "Back, turn, forth: this works for every f that can be undone."


@second_hint("maps[:, None] @ maps[None] holds R_g R_h at [g, h]; maps[group.product] holds R_gh there.")
def law_defect(answer: object) -> str:
    """A function (group, maps) -> (|G|, |G|): the Frobenius norm of R_g R_h - R_gh."""
    for group in (dihedral(4), cyclic(4)):
        maps = regular(
            group, torch.eye(group.order, dtype=torch.float64) + 0.2 * noise(group.order, group.order)
        )
        maps = maps + 0.1 * noise(*maps.shape, seed=1)
        twice = maps[:, None] @ maps

        def norms(defects: Tensor) -> Tensor:
            return defects.square().sum(dim=(-2, -1)).sqrt()

        expected = norms(twice - maps[group.product])
        hints = {
            "That is the squared norm: take the root.": expected.square(),
            "The order of the product is another: R_g R_h does h first, as gh does.": [
                norms(twice.transpose(0, 1) - maps[group.product]),
                norms(twice - maps[group.product.T]),
                norms(twice - maps[group.product]).T,
            ],
            "* multiplies entry by entry; matrices are multiplied by @.": norms(
                maps[:, None] * maps - maps[group.product]
            ),
            "For each pair the product of the matrices, minus the matrix of the product.": True,
        }
        value = ask(answer, group, maps)
        right = regular(group, torch.eye(group.order, dtype=torch.float64))
        zero = ask(answer, group, right)
        largest = f"{float(zero.abs().max()):.2g}" if isinstance(zero, Tensor) and zero.numel() else "nothing"
        reason = f"For a true representation of {group.name} it gives up to {largest}; there it is 0."
        if largest == "0":
            reason = f"For matrices that break the law of {group.name} its numbers are others."
        judge(value, expected, reason, hints, "(|G|, |G|), one number for each g and h")
    return "0 for a representation, and only for one."
