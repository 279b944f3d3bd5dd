"""The training loop: what is random, what is recorded, how a run is stopped and resumed."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from eqssl_edu.errors import got, need_instance, need_integer, need_number, need_shape, typed
from eqssl_edu.ownership import Claim, learned, steady, steps_of
from eqssl_edu.shapes import Images
from eqssl_edu.training.checkpoints import Checkpoints, need_place
from eqssl_edu.training.devices import TrainingStep, device_name, launched, need_learner
from eqssl_edu.training.optimizers import need_optimizer, optimizer_of, put_back
from eqssl_edu.training.readings import Readings
from eqssl_edu.training.schedule import Batches, cosine_with_warmup, seed_of
from eqssl_edu.training.states import cloned, mark, need_state, need_weights

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

    **A folder** keeps the run: weights, optimiser and history are written there every ``checkpoint_every`` steps, when
    it is stopped and at its end. Whenever the process is killed the folder holds a whole checkpoint, and the same
    Pretrainer with ``resume=True`` goes on from it: on the CPU to the same weights, bit for bit. Its files are plain,
    ``run.json`` and ``step-N.safetensors``; nothing in them is ever run. ``LiveTraining({"a": folder})`` shows it.

    Arguments:
        model: the module to train, in place.
        images: all training images, float.
        epochs: how often each image is seen.
        batch_size: images in a step, over all processes together.
        lr: highest learning rate of the schedule.
        weight_decay: of AdamW, on weights with two or more axes.
        seed: of the data order and of the augmentations; an integer >= 0.
        folder: where the run lives; made if it is not there. None keeps nothing.
        checkpoint_every: optimiser steps from one checkpoint to the next; an epoch by default.
        resume: True goes on with the run in ``folder``, or begins if there is none. A path goes on from that folder's
            run, and in that folder unless ``folder`` says another.
        accelerator, devices, strategy: as in ``lightning_fabric.Fabric``; "auto" takes a GPU if there is one.
        precision: as in Fabric; "auto" is "bf16-mixed" on a CUDA GPU that can bfloat16, else "32-true".

    Raises:
        TypeError, ValueError: when an argument is wrong; when a folder holds no run, another run, a damaged one, or one
            in another format; when the folder of a run that begins holds one already.
        OSError: when the folder cannot be made, read or written.
        RuntimeError: when another run trains in the folder, or a LiveTraining trains this model now.

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
        folder: str | os.PathLike | None = None,
        checkpoint_every: int | None = None,
        resume: bool | str | os.PathLike = False,
        accelerator: str = "auto",
        precision: str = "auto",
        devices: int = 1,
        strategy: str = "auto",
    ) -> None:
        need_learner(model)
        need_shape("images", images, "N", "C", "H", "W", floating=True, finite=True)
        self.lr = need_number("lr", lr, above=0)
        self.weight_decay = need_number("weight_decay", weight_decay, least=0)
        self.epochs = need_integer("epochs", epochs, least=1)
        self.batch_size = need_integer("batch_size", batch_size, least=1, most=len(images))
        self.seed = need_integer("seed", seed, least=0)

        place = need_place(folder, checkpoint_every, resume)
        self.fabric = launched(accelerator, precision, devices, strategy)
        processes = self.fabric.world_size
        if self.batch_size % processes:
            raise ValueError(f"batch_size must be a multiple of the {processes} processes, {got(batch_size)}")

        with steady(model):
            self.model = self.fabric.to_device(model)
        self._optimizer = optimizer_of(model, self.lr, self.weight_decay)
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
        self._readings = Readings(self.fabric)
        self._generator = torch.Generator(self.fabric.device)
        self._batches = Batches(self.images, self.batch_size, self.seed)
        self._mark: dict[str, Any] = {}  # of the model and the images
        self._good: dict | None = None  # the state at the last reading that was good
        self._checkpoints = Checkpoints(self.fabric, place, checkpoint_every or self.steps_per_epoch)
        if state := self._checkpoints.begin(self):
            self._resume(state, place.source)

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
            OSError: when a checkpoint cannot be written; the one before stays.
            RuntimeError: when a LiveTraining trains this model now, or another run trains in the folder.
        """
        with self._checkpoints.held():
            self._checkpoints.keep(self)  # where it begins, and what could not be written before
            while self.step < self.total_steps:
                self._need_free("steps")
                with self.claim.step():
                    if self.step >= self.total_steps:  # another thread has made the last one
                        return
                    self._good = self._good or self.state_dict()
                    try:
                        record = self._advance()
                        self._checkpoints.keep(self)
                    except BaseException as error:
                        self._restore(self._good)
                        if isinstance(error, FloatingPointError):
                            error.args = (
                                f"{error}; model and optimiser were put back to their state after step {self.step}. A "
                                f"lower lr (it is {self.lr:g}) is the usual remedy.",
                            )
                        else:
                            error.add_note(f"(the run was put back to its state after step {self.step})")
                        raise
                try:
                    yield record
                except GeneratorExit:  # it is left here, and goes on from here
                    self._checkpoints.leave(self)
                    raise

    def fit(self, stop: threading.Event | None = None) -> list[dict[str, float]]:
        """Train to the end, or until ``stop`` is set, with a progress bar; return the history.

        The history has one record for each reading. Errors are those of :meth:`steps`.
        """
        from tqdm.auto import tqdm

        need_instance("stop", stop, (threading.Event, type(None)))
        self._need_free("fit")
        stop = stop or threading.Event()
        quiet = not self.fabric.is_global_zero
        bar = tqdm(total=self.total_steps, initial=self.step, unit="step", disable=quiet)
        with closing(self.steps()) as steps, bar:
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
                **self._readings.state(),
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

    def _resume(self, state: dict, source: Path) -> None:
        try:
            self.load_state_dict(state)
        except (TypeError, ValueError) as problem:
            raise ValueError(f"folder must hold this run, {source} holds another: {problem}") from None

    def _restore(self, state: dict) -> None:
        learned(self.model, steps_of(self.model) + state["step"] - self.step)
        self.model.load_state_dict(state["model"])
        put_back(self._optimizer, state["optimizer"])
        self._readings.restore(state)
        self.step, self.seconds = state["step"], state["seconds"]
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
        self._readings.add(self._train_one_step())
        self.step += 1
        learned(self.model, steps_of(self.model) + 1)
        due = self.step % self.interval == 0 or self.step in (1, self.total_steps)
        means = self._readings.means(self.model, self.step) if due else {}
        self.seconds += time.perf_counter() - start
        epoch = (self.step - 1) // self.steps_per_epoch + 1
        here = {"step": self.step, "epoch": epoch, "seconds": self.seconds}
        if due:
            last = self.history[-1] if self.history else {"step": 0, "seconds": 0.0}
            speed = (self.step - last["step"]) / (self.seconds - last["seconds"])
            self.history.append({**here, "steps_per_second": speed, **means})
            self._good = self.state_dict()
        return {**self.history[-1], **here}

    def _train_one_step(self) -> dict[str, Tensor]:
        """One optimiser step; returns the metrics, still on the device."""
        for group in self._optimizer.param_groups:
            group["lr"] = self.lr * cosine_with_warmup(self.step, self.total_steps)
        self._generator.manual_seed(seed_of(self.seed, self.step, self.fabric.global_rank))
        batch = self._batches.at(self.step, self.fabric.global_rank, self.fabric.world_size)
        output = self._fabric_step(batch, self._generator)
        self._readings.need_names(output)
        self._fabric_optimizer.zero_grad()
        self.fabric.backward(output["loss"])
        self._fabric_optimizer.step()
        return output

    def _settings(self) -> dict[str, Any]:
        """What decides which run this is: the arguments, and a mark of the model and the images."""
        self._mark = self._mark or mark(self.model, self.images)
        names = ("epochs", "batch_size", "lr", "weight_decay", "seed")
        return {name: getattr(self, name) for name in names} | self._mark
