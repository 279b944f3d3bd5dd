"""Widgets where a front end has no anywidget, or drops what travels as bytes: a page beside them, and base64."""

from __future__ import annotations

import base64
import html
import sys
import uuid
from pathlib import Path
from typing import Any

import anywidget
import traitlets

__all__ = ["ShownAnywhere"]

WIDGET = "application/vnd.jupyter.widget-view+json"
SCRIPT = (Path(__file__).parent / "elsewhere.js").read_text("utf-8")
IN_COLAB = "google.colab" in sys.modules
COPY = "The picture below does without a kernel; a notebook that is not trusted hides it."
REMEDY = (
    "Run the cell for the widget itself. If you just did, what shows this notebook lacks anywidget: <code>pip install "
    "anywidget</code> in <em>its</em> environment, which may be another one than the kernel's, and reload the page."
)


def portable(value: Any, _widget: Any = None) -> Any:
    """The same, with bytes as base64 where the service that shows the notebook may drop them."""
    if not IN_COLAB:
        return value
    if isinstance(value, dict):
        return {key: portable(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [portable(entry) for entry in value]
    if isinstance(value, (bytes, memoryview)):
        return {"$base64": base64.b64encode(value).decode()}
    return value


class ShownAnywhere(anywidget.AnyWidget):
    """An anywidget with a page beside it, as a second output.

    A front end that shows widgets hides the page; elsewhere, and where anywidget is missing, one sees it. Once a front
    end has drawn one of our widgets, the kernel writes no more pages.
    """

    # Colab loads each version by its number; elsewhere what is installed has to do, and does.
    if not IN_COLAB:
        _model_module_version = traitlets.Unicode("*").tag(sync=True)
        _view_module_version = traitlets.Unicode("*").tag(sync=True)

    key = traitlets.Unicode().tag(sync=True)  # by which the page finds the widget
    drawn = traitlets.Bool(False).tag(sync=True)  # the front end has drawn it

    seen = False  # has any widget been drawn?

    def __init__(self, **traits: Any) -> None:
        super().__init__(key=uuid.uuid4().hex, **traits)

    @traitlets.observe("drawn")
    def _note_that_it_is_drawn(self, _change: Any) -> None:
        ShownAnywhere.seen = True

    def page_beside(self) -> str:
        """The text of a page, quickly made; "" if there is none."""
        return ""

    def _ipython_display_(self, **_options: Any) -> None:
        from IPython.display import display

        bundle = self._repr_mimebundle_()
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        display(data, metadata=metadata, raw=True)
        # The makers of the site put other things into the bundle.
        if WIDGET not in data or ShownAnywhere.seen:
            return
        page = html.escape(self.page_beside())
        frame = f'<iframe title="The picture" loading="lazy" srcdoc="{page}"></iframe>' if page else ""
        what = COPY if page else "Here stands a widget."
        beside = f'<div id="beside-{self.key}" hidden><p>{what} {REMEDY}</p>{frame}</div>'
        script = SCRIPT.replace("KEY", self.key)
        display({"text/html": f"{beside}\n<script>\n{script}</script>", "text/plain": ""}, raw=True)
