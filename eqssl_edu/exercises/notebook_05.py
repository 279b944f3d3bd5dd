"""The exercises of notebooks 05 and 05b to 05e: heads, caps, scorers, cosets, symmetries of data, tasks."""

import torch
from torch import Tensor

from eqssl_edu.exercises.judging import ask, integers, judge, keyed, need, noise, scalar, several
from eqssl_edu.exercises.prices import (
    action_by_looking,
    action_table,
    calculator,
    closed,
    conditional_entropy,
    mixed_counts,
)
from eqssl_edu.exercises.tiles import lift, moved_permutation, pair
from eqssl_edu.exercises.verdict import second_hint
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet

__all__ = [
    "action_by_looking",
    "action_table",
    "calculator",
    "closed",
    "conditional_entropy",
    "coset_labels",
    "data_symmetry",
    "image_cap",
    "lift",
    "mixed_counts",
    "moved_permutation",
    "pair",
    "turned_logits",
    "universal_logits",
]


@second_hint("torch.equal(group.transform(image, g), image) says whether g leaves it as it is. Ask every g.")
def image_cap(answer: object) -> str:
    """A function (image (C, H, W), group) -> 1 / the number of elements that leave the image as it is."""
    for group in (dihedral(4), cyclic(4)):
        # Pairs first: with one element, or with all of them, several mistakes give the same number.
        for subgroup in sorted(group.subgroups(), key=lambda h: len(h) != 2):
            x, order = noise(1, 6, 6), len(subgroup)
            image = torch.stack([group.transform(x, h) for h in subgroup]).round(decimals=3).sum(dim=0)
            image = image.round(decimals=3)  # sums in another order differ in the last bit
            hint = "All pixels must be equal: torch.equal."
            value = scalar(ask(answer, image, group), "It gave {count} numbers; wanted was one.", hint)
            share, invariant = order / group.order, 1 / group.order
            hints = {
                "That is the number of labels that look alike. The cap is one over it.": order,
                "That is a share of the group. If s elements look alike, one guess in s is right.": share,
                "That is the cap of an invariant network. Here the network may see the picture.": invariant,
                "Compare group.transform(image, g) with image for every g, and count the equal ones.": True,
            }
            reason = (
                f"A picture that {order} of the {group.order} elements of {group.name} leave as it is got "
                f"{value:.3f}; its cap is {1 / order:.3f}."
            )
            judge(value, 1 / order, reason, hints)
    return "Right for pictures of all ten symmetries under D4, and for those of C4."


@second_hint(
    "index = labels.action[labels.group.inverse] is the table (|G|, |L|) of h^-1 . l, and weight[:, index] has "
    "the axes c, h, l. torch.einsum sums over c and h."
)
def universal_logits(answer: object) -> str:
    """A function (features (B, C, |G|), weight (C, |L|), labels) -> logits (B, |L|), without bias."""
    group = dihedral(4)
    for labels in (GSet.regular(group), GSet.neighbours(group), GSet.quotient(group, (0, 4))):
        features, weight = noise(3, 2, group.order), noise(2, labels.size, seed=1)
        expected = torch.einsum("bch,chl->bl", features, weight[:, labels.action[group.inverse]])
        forth = torch.einsum("bch,chl->bl", features, weight[:, labels.action])
        pooled, first = features.sum(dim=2) @ weight, features[:, :, 0] @ weight
        hints = {
            "The weight at (l, h) is W[c, h^-1 . l]. You used h . l: take the inverse of h.": forth,
            "Nothing depends on h: pooled over the group first, the logits cannot move.": pooled,
            "Only the element e was used. The sum runs over c and over h.": first,
            "Each logit is a sum over c and h: F[c, h] times the weight W[c, h^-1 . l].": True,
        }
        reason = f"For {labels!r} the logits differ from the library's head."
        judge(ask(answer, features, weight, labels), expected, reason, hints, "sample and label")
    return "Equal to the library's head for three sets of labels."


