"""Orbit correlation of all pairs, and InfoNCE on it, forward + backward, against a bare matrix product with the same
multiply-adds (the limit), paired in one run; the peak memory of the loss; a training step with it. On a GPU the
pairs are measured twice: as CUDA graphs, which is the GPU's time alone, and called from Python.

    python benchmarks/orbit_correlation.py [--device cuda] [--views 256 1024 4096]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from paired import median_ratio, paired_seconds, recorded, write

from eqssl_edu.contrastive import InfoNCE, orbit_correlation
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import FiniteGroup, cyclic, dihedral

DIMENSION = 512  # C |G|
GROUPS = {"C4": cyclic(4), "D4": dihedral(4)}
KINDS = ("max", "soft", "power3")
VIEWS = (256, 1024, 4096)
CPU_ROUNDS = {256: 21, 1024: 7, 4096: 2}
GRAPHS, PYTHON = "As CUDA graphs", "Called from Python"
CHUNK = 384  # rows at a time where memory is short, on a GPU; a CPU always works by chunks that fit a cache


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--views", type=int, nargs="+", default=VIEWS)
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)  # what the child processes are asked for
    options = parser.parse_args()
    device = torch.device(options.device)
    if options.peak:
        print(peak(*options.peak, device))
        return
    ways = [GRAPHS, PYTHON] if device.type == "cuda" else [PYTHON]
    lines = [
        f"Forward + backward, {str(precision(device)).removeprefix('torch.')}, C |G| = {DIMENSION}. Each round runs "
        "all candidates; ratios are medians of the ratios within a round.",
        "",
        *(line for way in ways for line in [f"{way}:", "", *pair_table(options.views, device, way), ""]),
        PRODUCT + NOTES[device.type],
        "",
        *memory_table(max(options.views), device),
        "",
        *step_table(device),
    ]
    write("orbit_correlation", "Orbit correlation and InfoNCE against a bare matrix product", device, lines)


PRODUCT = (
    "product: (B |G|, C |G|) times (C |G|, B) and both its gradients. kappa: `orbit_correlation` of two batches of B. "
    "max, soft, power3: `InfoNCE` of B views (B / 2 images). At once: its formula, "
    "`F.cross_entropy(*InfoNCE.logits(...))`, with all B^2 |G| correlations in memory."
)
NOTES = {
    "cpu": " The loss works by chunks that fit a cache. It needs every pair but once: a ratio below 1 is possible.",
    "cuda": f" By chunks: `InfoNCE(chunk={CHUNK})`, for where memory is short; by default a GPU holds 2^27 "
    "correlations. A CUDA graph is one launch: its time is the GPU's alone. Called from Python, the product also waits "
    "for its three launches, and the loss for its six; small batches measure nothing else. Made a graph: "
    "by `torch.cuda.make_graphed_callables`, and called from Python as the product is.",
}


def pair_table(sizes: list[int], device: torch.device, way: str) -> list[str]:
    """kappa and the losses against the product."""
    rows = []
    for name, group in GROUPS.items():
        for count in sizes:
            runs = candidates(group, count, device)
            rounds = 21 if device.type == "cuda" else CPU_ROUNDS.get(count, 5)
            if way == GRAPHS:
                runs = {each: recorded(run) for each, run in runs.items()}
            elif device.type == "cuda":
                runs |= made_graphs(group, count, device)
            seconds = paired_seconds(runs, rounds, device)
            names = [each for each in runs if each != "product"]
            ratios = [f"{median_ratio(seconds[each], seconds['product']):.2f}" for each in names]
            streamed = median_ratio(seconds.get("soft, by chunks", seconds["soft"]), seconds["soft, at once"])
            milliseconds = 1e3 * statistics.median(seconds["product"])
            rows.append(f"| {name}, {count} | {milliseconds:.3f} | {' | '.join(ratios)} | {streamed:.2f} |")
            print(rows[-1], flush=True)
    head = f"| group, views | product, ms | {' | '.join(names)} | by chunks / at once |"
    return [head, f"|{'---|' * (len(names) + 3)}", *rows]


def candidates(group: FiniteGroup, count: int, device: torch.device) -> dict:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        x = torch.randn(*shape, generator=generator).to(device, precision(device))
        return x.requires_grad_()

    order = group.order
    left, right = random(count * order, DIMENSION), random(count, DIMENSION)
    z, w = (random(count, DIMENSION // order, order) for _ in range(2))
    slope = random(count * order, count).detach()
    slope_kappa = slope.view(count, order, count).movedim(1, 2)
    runs = {
        "product": lambda: torch.autograd.grad(left @ right.T, (left, right), slope),
        "kappa": lambda: torch.autograd.grad(orbit_correlation(group, z, w), (z, w), slope_kappa),
    }
    z1, z2 = (random(count // 2, DIMENSION // order, order) for _ in range(2))
    one = torch.ones((), device=device)
    losses = {kind: InfoNCE(group, kind) for kind in KINDS}
    if device.type == "cuda":
        losses["soft, by chunks"] = InfoNCE(group, "soft", chunk=CHUNK)
    losses["soft, at once"] = lambda z1, z2: at_once(InfoNCE(group, "soft"), z1, z2)
    for name, loss in losses.items():
        # Its own gradient is given, as that of the product is.
        runs[name] = lambda loss=loss: torch.autograd.grad(loss(z1, z2), (z1, z2), one)
    return runs


def made_graphs(group: FiniteGroup, count: int, device: torch.device) -> dict:
    """kappa and the loss as a user makes them CUDA graphs; called from Python, as the product is."""
    order = group.order

    def features(views: int) -> tuple[torch.Tensor, torch.Tensor]:
        shape = (views, DIMENSION // order, order)
        return tuple(
            torch.randn(shape, device=device, dtype=precision(device)).requires_grad_() for _ in "12"
        )

    (z, w), (z1, z2) = features(count), features(count // 2)
    make = torch.cuda.make_graphed_callables
    kappa = make(lambda z, w: orbit_correlation(group, z, w), features(count))
    loss = make(InfoNCE(group, "soft"), features(count // 2))
    slope, one = torch.randn_like(kappa(z, w)), torch.ones((), device=device)
    return {
        "kappa, made a graph": lambda: torch.autograd.grad(kappa(z, w), (z, w), slope),
        "soft, made a graph": lambda: torch.autograd.grad(loss(z1, z2), (z1, z2), one),
    }


def memory_table(count: int, device: torch.device) -> list[str]:
    """What a loss takes on top of its inputs, at the most, forward + backward."""
    modes = ["by chunks", "default", "at once"] if device.type == "cuda" else ["by chunks", "at once"]
    columns = [f"{mode}, MiB" for mode in modes]
    rows = [
        f"| group, views | buffer of B^2 abs(G), MiB | {' | '.join(columns)} | by chunks / buffer |",
        f"|{'---|' * (3 + len(columns))}",
    ]
    for name, group in GROUPS.items():
        buffer = count**2 * group.order * precision(device).itemsize / 2**20
        peaks = [child(name, str(count), mode, device) for mode in modes]
        cells = " | ".join(f"{mebibytes:.0f}" for mebibytes in (buffer, *peaks))
        rows.append(f"| {name}, {count} | {cells} | {peaks[0] / buffer:.2f} |")
        print(rows[-1], flush=True)
    how = "PyTorch's allocator" if device.type == "cuda" else "the resident size of a child process, on Linux"
    return [*rows, "", f"Soft similarity, forward + backward, on top of the features; from {how}."]


def child(name: str, count: str, mode: str, device: torch.device) -> float:
    arguments = [sys.executable, __file__, "--device", device.type, "--peak", name, count, mode]
    return float(subprocess.run(arguments, check=True, capture_output=True, text=True).stdout)


def peak(name: str, count: str, mode: str, device: torch.device) -> float:
    """MiB on top of the features."""
    group = GROUPS[name]
    chunk = CHUNK if device.type == "cuda" and mode == "by chunks" else None
    loss = InfoNCE(group, "soft", chunk=chunk)

    def run(z1: torch.Tensor, z2: torch.Tensor) -> None:
        value = at_once(loss, z1, z2) if mode == "at once" else loss(z1, z2)
        value.backward()

    def features(views: int) -> list[torch.Tensor]:
        shape = (views // 2, DIMENSION // group.order, group.order)
        return [torch.randn(shape, device=device, dtype=precision(device)).requires_grad_() for _ in "12"]

    run(*features(8))  # what the first call loads does not count
    views = features(int(count))
    before = watch(device)
    run(*views)
    return (most(device) - before) / 2**20


def watch(device: torch.device) -> int:
    """The bytes in use now; from here on ``most`` looks for the maximum."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    Path("/proc/self/clear_refs").write_text("5")  # Linux: forget the maximum so far
    return resident("VmRSS")


