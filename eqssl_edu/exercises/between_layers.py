"""The exercises of notebooks 2c and 2d: what may stand between group convolutions, sizes that are exact, a network."""

from collections.abc import Callable
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eqssl_edu.diagnostics import equivariance_error as library_error
from eqssl_edu.errors import got
from eqssl_edu.exercises.four_tests import EXACT, as_layer, four_tests, of_class
from eqssl_edu.exercises.judging import ask, judge, need, noise, number, pick, same, truth
from eqssl_edu.exercises.verdict import second_hint
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.layers import is_exact

__all__ = ["STEPS", "exact_rule", "exact_size", "halve", "harmless", "network", "norm"]

C4, D4 = cyclic(4), dihedral(4)


@second_hint(
    "Bring (B, C, |G|, H, W) into four axes, so that the |G| maps of a channel are one tall map; norm; and back."
)
def norm(answer: object) -> str:
    """A class (channels): batch norm of regular maps with statistics, scale and shift shared along the group axis."""
    maps = noise(6, 2, 4, 5, 5) * torch.arange(1.0, 5).double()[:, None, None] + noise(2, 1, 1, 1, seed=3)
    own, moves = torch.arange(6) % 4, (C4.transform_maps, C4.transform_maps)

    def each_map(x: Tensor, w: Tensor) -> Tensor:
        return torch.stack([F.batch_norm(z, None, None, w[:2], w[2:], True) for z in x.unbind(2)], dim=2)

    alone = "Each of the |G| maps has statistics of its own. Which numbers belong together?"
    for mode in ("training", "evaluation"):
        module = of_class(answer, 2)
        layer, weight, _ = as_layer(module)
        shared = nn.BatchNorm3d(2).double()
        for norm_layer in (module, shared):
            ask(norm_layer, maps)  # the running statistics learn
            norm_layer.train(mode == "training")
        many = "It has a scale and a shift for each of the 8 planes, and there are 2 channels."
        need(weight.numel() != 16, many, "A channel has |G| planes. What do they share?")
        axes, where = "(B, C, |G|, H, W)", f"In {mode} mode"
        four_tests(layer, maps, weight, C4, moves, maps, axes, 4, {alone: each_map}, where)
        wish = C4.transform_maps(layer(maps, weight), own)
        error = (layer(C4.transform_maps(maps, own), weight) - wish).norm() / wish.norm()
        reason = f"{where}: when each sample turns by its own g, the error is {error:.2g}."
        need(
            error < EXACT,
            reason,
            "Which numbers must have one mean together, whichever way each sample turns?",
        )
        reason = f"{where}: it is equivariant, but no batch norm over (B, |G|, H, W)."
        alike = same(ask(module, maps), shared(maps))
        need(alike, reason, "Which numbers make the mean and the variance of a channel?")
    return "It passes all four tests in both modes, and stands turns of each sample's own."


CASES = list(product(range(6, 17), range(1, 7), range(1, 5), range(3)))  # size, kernel, stride, padding


@second_hint("The windows step by s from the left border. After the last one, how many pixels are left over?")
def exact_rule(answer: object) -> str:
    """A function (S, k, s, p) -> is such a window exact?"""
    exact = torch.tensor([is_exact(*case) for case in CASES])
    how = "It must say yes or no to every case", "Return True or False, as a comparison gives it."
    said = torch.tensor([truth(ask(answer, *case), *how) for case in CASES])
    wrong = [case for case, right in zip(CASES, said == exact, strict=True) if not right]
    rules: dict[str, Callable[..., bool]] = {
        "Stride 1 is always exact, right. Which number stays the same along a green stripe of stride 3?": (
            lambda S, k, s, p: s == 1
        ),
        "Padding moves the stripes. How many pixels does it add to a row?": lambda S, k, s, p: (
            (S - k) % s == 0
        ),
        "Zeros are padded on both sides.": lambda S, k, s, p: (S + p - k) % s == 0,
        "The kernel moves the stripes too.": lambda S, k, s, p: (S + 2 * p) % s == 0,
        "Right for stride 2 alone. Look at stride 3 and 4.": lambda S, k, s, p: s == 1 or (S - k) % 2 == 0,
        "It says yes where the layer is off, and no where it is exact.": lambda S, k, s, p: (
            (S + 2 * p - k) % s != 0
        ),
    }
    hints = {
        text: bool((said == torch.tensor([rule(*case) for case in CASES])).all())
        for text, rule in rules.items()
    }
    first = "" if not wrong else "S = {}, k = {}, s = {}, p = {}".format(*wrong[0])
    reason = f"Wrong in {len(wrong)} of {len(CASES)} cases; the first is {first}."
    hints["Set the sliders of the table to that case, and look at its neighbours along the stripe."] = True
    judge(len(wrong), 0, reason, hints)
    return f"Right in all {len(CASES)} cases."


