"""The exercises of notebook 11: neighbours that vote, Holm's correction, and the control that a claim lacks."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor

from eqssl_edu.errors import got
from eqssl_edu.exercises.judging import ask, judge, keyed, need, noise, pick, several
from eqssl_edu.exercises.verdict import Wrong, second_hint

__all__ = ["holm", "missing", "neighbours"]

CLASSES = 10


def _votes(s: Tensor, labels: Tensor, k: int, weight: Callable, largest: bool = True) -> Tensor:
    closest, which = s.topk(k, dim=1, largest=largest)
    votes = torch.zeros(len(s), CLASSES, dtype=s.dtype)
    return votes.scatter_add_(1, labels[which], weight(closest)).argmax(dim=1)


@second_hint(
    "closest, which = similarity.topk(k, dim=1); weights = (closest / 0.1).exp(); add each weight to the class "
    "labels[which] in zeros (Q, 10), with scatter_add_ or F.one_hot; then argmax."
)
def neighbours(answer: object) -> str:
    """A function (similarity (Q, N), labels (N,), k) -> for each row the class with most votes, exp(s / 0.1) each."""
    for count, known, k in ((60, 80, 12), (40, 30, 30), (50, 90, 1)):
        s, labels = noise(count, known, seed=k).mul(0.25).tanh().float(), torch.arange(known) * 7 % CLASSES
        given, hint = (
            ask(answer, s, labels, k),
            "One class for each row, (Q,): argmax over the ten classes, dim=1.",
        )
        try:
            value = torch.as_tensor(given).double()
        except (TypeError, ValueError, RuntimeError):
            raise Wrong(f"The answer must be classes, {got(given)}.", hint) from None
        shape = tuple(value.shape)
        need(shape == (count,), f"The result has the shape {shape}; wanted was ({count},).", hint)
        right = _votes(s, labels, k, lambda c: (c / 0.1).exp())
        hints = {
            "These are places of known pictures. Wanted are classes: look them up in labels.": [
                s.argmax(dim=1), s.argmin(dim=1),
            ],
            "Those are the k that are least similar.": _votes(s, labels, k, lambda c: (c / 0.1).exp(), largest=False),
            "Each neighbour has one vote there. The nearer it is, the more it counts: exp(s / 0.1).": [
                _votes(s, labels, k, torch.ones_like),
                torch.stack([labels[row].mode().values for row in s.topk(k, dim=1).indices]),
            ],
            "The weight was s or exp(s): divide by 0.1 before exp.": [
                _votes(s, labels, k, lambda c: c), _votes(s, labels, k, torch.exp),
            ],
            "All known pictures voted. Only the k most similar may.": _votes(
                s, labels, known, lambda c: (c / 0.1).exp()
            ),
            "Of several votes for one class only one counted: add them.": torch.zeros(count, CLASSES)
            .scatter_(1, labels[s.topk(k).indices], (s.topk(k).values / 0.1).exp())
            .argmax(dim=1),
            "That is the class of the nearest one. All k vote.": labels[s.argmax(dim=1)],
            "Take the k largest of each row, add exp(s / 0.1) to each one's class, and take the class with most.": True,
        }  # fmt: skip
        off = int((value != right).sum())
        reason = f"With {known} known pictures and k = {k}, {off} of {count} classes differ."
        judge(value, right, reason, hints)
    return "Right for three sizes, k = 1 and k = N among them."


@second_hint(
    "order = sorted(range(n), key=lambda i: p[i]); at rank r (from 0) take min(1, (n - r) p), and never less than at "
    "the rank before; write it to the place where that p stood."
)
def holm(answer: object) -> str:
    """A function (p) -> corrected p-values, in the order in which they came."""
    cases = [
        [0.01, 0.04, 0.03],
        [0.02, 0.02, 0.001, 0.9],
        [0.5, 0.004],
        [0.03],
        [0.012, 0.011, 0.3, 0.01, 0.002],
        [0.4, 0.6, 0.5],
    ]
    for p in cases:
        n, given = len(p), ask(answer, list(p))
        found = several(
            given.tolist() if hasattr(given, "tolist") else given,
            f"The answer must be a list of {n} numbers, {got(given)}.",
            "One corrected p for each.",
        )
        order = sorted(range(n), key=p.__getitem__)

        def placed(values: list[float], order: list[int] = order) -> list[float]:
            return [values[order.index(i)] for i in range(len(values))]

        raw = [(n - r) * p[i] for r, i in enumerate(order)]
        capped = [min(1.0, each) for each in raw]
        rising = [max(capped[: r + 1]) for r in range(n)]
        hints: Mapping[str, object] = {
            "They are as they came: nothing was corrected.": p,
            "All were multiplied by n (Bonferroni). Holm: the smallest by n, the next by n - 1, ...": [
                [n * each for each in p],
                [min(1.0, n * each) for each in p],
            ],
            "They are sorted, or their places mixed up. Wanted is the order in which they came.": [
                rising,
                capped,
                [rising[i] for i in order],
            ],
            "A larger p has got a smaller corrected one. Each is at least the one before it.": placed(capped),
            "A p above 1: cap it.": [placed(raw), placed([max(raw[: r + 1]) for r in range(n)])],
            "The largest p was multiplied by n, and the smallest by 1: it is the other way round.": [
                [min(1.0, (1 + order.index(i)) * p[i]) for i in range(n)],
                placed(
                    [max(min(1.0, (1 + r) * p[i]) for r, i in enumerate(order[: k + 1])) for k in range(n)]
                ),
            ],
            "The smallest times n, the next times n - 1, ...; none below the one before, none above 1.": True,
        }
        need(len(found) == n, f"Of {n} values it gave {len(found)}.", "One corrected p for each.")
        value, right = torch.tensor([float(each) for each in found]), torch.tensor(placed(rising))
        reason = f"Of {p} it made {[round(float(each), 4) for each in found]}."
        judge(value, right, reason, {hint: _tensors(wrong) for hint, wrong in hints.items()}, within=1e-3)
    return "Right for six lists, in their order."


def _tensors(wrong: object) -> object:
    if wrong is True:
        return True
    lists = wrong if isinstance(wrong[0], list) else [wrong]
    return [torch.tensor(each) for each in lists]


CONTROLS = (
    "no training", "other seeds", "as many numbers", "turned images", "validation images", "correction",
)  # fmt: skip
# claim -> (what it lacks, why)
CLAIMS = {
    "After a pretraining on rotation, a probe reads 66 % of rotated MNIST: it has learned digits": (
        "no training",
        "random weights read 68 % of them",
    ),
    "Our method, pretrained once, is one point ahead of theirs": (
        "other seeds",
        "two runs of one method can differ by as much",
    ),
    "A probe of our 512 numbers is ahead of a probe of their 32": (
        "as many numbers",
        "a probe can read more out of more numbers, whoever made them",
    ),
    "A probe of all features reads 98 % of upright test digits: it knows digits however turned": (
        "turned images",
        "it was asked upright alone",
    ),
    "The best of our twenty temperatures is two points ahead of theirs on the test images": (
        "validation images",
        "who chooses on the test images reports the luck of the choice",
    ),
    "Of 45 differences in our table two have p below 5 %: those are real": (
        "correction",
        "of 45 differences that are none, about two do",
    ),
}


@second_hint("Ask of each: what else would have given the same number? Each control is wanted once.")
def missing(answer: object) -> str:
    """For each claim the control that it lacks."""
    answer = keyed(answer, CLAIMS, "of the six claims", "Keep the keys: they are CLAIMS.")
    for said in answer.values():
        need(said in CONTROLS, f"{said!r} is none of the controls.", f"They are: {', '.join(CONTROLS)}.")
    errors = {claim: float(answer[claim] != wanted) for claim, (wanted, _) in CLAIMS.items()}
    why = {claim: f"{wanted}, since {reason}" for claim, (wanted, reason) in CLAIMS.items()}
    return pick(list(CLAIMS), "claim", errors, why, "", "What else would have given that number?")
