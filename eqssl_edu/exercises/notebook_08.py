"""The exercises of 08 to 08c: a step, a gap, a loss without negatives, a test, a variance, the turn, neighbours."""

from collections.abc import Callable

import torch
from torch import Tensor

from eqssl_edu.contrastive import InfoNCE, canonicalize, orbit_correlation
from eqssl_edu.exercises.judging import ask, judge, need, need_shape, noise, same, scalar
from eqssl_edu.exercises.verdict import second_hint
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral

__all__ = [
    "change_under_turns",
    "nearest_orbit",
    "relative_turn",
    "siamese_loss",
    "step_loss",
    "strictness",
    "variances",
]


@second_hint("views(images, draws) twice, network(...) of each, loss(...) of the two results.")
def step_loss(answer: object) -> str:
    """A function (network, loss, views, images, draws) -> the loss of two views of the images."""
    images, weight = noise(6, 3, seed=1), noise(3, 4, 2, seed=2)
    pairs: list[tuple[Tensor, Tensor]] = []

    def views(images: Tensor, draws: torch.Generator | None = None) -> Tensor:
        hint = "It is views(images, draws): then a seed decides what one sees."
        need(draws is not None, "A view is drawn without the generator.", hint)
        return images + torch.randn(images.shape, dtype=torch.float64, generator=draws)

    def network(images: Tensor) -> Tensor:
        return torch.tensordot(images, weight, dims=1)

    def loss(z1: Tensor, z2: Tensor) -> Tensor:
        pairs.append((z1, z2))
        return (z1 - z2).square().mean()

    value = ask(answer, network, loss, views, images, torch.Generator().manual_seed(3))
    value = scalar(value, "It must return one number, {got}.", "The last line is: return loss(...).")
    need(pairs, "It never calls loss.", "loss(z1, z2) takes the features of both views.")
    z1, z2 = pairs[-1]
    both = all(isinstance(z, Tensor) and z.shape == (6, 4, 2) for z in (z1, z2))
    reason = "What the loss gets are not features (B, C, |G|) of all images."
    need(both, reason, "network(...) makes features of views; each view has all images.")
    hint = "Draw twice: the second call of views(images, draws) gives other random numbers."
    need(not same(z1, z2), "It compares a view with itself.", hint)
    draws, clean = torch.Generator().manual_seed(3), network(images)
    raw = same(z1, clean) or same(z2, clean)
    need(not raw, "One of the two is no view, but the image as it came.", "The network sees views only.")
    wanted = loss(*(network(views(images, draws)) for _ in range(2)))
    reason = f"It gave {float(value):.4g}; the loss of the two views is {float(wanted):.4g}."
    judge(value, wanted, reason, {"Two views, their features, the loss, and nothing else.": True})
    return "Two views of each image, one loss."


@second_hint("own = s.diagonal().mean(); the others: (s.sum() - s.diagonal().sum()) / (B * (B - 1)).")
def strictness(answer: object) -> str:
    """A function (s, t) -> mean similarity to oneself minus mean similarity to strangers, over the temperature."""
    for s, t in ((noise(7, 7), 0.2), (noise(5, 5, seed=1), 0.5)):
        value = scalar(ask(answer, s, t), "It must return one number, {got}.", "Take the mean of each kind.")
        count, own, total = len(s), s.diagonal().mean(), s.sum() - s.diagonal().sum()
        gap = own - total / (count * (count - 1))
        hints = {
            "Divide by the temperature.": gap,
            "Strangers are all pairs but those of the diagonal.": [
                (own - s.mean()) / t,
                (own - total / count**2) / t,
            ],
            "The similarity to oneself comes first; that of strangers is subtracted.": -gap / t,
            "The temperature divides; it does not multiply.": gap * t,
            "s[i, i] is a letter with itself; every other entry is a pair of strangers.": True,
        }
        judge(value, gap / t, f"It gave {float(value):.4f}; the gap / t is {float(gap / t):.4f}.", hints)
    return "Own minus others, in units of the temperature."


@second_hint(
    "p1, p2 = predictor(z1), predictor(z2); then similarity(p1, stop(z2)) and similarity(p2, stop(z1))."
)
def siamese_loss(answer: object) -> str:
    """A function (predictor, stop, similarity, z1, z2) -> SimSiam's loss."""

    def told(loss: Callable, stop: Callable) -> Tensor:
        """The value, and the gradients for both views and for the predictor's weights, one after the other."""
        leaves = [noise(6, 3, 4), noise(6, 3, 4, seed=1), noise(3, 3, seed=2)]
        z1, z2, weight = (leaf.requires_grad_() for leaf in leaves)
        value = loss(lambda z: weight @ z, stop, lambda p, z: (p * z).sum(dim=(1, 2)), z1, z2)
        hint = "similarity gives one number for each image, (B,): take the mean."
        need(isinstance(value, Tensor) and value.numel() == 1, "It must return one number.", hint)
        need(value.requires_grad, "Nothing can be learned: no gradient flows.", "Stop one side only.")
        slopes = torch.autograd.grad(value.squeeze(), leaves, allow_unused=True, materialize_grads=True)
        return torch.cat([value.detach().reshape(1), *(slope.flatten() for slope in slopes)])

    def right(predictor, stop, s, z1, z2):
        return -(s(predictor(z1), stop(z2)) + s(predictor(z2), stop(z1))).mean() / 2

    mistakes = {
        "The gradient must not flow into what is guessed: stop(z) there.": lambda h, stop, s, z1, z2: right(
            h, lambda z: z, s, z1, z2
        ),
        "stop stands at the guess; it belongs to what is guessed.": lambda h, stop, s, z1, z2: (
            -(s(stop(h(z1)), z2) + s(stop(h(z2)), z1)).mean() / 2
        ),
        "Each view has to guess the *other* one.": lambda h, stop, s, z1, z2: (
            -(s(h(z1), stop(z1)) + s(h(z2), stop(z2))).mean() / 2
        ),
        "A high similarity must give a low loss: there is a minus.": lambda *x: -right(*x),
        "Two directions are added, so the sum is halved.": lambda *x: 2 * right(*x),
        "That is one direction; the other view guesses as well.": lambda h, stop, s, z1, z2: (
            -s(h(z1), stop(z2)).mean()
        ),
        "What is guessed does not go through the predictor.": lambda h, stop, s, z1, z2: (
            -(s(h(z1), stop(h(z2))) + s(h(z2), stop(h(z1)))).mean() / 2
        ),
    }
    value = told(lambda *given: ask(answer, *given), Tensor.detach)
    hints = {hint: told(wrong, Tensor.detach) for hint, wrong in mistakes.items()}
    hints["Two terms: the guess of one view beside the other view, which is stopped."] = True
    judge(value, told(right, Tensor.detach), "With stop = detach, its value or a gradient is another.", hints)
    value = told(lambda *given: ask(answer, *given), lambda z: z)
    hint = "Use the stop that it is given, not detach() itself: it is going to be switched off."
    judge(value, told(right, lambda z: z), "With stop switched off nothing changes.", {hint: True})
    return "Value and gradients are those of SimSiam, with the stop and without."


