"""How fast an explorer follows the hand: in a real chromium and JupyterLab, from the slider's input event to the
repaint. Also how many bytes a move sends, what showing an explorer takes, and what a flood of moves does.

    python benchmarks/explorers.py [--moves 200]
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import torch
from paired import write

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "browser"))
from lab import NotebookPage, browser, open_notebook, running_lab

FRAME = 1000 / 60  # ms: a browser paints 60 times a second

SETUP = """
import torch
from eqssl_edu.data import digits
from eqssl_edu.encoders import GroupCNN, GroupResNet, matched_cnn
from eqssl_edu.groups import cyclic
from eqssl_edu.widgets import FieldExplorer

torch.manual_seed(0)
image = digits(32).test.images[3]
small = GroupCNN(cyclic(4))
large = GroupResNet(cyclic(4), 1, width=16)
"""
CASES = {
    "default model and its plain twin": "explorer = FieldExplorer(small, image, compare=matched_cnn(small))",
    "GroupResNet, 64 maps of 32 x 32": (
        "explorer = FieldExplorer(large, image)\n"
        "layer = [n for n, l in explorer.networks[0].recorder.layers.items() if l.side == 32 and l.convolves][-1]\n"
        "found = explorer.networks[0].recorder.layers[layer]\n"
        "assert found.channels * found.group.order == 64\n"
        "explorer.set_state(layer=layer)"
    ),
    "two hidden turns, SO(2)": (
        "from eqssl_edu.steerable import SteerableCNN\n"
        "from eqssl_edu.widgets import CircleExplorer\n"
        "explorer = CircleExplorer(SteerableCNN('SO(2)', channels=(4, 8)), image)"
    ),
    "four fitted actions of C4": (
        "from eqssl_edu.widgets import LearnedActionExplorer\n"
        "resnet = GroupResNet(cyclic(4), 1, width=8)\n"
        "encoders = {'C4': small, 'plain': matched_cnn(small), 'another': GroupCNN(cyclic(4)), 'ResNet': resnet}\n"
        "explorer = LearnedActionExplorer(encoders, digits(32).test.images[:300], cyclic(4))\n"
        "explorer.set_state(network='ResNet')"
    ),
}
LIMITS = {  # ms: (median, 95th percentile)
    "default model and its plain twin": (20, 33),
    "GroupResNet, 64 maps of 32 x 32": (None, 100),
    "two hidden turns, SO(2)": (20, 33),
    "four fitted actions of C4": (20, 33),
}

# Every move is a fresh one: it starts at a random moment between two frames, and ends when its picture is painted.
MOVES = """async (root, count) => {
  const slider = root.querySelector("input[type=range]");
  const frame = () => new Promise(requestAnimationFrame);
  const resting = () => root.dataset.busy === "false";
  while (!resting()) await frame();
  const times = [];
  for (let i = 0; i < count + 20; i++) {
    const painted = new Promise((done) => {
      const watch = new MutationObserver(() => {
        if (resting()) {
          watch.disconnect();
          done();
        }
      });
      watch.observe(root, { attributes: true });
    });
    const start = performance.now();
    slider.value = (i * 7) % (Number(slider.max) + 1);
    slider.dispatchEvent(new Event("input"));
    await painted;
    if (i >= 20) times.push(performance.now() - start);
    await new Promise((go) => setTimeout(go, 20 + 16 * Math.random()));
  }
  return times;
}"""
FLOOD = """async (root) => {
  const slider = root.querySelector("input[type=range]");
  const before = Number(root.dataset.painted);
  const frame = () => new Promise(requestAnimationFrame);
  for (let move = 0; move < 300; move++) {
    slider.value = move;
    slider.dispatchEvent(new Event("input"));
    if (move % 5 === 4) await frame();
  }
  const start = performance.now();
  while (root.dataset.busy !== "false") await frame();
  return [performance.now() - start, Number(root.dataset.painted) - before, Number(slider.value)];
}"""
SHOWN = """async () => {
  const notebook = jupyterapp.shell.currentWidget.content;
  notebook.activeCellIndex = 2;
  const start = performance.now();
  void jupyterapp.commands.execute("notebook:run-cell");
  while (!document.querySelector(".eqssl[data-painted]")) await new Promise(requestAnimationFrame);
  return performance.now() - start;
}"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--moves", type=int, default=200)
    options = parser.parse_args()
    rows, shown, floods = [], [], []
    with tempfile.TemporaryDirectory() as home, running_lab(Path(home)) as lab, browser() as chromium:
        for number, (name, make) in enumerate(CASES.items()):
            with open_notebook(
                chromium, lab, f"case{number}.ipynb", [SETUP, make, "explorer", ""]
            ) as notebook:
                row, opening, flood = measure(notebook, options.moves)
            times, sent, bare = row
            rows.append(line(name, times, sent, bare, *LIMITS[name]))
            shown.append(f"| {name} | {opening[0] / 1000:.2f} | {opening[1] / 1000:.0f} |")
            floods.append(f"| {name} | {flood[1]} | {flood[0]:.0f} | {flood[2]} |")
            print(rows[-1], flush=True)
    lines = [
        f"Slider's input event to repaint, {options.moves} moves, each after the one before has been painted, at a",
        "random moment between two frames. Chromium without a screen paints 60 times a second, so every time holds a",
        "wait of up to 16.7 ms for the next frame; the ratio is to one such frame. Kernel: the same move in the",
        "kernel's process alone. A move sends at most 60 KB.",
        "",
        "| explorer | median, ms | limit | 95th percentile, ms | limit | median / frame | kernel, ms | KB a move |",
        "|---|---|---|---|---|---|---|---|",
        *rows,
        "",
        "Showing it, from running the cell to the first picture; with script and style. Limits: 1 s, 200 KB.",
        "",
        "| explorer | seconds | KB |",
        "|---|---|---|",
        *shown,
        "",
        "A flood of 300 moves, five in each frame: how many pictures were painted, how long after the last move the",
        "picture stood still, and at which angle (299 is the last one) or image.",
        "",
        "| explorer | pictures | ms | where |",
        "|---|---|---|---|",
        *floods,
    ]
    write("explorers", "Explorers that follow the hand", torch.device("cpu"), lines)


