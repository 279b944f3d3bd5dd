"""The exercises of notebook 06c: what a probe reads, and a difference seed by seed."""

import copy
import math
from statistics import fmean, pstdev, stdev

import torch
from scipy import stats
from torch import Tensor, nn

from eqssl_edu.exercises.judging import ask, judge, need, need_shape, noise, number, same, several
from eqssl_edu.exercises.verdict import second_hint

__all__ = ["frozen", "paired"]


class _Encoder(nn.Module):
    """Images to features (B, 3, 4); in training mode its norm reads the batch, and learns from it."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm = (
            nn.Linear(25, 12, dtype=torch.float64),
            nn.BatchNorm1d(12, dtype=torch.float64),
        )

    def forward(self, images: Tensor) -> Tensor:
        return self.norm(self.layer(images.flatten(1))).unflatten(1, (3, 4))


@second_hint("encoder.eval(), then inside `with torch.no_grad():` the features, .flatten(1).")
def frozen(answer: object) -> str:
    """A function (encoder, images) -> all its features in evaluation mode as rows (B, C |G|), without gradients."""
    images = noise(6, 1, 5, 5)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = _Encoder().train()
        encoder(images)  # its norm has seen something
        encoder.norm.running_mean += 0.3
    twin, wanted = copy.deepcopy(encoder), encoder.eval()(images).detach()
    value = ask(answer, encoder.train(), images)
    tensor = need_shape(value, (6, 12), "image, feature; the features of all elements in one row")
    before = twin.norm.running_mean.clone()
    with torch.no_grad():
        in_training, afterwards = twin.train()(images).flatten(1), twin.eval()(images).flatten(1)
    hints = {
        "The encoder was in training mode: its norm reads the batch, and learned from your images.": in_training,
        "The encoder's norm has learned from these images.\nFreeze first: encoder.eval().": afterwards,
        "The numbers of one image stand in another order. features.flatten(1) keeps theirs.": [
            wanted.transpose(1, 2).flatten(1),
            wanted.flatten(1).flip(1),
        ],
        "The features themselves, in evaluation mode, as rows: .flatten(1).": True,
    }
    judge(tensor, wanted.flatten(1), "The features are others.", hints)
    learned = torch.equal(encoder.norm.running_mean, before)
    need(learned, "The encoder's norm has learned from these images.", "Freeze first: encoder.eval().")
    need(
        not tensor.requires_grad,
        "Gradients would flow into the encoder.",
        "Frozen: with torch.no_grad(), or .detach().",
    )
    return "So a probe judges what is there, and changes nothing."


@second_hint("d = values - reference, seed by seed; its mean, plus and minus t times stdev(d) / sqrt(n).")
def paired(answer: object) -> str:
    """A function (values, reference, t) -> (mean, low, high) of the differences, seed by seed."""
    for values, reference in (
        ([0.31, 0.42, 0.28, 0.47, 0.36], [0.27, 0.40, 0.25, 0.41, 0.35]),
        ([0.61, 0.52, 0.58], [0.60, 0.57, 0.59]),
    ):
        n = len(values)
        t = float(stats.t.ppf(0.975, n - 1))
        d = [a - b for a, b in zip(values, reference, strict=True)]
        reason = "Three numbers are wanted: mean, low, high."
        got_three = several(ask(answer, values, reference, t), reason, "End with: return mean, low, high")
        need(len(got_three) == 3, reason, "End with: return mean, low, high")
        value = tuple(float(number(part, reason, "Numbers, no tensors of several.")) for part in got_three)

        def around(mean: float, half: float) -> tuple[float, float, float]:
            return mean, mean - half, mean + half

        mean, root = fmean(d), math.sqrt(n)
        apart = math.sqrt(stdev(values) ** 2 + stdev(reference) ** 2)
        wanted = around(mean, t * stdev(d) / root)
        hints = {
            "Right numbers in another order: mean, low, high.": same(
                torch.tensor(sorted(value)), torch.tensor(sorted(wanted)), 1e-5
            ),
            "Reference minus values: whoever is better should have a positive difference.": around(
                -mean, t * stdev(d) / root
            ),
            "That is how much single seeds scatter. The mean of n seeds scatters sqrt(n) times less.": [
                around(mean, t * stdev(d)),
                around(mean, t * pstdev(d)),
            ],
            "Not paired: what a seed does to both is still in it. Take the differences first.": [
                around(mean, t * apart / root),
                around(mean, t * apart),
            ],
            "The standard deviation divides by n - 1 here: statistics.stdev, not pstdev or numpy's std.": around(
                mean, t * pstdev(d) / root
            ),
            "1.96 belongs to very many seeds. Take the t that is given.": around(
                mean, 1.96 * stdev(d) / root
            ),
            "The mean of the differences, plus and minus t times their standard error.": True,
        }
        reason = f"With {n} seeds it is another."
        judge(torch.tensor(value), torch.tensor(wanted), reason, hints, within=1e-5)
    return "What a seed does to both methods cancels."
