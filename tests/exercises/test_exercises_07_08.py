"""The checks of notebook 07."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from exercise_checks import ExerciseChecks

from eqssl_edu.contrastive import InfoNCE, orbit_correlation
from eqssl_edu.groups import cyclic


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


def family(**other):
    """A function with the signature of 07.similarity; what is handed in by name replaces a kind."""
    kinds = {
        **{kind: lambda kappa, t, p=p: kappa.pow(p).mean(-1) for kind, p in POWERS.items()},
        "soft": lambda kappa, t: t * (kappa / t).exp().mean(-1).log(),
        "max": lambda kappa, t: kappa.amax(-1),
        **other,
    }
    return lambda kappa, kind, t=0.2: kinds[kind](kappa, t)


def distances(change=lambda squares, group, z, w: squares.clamp_min(0).sqrt(), choose=torch.amax):
    """A function with the signature of 07.distance, with its usual mistakes."""

    def answer(group, z, w):
        squares = z.flatten(1).square().sum(1)[:, None] + w.flatten(1).square().sum(1)
        return change(squares - 2 * choose(orbit_correlation(group, z, w), dim=2), group, z, w)

    return answer


def nearest_copy(group, z, w):
    """Right: by the distances to all moved copies."""
    moved = torch.stack([group.transform_features(w, g) for g in group.elements])  # (|G|, B', C, |G|)
    apart = z[None, :, None] - moved[:, None]
    return apart.flatten(3).norm(dim=3).amin(dim=0)


def spectrum(channels_first=True, conjugate=True, power=2):
    """A function with the signature of 07.power2, with its usual mistakes."""

    def answer(z, w):
        z_hat, w_hat = torch.fft.fft(z), torch.fft.fft(w)
        product = z_hat * (w_hat.conj() if conjugate else w_hat)
        product = product.sum(dim=0) if channels_first else product
        return product.abs().square().sum() / z.shape[1] ** power

    return answer


POWERS = {"mean": 1, "power2": 2, "power3": 3}
RIGHT = [
    "the second largest value of kappa",
    "the standard deviation of kappa",
    "cosine after sorting each channel along the group axis",
    "the number of values of kappa above 0",
]
NEIGHBOURS = "the largest difference of neighbours, kappa[g] - kappa[g + 1]"


def rows(similar, partner=lambda n: torch.arange(n).roll(n // 2), reduce=F.cross_entropy):
    """A function with the signature of 07.info_nce; `similar` makes the logits of the 2B views and t."""

    def answer(z1, z2, t):
        logits = similar(torch.cat([z1, z2]), t)
        return reduce(logits, partner(len(logits)))

    return answer


def others(views, t, unit=lambda views: F.normalize(views, dim=1), own=-torch.inf):
    """Similarities over the temperature, with something on the diagonal."""
    u = unit(views)
    return (u @ u.T / t).masked_fill(torch.eye(len(u), dtype=torch.bool), own)


def across(z1, z2, t):
    return F.cross_entropy(F.normalize(z1) @ F.normalize(z2).T / t, torch.arange(len(z1)))


def by_hand(z1, z2, t):
    """07.info_nce, view by view, with Python's numbers of tensors."""
    views, losses = F.normalize(torch.cat([z1, z2])), []
    for i in range(len(views)):
        powers = [torch.exp(views[i] @ views[k] / t) for k in range(len(views))]
        losses.append(-torch.log(powers[(i + len(z1)) % len(views)] / (sum(powers) - powers[i])))
    return sum(losses) / len(losses)


def log_p(s, partner, t):
    return F.log_softmax(s / t, dim=0)[partner]


