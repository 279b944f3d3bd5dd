"""The metrics of a run: they stay on the device until they are read, since a reading makes a GPU wait."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from lightning_fabric import Fabric
from torch import Tensor, nn

__all__ = ["Readings"]


class Readings:
    """The metrics of the steps since the last reading, and their means.

    Arguments:
        fabric: tells the device, and takes the mean over processes.
    """

    def __init__(self, fabric: Fabric) -> None:
        self.fabric = fabric
        self.names: list[str] = []
        self._unread: list[Float[Tensor, " metric"]] = []

    def add(self, output: dict[str, Tensor]) -> None:
        """Keep the scalars that a step gave. ValueError unless they are those of the steps before."""
        self.names = self.names or list(output)
        if output.keys() != set(self.names):
            before = ", ".join(self.names)
            raise ValueError(
                f"training_step must keep its names ({before}), got {', '.join(output)} at another step"
            )
        self._unread.append(torch.stack([output[name].detach().float() for name in self.names]))

    def means(self, model: nn.Module, step: int) -> dict[str, float]:
        """The means of the metrics since the last reading, which ends here at ``step``.

        Raises:
            FloatingPointError: when a metric or a weight of the model is no finite number.
        """
        # A weight that overflowed may show in the loss only at the next step; the norm over all tells now.
        norm = torch.nn.utils.get_total_norm(model.parameters()).detach().float()
        metrics = self.fabric.all_reduce(torch.stack(self._unread), reduce_op="mean")
        *values, norm = torch.cat([metrics.flatten(), norm.view(1)]).tolist()
        columns = {name: values[i :: len(self.names)] for i, name in enumerate(self.names)}
        first = step - len(self._unread) + 1
        numbered = [(first + i, name, value) for name in columns for i, value in enumerate(columns[name])]
        bad = [(when, name) for when, name, value in numbered if not math.isfinite(value)]
        if bad or not math.isfinite(norm):
            when, what = min(bad) if bad else (step, "weights")
            raise FloatingPointError(f"the {what} became infinite or nan at step {when}")
        self._unread = []
        return {name: sum(column) / len(column) for name, column in columns.items()}

    def state(self) -> dict[str, list[str] | Tensor | None]:
        """What a run's state says of its metrics: their names, and those not yet read, (steps, metrics)."""
        unread = torch.stack(self._unread).cpu() if self._unread else None
        return {"metrics": list(self.names), "unread": unread}

    def restore(self, state: dict) -> None:
        """Go on from :meth:`state`."""
        unread = state["unread"]
        self.names = list(state["metrics"])
        self._unread = [] if unread is None else list(unread.to(self.fabric.device))
