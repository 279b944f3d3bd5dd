"""Show widgets as pages of their own in frames: for notebooks that are read without a kernel."""

from __future__ import annotations

import html
from pathlib import Path

from eqssl_edu.widgets.dashboard import LiveTraining
from eqssl_edu.widgets.shared.base import Explorer

__all__ = ["show_as_pages"]

# The page tells the notebook around it how high it is.
HEIGHT = """<script>
new ResizeObserver(() => parent.postMessage({ eqsslHeight: document.body.scrollHeight }, "*")).observe(document.body);
</script>
</body>"""


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

    def framed(explorer: Explorer, **_options) -> dict[str, str]:
        nonlocal count
        count += 1
        path = folder / f"{prefix}-{count}.html"
        title = f"{prefix.replace('_', ' ')}, picture {count} to turn by hand"
        try:
            explorer.to_html(path, title)
        except (NotImplementedError, ValueError) as reason:
            return {"text/html": _still(explorer, reason)}
        path.write_text(path.read_text("utf-8").replace("</body>", HEIGHT), "utf-8")
        address = f"{folder.name}/{path.name}"
        return {"text/html": f'<iframe src="{address}" title="{html.escape(title)}" loading="lazy"></iframe>'}

    Explorer._repr_mimebundle_ = framed
    LiveTraining._repr_mimebundle_ = lambda widget, **_options: {
        "text/html": "<p><em>Here a network is trained while one watches. Open the notebook in JupyterLab for it; "
        "the numbers further down are those of this training.</em></p>"
    }


def _still(explorer: Explorer, reason: Exception) -> str:
    picture = explorer.values.get("html", html.escape(explorer.readout))  # a drawing is HTML already
    return f"<p><em>It moves in JupyterLab alone: {html.escape(str(reason))}</em></p>{picture}"