@second_hint(
    "group.transform(images, int(g)) turns all images. Stack the scores of the |G| copies along dim=1."
)
def turned_logits(answer: object) -> str:
    """A function (scorer, images (B, 1, H, W), group) -> logits (B, |G|): logit h scores the images turned by h^-1."""
    weight = noise(7, 7, seed=1)

    def scorer(images: Tensor) -> Tensor:
        return torch.einsum("bchw,hw->b", images, weight)

    for group in (dihedral(4), cyclic(4)):
        images = noise(3, 1, 7, 7)
        scores = torch.stack([scorer(group.transform(images, g)) for g in group.elements], dim=1)
        hints = {
            "That is s(h x). Turn the images back: by the inverse of h.": scores,
            "All logits are alike. Logit h belongs to the images turned back by h.": scores[:, :1].expand_as(
                scores
            ),
            "Logit h is scorer(images turned back by h).": True,
        }
        reason = f"Over {group.name} the logits are not the scores of the images turned back by each element."
        judge(
            ask(answer, scorer, images, group), scores[:, group.inverse], reason, hints, "image and element"
        )
    return "Right over C4 and D4. With these logits every scorer is equivariant."


@second_hint("All th with h in H make up the coset. Its smallest element is a label that all of them share.")
def coset_labels(answer: object) -> str:
    """A function (group, H) -> |G| labels, equal for two elements exactly if they lie in the same left coset tH."""
    for group in (dihedral(4), cyclic(4)):
        for subgroup in sorted(group.subgroups(), key=lambda h: (len(h) != 2, h)):
            said = ask(answer, group, subgroup)
            said = said.tolist() if hasattr(said, "tolist") else said
            reason, hint = (
                "The answer must give a list of labels.",
                "One label for each element, in their order.",
            )
            labels = [tuple(each) if isinstance(each, list) else each for each in several(said, reason, hint)]
            need(
                len(labels) == group.order, f"It gave {len(labels)} labels for {group.order} elements.", hint
            )
            alike = torch.tensor([[one == other for other in labels] for one in labels])
            product, own = group.product[:, list(subgroup)], torch.eye(group.order, dtype=torch.bool)
            left = (product[:, None, :] == torch.arange(group.order)[None, :, None]).any(dim=2)
            right = (
                group.product[list(subgroup)].T[:, None, :] == torch.arange(group.order)[None, :, None]
            ).any(2)
            hints = {
                "Every element has a label of its own. Those of one coset share theirs.": own,
                "Those are the right cosets Ht. The image has been moved by h *before* t is: th.": right,
                "All elements have the same label, though H is not the whole group.": torch.ones_like(own),
                "Two elements share a label exactly if one is the other times an element of H, from the right.": True,
            }
            wrong = (alike != left).nonzero()[:1].tolist()
            t, other = wrong[0] if wrong else (0, 0)
            lie = "lie in one left coset" if left[t, other] else "lie in different left cosets"
            names = group.element_name(t), group.element_name(other)
            reason = (
                f"{names[0]} and {names[1]} of {group.name} {lie} of H = {list(subgroup)}; "
                "the labels say otherwise."
            )
            judge(alike, left, reason, hints)
    return "Right for all subgroups of D4 and C4."


# pipeline -> (its symmetry, a thought for whoever has another one)
SYMMETRY = {
    "as they are": ((0,), "is a page still upright text after it is turned or mirrored?"),
    "RandomHorizontalFlip": ((0, 4), "left and right are exchanged, half of the time."),
    "RandomVerticalFlip": ((0, 6), "top and bottom are exchanged, half of the time; nothing else happens."),
    "both flips, one after the other": (
        (0, 2, 4, 6),
        "each comes half of the time; what is it if both come?",
    ),
    "from one of four sides of the table, by chance": (
        (0, 1, 2, 3),
        "how does a page look from the other sides; does its mirror image ever come?",
    ),
}


@second_hint("Write down all that a pipeline can do to an image, doing nothing and doing both included.")
def data_symmetry(answer: object) -> str:
    """For each pipeline the subgroup of D4 that leaves its data looking the same."""
    group = dihedral(4)
    for pipeline, said in keyed(answer, SYMMETRY, "of the five pipelines").items():
        wanted, thought = SYMMETRY[pipeline]
        reason, hint = f"{pipeline}: got {said}.", "The elements of D4 are 0 to 7."
        named = tuple(sorted(set(integers(said, group.elements, reason, hint))))
        hint = "Doing nothing leaves all data as they are."
        need(0 in named, f"{pipeline}: the identity is missing.", hint)
        missing = min(set(group.generate(named)) - set(named), default=None)
        reason = f"{pipeline}: {list(named)} is no subgroup, {missing} is missing."
        hint = "What leaves the data as they are may be done twice, or one after the other."
        need(missing is None, reason, hint)
        reason = f"{pipeline}: {list(named)} is not its symmetry."
        need(named == wanted, reason, f"Think again: {thought}")
    return "With these subgroups H the right labels are the cosets G/H."
