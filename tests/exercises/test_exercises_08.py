"""The checks of notebooks 08 to 08c."""

import torch
from exercise_checks import ExerciseChecks

from eqssl_edu.contrastive import orbit_correlation, orbit_distance


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


def siamese(form, both=lambda one, other: -(one + other).mean() / 2):
    """A function with the signature of 08.siamese_loss; ``form``: (h, stop, z, other) -> what similarity compares."""
    return lambda h, stop, similarity, z1, z2: both(
        similarity(*form(h, stop, z1, z2)), similarity(*form(h, stop, z2, z1))
    )


def step(first, second):
    """A function with the signature of 08.step_loss: what both arguments of the loss are, of (network, view, image)."""

    def answer(network, loss, views, images, draws):
        def view(images=images):
            return views(images, draws)

        return loss(first(network, view, images), second(network, view, images))

    return answer


def one_view(network, view, images):
    return network(view())


def same_view_twice(network, loss, views, images, draws):
    z = network(views(images, draws))
    return loss(z, z)


def joined(network, loss, views, images, draws):
    """As the library does it: one pass for both views."""
    return loss(*network(torch.cat([views(images, draws) for _ in range(2)])).chunk(2))


def gap(others, sign=1, over=True):
    """A function with the signature of 08.strictness."""
    return lambda s, t: sign * (s.diagonal().mean() - others(s)) / (t if over else 1)


def strangers(s):
    return s[~torch.eye(len(s), dtype=torch.bool)].mean()


def nearest(reduce, choose=torch.argmax, labelled=True):
    """A function with the signature of 08.nearest_orbit."""

    def answer(group, known, labels, z):
        place = choose(reduce(orbit_correlation(group, z, known)), dim=1)
        return labels[place] if labelled else place

    return answer


def best(kappa):
    return kappa.amax(dim=2)


def right_pair(h, stop, z, other):
    return h(z), stop(other)


MISTAKES = {
    "08.step_loss": {
        "Draw twice": same_view_twice,
        "sees views only": step(one_view, lambda network, view, images: network(images)),
        "network(...) makes features of views": step(
            lambda network, view, images: view(), lambda network, view, images: view()
        ),
        "a seed decides": lambda network, loss, views, images, draws: loss(
            network(views(images)), network(views(images))
        ),
        "takes the features of both views": lambda network, loss, views, images, draws: network(
            views(images, draws)
        ).mean(),
        "and nothing else": lambda *x: 2 * joined(*x),
    },
    "08.strictness": {
        "Divide by the temperature": gap(strangers, over=False),
        "all pairs but those of the diagonal": gap(lambda s: s.mean()),
        "comes first": gap(strangers, sign=-1),
        "does not multiply": lambda s, t: gap(strangers)(s, t) * t**2,
        "a letter with itself": lambda s, t: s.diagonal().mean() / t,
        "Take the mean of each kind": lambda s, t: s / t,
    },
    "08.siamese_loss": {
        "must not flow into": siamese(lambda h, stop, z, other: (h(z), other)),
        "it belongs to what is guessed": siamese(lambda h, stop, z, other: (stop(h(z)), other)),
        "guess the *other* one": siamese(lambda h, stop, z, other: (h(z), stop(z))),
        "there is a minus": siamese(right_pair, lambda one, other: (one + other).mean() / 2),
        "the sum is halved": siamese(right_pair, lambda one, other: -(one + other).mean()),
        "the other view guesses as well": siamese(right_pair, lambda one, other: -one.mean()),
        "does not go through the predictor": siamese(lambda h, stop, z, other: (h(z), stop(h(other)))),
        "take the mean": siamese(right_pair, lambda one, other: -(one + other) / 2),
        "going to be switched off": siamese(lambda h, stop, z, other: (h(z), other.detach())),
        "Stop one side only": siamese(lambda h, stop, z, other: (h(z).detach(), other.detach())),
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
    "08.variances": {
        "the variance along the group": lambda z: z.var(dim=(0, 2)),
        "that no turn changes": lambda z: z.var(dim=0).mean(dim=1),
        "as in the standard loss": lambda z: z.sort(dim=2).values.std(dim=0).mean(dim=1),
        "one number for each channel": lambda z: z.amax(dim=2).var(),
    },
    "08.relative_turn": {
        "These are the inverses": lambda group, z1, z2: paired(group, z2, z1).argmax(dim=1),
        "where kappa is smallest": lambda group, z1, z2: paired(group, z1, z2).argmin(dim=1),
        "take the diagonal": lambda group, z1, z2: orbit_correlation(group, z1, z2).argmax(dim=2),
        "their argmax": lambda group, z1, z2: z1.sum(dim=1).argmax(dim=1),
    },
    "08.nearest_orbit": {
        "wanted is its label": nearest(best, labelled=False),
        "Compare with all turned copies": nearest(lambda kappa: kappa[..., 0]),
        "the mean of kappa": nearest(lambda kappa: kappa.mean(dim=2)),
        "the farthest one": nearest(best, torch.argmin),
        "2 - 2 max kappa": nearest(lambda kappa: kappa.amin(dim=2)),
    },
}

ALSO_RIGHT = {
    "08.step_loss": [joined],
    "08.strictness": [gap(strangers), lambda s, t: float(gap(strangers)(s, t))],
    "08.siamese_loss": [
        siamese(right_pair),
        siamese(right_pair, lambda one, other: -(one.mean() + other.mean()) / 2),
        siamese(right_pair, lambda one, other: -torch.cat([one, other]).mean()[None]),
    ],
    "08.change_under_turns": [turning()],  # the losses the other way round
    "08.variances": [
        lambda z: z.amax(dim=2).var(dim=0),
        lambda z: z.mean(dim=2).var(dim=0, correction=0),
        lambda z: z.sort(dim=2).values.var(dim=0).mean(dim=1).float(),
    ],
    "08.relative_turn": [lambda group, z1, z2: paired(group, z1, z2).argmax(dim=1).int()],
    "08.nearest_orbit": [
        nearest(best),
        lambda group, known, labels, z: labels[orbit_distance(group, z, known).argmin(dim=1)].int(),
    ],
}


class TestChecks(ExerciseChecks):
    notebooks = ("08_training_contrastive", "08b_without_negatives", "08c_relative_pose")
    mistakes = MISTAKES
    also_right = ALSO_RIGHT
