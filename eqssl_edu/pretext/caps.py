"""What one image allows: the best loss and accuracy of an equivariant network on its inputs."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from eqssl_edu.errors import need_integer, need_shape, typed
from eqssl_edu.pretext.task import Images, Task
from eqssl_edu.theory import law_floor

__all__ = ["image_caps", "image_floors"]


def image_caps(task: Task, images: Images) -> Float[Tensor, " batch"]:
    """For each image the highest accuracy of an equivariant network on its inputs (the cap of a symmetric image).

    An input with the symmetry s has the label l as well as s.l: a round 0 has no orientation. And two
    labels whose inputs look alike (two blank tiles exchanged) cannot be told apart by anybody.

    Example: a blank image looks the same after each of the four turns.
        >>> from eqssl_edu.groups import cyclic
        >>> from eqssl_edu.pretext import RotationTask
        >>> image_caps(RotationTask(cyclic(4)), torch.zeros(1, 1, 8, 8))
        tensor([0.2500], dtype=torch.float64)
    """
    return _floors(task, images)[1]


def image_floors(task: Task, images: Images) -> Float[Tensor, " batch"]:
    """For each image the lowest cross entropy in nats of an equivariant network on its inputs."""
    return _floors(task, images)[0]


@typed
def _floors(task: Task, images: Images) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
    r"""(nats, accuracy) of the best equivariant network on the inputs of each image alone.

    An equivariant network answers (y, l) and all (g y, g.l) equally well. So take all of them, equally likely.
    Where the same picture comes with several labels, the best answer is their distribution: the floor is
    $H(g \cdot l \mid g y)$, and the cap the mean probability of the most likely label.
    """
    need_integer("len(images)", len(images), least=1)
    need_shape("images", images, "B", "C", "H", "W", finite=True)  # two NaN are two pictures
    best = []
    for image in images.split(1):
        inputs, labels = task.every_input(image)
        inputs, elements = inputs.flatten(0, 1), task.group.elements
        pictures = torch.cat([task.transform(inputs, g).flatten(1).double() for g in elements])
        answers = torch.cat([task.labels.act(g, labels) for g in elements])
        different, which = pictures.unique(dim=0, return_inverse=True)
        times = pictures.new_zeros(len(different), task.labels.size)
        best.append(law_floor(times.index_put_((which, answers), times.new_ones(()), accumulate=True)))
    return torch.tensor(best, dtype=torch.float64, device=images.device).unbind(dim=1)
