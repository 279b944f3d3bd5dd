"""What happens to the weights in a step: the gradient, clipped or not, and the optimiser, with its state."""

from __future__ import annotations

import itertools
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from eqssl_edu.errors import got, need_instance
from eqssl_edu.shapes import Images
from eqssl_edu.training.devices import TrainingStep
from eqssl_edu.training.states import cloned, need_weights

__all__ = ["Update"]

AVERAGES = {
    "adamw": ("step", "exp_avg", "exp_avg_sq"),
    "sgd": ("momentum_buffer",),
}  # what torch keeps of a weight


class Update:
    """One optimiser step on a batch.

    Arguments:
        fabric: of the run.
        model: with a ``training_step``.
        kind: "adamw" or "sgd".
        lr: at first; each call sets its own.
        weight_decay: on weights with two or more axes; vectors (biases and norms) do not decay.
        momentum: of SGD; the first beta of AdamW.
        clip: largest norm of the gradient, over all weights; None leaves it as it is.
    """

    def __init__(
        self,
        fabric: Fabric,
        model: nn.Module,
        kind: str,
        lr: float,
        weight_decay: float,
        momentum: float,
        clip: float | None,
    ) -> None:
        self.fabric, self.clip = fabric, clip
        self._keeps = () if kind == "sgd" and not momentum else AVERAGES[kind]
        learning = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
        weights = [(name, weight) for name, weight in learning if weight.ndim >= 2]
        vectors = [(name, weight) for name, weight in learning if weight.ndim < 2]
        # With their names: a state of a run that froze other layers is told from one of this run.
        groups = [{"params": weights, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        groups = [group for group in groups if group["params"]]
        # A fused step unscales the gradients of float16 by itself, too late for whoever clips them.
        fused = fabric.strategy.precision.precision != "16-mixed"
        if kind == "sgd":
            self.optimizer = torch.optim.SGD(groups, lr=lr, momentum=momentum, fused=fused)
        else:
            self.optimizer = torch.optim.AdamW(groups, lr=lr, betas=(momentum, 0.999), fused=fused)
        # Fabric wraps both: the wrapped pair handles precision and processes, the bare pair holds the state.
        self._forward, self._optimizer = fabric.setup(TrainingStep(model), self.optimizer)

    def __call__(self, batch: Images, generator: torch.Generator, lr: float) -> dict[str, Tensor]:
        """Make a step with this learning rate; returns what ``training_step`` gave, still on the device."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        output = self._forward(batch, generator)
        self._optimizer.zero_grad()
        self.fabric.backward(output["loss"])
        if self.clip is not None:  # a gradient that is not finite is told by the next reading
            bounds = {"max_norm": self.clip, "error_if_nonfinite": False}
            self.fabric.clip_gradients(self._forward, self._optimizer, **bounds)
        self._optimizer.step()
        return output

    def state(self) -> dict[str, Any]:
        """A copy of the optimiser's state."""
        return cloned(self.optimizer.state_dict())

    def need_state(self, theirs: object, started: bool) -> None:
        """Raise unless ``theirs`` is a state of this optimiser; torch takes others, and errs at the next step."""
        name, mine = "state['optimizer']", self.optimizer.state_dict()
        need_instance(name, theirs, dict)
        groups, averages = theirs.get("param_groups"), theirs.get("state")
        need_instance(f"{name}['param_groups']", groups, list)
        need_instance(f"{name}['state']", averages, dict)
        for group, own in itertools.zip_longest(groups, mine["param_groups"]):
            # Each step sets its lr.
            if not isinstance(group, dict) or not own or {**group, "lr": own["lr"]} != own:
                raise ValueError(f"{name} must have the settings of this run, {own}, {got(group)}")
        weights = self._weights()
        if not averages.keys() <= weights.keys() or (started and not averages and self._keeps):
            raise ValueError(
                f"{name} must have averages of weights 0 .. {len(weights) - 1}, {got(list(averages))}"
            )
        for index, average in averages.items():
            form = dict.fromkeys(self._keeps, weights[index])
            if "step" in form:
                form["step"] = torch.zeros((), device="cpu")
            need_weights(f"{name}['state'][{index}]", average, form)

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a copy of a state that :meth:`need_state` has seen.

        Each average gets the layout of its weight: a fused step goes through both in the order of their memory, and
        would pair the wrong numbers where a file, which knows no layouts, has lost it (channels last).
        """
        weights = self._weights()

        def laid_out(index: int, name: str, value: Tensor) -> Tensor:
            return value.detach().clone() if name == "step" else torch.empty_like(weights[index]).copy_(value)

        averages = {
            index: {name: laid_out(index, name, value) for name, value in average.items()}
            for index, average in state["state"].items()
        }
        self.optimizer.load_state_dict({**state, "state": averages})

    def _weights(self) -> dict[int, Tensor]:
        """The weights by their number in the optimiser's state."""
        weights = (weight.detach() for group in self.optimizer.param_groups for weight in group["params"])
        return dict(enumerate(weights))
