"""The raw file of an experiment: one record for each run, appended as it ends, so that a rerun goes on."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import torch
from tqdm.auto import tqdm

__all__ = ["Cell", "Experiment", "Settings", "perform"]


class Cell(NamedTuple):
    """One method under one condition of the data: a cell of the result table."""

    condition: str
    method: str


class Settings(NamedTuple):
    """What all runs of a raw file have in common."""

    data: str
    epochs: int


class Experiment(NamedTuple):
    """What there is to run, and how to show it.

    The functions: ``run(cell, seed, settings)`` gives the numbers of one run; ``page(results)`` the text and
    ``figure(results)`` the drawing, from the raw runs alone.
    """

    name: str
    data: tuple[str, ...]  # the first is the default
    epochs: int
    cells: tuple[Cell, ...]
    run: Callable[[Cell, int, Settings], dict]
    page: Callable[..., str]
    figure: Callable[..., NamedTuple]
    first_seed: int = 0


def machine() -> str:
    """What the runs are computed on, as the pages name it."""
    name = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        models = [line.split(":")[1] for line in cpuinfo.read_text().splitlines() if "model name" in line]
        name = models[0].strip() if models else name
    threads = torch.get_num_threads()
    return (
        f"{name}, {threads} thread{'s' if threads > 1 else ''}; torch {torch.__version__}, "
        f"Python {platform.python_version()}, {platform.system()}"
    )


def perform(experiment: Experiment, settings: Settings, seeds: int, path: Path) -> dict:
    """Run what the raw file does not hold yet, seed after seed; return its content. Ctrl-C stops it in between.

    Raises:
        ValueError: when the file holds runs with other settings.
    """
    raw = {
        "name": path.stem,
        "experiment": experiment.name,
        "settings": settings._asdict(),
        "machine": machine(),
        "runs": [],
    }
    if path.exists():
        found = json.loads(path.read_text(encoding="utf-8"))
        for key in ("experiment", "settings"):
            if found[key] != raw[key]:
                raise ValueError(
                    f"--out must be a folder without other runs: {path} holds runs with {key} {found[key]}, "
                    f"these have {raw[key]}"
                )
        raw = found
    done = {(run["condition"], run["method"], run["seed"]) for run in raw["runs"]}
    first = experiment.first_seed
    due = [
        (cell, seed)
        for seed in range(first, first + seeds)
        for cell in experiment.cells
        if (*cell, seed) not in done
    ]
    bar = tqdm(due, unit="run", desc=experiment.name)
    try:
        for cell, seed in bar:
            bar.set_postfix_str(f"seed {seed}: {cell.condition}, {cell.method}")
            numbers = experiment.run(cell, seed, settings)
            raw["runs"].append({**cell._asdict(), "seed": seed, **numbers})
            save(raw, path)
    except KeyboardInterrupt:
        print(f"stopped after {len(raw['runs'])} runs; the same command goes on from here")
    return raw


def save(raw: dict, path: Path) -> None:
    """One run a line; written beside the file and then moved, so that a stop in between loses nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = json.dumps({key: value for key, value in raw.items() if key != "runs"}, indent=1)
    lines = ",\n".join(json.dumps(run) for run in raw["runs"])
    scratch = path.with_suffix(".part")
    scratch.write_text(f'{head[:-2]},\n "runs": [\n{lines}\n]\n}}\n', encoding="utf-8")
    os.replace(scratch, path)
