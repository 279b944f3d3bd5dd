"""What one image allows: the best loss and accuracy of an equivariant network on its inputs."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from eqssl_edu.errors import need_instance, need_integer, need_shape
from eqssl_edu.pretext.task import Images, Task
from eqssl_edu.theory import best_answer

__all__ = ["image_caps", "image_floors"]


def image_caps(task: Task, images: Images) -> Float[Tensor, " batch"]:
    """For each image the highest accuracy of an equivariant network on its inputs (THEORY T2).

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


def _floors(task: Task, images: Images) -> tuple[Float[Tensor, " batch"], Float[Tensor, " batch"]]:
    r"""(nats, accuracy) of the best equivariant network on the inputs of each image alone.

    An equivariant network answers (y, l) and all (g y, g.l) equally well. So take all of them, equally likely.
    Where the same picture comes with several labels, the best answer is their distribution: the floor is
    $H(g \cdot l \mid g y)$, and the cap the mean probability of the most likely label.
    """
    need_instance("task", task, Task)
    need_shape("images", images, "B", "C", "H", "W")
    need_integer("len(images)", len(images), least=1)
    inputs, labels = task.every_input(images)
    pictures, answers = [], []
    for g in task.group.elements:
        pictures += [_fingerprint(task.transform(case, g)) for case in inputs]
        answers.append(task.labels.act(g, labels))
    best = []
    for copies in torch.stack(pictures, dim=1):  # of one image
        different, which = copies.unique(return_inverse=True)
        times = torch.zeros(len(different), task.labels.size, dtype=torch.float64, device=images.device)
        times.index_put_((which, torch.cat(answers)), times.new_ones(()), accumulate=True)
        best.append(best_answer(times))
    return torch.tensor(best, dtype=torch.float64, device=images.device).unbind(dim=1)


def _fingerprint(inputs: Float[Tensor, "batch ..."]) -> Int64[Tensor, " batch"]:
    """One number for each input, equal for equal pictures: the bits of the pixels with random odd weights.

    The sum is over integers and wraps around, so it is exact. Different pictures collide once in 2^64.
    """
    bits = (inputs.double().flatten(1) + 0.0).view(torch.int64)  # + 0.0 makes one zero of the two
    weights = (
        torch.randint(-(2**62), 2**62, bits.shape[1:], generator=torch.Generator().manual_seed(0)) * 2 + 1
    )
    mixed = bits ^ (bits >> 32)  # the low bits of a double that was a float are all 0
    return (mixed * weights.to(bits.device)).sum(dim=1)
