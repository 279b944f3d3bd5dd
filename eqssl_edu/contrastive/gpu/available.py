"""Whether the kernels of this package, which are written in Triton, can be made for a GPU."""

from __future__ import annotations

import warnings
from functools import lru_cache
from importlib.util import find_spec

import torch
from torch import Tensor

from eqssl_edu.groups import FiniteGroup

__all__ = ["INFONCE_KINDS", "kernels_for", "kernels_on"]

INFONCE_KINDS = ("plain", "max", "soft", "power2", "power3")  # those whose features need no preparation

LARGEST = 32  # elements of a group: kernels are written out for each of them, which takes a compiler's time


def kernels_for(group: FiniteGroup, z: Tensor) -> bool:
    """Whether the kernels are of use for these features: on a GPU, in single precision or less."""
    return z.dtype != torch.float64 and group.order <= LARGEST and kernels_on(z.device)


@lru_cache(maxsize=16)
def kernels_on(device: torch.device) -> bool:
    """Whether Triton can make kernels for this device, which takes a C compiler and Python's headers.

    Whoever asks can do without, more slowly; where a GPU has to, a warning says so, once.
    """
    if device.type != "cuda" or find_spec("triton") is None:
        return False
    try:
        from eqssl_edu.contrastive.gpu import correlation, infonce

        correlation.try_on(device)
        infonce.try_on(device)
    except Exception as error:  # whatever it is
        reason = f"{type(error).__name__}: {str(error)[:300]}"
        warnings.warn(
            f"InfoNCE is several times slower, and orbit_correlation somewhat, without their kernels for {device} "
            f"({reason})",
            stacklevel=4,
        )
        return False
    return True
