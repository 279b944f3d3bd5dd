"""A training step as one launch: forward and backward pass as a CUDA graph, with the same losses and gradients.

A contrastive step of these networks takes a GPU a few milliseconds, and Python three times as long to ask for. Views,
encoder, loss and all gradients are recorded once and then replayed as a whole.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = ["Recorded"]

WARM = 3  # steps that run as usual: they check the images, and choose and allocate what a recording may not


class Recorded(nn.Module):
    """A model whose ``training_step`` is recorded on a GPU; elsewhere the same, computed anew at each step.

    Batches must have one size, and the generator be the same object: its seed may change between the steps.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model, self._warm, self._recording = model, WARM, None

    def training_step(
        self, images: Float[Tensor, "batch channel height width"], generator: torch.Generator
    ) -> dict[str, Tensor]:
        if self._warm:
            self._warm -= 1
            return self.model.training_step(images, generator)
        if self._recording is None:
            self._recording = _Recording(self.model, images, generator)
        values = _Replayed.apply(self._recording, images, *self._recording.weights)
        return dict(zip(self._recording.names, values, strict=True))


class _Recording:
    """One step of a model: ``replay`` computes ``values`` and ``gradients`` anew from what lies in ``images``."""

    replay: Callable[[], None]
    names: list[str]  # of the values; the loss comes first
    values: list[Tensor]
    gradients: tuple[Tensor, ...]

    def __init__(self, model: nn.Module, images: Tensor, generator: torch.Generator) -> None:
        self.images = images.clone()
        self.weights = [weight for weight in model.parameters() if weight.requires_grad]
        kind = images.device.type

        def compute() -> None:
            # A weight that autocast keeps in half precision from one recording would be stale in the next.
            how = {"enabled": torch.is_autocast_enabled(kind), "dtype": torch.get_autocast_dtype(kind)}
            with torch.enable_grad(), torch.autocast(kind, **how, cache_enabled=False):
                output = model.training_step(self.images, generator)
            self.names = ["loss", *(name for name in output if name != "loss")]
            self.values = [output[name].detach() for name in self.names]
            self.gradients = torch.autograd.grad(output["loss"], self.weights)

        self.replay = compute if kind != "cuda" else _graph(compute, generator).replay


def _graph(compute: Callable[[], None], generator: torch.Generator) -> torch.cuda.CUDAGraph:
    graph = torch.cuda.CUDAGraph()
    graph.register_generator_state(generator)  # so that each replay draws with the seed that it has then
    with torch.cuda.graph(graph):
        compute()
    return graph


class _Replayed(torch.autograd.Function):
    """The values of a recording; their gradients are there already."""

    @staticmethod
    def forward(ctx, recording, images, *_weights):
        recording.images.copy_(images)
        recording.replay()
        ctx.recording = recording
        values = tuple(value.clone() for value in recording.values)
        ctx.mark_non_differentiable(*values[1:])
        return values

    @staticmethod
    @once_differentiable
    def backward(ctx, slope, *_others):
        return None, None, *torch._foreach_mul(ctx.recording.gradients, slope)
