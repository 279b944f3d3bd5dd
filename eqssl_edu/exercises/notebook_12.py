"""The exercises of notebook 12: a test of each element of a group, and the symmetry of the data."""

from collections.abc import Callable

import torch
from torch import Tensor

from eqssl_edu.exercises.judging import ask, integers, judge, need, noise, scalar
from eqssl_edu.exercises.verdict import second_hint
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral

__all__ = ["hits", "symmetry"]

C4, D4 = cyclic(4), dihedral(4)


@second_hint(
    "pictures = torch.where(coins[:, None, None, None], group.transform(images, g), images); z = scores(pictures); "
    "the guess is z[:, g] > z[:, 0]; count where it equals coins."
)
def hits(answer: object) -> str:
    """A function (group, g, images, coins, scores) -> how many coins are guessed from the scores of g and of e."""
    images, coins = noise(60, 1, 5, 5), noise(60, seed=1) > 0.2
    fair = coins.long()
    for group in (C4, D4):
        weight = noise(25, group.order, seed=2)

        def scores(x: Tensor, weight: Tensor = weight) -> Tensor:
            shape = f"scores was asked about the shape {tuple(x.shape)}; wanted are images (B, 1, 5, 5)."
            need(x.ndim == 4, shape, "Give it the pictures, all or some of them.")
            return x.flatten(1) @ weight.to(x)

        def count(
            turned: Callable[[int], Tensor],
            right: Callable[[Tensor, int], Tensor] = lambda z, g: (z[:, g] > z[:, 0]) == coins,
            group: FiniteGroup = group,
            scores: Callable[[Tensor], Tensor] = scores,
        ) -> Tensor:
            found = [right(scores(group.transform(images, turned(g))), g).sum() for g in group.elements[1:]]
            return torch.stack(found).double()

        value = torch.stack(
            [
                scalar(
                    ask(answer, group, g, images, coins, scores),
                    "It gave {count} numbers; wanted was one.",
                    "Count over all images.",
                ).double()
                for g in group.elements[1:]
            ]
        )
        right = count(lambda g: g * fair)
        hints = {
            "That is their share. Wanted is the number of hits.": right / len(images),
            "These are the misses: a hit is a guess that equals the coin.": len(images) - right,
            "All images were changed. An image is changed only where its coin is True.": count(
                lambda g: g + 0 * fair
            ),
            "No image was changed. Where the coin is True, the picture is group.transform(image, g).": count(
                lambda g: 0 * fair
            ),
            "The images were changed where the coin is False.": count(lambda g: g * (1 - fair)),
            "They were turned by the inverse of g.": count(
                lambda g, group=group: int(group.inverse[g]) * fair
            ),
            "The largest of all scores may belong to a third element. Only two compete: g, and the identity 0.": count(
                lambda g: g * fair, lambda z, g: (z.argmax(dim=1) == g) == coins
            ),
            "Guesses of heads alone were counted; a tail that is guessed is a hit as well.": count(
                lambda g: g * fair, lambda z, g: (z[:, g] > z[:, 0]) & coins
            ),
            "Change where the coin says so, ask for the scores, guess True where g has more than 0; count hits.": True,
        }
        reason = f"Under {group.name}, for the elements 1, 2, ...: {value.tolist()}; it is {right.tolist()}."
        judge(value, right, reason, hints)
    return "Right for each element of C4 and of D4."


@second_hint(
    "Go through group.subgroups(), keep those that share no element with told, and take the longest."
)
def symmetry(answer: object) -> str:
    """A function (group, told) -> a largest subgroup without an element that was told."""
    cases = [
        (D4, []), (D4, [1, 2, 3, 4, 5, 6, 7]), (D4, [1, 3, 4, 5, 6, 7]), (D4, [1, 2, 3, 5, 6, 7]),
        (D4, [4, 5, 6, 7]), (D4, [1]), (D4, [2]), (D4, [3, 5]), (C4, [1]), (C4, [2]), (C4, []),
    ]  # fmt: skip
    for group, told in cases:
        case = f"{group.name}, told: {told}"
        hint = "Its elements, as whole numbers: one of group.subgroups()."
        given = ask(answer, group, list(told))
        found = integers(given, group.elements, f"For {case} it must name elements of the group.", hint)
        reason = f"For {case} it gave {sorted(set(found))}."
        bad = sorted(set(found) & set(told))
        need(not bad, reason, f"{bad} can be told, so the data do not have it: it must not be in the answer.")
        closed = set(group.generate(found))
        lacks = sorted(closed - set(found))
        hint = f"That is no subgroup: with its elements, {lacks} are products of them (or the identity)."
        need(not lacks, reason, hint)
        largest = max(len(H) for H in group.subgroups() if not set(H) & set(told))
        need(
            len(closed) == largest,
            reason,
            f"That is a subgroup without told elements, but there is one of {largest} elements.",
        )
    return "A subgroup, without any element that was told, and none is larger."
