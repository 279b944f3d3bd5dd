"""The exercises of notebook 10b: one's own symmetrisation, the soft loss, and what moves."""

from collections.abc import Callable

import torch
from torch import Tensor

from eqssl_edu.exercises.judging import ask, judge, noise, scalar
from eqssl_edu.exercises.verdict import second_hint
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral

__all__ = ["moving_energy", "soft_loss", "symmetrised"]


@second_hint(
    "Stack over g: group.transform_features(f(group.transform(images, g)), int(group.inverse[g])); then the mean."
)
def symmetrised(answer: object) -> str:
    """A function (group, f, images) -> S f(x), the mean over g of rho(g)^-1 f(g x)."""
    for group in (cyclic(4), dihedral(4)):
        images, f = noise(5, 1, 4, 4), _tables(group)
        turned = [f(group.transform(images, g)) for g in group.elements]
        back = _each(group, turned, lambda g, group=group: int(group.inverse[g]))
        hints = {
            "That is the sum; take the mean over the group.": back.sum(dim=0),
            "The features turn with the image; turn them back before the mean: rho(g)^-1.": torch.stack(
                turned
            ).mean(dim=0),
            "The features are turned further, not back: the inverse of g is group.inverse[g].": _each(
                group, turned, int
            ).mean(dim=0),
            "That is f itself, turned forth and back: the *image* has to be turned, before f.": f(images),
            "For each g: turn the image by g, apply f, turn the features back by g.": True,
        }
        value = ask(answer, group, f, images)
        reason = f"Under {group.name} it is not the mean of what the turned copies say."
        judge(value, back.mean(dim=0), reason, hints, "(B, C, |G|), as f gives them")
    return "The mean of what all turned copies say, each turned back; for C4 and for D4."


def _tables(group: FiniteGroup) -> Callable[[Tensor], Tensor]:
    """Some f, images (B, 1, 4, 4) -> (B, 3, |G|)."""
    weight = noise(16, 3 * group.order, seed=1)
    return lambda x: torch.tanh(x.flatten(1) @ weight).unflatten(1, (3, group.order))


def _each(group: FiniteGroup, tables: list[Tensor], turn: Callable[[int], int]) -> Tensor:
    return torch.stack([group.transform_features(tables[g], turn(g)) for g in group.elements])


@second_hint(
    "For each h the images y = group.transform(images, h); for each g the difference of f(group.transform(y, g)) and "
    "group.transform_features(f(y), g); .square().sum(dim=(1, 2)).mean(); the mean over all g and h."
)
def soft_loss(answer: object) -> str:
    """A function (group, f, images) -> the mean over y = hx and g of |f(gy) - rho(g) f(y)|^2."""
    for group in (cyclic(4), dihedral(4)):
        images, f, G = noise(5, 1, 4, 4), _tables(group), group.elements

        def differences(y: Tensor, sense: int = 1, group: FiniteGroup = group, f: Callable = f) -> Tensor:
            by = [g if sense > 0 else int(group.inverse[g]) for g in group.elements]
            turned = [f(group.transform(y, g)) for g in group.elements]
            return torch.stack(turned) - _each(group, [f(y)] * group.order, by.__getitem__)

        def mean(parts: list[Tensor], reduce: Callable = torch.sum) -> Tensor:
            return reduce(torch.stack(parts).square(), dim=(-2, -1)).mean()

        everything = [differences(group.transform(images, h)) for h in G]
        away = [differences(group.transform(images, h), -1) for h in G]
        wanted = mean(everything)
        hints = {
            "Only upright images were asked. A turned image y = hx is an image too: all h.": mean(
                [everything[0]]
            ),
            "One g is not enough: all of them.": [mean([part[g] for part in everything]) for g in (1, 2, 3)],
            "A length counts the squares of all entries: the sum over (C, |G|), then the mean.": mean(
                everything, torch.mean
            ),
            "Over images, g and h it is a mean.": [
                wanted * count
                for count in (5, group.order, 5 * group.order, group.order**2, 5 * group.order**2)
            ],
            "The identity is one of the g: its difference is 0, and it counts.": wanted
            * group.order
            / (group.order - 1),
            "rho(g) f(y) is turned in the wrong sense: group.transform_features(f(y), g).": mean(away),
            "That is the distance to S f: the loss is twice that.": wanted / 2,
            "f of the turned image, minus f of the image, its features turned; squared, summed over (C, |G|).": True,
        }
        value = ask(answer, group, f, images)
        value = scalar(value, "It must return one number, {got}.", "Take the mean over everything.")
        reason = f"Under {group.name} it gave {float(value):.4g}; the mean is {float(wanted):.4g}."
        judge(value, wanted, reason, hints)
    return "The mean over all turned images and all g; for C4 and for D4."


@second_hint("(z - z.mean(dim=1, keepdim=True)).square().sum(dim=2).mean()")
def moving_energy(answer: object) -> str:
    """A function z (B, |G|, D) -> the mean squared distance of f(kx) from the mean over k."""
    for shape in ((7, 4, 5), (6, 8, 3)):
        z = noise(*shape) + 2 * noise(shape[0], 1, shape[2], seed=1) + 3
        apart = (z - z.mean(dim=1, keepdim=True)).square()
        wanted = apart.sum(dim=2).mean()
        value = scalar(
            ask(answer, z), "It must return one number, {got}.", "Take the mean over images and turns."
        )

        def lengths(centre: Tensor, z: Tensor = z) -> Tensor:
            return (z - centre).square().sum(dim=2).mean()

        hints = {
            "That is the energy about one mean for all: what differs from image to image is in it.\n"
            "Each image has a mean of its own, over its turns: keepdim=True keeps the shape.": lengths(
                z.mean(dim=(0, 1))
            ),
            "That is all energy, nothing was taken away.\nTake the mean over the turns away first.": lengths(
                torch.zeros(())
            ),
            "That is the mean over images: it leaves what differs from image to image.": lengths(
                z.mean(dim=0)
            ),
            "A length counts the squares of all D numbers: their sum, not their mean.": apart.mean(),
            "Over images and turns it is a mean.": [
                apart.sum(),
                apart.sum() / shape[0],
                apart.sum() / shape[1],
            ],
            "Divide by |G|, not by |G| - 1: no sample is estimated, these are all turns.": wanted
            * shape[1]
            / (shape[1] - 1),
            "The energy is the square: no root.": [wanted.sqrt(), apart.sum(dim=2).sqrt().mean()],
            "Minus the mean over dim=1, squared, summed over dim=2; the mean of what is left.": True,
        }
        reason = f"It gave {float(value):.4g}; what moves is {float(wanted):.4g}."
        judge(value, wanted, reason, hints)
    return "What moves, and nothing else."