@second_hint(
    "a, b = two draws of torch.randint(group.order, (len(z1),), generator=draws); turn z1 by a, z2 by b."
)
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


@second_hint(
    "An invariant with as many numbers for each image as you like: sort each channel, or take its largest value."
)
def variances(answer: object) -> str:
    """A function z (B, C, |G|) -> (C,): a variance that no turn changes, that no collapse passes."""

    def of(z: Tensor) -> Tensor:
        value = need_shape(ask(answer, z), (z.shape[1],), "(C,), one number for each channel")
        return value.detach().double()

    z = noise(40, 3, 1)
    hint = "With |G| = 1 it has to be z[:, c, 0].var() over the batch, as in the standard loss."
    plain = z[:, :, 0].var(dim=0)
    reason = "With one element in the group it is not the variance over the batch."
    need(any(same(of(z), each) for each in (plain, plain * 39 / 40)), reason, hint)
    for group in (cyclic(4), dihedral(4)):
        z, table = noise(40, 3, group.order), noise(1, 3, group.order, seed=1).expand(40, -1, -1)
        elements = torch.randint(group.order, (40,), generator=torch.Generator().manual_seed(2))
        one_pose, turned = of(table), of(group.transform_features(table, elements))
        reason = f"Under {group.name} one table for all images, in one pose, has the variance {one_pose.max():.2g}."
        hint = "That is the variance along the group. Only what differs from image to image counts: dim=0."
        need(one_pose.max() < 1e-9, reason, hint)
        reason = (
            f"Under {group.name} one table, turned anew for each image, has the variance {turned.max():.2g}."
        )
        hint = "First make something of each channel that no turn changes; then its variance over the batch."
        need(turned.max() < 1e-9, reason, hint)
        healthy, moved = of(z), of(group.transform_features(z, elements))
        need(same(moved, healthy), f"Under {group.name} turns change it.", hint)
        reason = f"Under {group.name} features that differ from image to image have no variance."
        need(healthy.min() > 1e-6, reason, "An invariant that is the same for all images sees nothing.")
    return "No turn changes it, one table has none of it, and with |G| = 1 it is the usual variance."


@second_hint(
    "kappa = orbit_correlation(group, z, known) is (B, K, |G|); its largest value along g, then argmax over K."
)
def nearest_orbit(answer: object) -> str:
    """A function (group, known, labels, z) -> for each z the label of the known features in the nearest orbit."""
    for group in (cyclic(4), dihedral(4)):
        known = noise(30, 3, group.order)
        known = known / known.flatten(1).norm(dim=1)[:, None, None]
        labels = torch.arange(30) % 7 + 3
        chosen = torch.randperm(30, generator=torch.Generator().manual_seed(4))[:20]
        elements = torch.randint(group.order, (20,), generator=torch.Generator().manual_seed(5))
        z = group.transform_features(known[chosen], elements) + 0.02 * noise(20, 3, group.order, seed=6)
        z = z / z.flatten(1).norm(dim=1)[:, None, None]
        value = ask(answer, group, known, labels, z)
        value = need_shape(value, (20,), "(B,), one label for each z").long()
        kappa, expected = orbit_correlation(group, z, known), labels[chosen]
        hints = {
            "That is the place of the nearest; wanted is its label: labels[place].": kappa.amax(2).argmax(1),
            "That is the nearest as the features stand. Compare with all turned copies.": labels[
                kappa[..., 0].argmax(1)
            ],
            "That is the nearest of the pooled features: the mean of kappa. Take its largest value.": labels[
                kappa.mean(2).argmax(1)
            ],
            "That is the farthest one: a large kappa is a small distance.": labels[kappa.amax(2).argmin(1)],
            "For vectors of length 1 the squared distance of orbits is 2 - 2 max kappa.": True,
        }
        right = int((value == expected).sum())
        judge(value, expected, f"Under {group.name}, {right} of 20 labels are right.", hints)
    return "The nearest orbit, for C4 and for D4."


@second_hint(
    "orbit_correlation(group, z1, z2) is (B, B, |G|); its diagonal() over the first two axes is (|G|, B)."
)
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
