"""The exercise of the tour: a similarity that absorbs the transformation of each input."""

import torch

from eqssl_edu.contrastive import orbit_correlation
from eqssl_edu.exercises.judging import ask, need, need_shape, noise, same
from eqssl_edu.groups import cyclic

__all__ = ["similarity"]


def similarity(answer: object) -> str:
    """A function kappa (B, B', |G|) -> (B, B') that absorbs the turns, and is not one of the tour's."""
    group, z, w = cyclic(4), noise(3, 6, 4), noise(5, 6, 4, seed=1)
    kappa = orbit_correlation(group, z, w) / 6
    value = need_shape(ask(answer, kappa), (3, 5), "the images of both views, (B, B')").double()
    finite = value.isfinite().all()
    need(finite, "It is not a finite number for every pair.", "kappa may be negative: no log or root of it.")
    z_turned = group.transform_features(z, torch.tensor([1, 0, 3]))
    w_turned = group.transform_features(w, torch.tensor([0, 2, 1, 3, 1]))
    turned = ask(answer, orbit_correlation(group, z_turned, w_turned) / 6)
    reason = "It changed when each input was turned by its own element, which moves the values of kappa."
    hint = "Use functions that treat all entries of the last axis alike: max, min, sums of powers, sort."
    need(same(turned, value), reason, hint)
    hint = "A similarity must tell similar pairs from others: use kappa."
    need(value.std() > 1e-6 * value.abs().mean(), "It is the same for every pair.", hint)
    reason = "The number of a pair changed when other pairs were left out."
    hint = "Work along the last axis alone (dim=2): a pair's number comes from its own |G| values."
    need(same(ask(answer, kappa[:2, :2]), value[:2, :2]), reason, hint)
    known = {"mean": kappa.mean(dim=2), "max": kappa.amax(dim=2)}
    customary = (0.05, 0.07, 0.1, 0.2, 0.5, 1.0)
    known |= {f"soft, temperature {t}": torch.logsumexp(kappa / t, dim=2) for t in customary}
    for name, expected in known.items():
        alike = torch.corrcoef(torch.stack([value, expected]).flatten(1))[0, 1]
        reason = f"It absorbs the turns, but up to a factor and a constant it is the tour's '{name}'."
        need(alike <= 1 - 1e-9, reason, "Try another one: what do the smallest value, or the squares, say?")
    return "It does not change when each input turns by its own element."
