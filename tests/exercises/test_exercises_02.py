"""The checks of notebooks 2, 2b, 2c and 2d."""

import numpy as np
import torch
import torch.nn.functional as F
from exercise_checks import ExerciseChecks
from torch import nn

from eqssl_edu import layers

NOTEBOOKS = ("02_group_convolutions", "02b_between_maps", "02c_exact_sizes", "02d_network")


def error(formula):
    """An answer to 02.equivariance_error; the formula takes f(x), f(g x), g f(x) and g^-1 f(x)."""

    def answer(f, x, group, g):
        turned, forth, back = f(group.transform(x, g)), group.transform(f(x), g), group.inverse[g]
        return formula(f(x), turned, forth, group.transform(f(x), int(back)))

    return answer


class Convolution(nn.Module):
    """What both answers with copies have in common; ``dim`` 0 lays the copies in the wrong order."""

    dim, numbers = 1, None

    fixed, last = {}, staticmethod(lambda maps: maps)

    def __init__(self, group, in_channels, out_channels, kernel_size, stride=1, padding=0, bias=True):
        super().__init__()
        self.group, self.stride, self.padding = group, self.fixed.get("stride", stride), padding
        bias = self.fixed.get("bias", bias)
        planes = [] if self.lifts else [group.order]
        shape = (out_channels, in_channels, *planes, kernel_size, kernel_size)
        self.weight = nn.Parameter(torch.randn(self.numbers(shape) if self.numbers else shape))
        self.bias = nn.Parameter(torch.zeros(out_channels)) if bias else None

    def forward(self, x):
        stacked = torch.stack([self.copy(g) for g in self.group.elements], dim=self.dim).flatten(0, 1)
        bias = None if self.bias is None else self.bias.repeat_interleave(self.group.order)
        out = F.conv2d(x.flatten(1, -3), stacked.flatten(1, -3), bias, self.stride, self.padding)
        return self.last(out.unflatten(1, (-1, self.group.order)))


class LiftingWithin(nn.Module):
    """Right: a Conv2d inside holds the weights, and the images turn back in place of the filters."""

    def __init__(self, group, in_channels, out_channels, kernel_size, stride=1, padding=0, bias=True):
        super().__init__()
        self.group, self.inner = (
            group,
            nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding, bias=False),
        )
        self.offset = nn.Parameter(torch.zeros(1, out_channels, 1, 1, 1)) if bias else 0

    def forward(self, x):
        copies = [self.group.transform(self.inner.weight, g) for g in self.group.elements]
        outputs = [F.conv2d(x, copy, None, self.inner.stride, self.inner.padding) for copy in copies]
        return torch.stack(outputs, dim=2) + self.offset


BOWL = (torch.arange(6) - 2.5).abs()[:, None] + (torch.arange(6) - 2.5).abs()


def turned(group, w, g):
    return group.transform(w, g)


def convolution(lifts, copy, **more):
    """A class of such layers, whose copies are ``copy(group, weight, g)``; a stride or a bias ignores the argument."""
    more["fixed"] = {key: more.pop(key) for key in ("stride", "bias") if key in more}
    own = {"lifts": lifts, "copy": lambda self, g: copy(self.group, self.weight, g)}
    return type(
        "Answer", (Convolution,), own | {k: staticmethod(v) if callable(v) else v for k, v in more.items()}
    )


def back(group, g):
    return int(group.inverse[g])


def angle_only(group, w, g):
    """The colleague's layer, for every group: planes of mutually inverse elements are taken for one."""
    apart = group.product[group.inverse[g]]
    return group.transform(w[:, :, torch.minimum(apart, group.inverse[apart])], g)


def normed(forward, parent=nn.BatchNorm2d):
    return type("Norm", (parent,), {"forward": forward})


class PlaneNorm(nn.Module):
    """The obvious norm: statistics for each plane."""

    def __init__(self, channels):
        super().__init__()
        self.norm = nn.BatchNorm2d(4 * channels)

    def forward(self, maps):
        return self.norm(maps.flatten(1, 2)).unflatten(1, (-1, 4))


