"""Timing in pairs: every round runs each candidate once, so that a machine whose speed drifts is fair to all."""

from __future__ import annotations

import math
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

RESULTS = Path(__file__).parent / "results"
LEAST_SECONDS = 0.02  # that a candidate works in each round


def machine(device: torch.device) -> str:
    """The machine's name, as the results carry it."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        name = platform.processor() or platform.machine()
        cpuinfo = Path("/proc/cpuinfo")
        if cpuinfo.exists():
            models = [
                line.split(":")[1].strip()
                for line in cpuinfo.read_text().splitlines()
                if "model name" in line
            ]
            name = models[0] if models else name
        name = f"{name}, {torch.get_num_threads()} threads of {os.cpu_count()} cores"
    return f"{name}; torch {torch.__version__}, Python {platform.python_version()}, {platform.system()}"


def paired_seconds(
    candidates: dict[str, Callable[[], object]], rounds: int, device: torch.device
) -> dict[str, list[float]]:
    """Seconds of each candidate in each round; entry i of all lists belongs to one and the same round.

    A candidate that takes less than ``LEAST_SECONDS`` is called several times in each round, one call after the other:
    waiting for a single short one would, on an accelerator, measure the waiting.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    names = list(candidates)
    calls: dict[str, int] = {}
    for name, candidate in candidates.items():
        candidate()  # the first call loads and chooses what the later ones find ready
        calls[name] = max(1, round(LEAST_SECONDS / _seconds(candidate, 1, device)))
    for round_ in range(rounds):
        # Start with another candidate each round: no one always follows the same neighbour.
        start = round_ % len(names)
        for name in names[start:] + names[:start]:
            seconds[name].append(_seconds(candidates[name], calls[name], device))
    return seconds


def recorded(candidate: Callable[[], object], generator: torch.Generator | None = None) -> Callable[[], None]:
    """What a candidate has a GPU do, as a CUDA graph: called, it is one launch, and its time is the GPU's alone.

    A generator of its own, if it draws from one, goes on from replay to replay.
    """
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):  # the first calls choose and allocate what a recording may not
        for _ in range(3):
            candidate()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    if generator is not None:
        graph.register_generator_state(generator)
    with torch.cuda.graph(graph):
        candidate()
    return graph.replay


def median_ratio(numerator: list[float], denominator: list[float]) -> float:
    """The median over rounds of the ratio within a round."""
    return statistics.median(a / b for a, b in zip(numerator, denominator, strict=True))


def median_interval(numerator: list[float], denominator: list[float]) -> tuple[float, float]:
    """An interval that holds the median ratio within a round with a probability of at least 95 %.

    Two order statistics, by the sign test: it assumes nothing of the noise but that rounds are independent.
    """
    ratios = sorted(a / b for a, b in zip(numerator, denominator, strict=True))
    count, outside, below = len(ratios), 0.0, 0
    while 2 * (outside + math.comb(count, below) / 2**count) <= 0.05:
        outside += math.comb(count, below) / 2**count
        below += 1
    if below == 0:
        raise ValueError(f"at least 6 rounds are needed for an interval, got {count}")
    return ratios[below - 1], ratios[count - below]


def write(name: str, title: str, device: torch.device, lines: list[str]) -> Path:
    """Print a result and write it to ``benchmarks/results/NAME-DEVICE.md`` with the machine's name."""
    text = "\n".join([f"# {title}", "", f"Machine: {machine(device)}", "", *lines, ""])
    print(text)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}-{device.type}.md"
    path.write_text(text)
    return path


def _seconds(candidate: Callable[[], object], calls: int, device: torch.device) -> float:
    """Of one call, the mean over ``calls``."""
    _wait(device)
    begin = time.perf_counter()
    for _ in range(calls):
        candidate()
    _wait(device)
    return (time.perf_counter() - begin) / calls


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