# Typical mistakes, each with words of the hint that is made for it.
MISTAKES = {
    "07.surprise": {
        "p itself": lambda s, partner, t: log_p(s, partner, t).exp(),
        "That is log p": log_p,
        "1 - p": lambda s, partner, t: 1 - log_p(s, partner, t).exp(),
        "base 2 or 10": lambda s, partner, t: -log_p(s, partner, t) / math.log(2),
        "temperature is not used": lambda s, partner, t: -log_p(s, partner, 1),
        "You multiply": lambda s, partner, t: -log_p(s, partner, 1 / t),
        "missing below the line": lambda s, partner, t: (
            torch.cat([s[:partner], s[partner + 1 :]]).div(t).logsumexp(dim=0) - s[partner] / t
        ),
        "mean over the row": lambda s, partner, t: -F.log_softmax(s / t, dim=0).mean(),
        "divided by the sum": lambda s, partner, t: -s[partner] / t,
        "loss of a row": lambda s, partner, t: -F.log_softmax(s / t, dim=0),
    },
    "07.info_nce": {
        "compared with itself": rows(lambda views, t: F.normalize(views) @ F.normalize(views).T / t),
        "e to the power 0": rows(lambda views, t: others(views, t, own=0)),
        "not cosines": rows(lambda views, t: others(views, t, unit=lambda views: views)),
        "temperature is not used": rows(lambda views, t: others(views, 1)),
        "You multiply": rows(lambda views, t: others(views, 1 / t)),
        "Only the B first views": rows(
            lambda views, t: others(views, t)[: len(views) // 2], lambda n: torch.arange(n, 2 * n)
        ),
        "with second views alone": across,
        "join both sets first": lambda z1, z2, t: (across(z1, z2, t) + across(z2, z1, t)) / 2,
        "sum over the rows": rows(others, reduce=lambda s, k: F.cross_entropy(s, k, reduction="sum")),
        "not the view beside it": rows(others, lambda n: torch.arange(n) ^ 1),
        "missing below the line": rows(
            others,
            reduce=lambda s, k: (
                s.scatter(1, k[:, None], -torch.inf).logsumexp(dim=1) - s.gather(1, k[:, None])[:, 0]
            ).mean(),
        ),
        "sign is wrong": rows(others, reduce=lambda s, k: -F.cross_entropy(s, k)),
        "dim=1": rows(lambda views, t: others(views, t, unit=lambda views: F.normalize(views, dim=0))),
        "Row i asks for": rows(others, reduce=lambda s, k: s.gather(1, k[:, None]).mean()),
        "take their mean": rows(others, reduce=lambda s, k: F.cross_entropy(s, k, reduction="none")),
        "no gradient comes back": lambda z1, z2, t: float(by_hand(z1, z2, t).detach()),
    },
    "07.kappa": {
        "not z": correlation(lambda kappa, group: kappa[..., group.inverse]),
        "batch of z comes first": correlation(lambda kappa, group: kappa.transpose(0, 1)),
        "at wrong places": correlation(lambda kappa, group: kappa.movedim(2, 1).reshape(kappa.shape)),
        "nothing depends on g": correlation(lambda kappa, group: kappa[..., :1].expand_as(kappa)),
        "nothing is divided": lambda group, z, w: orbit_correlation(
            group, *(x / x.flatten(1).norm(dim=1)[:, None, None] for x in (z, w))
        ),
        "in the same ": correlation(lambda kappa, group: kappa.flip(2)),
    },
    "07.origin": {
        "has to be an inverse": element(lambda p, inverse, g, a, b: p(p(a, g), b)),
        "exchanged a and b": element(lambda p, inverse, g, a, b: p(p(inverse[b], g), a)),
        "keep their order": element(lambda p, inverse, g, a, b: p(p(inverse[a], b), g)),
        "where the value at g goes *to*": element(lambda p, inverse, g, a, b: p(p(a, g), inverse[b])),
        "in this order": element(lambda p, inverse, g, a, b: p(g, b)),
    },
    "07.similarity": {
        "index of the largest": family(max=lambda kappa, t: kappa.argmax(-1)),
        "can be negative": family(max=lambda kappa, t: kappa.abs().amax(-1)),
        "has a mean": family(mean=lambda kappa, t: kappa.sum(-1)),
        "First the power": family(power3=lambda kappa, t: kappa.mean(-1) ** 3),
        "factor t in front": family(soft=lambda kappa, t: (kappa / t).exp().mean(-1).log()),
        "kappa is divided by t": family(soft=lambda kappa, t: t * kappa.exp().mean(-1).log()),
        "not always 0.2": family(soft=lambda kappa, t: 0.2 * (kappa / 0.2).exp().mean(-1).log()),
        "one operation after the other": family(power2=lambda kappa, t: kappa.pow(3).mean(-1)),
        "those of kappa without the last one": family(max=lambda kappa, t: kappa.amax(0)),
    },
    "07.distance": {
        "nothing has been turned": lambda group, z, w: torch.cdist(z.flatten(1), w.flatten(1)),
        "the squared distance": distances(lambda squares, *_: squares),
        "the largest distance": distances(choose=torch.amin),
        "not of length 1": lambda group, z, w: (
            (2 - 2 * orbit_correlation(group, z, w).amax(2)).clamp_min(0).sqrt()
        ),
        "Multiply out": distances(choose=torch.mean),
        "clamp_min(0)": distances(lambda squares, *_: (squares - 1e-12).sqrt()),
        "(B, B')": lambda group, z, w: nearest_copy(group, z, w).T,
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
    "07.absorbing": {
        "Of the 8 measures, 1 is judged wrongly": [*RIGHT, NEIGHBOURS],
        "Of the 8 measures, 3 are": [RIGHT[0], "the element at which kappa is largest", *RIGHT[3:]],
        "The measures are": ["kappa"],
    },
}


ALSO_RIGHT = {
    "07.surprise": [
        lambda s, partner, t: -torch.log(torch.exp(s[partner] / t) / torch.exp(s / t).sum()),
        lambda s, partner, t: (s / t).logsumexp(dim=0) - s[partner] / t,
        lambda s, partner, t: -math.log(float((s / t).softmax(dim=0)[partner])),
        lambda s, partner, t: F.cross_entropy(s.float() / t, torch.tensor(partner)),
        lambda s, partner, t: -np.log((s / t).softmax(0).numpy()[partner]),
    ],
    "07.info_nce": [
        by_hand,
        rows(lambda views, t: others(views, t, own=-1e9)),
        rows(others, reduce=lambda s, k: -s.log_softmax(dim=1)[torch.arange(len(s)), k].mean()),
        rows(
            lambda views, t: (
                F.cosine_similarity(views[:, None], views, dim=2) / t - 1e9 * torch.eye(len(views))
            )
        ),
        lambda z1, z2, t: InfoNCE(cyclic(1), "plain", t)(z1[:, :, None], z2[:, :, None]),
        lambda z1, z2, t: by_hand(z1.float(), z2.float(), t),
    ],
    "07.kappa": [
        lambda group, z, w: orbit_correlation(group, w, z).transpose(0, 1)[..., group.inverse],
        lambda group, z, w: torch.stack(
            [torch.einsum("bch,dch->bd", z, group.transform_features(w, g)) for g in group.elements], dim=2
        ),
    ],
    "07.similarity": [
        family(
            soft=lambda kappa, t: t * (kappa / t).logsumexp(-1) - t * math.log(kappa.shape[-1]),
            power2=lambda kappa, t: (kappa * kappa).sum(-1) / kappa.shape[-1],
            max=lambda kappa, t: kappa.max(dim=-1).values,
        ),
        lambda kappa, kind, t=0.2: family()(kappa.float(), kind, t),
    ],
    "07.distance": [nearest_copy, lambda group, z, w: distances()(group, z.float(), w.float())],
    "07.origin": [lambda group, g, a, b: group.product[group.inverse[a], group.product[g, b]]],
    "07.monitor": [lambda z: spread(z.sort(dim=2).values), lambda z: spread(torch.fft.rfft(z).abs())],
    "07.absorbing": [set(RIGHT)],
}


class TestChecks(ExerciseChecks):
    notebooks = (
        "07_contrastive_learning",
        "07b_absorbing_turns",
        "07c_family_of_similarities",
        "07d_geometry_and_collapse",
    )
    mistakes = MISTAKES
    also_right = ALSO_RIGHT
