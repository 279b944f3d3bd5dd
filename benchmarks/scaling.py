"""What a training step costs, predicted (``costs.py``) and measured side by side at three sizes each, and what the
formulas say of ImageNet and of a billion images (docs/scaling.md).

    python benchmarks/scaling.py
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import costs
import torch
import torch.nn.functional as F
from paired import median_ratio, paired_seconds, write
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from eqssl_edu.contrastive import ContrastiveModel, InfoNCE
from eqssl_edu.encoders import GroupCNN, GroupResNet, count_multiplications, count_parameters
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral
from eqssl_edu.pretext import JigsawTask, PretextModel, RotationTask
from eqssl_edu.pretext.parts import lift_parts
from eqssl_edu.pretext.task import Task
from eqssl_edu.training import Pretrainer
from eqssl_edu.views import RandomView

C1, C4, D4 = cyclic(1), cyclic(4), dihedral(4)
CHUNK, KIB = 64, 2**10
Costs = dict[str, tuple[float, float]]  # name: (predicted, measured); FLOPs in millions, bytes in KiB

# What is measured. One width is that of a GroupResNet, several are those of a GroupCNN.
ENCODERS = {  # group, widths, images, side
    "GroupCNN C4, 8, 16, 32; 64 images of 28 x 28": (C4, (8, 16, 32), 64, 28),
    "GroupCNN D4, 12, 24; 32 of 33 x 33": (D4, (12, 24), 32, 33),
    "GroupResNet C4, 8; 16 of 32 x 32": (C4, (8,), 16, 32),
}
HEADS = {  # task, channels, images
    "rotation D4, 32 channels; 64 images": (RotationTask(D4), 32, 64),
    "jigsaw C4, 32 channels; 64 images": (JigsawTask(C4, grid=2), 32, 64),
    "jigsaw D4, 16 channels; 128 images": (JigsawTask(D4, grid=2), 16, 128),
}
LOSSES = {  # group, channels, views, kind
    "plain, C4, 64 channels; 256 views": (C4, 64, 256, "plain"),
    "soft, C4, 64 channels; 512 views": (C4, 64, 512, "soft"),
    "max, D4, 16 channels; 1024 views": (D4, 16, 1024, "max"),
}

# Assumptions of what is carried on: nothing of this was measured here.
SPEED = 0.3 * 989e12  # FLOP/s: three tenths of the peak of an H100 (SXM) in bfloat16
MEMORY = 60e9  # bytes of its 80 GB for what waits for the backward pass
LINKS = {"50 GB/s": 50e9, "1.25 GB/s": 1.25e9}  # 400 Gb/s for each GPU, and 10 Gb/s; one way
IMAGENET, EPOCHS, BILLION, BYTES = 1_281_167, 200, 10**9, 3 * 224**2  # images, times, images, bytes of one
NETWORKS = {
    "plain, width 64: ResNet-18": (C1, 64),
    "C4, width 16: as wide": (C4, 16),
    "D4, width 8: as wide": (D4, 8),
    "C4, width 32: as many weights": (C4, 32),
    "D4, width 23: as many weights": (D4, 23),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--exchange", help=argparse.SUPPRESS)  # the file that the two processes write
    options = parser.parse_args()
    if options.exchange:
        measure_exchange(Path(options.exchange))
        return
    torch.manual_seed(0)
    tables = {
        "The encoder": {name: encoder_costs(*each) for name, each in ENCODERS.items()},
        "The pretext head": {name: head_costs(*each) for name, each in HEADS.items()},
        f"All pairs by chunks of {CHUNK}, and at once": {
            name: loss_costs(*each) for name, each in LOSSES.items()
        },
        "Two processes, images of half the side": exchanged(),
    }
    lines = ["Cells: predicted, measured, measured / predicted. FLOPs in millions, bytes in KiB."]
    for title, rows in tables.items():
        lines += ["", f"## {title}", "", *compared(rows)]
    lines += ["", "## Speed", "", *speeds(), "", "## Carried on", "", *carried()]
    write("scaling", "What a training step costs, predicted and measured", torch.device("cpu"), lines)


# -- measuring -----------------------------------------------------------------------------------------------------


def counted_flops(run: Callable[[], object]) -> float:
    """In millions, as torch counts; it does not know the product that adds in place, which the loss by chunks takes."""
    in_place = {torch.ops.aten.addmm_: lambda _, left, right, **__: 2 * left[0] * left[1] * right[1]}
    with FlopCounterMode(display=False, custom_mapping=in_place) as counter:
        run()
    return counter.get_total_flops() / 1e6


def kept(run: Callable[[], Tensor], module: nn.Module) -> float:
    """KiB of all tensors that wait for the backward pass, each memory once; what the module holds anyway left out."""
    own = {tensor.untyped_storage().data_ptr() for tensor in [*module.parameters(), *module.buffers()]}
    held = {}

    def pack(tensor: Tensor) -> Tensor:
        memory = tensor.untyped_storage()
        if memory.data_ptr() not in own:
            held[memory.data_ptr()] = memory  # alive, or an address would be met twice
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        run()
    return sum(memory.nbytes() for memory in held.values()) / KIB


def peak(run: Callable[[], object]) -> float:
    """KiB that torch has handed out on the CPU, at the most, on top of what was there before."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    events.sort(key=lambda event: event.start_ns())
    return max(itertools.accumulate(event.nbytes() for event in events)) / KIB


