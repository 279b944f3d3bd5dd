"""EmbeddingExplorer in the real JupyterLab: the point moves or stands still; hover, click, keys, a cell."""

from hand import Hand

CELLS = [
    """
import torch
from eqssl_edu.data import digits
from eqssl_edu.encoders import GroupCNN
from eqssl_edu.groups import cyclic
from eqssl_edu.widgets import EmbeddingExplorer

torch.manual_seed(0)
encoder, data = GroupCNN(cyclic(4), channels=(8, 16)), digits(16)
with torch.no_grad():
    for batch in data.train.images[:640].split(64):
        encoder(batch)  # the statistics of the batch norms
explorer = EmbeddingExplorer(encoder, data.test.images[:120], data.test.labels[:120])
explorer
""",
    "",
]


class Explorer(Hand):
    name = "Embedding explorer"

    @property
    def map(self):
        return self.root.get_by_role("application")

    def moved(self):
        return self.number("moved")

    def place(self):
        """Where the chosen point is on the map, in its own units, 0 .. 440."""
        self.rest()
        return [float(x) for x in self.root.locator("[data-place]").get_attribute("data-place").split(" ")]

    def title(self):
        return self.root.get_by_role("group", name="The chosen image").locator(".eqssl-title").inner_text()

    def verdict(self):
        return self.text(".eqssl-em-verdict")

    def letter(self, image):
        """The centre of the letter of an image on the page."""
        box = self.root.locator(".eqssl-em-mark").nth(image).bounding_box()
        return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def apart(a, b):
    return max(abs(x - y) for x, y in zip(a, b, strict=True))


def test_every_control_does_what_it_says(open_notebook):
    notebook = open_notebook(CELLS)
    notebook.run_all()
    explorer, page = Explorer(notebook), notebook.page
    assert len(explorer.root.locator(".eqssl-em-mark").all()) == 120

    # Regular features: the point goes round its orbit.
    places = [explorer.place()]
    for degrees in (90, 180, 270):
        explorer.press(f"turn by r{degrees}")
        assert explorer.moved() > 0.05
        places.append(explorer.place())
    assert all(apart(a, b) > 3 for i, a in enumerate(places) for b in places[:i])
    assert "moves along its orbit" in explorer.verdict()
    explorer.press("turn by e")
    assert apart(explorer.place(), places[0]) < 0.2

    # Pooled features: it stands still.
    explorer.press("pooled")
    still = explorer.place()
    for degrees in (90, 180, 270):
        explorer.press(f"turn by r{degrees}")
        assert explorer.moved() < 1e-4
        assert apart(explorer.place(), still) < 0.2
    assert "stands still" in explorer.verdict()
    assert explorer.root.get_by_role("button", name="pooled").get_attribute("aria-pressed") == "true"
    explorer.press("regular")
    assert "moves" in explorer.verdict()
    explorer.press("turn by e")

    # The slider, and the arrow keys on the map: they do not reach the notebook.
    for key, image in (("ArrowRight", 2), ("End", 120), ("Home", 1)):
        explorer.slide("Image", key)
        assert explorer.title().startswith(f"Image {image}: class ")
    before, cell = explorer.place(), page.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex")
    way = "ArrowRight" if before[0] < 220 else "ArrowLeft"
    explorer.map.press(way)
    after = explorer.place()
    assert (after[0] > before[0]) == (way == "ArrowRight") and not explorer.title().startswith("Image 1:")
    explorer.map.press("ArrowUp" if after[1] > 220 else "ArrowDown")
    assert explorer.place() != after
    assert page.evaluate("jupyterapp.shell.currentWidget.content.activeCellIndex") == cell
    # Each arrow leads into its direction, and not further where the map ends.
    for key, axis, sign in (("Right", 0, 1), ("Left", 0, -1), ("Up", 1, -1), ("Down", 1, 1)):
        way = [explorer.place()[axis]]
        for _ in range(4):
            explorer.map.press(f"Arrow{key}")
            way.append(explorer.place()[axis])
        assert way == sorted(way, reverse=sign < 0)

    # The mouse: a letter shows its image; a click chooses it.
    explorer.map.scroll_into_view_if_needed()
    page.mouse.move(*explorer.letter(37))
    preview = explorer.root.locator(".eqssl-em-preview")
    preview.wait_for()
    number = int(preview.inner_text().split("image ")[1].split(",")[0])
    page.mouse.click(*explorer.letter(37))
    explorer.rest()
    assert explorer.title().startswith(f"Image {number}: class ")
    # Letters may lie on each other, so the one that was hit is near.
    assert apart(explorer.letter(number - 1), explorer.letter(37)) < 6
    shades = preview.locator("canvas").evaluate(
        "c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size"
    )
    assert shades > 5

    # A cell steers it, a screen reader hears it, an error is seen.
    notebook.run_last_cell("explorer.set_state(image=7, features='pooled', element=1)")
    explorer.says("with pooled features its point stands still")
    explorer.refuses({"image": 120}, "ValueError: image must be", cure="turn by r180")
    notebook.assert_clean()
