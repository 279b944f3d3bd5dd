"""Exercises of notebooks A1 and A1c in which a test is written: nought where all is well, and not where it is not."""

import itertools
from collections import Counter
from collections.abc import Callable, Collection

import torch
from torch import Tensor

from eqssl_edu.evaluation import interval
from eqssl_edu.exercises.judging import ask, judge, need, noise, number
from eqssl_edu.exercises.verdict import second_hint
from eqssl_edu.groups import cyclic, dihedral
from eqssl_edu.gsets import GSet

__all__ = ["best_accuracy", "company", "false_alarms", "logits_error"]

Model = Callable[[Tensor], Tensor]
ONE_NUMBER = (
    "The result must be one number",
    "One number for the whole batch: the norm of all entries together.",
)


def _score(images: Tensor, seed: int = 0) -> Tensor:
    """One number for each image, which turns change."""
    return torch.tanh((images * noise(*images.shape[1:], seed=seed)).flatten(1).sum(dim=1))


def _scored(labels: GSet, seed: int = 0) -> Model:
    """An equivariant model: one scorer on all turned copies, and the mean over the elements that make a label of 0."""
    group = labels.group
    makes = torch.nn.functional.one_hot(labels.action[:, 0], labels.size).double()  # (|G|, n)

    def model(inputs: Tensor) -> Tensor:
        scores = [_score(group.transform(inputs, int(group.inverse[h])), seed) for h in group.elements]
        return torch.stack(scores, dim=1) @ (makes / makes.sum(dim=0))

    return model


def _backwards(labels: GSet) -> Model:
    group = labels.group
    return lambda x: torch.stack([_score(group.transform(x, h)) for h in group.elements], dim=1)


def _rotations_alone(labels: GSet) -> Model:
    """Rotations and reflections have a scorer each: a rotation of the input moves the logits right, a flip does not."""
    right, other = _scored(labels), _scored(labels, seed=5)
    return lambda x: torch.cat([right(x)[:, :4], other(x)[:, 4:]], dim=1)


def _pooled(labels: GSet, size: float = 1.0) -> Model:
    bias = torch.arange(labels.size, dtype=torch.float64)
    return lambda x: size * (x.square().sum(dim=(1, 2, 3))[:, None] + bias)


# What is wrong with a model -> (how it is made, a hint for the test that does not see it); each for the labels of D4.
NOT_EQUIVARIANT: dict[str, tuple[Callable[[GSet], Model], str]] = {
    "whose logits never move": (_pooled, "Compare the logits of the turned inputs with the *moved* logits."),
    "whose logits move the other way round": (
        _backwards,
        "labels.transform(logits, g) moves them the right way.",
    ),
    "that only rotations move as they should": (
        _rotations_alone,
        "Try all elements of the group, flips too.",
    ),
    "whose logits are small, and never move": (
        lambda labels: _pooled(labels, 1e-9),
        "Divide by the size of the logits: who makes them a thousand times smaller makes no smaller mistake.",
    ),
}


@second_hint(
    "For each g the difference is model(group.transform(inputs, g)) - labels.transform(logits, g). The largest of "
    "their norms, divided by the norm of the logits."
)
def logits_error(answer: object) -> str:
    """A function (model, inputs, labels) -> how far the logits of turned inputs are from the moved logits."""
    group, inputs = dihedral(4), noise(3, 1, 6, 6)
    for labels in (GSet.regular(cyclic(4)), GSet.regular(group), GSet.quotient(group, (0, 4))):
        error = number(ask(answer, _scored(labels), inputs, labels), *ONE_NUMBER)
        reason = f"It is {error:.2g} for a model that is equivariant, with {labels!r}."
        need(abs(error) < 1e-9, reason, "The logits of an equivariant model are not the same. They move.")
    labels = GSet.regular(group)
    for what, (make, hint) in NOT_EQUIVARIANT.items():
        error = number(ask(answer, make(labels), inputs, labels), *ONE_NUMBER)
        need(error > 1e-3, f"It is {error:.2g} for a model {what}.", hint)
    return "It is zero for three equivariant models, and finds four others."


