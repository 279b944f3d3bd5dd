"""Widgets elsewhere: JupyterLab behind a path prefix, a front end without anywidget, a service that drops bytes."""

import pytest
from explorers import EXPLORERS, SETUP
from lab import open_notebook, running_lab

PREFIX = "/hub/user/ada/"
MADE = EXPLORERS["OrbitExplorer"]
LOST = "_model_module = traitlets.Unicode('absent').tag(sync=True)"  # as where a front end lacks anywidget
CELLS = [
    f"import traitlets\n{SETUP}",
    f"class Lost(OrbitExplorer):\n    {LOST}\n\nlost = {MADE.replace('OrbitExplorer', 'Lost')}\nlost",
    f"from eqssl_edu.widgets.shared import elsewhere\nelsewhere.IN_COLAB = True\ntext = {MADE}\ntext",
    "elsewhere.IN_COLAB = False\nlost",
    "",
]


@pytest.fixture(scope="module")
def notebook(chromium, tmp_path_factory):
    """These cells, run in JupyterLab behind a prefix, as on a hub."""
    with (
        running_lab(tmp_path_factory.mktemp("lab"), PREFIX) as lab,
        open_notebook(chromium, lab, "elsewhere.ipynb", CELLS) as notebook,
    ):
        assert f"{PREFIX}doc/tree/" in notebook.page.url
        notebook.run_all()
        yield notebook


def beside(notebook, cell):
    return notebook.output(cell).locator("[id^=beside]")


def test_without_anywidget_a_page_turns_and_says_what_helps(notebook):
    page = beside(notebook, 1)
    page.wait_for(state="visible")
    assert "pip install anywidget" in page.inner_text()
    root = page.frame_locator("iframe").locator(".eqssl")
    root.wait_for()
    before = root.locator("[role=status]").last.inner_text()
    root.get_by_role("button", name="apply r90", exact=True).click()
    notebook.page.wait_for_timeout(900)
    assert root.locator("[role=status]").last.inner_text() != before
    assert not notebook.page.get_by_text("Click to show javascript error").first.is_visible()
    frame = page.locator("iframe")
    assert frame.evaluate("frame => frame.clientHeight >= frame.contentDocument.body.scrollHeight")


def test_a_widget_that_is_seen_stands_alone_and_shows_pictures_without_bytes(notebook):
    root = notebook.output(2).locator(".eqssl")
    root.wait_for()
    assert beside(notebook, 2).count() == 1 and not beside(notebook, 2).is_visible()
    pixels = "canvas => [...canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data]"
    assert len({*root.locator("canvas").first.evaluate(pixels)}) > 3


def test_once_a_widget_was_drawn_no_more_pages_are_written(notebook):
    notebook.run_last_cell("another = OrbitExplorer(dihedral(4), 'A')\nanother")
    notebook.output(4).locator(".eqssl").wait_for()
    assert beside(notebook, 4).count() == 0
