"""The exercises of the tour: features that move, a head that obeys, kappa, and a similarity that absorbs the turns."""

import torch
from torch import Tensor, nn

from eqssl_edu.contrastive import orbit_correlation
from eqssl_edu.contrastive.features import unit
from eqssl_edu.errors import got
from eqssl_edu.exercises.four_tests import as_layer, four_tests, need_linear
from eqssl_edu.exercises.judging import ask, judge, need, need_shape, noise, same
from eqssl_edu.exercises.verdict import Wrong, second_hint
from eqssl_edu.groups import cyclic
from eqssl_edu.gsets import GSet

__all__ = ["head", "kappa", "similarity", "turned"]

C4 = cyclic(4)
LABELS = GSet.regular(C4)
MULTIPLY = "Multiply the template by the features."


@second_hint(
    "Column g of the result is column g - a of the features, counted round: torch.roll does that along dims=2."
)
def turned(answer: object) -> str:
    """A function (features (B, C, 4), a) -> the features of the images turned by element a."""
    features = noise(2, 3, 4)
    for a in (1, 2, 3, 0):
        back = int(C4.inverse[a])
        hints = {
            "You moved the columns the other way. Where has column 0 gone, after a turn by 90°?": (
                C4.transform_features(features, back)
            ),
            "Nothing moved.": features,
            "It always moves by one place; element a moves by a places.": C4.transform_features(features, 1),
            "You moved the channels (axis 1), or the images (axis 0). The columns are the last axis.": [
                features.roll(step, dims=axis) for step in (a, -a) for axis in (0, 1)
            ],
            "What leaves at one end comes in at the other. Compare with the picture.": True,
        }
        value = ask(answer, features, a)
        reason = f"For a = {a} these are not the features of the turned images."
        judge(value, C4.transform_features(features, a), reason, hints, "images, channels and elements")
    return "The columns move round, by as many places as the image was turned by quarters."


@second_hint(
    "Logit a is the sum of features * template over channels and columns, with the template's columns moved round by a."
)
def head(answer: object) -> str:
    """A class, or function, channels -> module: features (B, channels, 4) -> logits (B, 4) that move with them."""
    channels = 3
    made = ask(answer, channels)
    hint = "Head(32) must be an nn.Module with a method forward."
    need(isinstance(made, nn.Module), f"The head must be a module, {got(made)}.", hint)
    inputs = noise(40, channels, 4)
    layer, weight, biases = as_layer(made.double(), inputs)
    reason = "The head has no weights: nothing in it can learn."
    need(len(weight) or biases, reason, "Make the template an nn.Parameter, in __init__.")
    reason = "test 1, not trivial: it gives the same for random numbers and for zeros."
    need(len(weight), reason, MULTIPLY)

    # A mistake is told from what it does: the outputs are those that it would give.
    mistakes = {
        "The logits stay where they are: your head pools over the columns first. Keep them apart.": (
            lambda x, weight: layer(C4.transform_features(x, 1), weight)
        ),
        "The logits move the other way round. Which way does the label go, if the image turns?": (
            lambda x, weight: LABELS.transform(layer(C4.transform_features(x, 1), weight), 1)
        ),
    }
    moves = C4.transform_features, LABELS.transform
    axes, wanted = "images and labels, (B, 4)", 4 * channels
    biased = f" (and {sum(part.numel() for part in biases.values())} of a bias)" if biases else ""
    try:
        four_tests(layer, inputs, weight, C4, moves, torch.zeros(40, 4), axes, wanted, mistakes)
    except Wrong as wrong:
        reason, hint = wrong.args
        if "test 1" in reason:
            hint = MULTIPLY
        elif "test 3" in reason:
            hint = f"A template for {channels} channels holds {channels} x 4 numbers{biased}; all four logits share it."
        raise Wrong(reason, hint) from None
    need_linear(layer, inputs, weight)
    return f"All four tests are passed: {channels} channels, {wanted} weights{biased}, and each makes another head."


