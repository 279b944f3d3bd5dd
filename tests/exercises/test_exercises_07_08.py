"""The checks of notebooks 07 and 08: stubs are not done, solutions pass, typical mistakes get their own hint."""

import torch
import torch.nn.functional as F
from exercise_checks import ExerciseChecks

from eqssl_edu.contrastive import orbit_correlation
from eqssl_edu.exercises import check, notebook_07, notebook_08
from eqssl_edu.groups import cyclic
from eqssl_edu.layers import GroupMLP

CHECKS = {"07": notebook_07, "08": notebook_08}
NAMES = [f"{number}.{name}" for number, module in CHECKS.items() for name in module.__all__]


def correlation(change):
    """A function with the signature of 07.kappa: the right values, changed."""
    return lambda group, z, w: change(orbit_correlation(group, z, w), group)


def element(formula):
    """A function with the signature of 07.origin; `formula` takes the product, the inverse, g, a and b."""
    return lambda group, g, a, b: int(formula(lambda x, y: group.product[x, y], group.inverse, g, a, b))


def spread(features):
    """A spread of the normalised rows."""
    rows = F.normalize(features.flatten(1), dim=1)
    return (rows - rows.mean(dim=0)).square().sum(dim=1).mean().sqrt()


def lengths(z):
    """The length of each feature."""
    return z.flatten(1).norm(dim=1)


def total_spread(rows):
    """A spread of the rows as they are."""
    return (rows - rows.mean(dim=0)).square().sum(dim=1).mean().sqrt()


def spectrum(channels_first=True, conjugate=True, power=2):
    """A function with the signature of 07.power2, with its usual mistakes."""

    def answer(z, w):
        z_hat, w_hat = torch.fft.fft(z), torch.fft.fft(w)
        product = z_hat * (w_hat.conj() if conjugate else w_hat)
        product = product.sum(dim=0) if channels_first else product
        return product.abs().square().sum() / z.shape[1] ** power

    return answer


RIGHT = [
    "the second largest value of kappa",
    "the standard deviation of kappa",
    "cosine after sorting each channel along the group axis",
    "the number of values of kappa above 0",
]
HARMLESS = [
    "a linear map of the channels, the same for each element",
    "batch norm per channel, over batch and group",
    "ReLU",
    "softmax over the group axis",
    "sort each channel along the group axis",
]


def paired(group, z, w):
    """The correlation of z[i] with w[i] alone, (B, |G|)."""
    return orbit_correlation(group, z, w).diagonal().T


def turned_by(what):
    """A function with the signature of 08.change_under_turns that turns too little."""

    def answer(loss, group, z1, z2, draws):
        a, b = (torch.randint(group.order, (len(z1),), generator=draws) for _ in range(2))
        none = torch.zeros_like(a)
        first, second = {
            "same": (a, a),
            "batch": (none + 1, none + 3),
            "first": (a, none),
            "second": (none, b),
            "none": (none, none),
        }[what]
        moved = loss(group.transform_features(z1, first), group.transform_features(z2, second))
        return float((moved - loss(z1, z2)).abs())

    return answer


def drawn_from(order, sign=abs):
    """A function with the signature of 08.change_under_turns that draws from the first `order` elements."""

    def answer(loss, group, z1, z2, draws):
        a, b = (torch.randint(order or group.order, (len(z1),), generator=draws) for _ in range(2))
        moved = loss(group.transform_features(z1, a), group.transform_features(z2, b))
        return sign(float(moved - loss(z1, z2)))

    return answer


class FlatNorm(torch.nn.BatchNorm1d):
    """Batch norm over flattened features (B, C, |G|)."""

    def forward(self, z):
        return super().forward(z.flatten(1)).view_as(z)


class Flat(torch.nn.Sequential):
    """Layers on flattened features (B, C, |G|)."""

    def forward(self, z):
        return super().forward(z.flatten(1)).view_as(z)


class Pooled(torch.nn.Sequential):
    """Layers on (B, C, |G|), averaged over the group and copied back."""

    def forward(self, z):
        return super().forward(z).mean(dim=2, keepdim=True).expand_as(z)


def layers(*middle, kind=torch.nn.Sequential):
    """A function with the signature of 08.predictor: some modules between two linear maps of the channels."""
    return lambda group, channels: kind(
        torch.nn.Conv1d(channels, 8, 1),
        *(module(group) for module in middle),
        torch.nn.Conv1d(8, channels, 1),
    )


def batch_norm(group):
    return torch.nn.BatchNorm1d(8)


def relu(group):
    return torch.nn.ReLU()


