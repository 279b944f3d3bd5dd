"""The training loop: what is random, what is recorded, how a run is stopped and resumed."""

import math
import threading
import time
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from eqssl_edu.errors import got, need_instance, need_integer, need_number, need_shape, typed
from eqssl_edu.ownership import Claim, learned, steady, steps_of
from eqssl_edu.shapes import Images
from eqssl_edu.training.devices import TrainingStep, device_name, launched
from eqssl_edu.training.schedule import Batches, cosine_with_warmup, seed_of
from eqssl_edu.training.states import cloned, mark, need_optimizer, need_state, need_weights

__all__ = ["Pretrainer"]


class Pretrainer:
    r"""Trains a model on a set of images, on whatever device and number of processes Fabric finds.

    The model is any module with ``training_step(images, generator) -> dict`` of scalar tensors: "loss" (with
    a gradient) and whatever else should be followed, such as "accuracy". The optimiser is AdamW (no weight
    decay on vectors: biases and norms) with :func:`cosine_with_warmup`.

    **Random numbers.** The order of the images in epoch e depends on (seed, e) alone and the generator that
    ``training_step`` receives at step s on (seed, s) alone. So two models trained with the same seed see the
    same batches and the same augmentation draws, and a run can be resumed at any step. PyTorch's global
    generator is not touched.

    **Batches.** All images live on the device as one tensor. The last incomplete batch of an epoch is
    dropped, so that every step has the same number of negatives and the same batch statistics; as each epoch
    has its own order, no image is left out for good. With several processes each takes its share of a batch.

    **Threads.** One training changes a model at a time: while a LiveTraining trains it, other runs of it refuse to
    step. :meth:`state_dict`, ``extract`` and the explorers may be used meanwhile; they wait for the end of a step.
    ``model.state_dict()`` is torch's own: it hands out the weights themselves, which the training goes on changing.

    **Reading.** Losses stay on the device and are read once in ``interval`` steps (10 in a long run), because
    a reading makes a GPU wait. What is read is the mean over the interval.

    Arguments:
        model: the module to train, in place.
        images: all training images, float.
        epochs: how often each image is seen.
        batch_size: images in a step, over all processes together.
        lr: highest learning rate of the schedule.
        weight_decay: of AdamW, on weights with two or more axes.
        seed: of the data order and of the augmentations; an integer >= 0.
        accelerator, devices, strategy: as in ``lightning_fabric.Fabric``; "auto" takes a GPU if there is one.
        precision: as in Fabric; "auto" is "bf16-mixed" on a CUDA GPU that can bfloat16, else "32-true".

    References:
        Decoupled weight decay regularization, Loshchilov and Hutter, arXiv 1711.05101 (AdamW, cosine).
    """

    @typed
    def __init__(
        self,
        model: nn.Module,
        images: Images,
        *,
        epochs: int,
        batch_size: int,
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        seed: int = 0,
        accelerator: str = "auto",
        precision: str = "auto",
        devices: int = 1,
        strategy: str = "auto",
    ) -> None:
        if not isinstance(model, nn.Module) or not callable(getattr(model, "training_step", None)):
            wanted = "a torch.nn.Module with training_step(images, generator) -> dict"
            raise TypeError(f"model must be {wanted}, got {type(model).__name__}")
        need_shape("images", images, "N", "C", "H", "W", floating=True, finite=True)
        self.lr = need_number("lr", lr, above=0)
        self.weight_decay = need_number("weight_decay", weight_decay, least=0)
        self.epochs = need_integer("epochs", epochs, least=1)
        self.batch_size = need_integer("batch_size", batch_size, least=1, most=len(images))
        self.seed = need_integer("seed", seed, least=0)

        if any(isinstance(p, UninitializedParameter) for p in model.parameters()):
            raise ValueError("model must know its shapes: show an image to its lazy layers first")
        if not any(p.requires_grad for p in model.parameters()):
            raise ValueError("model must have parameters that need gradients, got none")

        self.fabric = launched(accelerator, precision, devices, strategy)
        processes = self.fabric.world_size
        if self.batch_size % processes:
            raise ValueError(f"batch_size must be a multiple of the {processes} processes, {got(batch_size)}")

        with steady(model):
            self.model = self.fabric.to_device(model)
        weights = [p for p in model.parameters() if p.requires_grad and p.ndim >= 2]
        vectors = [p for p in model.parameters() if p.requires_grad and p.ndim < 2]
        groups = [
            {"params": weights, "weight_decay": self.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
        self._optimizer = torch.optim.AdamW(groups, lr=self.lr, fused=True)
        # Fabric wraps both: the wrapped pair handles precision and processes, the bare pair holds the state.
        self._fabric_step, self._fabric_optimizer = self.fabric.setup(TrainingStep(model), self._optimizer)
        self.images = images.detach().to(self.fabric.device, copy=True)  # the user's may change while it runs
        self.claim = Claim(model)

        self.steps_per_epoch = len(images) // self.batch_size
        self.total_steps = self.epochs * self.steps_per_epoch
        self.interval = min(10, max(1, self.total_steps // 100))
        self.step = 0
        self.seconds = 0.0
        self.history: list[dict[str, float]] = []
        self._names: list[str] = []
        self._unread: list[Float[Tensor, " metric"]] = []
        self._generator = torch.Generator(self.fabric.device)
        self._batches = Batches(self.images, self.batch_size, self.seed)
        self._mark: dict[str, Any] = {}  # of the model and the images
        self._good: dict | None = None  # the state at the last reading that was good

    @property
    def device(self) -> str:
        """What the run computes on, as text: "CPU, 2 threads", the name of the GPU."""
        return device_name(self.fabric)

    def steps(self) -> Iterator[dict[str, float]]:
        """Yield a record after each optimiser step, from where the run stands to its end.

        A record is a plain dict: "step" (optimiser steps done), "epoch" (1, 2, ...), "seconds" (computing
        time so far), "steps_per_second", and the metrics of ``training_step`` as they were read last. Leave
        the generator between two steps and the run can go on later.

        Whatever goes wrong in a step, an interrupt of the kernel as well, puts the run back to its last reading.

        Raises:
            FloatingPointError: when a metric or a weight is no finite number; says at which step.
            TypeError, ValueError: when ``training_step`` gives something else than a dict of scalar tensors.
            RuntimeError: when a LiveTraining trains this model now.
        """
        while self.step < self.total_steps:
            self._need_free("steps")
            with self.claim.step():
                if self.step >= self.total_steps:  # another thread has made the last one
                    return
                self._good = self._good or self.state_dict()
                try:
                    record = self._advance()
                except BaseException as error:
                    self._restore(self._good)
                    if not isinstance(error, FloatingPointError):  # which says so
                        error.add_note(f"(the run was put back to its state after step {self.step})")
                    raise
            yield record

    def fit(self, stop: threading.Event | None = None) -> list[dict[str, float]]:
        """Train to the end, or until ``stop`` is set, with a progress bar; return the history.

        The history has one record for each reading. Errors are those of :meth:`steps`.
        """
        from tqdm.auto import tqdm

        need_instance("stop", stop, (threading.Event, type(None)))
        self._need_free("fit")
        stop = stop or threading.Event()
        quiet = not self.fabric.is_global_zero
        with tqdm(total=self.total_steps, initial=self.step, unit="step", disable=quiet) as bar:
            steps = self.steps()
            while not stop.is_set() and (record := next(steps, None)):
                bar.update()
                bar.set_postfix_str(f"loss {record['loss']:.3f}", refresh=False)
        return self.history

    def state_dict(self) -> dict:
        """Everything that a new Pretrainer with the same arguments needs to go on: a copy, fit for a file.

        While the run trains in another thread it waits for the end of a step. On the CPU a run that was cut at any
        step and resumed ends with the same parameters, bit for bit, as one that was not.
        """
        with steady(self.model):
            return {
                "model": cloned(self.model.state_dict()),
                "optimizer": cloned(self._optimizer.state_dict()),
                "step": self.step,
                "settings": self._settings(),
                "history": list(self.history),  # a record never changes
                "metrics": list(self._names),
                "unread": torch.stack(self._unread).cpu() if self._unread else None,
                "seconds": self.seconds,
            }

    def load_state_dict(self, state: dict) -> None:
        """Go on from a :meth:`state_dict`. All of it is checked first: what is refused changes nothing.

        Raises:
            TypeError, ValueError: when the state is not whole, or belongs to a run with other arguments, another kind
                of model or other images (it would not be the same run).
            RuntimeError: when a LiveTraining trains this model now.
        """
        self._need_free("load_state_dict")
        with self.claim.step():
            mine = self.state_dict()
            need_state(state, mine, self.total_steps)
            need_weights("state['model']", state["model"], mine["model"])
            need_optimizer(state["optimizer"], self._optimizer, state["step"] > 0)
            try:
                self._restore(state)
            except BaseException:  # a module may have rules of its own
                self._restore(mine)
                raise
            learned(self.model, self.step)
            self._good = self.state_dict()

    def _restore(self, state: dict) -> None:
        learned(self.model, steps_of(self.model) + state["step"] - self.step)
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(cloned(state["optimizer"]))  # it keeps the tensors that it is given
        self.step, self.seconds, self._names = state["step"], state["seconds"], list(state["metrics"])
        unread = state["unread"]
        self._unread = [] if unread is None else list(unread.to(self.fabric.device))
        self.history[:] = state["history"]

    def _need_free(self, what: str) -> None:
        if any(owner.thread is not threading.current_thread() for owner in self.claim.owners()):
            raise RuntimeError(
                f"{what}: a LiveTraining trains this model now; stop() it and wait() for it first"
            )

    def _advance(self) -> dict[str, float]:
        """One optimiser step and, when it is due, a reading; returns the record."""
        start = time.perf_counter()
        if not self.model.training:
            self.model.train()
        self._unread.append(self._train_one_step())
        self.step += 1
        learned(self.model, steps_of(self.model) + 1)
        due = self.step % self.interval == 0 or self.step in (1, self.total_steps)
        means = self._read() if due else {}
        self.seconds += time.perf_counter() - start
        epoch = (self.step - 1) // self.steps_per_epoch + 1
        here = {"step": self.step, "epoch": epoch, "seconds": self.seconds}
        if due:
            last = self.history[-1] if self.history else {"step": 0, "seconds": 0.0}
            speed = (self.step - last["step"]) / (self.seconds - last["seconds"])
            self.history.append({**here, "steps_per_second": speed, **means})
            self._good = self.state_dict()
        return {**self.history[-1], **here}

    def _train_one_step(self) -> Float[Tensor, " metric"]:
        """One optimiser step; returns the detached metrics, still on the device."""
        for group in self._optimizer.param_groups:
            group["lr"] = self.lr * cosine_with_warmup(self.step, self.total_steps)
        self._generator.manual_seed(seed_of(self.seed, self.step, self.fabric.global_rank))
        batch = self._batches.at(self.step, self.fabric.global_rank, self.fabric.world_size)
        output = self._fabric_step(batch, self._generator)
        if self._names and output.keys() != set(self._names):
            before = ", ".join(self._names)
            raise ValueError(
                f"training_step must keep its names ({before}), got {', '.join(output)} at another step"
            )
        self._fabric_optimizer.zero_grad()
        self.fabric.backward(output["loss"])
        self._fabric_optimizer.step()
        self._names = self._names or list(output)
        return torch.stack([output[name].detach().float() for name in self._names])

    def _read(self) -> dict[str, float]:
        """Bring the metrics since the last reading to the CPU, check them, and return their means."""
        # A weight that overflowed may show in the loss only at the next step; the norm over all tells now.
        norm = torch.nn.utils.get_total_norm(self.model.parameters()).detach().float()
        metrics = self.fabric.all_reduce(torch.stack(self._unread), reduce_op="mean")
        *values, norm = torch.cat([metrics.flatten(), norm.view(1)]).tolist()
        columns = {name: values[i :: len(self._names)] for i, name in enumerate(self._names)}
        first = self.step - len(self._unread) + 1
        numbered = [(first + i, name, value) for name in columns for i, value in enumerate(columns[name])]
        bad = [(step, name) for step, name, value in numbered if not math.isfinite(value)]
        if bad or not math.isfinite(norm):
            when, what = min(bad) if bad else (self.step, "weights")
            raise FloatingPointError(
                f"the {what} became infinite or nan at step {when}; model and optimiser were put back to "
                f"their state after step {self._good['step']}. A lower lr (it is {self.lr:g}) is the usual remedy."
            )
        self._unread = []
        return {name: sum(column) / len(column) for name, column in columns.items()}

    def _settings(self) -> dict[str, Any]:
        """What decides which run this is: the arguments, and a mark of the model and the images."""
        self._mark = self._mark or mark(self.model, self.images)
        names = ("epochs", "batch_size", "lr", "weight_decay", "seed")
        return {name: getattr(self, name) for name in names} | self._mark
