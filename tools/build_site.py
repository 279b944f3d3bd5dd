"""Build the site: every notebook, solved and run, as a page that needs no kernel and no network.

    python tools/build_site.py [NN ...] [--out site]

The explorers still turn, from states computed beforehand; figures are plotly's, their script is stored once.
"""

import argparse
import html
import json
import re
import shutil
import sys
import time
from pathlib import Path

import nbformat
import plotly.io
import plotly.offline
from latex2mathml.converter import convert
from nbclient import NotebookClient
from nbconvert import HTMLExporter
from pygments.formatters import HtmlFormatter

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
sys.path.insert(0, str(NOTEBOOKS.parent))  # the course's own folder, wherever this is called from

from tools import pages  # noqa: E402

PAGES = "explorers"  # the folder of the pages that the frames show
PLOTLY_JSON = "application/vnd.plotly.v1+json"
CELL_TIMEOUT = 300  # seconds

# Runs before the notebook's first cell: figures as data, widgets as pages.
SETUP = """
import functools
import tqdm.auto
# A bar of progress is a widget too: it would ask the page for scripts that it does not have.
tqdm.auto.tqdm = functools.partial(tqdm.auto.tqdm, disable=True)
import plotly.io
plotly.io.renderers.default = "plotly_mimetype"
import sys
sys.path.insert(0, {tools!r})
from widgets_in_frames import show_as_pages
show_as_pages({folder!r}, {prefix!r})
"""

STYLE = """
:root { color-scheme: light dark; --ink: light-dark(#1a1a1a, #ececec); --paper: light-dark(#fff, #161616);
  --line: light-dark(#d0d0d0, #444); --link: light-dark(#00568f, #8ecbff); --code: light-dark(#f6f6f6, #242424);
  --jp-ui-font-color1: var(--ink); --jp-content-font-color1: var(--ink); --jp-layout-color1: var(--paper); }
body { margin: 0 auto; max-width: 1000px; padding: 8px 20px 60px; background: var(--paper); color: var(--ink);
  font: 16px/1.55 system-ui, sans-serif; }
a { color: var(--link); } a.anchor-link { display: none; }
nav { display: flex; flex-wrap: wrap; gap: 6px 20px; padding: 8px 0; border-bottom: 1px solid var(--line); }
pre { overflow-x: auto; font: 13px/1.45 ui-monospace, monospace; margin: 0; }
.highlight { background: var(--code); border-radius: 4px; }
.highlight { padding: 8px 12px; border-left: 3px solid var(--line); }
.prompt { display: none; }
.output_subarea { margin: 10px 0; overflow-x: auto; }
iframe { box-sizing: border-box; width: 100%; height: 620px; border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: collapse; display: block; overflow-x: auto; }
th, td { border: 1px solid var(--line); padding: 3px 10px; text-align: left; }
img { max-width: 100%; }
/* On a phone a frame is no higher than the screen: its control stays in sight while its pictures scroll under it. */
@media (max-width: 480px) { body { padding: 8px 10px 60px; } iframe { max-height: 92vh; } }
"""

# A frame is as high as its page says.
FRAMES = """
addEventListener("message", (event) => {
  for (const frame of document.querySelectorAll("iframe"))
    if (frame.contentWindow === event.source) frame.style.height = `${event.data.eqsslHeight + 4}px`;
});
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
<link rel="stylesheet" href="site.css">
<script>{frames}</script>
{scripts}
</head>
<body>
<nav aria-label="course">{links}</nav>
<main>
{body}
</main>
</body>
</html>
"""


def mathml(text: str) -> str:
    """Markdown whose formulas are MathML, which browsers draw by themselves; code is left alone."""

    def formula(match: re.Match) -> str:
        code, block, inline = match.groups()
        if code:
            return code
        return convert(block or inline, display="block" if block else "inline")

    return re.sub(
        r"(```.*?```|`[^`\n]+`)|\$\$(.+?)\$\$|(?<!\\)\$((?:[^$\n]|\n(?!\n))+?)\$",
        formula,
        text,
        flags=re.DOTALL,
    )


def run(path: Path, out: Path) -> nbformat.NotebookNode:
    """The notebook with its outputs; widgets are written to ``out``/explorers."""
    notebook = nbformat.read(path, as_version=4)
    setup = SETUP.format(tools=str(Path(__file__).parent), folder=str(out / PAGES), prefix=path.stem)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(setup))
    NotebookClient(notebook, timeout=CELL_TIMEOUT, resources={"metadata": {"path": path.parent}}).execute()
    del notebook.cells[0]
    return notebook


