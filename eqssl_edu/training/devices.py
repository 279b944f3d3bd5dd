"""Lightning Fabric as the course uses it: without hints, in the precision that fits, closed while Python is whole."""

import atexit
import contextlib
import logging
import os
import threading
from collections.abc import Iterator, Sequence
from datetime import timedelta

import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers import Logger
from lightning_fabric.strategies import DDPStrategy
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from eqssl_edu.errors import got, need_instance, need_integer, need_shape
from eqssl_edu.shapes import Images

__all__ = ["TrainingStep", "device_name", "fitted", "launched", "log", "need_learner"]

RECORD = ("step", "epoch", "seconds", "steps_per_second")  # what a record of a run has beside the metrics
PATIENCE = timedelta(minutes=10)  # that processes wait for one that does not answer


def launched(
    accelerator: str,
    precision: str,
    devices: int,
    num_nodes: int,
    strategy: str,
    loggers: Sequence[Logger],
) -> Fabric:
    """Fabric with its processes started; precision "auto" is bfloat16 where the GPU has it, else float32."""
    if precision == "auto":
        wants_cuda = accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
        # Emulated bfloat16 (older GPUs) would be slower than float32.
        bfloat16 = wants_cuda and torch.cuda.is_bf16_supported(including_emulation=False)
        precision = "bf16-mixed" if bfloat16 else "32-true"
    devices = need_integer("devices", devices, least=1)
    wanted = {"accelerator": accelerator, "precision": precision, "devices": devices, "strategy": strategy}
    wanted |= {"num_nodes": need_integer("num_nodes", num_nodes, least=1), "loggers": list(loggers)}
    for logger in loggers:
        need_instance("loggers: each", logger, Logger)
    if strategy == "ddp":  # or what hangs on one machine would hang on all for half an hour
        wanted["strategy"] = DDPStrategy(timeout=PATIENCE)
    with _without_hints():
        try:
            fabric = Fabric(**wanted)
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


def fitted(model: nn.Module, channels_last: bool, compile: bool) -> None:
    """Lay out the weights of a model for channels last, and have its parts compiled; its state stays what it is.

    The parts are compiled one by one, as ``training_step`` calls them; what lies between them (views, random draws) is
    left to Python.
    """
    if channels_last:
        for weight in model.parameters():
            if weight.ndim == 4:
                weight.data = weight.data.contiguous(memory_format=torch.channels_last)
    if compile:
        parts = list(model.children())
        if not parts:
            raise ValueError("compile must be False for a model without parts (submodules), got True")
        for part in parts:
            part.compile()


def log(fabric: Fabric, record: dict[str, float]) -> None:
    """Hand a record to all loggers, at its step, and have it written: what is killed has logged all the same."""
    fabric.log_dict({name: value for name, value in record.items() if name != "step"}, step=record["step"])
    for logger in fabric.loggers:
        logger.save()


_one_at_a_time = threading.Lock()


class TrainingStep(nn.Module):
    """``training_step`` as ``forward``.

    Fabric's precision and exchange of gradients act on ``forward`` alone: on one device a method that is
    called on the wrapped module, marked or not, runs without autocast.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        # The tables of a group are the same in every process, and can be larger than the weights; those buffers that
        # no state holds would be sent anew at each step (docs/scaling.md).
        held = self.state_dict()
        names = [name for name, _ in self.named_buffers() if name not in held]
        self._ddp_params_and_buffers_to_ignore = names  # DistributedDataParallel asks for it

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
