"""The exercises of notebook 02: the error of a layer, an exact size, another lifting, harmless steps."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from eqssl_edu.diagnostics import equivariance_error as library_error
from eqssl_edu.errors import got
from eqssl_edu.exercises.judging import Calls, ask, judge, need, noise, number, pick, scalar
from eqssl_edu.exercises.verdict import second_hint
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.layers import LiftingConv2d, is_exact

__all__ = ["equivariance_error", "exact_size", "harmless", "lifting"]


def equivariance_error(answer: object) -> str:
    """A function (f, images, group, g) -> relative error of f(g x) against g f(x)."""
    group, x, kernel = dihedral(4), noise(2, 1, 6, 6), noise(3, 1, 3, 3, seed=1)
    convolution = partial(F.conv2d, weight=kernel, padding=1)

    def error(f: Callable[[Tensor], Tensor], g: int) -> Tensor:
        value = ask(answer, f, x, group, g)
        reason = f"The error must be a number, {got(value)}."
        need(hasattr(value, "__float__"), reason, "Return the quotient of the two norms.")
        hint = "One number for the whole batch: take each norm over all images and pixels together."
        return scalar(value, "It gave {count} numbers; wanted was one.", hint)

    for g in (1, 5):
        value = error(convolution, g)
        wanted = library_error(convolution, x, group, transform_outputs=group.transform)[g]
        y, y_turned = convolution(x), convolution(group.transform(x, g))
        difference = y_turned - group.transform(y, g)
        unturned = (y_turned - y).norm() / y.norm()
        back = (y_turned - group.transform(y, int(group.inverse[g]))).norm() / y.norm()
        absolute, mean = [difference.norm(), difference.abs().max()], difference.mean()
        hints = {
            "You compared f(g x) with f(x). A turned input gives a turned output: turn f(x) as well.": unturned,
            "That is an absolute error; it grows with the weights. Divide by the norm of f(x).": absolute,
            "You turned f(x) back instead of forth: use g, not its inverse.": back,
            "Positive and negative differences cancel in a mean. Take the norm of the difference.": mean,
            "The formula is norm(f(g x) - g f(x)) / norm(f(x)), with group.transform for both turns.": True,
        }
        reason = f"For a random convolution and g = {g} it gave {value:.4f}; the error is {wanted:.4f}."
        judge(value, wanted, reason, hints)
    reason = "ReLU commutes with every turn, but the error is not 0."
    judge(error(torch.relu, 1), 0.0, reason, {"Does the function use its argument f?": True})
    return "Right for a convolution (it fails) and for ReLU (it passes)."


def exact_size(answer: object) -> str:
    """The smallest size of at least 30 at which three layers k3 s2 p1 in a row are all exact."""
    hint = "Write the size that the slider shows."
    size = number(answer, "The answer must be a whole number of pixels", hint, whole=True)

    def sizes(start: int) -> list[int]:
        """The sizes of the maps, from layer to layer, as long as the layers are exact."""
        found = [start]
        while len(found) < 4 and is_exact(found[-1], 3, 2, 1):
            found.append((found[-1] - 1) // 2 + 1)
        return found

    smallest = next(start for start in range(30, 40) if len(sizes(start)) == 4)
    need(size <= smallest, f"{size} is too large: a smaller size does it too.", "Try every size from 30 on.")
    need(size >= 30, f"{size} is less than 30.", "Start the slider S at 30 and go up.")
    *exact, last = sizes(size)
    chain = " -> ".join(map(str, sizes(size)))
    hints = {
        f"At {size} already the first layer is red.\n"
        f"S + 2p - k = {size} + 2 - 3 is odd, so a stride of 2 leaves one column over.": not exact,
        f"At {size} only {len(exact)} of 3 layers are green: {chain}, then red.\n"
        f"The next layer sees {last} pixels. Set S to {last} and look.": True,
    }
    judge(size, smallest, "", hints)
    return f"All three are green: {chain} pixels."


@second_hint(
    "A loop over group.elements: the inverse of g turns the image, one convolution, and g turns its result."
)
def lifting(answer: object) -> str:
    """A function (images, kernel, group) -> lifted maps, by turning the images and never the kernel."""
    for group in (cyclic(4), dihedral(4)):
        x, kernel = noise(2, 3, 7, 7), noise(5, 3, 3, 3, seed=1)
        layer = LiftingConv2d(group, 3, 5, 3, bias=False)  # 5: no axis is as long as another
        layer.weight = torch.nn.Parameter(kernel)
        expected = layer(x).detach()
        with Calls() as calls:
            value = ask(answer, x, kernel, group)
        not_back = torch.stack([F.conv2d(group.transform(x, int(h)), kernel) for h in group.inverse], dim=2)
        swapped, never = expected[:, :, group.inverse], F.conv2d(x, kernel)[:, :, None].expand_as(expected)
        hints = {
            "You turned the image and forgot to turn the result back: map g must lie on the grid of x.": not_back,
            "The two turns are swapped. Undo g on the image (its inverse), convolve, then do g.": swapped,
            "All maps are equal: inside the loop nothing depends on g.": never,
            "Map g lies on the grid of x, and answers where the kernel, turned by g, would. Which turns do that?": True,
        }
        reason = f"Under {group.name} the maps differ from the library's LiftingConv2d."
        judge(value, expected, reason, hints, "(B, C', |G|, H', W'), the group third")
        reason = "The maps are right, but a convolution saw another kernel than the one that was given."
        hint = "That is the first way to lift. Here the kernel stays as it is, and only images are turned."
        for function, given, named in calls.seen:
            if function is torch.conv2d:
                weight = named["weight"] if "weight" in named else given[1]
                need(torch.equal(weight, kernel), reason, hint)
    return "The same maps as the library's for C4 and D4, and no convolution saw a turned kernel."


# What may stand between two group convolutions on maps (B, C, |G|, 16, 16)?
STEPS: dict[str, Callable[[Tensor], Tensor]] = {
    "ReLU": torch.relu,
    "softmax over the group axis": lambda maps: maps.softmax(dim=2),
    "one bias for each channel": lambda maps: maps + noise(maps.shape[1], 1, 1, 1, seed=2),
    "one bias for each channel and element": lambda maps: maps + noise(*maps.shape[1:3], 1, 1, seed=2),
    "sort along the group axis": lambda maps: maps.sort(dim=2).values,
    "max-pool 2 x 2, stride 2": lambda maps: F.max_pool3d(maps, (1, 2, 2)),
    "max-pool 3 x 3, stride 2": lambda maps: F.max_pool3d(maps, (1, 3, 3), (1, 2, 2)),
    "subtract the mean of each map": lambda maps: maps - maps.mean(dim=(-2, -1), keepdim=True),
}
WHY = {
    "softmax over the group axis": "it treats all elements alike, so a permutation of them passes through",
    "one bias for each channel": "the same number is added to all elements and all pixels of a channel",
    "one bias for each channel and element": "a turn carries map h to place gh, but the bias stays",
    "sort along the group axis": "the sorted values forget which element they came from and stay put",
    "max-pool 2 x 2, stride 2": "on 16 x 16, S + 2p - k = 14 is a multiple of the stride 2",
    "max-pool 3 x 3, stride 2": "on 16 x 16, S + 2p - k = 13 is no multiple of the stride 2",
    "subtract the mean of each map": "each map loses its own mean, wherever the map stands",
    "ReLU": "it looks at one number at a time",
}


def harmless(answer: object) -> str:
    """The set of the steps in ``STEPS`` that commute with the action on regular maps."""
    group = dihedral(4)
    maps, turn = noise(2, 3, group.order, 16, 16), group.transform_maps
    errors = {name: float(library_error(step, maps, group, turn, turn).max()) for name, step in STEPS.items()}
    hint = "Ask of each step: turn the maps first or last, is the result the same? Mind planes and grid."
    return pick(answer, "step", errors, WHY, "Write a list of names, as the cell prints them.", hint)