def measure(notebook: NotebookPage, moves: int) -> tuple[tuple, tuple, tuple]:
    """((times, bytes of a move, seconds in the kernel), (ms to show, bytes to show), flood) of one explorer."""
    page = notebook.page
    for cell in (0, 1):
        page.evaluate(
            """async (cell) => {
                 jupyterapp.shell.currentWidget.content.activeCellIndex = cell;
                 await jupyterapp.commands.execute("notebook:run-cell");
               }""",
            cell,
        )
    opened = page.evaluate(SHOWN)
    root = notebook.output(2).locator(".eqssl")
    page.wait_for_timeout(3000)  # the curve is computed meanwhile
    times = sorted(root.evaluate(MOVES, moves))
    flood = root.evaluate(FLOOD)
    notebook.run_last_cell(IN_KERNEL)
    notebook.output(3).first.wait_for()
    sent, opening, bare = json.loads(notebook.output(3).first.inner_text())
    notebook.assert_clean()
    return (times, sent, bare), (opened, opening), flood


IN_KERNEL = """
import json, statistics, time

def size(traits):
    blobs = []
    text = json.dumps(traits, default=lambda data: blobs.append(len(data)))
    return len(text.encode()) + sum(blobs)

turn = next(name for name in ("angle", "first", "image") if name in explorer.state())
count = len(explorer.choices["image"]) if turn == "image" else 360
seconds = []
for move in range(60):
    start = time.perf_counter()
    explorer.receive({"token": "t", "changes": {turn: (move * 7 + 3) % count}})  # no angle that was asked for before
    seconds.append(time.perf_counter() - start)
names = ("values", "readout", "answered", "curve", "unfinished")
move = {name: getattr(explorer, name) for name in names if explorer.has_trait(name)}
print(json.dumps([size(move), size(explorer.get_state()), 1000 * statistics.median(seconds)]))
"""


def line(
    name: str, times: list[float], sent: int, bare: float, median_limit: float | None, limit: float
) -> str:
    """One row of the table of moves."""
    median, last = statistics.median(times), times[int(0.95 * len(times))]
    return (
        f"| {name} | {median:.1f} | {median_limit or '-'} | {last:.1f} | {limit} | {median / FRAME:.2f} | {bare:.1f} | "
        f"{sent / 1000:.1f} |"
    )


if __name__ == "__main__":
    main()
