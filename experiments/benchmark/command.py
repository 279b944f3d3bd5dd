"""``python -m experiments benchmark``: what is missing, on one device, by several processes; then the page."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import time
from functools import partial
from pathlib import Path

import torch

from experiments.benchmark.claims import finished, work, write
from experiments.benchmark.comparison import compare, recording_fits
from experiments.benchmark.one_run import one_run, settings
from experiments.benchmark.page import figures, page
from experiments.benchmark.plan import TIERS, Run, Tier, ordered
from experiments.figures import write_figure

__all__ = ["main"]

HELP = """The campaign at real size: CIFAR-10, MNIST and rotated MNIST, all arms, seed after seed.

The images come from the folders mnist and cifar10 in the environment variable EQSSL_DATA, else from the hub.
Stopped, killed or out of time: the same command goes on, and what is done is never done again.

On a GPU, in ten minutes: python -m experiments benchmark --tier short --processes 8 --budget 10
Without one:              OMP_NUM_THREADS=1 python -m experiments benchmark --tier cpu --processes 2
What a step takes:        python benchmarks/resnet_step.py

Tier cpu takes about 17 hours of one core in all; its prediction, which comes first, 40 minutes.
"""


def main(arguments: list[str]) -> None:
    """Compare the device with the CPU, run what is missing, write the page."""
    parser = argparse.ArgumentParser(
        prog="python -m experiments benchmark",
        description=HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--tier", choices=TIERS, help="default: short on a GPU, cpu without one")
    parser.add_argument("--budget", type=float, default=float("inf"), help="minutes; default: to the end")
    parser.add_argument("--processes", type=int, help="side by side; default: 8 on a GPU, else 1")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument(
        "--out", type=Path, default=Path("docs/results"), help="folder (default docs/results)"
    )
    chosen = parser.parse_args(arguments)
    there = torch.cuda.is_available()
    if chosen.device == "cuda" and not there:
        parser.error("--device cuda needs a GPU that torch can use, and there is none")
    on_gpu = there if chosen.device == "auto" else chosen.device == "cuda"
    processes = chosen.processes if chosen.processes is not None else (8 if on_gpu else 1)
    if not chosen.budget > 0 or processes < 1:
        parser.error(f"--budget must be above 0 and --processes at least 1, got {chosen.budget}, {processes}")
    tier = TIERS[chosen.tier or ("short" if on_gpu else "cpu")]
    campaign(tier, chosen.out, torch.device("cuda" if on_gpu else "cpu"), processes, 60 * chosen.budget)


def campaign(tier: Tier, out: Path, device: torch.device, processes: int, seconds: float) -> None:
    """Everything that the command does; the clock runs from here."""
    deadline = time.time() + seconds
    folder = out / "raw" / "benchmark" / tier.name
    need_same_settings(tier, folder)
    recorded = False
    if device.type == "cuda":
        for row in compare(device):
            print(row, flush=True)
        recorded = recording_fits(device)
        print("a step is one launch" if recorded else "steps are launched operation by operation", flush=True)
    # For scikit-learn on a GPU; scipy wants to find it when it is imported.
    os.environ["SCIPY_ARRAY_API"] = "1"
    context = multiprocessing.get_context("spawn")
    how = (tier, folder, device.type, recorded, processes, deadline)
    workers = [context.Process(target=labour, args=how) for _ in range(processes)]
    for worker in workers:
        worker.start()
    try:
        for worker in workers:
            worker.join()
    except KeyboardInterrupt:  # they have heard it as well
        for worker in workers:
            worker.join()
        print("stopped; the same command goes on from here")
    done, due = len(finished(folder)), len(ordered(tier))
    print(f"{done} of {due} runs of tier {tier.name}", flush=True)
    write(out / "benchmark.md", page(out / "raw" / "benchmark"))
    for name, drawing in figures(out / "raw" / "benchmark"):
        write_figure(drawing, out / name)
    print(f"wrote {out / 'benchmark.md'}")
    if failed := [worker.exitcode for worker in workers if worker.exitcode]:
        raise SystemExit(f"{len(failed)} of {processes} processes ended with an error; see above")


def labour(tier: Tier, folder: Path, device: str, recorded: bool, processes: int, deadline: float) -> None:
    """One of the processes."""
    torch.set_num_threads(max(1, torch.get_num_threads() // processes))
    kept = folder.parent / ".work"
    perform = partial(perform_run, tier, kept, torch.device(device), recorded)
    try:
        for run in work(ordered(tier), folder, perform, deadline):
            shutil.rmtree(kept / tier.name / run.name, ignore_errors=True)  # its numbers are written
            print(f"seed {run.seed}: {run.data}, {run.network}, {run.method}", flush=True)
    except KeyboardInterrupt:
        pass


def perform_run(
    tier: Tier, kept: Path, device: torch.device, recorded: bool, run: Run, deadline: float
) -> dict:
    """``one_run`` in the order in which ``work`` calls."""
    return one_run(run, tier, kept, device, recorded, deadline)


def need_same_settings(tier: Tier, folder: Path) -> None:
    """Raise where a folder holds runs of another campaign: they would stand in one table with these."""
    for record in finished(folder):
        if record["settings"] != settings(tier):
            raise ValueError(
                f"--out must be a folder without other runs: {folder} holds runs with {record['settings']}, "
                f"these have {settings(tier)}"
            )
