"""Tables of integers that are computed once and kept: of groups, of sets, of layers."""

from __future__ import annotations

import functools
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["table", "there"]


def table(function: Callable) -> Callable:
    """Decorate what computes a table: on the CPU, and fit for gradients.

    A table outlives the block in which it is first asked for. Such a block may be in inference mode, whose tensors no
    gradient may meet, or have another default device, such as ``meta``, whose tensors hold no numbers.
    """

    @functools.wraps(function)
    def computed(*arguments, **named):
        with torch.inference_mode(False), torch.device("cpu"):
            return function(*arguments, **named)

    # What ``torch.compiler.assume_constant_result`` does; that call would load the compiler whenever we are imported.
    computed._dynamo_marked_constant = True
    return computed


@functools.lru_cache(maxsize=256)
@table
def there(kept: Tensor, device: torch.device) -> Tensor:
    """A table on ``device``, copied once: a copy makes the CPU wait for an accelerator. Nobody writes to a table."""
    return kept.to(device)
