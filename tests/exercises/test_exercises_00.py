"""The checks of notebooks 00 and 00b."""

import pytest
import torch
from exercise_checks import ExerciseChecks
from torch import nn

from eqssl_edu.contrastive import orbit_correlation
from eqssl_edu.exercises import check
from eqssl_edu.groups import cyclic
from eqssl_edu.gsets import GSet
from eqssl_edu.layers import FreeHead, GSetHead, InvariantHead

C4 = cyclic(4)
LABELS = GSet.regular(C4)
FORTH = torch.tensor([[(g - a) % 4 for g in range(4)] for a in range(4)])  # of the template, for logit a
BACK = torch.tensor([[(g + a) % 4 for g in range(4)] for a in range(4)])


def make_head(shape, formula, bias=False):
    """A class of heads: one weight of this shape, C for the channels, and a formula (x, weight) -> logits."""

    class Head(nn.Module):
        def __init__(self, channels):
            super().__init__()
            sizes = [channels if size == "C" else size for size in shape]
            self.weight = nn.Parameter(torch.randn(sizes))
            self.bias = nn.Parameter(torch.zeros(1)) if bias else 0.0

        def forward(self, features):
            return formula(features, self.weight) + self.bias

    return Head


class SlidingLinear(nn.Module):
    """The features are turned back instead, in front of one linear map."""

    def __init__(self, channels):
        super().__init__()
        self.linear = nn.Linear(4 * channels, 1)

    def forward(self, features):
        return torch.cat([self.linear(features.roll(-a, dims=2).flatten(1)) for a in range(4)], dim=1)


def TEMPLATE(x, w):
    """Right logits, the template by itself."""
    return torch.einsum("bcg,cag->ba", x, w[:, FORTH])


def into_float32(x, w):
    logits = torch.zeros(len(x), 4)  # of the default type
    logits[:] = TEMPLATE(x, w)
    return logits


class WithScalar(nn.Module):
    """A bias without axes, under a name of its own."""

    def __init__(self, channels):
        super().__init__()
        self.template, self.c = nn.Parameter(torch.randn(1, channels, 4)), nn.Parameter(torch.tensor(0.0))

    def forward(self, features):
        return TEMPLATE(features, self.template[0]) + self.c


def loop_over_pairs(z, w):
    result = torch.zeros(len(z), len(w), 4, dtype=z.dtype)
    for i, first in enumerate(z):
        for j, second in enumerate(w):
            for g in range(4):
                result[i, j, g] = (first * C4.transform_features(second, g)).sum()
    return result


def correlated(z, w):
    return orbit_correlation(C4, z, w)


# Typical mistakes, each with words of the hint that is made for it.
MISTAKES = {
    "00.turned": {
        "the other way": lambda features, a: features.roll(-a, dims=2),
        "changes the tensor": lambda features, a: features.copy_(features.roll(a, dims=2)),
        "Nothing moved": lambda features, a: features,
        "moves by one place": lambda features, a: features.roll(1, dims=2),
        "The columns are the last axis": lambda features, a: features.roll(a, dims=1),
        "comes in at the other": lambda features, a: features.flip(2),
        "Its axes are": lambda features, a: "columns",
    },
    "00.head": {
        "when other samples are left out": make_head(
            ("C", 4), lambda x, w: (logits := TEMPLATE(x, w)) - logits.mean(dim=0)
        ),
        "is not -1 times the outputs": make_head(("C", 4), lambda x, w: TEMPLATE(x, w.square())),
        "no gradient reaches the weights": make_head(("C", 4), lambda x, w: TEMPLATE(x, w.detach())),
        "changes the tensor that it is given": make_head(("C", 4), lambda x, w: TEMPLATE(x.mul_(2), w)),
        "tensor of real numbers": make_head(("C", 4), lambda x, w: TEMPLATE(x, w) + 0j),
        "make only 9 different maps": make_head(("C", 4), lambda x, w: TEMPLATE(x, w).softmax(dim=1)),
        "pools over the columns first": lambda channels: InvariantHead(LABELS, channels),
        "the other way round": make_head(("C", 4), lambda x, w: torch.einsum("bcg,cag->ba", x, w[:, BACK])),
        "which weight, before and after": lambda channels: FreeHead(LABELS, channels, 4),
        "A template for 3 channels holds 3 x 4": make_head(
            ("C",), lambda x, w: torch.einsum("bcg,c->bg", x, w)
        ),
        "Set one weight after the other": make_head(
            ("C", 4), lambda x, w: torch.einsum("bcg,cg->bg", x, w.mean(1, keepdim=True).expand_as(w))
        ),
        "no ReLU": make_head(("C", 4), lambda x, w: torch.einsum("bcg,cag->ba", x, w[:, FORTH]).relu()),
        "an nn.Parameter": nn.Identity,
        "the same for random numbers and for zeros. Multiply": make_head(
            ("C", 4), lambda x, w: w.sum(0).expand(len(x), 4)
        ),
        "and for zeros. Multiply the template by the features.": make_head(
            ("C", 4), lambda x, w: torch.einsum("bcg,cg->b", 0 * x, w)[:, None].expand(-1, 4)
        ),
        "an nn.Module": lambda channels: torch.zeros(channels, 4),
        "The axes are": make_head(("C", 4), lambda x, w: torch.einsum("bcg,cg->b", x, w)),
    },
    "00.kappa": {
        "the inverse elements": lambda z, w: correlated(z, w)[:, :, C4.inverse],
        "w was not turned": lambda z, w: correlated(z, w)[:, :, :1].expand(-1, -1, 4),
        "you took a mean": lambda z, w: correlated(z, w) / (z.shape[1] * 4),
        "Do not divide by the lengths": lambda z, w: correlated(
            nn.functional.normalize(z.flatten(1)).view_as(z), nn.functional.normalize(w.flatten(1)).view_as(w)
        ),
        "Check one number": lambda z, w: correlated(z, w).flip(2),
        "(B, B', 4)": lambda z, w: correlated(z, w).sum(dim=2),
    },
    "00.similarity": {
        "treat all entries of the last axis alike": lambda kappa: kappa[:, :, 0],
        "kappa may be negative": lambda kappa: kappa.sum(dim=2).log(),
        "tell similar pairs from others": lambda kappa: torch.ones(kappa.shape[:2]),
        "its own |G| values": lambda kappa: kappa.amax(dim=2).softmax(dim=1),
        "(B, B')": lambda kappa: kappa.amax(dim=2, keepdim=True),
        "Try another one": lambda kappa: 2 * kappa.amax(dim=2) + 1,
        "Turn its sign round": lambda kappa: -kappa.amax(dim=2),
        "Which values of kappa are large": lambda kappa: kappa.amin(dim=2),
    },
}

