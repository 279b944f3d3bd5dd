"""The group is a part of the state: weights of C4 and of D2 have the same shapes and mean different things."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import UInt8
from torch import Tensor, nn

from eqssl_edu.gsets import GSet

__all__ = ["GroupState", "labels_in_words"]


class GroupState(nn.Module):
    """A module whose ``state_dict`` says which group its weights belong to; those of another one are refused.

    What is said stands in the state as the bytes of a sentence, so that every format of files can hold it. A state
    without it is taken as it is: that of a layer written by hand, or of an older file.

    Example:
        >>> from eqssl_edu.groups import cyclic, dihedral
        >>> from eqssl_edu.layers import GroupConv2d
        >>> state = GroupConv2d(cyclic(4), 1, 2, 3).state_dict()
        >>> GroupConv2d(dihedral(2), 1, 2, 3).load_state_dict(state)
        Traceback (most recent call last):
        ValueError: state_dict must belong to regular maps over D2, got regular maps over C4
    """

    def belongs_to(self) -> str:
        """What the weights belong to, in words; by default the module's ``group``."""
        return f"features over {getattr(getattr(self, 'group', None), 'name', 'no group')}"

    def get_extra_state(self) -> UInt8[Tensor, " letter"]:
        return torch.tensor(list(self.belongs_to().encode()), dtype=torch.uint8, device="cpu")

    def set_extra_state(self, state: Tensor) -> None:
        """Nothing to do: it was compared before anything was loaded."""

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *more: Any) -> None:
        # All modules inside are asked before the first weight is overwritten.
        for name, module in self.named_modules(prefix=prefix.removesuffix(".")):
            if isinstance(module, GroupState):
                module._need_own_state(state_dict, f"{name}." * bool(name) + "_extra_state")
        state_dict.setdefault(f"{prefix}_extra_state", self.get_extra_state())  # torch would miss it
        super()._load_from_state_dict(state_dict, prefix, *more)

    def _need_own_state(self, state_dict: Mapping[str, Any], key: str) -> None:
        state = state_dict.get(key)
        theirs = bytes(state.tolist()).decode() if isinstance(state, Tensor) else self.belongs_to()
        if theirs != self.belongs_to():
            raise ValueError(f"state_dict must belong to {self.belongs_to()}, got {theirs}")


def labels_in_words(labels: GSet) -> str:
    """A G-set by its group, its size and its action: two actions on as many labels are two meanings of the weights."""
    action = zlib.crc32(labels.action.cpu().numpy().tobytes())
    return f"{labels.size} labels over {labels.group.name} (action {action:08x})"
