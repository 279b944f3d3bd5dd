"""The tour in the real JupyterLab: opened, run whole, its slider, its views and its Stop button used."""

from pathlib import Path

import nbformat
from test_field_explorer import Explorer as FieldHand
from test_orbit_correlation_explorer import INVARIANT
from test_orbit_correlation_explorer import Explorer as ViewsHand

TOUR = Path(__file__).parents[2] / "notebooks" / "00_tour.ipynb"
CELLS = nbformat.read(TOUR, as_version=4).cells
CODE = [cell.source for cell in CELLS if cell.cell_type == "code"]
TALL = 12_000  # pixels: JupyterLab keeps only what is in view on the page


def code_cell(words: str) -> int:
    """The number of the code cell that holds these words."""
    (index,) = [i for i, source in enumerate(CODE) if words in source]
    return index


def test_the_tour_runs_and_answers_the_hand(open_notebook):
    notebook = open_notebook(CELLS, height=TALL)
    page = notebook.page
    page.set_default_timeout(180_000)
    notebook.start_all()

    # Stop each training while a later cell waits for it; the notebook goes on with what was learned.
    for title in ("Which way up is it?", "Which view belongs to which?"):
        live = notebook.output(code_cell(title))
        live.locator('.eqssl-live[data-status="running"] path[data-points]').first.wait_for(state="attached")
        live.get_by_role("button", name="Stop", exact=True).click()
        live.locator('.eqssl-live[data-status="stopped"]').wait_for()

    last = notebook.output(code_cell("my_similarity"))
    last.get_by_role("status").wait_for()
    assert "not done yet" in last.inner_text()
    failed = page.locator('.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"]')
    assert failed.count() == 0, failed.first.inner_text()
    words = notebook.output(code_cell("live.wait()\nequivariant_loss")).first.inner_text()
    assert "invariant head:   accuracy 25.0 %" in words

    # Turn the digit: exact at 90 degrees for the group network alone, for neither at 45.
    field = FieldHand(notebook, code_cell("explorer = FieldExplorer"))
    field.turn(90)
    group_network, plain_cnn = field.errors()
    assert group_network < 1e-5 < 0.05 < plain_cnn
    assert field.slide("Angle in degrees", "ArrowLeft ArrowLeft") == 88
    group_network, plain_cnn = field.errors()
    assert group_network > 0.01 and plain_cnn > 0.05

    # Turn one view: the plain loss moves, the invariant ones are frozen.
    views = ViewsHand(notebook, code_cell("views = OrbitCorrelationExplorer"))
    before = views.losses()
    views.turn(1, "clockwise")
    after = views.losses()
    assert abs(after["plain"] - before["plain"]) > 1e-3
    for kind in INVARIANT:
        assert abs(after[kind] - before[kind]) < 5e-6  # six digits are shown, the network is float32
    notebook.assert_clean()