def most(device: torch.device) -> int:
    return torch.cuda.max_memory_allocated(device) if device.type == "cuda" else resident("VmHWM")


def resident(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(field))


def step_table(device: torch.device) -> list[str]:
    """A training step of a GroupCNN with an invariant loss against the same step with the plain one."""
    rows = [f"| encoder, views | plain, ms | {' | '.join(KINDS)} |", f"|---|---|{'---|' * len(KINDS)}"]
    for name, group in GROUPS.items():
        torch.manual_seed(0)
        encoder = GroupCNN(group, channels=(8, 16, 32)).to(device)
        views = torch.rand(128, 1, 28, 28, device=device)

        def step(kind: str, group=group, encoder=encoder, views=views) -> None:
            with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
                loss = InfoNCE(group, kind)(*encoder(views).chunk(2))
            torch.autograd.grad(loss, list(encoder.parameters()))

        runs = {kind: (lambda kind=kind: step(kind)) for kind in ("plain", *KINDS)}
        seconds = paired_seconds(runs, 7, device)
        ratios = [f"{median_ratio(seconds[kind], seconds['plain']):.2f}" for kind in KINDS]
        milliseconds = 1e3 * statistics.median(seconds["plain"])
        rows.append(
            f"| GroupCNN {name}, channels 8, 16, 32, 128 of 28 x 28 | {milliseconds:.0f} | {' | '.join(ratios)} |"
        )
        print(rows[-1], flush=True)
    return [
        *rows,
        "",
        "Encoder and `InfoNCE`, forward + backward, over the same step with the plain similarity.",
    ]


def at_once(loss: InfoNCE, z1: torch.Tensor, z2: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(*loss.logits(z1, z2))


def precision(device: torch.device) -> torch.dtype:
    return torch.bfloat16 if device.type == "cuda" else torch.float32


if __name__ == "__main__":
    main()
