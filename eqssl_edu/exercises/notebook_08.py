"""The exercises of notebook 08: reading the turn, a test for losses, a temperature, a predictor, heads."""

import copy
from collections.abc import Callable
from functools import cache

import torch
from torch import Tensor, nn

from eqssl_edu.contrastive import InfoNCE, canonicalize, orbit_correlation
from eqssl_edu.diagnostics import irrep_energy, matched_temperature
from eqssl_edu.errors import got
from eqssl_edu.exercises.judging import ask, judge, need, need_shape, noise, number, pick, scalar
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral

__all__ = ["change_under_turns", "harmless", "matched", "predictor", "relative_turn"]


def relative_turn(answer: object) -> str:
    """A function (group, z1, z2) -> for each pair the element at which its kappa is largest."""
    for group in (cyclic(4), dihedral(4)):
        z = noise(40, 3, group.order)
        a, b = torch.randint(group.order, (2, 40), generator=torch.Generator().manual_seed(1))
        z1, z2 = group.transform_features(z, a), group.transform_features(z, b)
        expected = group.product[a, group.inverse[b]]
        value = ask(answer, group, z1, z2)
        reason = "The result has one element for each of all 40 x 40 pairs."
        hint = "Wanted is view i with view i: take the diagonal of the first two axes before the argmax."
        need(getattr(value, "shape", None) != (40, 40), reason, hint)
        value = need_shape(value, (40,), "(B,), one element for each pair").long()
        inverses = group.inverse[expected]
        smallest = orbit_correlation(group, z1, z2).diagonal().T.argmin(dim=1)
        hints = {
            "These are the inverses: kappa(z1, z2), not kappa(z2, z1). The second one is turned.": inverses,
            "That is where kappa is smallest. The turned copy that fits has the largest product.": smallest,
            "For each i: the |G| values orbit_correlation(group, z1, z2)[i, i], and their argmax.": True,
        }
        right = int((value == expected).sum())
        judge(value, expected, f"Under {group.name}, {right} of 40 relative turns are right.", hints)
    return "a times the inverse of b, for C4 and for D4."


def change_under_turns(answer: object) -> str:
    """A function (loss, group, z1, z2, draws) -> how far independent turns of all samples move the loss."""
    for group in (cyclic(4), dihedral(4)):
        _change_under_turns(answer, group)
    return "It passes InfoNCE with max and catches each loss that absorbs less, for C4 and for D4."


def _change_under_turns(answer: object, group: FiniteGroup) -> None:
    count = 128  # every element occurs, almost surely
    z1, z2 = noise(count, 3, group.order), noise(count, 3, group.order, seed=1)

    def change(loss: Callable[[Tensor, Tensor], Tensor]) -> float:
        value = ask(answer, loss, group, z1, z2, torch.Generator().manual_seed(2))
        hint = "Compare two losses, not two sets of features."
        return float(scalar(value, "It must return one number, {got}.", hint))

    def first_only(z1: Tensor, z2: Tensor) -> Tensor:
        """Absorbs the turns of the first view alone."""
        return -(canonicalize(group, z1) * z2).mean()

    def partners_only(z1: Tensor, z2: Tensor) -> Tensor:
        """Absorbs the turns that both views of a sample have in common."""
        return -(z1 * z2).mean()

    invariant = change(InfoNCE(group, "max"))
    reason = f"For InfoNCE with max, which absorbs all turns, it gave {invariant:.1e}."
    need(abs(invariant) < 1e-9, reason, "Compare loss(turned z1, turned z2) with loss(z1, z2).")
    blind = {
        "The plain similarity of partners": (partners_only, "Do both views get the same turns? Draw twice."),
        "A loss that absorbs the turns of z1 alone": (first_only, "Turn z2 as well."),
        "A loss that absorbs the turns of z2 alone": (lambda z1, z2: first_only(z2, z1), "Turn z1 as well."),
        "A loss that absorbs one turn of the whole batch": (
            lambda z1, z2: -orbit_correlation(group, z1, z2).diagonal().mean(dim=1).max(),
            "Each sample needs an element of its own: draw len(z1) of them.",
        ),
    }
    values = [change(loss) for loss, _ in blind.values()]
    moved = max(map(abs, values)) >= 1e-9
    hint = "Turn the features before the second loss."
    need(moved, "It gives 0 for every loss, also for the naive one.", hint)
    for (name, (_, hint)), value in zip(blind.items(), values, strict=True):
        need(abs(value) >= 1e-9, f"{name} does not absorb what you want it to, but it gave 0.", hint)
    least = min(*values, change(lambda z1, z2: -partners_only(z1, z2)))
    hint = "Take the absolute value: how far the loss moves is never negative."
    need(least > 0, f"For one of the losses it gave {least:.2g}.", hint)
    hint = "Draw from all elements: torch.randint(group.order, ...), whatever the group."
    for element in group.elements[1:]:
        target = group.transform_features(z1, element)
        # The share of first views that this element has turned absorbs the turns by all the others.
        share = change(lambda z1, z2, target=target: (z1 == target).flatten(1).all(dim=1).double().mean())
        reason = f"Under {group.name} no sample was turned by element {element}."
        need(share >= 1e-9, reason, hint)


