"""Train an encoder from the shell: a run in a folder, which can be stopped, killed and resumed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal

import torch
import yaml
from jaxtyping import UInt8
from lightning_fabric.loggers import CSVLogger, TensorBoardLogger
from torch import Tensor

from eqssl_edu.command.networks import model_of
from eqssl_edu.command.pictures import training_images
from eqssl_edu.command.processes import join_norms, processes_of
from eqssl_edu.command.runs import write_config
from eqssl_edu.shapes import Images
from eqssl_edu.training import Pretrainer, cosine_with_warmup

__all__ = ["pretrain"]

Task = Literal[
    "rotation", "location", "jigsaw", "angle", "infonce", "moco", "vicreg", "barlow_twins", "simsiam", "byol"
]
Similarity = Literal["plain", "mean", "max", "soft", "power2", "power3", "canonical", "maxpool"]
SCHEDULES = {"cosine": cosine_with_warmup, "constant": lambda step, total_steps: 1.0}
LOGGERS = {"csv": CSVLogger, "tensorboard": TensorBoardLogger}


def pretrain(
    data: str,
    folder: str,
    task: Task = "rotation",
    group: str = "C4",
    encoder: Literal["GroupCNN", "GroupResNet", "SteerableCNN"] = "GroupCNN",
    channels: list[int] | None = None,
    width: int | None = None,
    size: int | None = None,
    limit: int | None = None,
    grid: int | None = None,
    action: Literal["conjugation", "left", "trivial"] | None = None,
    count: int | None = None,
    similarity: Similarity | None = None,
    temperature: float | None = None,
    turn: bool = True,
    views: dict[str, float] | None = None,
    epochs: int = 20,
    batch_size: int = 64,
    seed: int = 0,
    schedule: Literal["cosine", "constant"] = "cosine",
    logger: Literal["csv", "tensorboard"] | None = None,
    resume: bool = False,
    devices: int | None = None,
    nodes: int | None = None,
    image: tuple[int, int, int] | None = None,
    **training: Any,
) -> Pretrainer:
    """Train an encoder by itself, without labels; checkpoints, history and settings stay in a folder.

    Arguments:
        data: digits, glyphs, mnist, cifar10, cifar100, a folder, a parquet file, an array, or a name of the Hugging
            Face hub; its part "train".
        folder: where the run lives.
        task: what is learned: a pretext label (rotation, location, jigsaw, angle), or a loss between two views.
        group: C1, C2, C4, D4, ...; SteerableCNN also has C8, D8, ..., SO2 and O2.
        encoder: the network.
        channels: of each stage of GroupCNN and SteerableCNN, such as [8,16,32].
        width: channels of the first stage of GroupResNet.
        size: side of the images in pixels: the largest centred square is resized. By default as they are; digits and
            glyphs have 16.
        limit: at most so many training images.
        grid: tiles on a side of a jigsaw, 2 or 3.
        action: how the group moves the orders of a jigsaw.
        count: at most so many orders of a jigsaw; a 3 x 3 grid needs it.
        similarity: of infonce, moco, simsiam and byol.
        temperature: of infonce and moco.
        turn: turn each view by its own element of the group, as far as these map pixels to pixels.
        views: how else each view is changed.
        epochs: how often each image is seen.
        batch_size: images in a step, over all processes together.
        seed: of the weights, of the order of the images and of what is drawn.
        schedule: of the learning rate: half a cosine after a short rise, or always --lr.
        logger: writes every reading into the folder, for a spreadsheet or for TensorBoard.
        resume: go on with the run in the folder, if there is one.
        devices: processes on each machine; as many as torchrun or SLURM have started, else 1.
        nodes: machines; as many as torchrun or SLURM have started, else 1.
        image: channels, height and width that the images must have; a run notes it.
    """
    settings = dict(locals())
    for name in ("training", "resume", "devices", "nodes"):  # where a run goes on, they may be others
        del settings[name]
    processes = processes_of(devices, nodes)
    images = training_images(data, size, limit).images
    shape = tuple(images.shape[1:])
    if image is not None and tuple(image) != shape:
        raise ValueError(f"image must be the shape of the images, {list(shape)}, or null, got {list(image)}")
    if os.path.exists(data):  # it is looked for from other folders, too
        settings["data"] = os.path.abspath(data)
    settings |= {"image": list(shape), "views": dict(views or {}), **training}
    model = model_of(settings, shape)
    if processes != (1, 1):
        accelerated = training.get("accelerator") != "cpu" and torch.cuda.is_available()
        join_norms(model, on_cpu=not accelerated)
    trainer = Pretrainer(
        model,
        _in_bytes(images),
        folder=folder,
        resume=resume,
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        schedule=SCHEDULES[schedule],
        loggers=[LOGGERS[logger](folder, name=logger)] if logger else [],
        devices=processes[0],
        num_nodes=processes[1],
        strategy="auto" if processes == (1, 1) else "ddp",
        **training,
    )
    if trainer.fabric.is_global_zero:
        write_config(Path(folder), yaml.safe_dump(settings, sort_keys=False))
    return trainer


def _in_bytes(images: Images) -> Images | UInt8[Tensor, "batch channel height width"]:
    """Images that were bytes once are bytes again: a quarter of the memory of the device, and the same numbers."""
    whole = (images * 255).round().byte()
    return whole if torch.equal(whole.to(images.dtype) / 255, images) else images
