"""Both notebooks of the tour in the real JupyterLab: run whole, their pictures turned and their Stop buttons used."""

from pathlib import Path

import nbformat
from test_field_explorer import Explorer as FieldHand
from test_orbit_correlation_explorer import INVARIANT
from test_orbit_correlation_explorer import Explorer as ViewsHand

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
TALL = 12_000  # pixels: JupyterLab keeps only what is in view on the page


class Page:
    """A notebook of the tour, running from top to bottom."""

    def __init__(self, open_notebook, name):
        cells = nbformat.read(NOTEBOOKS / f"{name}.ipynb", as_version=4).cells
        self.code = [cell.source for cell in cells if cell.cell_type == "code"]
        self.notebook = open_notebook(cells, height=TALL)
        self.notebook.page.set_default_timeout(180_000)
        self.notebook.start_all()

    def cell(self, words):
        """The number of the code cell that begins with these words."""
        (index,) = [i for i, source in enumerate(self.code) if source.startswith(words)]
        return index

    def output(self, words):
        return self.notebook.output(self.cell(words))

    def stop(self, words):
        """Stop a training while a later cell waits for it; the notebook goes on with what was learned."""
        live = self.output(words)
        live.locator('.eqssl-live[data-status="running"] path[data-points]').first.wait_for(state="attached")
        live.get_by_role("button", name="Stop", exact=True).click()
        live.locator('.eqssl-live[data-status="stopped"]').wait_for()

    def folded(self):
        """What is seen of the folded cells: their first lines, and no code."""
        page = self.notebook.page
        lines = page.locator(".jp-InputPlaceholder .jp-PlaceholderText").all_inner_texts()
        hidden = page.locator(".jp-CodeCell:has(.jp-InputPlaceholder) .jp-InputArea-editor:visible")
        return lines, hidden.count()

    def assert_done(self, last):
        """The last cell has shown its table, every gap is still open, and no cell has failed."""
        self.output(last).locator("table").wait_for()
        gaps = [i for i, source in enumerate(self.code) if 'check("' in source]
        assert len(gaps) == 2
        assert all("not done yet" in self.notebook.output(gap).inner_text() for gap in gaps)
        failed = self.notebook.page.locator(
            '.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"]'
        )
        assert failed.count() == 0, failed.first.inner_text()


def test_the_tour_runs_and_answers_the_hand(open_notebook):
    page = Page(open_notebook, "00_tour")
    page.stop("live = lessons.train_heads")
    page.assert_done("lessons.compare_heads")
    first = [source.splitlines()[0] for source in page.code if source.startswith(("# Holds: ", "# @title "))]
    assert len(first) == 3 and page.folded() == (first, 0)
    words = page.output("lessons.compare_heads").locator("tr", has_text="invariant head").inner_text()
    assert "25.0%" in words

    # Turn the digit: exact at 90 degrees for the group network alone, for neither at 45.
    field = FieldHand(page.notebook, page.cell("lessons.turn_by_hand"))
    field.turn(90)
    group_network, plain_cnn = field.errors()
    assert group_network < 1e-5 < 0.05 < plain_cnn
    assert field.slide("Angle in degrees", "ArrowLeft ArrowLeft") == 88
    group_network, plain_cnn = field.errors()
    assert group_network > 0.01 and plain_cnn > 0.05
    page.notebook.assert_clean()


def test_the_second_part_runs_and_answers_the_hand(open_notebook):
    page = Page(open_notebook, "00b_tour_contrastive")
    page.stop("live = lessons.train_losses")
    page.assert_done("lessons.what_was_learned")

    # Turn one view: the plain loss moves, the invariant ones are frozen.
    views = ViewsHand(page.notebook, page.cell("lessons.turn_two_views"))
    before = views.losses()
    views.turn(1, "clockwise")
    after = views.losses()
    assert abs(after["plain"] - before["plain"]) > 1e-3
    for kind in INVARIANT:
        assert abs(after[kind] - before[kind]) < 5e-6  # six digits are shown, the network is float32
    page.notebook.assert_clean()