@second_hint(
    "By the rule: for even S a window of 2, for odd S a window of 3 with padding 1. One formula can say both."
)
def halve(answer: object) -> str:
    """A function maps (B, C, |G|, S, S) -> means on a grid of half the size, exact at every size."""
    for size in (8, 7, 9, 10):
        maps, start = noise(2, 3, 8, size, size), f"At {size} x {size} pixels"
        value = ask(answer, maps)
        reason = f"{start} the answer must be maps (B, C, |G|, S', S'), {got(value)}."
        fine = isinstance(value, Tensor) and value.shape[:3] == maps.shape[:3] and value.ndim == 5
        need(fine, reason, "Pool the planes (B, C|G|, S, S), and unflatten them again.")
        height, width = value.shape[-2:]
        half = height == width and width in (size // 2, -(-size // 2))
        need(half, f"{start} it gives {height} x {width} pixels.", "Half the size: a stride of 2.")
        need(
            value.isfinite().all(),
            f"{start} it gives NaN or infinity.",
            "Means of finite numbers are finite.",
        )
        need(value.norm() > 0, f"{start} it gives zeros.", "Pool the numbers that it was given.")
        error = library_error(answer, maps, D4, D4.transform_maps, D4.transform_maps).max()
        reason = f"{start} it is not equivariant: the error is {error:.2g}."
        need(
            error < EXACT,
            reason,
            f"Try your rule for S = {size}, a stride of 2, your window and your padding.",
        )
        mean = same(ask(answer, -maps), -value)
        need(
            mean,
            f"{start} it is no mean: of the negative numbers it does not give the negative.",
            "Take means.",
        )
        ones = ask(answer, torch.ones_like(maps))
        reason = f"{start} maps of ones become numbers between {ones.min():.2f} and {ones.max():.2f}."
        need(same(ones, torch.ones_like(ones)), reason, "A mean does not count the zeros of the padding.")
        dots = torch.zeros(size**2, 2, 8, size, size, dtype=torch.float64)  # each with a single bright pixel
        dots[:, 0, 0] = torch.eye(size**2).view(-1, size, size)
        seen = ask(answer, dots).double()
        unseen = int((seen[:, 0, 0].flatten(1).norm(dim=1) == 0).sum())
        reason = f"{start} it ignores {unseen} of {size**2} pixels."
        need(unseen == 0, reason, "Every pixel is part of some window.")
        places = [torch.arange(n).double() - (n - 1) / 2 for n in (size, width)]
        far = (places[0][:, None] - 2 * places[1]).abs() > 3  # [row, row of the result]
        seen[:, 0, 0] *= far.repeat_interleave(size, 0)[:, :, None] | far.repeat(size, 1)[:, None]
        reason = f"{start} a single bright pixel shows up far from its place, or in another map."
        need(seen.norm() == 0, reason, "Each number is the mean of one small window, of one map.")
    return "Exact for even and odd sizes; ones stay ones, and no pixel is ignored."


@second_hint(
    "Write a line for each layer: S, then S + 2p - k, then the size of its output. Start again with S + 1."
)
def exact_size(answer: object) -> str:
    """The smallest size of at least 30 at which three layers k3 s2 p1 in a row are all exact."""
    hint = "Write one whole number."
    size = number(answer, "The answer must be a whole number of pixels", hint, whole=True)
    need(size >= 30, f"{size} is less than 30.", "Start at 30 and go up.")

    def sizes(start: int) -> list[int]:
        """The sizes of the maps, from layer to layer, as long as the layers are exact."""
        found = [start]
        while len(found) < 4 and is_exact(found[-1], 3, 2, 1):
            found.append((found[-1] - 1) // 2 + 1)
        return found

    chain = " -> ".join(map(str, sizes(size)))
    exact = len(sizes(size)) - 1
    reason = f"At {size} already the first layer is not exact: S + 2p - k = {size - 1} is odd."
    need(exact > 0, reason, "By rule E1 a stride of 2 leaves one column over.")
    reason = f"At {size} only {exact} of 3 layers are exact: {chain}, then no more."
    need(exact == 3, reason, f"The next layer sees {sizes(size)[-1]} pixels: try the rule on that.")
    smaller = any(len(sizes(start)) == 4 for start in range(30, min(size, 100)))
    need(
        not smaller,
        f"{size} does it, but a smaller size does too.",
        "Try the sizes from 30 on, one after the other.",
    )
    return f"All three are exact: {chain} pixels."


@second_hint(
    "Two times the same four lines: HalvingPool2d, GroupConv2d, GroupBatchNorm2d, ReLU; 8 to 16, then 16 to 32."
)
@torch.no_grad()
def network(answer: object) -> str:
    """A class (group): images (B, 1, S, S) to regular features (B, 32, |G|), with three convolutions or more."""
    for group in (C4, D4):
        module = of_class(answer, group)
        for seed, part in enumerate(module.parameters()):
            part.data += 0.1 * noise(*part.shape, seed=seed)
        for size, mode in product((16, 15), ("training", "evaluation")):
            module.train(mode == "training")
            images, where = (
                noise(4, 1, size, size),
                f"Over {group.name}, at {size} x {size} pixels, in {mode} mode",
            )
            features = ask(module, images)
            shape = tuple(getattr(features, "shape", ()))
            channels = f"{shape[1]} channels" if len(shape) == 3 else f"a result of shape {shape}"
            reason = f"It gives {channels}; wanted were features (B, 32, {group.order})."
            need(shape == (4, 32, group.order), reason, "Which stage changes the number of channels?")
            need(
                features.isfinite().all(),
                f"{where}: it gives NaN or infinity.",
                "Norms and means are finite.",
            )
            turned = [ask(module, group.transform(images, g)) for g in group.elements]
            wishes = [group.transform_features(features, g) for g in group.elements]
            still = same(features.mean(dim=2, keepdim=True).expand_as(features), features)
            reason = f"{where} its features no longer move along the group axis."
            need(not still, reason, "They are the same for every element: something pooled over the group.")
            error = max(float((a - b).norm() / b.norm()) for a, b in zip(turned, wishes, strict=True))
            hint = "Which stage knows a place on the grid or on the group axis? Is the halving exact at this size?"
            need(error < EXACT, f"{where} it is not equivariant: the error is {error:.2g}.", hint)
            alone = mode == "training" or same(ask(module, images[1:2]), features[1:2], EXACT)
            reason = f"{where} the features of an image change when other images are left out."
            need(alone, reason, "What is added up over the batch, axis 0?")
        count = sum(part.ndim > 3 for part in module.parameters())
        need(count >= 3, f"It has {count} convolutions; wanted were three.", "One stage lifts, two follow.")
    return "Equivariant over C4 and D4, at even and odd sizes, in both modes."


# What may stand between two group convolutions on maps (B, C, |G|, H, W)?
STEPS: dict[str, Callable[[Tensor], Tensor]] = {
    "ReLU": torch.relu,
    "softmax over the group axis": lambda maps: maps.softmax(dim=2),
    "one bias for each channel": lambda maps: maps + noise(maps.shape[1], 1, 1, 1, seed=2),
    "one bias for each channel and element": lambda maps: maps + noise(*maps.shape[1:3], 1, 1, seed=2),
    "sort along the group axis": lambda maps: maps.sort(dim=2).values,
    "one factor for each element": lambda maps: maps * noise(maps.shape[2], 1, 1, seed=3),
    "one matrix that mixes the channels": lambda maps: torch.einsum(
        "dc,bcghw->bdghw", noise(3, 3, seed=4), maps
    ),
    "subtract the mean of each map": lambda maps: maps - maps.mean(dim=(-2, -1), keepdim=True),
}
WHY = {
    "softmax over the group axis": "it treats all elements alike, so a permutation of them passes through",
    "one bias for each channel": "the same number is added to all elements and all pixels of a channel",
    "one bias for each channel and element": "a turn carries map h to place gh, but the bias stays",
    "sort along the group axis": "the sorted values forget which element they came from and stay put",
    "one factor for each element": "a turn carries map h to place gh, but the factor stays",
    "one matrix that mixes the channels": "it is the same matrix at every element and every pixel",
    "subtract the mean of each map": "each map loses its own mean, wherever the map stands",
    "ReLU": "it looks at one number at a time",
}


@second_hint(
    "Two things move in a turn: places on the grid, and maps along the group axis. Channels never move."
)
def harmless(answer: object) -> str:
    """The set of the steps in ``STEPS`` that commute with the action on regular maps."""
    maps, turn = noise(2, 3, D4.order, 6, 6), D4.transform_maps
    errors = {name: float(library_error(step, maps, D4, turn, turn).max()) for name, step in STEPS.items()}
    hint = "Ask of each step: turn the maps first or last, is the result the same? Mind planes and grid."
    return pick(answer, "step", errors, WHY, "Write a list of names, as the cell prints them.", hint)
