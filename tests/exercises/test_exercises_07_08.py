"""The checks of notebooks 07 and 08."""

import numpy as np
import torch
import torch.nn.functional as F
from exercise_checks import ExerciseChecks
from torch import nn

from eqssl_edu.contrastive import orbit_correlation
from eqssl_edu.groups import cyclic
from eqssl_edu.layers import GroupMLP


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
NEIGHBOURS = "the largest difference of neighbours, kappa[g] - kappa[g + 1]"
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


def turning(choose=lambda a, b: (a, b), among=None, sign=abs):
    """A function with the signature of 08.change_under_turns; ``choose`` makes the turns of both views of two draws."""

    def answer(loss, group, z1, z2, draws):
        a, b = (torch.randint(among or group.order, (len(z1),), generator=draws) for _ in range(2))
        first, second = choose(a, b)
        moved = loss(group.transform_features(z1, first), group.transform_features(z2, second))
        return sign(float(moved - loss(z1, z2)))

    return answer


def layers(*names):
    """A function with the signature of 08.predictor: the named parts between two linear maps of the channels."""

    def answer(group, channels):
        unflatten = nn.Unflatten(1, (8, group.order))
        parts = {
            "batch norm": [nn.BatchNorm1d(8)],
            "flat batch norm": [nn.Flatten(), nn.BatchNorm1d(8 * group.order), unflatten],
            "relu": [nn.ReLU()],
            "pool": [nn.AdaptiveAvgPool1d(1), nn.Upsample(group.order)],
        }
        between = [part for name in names for part in parts[name]]
        return nn.Sequential(nn.Conv1d(channels, 8, 1), *between, nn.Conv1d(8, channels, 1))

    return answer


def flat(group, channels):
    n = channels * group.order
    linear = [nn.Flatten(), nn.Linear(n, 32), nn.BatchNorm1d(32), nn.ReLU(), nn.Linear(32, n)]
    return nn.Sequential(*linear, nn.Unflatten(1, (channels, group.order)))


