"""What depends on the step alone: the learning rate, the batch, the seed. So a run can be resumed at any step."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

import torch
from jaxtyping import Int64
from torch import Tensor

from eqssl_edu.errors import need_integer, need_number, typed
from eqssl_edu.shapes import Images

__all__ = ["Batches", "cosine_with_warmup", "factor_of", "seed_of", "told"]


@typed
def cosine_with_warmup(step: int, total_steps: int) -> float:
    r"""The factor of the learning rate at optimiser step ``step`` = 0, 1, ..., ``total_steps`` - 1.

    A linear rise over the first 5 % of the steps, then half a cosine down to almost zero:
    $f(s) = \min(1, (s+1)/w) \cdot (1 + \cos(\pi s / S)) / 2$. It is a function of the step alone, so that a
    resumed run needs no state of a scheduler.
    """
    need_integer("total_steps", total_steps, least=1)
    warmup = max(1, total_steps // 20)
    return min(1.0, (step + 1) / warmup) * 0.5 * (1.0 + math.cos(math.pi * step / total_steps))


def factor_of(schedule: Callable[[int, int], float], step: int, total_steps: int) -> float:
    """What a schedule says of a step. TypeError, ValueError unless it is a number of at least 0."""
    return need_number(f"schedule({step}, {total_steps})", schedule(step, total_steps), least=0)


def told(schedule: Callable[[int, int], float], total_steps: int) -> str:
    """A schedule as some of its factors: functions have no equality, and names may lie."""
    steps = range(0, total_steps, max(1, total_steps // 16))
    return " ".join(f"{factor_of(schedule, step, total_steps):.5g}" for step in steps)


class Batches:
    """The images of each step: an order of its own for each epoch, full batches alone.

    Arguments:
        images: all of them, on the device.
        batch_size: images in a step, over all processes together.
        seed: of the orders.
    """

    def __init__(self, images: Images, batch_size: int, seed: int) -> None:
        self.images, self.batch_size, self.seed = images, batch_size, seed
        self._order: tuple[int, Int64[Tensor, " count"]] | None = None

    def at(self, step: int, process: int, processes: int) -> Images:
        """The share of one of several processes."""
        epoch, position = divmod(step, len(self.images) // self.batch_size)
        if self._order is None or self._order[0] != epoch:
            generator = torch.Generator("cpu").manual_seed(seed_of(self.seed, epoch))
            order = torch.randperm(len(self.images), generator=generator, device="cpu")
            self._order = (epoch, order.to(self.images.device))
        rows = self._order[1][position * self.batch_size : (position + 1) * self.batch_size]
        return self.images[rows.view(processes, -1)[process]]


def seed_of(*numbers: int) -> int:
    """A seed out of several numbers: (3, 1) and (1, 3), or neighbouring steps, get unrelated streams."""
    return int.from_bytes(hashlib.blake2b(repr(numbers).encode(), digest_size=7).digest(), "little")