class Affine(nn.Module):
    """Equivariant, with all its parameters, and no norm."""

    def __init__(self, channels):
        super().__init__()
        self.weight, self.bias = (nn.Parameter(torch.ones(channels)) for _ in range(2))

    def forward(self, maps):
        return maps * self.weight[:, None, None, None] + self.bias[:, None, None, None]


def kernels(layer, flat=True):
    found = []
    with torch.no_grad():
        for i in range(layer.weight.numel()):
            layer.weight.zero_().view(-1)[i] = 1
            found.append(layer.expanded_weight().flatten())
    return torch.stack(found)


def pooled(window, padding=lambda odd: odd, **options):
    """Means over windows that may depend on whether the size is odd."""

    def answer(maps):
        odd = maps.shape[-1] % 2
        planes = F.avg_pool2d(maps.flatten(1, 2), window(odd), 2, padding(odd), **options)
        return planes.unflatten(1, maps.shape[1:3])

    return answer


def subsampled(maps):
    """Exact at every size; at odd ones it looks at every other pixel only."""
    odd = maps.shape[-1] % 2
    return (
        maps[..., ::2, ::2] if odd else F.avg_pool2d(maps.flatten(1, 2), 2, 2).unflatten(1, maps.shape[1:3])
    )


def network(*widths, first=layers.LiftingConv2d, last=None, flaw=None):
    """A class of networks of three stages, with a flaw perhaps behind its first layer."""

    class Network(nn.Module):
        def __init__(self, group):
            super().__init__()
            width, parts = widths[0], [first(group, 1, widths[0], 3, padding=1), *([flaw()] if flaw else [])]
            for wider in widths[1:]:
                convolution = layers.GroupConv2d(group, width, wider, 3, padding=1)
                parts += [
                    nn.ReLU(),
                    layers.HalvingPool2d(),
                    convolution,
                    layers.GroupBatchNorm2d(group, wider),
                ]
                width = wider
            self.stages = nn.Sequential(*parts)

        def forward(self, images):
            return (last or (lambda maps: maps))(self.stages(images).mean(dim=(-2, -1)))

    return Network


def pooled_over_group(features):
    return features.mean(dim=2, keepdim=True).expand_as(features)


class PlaneBias(nn.Module):
    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.randn(8, 1, 1))

    def forward(self, maps):
        return maps * self.bias[: maps.shape[2]]


class WrongStride(nn.Module):
    def forward(self, maps):
        return F.avg_pool3d(maps, (1, 3, 3), (1, 2, 2), (0, 1, 1))


