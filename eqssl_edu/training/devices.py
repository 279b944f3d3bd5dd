"""Lightning Fabric as the course uses it: without hints, in the precision that fits, closed while Python is whole."""

import atexit
import contextlib
import logging
import os
import threading
from collections.abc import Iterator

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from eqssl_edu.errors import got, need_integer, need_shape
from eqssl_edu.shapes import Images

__all__ = ["TrainingStep", "device_name", "launched", "need_learner"]

RECORD = ("step", "epoch", "seconds", "steps_per_second")  # what a record of a run has beside the metrics


def launched(accelerator: str, precision: str, devices: int, strategy: str) -> Fabric:
    """Fabric with its processes started; precision "auto" is bfloat16 where the GPU has it, else float32."""
    if precision == "auto":
        wants_cuda = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
        # Emulated bfloat16 (older GPUs) would be slower than float32.
        bfloat16 = wants_cuda and torch.cuda.is_bf16_supported(including_emulation=False)
        precision = "bf16-mixed" if bfloat16 else "32-true"
    devices = need_integer("devices", devices, least=1)
    with _without_hints():
        try:
            fabric = Fabric(accelerator=accelerator, precision=precision, devices=devices, strategy=strategy)
        except ValueError as problem:
            raise ValueError(f"accelerator, precision and strategy must suit Fabric: {problem}") from None
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if fabric.device.type == "cpu":
        need_integer("devices", devices, most=cores)  # as many processes would wait for each other
    fabric.launch()
    if fabric.world_size > 1:
        atexit.register(_end_process_group)
    return fabric


def device_name(fabric: Fabric) -> str:
    """What a run computes on, as text: "CPU, 2 threads", the name of the GPU."""
    kind = fabric.device.type
    if kind == "cuda":
        text = torch.cuda.get_device_name(fabric.device)
    elif kind == "cpu":
        threads = torch.get_num_threads()
        text = f"CPU, {threads} thread{'s' if threads > 1 else ''}"
    else:
        text = kind.upper()
    return text if fabric.world_size == 1 else f"{fabric.world_size} x {text}"


def need_learner(model: object) -> None:
    """Raise unless a model has a ``training_step`` and weights that can learn."""
    if not isinstance(model, nn.Module) or not callable(getattr(model, "training_step", None)):
        wanted = "a torch.nn.Module with training_step(images, generator) -> dict"
        raise TypeError(f"model must be {wanted}, got {type(model).__name__}")
    if any(isinstance(p, UninitializedParameter) for p in model.parameters()):
        raise ValueError("model must know its shapes: show an image to its lazy layers first")
    if not any(p.requires_grad for p in model.parameters()):
        raise ValueError("model must have parameters that need gradients, got none")


_one_at_a_time = threading.Lock()


class TrainingStep(nn.Module):
    """``training_step`` as ``forward``.

    Fabric's precision and exchange of gradients act on ``forward`` alone: on one device a method that is
    called on the wrapped module, marked or not, runs without autocast.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Images, generator: torch.Generator) -> dict[str, Tensor]:
        output = self.model.training_step(images, generator)
        if not isinstance(output, dict) or not isinstance(output.get("loss"), Tensor) or output["loss"].ndim:
            raise TypeError(f"training_step must return a dict with a scalar tensor 'loss', {got(output)}")
        if not output["loss"].requires_grad:
            raise ValueError("training_step must return a loss with a gradient, got one without")
        for name, value in output.items():
            if not isinstance(name, str) or name in RECORD:
                raise ValueError(
                    f"training_step must name its metrics other than {', '.join(RECORD)}, {got(name)}"
                )
            need_shape(f"training_step's {name!r}", value)
        return output


@contextlib.contextmanager
def _without_hints() -> Iterator[None]:
    """Fabric says what precision it was given, and how to have less, each time anew: many lines in a notebook."""
    log = logging.getLogger("lightning_fabric")
    with _one_at_a_time:  # or the second thread would take the silence of the first for the user's level
        level = log.level
        log.setLevel(logging.WARNING)
        try:
            yield
        finally:
            log.setLevel(level)


def _end_process_group() -> None:
    """Let go of the other processes while Python is whole; Fabric does it for NCCL alone.

    Gloo's threads may still hold tensors. If they drop them while the interpreter shuts down, the program aborts with
    "terminate called without an active exception", after all its work is done.
    """
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