@second_hint(
    "For one g: move the columns of w round by g, multiply with z, add up over channels and columns."
)
def kappa(answer: object) -> str:
    """A function (z (B, C, 4), w (B', C, 4)) -> kappa (B, B', 4)."""
    z, w = noise(3, 6, 4), noise(5, 6, 4, seed=1)
    right, reason = (
        orbit_correlation(C4, z, w),
        "These are not the inner products with the turned copies of w.",
    )
    backwards = right[:, :, C4.inverse]
    plain = right[:, :, :1].expand_as(right)
    lengths = z.flatten(1).norm(dim=1)[:, None, None] * w.flatten(1).norm(dim=1)[:, None]
    hints = {
        "You turned z, or you turned w back: the values stand at the inverse elements.": backwards,
        "w was not turned: all four values are the same.": plain,
        "Sum over channels and columns; you took a mean.": [right / 24, right / 6, right / 4],
        "Do not divide by the lengths here: kappa is an inner product.": right / lengths,
        "Check one number, kappa[0, 0, 1]: move the columns of w[0] on by one, multiply by z[0], add up.": True,
    }
    value = ask(answer, z, w)
    judge(
        value, right, reason, hints, "images of the first view, of the second view, and elements: (B, B', 4)"
    )
    return "Four inner products for each pair: turning a view moves them, and changes none."


@second_hint(
    "Look at kappa of a digit with itself: one value is 1, the others are smaller. What says that one value is large?"
)
def similarity(answer: object) -> str:
    """A function kappa (B, B', |G|) -> (B, B') that absorbs the turns, is larger for alike pairs, and is new."""
    z, w = unit(noise(40, 32, 4)), unit(noise(40, 32, 4, seed=1))
    correlations = orbit_correlation(C4, z, w)
    value = need_shape(ask(answer, correlations), (40, 40), "the images of both views, (B, B')").double()
    reason = "It is not a finite number for every pair."
    need(
        value.isfinite().all(),
        reason,
        "kappa may be negative, or near 0: a log, a root or a quotient breaks.",
    )
    elements = torch.arange(40)
    z_turned, w_turned = (C4.transform_features(x, elements // part % 4) for x, part in ((z, 1), (w, 3)))
    reason = "It changed when each input was turned by its own element, which moves the values of kappa."
    hint = "Use functions that treat all entries of the last axis alike, as max does."
    need(same(ask(answer, orbit_correlation(C4, z_turned, w_turned)), value), reason, hint)
    reason = "The number of a pair changed when other pairs were left out."
    hint = "Work along the last axis alone (dim=2): a pair's number comes from its own |G| values."
    need(same(ask(answer, correlations[:2, :2]), value[:2, :2]), reason, hint)
    # 40 pairs (x, turned x) against 1,600 pairs of features that have nothing to do with each other.
    alike = ask(answer, orbit_correlation(C4, z, C4.transform_features(z, elements % 4))).double().diagonal()
    values = torch.cat([alike, value.flatten()])
    hint = "A similarity must tell similar pairs from others: use kappa."
    need(values.std() > 1e-6 * values.abs().mean(), "It is the same for every pair.", hint)
    higher = float((alike[:, None] > value.flatten()).double().mean())
    reason = (
        f"A pair (x, turned x) scored higher than a pair of strangers in {higher:.0%} of 64,000 comparisons."
    )
    hint = "It must be *larger* for alike pairs. Which values of kappa are large, if w is a turned z?"
    if higher < 0.1:
        hint = "It is a distance: smaller for alike pairs. Turn its sign round."
    need(higher > 0.9, reason, hint)
    known = _same_order(value.flatten()[:400], correlations.flatten(0, 1)[:400])
    reason = f"It absorbs the turns, but it puts pairs in the order of the tour's '{known}'."
    need(not known, reason, "Try another one. What else of four numbers does not depend on their order?")
    return f"It absorbs the turns, and finds (x, turned x) more alike than strangers in {higher:.0%} of the cases."


def _same_order(values: Tensor, pairs: Tensor) -> str:
    """Which of the tour's similarities orders these pairs in the same way, at whatever temperature; "" if none does."""
    temperatures = torch.logspace(-3, 3, 400, dtype=torch.float64)
    soft = torch.stack([t * (pairs / t).logsumexp(dim=1) for t in temperatures])
    known = torch.cat([torch.stack([pairs.mean(dim=1), pairs.amax(dim=1)]), soft])
    ranks = torch.cat([values[None], known]).argsort(dim=1).argsort(dim=1).double()
    agreement, closest = torch.corrcoef(ranks)[0, 1:].max(dim=0)
    names = ["mean", "max", *(f"soft, temperature {t:.2g}" for t in temperatures.tolist())]
    return names[closest] if agreement > 1 - 2e-4 else ""