HARMLESS = {"ReLU", "softmax over the group axis", "one bias for each channel"}
HARMLESS |= {"one matrix that mixes the channels", "subtract the mean of each map"}
# Typical mistakes, each with words of the reason or of the hint that is made for it.
MISTAKES = {
    "02.equivariance_error": {
        "A turned input gives a turned output": error(lambda y, turned, forth, back: (turned - y).norm() / y.norm()),
        "it grows with the weights": error(lambda y, turned, forth, back: (turned - forth).norm()),
        "back instead of forth": error(lambda y, turned, forth, back: (turned - back).norm() / y.norm()),
        "cancel": error(lambda y, turned, forth, back: (turned - forth).mean()),
        "One number for the whole batch": error(lambda y, turned, forth, back: (turned - forth).norm(dim=1)),
        "Return the quotient of the two norms": lambda f, x, group, g: "0.5",
    },
    "02.lifting": {
        "All |G| copies are the same": convolution(True, lambda group, w, g: w),
        "the wrong way": convolution(True, lambda group, w, g: group.transform(w, back(group, g))),
        "lie in another order": convolution(True, lambda group, w, g: group.transform(w, g), dim=0),
        "test 1, not trivial": convolution(True, lambda group, w, g: 0 * w),
        "test 2, equivariant": convolution(True, lambda group, w, g: group.transform(w, g).roll(1, -1)),
        "test 3, counted: it has 4 weights, and 36 can": convolution(
            True, lambda group, w, g: w.expand(-1, -1, 3, 3), numbers=lambda shape: (*shape[:-2], 1, 1)
        ),
        "Over C4: test 4, full rank: it is equivariant, but its 36 weights make only 20": convolution(
            True, lambda group, w, g: group.transform(w + w.flip((-2, -1)), g)
        ),
        "must be a class": lambda x, kernel, group: x,
        "It is not linear": convolution(True, turned, last=torch.relu),
        "when other samples are left out": convolution(True, turned, last=lambda z: z + z[:1]),
        "is not -1 times": convolution(True, lambda group, w, g: group.transform(w.abs(), g)),
        "no gradient": convolution(True, lambda group, w, g: group.transform(w.detach(), g)),
        "it has no bias": convolution(True, turned, bias=False),
        "every other pixel of the same maps": convolution(True, turned, stride=1),
        "at every place": convolution(True, turned, last=lambda z: z * BOWL[: z.shape[-1], : z.shape[-1]]),
    },
    "02.group_convolution": {
        "All |G| copies are the same": convolution(False, lambda group, w, g: w),
        "none has moved along the group axis": convolution(False, lambda group, w, g: group.transform(w, g)),
        "none is turned": convolution(False, lambda group, w, g: w[:, :, group.product[group.inverse[g]]]),
        "step the wrong way": convolution(False, lambda group, w, g: group.transform(w[:, :, group.product[g]], g)),
        "by the inverse of g": convolution(False, lambda group, w, g: group.transform_maps(w, back(group, g))),
        "lie in another order": convolution(False, lambda group, w, g: group.transform_maps(w, g), dim=0),
        "Over C4: test 4, full rank: it is equivariant, but its 144 weights make only 108": convolution(
            False, angle_only
        ),
    },
    "02.rank": {
        "must change inside the loop": lambda layer: int(torch.linalg.matrix_rank(kernels(layer)[:1].expand(12, -1))),
        "Every line of the matrix is zero": lambda layer: int(torch.linalg.matrix_rank(0 * kernels(layer))),
        "how many weights there are": lambda layer: layer.weight.numel(),
        "Flatten each kernel to one line": lambda layer: int(torch.linalg.matrix_rank(layer.expanded_weight())),
        "The rank must be a whole number": lambda layer: kernels(layer),
        "One line of the matrix for each weight": lambda layer: int(torch.linalg.matrix_rank(kernels(layer)[:2])),
    },
    "02.norm": {
        "its 4 weights make only 0 different maps": normed(lambda self, maps: maps),
        "each sample turns by its own g": normed(
            lambda self, maps: torch.stack([nn.BatchNorm2d.forward(self, z) for z in maps.unbind(2)], dim=2)
        ),
        "for each of the 8 planes, and there are 2 channels": PlaneNorm,
        "no batch norm over (B, |G|, H, W)": Affine,
        "must be a class": lambda maps: maps,
    },
    "02.harmless": {
        "Of the 8 steps, 1 is judged wrongly": HARMLESS | {"sort along the group axis"},
        "Of the 8 steps, 2 are judged wrongly": HARMLESS - {"ReLU"} | {"one factor for each element"},
        "The steps are": {"relu"},
        "Write a list of names": "ReLU",
    },
    "02.exact_rule": {
        "Which number stays the same along a green stripe": lambda S, k, s, p: s == 1,
        "How many pixels does it add": lambda S, k, s, p: (S - k) % s == 0,
        "on both sides": lambda S, k, s, p: (S + p - k) % s == 0,
        "The kernel moves the stripes": lambda S, k, s, p: (S + 2 * p) % s == 0,
        "Right for stride 2 alone": lambda S, k, s, p: s == 1 or (S - k) % 2 == 0,
        "It says yes where the layer is off": lambda S, k, s, p: bool((S + 2 * p - k) % s),
        "look at its neighbours along the stripe": lambda S, k, s, p: S % 2 == 1,
        "yes or no to every case": lambda S, k, s, p: S + 2 * p - k,
    },
    "02.halve": {
        "At 7 x 7 pixels it is not equivariant": pooled(lambda odd: 2, lambda odd: 0),
        "At 8 x 8 pixels it is not equivariant": pooled(lambda odd: 3, lambda odd: 1),
        "does not count the zeros": pooled(lambda odd: 2 + odd),
        "it is no mean": lambda maps: F.max_pool3d(maps, (1, 2, 2)),
        "it ignores 33 of 49 pixels": subsampled,
        "a stride of 2": lambda maps: maps,
        "far from its place": lambda maps: (z := layers.HalvingPool2d()(maps)) / 2 + z.mean((-2, -1), True) / 2,
        "or in another map": lambda maps: layers.HalvingPool2d()(maps.mean(dim=1, keepdim=True).expand_as(maps)),
        "of one map": lambda maps: layers.HalvingPool2d()(maps).roll(1, dims=0),
        "(B, C, |G|, S', S')": lambda maps: maps.mean(dim=2),
    },
    "02.exact_size": {
        "already the first layer is not exact": 32,
        "31 -> 16, then no more": 31,
        "37 -> 19 -> 10, then no more": 37,
        "39 -> 20, then no more": 39,
        "41 does it, but a smaller size does too": 41,
        "Start at 30": 17,
        "Write one whole number": "33",
    },
    "02.network": {
        "It gives 8 channels": network(8),
        "no longer move along the group axis": network(8, 16, 32, last=pooled_over_group),
        "at 16 x 16 pixels": network(8, 16, 32, flaw=WrongStride),
        "it is not equivariant": network(8, 16, 32, flaw=PlaneBias),
        "must be a class": lambda group: group,
        "other images are left out": network(8, 16, 32, last=lambda z: z - z.mean(dim=0)),
        "along the group axis": network(8, 16, 32, last=torch.zeros_like),
    },
}  # fmt: skip