# Typical mistakes, each with words of the hint that is made for it.
MISTAKES = {
    "07.kappa": {
        "not z": correlation(lambda kappa, group: kappa[..., group.inverse]),
        "batch of z comes first": correlation(lambda kappa, group: kappa.transpose(0, 1)),
        "nothing depends on g": correlation(lambda kappa, group: kappa[..., :1].expand_as(kappa)),
        "nothing is divided": lambda group, z, w: orbit_correlation(
            group, *(x / x.flatten(1).norm(dim=1)[:, None, None] for x in (z, w))
        ),
        "sum over c and h": correlation(lambda kappa, group: kappa.flip(2)),
    },
    "07.origin": {
        "has to be an inverse": element(lambda p, inverse, g, a, b: p(p(a, g), b)),
        "exchanged a and b": element(lambda p, inverse, g, a, b: p(p(inverse[b], g), a)),
        "keep their order": element(lambda p, inverse, g, a, b: p(p(inverse[a], b), g)),
        "where the value at g goes *to*": element(lambda p, inverse, g, a, b: p(p(a, g), inverse[b])),
        "in this order": element(lambda p, inverse, g, a, b: p(g, b)),
    },
    "07.monitor": {
        "Pool over the group axis": spread,
        "can be 0 for all images": lambda z: spread(z.mean(dim=2)),
        "Divide by the length": lambda z: z.amax(dim=2).std(dim=0).norm(),
        "Subtract the mean over the batch": lambda z: (
            F.normalize(z.amax(dim=2), dim=1).square().mean().sqrt()
        ),
        "Sum or average": lambda z: F.normalize(z.amax(dim=2), dim=1).std(dim=0),
        "its own length": lambda z: (lengths := z.flatten(1).norm(dim=1)).std() / lengths.mean(),
    },
    "07.power2": {
        "n times too large": spectrum(power=1),
        "n squared times": spectrum(power=0),
        "Sum over the channels first": spectrum(channels_first=False),
        "has to be conjugated": spectrum(conjugate=False),
        "Transform both": lambda z, w: orbit_correlation(cyclic(z.shape[1]), z[None], w[None]).mean(),
        "turn nothing": lambda z, w: orbit_correlation(cyclic(z.shape[1]), z[None], w[None]).square().mean(),
    },
    "07.all_at_home": {
        "one more setting": (0, 0),
        "bring all the others home": (1, 1),
        "both must be equal": (2, 6),
        "beside the two sliders": 2,
    },
    "07.absorbing": {
        "Of the 8 measures, 1 is judged wrongly": [*RIGHT, NEIGHBOURS],
        "Of the 8 measures, 3 are": [RIGHT[0], "the element at which kappa is largest", *RIGHT[3:]],
        "The measures are": ["kappa"],
    },
    "08.relative_turn": {
        "These are the inverses": lambda group, z1, z2: paired(group, z2, z1).argmax(dim=1),
        "where kappa is smallest": lambda group, z1, z2: paired(group, z1, z2).argmin(dim=1),
        "take the diagonal": lambda group, z1, z2: orbit_correlation(group, z1, z2).argmax(dim=2),
        "their argmax": lambda group, z1, z2: z1.sum(dim=1).argmax(dim=1),
    },
    "08.change_under_turns": {
        "Draw twice": turning(lambda a, b: (a, a)),
        "an element of its own": turning(lambda a, b: (0 * a + 1, 0 * b + 3)),
        "Turn z2 as well": turning(lambda a, b: (a, 0 * b)),
        "Turn z1 as well": turning(lambda a, b: (0 * a, b)),
        "before the second loss": turning(lambda a, b: (0 * a, 0 * b)),
        "Take the absolute value": turning(sign=float),
        "whatever the group": turning(among=4),
        "with loss(z1, z2)": lambda loss, group, z1, z2, draws: loss(z1, z2),
        "not two sets of features": lambda loss, group, z1, z2, draws: z1 - z2,
    },
    "08.matched": {
        "bold numbers agree": 20,
        "a smaller t makes it larger": 18,
        "go back a little": 12,
        "in hundredths": 0.16,
        "at the slider": 100,
    },
    "08.predictor": {
        "nn.Linear of flattened features not": flat,
        "one mean for each channel": layers("flat batch norm", "relu"),
        "Do not pool": layers("batch norm", "relu", "pool"),
        "A ReLU has to stand": layers("batch norm"),
        "comes before the ReLU": layers("relu"),
        "as they came in": lambda group, channels: nn.Conv1d(channels, 8, 1),
        "into nn.Sequential": lambda group, channels: torch.relu,
    },
    "08.harmless": {
        "Of the 8 heads, 1 is judged wrongly": [*HARMLESS, "batch norm over the flattened features"],
        "Of the 8 heads, 2 are": HARMLESS[:3],
        "The heads are": ["ReLu"],
    },
}


ALSO_RIGHT = {
    "07.kappa": [lambda group, z, w: orbit_correlation(group, w, z).transpose(0, 1)[..., group.inverse]],
    "07.origin": [lambda group, g, a, b: group.product[group.inverse[a], group.product[g, b]]],
    "07.monitor": [lambda z: spread(z.sort(dim=2).values), lambda z: spread(torch.fft.rfft(z).abs())],
    "07.all_at_home": [[2, 2], torch.tensor([2, 2]), np.array([2.0, 2.0])],
    "07.absorbing": [set(RIGHT)],
    "08.relative_turn": [lambda group, z1, z2: paired(group, z1, z2).argmax(dim=1).int()],
    "08.change_under_turns": [turning()],  # the losses the other way round
    "08.matched": [16.0, np.int64(16), torch.tensor(16)],
    "08.predictor": [lambda group, channels: GroupMLP(group, (channels, 8, channels))],
    "08.harmless": [tuple(reversed(HARMLESS))],
}


class TestChecks(ExerciseChecks):
    notebooks = ("07_invariant_contrastive_loss", "08_training_contrastive")
    mistakes = MISTAKES
    also_right = ALSO_RIGHT
