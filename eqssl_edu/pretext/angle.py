"""Which angle? A pretext task whose label is a point of a circle, and what such a task is."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.circle import CircleGroup, angle_error, angle_loss, angles_of
from eqssl_edu.circle.labels import Outputs
from eqssl_edu.errors import got, need_choice, need_integer, need_number, need_shape, typed
from eqssl_edu.groups import FiniteGroup, random_integers
from eqssl_edu.precision import precise
from eqssl_edu.rotate import disc_mask, rotate
from eqssl_edu.shapes import Images

__all__ = ["AngleTask", "CircleTask"]

Inputs = Float[Tensor, "batch seen side side"]
Degrees = Float[Tensor, " batch"]
CircleLabels = Float[Tensor, "batch *vector"]  # angles in degrees (B,), or vectors (B, 2)
Turn = float | Degrees  # one angle in degrees, or one per sample


class CircleTask:
    r"""A pretext task whose label moves through every angle; ``Task`` is one whose labels are finitely many.

    Yours says what is drawn, how the input is made and how the label moves:
    $\theta \cdot a(x, l) = a(\theta x, \theta \cdot l)$, or $a(x, \theta \cdot l)$ for a label that is a pose. That
    is exact at quarter turns, and elsewhere as good as interpolation allows. ``verify(task, images)`` tells the error
    of interpolation from a wrong action.
    """

    image_turns = False  # True if the image turns along: the label is no pose
    unit = "degrees"  # of an error
    symmetry = 1  # k: a label is of type k, an arrow that a turn by theta turns by k theta

    def draw(self, images: Images, generator: torch.Generator | None) -> tuple[CircleLabels, Tensor | None]:
        """A label for every image, and what else the task draws (nothing: None)."""
        raise NotImplementedError

    def upright(
        self, images: Images, generator: torch.Generator | None
    ) -> tuple[CircleLabels, Tensor | None]:
        """The same for upright images, where every turn of an evaluation starts."""
        return self.draw(images, generator)

    def apply(self, images: Images, labels: CircleLabels, draws: Tensor | None = None) -> Inputs:
        """The input of each image and label, (B, C', s, s)."""
        raise NotImplementedError

    def move(self, labels: CircleLabels, degrees: Turn) -> CircleLabels:
        """How a turn counter-clockwise moves the labels."""
        raise NotImplementedError

    def transform_draws(self, draws: Tensor | None, degrees: Turn, labels: CircleLabels) -> Tensor | None:
        """How a turn acts on what else was drawn, with the labels before it."""
        return draws

    def loss(self, outputs: Tensor, labels: CircleLabels) -> Degrees:
        """Of each sample."""
        raise NotImplementedError

    def error(self, outputs: Tensor, labels: CircleLabels) -> Degrees:
        """How far each answer is from the truth, in the task's unit; no gradient."""
        raise NotImplementedError

    @typed
    def sample(self, images: Images, generator: torch.Generator | None = None) -> tuple[Inputs, CircleLabels]:
        """Draw a label for every image, on its device: (inputs, labels)."""
        labels, draws = self.draw(images, generator)
        return self.apply(images, labels, draws), labels

    @typed
    def transform(self, inputs: Inputs, degrees: Turn) -> Inputs:
        """How a turn counter-clockwise acts on inputs: every picture turns, and is cut to its disc."""
        need_shape("inputs", inputs, "B", "C", "S", "S", floating=True)
        return on_disc(rotate(inputs, degrees))

    def turned(
        self, images: Images, labels: CircleLabels, draws: Tensor | None, degrees: Turn
    ) -> tuple[Inputs, CircleLabels]:
        """What the task promises a turned input to be: the input of the moved label, and that label."""
        moved, moved_draws = self.move(labels, degrees), self.transform_draws(draws, degrees, labels)
        return self.apply(self.turned_sources(images, degrees), moved, moved_draws), moved

    def turned_sources(self, images: Images, degrees: Turn) -> Images:
        """The images, turned if they turn along."""
        return rotate(images, degrees) if self.image_turns else images


class AngleTask(CircleTask):
    r"""By which angle was the image turned? Input: the image turned by $\alpha$; label: $\alpha$ modulo 360/k.

    What enters a turned picture from outside would say where its corners are. So the input is cut to the inscribed
    disc, of which nothing leaves or enters, whatever the angle.

    One trace of the angle stays. Turns by multiples of 90 degrees are exact, all others are interpolated, which blurs a
    sharp picture in a pattern of its own. The pattern is the same at $\alpha$ and $\alpha + 90$: it can tell the angle
    modulo 90 degrees, never which quarter, so by itself it answers nothing for k = 1 (mean error 90 degrees), and
    everything for k = 4. Smooth pictures, of strokes several pixels wide, show little of it.

    Arguments:
        group: from which turns the angle is drawn: "SO2" for all, also as "SO(2)" or ``so2(L)``; ``cyclic(n)`` for the
            multiples of 360/n degrees.
        symmetry: k; letters that look the same after half a turn (S, N, Z) have an angle modulo 180 degrees, k = 2.
        within: angles from -within to +within degrees, 180 for the full circle.

    Example:
        >>> task = AngleTask(group="SO2", symmetry=2)
        >>> inputs, degrees = task.sample(torch.rand(8, 1, 16, 16), torch.Generator().manual_seed(0))
        >>> inputs.shape, bool((degrees >= 0).all() and (degrees < 180).all())
        (torch.Size([8, 1, 16, 16]), True)
    """

    @typed
    def __init__(self, group: FiniteGroup | str = "SO2", symmetry: int = 1, within: float = 180.0) -> None:
        if isinstance(group, str):
            need_choice("group", group, ("SO2", "SO(2)"))
        elif group.reflections:
            raise ValueError(
                f"group must hold rotations alone (a mirrored picture has no angle), {got(group)}"
            )
        # The samples of so2(L) are no turns of their own: its turns are all.
        self.turns = None if isinstance(group, CircleGroup | str) else group.rotations
        self.symmetry = need_integer("symmetry", symmetry, 1, 360)
        self.within = need_number("within", within, above=0, most=180)

    def __repr__(self) -> str:
        group = "'SO2'" if self.turns is None else f"cyclic({self.turns})"
        return f"AngleTask({group}, symmetry={self.symmetry}, within={self.within:g})"

    @property
    def period(self) -> float:
        """Labels are in 0 .. 360/k degrees."""
        return 360 / self.symmetry

    def draw(self, images: Images, generator: torch.Generator | None) -> tuple[Degrees, Degrees]:
        """The angle modulo 360/k, and the multiple of 360/k that is left."""
        dtype = precise(images).dtype
        if self.turns is None:
            device = generator.device if generator is not None else images.device
            drawn = torch.rand(len(images), generator=generator, device=device, dtype=torch.float32)
            return self._split((2 * drawn.to(images.device, dtype) - 1) * self.within)
        reach = int(self.within * self.turns / 360 + 1e-9)  # so many steps to each side
        # The full circle of an even n ends on both sides at the same element.
        count = min(2 * reach + 1, self.turns)
        steps = random_integers(count, images, generator) - reach
        return self._split(steps.to(dtype) * (360 / self.turns))

    def upright(self, images: Images, generator: torch.Generator | None) -> tuple[Degrees, None]:
        """The angle 0."""
        return torch.zeros(len(images), dtype=precise(images).dtype, device=images.device), None

    def _split(self, degrees: Degrees) -> tuple[Degrees, Degrees]:
        labels = AngleTask.move(self, torch.zeros_like(degrees), degrees)
        return labels, degrees - labels

    @typed
    def apply(self, images: Images, labels: Degrees, draws: Degrees | None = None) -> Inputs:
        """The images turned counter-clockwise, and cut to the disc."""
        need_shape("labels", labels, len(images), finite=True)
        return on_disc(rotate(images, labels if draws is None else labels + draws))

    @typed
    def move(self, labels: Degrees, degrees: float | Degrees) -> Degrees:
        """alpha + theta, modulo 360/k."""
        moved = (labels + degrees) % self.period
        return moved.where(moved < self.period, 0)  # -1e-9 % 360 is 360

    def transform_draws(self, draws: Degrees | None, degrees: Turn, labels: Degrees) -> Degrees | None:
        """The multiple of 360/k goes up where the label starts again at 0."""
        if draws is None and self.symmetry == 1:
            return None
        far = labels + degrees
        return (0 if draws is None else draws) + far - AngleTask.move(self, far, 0.0)

    @typed
    def loss(self, outputs: Outputs, labels: Degrees) -> Degrees:
        """Nats of each sample, against uniform (``circle.angle_loss``)."""
        return angle_loss(outputs, labels, self.symmetry)

    @typed
    def error(self, outputs: Outputs, labels: Degrees) -> Degrees:
        """Degrees between answer and truth, at most 180/k."""
        return angle_error(angles_of(outputs, self.symmetry).to(labels), labels, self.symmetry)


def on_disc(inputs: Inputs) -> Inputs:
    """Zero outside the centred disc that no rotation moves out of the picture."""
    need_shape("images", inputs, "B", "C", "S", "S", floating=True)
    return inputs * disc_mask(inputs.shape[-1]).to(inputs)
