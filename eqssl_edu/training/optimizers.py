"""The optimiser of a run: made from the arguments, its state checked and put back."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from torch import Tensor, nn

from eqssl_edu.errors import got, need_instance
from eqssl_edu.training.states import need_weights

__all__ = ["need_optimizer", "optimizer_of", "put_back"]


def optimizer_of(model: nn.Module, lr: float, weight_decay: float) -> torch.optim.Optimizer:
    """AdamW over what learns in a model; vectors (biases and norms) do not decay."""
    learning = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    weights = [(name, weight) for name, weight in learning if weight.ndim >= 2]
    vectors = [(name, weight) for name, weight in learning if weight.ndim < 2]
    # With their names: a state of a run that froze other layers is told from one of this run.
    groups = [{"params": weights, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=lr, fused=True)


def need_optimizer(theirs: object, optimizer: torch.optim.Optimizer, started: bool) -> None:
    """Raise unless ``theirs`` is a state of this optimiser; torch takes others, and fails or errs at the next step."""
    name, mine = "state['optimizer']", optimizer.state_dict()
    need_instance(name, theirs, dict)
    groups, averages = theirs.get("param_groups"), theirs.get("state")
    need_instance(f"{name}['param_groups']", groups, list)
    need_instance(f"{name}['state']", averages, dict)
    for group, own in itertools.zip_longest(groups, mine["param_groups"]):
        if (
            not isinstance(group, dict) or not own or {**group, "lr": own["lr"]} != own
        ):  # each step sets its lr
            raise ValueError(f"{name} must have the settings of this run, {own}, {got(group)}")
    weights = _numbered(optimizer)
    if not averages.keys() <= weights.keys() or (started and not averages):
        raise ValueError(
            f"{name} must have averages of weights 0 .. {len(weights) - 1}, {got(list(averages))}"
        )
    for index, average in averages.items():
        form = {
            "step": torch.zeros((), device="cpu"),
            "exp_avg": weights[index],
            "exp_avg_sq": weights[index],
        }
        need_weights(f"{name}['state'][{index}]", average, form)


def put_back(optimizer: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Give an optimiser a copy of a state that :func:`need_optimizer` has seen.

    Each average gets the layout of its weight: a fused step goes through both in the order of their memory, and would
    pair the wrong numbers where a file, which knows no layouts, has lost it (channels last).
    """
    weights = _numbered(optimizer)

    def laid_out(index: int, name: str, value: Tensor) -> Tensor:
        return value.detach().clone() if name == "step" else torch.empty_like(weights[index]).copy_(value)

    averages = {
        index: {name: laid_out(index, name, value) for name, value in average.items()}
        for index, average in state["state"].items()
    }
    optimizer.load_state_dict({**state, "state": averages})


def _numbered(optimizer: torch.optim.Optimizer) -> dict[int, Tensor]:
    """The weights by their number in the optimiser's state."""
    return dict(enumerate(weight.detach() for group in optimizer.param_groups for weight in group["params"]))
