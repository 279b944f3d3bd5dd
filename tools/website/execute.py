"""Run notebooks for pages that are read without a kernel: explorers and trainings become pages of their own.

Notebooks run in processes of their own, as many at a time as there are cores. Where a process can be forked, the
library and what it imports are loaded once. What was run is kept, under a name made from the notebook, the library
and this file: a notebook runs again when one of them changes.
"""

from __future__ import annotations

import contextlib
import hashlib
import html
import importlib
import io
import json
import multiprocessing
import os
import pkgutil
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import nbformat
from traitlets import Type

ROOT = Path(__file__).resolve().parents[2]
FRAMES = "explorers"  # the folder of the pages that the frames show
FORKS = sys.platform == "linux"
PLOTLY_JSON = "application/vnd.plotly.v1+json"

# A page in a frame tells the page around it how high it is, and takes over its theme.
IN_FRAME = """<script>
new ResizeObserver(() => parent.postMessage({ eqsslHeight: document.body.scrollHeight }, "*")).observe(document.body);
addEventListener("message", ({ data }) => {
  if (data.eqsslTheme) document.documentElement.style.colorScheme = data.eqsslTheme;
});
</script>
<style>
main { display: flex; flex-direction: column; }
main > h1, main > p:has(~ #explorer > .eqssl-live), .eqssl-live-foot button { display: none; }
main > p { order: 2; margin: 6px 0 0; font-size: 12px; }
</style>
</body>"""


def run_all(
    notebooks: Mapping[str, str], folder: Path, first: Sequence[str] = ()
) -> Iterator[tuple[str, float]]:
    """Run notebooks into ``folder``/NAME.ipynb, and their explorers into ``folder``/explorers.

    Arguments:
        notebooks: the file contents by name.
        folder: where results are kept.
        first: names of those that take longest: they start first.

    Yields:
        The name of each notebook when it is done, and its seconds; 0 where it had been run before.
    """
    (folder / FRAMES).mkdir(parents=True, exist_ok=True)
    library = _fingerprint()
    waiting = []
    for name, text in notebooks.items():
        mark = hashlib.sha256(f"{library}{text}".encode()).hexdigest()
        kept = folder / f"{name}.key"
        if kept.exists() and kept.read_text() == mark:
            yield name, 0.0
        else:
            waiting.append((name, text, mark, folder))
    order = {name: place for place, name in enumerate(first)}
    waiting.sort(key=lambda work: order.get(work[0], len(order)))
    if not waiting:
        return
    if FORKS:
        _load()
    processes = min(len(waiting), os.cpu_count() or 1)
    context = multiprocessing.get_context("fork" if FORKS else "spawn")
    with context.Pool(processes, maxtasksperchild=1) as pool:
        yield from pool.imap_unordered(_run, waiting, chunksize=1)


def _fingerprint() -> str:
    """Of all that decides what a notebook shows, the notebook apart."""
    files = [*(ROOT / "eqssl_edu").rglob("*.*"), ROOT / "constraints.txt", Path(__file__)]
    digest = hashlib.sha256()
    for path in sorted(path for path in files if path.is_file() and "__pycache__" not in path.parts):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _load() -> None:
    """Import what the notebooks import, once for all of them."""
    import eqssl_edu

    for module in pkgutil.walk_packages(eqssl_edu.__path__, "eqssl_edu."):
        if ".gpu" not in module.name:
            importlib.import_module(module.name)


def _run(work: tuple[str, str, str, Path]) -> tuple[str, float]:
    name, text, mark, folder = work
    began = time.monotonic()
    notebook = nbformat.reads(text, as_version=4)
    os.chdir(ROOT / "notebooks" / "solutions")
    with Frames(folder / FRAMES, name):
        run(notebook, name)
    nbformat.write(notebook, folder / f"{name}.ipynb")
    (folder / f"{name}.key").write_text(mark)
    return name, time.monotonic() - began


def run(notebook: nbformat.NotebookNode, name: str) -> None:
    """Run the cells in this process and put down what they show.

    Raises:
        RuntimeError: with the cell's number and its error, where one fails.
    """
    import plotly.io
    import torch
    from IPython.core.displayhook import DisplayHook
    from IPython.core.displaypub import DisplayPublisher
    from IPython.core.interactiveshell import InteractiveShell

    outputs: list[nbformat.NotebookNode] = []

    class Hook(DisplayHook):
        """What the last line of a cell gives."""

        def write_output_prompt(self) -> None:
            pass

        def write_format_data(
            self, format_dict: dict[str, Any], md_dict: dict[str, Any] | None = None
        ) -> None:
            outputs.append(nbformat.v4.new_output("display_data", data=readable(format_dict)))

        def finish_displayhook(self) -> None:
            pass

    class Publisher(DisplayPublisher):
        """What a cell displays."""

        def publish(self, data: dict[str, Any], *_: Any, **_options: Any) -> None:
            outputs.append(nbformat.v4.new_output("display_data", data=readable(data)))

    class Printed(io.TextIOBase):
        """What a cell prints, between what it displays."""

        def write(self, text: str) -> int:
            if not outputs or outputs[-1].output_type != "stream":
                outputs.append(nbformat.v4.new_output("stream", name="stdout", text=""))
            outputs[-1].text += text
            return len(text)

    class Shell(InteractiveShell):
        displayhook_class = Type(Hook)
        display_pub_class = Type(Publisher)

    torch.set_num_threads(1)
    plotly.io.renderers.default = "plotly_mimetype"
    shell = Shell.instance(colors="nocolor")
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        with (
            contextlib.redirect_stdout(Printed()),
            contextlib.redirect_stderr(io.StringIO()),
        ):  # bars of progress
            ended = shell.run_cell(cell.source, store_history=True)
        if not ended.success:
            problem = ended.error_in_exec or ended.error_before_exec
            raise RuntimeError(f"{name}, cell {number}: {type(problem).__name__}: {problem}")
        cell.outputs = list(outputs)
        outputs.clear()