ALSO_RIGHT = {
    "02.equivariance_error": [error(lambda y, t, forth, back: np.float64((forth - t).norm() / forth.norm()))],
    "02.lifting": [
        layers.LiftingConv2d,
        convolution(True, turned, last=torch.Tensor.float),
        LiftingWithin,
        convolution(True, lambda group, w, g: group.transform(w.flip(-1), g)),  # of another filter
        convolution(True, lambda group, w, g: group.transform(w.mT - 2 * w, g)),
    ],
    "02.group_convolution": [
        layers.GroupConv2d,
        convolution(False, lambda group, w, g: group.transform_maps(w[:, :, group.inverse].mT, g)),
    ],
    "02.rank": [
        lambda layer: float(len(torch.linalg.svdvals(kernels(layer)).gt(1e-9).nonzero())),
        lambda layer: torch.linalg.matrix_rank(kernels(layer)),
    ],
    "02.norm": [
        nn.BatchNorm3d,
        normed(lambda self, maps: nn.BatchNorm2d.forward(self, maps.flatten(3)).unflatten(3, maps.shape[3:])),
    ],
    "02.harmless": [sorted(HARMLESS), tuple(HARMLESS), frozenset(HARMLESS), np.array(sorted(HARMLESS))],
    "02.exact_rule": [
        lambda S, k, s, p: not (S + 2 * p - k) % s,
        lambda S, k, s, p: np.bool_((k - S - 2 * p) % s == 0),
        lambda S, k, s, p: np.array([(k - S - 2 * p) % s == 0]),
    ],
    "02.halve": [
        lambda maps: layers.HalvingPool2d()(maps.float()).detach(),
        pooled(lambda odd: 2 + odd, lambda odd: 0),
        lambda maps: layers.HalvingPool2d()(maps),
    ],
    "02.exact_size": [33.0, np.int64(33), torch.tensor(33), torch.tensor([33.0])],
    "02.network": [
        network(4, 8, 32),
        network(8, 16, 24, 32),
        network(8, 16, 32, first=LiftingWithin, last=torch.Tensor.float),
    ],
}
PARTIAL = (
    "02.lifting",
    "02.group_convolution",
    "02.rank",
    "02.norm",
    "02.exact_rule",
    "02.halve",
    "02.network",
)


class TestChecks(ExerciseChecks):
    notebooks = NOTEBOOKS
    mistakes = MISTAKES
    also_right = ALSO_RIGHT
    partial = PARTIAL
