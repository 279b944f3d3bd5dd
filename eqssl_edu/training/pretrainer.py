"""The training loop: what is random, what is recorded, how a run is stopped and resumed."""

import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

import torch
from lightning_fabric.loggers import Logger
from torch import Tensor, nn

from eqssl_edu.errors import got, need_choice, need_instance, need_integer, need_number, typed
from eqssl_edu.ownership import Claim, learned, steady, steps_of
from eqssl_edu.training.batches import Source, batches_of
from eqssl_edu.training.checkpoints import Checkpoints, need_place
from eqssl_edu.training.devices import device_name, fitted, launched, log, need_learner
from eqssl_edu.training.readings import Readings
from eqssl_edu.training.schedule import cosine_with_warmup, factor_of, seed_of, told
from eqssl_edu.training.states import cloned, mark, need_state, need_weights
from eqssl_edu.training.updates import Update

__all__ = ["Pretrainer"]


class Pretrainer:
    r"""Trains a model on a set of images, on whatever device and number of processes Fabric finds.

    The model is any module with ``training_step(images, generator) -> dict`` of scalar tensors: "loss" (with
    a gradient) and whatever else should be followed, such as "accuracy". Vectors (biases, norms) do not decay.

    **Random numbers.** The order of the images in epoch e depends on (seed, e) alone and the generator that
    ``training_step`` receives at step s on (seed, s) alone. So two models trained with the same seed see the
    same batches and the same augmentation draws, and a run can be resumed at any step. PyTorch's global
    generator is not touched.

    **Batches.** A tensor lives on the device, bytes as bytes: each batch of them becomes floats in 0 .. 1. What does
    not fit is a Dataset, in the same order as a tensor, or a DataLoader, in its own; an item is an image, or a tuple
    that begins with one. The last incomplete batch of an epoch is dropped, so that every step has the same number of
    negatives; as each epoch has its own order, no image is left out for good. With several processes each takes its
    share of a batch; a DataLoader has to give each its own.

    **Threads.** One training changes a model at a time: while a LiveTraining trains it, other runs of it refuse to
    step. :meth:`state_dict`, ``extract`` and the explorers may be used meanwhile; they wait for the end of a step.
    ``model.state_dict()`` is torch's own: it hands out the weights themselves, which go on changing.

    **Reading.** Losses stay on the device and are read once in ``interval`` steps (10 in a long run), because a
    reading makes a GPU wait: the mean over the interval.

    **A folder** keeps the run: weights, optimiser and history are written there every ``checkpoint_every`` steps, when
    it is stopped and at its end. Whenever the process is killed the folder holds a whole checkpoint, and the same
    Pretrainer with ``resume=True`` goes on from it: on the CPU to the same weights, bit for bit. Its files are plain,
    ``run.json`` and ``step-N.safetensors``; nothing in them is ever run. ``LiveTraining({"a": folder})`` shows it.

    Arguments:
        model: the module to train, in place.
        images: all training images, as floats or bytes (N, C, H, W); a ``torch.utils.data.Dataset`` with rows; or a
            DataLoader that knows its length, also of a stream, in full batches (``drop_last=True``). Whoever resumes
            one skips what was seen of its epoch; what it draws by torch's global generator follows (seed, step).
        epochs: how often each image is seen.
        batch_size: images in a step, over all processes together.
        lr, weight_decay: highest learning rate of the schedule; decay of weights with two or more axes.
        seed: of the data order and of the augmentations; an integer >= 0.
        optimizer: "adamw", or "sgd", which many published runs of ResNets use.
        momentum: of SGD; of AdamW its first beta.
        schedule: a function (step, total_steps) -> factor of lr, for step = 0 .. total_steps - 1.
        clip: largest norm of the gradient; for losses whose steps are large now and then.
        channels_last: images and weights in the layout that convolutions on a GPU like best.
        compile: compile the parts of the model (``torch.compile``): minutes at first, fewer launches in each step.
        loggers: of Fabric, such as ``CSVLogger`` and ``TensorBoardLogger``: each gets every reading, at its step.
        folder: where the run lives; made if it is not there. None keeps nothing.
        checkpoint_every: optimiser steps from one checkpoint to the next; an epoch by default.
        resume: True goes on with the run in ``folder``, or begins if there is none. A path goes on from that folder's
            run, and in that folder unless ``folder`` says another.
        accelerator, devices, num_nodes, strategy: as in Lightning Fabric; "auto" takes a GPU if there is one.
        precision: as in Fabric; "auto" is "bf16-mixed" on a CUDA GPU that can bfloat16, else "32-true".

    Raises:
        TypeError, ValueError: when an argument is wrong, or a folder holds another run or none, or has one already.
        OSError, RuntimeError: when the folder cannot be made, read or written; when another run trains in it.
    """

    @typed
    def __init__(
        self,
        model: nn.Module,
        images: Source,
        *,
        epochs: int,
        batch_size: int,
        lr: float = 1e-3,
        weight_decay: float = 0.01,
        seed: int = 0,
        optimizer: str = "adamw",
        momentum: float = 0.9,
        schedule: Callable[[int, int], float] = cosine_with_warmup,
        clip: float | None = None,
        channels_last: bool = False,
        compile: bool = False,
        loggers: Sequence[Logger] = (),
        folder: str | os.PathLike | None = None,
        checkpoint_every: int | None = None,
        resume: bool | str | os.PathLike = False,
        accelerator: str = "auto",
        precision: str = "auto",
        devices: int = 1,
        num_nodes: int = 1,
        strategy: str = "auto",
    ) -> None:
        need_learner(model)
        self.lr = need_number("lr", lr, above=0)
        self.weight_decay = need_number("weight_decay", weight_decay, least=0)
        self.epochs = need_integer("epochs", epochs, least=1)
        self.batch_size = need_integer("batch_size", batch_size, least=1)
        self.seed = need_integer("seed", seed, least=0)
        self.optimizer = need_choice("optimizer", optimizer, ("adamw", "sgd"))
        self.momentum = need_number("momentum", momentum, least=0, below=1)
        self.clip = None if clip is None else need_number("clip", clip, above=0)
        self.schedule = schedule
        self._layout = torch.channels_last if channels_last else torch.contiguous_format

        place = need_place(folder, checkpoint_every, resume)
        self.fabric = launched(accelerator, precision, devices, num_nodes, strategy, loggers)
        if self.batch_size % (processes := self.fabric.world_size):
            raise ValueError(f"batch_size must be a multiple of the {processes} processes, {got(batch_size)}")
        self._batches = batches_of(images, self.batch_size, self.seed, self.fabric)
        self.images = self._batches.images

        with steady(model):
            self.model = self.fabric.to_device(model)
            fitted(model, channels_last, compile)
            self._update = Update(self.fabric, model, optimizer, self.lr, self.weight_decay, momentum, clip)
        self.claim = Claim(model)

        self.steps_per_epoch = self._batches.steps
        self.total_steps = self.epochs * self.steps_per_epoch
        self.interval = min(10, max(1, self.total_steps // 100))
        self.step, self.seconds = 0, 0.0
        self.history: list[dict[str, float]] = []
        self._readings = Readings(self.fabric)
        self._generator = torch.Generator(self.fabric.device)
        self._mark: dict[str, Any] = {}  # of the model and the images
        self._good: dict | None = None  # the state at the last reading that was good
        self._checkpoints = Checkpoints(self.fabric, place, checkpoint_every or self.steps_per_epoch)
        self._checkpoints.begin(self)

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
        """Train to the end, or until ``stop`` is set, with a progress bar; return the history, a record a reading.

        Errors are those of :meth:`steps`.
        """
        from tqdm.auto import tqdm

        need_instance("stop", stop, (threading.Event, type(None)))
        self._need_free("fit")
        stop = stop or threading.Event()
        bar = tqdm(
            total=self.total_steps, initial=self.step, unit="step", disable=not self.fabric.is_global_zero
        )
        with closing(self.steps()) as steps, bar:
            while not stop.is_set() and (record := next(steps, None)):
                bar.update()
                bar.set_postfix_str(f"loss {record['loss']:.3f}", refresh=False)
        return self.history

    def state_dict(self) -> dict:
        """Everything that a new Pretrainer with the same arguments needs to go on, to the same end; a copy.

        While the run trains in another thread it waits for the end of a step.
        """
        with steady(self.model):
            return {
                "model": cloned(self.model.state_dict()),
                "optimizer": self._update.state(),
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
            self._update.need_state(state["optimizer"], started=state["step"] > 0)
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
        self._update.restore(state["optimizer"])
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
            log(self.fabric, self.history[-1])
        return {**self.history[-1], **here}

    def _train_one_step(self) -> dict[str, Tensor]:
        """One optimiser step; returns the metrics, still on the device."""
        self._generator.manual_seed(seed_of(self.seed, self.step, self.fabric.global_rank))
        batch = self._batches.at(self.step)
        lr = self.lr * factor_of(self.schedule, self.step, self.total_steps)
        return self._update(batch.contiguous(memory_format=self._layout), self._generator, lr)

    def _settings(self) -> dict[str, Any]:
        """What decides which run this is: the arguments, and a mark of the model and the images."""
        self._mark = self._mark or mark(self.model) | self._batches.mark()
        names = ("epochs", "batch_size", "lr", "weight_decay", "seed", "optimizer", "momentum", "clip")
        schedule = {"schedule": told(self.schedule, self.total_steps)}
        return {name: getattr(self, name) for name in names} | schedule | self._mark
