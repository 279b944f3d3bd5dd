"""The images of each step: rows of a tensor on the device, or what a DataLoader gives, from any step on."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Int64, UInt8
from lightning_fabric import Fabric
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Sampler

from eqssl_edu.errors import need_integer, need_shape
from eqssl_edu.shapes import Images
from eqssl_edu.training.schedule import seed_of

__all__ = ["LoadedBatches", "Source", "TensorBatches", "batches_of"]

Source = Images | UInt8[Tensor, "batch channel height width"] | Dataset | DataLoader


def batches_of(images: Source, batch_size: int, seed: int, fabric: Fabric) -> TensorBatches | LoadedBatches:
    """The batches of one of Fabric's processes.

    Raises:
        TypeError, ValueError: when the images are none, fewer than a batch, or their number is unknown.
    """
    processes = fabric.world_size
    if isinstance(images, DataLoader):
        _need_loader(images, batch_size, processes)
        return LoadedBatches(images, None, len(images), batch_size // processes, seed, fabric)
    if isinstance(images, IterableDataset):
        raise TypeError(
            "images must be a tensor, a Dataset with rows or a DataLoader: put a stream into a DataLoader"
        )
    if not isinstance(images, Dataset):
        floating = images.dtype != torch.uint8
        need_shape("images", images, "N", "C", "H", "W", floating=floating, finite=floating)
    elif not hasattr(images, "__len__"):
        raise TypeError(f"images must be a Dataset with a __len__, got {type(images).__name__} without")
    need_integer("batch_size", batch_size, most=len(images))
    order = Order(len(images), batch_size, seed, fabric)
    if not isinstance(images, Dataset):
        return TensorBatches(images, order, fabric.device)
    share = batch_size // processes
    return LoadedBatches(DataLoader(images, batch_sampler=order), order, order.steps, share, seed, fabric)


class Order(Sampler[list[int]]):
    """Which images a process takes in each step: an order of its own for each epoch, full batches alone.

    Arguments:
        count: number of images.
        batch_size: images in a step, over all processes together.
        seed: of the orders.
        fabric: tells which process this is.
    """

    def __init__(self, count: int, batch_size: int, seed: int, fabric: Fabric) -> None:
        self.count, self.batch_size, self.seed, self.fabric = count, batch_size, seed, fabric
        self.steps = count // batch_size  # of an epoch
        self.first = 0  # the step with which an iteration begins
        self._order: tuple[int, Int64[Tensor, " count"]] | None = None

    def rows(self, step: int, device: torch.device) -> Int64[Tensor, " share"]:
        """Places among the images."""
        epoch, position = divmod(step, self.steps)
        if self._order is None or self._order[0] != epoch:
            generator = torch.Generator("cpu").manual_seed(seed_of(self.seed, epoch))
            order = torch.randperm(self.count, generator=generator, device="cpu")
            self._order = (epoch, order.to(device))  # once an epoch: to bring it there makes a GPU wait
        rows = self._order[1][position * self.batch_size : (position + 1) * self.batch_size]
        return rows.view(self.fabric.world_size, -1)[self.fabric.global_rank]

    def __iter__(self) -> Iterator[list[int]]:
        """The rows of the steps from ``first`` to the end of its epoch."""
        for step in range(self.first, (self.first // self.steps + 1) * self.steps):
            yield self.rows(step, torch.device("cpu")).tolist()


class TensorBatches:
    """All images on the device, bytes as bytes; a batch of bytes becomes floats in 0 .. 1.

    Arguments:
        images: floats, or bytes.
        order: of the steps.
        device: of the run.
    """

    def __init__(self, images: Tensor, order: Order, device: torch.device) -> None:
        self.images = images.detach().to(device, copy=True)  # the user's may change while it runs
        self.order, self.steps = order, order.steps

    def at(self, step: int) -> Images:
        """The batch of a step."""
        return _floats(self.images[self.order.rows(step, self.images.device)])

    def mark(self) -> dict[str, Any]:
        """Shape, and a sum over all pixels and their places: bytes have that of the floats that they become."""
        places = torch.arange(1, self.images[0].numel() + 1, device=self.images.device)
        bits = (_floats(part).flatten(1).float().view(torch.int32) for part in self.images.split(500))
        sums = torch.cat([(part * places).sum(dim=1) for part in bits]).cpu()
        pixels = hashlib.blake2b(sums.numpy().tobytes(), digest_size=8).hexdigest()
        return {"images": list(self.images.shape), "pixels": pixels}


class LoadedBatches:
    """The batches of a DataLoader, one after the other; asked for another step it begins that step's epoch again.

    What a Dataset or a sampler draws from torch's global generator follows (seed, step), so that a run can be resumed;
    generators of a DataLoader's own, and what has a ``set_epoch``, are set at each epoch's begin.

    Arguments:
        loader: gives images (B, C, H, W), or a list whose first entry they are.
        order: of the steps, for a loader that takes its rows from it; None for one with an order of its own.
        steps: batches of an epoch.
        share: images that this process gets in a step.
        seed: of the draws.
        fabric: of the run.
    """

    def __init__(
        self, loader: DataLoader, order: Order | None, steps: int, share: int, seed: int, fabric: Fabric
    ) -> None:
        self.loader, self.order, self.steps, self.share = loader, order, steps, share
        self.seed, self.fabric = seed, fabric
        self.images = loader.dataset if order else loader  # what the user gave
        self._shape: tuple[int | str, ...] = ("C", "H", "W")  # of the first image
        self._batches: Iterator[Any] = iter(())
        self._next = -1

    def at(self, step: int) -> Images:
        """The batch of a step. ValueError unless it holds as many finite images, of one shape, as it should."""
        if step != self._next or step % self.steps == 0:
            self._open(step)
        images = self._taken(step)
        images = images[0] if isinstance(images, list | tuple) and len(images) else images
        name = f"images (the batch of step {step + 1})"
        floating = getattr(images, "dtype", None) != torch.uint8
        need_shape(name, images, self.share, *self._shape, floating=floating, finite=floating)
        self._shape = tuple(images.shape[1:])
        return _floats(self.fabric.to_device(images.detach()))

    def mark(self) -> dict[str, Any]:
        """Their kind and number; their pixels are not looked at, which would take an epoch."""
        count = f"{self.order.count} rows" if self.order else f"{self.steps} batches"
        return {"images": f"{type(self.loader.dataset).__name__}, {count}", "pixels": "not compared"}

    def _open(self, step: int) -> None:
        """Stand before a step: where the order is known, at once; else by skipping what is before it in its epoch."""
        epoch, position = divmod(step, self.steps)
        first = step - position
        if self.order is not None:
            self.order.first = first = step
        else:
            batches = self.loader.batch_sampler
            samplers = (self.loader.sampler, batches, getattr(batches, "sampler", None))
            for part in (self.loader, *samplers):
                if isinstance(generator := getattr(part, "generator", None), torch.Generator):
                    generator.manual_seed(seed_of(self.seed, epoch))
            for part in (self.loader.dataset, *samplers):
                if hasattr(part, "set_epoch"):
                    part.set_epoch(epoch)
        with self._draws(first):
            self._batches = iter(self.loader)
        for earlier in range(first, step):
            self._taken(earlier)

    def _taken(self, step: int) -> Any:
        self._next = step + 1
        with self._draws(step):
            try:
                return next(self._batches)
            except StopIteration:
                found = f"got {step % self.steps} in the epoch of step {step + 1}"
                raise ValueError(
                    f"images must give the {self.steps} batches that they announce, {found}"
                ) from None

    @contextlib.contextmanager
    def _draws(self, step: int) -> Iterator[None]:
        """A block whose draws from torch's global generator follow the step, and leave that as it was."""
        with torch.random.fork_rng(devices=[]):
            # Another stream than that of training_step; torch.manual_seed would seed the GPUs as well.
            torch.default_generator.manual_seed(seed_of(self.seed, step, self.fabric.global_rank, 1))
            yield


