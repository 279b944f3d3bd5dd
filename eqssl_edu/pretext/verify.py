"""Does the action on the labels tell the truth? A check on real images, with the counter-example if not."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.errors import need_integer, need_number, need_shape, typed
from eqssl_edu.precision import fine
from eqssl_edu.pretext.angle import CircleTask
from eqssl_edu.pretext.task import Images, Task
from eqssl_edu.pretext.verify_angles import CircleVerification, verify_circle

__all__ = ["CounterExample", "Verification", "verify"]

ROUNDING = 1e-6  # relative: images whose inputs differ by less tell no label from another


@dataclass(frozen=True)
class CounterExample:
    """An input whose turned copy is not what the action table promises."""

    image: Float[Tensor, "channel height width"]  # x
    g: int  # the element that turned the input
    label: int  # l
    promised: int  # the label g.l of the table
    found: int | None  # the label whose input the turned picture really is; None if no label fits
    before: Float[Tensor, "*input"]  # the input a(x, l)
    turned: Float[Tensor, "*input"]  # g a(x, l), what is really seen
    expected: Float[Tensor, "*input"]  # the input with the promised label, what should be seen


@dataclass(frozen=True)
class Verification:
    """What ``verify`` found. ``print`` it for a sentence; a notebook shows it with the pictures."""

    task: Task
    ok: bool  # True if every comparison held, and the images could have told otherwise
    checked: int  # how many (image, label, element) were compared
    failed: int  # how many of them did not hold
    unclear: (
        int  # inputs that look the same as the input of another label; a comparison with one proves little
    )
    difference: float  # the largest difference between two pixels that should be equal
    counter_example: CounterExample | None = field(
        default=None, repr=False
    )  # the first comparison that failed

    def __str__(self) -> str:
        case, labels = self.counter_example, self.task.labels
        if case is None:
            text = (
                f"The action tells the truth: in all {self.checked} comparisons the turned input was the input with "
                f"the moved label (largest difference {self.difference:g})."
            )
        else:
            fits = "no label fits it"
            if case.found is not None:
                fits = f"it is the input with the label {labels.names[case.found]}"
            text = (
                f"The action does not tell the truth: {self.failed} of {self.checked} comparisons failed. Turned by "
                f"{labels.group.element_name(case.g)}, the input with the label {labels.names[case.label]} should be "
                f"the one with the label {labels.names[case.promised]}, but {fits}."
            )
            if self.task.assumption:
                text += f" {self.task.assumption}"
        if case is None and not self.ok:
            text = "These images are no witnesses: whatever the label, their inputs look the same."
        elif self.unclear:
            text += f" {self.unclear} inputs look like the input of another label and prove little."
        return text

    def picture(self) -> str:
        """The counter-example as a row of pictures (HTML) and the sentence; the sentence alone if all is well."""
        from eqssl_edu import plots  # plotly with it: only where it is used

        case, boxes = self.counter_example, []
        if case is not None:
            names, turn = self.task.labels.names, self.task.labels.group.element_name(case.g)
            planes = {
                "the image": _plane(case.image),
                f"its input, label {names[case.label]}": _plane(case.before),
                f"the input turned by {turn}": _plane(case.turned),
                f"what the table promises, label {names[case.promised]}": _plane(case.expected),
            }
            values = torch.cat([plane.flatten() for plane in planes.values()])
            limits = float(values.min()), float(values.max())
            for caption, plane in planes.items():
                side = round(130 * plane.shape[1] / plane.shape[0])
                boxes.append(plots.picture(plane, caption, limits=limits, side=side))
        return plots.row(boxes, str(self))

    _repr_html_ = picture


@typed
def verify(
    task: Task | CircleTask, images: Images, seed: int = 0, tolerance: float = 1e-6
) -> Verification | CircleVerification:
    r"""Compare every turned input with what the action on the labels promises.

    For every image x, every label l, every element g, and the task's own random draws: is

    $$ g \cdot a(x, l) = a(g x, g \cdot l) $$

    (for a task whose label is a pose: $a(x, g \cdot l)$)? Random images or photographs are good witnesses; an image
    with symmetries or blank parts lets wrong actions pass. If none of the images tells one label from another, nothing
    is proved, and the answer is not ok.

    A label that moves through every angle (``AngleTask``, ``OffsetTask``) is compared at quarter turns, which are
    exact, and at angles between, where turned pictures are interpolated: there a difference counts if it is larger than
    second differences of the picture allow (``pretext.verify_angles.interpolation_bound``). Labels that would move in
    the wrong sense, not at all, or 2, 3 or 5 times as fast are tried as well: what fits instead is named, and
    images on which another speed passes too are no witnesses.

    Arguments:
        task: the task.
        images: real images; a few are enough.
        seed: of the task's draws (jitter).
        tolerance: how much two pixels may differ, as a part of the largest pixel of the image's inputs; the tasks of
            this library pass with 0.

    Example:
        >>> from eqssl_edu.groups import cyclic
        >>> from eqssl_edu.pretext import JigsawTask
        >>> verdict = verify(JigsawTask(cyclic(4), grid=2, action="left"), torch.rand(2, 1, 8, 8))
        >>> verdict.ok, verify(JigsawTask(cyclic(4), grid=2), torch.rand(2, 1, 8, 8)).ok
        (False, True)
    """
    if isinstance(task, CircleTask):
        return verify_circle(task, images, seed, tolerance)
    need_integer("len(images)", len(images), least=1)
    need_shape("images", images, "B", "C", "H", "W", finite=True)
    need_number("tolerance", tolerance, least=0)
    group, labels = task.group, task.labels
    draws = task.draw(images, torch.Generator().manual_seed(seed))
    all_labels = torch.arange(labels.size, device=images.device)[:, None].expand(-1, len(images))
    # Clones: a task of one's own may work in place.
    before = [task.apply(images.clone(), label, draws) for label in all_labels]
    largest = torch.stack([_far(inputs, torch.zeros_like(inputs)) for inputs in before]).amax(dim=0)
    need_shape("task.apply(images, labels)", largest, len(images), finite=True)
    allowed = tolerance * largest  # for each image
    unclear = checked = failed = 0
    for inputs in before:
        alike = torch.stack([_far(inputs, other) <= allowed for other in before])
        unclear += int((alike.sum(dim=0) > 1).sum())  # each is like itself
    differences, counter_example = [], None
    for g in group.elements:
        sources = group.transform(images, g) if task.image_turns else images
        for l, label in enumerate(all_labels):
            promised = labels.act(g, label)
            moved_draws = task.transform_draws(draws, g, label)
            turned = task.transform(before[l].clone(), g)
            expected = task.apply(sources.clone(), promised, moved_draws)
            far = _far(turned, expected)
            wrong = ~(far <= allowed)  # NaN is wrong
            checked, failed = checked + len(images), failed + int(wrong.sum())
            differences.append(far.max())
            if counter_example is None and wrong.any():
                i = int(wrong.nonzero()[0])
                one = slice(i, i + 1)
                own_draws = None if moved_draws is None else moved_draws[one]
                fits = [
                    k
                    for k, own in enumerate(all_labels[:, one])
                    if _far(task.apply(sources[one].clone(), own, own_draws), turned[one]) <= allowed[one]
                ]
                found = fits[0] if fits else None
                seen = before[l][i], turned[i], expected[i]
                counter_example = CounterExample(images[i], g, l, int(promised[i]), found, *seen)
    witness = labels.size == 1 or any((_far(before[0], other) > ROUNDING * largest).any() for other in before)
    difference = float(torch.stack(differences).max())
    return Verification(task, witness and failed == 0, checked, failed, unclear, difference, counter_example)


def _far(inputs: Tensor, others: Tensor) -> Float[Tensor, " batch"]:
    """The largest difference between two pixels, for each sample."""
    need_shape("task.apply(images, labels)", others, *inputs.shape)  # or one is repeated to fit the other
    return (fine(inputs) - fine(others)).abs().flatten(1).amax(dim=1)


def _plane(pixels: Float[Tensor, "*input"]) -> Float[Tensor, "height width"]:
    """One grey picture: the mean of the channels; parts side by side."""
    grey = fine(pixels).mean(dim=-3)
    parts = F.pad(grey.reshape(-1, *grey.shape[-2:]), (0, 1), value=float(grey.max()))  # a line after each
    return torch.cat(parts.unbind(), dim=1)[:, :-1]
