"""The exercises of notebook 05: caps, the universal head, data symmetry, the jigsaw action, Burnside, a table."""

import torch
import torch.nn.functional as F

from eqssl_edu.exercises.judging import ask, integers, judge, keyed, need, need_shape, noise, number, scalar
from eqssl_edu.exercises.tiles import lift, moved_permutation, pair
from eqssl_edu.exercises.verdict import second_hint
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet
from eqssl_edu.theory import inconsistency_floor

__all__ = [
    "action_table",
    "calculator",
    "count_orbits",
    "data_symmetry",
    "image_cap",
    "lift",
    "moved_permutation",
    "pair",
    "universal_logits",
]


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
            "Look up index = labels.action[labels.group.inverse], (|G|, |L|), and sum features[b, c, h] times "
            "weight[:, index][c, h, l] over c and h.": True,
        }
        reason = f"For {labels!r} the logits differ from the library's head."
        judge(ask(answer, features, weight, labels), expected, reason, hints, "sample and label")
    return "Equal to the library's head for three sets of labels."


# pipeline -> (its symmetry, a thought for whoever has another one)
SYMMETRY = {
    "photos as they are": ((0,), "nothing is turned and nothing mirrored: only the identity is left"),
    "RandomHorizontalFlip": ((0, 4), "left and right are exchanged, half of the time: element 4"),
    "RandomVerticalFlip": ((0, 6), "upside down is: first flip left to right (4), then turn by 180 degrees"),
    "both flips": ((0, 2, 4, 6), "one flip after the other is a turn by 180 degrees, and it comes as well"),
    "satellite images, from all directions, never mirrored": (
        (0, 1, 2, 3),
        "all four turns are alike, and no mirror image ever comes",
    ),
}


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
        need(named == wanted, reason, f"Think again: {thought}.")
    return "With these subgroups H the right labels are the cosets G/H."


def calculator(answer: object) -> str:
    """The floor of the trivial jigsaw action for the smallest symmetry of data that costs 1.0 nats or more."""
    nats = number(answer, "The answer must be a number", "It is the bold number of nats.")
    true, trivial, left = (GSet.jigsaw(dihedral(4), 2, way) for way in ("conjugation", "trivial", "left"))
    wanted, for_all = (inconsistency_floor(true, trivial, range(turns)).nats for turns in (4, 8))
    for_left = inconsistency_floor(true, left, range(4)).nats
    hints = {
        f"{nats} is the floor for all eight elements.\nFour elements are enough: which four?": for_all,
        f"{nats} is the price of the left action.\nSet the first slider to `jigsaw 2x2, trivial`.": for_left,
        f"{nats} is less than 1.0 nats.\nTry data with more orientations.": nats < 1,
        f"{nats} is no floor of this task.\nSet the sliders, and copy the number with three digits.": True,
    }
    judge(nats, wanted, "", hints, within=2e-3)
    return "Four turns are enough; all eight elements would cost 1.329."


@second_hint(
    "action == torch.arange(n) marks what stays in place; the sum of all marks, divided by |G|, is the mean."
)
def count_orbits(answer: object) -> str:
    """A function (action table (|G|, n)) -> the number of orbits."""
    groups = cyclic(4), dihedral(4), dihedral(2)
    tables = [make(group) for group in groups for make in (GSet.neighbours, GSet.regular)]
    tables += [make(group, n) for group in groups for make, n in ((GSet.grid, 3), (GSet.jigsaw, 2))]
    hint = "One number for a table: its orbits."
    values = [
        scalar(ask(answer, each.action), "It gave {count} numbers; wanted was one.", hint) for each in tables
    ]
    wanted = [len(labels.orbits) for labels in tables]
    fixed = [labels.action == torch.arange(labels.size) for labels in tables]
    sizes, orders = (torch.tensor(each) for each in zip(*((f.shape[1], len(f)) for f in fixed), strict=True))
    common = torch.stack([f.all(dim=0).sum() for f in fixed])
    hints = {  # a mistake is named only if it explains what was given for all tables
        "That is the sum over the group. Burnside's count is the mean.": torch.stack(
            [f.sum() for f in fixed]
        ),
        "n / |G| counts as if all orbits had |G| labels.": [sizes / orders, sizes // orders],
        "That counts labels that *every* element leaves in place: sum over the elements.": common,
        "That is the number of labels. Orbits are sets of them.": sizes,
        "Which entries of row g of the table say that g leaves a label in place?": True,
    }
    value = torch.stack([each.double() for each in values])
    wrong = int((value != torch.tensor(wanted)).long().argmax())
    reason = f"For {tables[wrong]!r} it gave {value[wrong]:g}; there are {wanted[wrong]} orbits."
    judge(value, torch.tensor(wanted), reason, hints)
    return "Right for grids, neighbours, jigsaws and groups themselves, under three groups."


def action_table(answer: object) -> str:
    """The action of C4 on four lines through the middle: upright, lying, rising, falling."""
    table = torch.as_tensor(answer) if not isinstance(answer, str) else answer
    table, row = need_shape(table, (4, 4), "the element g and the label l"), torch.arange(4)
    reason = "Each row must hold each of the labels 0, 1, 2, 3 once."
    need((table.sort(dim=1).values == row).all(), reason, "A turn makes different lines different.")
    need((table[0] == row).all(), "Row 0 moves labels.", "Row 0 belongs to the identity: nothing moves.")
    need((table != row).any(), "No label moves.", "Turn an upright line by 90 degrees: it lies.")
    lines = ("upright", "lying", "rising", "falling")
    diagonal, middle = torch.eye(5), F.pad(torch.ones(5, 1), (2, 2))
    drawings = torch.stack([middle, middle.T, diagonal.flip(1), diagonal])
    for g in range(1, 4):
        for label, turned in enumerate(cyclic(4).transform(drawings, g)):
            found = next(k for k in range(4) if torch.equal(drawings[k], turned))
            said = int(table[g, label])
            hints = {
                "A line turned by 180 degrees is the same line.": g == 2,
                "A rising line that is turned by 90 degrees falls.": label > 1,
                "Draw it and turn the page.": True,
            }
            seen = f"the {lines[label]} line is {lines[found]}, not {lines[said]}."
            judge(said, found, f"Turned by {90 * g} degrees, {seen}", hints)
    return "Two orbits, {0, 1} and {2, 3}; a half turn leaves every line in place."