def readable(data: Mapping[str, Any]) -> dict[str, Any]:
    """The one form of an output that a page without a kernel shows."""
    if PLOTLY_JSON in data:
        return {"text/html": figure(data[PLOTLY_JSON])}
    for kind in ("text/html", "image/svg+xml", "image/png"):
        if kind in data:
            return {kind: data[kind]}
    return dict(data)


def figure(content: Mapping[str, Any]) -> str:
    """A figure of plotly as HTML; the page brings plotly's script."""
    import plotly.io

    shown = plotly.io.from_json(json.dumps({key: content[key] for key in ("data", "layout")}))
    if content.get("frames"):
        shown.frames = content["frames"]
    words = [
        shown.layout.title.text,
        *(axis.title.text for axis in shown.select_yaxes()),
        *(axis.title.text for axis in shown.select_xaxes()),
    ]
    label = "Figure: " + "; ".join(dict.fromkeys(re.sub(r"<[^>]*>", " ", word) for word in words if word))
    drawing = shown.to_html(full_html=False, include_plotlyjs=False, config={"displayModeBar": False})
    return f'<div class="course-figure" role="group" aria-label="{html.escape(label)}">{drawing}</div>'


class Frames:
    """While this lasts, a widget that a cell shows is written to ``folder`` and shown in a frame.

    The frame's address counts from the page: the front page, "index", or one two folders down. A training is written
    when all cells have run, as it ended. What has no page (a drawing with too many choices) says so and shows what it
    can.

    Arguments:
        folder: where the pages go; it must exist.
        prefix: of their file names.
    """

    def __init__(self, folder: Path, prefix: str) -> None:
        self.folder, self.prefix = folder, prefix
        self.count = 0
        self.trainings: list[tuple[Any, Path, str]] = []

    def __enter__(self) -> Frames:
        from eqssl_edu.widgets.dashboard import LiveTraining
        from eqssl_edu.widgets.shared.base import Explorer

        self.before = [(kind, kind.__dict__.get("_repr_mimebundle_")) for kind in (Explorer, LiveTraining)]
        Explorer._repr_mimebundle_ = lambda explorer, **_options: {"text/html": self._explorer(explorer)}
        LiveTraining._repr_mimebundle_ = lambda live, **_options: {"text/html": self._training(live)}
        return self

    def __exit__(self, *_problem: object) -> None:
        for kind, method in self.before:
            if method is None:
                del kind._repr_mimebundle_
            else:
                kind._repr_mimebundle_ = method
        for live, path, title in self.trainings:
            live.wait()
            path.write_text(training_page(live, title), "utf-8")

    def _next(self) -> Path:
        self.count += 1
        return self.folder / f"{self.prefix}-{self.count}.html"

    def _frame(self, path: Path, title: str) -> str:
        up = "" if self.prefix == "index" else "../../"
        address = f"{up}{self.folder.name}/{path.name}"
        return f'<iframe src="{address}" title="{html.escape(title)}" loading="lazy"></iframe>'

    def _explorer(self, explorer: Any) -> str:
        path = self._next()
        title = f"{self.prefix.replace('_', ' ')}, picture {self.count} to turn by hand"
        try:
            explorer.to_html(path, title)
        except (NotImplementedError, ValueError) as reason:
            picture = explorer.values.get("html", html.escape(explorer.readout))  # a drawing is HTML already
            return f"<p><em>It moves in JupyterLab alone: {html.escape(str(reason))}</em></p>{picture}"
        path.write_text(in_frame(path.read_text("utf-8")), "utf-8")
        return self._frame(path, title)

    def _training(self, live: Any) -> str:
        path = self._next()
        title = (
            f"{self.prefix.replace('_', ' ')}, picture {self.count}: a training that was run for this page"
        )
        self.trainings.append((live, path, title))
        return self._frame(path, title)


def in_frame(text: str) -> str:
    """The page of an explorer, made for a frame."""
    return text.replace("</body>", IN_FRAME)


def training_page(live: Any, title: str) -> str:
    """A training that has ended: its curves and readouts, drawn as in the notebook."""
    from eqssl_edu.widgets.shared import frozen_page

    traits = {"values": live.values, "measured": live.measured, "readout": live.readout}
    head = {"facts": live.facts, "free": [], "first": {}}
    return in_frame(frozen_page.page([({}, traits)], head, (live._esm, live._css), title))
