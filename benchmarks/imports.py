"""What `import eqssl_edu` and its light modules cost on top of `import torch`, in fresh processes, paired.

python benchmarks/imports.py [--rounds 9]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys

import torch
from paired import paired_seconds, write

LIGHT = "groups, gsets, layers, encoders, pretext, contrastive, diagnostics, data, views"
STATEMENTS = {
    "torch": "import torch",
    "eqssl_edu": "import torch, eqssl_edu",
    "the light modules": f"import torch; from eqssl_edu import {LIGHT}",
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()

    def fresh(statement: str):
        return lambda: subprocess.run([sys.executable, "-c", statement], check=True)

    candidates = {name: fresh(statement) for name, statement in STATEMENTS.items()}
    seconds = paired_seconds(candidates, options.rounds, torch.device("cpu"))
    rows = []
    for name, values in seconds.items():
        more = statistics.median(a - b for a, b in zip(values, seconds["torch"], strict=True))
        ratio = statistics.median(a / b for a, b in zip(values, seconds["torch"], strict=True))
        rows.append(f"| {name} | {statistics.median(values):.2f} | {more:+.2f} | {ratio:.2f} |")
    lines = [
        f"Fresh processes, {options.rounds} rounds; medians. The light modules are {LIGHT}.",
        "",
        "| import | seconds | more than torch, s | ratio to torch |",
        "|---|---|---|---|",
        *rows,
    ]
    write("imports", "What an import costs", torch.device("cpu"), lines)


if __name__ == "__main__":
    main()