def received() -> float:
    """KiB that have come in through this process's TCP connections; Linux counts them."""
    total = 0
    for link in Path("/proc/self/fd").iterdir():
        if link.is_socket():
            with socket.socket(fileno=os.dup(int(link.name))) as connection:
                if connection.family in (socket.AF_INET, socket.AF_INET6):
                    counters = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
                    total += struct.unpack_from("Q", counters, 128)[0]  # tcpi_bytes_received
    return total / KIB


# -- at three sizes each -------------------------------------------------------------------------------------------


def made(group: FiniteGroup, widths: tuple[int, ...]) -> GroupCNN | GroupResNet:
    return GroupCNN(group, 1, widths) if len(widths) > 1 else GroupResNet(group, 3, *widths)


def encoder_costs(group: FiniteGroup, widths: tuple[int, ...], count: int, side: int) -> Costs:
    encoder = made(group, widths)
    network, images = costs.layers(encoder, side), torch.rand(count, encoder.in_channels, side, side)

    def step() -> None:
        encoder(images).sum().backward()

    most = peak(step)  # the first step makes the gradients
    with torch.autocast("cpu", torch.bfloat16):
        half = kept(lambda: encoder(images), encoder)
    return {
        "parameters": (costs.parameters(network), count_parameters(encoder)),
        "FLOPs forward": (
            costs.forward_flops(network, count) / 1e6,
            2 * count_multiplications(encoder, images) / 1e6,
        ),
        "FLOPs": (costs.encoder_flops(network, count) / 1e6, counted_flops(step)),
        "kept": (costs.encoder_kept(network, count) / KIB, kept(lambda: encoder(images), encoder)),
        "kept, bfloat16": (costs.encoder_kept(network, count, 2) / KIB, half),
        "peak": (costs.encoder_peak(network, count) / KIB, most),
    }


def head_costs(task: Task, channels: int, count: int) -> Costs:
    order, parts = task.group.order, task.positions.size
    model = PretextModel(GroupCNN(task.group, 1, (channels,)), task)
    features = torch.randn(count, parts, channels, order, requires_grad=True)
    labels = torch.arange(count) % task.labels.size
    sizes = count, order, parts * channels, channels * (parts > 1), task.labels.size

    def answer() -> Tensor:
        return F.cross_entropy(model.head(model.mlp(lift_parts(features, model._positions))), labels)

    return {
        "FLOPs": (costs.head_flops(*sizes) / 1e6, counted_flops(lambda: answer().backward())),
        "kept": (costs.head_kept(*sizes, parts) / KIB, kept(answer, model)),
    }


