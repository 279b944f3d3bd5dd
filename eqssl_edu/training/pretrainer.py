"""The training loop: what is random, what is recorded, how a run is stopped and resumed."""

import hashlib
import math
import threading
import time
from collections.abc import Iterator

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from eqssl_edu.errors import got, need_integer, need_number, need_shape
from eqssl_edu.shapes import Images
from eqssl_edu.training.devices import TrainingStep, device_name, launched

__all__ = ["Pretrainer", "cosine_with_warmup"]


def cosine_with_warmup(step: int, total_steps: int) -> float:
    r"""The factor of the learning rate at optimiser step ``step`` = 0, 1, ..., ``total_steps`` - 1.

    A linear rise over the first 5 % of the steps, then half a cosine down to almost zero:
    $f(s) = \min(1, (s+1)/w) \cdot (1 + \cos(\pi s / S)) / 2$. It is a function of the step alone, so that a
    resumed run needs no state of a scheduler.
    """
    warmup = max(1, total_steps // 20)
    return min(1.0, (step + 1) / warmup) * 0.5 * (1.0 + math.cos(math.pi * step / total_steps))


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
        accelerator, devices, strategy: as in ``lightning.fabric.Fabric``; "auto" takes a GPU if there is one.
        precision: as in Fabric; "auto" is "bf16-mixed" on a CUDA GPU that can bfloat16, else "32-true".

    References:
        Decoupled weight decay regularization, Loshchilov and Hutter, arXiv 1711.05101 (AdamW, cosine).
    """

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
        need_shape("images", images, "N", "C", "H", "W", floating=True)
        need_number("lr", lr, above=0)
        self.epochs = need_integer("epochs", epochs, least=1)
        self.batch_size = need_integer("batch_size", batch_size, least=1, most=len(images))
        self.seed = need_integer("seed", seed, least=0)
        self.lr, self.weight_decay = lr, weight_decay

        self.fabric = launched(accelerator, precision, devices, strategy)
        processes = self.fabric.world_size
        if batch_size % processes:
            raise ValueError(f"batch_size must be a multiple of the {processes} processes, {got(batch_size)}")

        self.model = self.fabric.to_device(model)
        weights = [p for p in model.parameters() if p.requires_grad and p.ndim >= 2]
        vectors = [p for p in model.parameters() if p.requires_grad and p.ndim < 2]
        groups = [{"params": weights, "weight_decay": weight_decay}, {"params": vectors, "weight_decay": 0.0}]
        self._optimizer = torch.optim.AdamW(groups, lr=lr, fused=True)
        # Fabric wraps both: the wrapped pair handles precision and processes, the bare pair holds the state.
        self._fabric_step, self._fabric_optimizer = self.fabric.setup(TrainingStep(model), self._optimizer)
        self.images = self.fabric.to_device(images)

        self.steps_per_epoch = len(images) // self.batch_size
        self.total_steps = self.epochs * self.steps_per_epoch
        self.interval = min(10, max(1, self.total_steps // 100))
        self.step = 0
        self.seconds = 0.0
        self.history: list[dict[str, float]] = []
        self._names: list[str] = []
        self._unread: list[Float[Tensor, " metric"]] = []
        self._generator = torch.Generator(self.fabric.device)
        self._order: tuple[int, Int64[Tensor, " count"]] | None = None
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

        Raises:
            FloatingPointError: when the loss or a weight is no finite number; says at which step. The run is
                then as it was at the last reading that was good.
        """
        self._good = self._good or self.state_dict()
        while self.step < self.total_steps:
            start = time.perf_counter()
            if not self.model.training:
                self.model.train()
            self._unread.append(self._train_one_step())
            self.step += 1
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
            yield {**self.history[-1], **here}

    def fit(self, stop: threading.Event | None = None) -> list[dict[str, float]]:
        """Train to the end, or until ``stop`` is set, with a progress bar; return the history.

        The history has one record for each reading. Errors are those of :meth:`steps`.
        """
        from tqdm.auto import tqdm

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

        Take it between two steps. On the CPU a run that was cut at any step and resumed ends with the same
        parameters, bit for bit, as one that was not.
        """
        return {
            "model": _copied(self.model.state_dict()),
            "optimizer": _copied(self._optimizer.state_dict()),
            "step": self.step,
            "settings": self._settings(),
            "history": list(self.history),  # a record never changes
            "metrics": self._names,
            "unread": torch.stack(self._unread).cpu() if self._unread else None,
            "seconds": self.seconds,
        }

    def load_state_dict(self, state: dict) -> None:
        """Go on from a :meth:`state_dict`.

        Raises:
            ValueError: when the state belongs to a run with other arguments (it would not be the same run).
        """
        for name, mine in self._settings().items():
            if (theirs := state["settings"].get(name)) != mine:
                raise ValueError(f"state has {name} = {theirs}, this run has {name} = {mine}")
        self.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(_copied(state["optimizer"]))  # it keeps the tensors that it is given
        self.step, self.seconds, self._names = state["step"], state["seconds"], state["metrics"]
        unread = state["unread"]
        self._unread = [] if unread is None else list(unread.to(self.fabric.device))
        self.history[:] = state["history"]
        self._good = self.state_dict()

    def _train_one_step(self) -> Float[Tensor, " metric"]:
        """One optimiser step; returns the detached metrics, still on the device."""
        for group in self._optimizer.param_groups:
            group["lr"] = self.lr * cosine_with_warmup(self.step, self.total_steps)
        self._generator.manual_seed(_hash(self.seed, self.step, self.fabric.global_rank))
        output = self._fabric_step(self._batch(), self._generator)
        if not isinstance(output, dict) or not isinstance(output.get("loss"), Tensor) or output["loss"].ndim:
            raise TypeError(f"training_step must return a dict with a scalar tensor 'loss', {got(output)}")
        self._fabric_optimizer.zero_grad()
        self.fabric.backward(output["loss"])
        self._fabric_optimizer.step()
        self._names = list(output)
        return torch.stack([value.detach().float() for value in output.values()])

    def _batch(self) -> Images:
        """This process's share of the images of the coming step."""
        epoch, position = divmod(self.step, self.steps_per_epoch)
        if self._order is None or self._order[0] != epoch:
            generator = torch.Generator().manual_seed(_hash(self.seed, epoch))
            order = torch.randperm(len(self.images), generator=generator)
            self._order = (epoch, order.to(self.images.device))
        rows = self._order[1][position * self.batch_size : (position + 1) * self.batch_size]
        return self.images[rows.view(self.fabric.world_size, -1)[self.fabric.global_rank]]

    def _read(self) -> dict[str, float]:
        """Bring the metrics since the last reading to the CPU, check them, and return their means."""
        # A weight that overflowed may show in the loss only at the next step; the norm over all tells now.
        norm = torch.nn.utils.get_total_norm(self.model.parameters()).detach().float()
        metrics = self.fabric.all_reduce(torch.stack(self._unread), reduce_op="mean")
        *values, norm = torch.cat([metrics.flatten(), norm.view(1)]).tolist()
        columns = {name: values[i :: len(self._names)] for i, name in enumerate(self._names)}
        first = self.step - len(self._unread) + 1
        bad = [first + i for i, loss in enumerate(columns["loss"]) if not math.isfinite(loss)]
        if bad or not math.isfinite(norm):
            what, when = ("loss", bad[0]) if bad else ("weights", self.step)
            self.load_state_dict(self._good)
            raise FloatingPointError(
                f"the {what} became infinite or nan at step {when}; model and optimiser were put back to "
                f"their state after step {self.step}. A lower lr (it is {self.lr:g}) is the usual remedy."
            )
        self._unread = []
        return {name: sum(column) / len(column) for name, column in columns.items()}

    def _settings(self) -> dict[str, float]:
        """The arguments that decide which run this is."""
        names = ("epochs", "batch_size", "lr", "weight_decay", "seed")
        return {"images": len(self.images), **{name: getattr(self, name) for name in names}}


def _hash(*numbers: int) -> int:
    """A seed out of several numbers: (3, 1) and (1, 3), or neighbouring steps, get unrelated streams."""
    return int.from_bytes(hashlib.blake2b(repr(numbers).encode(), digest_size=7).digest(), "little")


def _copied(tree):
    """A nest of dicts and lists with every tensor cloned: ten times as fast as ``copy.deepcopy``, at every reading."""
    if isinstance(tree, Tensor):
        return tree.detach().clone()
    if isinstance(tree, dict):
        return {key: _copied(value) for key, value in tree.items()}
    return [_copied(value) for value in tree] if isinstance(tree, list) else tree
