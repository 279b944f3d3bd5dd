"""The command line: ``python -m experiments NAME [--seeds N] [--epochs N] [--data NAME] [--out FOLDER]``.

``python -m experiments benchmark --help`` tells of the campaign at real size, which has options of its own.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from experiments.catalogue import EXPERIMENTS
from experiments.figures import write_figure
from experiments.results import Results
from experiments.runs import Experiment, Settings, perform


def main(arguments: list[str] | None = None) -> None:
    """Run what is missing, then write the page and its figures."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments[:1] == ["benchmark"]:
        from experiments.benchmark.command import main as benchmark

        return benchmark(arguments[1:])
    parser = argparse.ArgumentParser(prog="python -m experiments", description=__doc__)
    parser.add_argument("name", choices=EXPERIMENTS, help="which experiment")
    parser.add_argument("--seeds", type=int, default=10, help="how many pretraining seeds (default 10)")
    parser.add_argument("--epochs", type=int, help="how often each image is seen (default: as on the page)")
    parser.add_argument("--data", help="which images (default: the first that the experiment knows)")
    parser.add_argument(
        "--out", type=Path, default=Path("docs/results"), help="folder (default docs/results)"
    )
    chosen = parser.parse_args(arguments)
    experiment = EXPERIMENTS[chosen.name]
    data = chosen.data or experiment.data[0]
    if data not in experiment.data:
        parser.error(
            f"--data must be one of {', '.join(experiment.data)} for {experiment.name}, got {data!r}"
        )
    epochs = experiment.epochs if chosen.epochs is None else chosen.epochs
    if epochs < 1 or chosen.seeds < 2:
        parser.error(f"--epochs must be at least 1 and --seeds at least 2, got {epochs} and {chosen.seeds}")
    name = experiment.name if data == experiment.data[0] else f"{experiment.name}-{data}"
    raw = perform(experiment, Settings(data, epochs), chosen.seeds, chosen.out / "raw" / f"{name}.json")
    results = Results(raw, experiment.cells)
    if len(results.seeds) < 2:
        print("fewer than two complete seeds: no page yet")
        return
    publish(experiment, results, chosen.out)


def publish(experiment: Experiment, results: Results, out: Path) -> None:
    """The page and its figure, from the raw runs alone."""
    (out / f"{results.name}.md").write_text(experiment.page(results), encoding="utf-8")
    write_figure(experiment.figure(results), out / f"{results.name}.svg")
    print(f"wrote {out / results.name}.md")


if __name__ == "__main__":
    main()
