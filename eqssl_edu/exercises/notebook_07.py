"""The exercises of notebook 07: kappa, where its values come from, a monitor of collapse, a power spectrum."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from eqssl_edu.contrastive import orbit_correlation
from eqssl_edu.errors import got
from eqssl_edu.exercises.verdict import Wrong, ask, need_shape, same
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral

__all__ = ["absorbing", "all_at_home", "kappa", "monitor", "origin", "power2"]


def noise(*shape: int, seed: int = 0) -> Tensor:
    """Random numbers in float64, the same every time."""
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def kappa(answer: Callable[..., Any]) -> str:
    """A function (group, z, w) -> the orbit correlation of all pairs."""
    for group in (cyclic(4), dihedral(4)):
        z, w = noise(2, 3, group.order), noise(5, 3, group.order, seed=1)  # no two axes are equally long
        expected = orbit_correlation(group, z, w)
        value = ask(answer, group, z.clone(), w.clone())
        if isinstance(value, Tensor) and value.shape == expected.transpose(0, 1).shape:
            raise Wrong(
                f"The result has the shape {tuple(value.shape)}; wanted was {tuple(expected.shape)}.",
                "The batch of z comes first: after the arrow write the letter of z's batch before that of w's.",
            )
        value = need_shape(value, tuple(expected.shape), "(B, B', |G|)")
        if same(value, expected):
            continue
        reason = f"Under {group.name} the values differ from the inner products with the turned copies of w."
        if same(value, expected[..., group.inverse]):
            raise Wrong(reason, "Your value at g belongs to the inverse of g. It is w that is turned, not z.")
        if same(value, expected[..., :1].expand_as(expected)):
            raise Wrong(reason, "All |G| values of a pair are equal: inside the loop nothing depends on g.")
        lengths = z.flatten(1).norm(dim=1)[:, None, None] * w.flatten(1).norm(dim=1)[:, None]
        if same(value, expected / lengths):
            raise Wrong(reason, "These are cosines. Kappa is the inner product; nothing is divided.")
        raise Wrong(
            reason,
            "Multiply z[b, c, h] with copies[g, d, c, h] and sum over c and h: those two letters are missing "
            "after the arrow.",
        )
    return "All pairs, all turned copies, for C4 and D4."


def origin(answer: Callable[..., Any]) -> str:
    """A function (group, g, a, b) -> the element whose value comes to stand at g."""
    group = dihedral(4)  # not commutative: every order of the factors is another answer
    product, inverse = group.product, group.inverse
    mistakes: dict[str, Callable[[int, int, int], Tensor]] = {
        "One factor has to be an inverse: to move z by a is to move all copies of w by the inverse of a.": (
            lambda g, a, b: product[product[a, g], b]
        ),
        "a belongs to z and stands, inverted, on the left; you have exchanged a and b.": (
            lambda g, a, b: product[product[inverse[b], g], a]
        ),
        "The three factors are right, but D4 does not commute: keep their order.": (
            lambda g, a, b: product[product[inverse[a], b], g]
        ),
        "That is where the value at g goes *to*. Asked is where the value that stands at g now comes *from*.": (
            lambda g, a, b: product[product[a, g], inverse[b]]
        ),
    }
    triples = [(g, a, b) for a in group.elements for b in group.elements for g in group.elements]
    answers = [ask(answer, group, *triple) for triple in triples]
    try:
        values = torch.tensor([int(value) for value in answers])
    except (TypeError, ValueError):
        raise Wrong(
            f"It must return an element, an integer; {got(answers[0])}.", "Look a product up."
        ) from None
    expected = torch.stack([product[product[inverse[a], g], b] for g, a, b in triples])
    wrong = (values != expected).nonzero().flatten()
    if len(wrong) == 0:
        return "Right for all 8 x 8 x 8 cases of D4, which does not commute."
    g, a, b = triples[int(wrong[0])]
    reason = (
        f"For D4, g = {g}, a = {a}, b = {b} it gave {int(values[wrong[0]])}; the value of element "
        f"{int(expected[wrong[0]])} stands there. {len(wrong)} of 512 cases are wrong."
    )
    for hint, formula in mistakes.items():
        if torch.equal(values, torch.stack([formula(*triple) for triple in triples])):
            raise Wrong(reason, hint)
    raise Wrong(
        reason, "The line above the exercise has it: the inverse of a, times g, times b, in this order."
    )


def monitor(answer: Callable[..., Any]) -> str:
    """A function (z) -> a spread that is 0 for features of one orbit and large for random ones."""
    group, count = cyclic(4), 64
    elements = torch.randint(4, (count,), generator=torch.Generator().manual_seed(0))

    def number(z: Tensor) -> float:
        value = torch.as_tensor(ask(answer, z.clone()))
        if value.numel() != 1:
            raise Wrong(f"It must return one number, {got(value)}.", "Sum or average what is left over.")
        return float(value)

    def orbit(v: Tensor) -> Tensor:
        return group.transform_features(v[None].expand(count, -1, -1).clone(), elements)

    healthy, v = noise(count, 6, 4), noise(6, 4, seed=1)
    good = number(healthy)
    if not good > 0.1:
        raise Wrong(
            f"For random features it gave {good:.3f}.", "Healthy features must give a number well above 0."
        )
    for scale in (100.0, 0.01):
        other = number(scale * healthy)
        if not same(other, good):
            raise Wrong(
                f"For random features it gave {good:.3f}, for the same features times {scale:g} {other:.3f}.",
                "Divide by the length of each feature before you take the spread.",
            )
    lengths = noise(count, 1, 1, seed=5).exp()
    other = number(lengths * healthy)
    if not same(other, good):
        raise Wrong(
            f"For random features it gave {good:.3f}, with a length of its own for each of them {other:.3f}.",
            "One common length is not enough: divide each feature by its own length (F.normalize) before the spread.",
        )
    same_everywhere = number(v.expand(count, -1, -1).clone())
    if not abs(same_everywhere) < 0.1 * good:
        raise Wrong(
            f"All features equal, and it gave {same_everywhere:.3f}, against {good:.3f} for random ones.",
            "Subtract the mean over the batch: what all images share is no spread.",
        )
    for name, table in (("a random table", v), ("a table of mean 0", v - v.mean(dim=1, keepdim=True))):
        value = number(orbit(table))
        if not abs(value) < 0.1 * good:
            raise Wrong(
                f"Orbit collapse of {name}: it gave {value:.3f}, against {good:.3f} for random features.",
                "It still sees the pose. Pool over the group axis (or sort along it) before anything else.",
            )
    mean_free = number(healthy - healthy.mean(dim=2, keepdim=True))
    if not mean_free > 0.3 * good:
        raise Wrong(
            f"Random features whose channels have mean 0 over the group: it gave {mean_free:.3f}.",
            "The mean over the group is an invariant, but a poor one: it can be 0 for all images. Take the "
            "maximum.",
        )
    return "0 for both collapses, large for random features, and independent of their length."


class _Transforms(TorchFunctionMode):
    """Notes whether a Fourier transform was called."""

    seen = False

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        self.seen |= "fft" in getattr(func, "__name__", "")
        return func(*args, **(kwargs or {}))


def power2(answer: Callable[..., Any]) -> str:
    """A function (z, w) -> the mean of kappa squared by a Fourier transform, for tables (C, n)."""
    for channels, n in ((1, 4), (3, 5)):
        z, w = noise(channels, n), noise(channels, n, seed=1)
        expected = orbit_correlation(cyclic(n), z[None], w[None])[0, 0].square().mean()
        with _Transforms() as transforms:
            value = torch.as_tensor(ask(answer, z.clone(), w.clone()))
        if value.numel() != 1:
            raise Wrong(f"It must return one number, {got(value)}.", "Sum over the channels and frequencies.")
        if value.is_complex():
            raise Wrong("It returned a complex number.", "|x|^2 is x.abs().square().")
        if same(value.squeeze(), expected):
            if not transforms.seen:
                raise Wrong(
                    "The number is right, but torch.fft was not called.",
                    "The point is to turn nothing: find it from torch.fft.fft(z) and torch.fft.fft(w).",
                )
            continue
        reason = (
            f"For ({channels}, {n}) it gave {float(value):.4f}; the mean of kappa squared is {expected:.4f}."
        )
        z_hat, w_hat = torch.fft.fft(z), torch.fft.fft(w)
        for factor, hint in (
            (n, "Your number is n times too large: Parseval has one 1/n, the mean over g another."),
            (n * n, "Your number is n squared times too large: one 1/n from Parseval, one from the mean."),
        ):
            if same(value.squeeze(), factor * expected):
                raise Wrong(reason, hint)
        if same(value.squeeze(), (z_hat * w_hat.conj()).abs().square().sum() / n**2):
            raise Wrong(
                reason, "Sum over the channels first, then take |x|^2: the phases of channels matter."
            )
        if same(value.squeeze(), (z_hat * w_hat).sum(dim=0).abs().square().sum() / n**2):
            raise Wrong(reason, "One of the two transforms has to be conjugated.")
        raise Wrong(
            reason, "Transform both, multiply (one conjugated), sum over c, |x|^2, sum over k, divide by n^2."
        )
    return "The same numbers as from kappa, by Fourier transforms."


def all_at_home(answer: Any) -> str:
    """The pair of elements of D4, other than (0, 0), that leaves every value of kappa at its place."""
    group = dihedral(4)
    if (
        not isinstance(answer, (tuple, list))
        or len(answer) != 2
        or not all(isinstance(g, int) and not isinstance(g, bool) and 0 <= g < 8 for g in answer)
    ):
        raise Wrong(
            f"The answer must be two elements (first, second), each 0 to 7; {got(answer)}.",
            "Write the numbers beside the two sliders.",
        )
    a, b = answer
    if (a, b) == (0, 0):
        raise Wrong("(0, 0) turns nothing.", "There is one more setting.")
    origins = [int(group.product[group.product[group.inverse[a], g], b]) for g in group.elements]
    home = sum(h == g for g, h in enumerate(origins))
    if home == 8:
        return "The half turn commutes with all of D4: the inverse of a, times g, times a, is g for every g."
    reason = f"At ({a}, {b}) {home} of the eight bars stand at their old places."
    if a != b:
        raise Wrong(
            reason, "Bar a, at the identity, comes from the inverse of a times b: so both must be equal."
        )
    raise Wrong(reason, "Equal elements bring bar a home. Which of them bring all the others home as well?")


# Measures of two tables (C, |G|); which of them absorb independent turns?
MEASURES: dict[str, Callable[[FiniteGroup, Tensor, Tensor], Tensor]] = {
    "the second largest value of kappa": lambda G, z, w: _kappa(G, z, w).sort().values[-2],
    "kappa at the identity plus kappa at the half turn": lambda G, z, w: _kappa(G, z, w)[[0, 2]].sum(),
    "the standard deviation of kappa": lambda G, z, w: _kappa(G, z, w).std(),
    "the element at which kappa is largest": lambda G, z, w: _kappa(G, z, w).argmax().double(),
    "cosine after sorting each channel along the group axis": lambda G, z, w: F.cosine_similarity(
        z.sort(dim=1).values.flatten(), w.sort(dim=1).values.flatten(), dim=0
    ),
    "cosine after subtracting the mean over the group": lambda G, z, w: F.cosine_similarity(
        (z - z.mean(dim=1, keepdim=True)).flatten(), (w - w.mean(dim=1, keepdim=True)).flatten(), dim=0
    ),
    "the number of values of kappa above 0": lambda G, z, w: (_kappa(G, z, w) > 0).double().sum(),
    "the largest difference of neighbours, kappa[g] - kappa[g + 1]": lambda G, z, w: (
        _kappa(G, z, w) - _kappa(G, z, w).roll(-1)
    ).max(),
}

WHY = {
    "the second largest value of kappa": "it asks for a rank, not for a place",
    "kappa at the identity plus kappa at the half turn": "a quarter turn brings two other values to these places",
    "the standard deviation of kappa": "it does not care about the order of the values",
    "the element at which kappa is largest": "this is what a turn changes; the value there stays, not the place",
    "cosine after sorting each channel along the group axis": "sorted values do not know where they came from",
    "cosine after subtracting the mean over the group": "what is left is just what a turn moves",
    "the number of values of kappa above 0": "it counts, and a permutation changes no count",
    "the largest difference of neighbours, kappa[g] - kappa[g + 1]": "under C4 neighbours stay neighbours, but not "
    "under D4",
}


def absorbing(answer: Any) -> str:
    """The names of the ``MEASURES`` that no independent turns change, under C4 and under D4."""
    if not isinstance(answer, (list, tuple, set)) or not all(isinstance(name, str) for name in answer):
        raise Wrong(
            f"The answer must be a list of names, {got(answer)}.", "Copy the names that the cell prints."
        )
    unknown = sorted(set(answer) - MEASURES.keys())
    if unknown:
        raise Wrong(f"There is no measure '{unknown[0]}'.", f"The measures are: {'; '.join(MEASURES)}.")
    for name, measure in MEASURES.items():
        change = max(_change(group, measure) for group in (cyclic(4), dihedral(4)))
        if name in answer and change > 1e-9:
            raise Wrong(f"'{name}' changes, by up to {change:.2f}.", f"Think again: {WHY[name]}.")
        if name not in answer and change < 1e-9:
            raise Wrong(f"'{name}' never changes, and you left it out.", f"Think again: {WHY[name]}.")
    return "Each of the eight was measured under all pairs of turns: four absorb them, four do not."


def _kappa(group: FiniteGroup, z: Tensor, w: Tensor) -> Tensor:
    return orbit_correlation(group, z[None], w[None])[0, 0]


def _change(group: FiniteGroup, measure: Callable[[FiniteGroup, Tensor, Tensor], Tensor]) -> float:
    """The largest change of a measure over all pairs of elements, for three random pairs of tables."""
    changes = []
    for seed in range(3):
        z, w = noise(3, group.order, seed=2 * seed), noise(3, group.order, seed=2 * seed + 1)
        upright = measure(group, z, w)
        for a in group.elements:
            for b in group.elements:
                turned = measure(group, group.transform_features(z, a), group.transform_features(w, b))
                changes.append(float((turned - upright).abs()))
    return max(changes)