def loss_costs(group: FiniteGroup, channels: int, views: int, kind: str) -> Costs:
    length, order = channels * group.order, 1 if kind == "plain" else group.order
    z1, z2 = (torch.randn(views // 2, channels, group.order, requires_grad=True) for _ in "12")
    loss = InfoNCE(group, kind, chunk=CHUNK)

    def by_chunks() -> None:
        loss(z1, z2).backward()

    def at_once() -> None:
        F.cross_entropy(*loss.logits(z1, z2)).backward()

    at_once()  # the first call makes the group's tables, and gradients
    sizes = views, length, order
    return {
        "FLOPs": (costs.pairs_flops(*sizes, CHUNK) / 1e6, counted_flops(by_chunks)),
        "peak": (costs.pairs_peak(*sizes, CHUNK, kind) / KIB, peak(by_chunks)),
        "FLOPs at once": (costs.at_once_flops(*sizes) / 1e6, counted_flops(at_once)),
        "peak at once": (costs.at_once_peak(*sizes) / KIB, peak(at_once)),
    }


def exchanged() -> dict[str, Costs]:
    """What two processes send each other in a step: this script, started anew, starts the second."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "exchange.json"
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__, "--exchange", path]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)
        return json.loads(path.read_text())


def measure_exchange(path: Path) -> None:
    """``exchanged``, in each of the two processes."""
    rows = {}
    for name, (group, widths, count, side) in ENCODERS.items():
        encoder, side = made(group, widths), side // 2
        network, views, length = costs.layers(encoder, side), 2 * count, encoder.out_channels * group.order
        rotation = PretextModel(encoder, RotationTask(group))
        contrast = ContrastiveModel(made(group, widths), InfoNCE(group, chunk=CHUNK), RandomView(group))
        norms = costs.norm_bytes(network)  # of the first process, to the other
        sent = [norms + 2 * costs.gradients_sent(count_parameters(each), 2) for each in (rotation, contrast)]
        sent[1] += 2 * costs.features_sent(views, length, 2) + 2 * costs.sightings_sent(views, 2)
        flops = costs.encoder_flops(network, count) + costs.pairs_flops(views, length, group.order, CHUNK, 2)
        alone, _, rank = one_step(rotation, encoder.in_channels, count, side)
        everything, counted, _ = one_step(contrast, encoder.in_channels, count, side)
        rows[name] = {
            "sent, gradients alone": (sent[0] / KIB, alone),
            "sent, features as well": (sent[1] / KIB, everything),
            "FLOPs of one process": (flops / 1e6, counted),
        }
    if rank == 0:
        path.write_text(json.dumps(rows))


def one_step(model: nn.Module, channels: int, count: int, side: int) -> tuple[float, float, int]:
    """KiB that come to both processes together in a step of ``Pretrainer``, the FLOPs of this one, and its rank."""
    images = torch.rand(count, channels, side, side)
    how = {"accelerator": "cpu", "precision": "32-true", "devices": 2, "strategy": "ddp"}
    run = Pretrainer(model, images, epochs=3, batch_size=count, **how)
    torch.set_num_threads(1)
    steps = run.steps()
    next(steps)
    next(steps)  # the buckets are made anew once
    run.fabric.barrier()
    before = received()
    run.fabric.barrier()  # nobody's step begins while another counts
    flops = counted_flops(lambda: next(steps))
    run.fabric.barrier()
    sent = run.fabric.all_reduce(torch.tensor(received() - before), reduce_op="sum")
    return float(sent), flops, run.fabric.global_rank


def compared(rows: dict[str, Costs]) -> list[str]:
    """Predicted, measured, and their ratio."""
    return table(
        "size",
        {
            row: {name: f"{p:,.1f}, {m:,.1f}, {m / p:.3f}" for name, (p, m) in pairs.items()}
            for row, pairs in rows.items()
        },
    )


def speeds() -> list[str]:
    """An encoder's step against a bare matrix product, both in FLOPs a second."""
    return table(
        "encoder, forward + backward, against a product of 768 x 768 matrices",
        {name: {"share of its speed": f"{speed(*each):.2f}"} for name, each in ENCODERS.items()},
    )


def speed(group: FiniteGroup, widths: tuple[int, ...], count: int, side: int) -> float:
    encoder, matrix = made(group, widths), torch.rand(768, 768)
    network, images = costs.layers(encoder, side), torch.rand(count, encoder.in_channels, side, side)
    runs = {"step": lambda: encoder(images).sum().backward(), "product": lambda: matrix @ matrix}
    seconds = paired_seconds(runs, 7, torch.device("cpu"))
    work = costs.encoder_flops(network, count) / (2 * 768**3)
    return work * median_ratio(seconds["product"], seconds["step"])


# -- carried on ----------------------------------------------------------------------------------------------------


def carried() -> list[str]:
    """Computed, with the assumptions on top of this file; cells with two numbers: maps of 224 x 224 / of 56 x 56."""
    sizes, limits = {}, {}
    for name, (group, width) in NETWORKS.items():
        networks = [costs.layers(GroupResNet(group, 3, width), side) for side in (224, 56)]
        flops, kept = ([cost(n) for n in networks] for cost in (costs.view_flops, costs.view_kept))
        length, weights = 8 * width * group.order, costs.parameters(networks[0])
        hours = [2 * each / SPEED / 3600 for each in flops]  # of an image: two views
        sizes[name] = {
            "million weights": f"{weights / 1e6:.2f}",
            "MB of state + tables": f"{16 * weights / 1e6:.0f} + {costs.table_bytes(networks[0]) / 1e6:.0f}",
            "GFLOP a view": short(each / 1e9 for each in flops),
            "MB kept a view": short(each / 1e6 for each in kept),
            "views in 60 GB": short(MEMORY / each for each in kept),
            "GPU-hours, ImageNet": short(each * EPOCHS * IMAGENET for each in hours),
            "GPU-hours, a billion": short(each * BILLION for each in hours),
            "MB/s to read": short(BYTES / 3600 / each / 1e6 for each in hours),
        }
        limits[name] = {"all pairs": short(costs.loss_overtakes(n, length, group.order) for n in networks)}
        for link, speed in LINKS.items():
            limits[name] |= {
                f"gradients, {link}": short(costs.exchange_overtakes(n, SPEED, speed) for n in networks),
                f"features, {link}": short(costs.gather_overtakes(n, length, SPEED, speed) for n in networks),
            }
    return [*table("network", sizes), "", *table("network", limits)]


def short(values: Iterable[float]) -> str:
    """Two digits that count, more below a hundred thousand."""
    rounded = [float(f"{value:.2g}") if value < 10 or value >= 1e5 else round(value) for value in values]
    return " / ".join(f"{value:,.0f}" if value >= 10 else f"{value:g}" for value in rounded)


def table(corner: str, rows: dict[str, dict[str, str]]) -> list[str]:
    names = list(next(iter(rows.values())))
    lines = [f"| {name} | {' | '.join(row.values())} |" for name, row in rows.items()]
    return [f"| {corner} | {' | '.join(names)} |", f"|{'---|' * (1 + len(names))}", *lines]


if __name__ == "__main__":
    main()
