"""The exercises of notebooks 7c and 7d: a family of similarities, a power spectrum, a distance, a monitor."""

import torch
from torch import Tensor

from eqssl_edu.contrastive import orbit_correlation, orbit_distance
from eqssl_edu.exercises.judging import Calls, ask, judge, need, noise, scalar
from eqssl_edu.exercises.verdict import second_hint
from eqssl_edu.groups import cyclic, dihedral

__all__ = ["distance", "monitor", "power2", "similarity"]


@second_hint("Along dim=-1: kappa.pow(p).mean(...); logsumexp, or exp, mean and log; amax.")
def similarity(answer: object) -> str:
    """A function (kappa, kind, t) -> the similarities, for five kinds."""
    kappa = 0.5 * noise(3, 5, 8)
    for t in (0.2, 0.5):
        soft, largest = (kappa / t).exp(), kappa.amax(dim=-1)
        expected = {
            **{kind: kappa.pow(p).mean(dim=-1) for kind, p in (("mean", 1), ("power2", 2), ("power3", 3))},
            "soft": t * soft.mean(dim=-1).log(),
            "max": largest,
        }
        sums = {kind: 8 * value for kind, value in expected.items()} | {"soft": t * soft.sum(dim=-1).log()}
        pooled = {"power2": expected["mean"] ** 2, "power3": expected["mean"] ** 3}
        for kind, wanted in expected.items():
            value = ask(answer, kappa, kind, t)
            hints = {
                "That is the index of the largest value. Wanted is the value.": kappa.argmax(dim=-1),
                "The largest *size* is another number: kappa can be negative.": kappa.abs().amax(dim=-1),
                "You took a sum over g. The formula has a mean.": sums[kind],
                "First the power, then the mean.": pooled.get(kind, False),
                "The factor t in front is missing.": kind == "soft" and soft.mean(dim=-1).log(),
                "Inside the exponential kappa is divided by t.": kind == "soft"
                and t * kappa.exp().mean(dim=-1).log(),
                "The temperature is an argument. It is not always 0.2.": kind == "soft"
                and 0.2 * (kappa / 0.2).exp().mean(dim=-1).log(),
                "Take the line of the table for this kind, one operation after the other.": True,
            }
            reason = f"{kind} with t = {t}: the values differ from the formula's."
            judge(value, wanted, reason, hints, "those of kappa without the last one")
    return "All five, over the last axis, at two temperatures."


@second_hint(
    "Square it: squares of both lengths, (B, 1) and (B',), minus twice the largest kappa. Then clamp and root."
)
def distance(answer: object) -> str:
    """A function (group, z, w) -> the distance of orbits, for all pairs."""
    for group in (cyclic(4), dihedral(4)):
        z, w = noise(3, 2, group.order), 3 * noise(4, 2, group.order, seed=1)
        expected, kappa = orbit_distance(group, z, w), orbit_correlation(group, z, w)
        lengths = z.flatten(1).square().sum(dim=1)[:, None], w.flatten(1).square().sum(dim=1)
        as_units = (2 - 2 * kappa.amax(dim=2)).clamp_min(0).sqrt()
        hints = {
            "That is the plain distance: nothing has been turned.": torch.cdist(z.flatten(1), w.flatten(1)),
            "That is the squared distance.": expected**2,
            "That is the largest distance to a turned copy. At which kappa is it smallest?": (
                sum(lengths) - 2 * kappa.amin(dim=2)
            ).sqrt(),
            "These features are not of length 1. What stands in place of the 2?": [
                as_units,
                as_units.nan_to_num(0),
            ],
            "Multiply out the square of z - rho(g) w. Which of its three terms depends on g?": True,
        }
        value = ask(answer, group, z, w)
        judge(
            value,
            expected,
            f"Under {group.name} the values differ from the distances.",
            hints,
            "(B, B')",
            1e-5,
        )
        turned = group.transform_features(z, 1)
        near = ask(answer, group, z, turned).diagonal()
        hint = "Rounding may leave a square a little below 0, and its root is nan: clamp_min(0)."
        need(
            (near < (1e-6 if near.dtype == torch.float64 else 1e-2)).all(),
            "From z to a turned copy of z it is not 0.",
            hint,
        )
    return "The distance to the nearest turned copy, for C4 and D4, also of long features."


