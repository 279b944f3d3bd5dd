"""What depends on the step alone: the learning rate and the seed. So a run can be resumed at any step."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable

from eqssl_edu.errors import need_integer, need_number, typed

__all__ = ["cosine_with_warmup", "factor_of", "seed_of", "told"]


@typed
def cosine_with_warmup(step: int, total_steps: int) -> float:
    r"""The factor of the learning rate at optimiser step ``step`` = 0, 1, ..., ``total_steps`` - 1.

    A linear rise over the first 5 % of the steps, then half a cosine down to almost zero:
    $f(s) = \min(1, (s+1)/w) \cdot (1 + \cos(\pi s / S)) / 2$. It is a function of the step alone, so that a
    resumed run needs no state of a scheduler.

    References:
        Decoupled weight decay regularization, Loshchilov and Hutter, arXiv 1711.05101 (AdamW, cosine).
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


def seed_of(*numbers: int) -> int:
    """A seed out of several numbers: (3, 1) and (1, 3), or neighbouring steps, get unrelated streams."""
    return int.from_bytes(hashlib.blake2b(repr(numbers).encode(), digest_size=7).digest(), "little")