# Typical mistakes, each with words of the hint that is made for it.
MISTAKES = {
    "07.kappa": [
        (correlation(lambda kappa, group: kappa[..., group.inverse]), "not z"),
        (correlation(lambda kappa, group: kappa.transpose(0, 1)), "batch of z comes first"),
        (correlation(lambda kappa, group: kappa[..., :1].expand_as(kappa)), "nothing depends on g"),
        (
            lambda group, z, w: orbit_correlation(
                group, *(x / x.flatten(1).norm(dim=1)[:, None, None] for x in (z, w))
            ),
            "nothing is divided",
        ),
        (correlation(lambda kappa, group: kappa.flip(2)), "sum over c and h"),
    ],
    "07.origin": [
        (element(lambda p, inverse, g, a, b: p(p(a, g), b)), "has to be an inverse"),
        (element(lambda p, inverse, g, a, b: p(p(inverse[b], g), a)), "exchanged a and b"),
        (element(lambda p, inverse, g, a, b: p(p(inverse[a], b), g)), "keep their order"),
        (element(lambda p, inverse, g, a, b: p(p(a, g), inverse[b])), "where the value at g goes *to*"),
        (element(lambda p, inverse, g, a, b: p(g, b)), "in this order"),
    ],
    "07.monitor": [
        (spread, "Pool over the group axis"),
        (lambda z: spread(z.mean(dim=2)), "can be 0 for all images"),
        (lambda z: z.amax(dim=2).std(dim=0).norm(), "Divide by the length"),
        (
            lambda z: F.normalize(z.amax(dim=2), dim=1).square().mean().sqrt(),
            "Subtract the mean over the batch",
        ),
        (lambda z: F.normalize(z.amax(dim=2), dim=1).std(dim=0), "Sum or average"),
        (lambda z: lengths(z).std() / lengths(z).mean(), "its own length"),
        (lambda z: total_spread(z.amax(dim=2) / z.amax(dim=2).norm(dim=1).mean()), "its own length"),
        (lambda z: z.amax(dim=2).std(dim=0).mean() / z.amax(dim=2).abs().mean(), "its own length"),
    ],
    "07.power2": [
        (spectrum(power=1), "n times too large"),
        (spectrum(power=0), "n squared times"),
        (spectrum(channels_first=False), "Sum over the channels first"),
        (spectrum(conjugate=False), "has to be conjugated"),
        (lambda z, w: orbit_correlation(cyclic(z.shape[1]), z[None], w[None]).mean(), "Transform both"),
        (
            lambda z, w: orbit_correlation(cyclic(z.shape[1]), z[None], w[None]).square().mean(),
            "turn nothing",
        ),
    ],
    "07.all_at_home": [
        ((0, 0), "one more setting"),
        ((1, 1), "bring all the others home"),
        ((2, 6), "both must be equal"),
        (2, "beside the two sliders"),
    ],
    "07.absorbing": [
        ([*RIGHT, "the element at which kappa is largest"], "not the place"),
        (
            [*RIGHT, "the largest difference of neighbours, kappa[g] - kappa[g + 1]"],
            "neighbours stay neighbours",
        ),
        (RIGHT[:3], "it counts"),
        (["kappa"], "The measures are"),
        (RIGHT[0], "Copy the names"),
    ],
}


class TestChecks(ExerciseChecks):
    notebooks = ("07_invariant_contrastive_loss", "08_training_contrastive")
    names = NAMES
    mistakes = MISTAKES


MISTAKES |= {
    "08.relative_turn": [
        (lambda group, z1, z2: paired(group, z2, z1).argmax(dim=1), "These are the inverses"),
        (lambda group, z1, z2: paired(group, z1, z2).argmin(dim=1), "where kappa is smallest"),
        (lambda group, z1, z2: orbit_correlation(group, z1, z2).argmax(dim=2), "take the diagonal"),
        (lambda group, z1, z2: z1.sum(dim=1).argmax(dim=1), "their argmax"),
    ],
    "08.change_under_turns": [
        (turned_by("same"), "Draw twice"),
        (turned_by("batch"), "an element of its own"),
        (turned_by("first"), "Turn z2 as well"),
        (turned_by("second"), "Turn z1 as well"),
        (turned_by("none"), "before the second loss"),
        (drawn_from(None, sign=float), "Take the absolute value"),
        (drawn_from(None, sign=lambda value: -value), "Take the absolute value"),
        (drawn_from(4), "whatever the group"),
        (drawn_from(2), "whatever the group"),
        (lambda loss, group, z1, z2, draws: loss(z1, z2), "with loss(z1, z2)"),
        (lambda loss, group, z1, z2, draws: z1 - z2, "not two sets of features"),
    ],
    "08.matched": [
        (20, "bold numbers agree"),
        (18, "a smaller t makes it larger"),
        (12, "go back a little"),
        (0.16, "in hundredths"),
        (100, "at the slider"),
    ],
    "08.predictor": [
        (
            lambda group, channels: Flat(
                torch.nn.Linear(channels * group.order, 32),
                torch.nn.BatchNorm1d(32),
                torch.nn.ReLU(),
                torch.nn.Linear(32, channels * group.order),
            ),
            "nn.Linear of flattened features not",
        ),
        (layers(lambda group: FlatNorm(8 * group.order), relu), "one mean for each channel"),
        (layers(batch_norm, relu, kind=Pooled), "Do not pool"),
        (layers(batch_norm), "A ReLU has to stand"),
        (layers(relu), "comes before the ReLU"),
        (lambda group, channels: torch.nn.Conv1d(channels, 8, 1), "as they came in"),
        (lambda group, channels: torch.relu, "into nn.Sequential"),
    ],
    "08.harmless": [
        (["ReLU", "flatten, then a linear map"], "it never looks along the group axis"),
        ([*HARMLESS, "batch norm over the flattened features"], "not the same for all g"),
        (HARMLESS[:4], "throws the orientation away"),
        (["ReLu"], "The heads are"),
        ("ReLU", "Copy the names"),
    ],
}


def test_other_right_answers_pass():
    """Equivariant layers of the library do as well as plain ones; a loss may be compared the other way round."""
    assert check("08.predictor", lambda group, channels: GroupMLP(group, (channels, 8, channels))).ok
    assert check("08.change_under_turns", drawn_from(None)).ok
    for right in (
        lambda z: spread(z.sort(dim=2).values),
        lambda z: spread(z.amax(dim=2)),
        lambda z: spread(torch.fft.rfft(z).abs()),
    ):
        assert check("07.monitor", right).ok
