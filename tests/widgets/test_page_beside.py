"""Beside a widget goes a page for front ends that cannot show it, and bytes go as text where they would be dropped."""

import html

import pytest
from explorers import EXPLORERS, make

from eqssl_edu.widgets.shared import elsewhere
from eqssl_edu.widgets.shared.elsewhere import WIDGET, ShownAnywhere, portable

TREE = {"a": [b"\x00\x01", memoryview(b"\x02")], "b": {"c": b"\x03"}, "d": "e", "f": None}


@pytest.fixture
def shown(monkeypatch):
    """shown(widget) -> the outputs of a cell that ends with the widget, in a kernel whose front end has drawn none."""

    def shown(widget):
        outputs.clear()
        widget._ipython_display_()
        return list(outputs)

    outputs = []
    monkeypatch.setattr("IPython.display.display", lambda data, **_: outputs.append(data))
    monkeypatch.setattr(ShownAnywhere, "seen", False)
    return shown


@pytest.mark.parametrize("name", EXPLORERS)
def test_a_page_of_the_present_state_stands_beside_each_explorer(name, shown):
    explorer = make(name)
    widget, page = shown(explorer)
    assert widget[WIDGET]["model_id"] == explorer.model_id
    text = html.unescape(page["text/html"])
    assert "pip install anywidget" in text and f"beside-{explorer.key}" in text
    assert html.escape(explorer.readout) in text and len(text) < 700_000


def test_once_one_was_drawn_no_more_pages_are_written(shown):
    first, second = make("ExactnessLab"), make("OrbitExplorer")
    assert len(shown(second)) == 2
    first.drawn = True  # as the front end says
    assert len(shown(second)) == 1


def test_a_widget_without_a_page_says_what_helps(shown):
    [_, beside] = shown(ShownAnywhere())
    assert "pip install anywidget" in beside["text/html"] and "<iframe" not in beside["text/html"]


def test_any_version_of_anywidget_shows_them():
    state = ShownAnywhere().get_state()
    assert {state[f"_{half}_module_version"] for half in ("model", "view")} == {"*"}


def test_bytes_travel_as_text_where_they_would_be_dropped(monkeypatch):
    assert portable(TREE) is TREE
    monkeypatch.setattr(elsewhere, "IN_COLAB", True)
    text = {
        "a": [{"$base64": "AAE="}, {"$base64": "Ag=="}],
        "b": {"c": {"$base64": "Aw=="}},
        "d": "e",
        "f": None,
    }
    assert portable(TREE) == text
    pixels = make("OrbitExplorer").get_state()["values"]["pixels"]
    assert set(pixels) == {"$base64"}