@second_hint(
    "A dictionary from picture.numpy().tobytes() to how often each label came with it. Add up the largest of these "
    "counts, and divide by the number of inputs."
)
def best_accuracy(answer: object) -> str:
    """A function (inputs, labels) -> the accuracy that no function of the input surpasses."""
    pictures = noise(4, 1, 3, 3)
    pictures[1] = pictures[0].flip(-1)  # the same pixels at other places
    cases = (  # which picture, and which label comes with it
        ((0, 1, 2, 3), (0, 1, 2, 3)),
        ((0, 0, 0, 0), (0, 1, 2, 3)),
        ((0, 0, 0, 1, 1, 2), (0, 0, 3, 1, 2, 1)),
        ((2, 0, 2, 3, 2, 3), (1, 4, 1, 0, 3, 2)),
    )
    for which, said in cases:
        inputs, labels = pictures[list(which)], torch.tensor(said)
        share = number(
            ask(answer, inputs, labels), "The result must be one number", "An accuracy, from 0 to 1."
        )
        wanted, blind = _best(which, said), _best(len(said) * [0], said)  # blind to the pictures
        merged = _best([max(each, 1) for each in which], said)
        hints = {
            "That is a share in percent. Return it from 0 to 1.": 100 * wanted,
            "It is less than 1 only where one picture comes with several labels: count them.": 1.0,
            "That is a count. Divide by the number of inputs.": wanted * len(said),
            "It looks at the labels alone. A different picture may get a different answer.": blind,
            "One answer for each picture may be right more than once.": len(set(which)) / len(said),
            "Some of these pictures have equal pixels at different places. They are not the same.": merged,
            "Group the inputs by picture; of each group only the most frequent label can be right.": True,
        }
        reason = f"For the pictures {which} with the labels {said} it says {share:.3g}."
        judge(share, wanted, reason, hints)
    return "Right for four sets of inputs, pictures that repeat and labels that disagree among them."


def _best(which: Collection[int], said: Collection[int]) -> float:
    """The accuracy of the most frequent label of each picture."""
    counts = Counter(zip(which, said, strict=True))
    most = {picture: max(count for (p, _), count in counts.items() if p == picture) for picture in which}
    return sum(most.values()) / len(said)


def _alone(images: Tensor) -> Tensor:
    """Features (B, 3, 4) of each image by itself."""
    return torch.einsum("bxy,cgxy->bcg", images[:, 0], noise(3, 4, *images.shape[-2:]))


# What neighbours do to a feature -> (how, a hint for the test that does not see it).
COMPANY: dict[str, tuple[Model, str]] = {
    "that takes the batch's mean away": (
        lambda x: _alone(x) - _alone(x).mean(dim=0),
        "Compute each image in a batch of its own, and compare with all at once.",
    ),
    "in which each image sees those before it": (
        lambda x: _alone(x).cumsum(dim=0),
        "Look at every image: the first one may be left alone by the others.",
    ),
    "in which the last image sees the others": (
        lambda x: torch.cat([_alone(x)[:-1], _alone(x).mean(dim=0, keepdim=True)]),
        "Look at every image, the last one too.",
    ),
    "with small features that see their neighbours": (
        lambda x: 1e-9 * _alone(x).cumsum(dim=0),
        "Divide by the size of the features.",
    ),
}


@second_hint(
    "torch.cat of encoder(image) for image in images.split(1), minus encoder(images): a norm divided by a norm."
)
def company(answer: object) -> str:
    """A function (encoder, images) -> how much features depend on the other images of the batch."""
    images = noise(5, 1, 6, 6)
    error = number(ask(answer, _alone, images), *ONE_NUMBER)
    hint = "Is each image compared with itself? images[i : i + 1] keeps the axis of the batch."
    need(abs(error) < 1e-9, f"It is {error:.2g} where each image has its features by itself.", hint)
    for what, (encoder, hint) in COMPANY.items():
        error = number(ask(answer, encoder, images), *ONE_NUMBER)
        need(error > 1e-3, f"It is {error:.2g} for an encoder {what}.", hint)
    return "It is zero for features that stand by themselves, and sees four kinds of company."


def _share(restarts: Tensor, both: bool = True) -> float:
    """Of all pairs of rows: the share whose first interval lies below the second, or above it if both count."""
    bars = [interval(values.tolist()) for values in restarts]
    pairs = list(itertools.combinations(bars, 2))
    return sum(one.high < other.low or (both and other.high < one.low) for one, other in pairs) / len(pairs)


@second_hint(
    "Make one interval for each row. Two do not overlap if the upper end of one is below the lower end of the other."
)
def false_alarms(answer: object) -> str:
    """A function: accuracies (seeds, restarts) -> the share of pairs of seeds whose intervals do not overlap."""
    for seeds, count, spread in ((5, 4, 3.0), (6, 5, 2.0), (5, 5, 0.0), (3, 4, 9.0)):
        restarts = 70 + spread * noise(seeds, 1, seed=count) + noise(seeds, count, seed=3)
        share = number(
            ask(answer, restarts), "The result must be one number", "A share of pairs, from 0 to 1."
        )
        wanted, pairs = _share(restarts), seeds * (seeds - 1) / 2
        hints = {
            "That is a count. Divide by the number of pairs.": wanted * pairs,
            "That is a share in percent. Return it from 0 to 1.": 100 * wanted,
            "Is a seed paired with itself, too? combinations takes each pair once.": wanted
            * 2
            * pairs
            / seeds**2,
            "The rows are the seeds: take the interval of each row.": _share(restarts.T),
            "That is the share of pairs that *do* overlap.": 1 - wanted,
            "An interval may lie above the other as well as below.": _share(restarts, both=False),
            "For each pair: is one.high below other.low, or other.high below one.low?": True,
        }
        judge(share, wanted, f"For {seeds} seeds with {count} restarts it says {share:.3g}.", hints)
    return "Right for four tables, with seeds that differ and seeds that do not."