def page(notebook: nbformat.NotebookNode, stem: str, links: str) -> str:
    """One notebook as a page."""
    drawn = False
    notebook.cells = [unfolded(cell) if pages.is_folded(cell) else cell for cell in notebook.cells]
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = mathml(cell.source)
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if PLOTLY_JSON in data:
                figure = json.dumps({key: data[PLOTLY_JSON][key] for key in ("data", "layout")})
                frames = data[PLOTLY_JSON].get("frames")
                shown = plotly.io.from_json(figure)
                if frames:
                    shown.frames = frames
                output.data = {"text/html": shown.to_html(full_html=False, include_plotlyjs=False)}
                drawn = True
            elif "text/html" in data:
                output.data = {"text/html": data["text/html"]}
    body, _ = HTMLExporter(template_name="basic").from_notebook_node(notebook)
    return PAGE.format(
        title=html.escape(heading(notebook, stem)),
        frames=FRAMES,
        scripts='<script src="plotly.min.js"></script>' if drawn else "",
        links=links,
        body=body,
    )


def unfolded(cell: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """A cell that guards claims, as a page shows it: closed, with the sentences on top."""
    summary = html.escape(" ".join(pages.held(cell)))
    text = f"<details><summary>Checked: {summary}</summary>\n\n```python\n{cell.source}\n```\n\n</details>"
    return nbformat.v4.new_markdown_cell(text)


def heading(notebook: nbformat.NotebookNode, stem: str) -> str:
    """The notebook's title."""
    first = next((cell.source for cell in notebook.cells if cell.cell_type == "markdown"), "")
    match = re.match(r"#\s+(.+)", first)
    return match[1] if match else stem


def build(chosen: list[str], out: Path) -> list[Path]:
    """Run the chosen notebooks (all, if none is named) and write the site; returns the pages."""
    every = sorted((NOTEBOOKS / "solutions").glob("*.ipynb"))
    found = [path for path in every if not chosen or any(path.stem.startswith(name) for name in chosen)]
    if not found:
        raise ValueError(f"no notebook begins with {', '.join(chosen)}")
    (out / PAGES).mkdir(parents=True, exist_ok=True)
    titles = {path: heading(nbformat.read(path, as_version=4), path.stem) for path in found}
    links = " ".join(
        f'<a href="{name}.html">{html.escape(title)}</a>'
        for name, title in [("index", "Course"), *((path.stem, title) for path, title in titles.items())]
    )
    light, dark = (
        HtmlFormatter(style=style).get_style_defs(".highlight") for style in ("default", "github-dark")
    )
    (out / "site.css").write_text(
        f"{light}\n@media (prefers-color-scheme: dark) {{ {dark} }}\n{STYLE}", "utf-8"
    )
    (out / "plotly.min.js").write_text(plotly.offline.get_plotlyjs(), "utf-8")
    images = NOTEBOOKS.parent / "docs" / "images"
    if images.exists():
        shutil.copytree(images, out / "images", dirs_exist_ok=True)
    pages = []
    for path in found:
        began = time.monotonic()
        pages.append(out / f"{path.stem}.html")
        pages[-1].write_text(page(run(path, out), path.stem, links), "utf-8")
        print(f"{pages[-1].name}: {time.monotonic() - began:.0f} s", flush=True)
    items = "\n".join(
        f'<li><a href="{path.stem}.html">{html.escape(title)}</a></li>' for path, title in titles.items()
    )
    body = (
        "<h1>Self-supervised learning for group equivariant networks</h1>\n"
        "<p>Each page is a notebook with its answers, run. The pictures can be turned by hand; they need no kernel and "
        f"no network. To write code of your own, open the notebooks in JupyterLab.</p>\n<ul>\n{items}\n</ul>"
    )
    pages.append(out / "index.html")
    pages[-1].write_text(
        PAGE.format(title="eqssl_edu: the course", frames="", scripts="", links=links, body=body), "utf-8"
    )
    return pages


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="Build the site from the solved notebooks.")
    parser.add_argument("notebooks", nargs="*", help="only these, by the start of their names")
    parser.add_argument("--out", type=Path, default=NOTEBOOKS.parent / "site")
    options = parser.parse_args()
    pages = build(options.notebooks, options.out.resolve())
    print(f"Open {pages[-1]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
