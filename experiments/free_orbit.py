"""The orbit is free: one copy of each image against all |G| copies, with the same loss and the same gradients."""

from __future__ import annotations

import copy
import statistics
import time

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor

from eqssl_edu.encoders import GroupCNN, matched_cnn
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral, random_elements
from eqssl_edu.layers import FreeHead
from eqssl_edu.pretext import PretextModel, RotationTask
from experiments.figures import Intervals
from experiments.pages import write_page
from experiments.pretraining import load, seeded
from experiments.results import Results
from experiments.runs import Cell, Experiment, Settings

__all__ = ["EXPERIMENT"]

GROUPS = {"C4": cyclic(4), "D4": dihedral(4)}
METHODS = ("equivariant network", "plain CNN")
CELLS = tuple(Cell(group, method) for group in GROUPS for method in METHODS)
BATCH, ROUNDS, EPOCH = 128, 4, 512  # images in a step, timings, images in what is called an epoch here


def run(cell: Cell, seed: int, settings: Settings) -> dict:
    """Loss and gradient of one step with one random copy of each image, next to those with every copy.

    Both in float64 and in training mode, at the start and again after ``settings.epochs`` epochs of plain gradient
    steps on one copy and on every copy from the same start: the largest distance of the two paths. Then seconds of
    a step in float32, median of paired rounds.
    """
    images, group = load(settings.data).train.images, GROUPS[cell.condition]
    generator = torch.Generator().manual_seed(seed)
    with seeded(seed):
        model = build(cell.method, group)
    batch = images[torch.randperm(len(images), generator=generator)[:BATCH]]
    one, all_copies = copies(group, batch, generator)
    precise = copy.deepcopy(model).double().train()
    (loss, gradient), (loss_all, gradient_all) = (
        step(precise, inputs.double(), labels) for inputs, labels in (one, all_copies)
    )
    path = paths_apart(model, group, images, settings.epochs, generator)
    seconds = [[timed(model, *case) for case in (one, all_copies)] for _ in range(ROUNDS + 1)][1:]
    return {
        "loss_difference": abs(loss - loss_all),
        "gradient_difference": float((gradient - gradient_all).norm() / gradient_all.norm()),
        "path_difference": path,
        "speedup": round(statistics.median(every / single for single, every in seconds), 4),
    }


def build(method: str, group: FiniteGroup) -> PretextModel:
    """A small network for rotation prediction, and a plain CNN with as many parameters."""
    task, encoder = RotationTask(group), GroupCNN(group, 1, (8, 16))
    if method == "equivariant network":
        return PretextModel(encoder, task)
    plain = matched_cnn(encoder)
    return PretextModel(plain, task, FreeHead(task.labels, plain.out_channels, 1))


def copies(
    group: FiniteGroup, batch: Float[Tensor, "batch channel height width"], generator: torch.Generator
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Inputs and labels: each image turned by one random element, and each image turned by every element."""
    labels = random_elements(group, batch, generator)
    every = torch.cat([group.transform(batch, g) for g in group.elements])
    all_labels = torch.arange(group.order).repeat_interleave(len(batch))
    return (group.transform(batch, labels), labels), (every, all_labels)


def step(
    model: PretextModel, inputs: Float[Tensor, "batch channel height width"], labels: Int64[Tensor, " batch"]
) -> tuple[float, Float[Tensor, " weights"]]:
    """Loss, and the gradient of all weights in one vector."""
    model.zero_grad()
    loss = F.cross_entropy(model(inputs), labels)
    loss.backward()
    return float(loss.detach()), torch.cat([weight.grad.flatten() for weight in model.parameters()])


def paths_apart(
    model: PretextModel, group: FiniteGroup, images: Tensor, epochs: int, generator: torch.Generator
) -> float:
    """Two trainings in float64 from one start, on one copy and on every copy: how far apart the weights end."""
    pair = [copy.deepcopy(model).double().train() for _ in range(2)]
    start = torch.nn.utils.parameters_to_vector(pair[0].parameters()).detach().clone()
    for _ in range(epochs * (EPOCH // BATCH)):
        batch = images[torch.randperm(len(images), generator=generator)[:BATCH]].double()
        for network, (inputs, labels) in zip(pair, copies(group, batch, generator), strict=True):
            step(network, inputs, labels)
            with torch.no_grad():
                for weight in network.parameters():
                    weight -= 0.1 * weight.grad
    ends = [torch.nn.utils.parameters_to_vector(network.parameters()).detach() for network in pair]
    return float((ends[0] - ends[1]).norm() / (ends[0] - start).norm())


def timed(model: PretextModel, inputs: Tensor, labels: Tensor) -> float:
    """Seconds of one forward and backward pass."""
    start = time.perf_counter()
    step(model, inputs, labels)
    return time.perf_counter() - start


def figure(results: Results) -> Intervals:
    """How many times faster a step with one copy is."""
    return Intervals(
        "One copy of each image instead of all",
        {name: {m: results.mean(Cell(name, m), "speedup") for m in METHODS} for name in GROUPS},
        {name: dict.fromkeys(METHODS, float(group.order)) for name, group in GROUPS.items()},
        "times faster (dotted: |G|)",
    )


def page(results: Results) -> str:
    """The whole page, from the raw runs alone."""
    good, plain = ([Cell(group, method) for group in GROUPS] for method in METHODS)
    speed = [f"{cell.condition}, {cell.method}: {results.mean(cell, 'speedup').mean:.2f}" for cell in CELLS]
    return write_page(
        "free_orbit",
        results,
        batch=BATCH,
        steps=EPOCH // BATCH * results.raw["settings"]["epochs"],
        copies={cell: GROUPS[cell.condition].order for cell in CELLS},
        worst=max(max(results.of(cell, "gradient_difference")) for cell in good),
        least=min(min(results.of(cell, "gradient_difference")) for cell in plain),
        seen="; ".join(speed),
    )


EXPERIMENT = Experiment(
    "free-orbit", ("digits", "glyphs", "mnist", "rotated-mnist"), 1, CELLS, run, page, figure
)
