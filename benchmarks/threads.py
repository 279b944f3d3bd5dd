"""A notebook's training, in steps per second: with one thread, with all of them, and with all waiting passively.

Each setting trains the tour's network in a fresh process, on an idle machine and beside as many busy processes as there
are cores. The limit is the fastest setting in the same round.

python benchmarks/threads.py [--rounds 5]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator

import torch
from paired import write

SETTINGS = {
    "one thread": {"OMP_NUM_THREADS": "1"},
    "all threads, spinning": {"OMP_WAIT_POLICY": "ACTIVE"},
    "all threads, waiting passively": {"OMP_WAIT_POLICY": "PASSIVE"},
}
TRAINING = """
from eqssl_edu.data import digits
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic
from eqssl_edu.pretext import PretextModel, RotationTask
from eqssl_edu.training import Pretrainer
G = cyclic(4)
model = PretextModel(GroupCNN(G, channels=(8, 16, 32)), RotationTask(G))
run = Pretrainer(model, digits().train.images, epochs=100, batch_size=128, accelerator="cpu")
steps = run.steps()
for _ in range(5):
    next(steps)
before = run.seconds
while run.seconds < before + 4:
    next(steps)
print((run.step - 5) / (run.seconds - before))
"""


@contextlib.contextmanager
def company(count: int) -> Iterator[None]:
    """So many processes that never rest."""
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in busy:
            process.kill()
            process.wait()


def steps_per_second(setting: dict[str, str]) -> float:
    """Of a training in a fresh process."""
    names = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY")
    environment = {name: value for name, value in os.environ.items() if name not in names} | setting
    command = [sys.executable, "-c", TRAINING]
    return float(subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    speeds: dict[tuple[str, int], list[float]] = {}
    for _ in range(options.rounds):
        for busy in (0, os.cpu_count() or 1):
            for name, setting in SETTINGS.items():
                with company(busy):
                    speeds.setdefault((name, busy), []).append(steps_per_second(setting))
    rows = []
    for name in SETTINGS:
        cells = []
        for busy in (0, os.cpu_count() or 1):
            rounds = zip(*(speeds[other, busy] for other in SETTINGS), strict=True)
            ratio = statistics.median(
                own / max(all_) for own, all_ in zip(speeds[name, busy], rounds, strict=True)
            )
            cells += [f"{statistics.median(speeds[name, busy]):.0f}", f"{ratio:.2f}"]
        rows.append(f"| {name} | {' | '.join(cells)} |")
    lines = [
        f"Steps per second of the tour's network in a batch of 128, {options.rounds} rounds; medians.",
        "The ratio is to the fastest setting in the same round.",
        "",
        "| setting | idle | ratio | beside busy processes | ratio |",
        "|---|---|---|---|---|",
        *rows,
    ]
    write("threads", "How threads wait", torch.device("cpu"), lines)


if __name__ == "__main__":
    main()