ALSO_RIGHT = {
    "00.turned": [
        lambda features, a: torch.cat([features[..., 4 - a :], features[..., : 4 - a]], dim=-1),
        lambda features, a: features[:, :, FORTH[a]],
        lambda features, a: features.roll(a, dims=2).half().requires_grad_(),
        lambda features, a: C4.transform_features(features, a),
    ],
    "00.head": [
        SlidingLinear,
        make_head(("C", 4), into_float32),
        make_head(("C", 4), lambda x, w: TEMPLATE(x.float(), w.float())),
        WithScalar,
        lambda channels: GSetHead(LABELS, channels),
        make_head((4, "C"), lambda x, w: torch.einsum("bcg,agc->ba", x, w[FORTH]), bias=True),
        make_head(("C", 4), lambda x, w: torch.einsum("bcg,cag->ba", x, w[:, -FORTH % 4])),  # other names
    ],
    "00.kappa": [
        loop_over_pairs,
        correlated,
        lambda z, w: torch.einsum("bcg,dcag->bda", z, w[:, :, FORTH]),
        lambda z, w: torch.stack([z.roll(-g, 2).flatten(1) @ w.flatten(1).T for g in range(4)], dim=-1),
    ],
    "00.similarity": [
        lambda kappa: kappa.float().square().mean(dim=2),
        lambda kappa: kappa.pow(3).sum(dim=2),
        lambda kappa: kappa.var(dim=2),
        lambda kappa: kappa.sort(dim=2).values[:, :, -2:].sum(dim=2),
        lambda kappa: torch.fft.fft(kappa, dim=2).abs()[:, :, 1],  # not symmetric in all four: it absorbs C4
        lambda kappa: (kappa > 0.5).sum(dim=2),  # whole numbers
    ],
}


class TestChecks(ExerciseChecks):
    notebooks = ("00_tour", "00b_tour_contrastive")
    mistakes = MISTAKES
    also_right = ALSO_RIGHT


@pytest.mark.parametrize(
    "rescaled",
    [
        lambda kappa: kappa.sum(dim=2).exp(),
        lambda kappa: kappa.mean(dim=2).pow(3),
        lambda kappa: kappa.amax(dim=2).tanh(),
        lambda kappa: kappa.amax(dim=2) + 1e-9 * kappa.amin(dim=2),  # breaks the ties of alike pairs
        *(lambda kappa, t=t: (kappa / t).exp().sum(dim=2) for t in (0.05, 0.137, 0.2, 1.0, 3.0)),
    ],
)
def test_the_tours_own_similarities_are_known_however_they_are_rescaled(rescaled):
    verdict = check("00.similarity", rescaled)
    assert not verdict and "in the order of the tour's" in verdict.reason


@pytest.mark.parametrize(
    "no_similarity",
    [
        lambda kappa: -kappa.var(dim=2),
        lambda kappa: kappa.median(dim=2).values,  # of four values, one of which is large
        lambda kappa: kappa.prod(dim=2),
        lambda kappa: (kappa * kappa.roll(2, dims=2)).sum(dim=2),
        lambda kappa: -(kappa / 0.2).softmax(dim=2).square().sum(dim=2),
    ],
)
def test_what_does_not_find_a_turned_image_is_no_similarity(no_similarity):
    verdict = check("00.similarity", no_similarity)
    assert not verdict and "scored higher than a pair of strangers in" in verdict.reason