@second_hint(
    "z_hat, w_hat = torch.fft.fft(z), torch.fft.fft(w): one line for kappa's transform, one for the sum of squares."
)
def power2(answer: object) -> str:
    """A function (z, w) -> the mean of kappa squared by a Fourier transform, for tables (C, n)."""
    for channels, n in ((1, 4), (3, 5)):
        z, w = noise(channels, n), noise(channels, n, seed=1)
        expected = orbit_correlation(cyclic(n), z[None], w[None]).square().mean()
        with Calls() as calls:
            answered = ask(answer, z, w)
        hint = "Sum over the channels and frequencies."
        value = scalar(answered, "It must return one number, {got}.", hint)
        z_hat, w_hat = torch.fft.fft(z), torch.fft.fft(w)
        undivided, squares = n * n * expected, (z_hat * w_hat.conj()).abs().square().sum() / n**2
        unconjugated = (z_hat * w_hat).sum(dim=0).abs().square().sum() / n**2
        hints = {
            "It returned a complex number.\n|x|^2 is x.abs().square().": value.is_complex(),
            "Your number is n times too large: Parseval has one 1/n, the mean over g another.": n * expected,
            "Your number is n squared times too large: one 1/n from Parseval, one from the mean.": undivided,
            "Sum over the channels first, then take |x|^2: the phases of channels matter.": squares,
            "One of the two transforms has to be conjugated.": unconjugated,
            "Transform both, multiply (one conjugated), sum over c, |x|^2, sum over k, divide by n^2.": True,
        }
        reason = f"For ({channels}, {n}) it gave {value:.4f}; the mean of kappa squared is {expected:.4f}."
        judge(value, expected, reason, hints)
        reason = "The number is right, but torch.fft was not called."
        hint = "The point is to turn nothing: find it from torch.fft.fft(z) and torch.fft.fft(w)."
        need(any("fft" in getattr(function, "__name__", "") for function, _, _ in calls.seen), reason, hint)
    return "The same numbers as from kappa, by Fourier transforms."


@second_hint(
    "A number per channel that no turn changes; divide each image's by its length; then a spread over the batch."
)
def monitor(answer: object) -> str:
    """A function (z) -> a spread that is 0 for features of one orbit and large for random ones."""
    group, count = cyclic(4), 64
    elements = torch.randint(4, (count,), generator=torch.Generator().manual_seed(0))

    def spread(z: Tensor) -> float:
        hint = "Sum or average what is left over."
        return float(scalar(ask(answer, z), "It must return one number, {got}.", hint))

    healthy, v = noise(count, 6, 4), noise(6, 4, seed=1).expand(count, 6, 4)
    good = spread(healthy)
    hint = "Healthy features must give a number well above 0."
    need(good > 0.1, f"For random features it gave {good:.3f}.", hint)
    one_for_all = "Divide by the length of each feature before you take the spread."
    own = "One common length is not enough: divide each feature by its own length (F.normalize) before the spread."
    for lengths, how, hint in (
        (100.0, "for the same features times 100", one_for_all),
        (0.01, "for the same features times 0.01", one_for_all),
        (noise(count, 1, 1, seed=5).exp(), "with a length of its own for each of them", own),
    ):
        other = spread(lengths * healthy)
        judge(other, good, f"For random features it gave {good:.3f}, {how} {other:.3f}.", {hint: True})
    value, hint = spread(v), "Subtract the mean over the batch: what all images share is no spread."
    reason = f"All features equal, and it gave {value:.3f}, against {good:.3f} for random ones."
    need(abs(value) < 0.1 * good, reason, hint)
    hint = "It still sees the pose. Pool over the group axis (or sort along it) before anything else."
    for name, table in (("a random table", v), ("a table of mean 0", v - v.mean(dim=2, keepdim=True))):
        value = spread(group.transform_features(table, elements))
        reason = f"Orbit collapse of {name}: it gave {value:.3f}, against {good:.3f} for random features."
        need(abs(value) < 0.1 * good, reason, hint)
    value = spread(healthy - healthy.mean(dim=2, keepdim=True))
    reason = f"Random features whose channels have mean 0 over the group: it gave {value:.3f}."
    hint = (
        "The mean over the group is invariant, but it can be 0 for all images. What else ignores the order?"
    )
    need(value > 0.3 * good, reason, hint)
    return "0 for both collapses, large for random features, and independent of their length."
