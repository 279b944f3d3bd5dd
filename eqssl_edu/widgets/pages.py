"""Show widgets as pages of their own in frames: for notebooks that are read without a kernel."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from itertools import product
from pathlib import Path

import ipywidgets

from eqssl_edu.errors import got
from eqssl_edu.plots import ByHand
from eqssl_edu.widgets.base import Explorer
from eqssl_edu.widgets.dashboard import LiveTraining
from eqssl_edu.widgets.static import MAX_BYTES

__all__ = ["by_hand_page", "show_as_pages"]

# The page tells the notebook around it how high it is.
HEIGHT = """<script>
new ResizeObserver(() => parent.postMessage({ eqsslHeight: document.body.scrollHeight }, "*")).observe(document.body);
</script>
</body>"""

BY_HAND = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
body {{ margin: 0; padding: 8px; font: 14px/1.4 system-ui, sans-serif; }}
label {{ display: inline-flex; gap: 8px; align-items: center; margin: 0 24px 8px 0; min-height: 28px; }}
select, input {{ font: inherit; min-height: 26px; }}
</style>
</head>
<body>
<form id="controls" aria-label="{title}"></form>
<div id="picture" role="region" aria-live="polite" aria-label="picture"></div>
<script type="application/json" id="states">{states}</script>
<script>
const {{ choices, start, pictures }} = JSON.parse(document.getElementById("states").textContent);
const controls = document.getElementById("controls");
const chosen = {{ ...start }};
const show = () => {{
  const index = choices.reduce((sum, [name, values]) => sum * values.length + chosen[name], 0);
  document.getElementById("picture").innerHTML = pictures[index];
}};
for (const [name, values] of choices) {{
  const label = document.createElement("label");
  const slides = values.every((value) => typeof value === "number");
  const control = document.createElement(slides ? "input" : "select");
  const output = document.createElement("output");
  if (slides) Object.assign(control, {{ type: "range", min: 0, max: values.length - 1 }});
  else control.append(...values.map((value, place) => new Option(value, place)));
  control.value = chosen[name];
  output.textContent = slides ? values[chosen[name]] : "";
  control.addEventListener("input", () => {{
    chosen[name] = Number(control.value);
    if (slides) output.textContent = values[chosen[name]];
    show();
  }});
  label.append(name.replaceAll("_", " "), control, output);
  controls.append(label);
}}
show();
</script>
</body>
</html>
"""


def by_hand_page(drawing: ByHand, title: str) -> str:
    """A page that shows the drawing for every choice of its controls; ValueError if that takes over 2 MB."""
    choices = {name: list(values) for name, values in drawing.choices.items()}
    states = (dict(zip(choices, values, strict=True)) for values in product(*choices.values()))
    pictures, size = [], 0
    for state in states:
        pictures.append(drawing.draw(**state))
        size += len(pictures[-1])
        if size > MAX_BYTES:
            raise ValueError(
                f"drawing must fit into {MAX_BYTES / 1e6:.0f} MB for all its choices, {got(choices)}"
            )
    start = {name: choices[name].index(value) for name, value in drawing.state().items()}
    data = json.dumps({"choices": list(choices.items()), "start": start, "pictures": pictures})
    return BY_HAND.format(title=html.escape(title), states=data.replace("</", "<\\/"))


def show_as_pages(folder: str | Path, prefix: str) -> None:
    """From now on a widget that a cell shows is written to ``folder`` and shown in a frame.

    The frame's address is relative: ``folder``'s name and the file's. What has no page (live training, a drawing
    with too many choices) says so and shows what it can.

    Arguments:
        folder: where the pages go; it must exist.
        prefix: of their file names.
    """
    folder = Path(folder)
    count = 0

    def framed(write: Callable[[ipywidgets.Widget, Path, str], None]) -> Callable:
        def bundle(widget: ipywidgets.Widget, **_options) -> dict[str, str]:
            nonlocal count
            count += 1
            path = folder / f"{prefix}-{count}.html"
            title = f"{prefix.replace('_', ' ')}, picture {count} to turn by hand"
            try:
                write(widget, path, title)
            except (NotImplementedError, ValueError) as reason:
                return {"text/html": _still(widget, reason)}
            path.write_text(path.read_text("utf-8").replace("</body>", HEIGHT), "utf-8")
            address = f"{folder.name}/{path.name}"
            return {
                "text/html": f'<iframe src="{address}" title="{html.escape(title)}" loading="lazy"></iframe>'
            }

        return bundle

    Explorer._repr_mimebundle_ = framed(lambda widget, path, title: widget.to_html(path, title))
    ByHand._repr_mimebundle_ = framed(
        lambda widget, path, title: path.write_text(by_hand_page(widget, title), "utf-8")
    )
    LiveTraining._repr_mimebundle_ = lambda widget, **_options: {
        "text/html": "<p><em>Here a network is trained while one watches. Open the notebook in JupyterLab for it; "
        "the numbers further down are those of this training.</em></p>"
    }


def _still(widget: ipywidgets.Widget, reason: Exception) -> str:
    picture = widget.picture.value if isinstance(widget, ByHand) else html.escape(widget.readout)
    return f"<p><em>It moves in JupyterLab alone: {html.escape(str(reason))}</em></p>{picture}"
