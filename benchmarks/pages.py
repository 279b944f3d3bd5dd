"""How fast a page that computes follows the hand: in a real chromium, from a file, with no kernel and no network.

python benchmarks/pages.py [--moves 100]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch
from explorers import CASES, MOVES, SETUP
from paired import write

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "browser"))
from lab import browser, open_file

from eqssl_edu.widgets.live.live_page import SCRIPTS
from eqssl_edu.widgets.shared import base

ENGINES = {"WebAssembly": "", "JavaScript alone": "?engine=js"}
LIMITS = {"WebAssembly": (20, 33), "JavaScript alone": (33, 66)}  # ms: (median, 95th percentile)
MAKE = (
    SETUP
    + """
from eqssl_edu.data import digits
from eqssl_edu.groups import dihedral
from eqssl_edu.steerable import SteerableCNN
from eqssl_edu.widgets import OrbitCorrelationExplorer
photo = torch.nn.functional.interpolate(image[None], 64)[0].expand(3, -1, -1)
dihedral_network, steerable = GroupCNN(dihedral(4), 3), SteerableCNN(cyclic(8))
"""
)
DEFAULT = next(iter(CASES))
WRITTEN = {
    DEFAULT: CASES[DEFAULT],
    "GroupResNet of width 4": "explorer = FieldExplorer(GroupResNet(cyclic(4), 1, width=4), image)",
    "D4 and its plain twin, 64 x 64 in colour": (
        "explorer = FieldExplorer(dihedral_network, photo, compare=matched_cnn(dihedral_network))"
    ),
    "escnn's C8": "explorer = FieldExplorer(steerable, image)",
    "orbit correlation of 16 digits": (
        "explorer = OrbitCorrelationExplorer(small.eval(), digits(32).test.images[:16])"
    ),
}
TURNED = list(WRITTEN)[:-1]  # they have an angle
# From the navigation to the first picture; from there, asked without a pause, to the end of the curve.
OPENED = """async () => {
  const frame = () => new Promise(requestAnimationFrame);
  while (!document.querySelector(".eqssl[data-painted]")) await frame();
  const first = performance.now();
  const { model } = document.getElementById("explorer");
  while (model.get("unfinished")) await frame();
  return [first, performance.now() - first];
}"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--moves", type=int, default=100)
    options = parser.parse_args()
    moves, opened, sizes = [], [], []
    with tempfile.TemporaryDirectory() as folder, browser() as chromium:
        for number, (name, make) in enumerate(WRITTEN.items()):
            names: dict[str, Any] = {}
            exec(MAKE + make, names)
            explorer, path = names["explorer"], Path(folder) / f"page{number}.html"
            start = time.perf_counter()
            explorer.to_html(path, live=True)
            seconds = time.perf_counter() - start
            sizes.append(f"| {name} | {path.stat().st_size / 1000:.0f} | {seconds:.1f} |")
            print(sizes[-1], flush=True)
            for engine, question in ENGINES.items():
                with open_file(chromium, path) as page:
                    page.page.goto(path.as_uri() + question)
                    first, curve = page.page.evaluate(OPENED)
                    root = page.page.locator(".eqssl")
                    times = sorted(root.evaluate(MOVES, options.moves)) if name in TURNED else []
                    page.assert_clean()
                opened.append(f"| {name} | {engine} | {first / 1000:.2f} | {curve / 1000:.2f} |")
                print(opened[-1], flush=True)
                if times:
                    median, last = statistics.median(times), times[int(0.95 * len(times))]
                    limits = LIMITS[engine] if name == DEFAULT else ("-", "-")
                    moves.append(
                        f"| {name} | {engine} | {median:.1f} | {limits[0]} | {last:.1f} | {limits[1]} |"
                    )
                    print(moves[-1], flush=True)
    scripts = [*SCRIPTS, *type(explorer).live_files, "live/field", "live/model"]
    code = sum((base.FOLDER / name).with_suffix(".js").stat().st_size for name in scripts)
    lines = [
        f"Slider's input event to repaint, {options.moves} moves, each after the one before has been painted, at a",
        "random moment between two frames: every time holds a wait of up to 16.7 ms for the next frame.",
        "",
        "| explorer | run by | median, ms | limit | 95th percentile, ms | limit |",
        "|---|---|---|---|---|---|",
        *moves,
        "",
        "From opening the file to the first picture, and from there to the end of the curve of 73 angles (an explorer",
        "without one is done at once). Limits for the default model: one second each; on a machine that is kept",
        "busy by other work, JavaScript alone may take longer for its curve.",
        "",
        "| explorer | run by | first picture, s | curve, s |",
        "|---|---|---|---|",
        *opened,
        "",
        f"What computes takes {code / 1000:.0f} KB of script in all pages together; the limit is 40 KB in each. A page",
        "also holds the front end, the networks and the pictures.",
        "",
        "| explorer | page, KB | written in s |",
        "|---|---|---|",
        *sizes,
    ]
    write("pages", "Pages that compute", torch.device("cpu"), lines)


if __name__ == "__main__":
    main()