def matched(answer: object) -> str:
    """The temperature, in hundredths, at which max has the gap of plain at 0.20 on random features of C4."""
    wanted, hint = "The answer must be a whole number from 5 to 40", "Read it at the slider."
    t = number(answer, wanted, hint)
    exact = 100 * matched_temperature(cyclic(4), noise(300, 8, 4), "max", 0.2)
    hints = {
        f"{t:g} is a temperature.\nGive it in hundredths, as the slider does: a whole number.": 0 < t < 1,
        f"{wanted}, {got(answer)}.\n{hint}": not (5 <= t <= 40 and t % 1 == 0),
        "At 0.20 max has a smaller gap than plain.\nMove the slider until the two bold numbers agree.": 20,
        f"{t:g} hundredths are too large.\n"
        "The gap / t of max is still below that of plain: a smaller t makes it larger.": t > exact,
        f"{t:g} hundredths are too small.\n"
        "The gap / t of max is above that of plain by now: go back a little.": True,
    }
    judge(t, round(exact), "", hints)
    return f"The exact value is {exact / 100:.3f}: max needs a lower temperature to be as strict as plain."


def predictor(answer: object) -> str:
    """A function (group, channels) -> an equivariant module with batch norm and a nonlinearity."""
    for group in (cyclic(4), dihedral(4)):
        z, head = noise(16, 6, group.order), ask(answer, group, 6)
        module = isinstance(head, nn.Module)
        need(module, f"It must return a module, {got(head)}.", "Put the layers into nn.Sequential(...).")
        # A fresh batch norm in eval mode changes nothing: what is wrong then is wrong without it.
        fixed = copy.deepcopy(head.double()).eval()
        with torch.no_grad():
            value = need_shape(head.train()(z.clone()), tuple(z.shape), "(B, channels, |G|), as they came in")
            reason = f"Under {group.name} the output does not turn with the features, even in eval mode."
            hint = "All elements must be treated alike: nn.Conv1d(a, b, 1) is, nn.Linear of flattened features not."
            need(_turned(fixed, group, z) < 1e-9, reason, hint)
            reason = f"Under {group.name} it is equivariant in eval mode, but not in training mode."
            hint = "The batch statistics: nn.BatchNorm1d(b) on (B, b, |G|) has one mean for each channel."
            need(_turned(head, group, z) < 1e-9, reason, hint)
            energy = irrep_energy(group, value)
            turns = energy["trivial"] <= 0.999 * sum(energy.values())
            hint = "Do not pool over the group: the prediction has to turn with the view."
            need(turns, "Its output is constant along the group axis.", hint)
            bent = (fixed(z) + fixed(-z) - 2 * fixed(0 * z)).abs().max() >= 1e-9
            need(bent, "It is one linear map.", "A ReLU has to stand between the two linear maps.")
            others = torch.cat([z[:1], noise(15, 6, group.order, seed=1)])
            depends = (head(others)[0] - head(z)[0]).abs().max() >= 1e-9
            reason = (
                "What it gives for a sample does not depend on the rest of the batch: there is no batch norm."
            )
            need(depends, reason, "nn.BatchNorm1d comes before the ReLU.")
    return "Equivariant under C4 and D4, in training mode as well."


def _turned(head: nn.Module, group: FiniteGroup, z: Tensor) -> float:
    """How far a head is from turning with its input, where each sample has its own element."""
    elements = torch.randint(group.order, (len(z),), generator=torch.Generator().manual_seed(2))
    difference = head(group.transform_features(z, elements)) - group.transform_features(head(z), elements)
    return float(difference.abs().max())


# What may stand between the encoder and the loss, on features (B, C, |G|)?
HEADS: dict[str, Callable[[Tensor], Tensor]] = {
    "a linear map of the channels, the same for each element": lambda z: noise(5, z.shape[1], seed=3) @ z,
    "flatten, then a linear map": lambda z: torch.tensordot(z, noise(*z.shape[1:], 5, z.shape[2], seed=3)),
    "batch norm per channel, over batch and group": lambda z: nn.BatchNorm1d(z.shape[1]).double()(z),
    "batch norm over the flattened features": lambda z: (  # one mean and one variance for each entry (c, g)
        nn.BatchNorm1d(z[0].numel()).double()(z.flatten(1)).view_as(z)
    ),
    "ReLU": torch.relu,
    "a learned table (C, |G|), added to every sample": lambda z: z + noise(*z.shape[1:], seed=3),
    "softmax over the group axis": lambda z: z.softmax(dim=2),
    "sort each channel along the group axis": lambda z: z.sort(dim=2).values,
}
WHY = {
    "a linear map of the channels, the same for each element": "it never looks along the group axis",
    "flatten, then a linear map": "each element has weights of its own, which do not move with the turn",
    "batch norm per channel, over batch and group": "no turn of any sample changes these statistics",
    "batch norm over the flattened features": "when samples turn on their own, the statistics of an entry (c, g) "
    "change, and they are not the same for all g",
    "ReLU": "it looks at one number at a time",
    "a learned table (C, |G|), added to every sample": "the sample turns, the table does not",
    "softmax over the group axis": "it treats all elements alike",
    "sort each channel along the group axis": "it throws the orientation away, and so it absorbs every turn; that it "
    "loses something is another matter",
}


def harmless(answer: object) -> str:
    """The names of the ``HEADS`` behind which InfoNCE with "max" absorbs independent turns."""
    errors = {name: max(_change(name, group) for group in (cyclic(4), dihedral(4))) for name in HEADS}
    hint = "Ask of each head: when one sample turns, does anything but a permutation happen to its kappa?"
    return pick(answer, "head", errors, WHY, "Copy the names that the cell prints.", hint)


@cache
def _change(name: str, group: FiniteGroup) -> float:
    """How far InfoNCE with "max" behind a head moves when each sample of both views is turned on its own."""
    z1, z2 = noise(12, 3, group.order), noise(12, 3, group.order, seed=1)
    a, b = torch.randint(group.order, (2, 12), generator=torch.Generator().manual_seed(2))
    loss, head = InfoNCE(group, "max"), HEADS[name]
    upright = loss(head(z1), head(z2))
    turned = loss(head(group.transform_features(z1, a)), head(group.transform_features(z2, b)))
    return float((turned - upright).detach().abs())
