"""The exercises of notebook 07: what one row of similarities asks, and InfoNCE of a whole batch."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from eqssl_edu.contrastive import InfoNCE
from eqssl_edu.exercises.judging import ask, judge, need, noise, scalar
from eqssl_edu.exercises.verdict import second_hint
from eqssl_edu.groups import cyclic

__all__ = ["info_nce", "surprise"]

ONE = "It gave {count} numbers; one is wanted."


@second_hint(
    "s / t are logits: torch.logsumexp(s / t, dim=0) minus the partner's logit, or -F.log_softmax(...)."
)
def surprise(answer: object) -> str:
    """A function (s, partner, t) -> -log p of the partner, from one row of similarities."""
    for count, partner, t in ((5, 3, 0.2), (8, 0, 2.0), (2, 1, 0.5)):
        s = noise(count, seed=count) / 3
        value = scalar(
            ask(answer, s, partner, t), ONE, "The loss of a row is that of one entry, the partner's."
        )
        log_p, strangers = F.log_softmax(s / t, dim=0), torch.cat([s[:partner], s[partner + 1 :]])
        expected, p = -log_p[partner], log_p[partner].exp()
        cold, hot = (-F.log_softmax(x, dim=0)[partner] for x in (s, s * t))
        hints = {
            "That is p itself. How surprised is one who gave the partner this probability?": p,
            "That is log p, which is negative. A loss is to be small where p is large.": -expected,
            "That is 1 - p. The loss of a classifier is -log p: it grows without end as p goes to 0.": 1 - p,
            "The logarithm has base 2 or 10. Nats are meant: torch.log.": [-p.log2(), -p.log10()],
            "The temperature is not used.": cold,
            "You multiply by the temperature. A low temperature has to make differences larger.": hot,
            "The partner is missing below the line: a softmax adds up over all of the row.": (
                torch.logsumexp(strangers / t, dim=0) - s[partner] / t
            ),
            "That is the mean over the row. Which entry belongs to the partner?": -log_p.mean(),
            "p is the partner's e to the power s / t, divided by the sum of such numbers over the row.": True,
        }
        seen = f"For {count} similarities at temperature {t:g} it gave {float(value):.4f}"
        judge(value, expected, f"{seen}; -log p is {float(expected):.4f}.", hints)
    return "-log p of the partner: 0 if it takes all of the probability, log K if K views are alike."


@second_hint(
    "z = F.normalize(torch.cat([z1, z2]), dim=1); logits = z @ z.T / t; put -inf on the diagonal; the partner of view "
    "i is view (i + B) % (2 * B); F.cross_entropy(logits, partner)."
)
def info_nce(answer: object) -> str:
    """A function (z1, z2, t) -> InfoNCE of 2B views (B, D) each, by cosines."""
    for batch, width, t in ((3, 5, 0.2), (5, 4, 0.5)):
        z1 = noise(batch, width)
        z2 = z1 + noise(batch, width, seed=1)  # partners are alike
        value = scalar(ask(answer, z1, z2, t), ONE, "Each of the 2B rows has its loss: take their mean.")
        expected = InfoNCE(cyclic(1), "plain", t)(z1[:, :, None], z2[:, :, None])
        seen = f"For 2 x {batch} views at temperature {t:g} it gave {float(value):.4f}"
        judge(value, expected, f"{seen}; InfoNCE is {float(expected):.4f}.", _mistakes(z1, z2, t, expected))
    loss = answer(*(noise(4, 3, seed=seed).requires_grad_() for seed in (5, 6)), 0.2)
    reason = (
        "The number is right, but no gradient comes back to the features: no network could learn from it."
    )
    hint = "Stay with tensors: no .item(), float(), .detach()."
    need(isinstance(loss, Tensor) and loss.requires_grad, reason, hint)
    return "InfoNCE of all 2B views: each of them looks for its partner among the 2B - 1 others."


def _mistakes(z1: Tensor, z2: Tensor, t: float, expected: Tensor) -> Mapping[str, object]:
    """Hint -> what the typical mistake gives."""
    batch, views = len(z1), torch.cat([z1, z2])
    u, own, order = F.normalize(views, dim=1), torch.eye(2 * batch).bool(), torch.arange(2 * batch)
    partner = order.roll(batch)

    def loss(logits: Tensor, diagonal: float = -torch.inf, target: Tensor = partner) -> Tensor:
        return F.cross_entropy(logits.masked_fill(own, diagonal), target)

    s, flat = u @ u.T, F.normalize(views, dim=0)
    logits = (s / t).masked_fill(own, -torch.inf)
    below = logits.masked_fill(own[partner], -torch.inf).logsumexp(dim=1)
    across, straight = s[:batch, batch:] / t, order[:batch]
    one_way, other_way = F.cross_entropy(across, straight), F.cross_entropy(across.T, straight)
    return {
        "A view is compared with itself as well, and nothing is more like it. Leave the diagonal out.": (
            F.cross_entropy(s / t, partner)
        ),
        "The diagonal is 0, but e to the power 0 is 1: it still counts. Which number has the power 0?": (
            loss(s / t, diagonal=0)
        ),
        "These are inner products, not cosines: give each vector the length 1 first.": loss(
            views @ views.T / t
        ),
        "The lengths are to be 1 along the features of a view (dim=1), not along the batch.": loss(
            flat @ flat.T / t
        ),
        "The temperature is not used.": loss(s),
        "You multiply by the temperature. Divide by it.": loss(s * t),
        "Only the B first views are asked. All 2B views have a partner.": F.cross_entropy(
            logits[:batch], partner[:batch]
        ),
        "First views are compared with second views alone. Strangers are all other views: join both sets first.": [
            one_way,
            (one_way + other_way) / 2,
        ],
        "That is the sum over the rows; wanted is the mean.": 2 * batch * expected,
        "The partner of view i is not the view beside it: all first views come before all second ones.": [
            loss(logits, target=target) for target in (order ^ 1, order.roll(-1), order.roll(1))
        ],
        "The partner is missing below the line: the sum is over all views but the view itself.": (
            below - logits[order, partner]
        ).mean(),
        "The sign is wrong: the loss is -log p.": -expected,
        "Row i asks for view i + B, row i + B for view i; the mean of -log p over all 2B rows.": True,
    }
