"""Does a label that moves through every angle move as the task says? Interpolation told apart from a wrong action."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.circle import turn_arrows
from eqssl_edu.errors import need_choice, need_integer, need_number, need_shape
from eqssl_edu.precision import fine
from eqssl_edu.pretext.angle import CircleTask
from eqssl_edu.rotate import disc_mask
from eqssl_edu.shapes import Images

__all__ = ["CircleCounterExample", "CircleVerification", "interpolation_bound", "verify_circle"]

ANGLES = (90.0, 180.0, 270.0, 15.0, 30.0, 45.0, 75.0, 100.0, 137.0, 200.0, 250.0, 333.0)
SPEEDS = {
    1: "with the image",
    -1: "in the wrong sense",
    0: "not at all",
}  # the others are so many times as fast
RIVALS = (1, -1, 0, 2, -2, 3, -3, 5)  # 5 and -3 are right at quarter turns
WINDOW = 9  # pixels around a point that two interpolations touch


@dataclass(frozen=True)
class CircleCounterExample:
    """An input whose turned copy is not what the task promises."""

    image: Float[Tensor, "channel height width"]  # x
    degrees: float  # by which the input was turned
    label: Float[Tensor, "*vector"]
    promised: Float[Tensor, "*vector"]  # the label after the turn, as the task says
    found: Float[Tensor, "*vector"] | None  # the label that fits; None if none that was tried does
    before: Float[Tensor, "*input"]  # the input of the label
    turned: Float[Tensor, "*input"]  # turned: what is really seen
    expected: Float[Tensor, "*input"]  # the input of the promised label: what should be seen


@dataclass(frozen=True)
class CircleVerification:
    """What ``verify`` found. ``print`` it for a sentence; a notebook shows it with the pictures."""

    task: CircleTask
    ok: bool  # True if every comparison held, and the images could have told otherwise
    checked: int  # how many (image, angle) were compared
    failed: int
    difference: float  # at quarter turns: the largest between two pixels that should be equal
    interpolation: float  # at the other angles: the same,
    bound: float  # and the largest that interpolation can explain
    says: (
        int | None
    )  # the task moves labels so many times as fast as the image turns; None for another action
    fits: int | None  # the speed that fits everywhere; None if nothing tried does, or several do
    alike: tuple[int, ...]  # other speeds that these images do not tell from it
    counter_example: CircleCounterExample | None = field(default=None, repr=False)

    def __str__(self) -> str:
        case = self.counter_example
        if case is None:
            text = (
                f"The action tells the truth: in all {self.checked} comparisons the turned input was the input with "
                f"the moved label, at quarter turns up to {self.difference:.2g}, elsewhere up to "
                f"{self.interpolation:.2g}, which interpolation explains."
            )
            if not self.ok:
                text = (
                    f"These images are no witnesses: labels that move {_words(self.alike)} pass as well. Images with "
                    f"few edges and some empty ground tell more."
                )
            return text
        fits = "no label that was tried fits it"
        if case.found is not None:
            fits = f"it is the input with the label {_label(case.found)}"
        text = (
            f"The action does not tell the truth: {self.failed} of {self.checked} comparisons failed by more than "
            f"interpolation explains. Turned by {case.degrees:g} degrees, the input with the label "
            f"{_label(case.label)} should be the one with the label {_label(case.promised)}, but {fits}."
        )
        if self.says is not None:
            text += f" The task moves its labels {_words([self.says])}."
        if self.fits is not None:
            text += f" What fits everywhere is a label that moves {_words([self.fits])}."
        return text

    def picture(self) -> str:
        """The counter-example as a row of pictures (HTML) and the sentence; the sentence alone if all is well."""
        from eqssl_edu import plots  # plotly with it: only where it is used

        case, boxes = self.counter_example, []
        if case is not None:
            planes = {
                "the image": case.image,
                f"its input, label {_label(case.label)}": case.before,
                f"the input turned by {case.degrees:g} degrees": case.turned,
                f"what the task promises, label {_label(case.promised)}": case.expected,
            }
            limits = (
                float(min(p.min() for p in planes.values())),
                float(max(p.max() for p in planes.values())),
            )
            for caption, plane in planes.items():
                boxes.append(plots.picture(fine(plane).mean(dim=0), caption, limits=limits, side=130))
        return plots.row(boxes, str(self))

    _repr_html_ = picture


def verify_circle(
    task: CircleTask,
    images: Images,
    seed: int = 0,
    tolerance: float = 1e-6,
    degrees: Sequence[float] = ANGLES,
) -> CircleVerification:
    """``verify`` for a task whose label moves through every angle; in float64.

    Arguments:
        task: its ``apply`` may move, cut and mix pixels, but must be linear: the bound is sent through it too.
        images: a few real ones.
        seed: of what the task draws.
        tolerance: how much two pixels may differ beyond what interpolation explains, as a part of the largest one.
        degrees: the angles.
    """
    need_integer("len(images)", len(images), least=1)
    need_shape("images", images, "B", "C", "H", "W", finite=True)
    need_number("tolerance", tolerance, least=0)
    images = fine(images)
    labels, draws = task.draw(images, torch.Generator().manual_seed(seed))
    before = task.apply(images.clone(), labels, draws)
    if not torch.equal(task.apply(2 * images, labels, draws), 2 * before):
        raise ValueError(
            "task.apply must be linear in the images: the bound of interpolation is sent through it"
        )
    slack = tolerance * before.abs().flatten(1).amax(dim=1)
    inside = disc_mask(before.shape[-1], min(2**0.5, (before.shape[-1] - 1) / 2)).to(before.device)
    bounds = interpolation_bound(images)
    wrong_speed = dict.fromkeys(RIVALS, 0)
    same_speed = dict.fromkeys(RIVALS, True)  # as the promise: the very same labels
    failed, far, counter_example = 0, {True: 0.0, False: 0.0}, None
    largest_bound = 0.0
    for angle in degrees:
        exact = angle % 90 == 0
        turned = task.transform(before.clone(), angle)
        here = torch.ones_like(inside) if exact else inside

        def compared(
            moved: Tensor, moved_draws: Tensor | None, exact=exact, angle=angle, turned=turned, here=here
        ):
            """(expected, differences of each sample, which of them are too large, the largest bound)."""
            at = task.turned_sources(images, angle), task.turned_sources(bounds, angle)
            expected, allowed = (task.apply(sources, moved, moved_draws) for sources in at)
            need_shape("task.transform(inputs, degrees)", turned, *expected.shape)
            difference = (turned - expected).abs() * here
            allowed = torch.zeros_like(allowed) if exact else allowed * here
            wrong = ~((difference - allowed).flatten(1).amax(dim=1) <= slack)
            return expected, difference, wrong, float(allowed.max())

        promised, moved_draws = task.move(labels, angle), task.transform_draws(draws, angle, labels)
        expected, difference, wrong, bound = compared(promised, moved_draws)
        failed, largest_bound = failed + int(wrong.sum()), max(largest_bound, bound)
        far[exact] = max(far[exact], float(difference.max()))
        others = {}
        for speed in RIVALS:
            moved = _moved(task, labels, speed * angle)
            others[speed] = moved, compared(moved, task.transform_draws(draws, speed * angle, labels))[2]
            wrong_speed[speed] += int(others[speed][1].sum())
            same_speed[speed] &= torch.allclose(moved, promised, atol=1e-6)
        if counter_example is None and wrong.any():
            i = int(wrong.nonzero()[0])
            found = next((moved[i] for moved, bad in others.values() if not bad[i]), None)
            seen = before[i], turned[i], expected[i]
            counter_example = CircleCounterExample(images[i], angle, labels[i], promised[i], found, *seen)
    fitting = [speed for speed in RIVALS if not wrong_speed[speed]]
    alike = tuple(speed for speed in fitting if not same_speed[speed])
    checked, ok = len(images) * len(degrees), failed == 0 and not alike
    fits = fitting[0] if len(fitting) == 1 else None
    says = next((speed for speed in RIVALS if same_speed[speed]), None)
    return CircleVerification(
        task, ok, checked, failed, far[True], far[False], largest_bound, says, fits, alike, counter_example
    )


def interpolation_bound(images: Images) -> Float[Tensor, "batch channel height width"]:
    r"""How far a picture turned once and the same picture turned in two steps can be apart, at each pixel.

    Bilinear interpolation $I$ is continuous, and exact where a picture is affine. Turned in two steps, a pixel is a
    weighted mean of values $I(s_i)$ whose points have the mean s, turned once it is $I(s)$. For any slope v

    $$ \sum_i w_i I(s_i) - I(s) = \sum_i w_i \left[ I(s_i) - I(s) - v \cdot (s_i - s) \right]. $$

    The slope of $I$ between neighbouring pixels is a mean of their differences. So if those differences have the
    ranges $\Omega_x$ and $\Omega_y$ (largest less smallest) around s, and v is in their middle, each bracket is at
    most $\frac12 \sqrt{\Omega_x^2 + \Omega_y^2}\, |s_i - s|$; and $\sum_i w_i |s_i - s|^2 \le \frac12$. The sum is at
    most $\sqrt{\Omega_x^2 + \Omega_y^2} / \sqrt 8$: second differences of the picture, as for every interpolation.
    """

    def spread(axis: int) -> Tensor:
        steps = fine(images).diff(dim=axis)
        pad = (0, 0, 1, 1) if axis == 2 else (1, 1, 0, 0)
        both = (F.pad(steps, pad, mode="replicate"), F.pad(-steps, pad, mode="replicate"))
        high, low = (
            F.max_pool2d(F.pad(each, [WINDOW // 2] * 4, value=-torch.inf), WINDOW, 1) for each in both
        )
        return (high + low)[..., : images.shape[-2], : images.shape[-1]]

    return torch.hypot(spread(2), spread(3)) / 8**0.5


def _moved(task: CircleTask, labels: Tensor, degrees: float) -> Tensor:
    """Labels moved by an angle as labels of their kind truly are: angles modulo 360/k, or vectors."""
    if labels.ndim == 1:
        return (labels + degrees) % (360 / task.symmetry)
    need_choice("labels.shape[1]", labels.shape[1], [2])
    return turn_arrows(labels, degrees)


def _words(speeds: Sequence[int]) -> str:
    return ", or ".join(SPEEDS.get(speed, f"{speed} times as fast as the image turns") for speed in speeds)


def _label(label: Tensor) -> str:
    return f"{float(label):.1f}" if not label.ndim else f"({label[0]:.1f}, {label[1]:.1f})"