def _need_loader(loader: DataLoader, batch_size: int, processes: int) -> None:
    """Raise unless a DataLoader says how long it is, and gives each process full batches of images of its own."""
    try:
        steps = len(loader)
    except TypeError:
        raise TypeError(
            "images must be a DataLoader that knows its length: give its dataset a __len__, the images of an epoch"
        ) from None
    need_integer("the number of batches in images", steps, least=1)
    if loader.batch_size is None:  # batches of the user's own are looked at one by one
        return
    if loader.batch_size * processes != batch_size:
        wanted = f"batch_size = {loader.batch_size * processes} ({processes} x that of the DataLoader)"
        raise ValueError(f"images and batch_size must agree: {wanted}, got {batch_size}")
    if not loader.drop_last and len(loader.dataset) % loader.batch_size:
        raise ValueError(
            "images must be a DataLoader with drop_last=True: its last batch would be a smaller one"
        )
    streamed = isinstance(loader.dataset, IterableDataset)
    if processes > 1 and not streamed and getattr(loader.sampler, "num_replicas", 1) != processes:
        raise ValueError(
            f"images must be a DataLoader with a DistributedSampler over the {processes} processes, or each sees all"
        )


def _floats(images: Tensor) -> Images:
    """Bytes as floats in 0 .. 1, the rest as it is."""
    if images.dtype != torch.uint8:
        return images
    # By a tensor: a GPU multiplies by 1/255 where it is to divide by a number, and rounds otherwise.
    return images.float() / torch.full((), 255.0, dtype=torch.float32, device=images.device)
