"""LearnedActionExplorer in the real JupyterLab: by keyboard, by mouse and from a cell."""

import re

import pytest
from explorers import EXPLORERS, SETUP
from hand import Hand

MORE = "Apply once more, and after four times start again"
G = "g = {}".format


class Explorer(Hand):
    """The explorer, as somebody sees it who looks and listens."""

    name = "Learned action explorer"

    def apart(self):
        """For each step that is seen, how far apart truth and fitted map are, in words."""
        self.rest()
        return self.root.locator(".eqssl-act-apart b:visible").all_inner_texts()

    def turns(self):
        """What the images that are seen have been moved by."""
        self.rest()
        names = self.root.get_by_role("img", name=re.compile("^The image moved by"))
        return [each.get_attribute("aria-label").split()[-1] for each in names.all() if each.is_visible()]

    def arrows(self):
        self.rest()
        return [each.get_attribute("d") for each in self.root.locator(".eqssl-act-arrow[d]").all()]

    def chosen(self):
        self.rest()
        return self.root.locator("tr[data-here=true]").get_attribute("data-network")

    def errors(self, network):
        return self.root.locator(f"tr[data-network='{network}'] td b").all_inner_texts()


@pytest.fixture
def explorer(open_notebook):
    explorer = Explorer.of(open_notebook, EXPLORERS["LearnedActionExplorer"])
    yield explorer
    explorer.notebook.assert_clean()


def test_every_control_does_what_it_says(explorer):
    assert explorer.turns() == ["e", "r90"] and explorer.chosen() == "C4"
    assert explorer.errors("C4")[1:] == ["0 %"] * 3
    for times, turns in ((2, ["r180"]), (3, ["r180", "r270"]), (4, ["r180", "r270", "e"])):
        explorer.press(MORE)
        assert explorer.turns() == ["e", "r90", *turns]
        assert explorer.apart() == ["0 %"] * times and len(explorer.arrows()) == times
    # The last arrow ends where the first began.
    arrows = explorer.arrows()
    assert arrows[-1].split("L")[1] == arrows[0][1:].split("L")[0]

    explorer.press("plain")
    assert explorer.chosen() == "plain" and len(explorer.apart()) == 4
    assert not {"0 %", "< 0.1 %"} & set(explorer.apart())
    assert not {"0 %", "< 0.1 %"} & set(explorer.errors("plain"))
    trained = explorer.arrows()
    explorer.root.get_by_role("checkbox", name="untrained copy").check()
    explorer.rest()
    assert explorer.arrows() != trained
    explorer.root.get_by_role("checkbox", name="untrained copy").uncheck()
    explorer.press("another kind")
    assert explorer.arrows() != trained
    explorer.press("like the fitted")
    assert explorer.arrows() == trained

    explorer.press(G("r180"))
    assert explorer.turns() == ["e", "r180", "e", "r180", "e"]
    explorer.press(MORE)
    assert explorer.turns() == ["e"] and explorer.arrows() == [] and explorer.apart() == []
    assert explorer.slide("applied", "ArrowRight ArrowRight") == 2
    assert explorer.turns() == ["e", "r180", "e"]
    assert explorer.slider("applied").get_attribute("aria-valuetext") == "2 ×"
    before = explorer.arrows()
    assert explorer.slide("Image", "ArrowRight") == 1
    assert explorer.arrows() != before
    explorer.slide("Image", "Home")
    assert explorer.arrows() == before


def test_a_cell_steers_it_a_screen_reader_hears_it_and_an_error_is_seen(explorer):
    explorer.notebook.run_last_cell("explorer.set_state(network='plain', image=6, element=3, times=2)")
    explorer.says("plain, image 7 of images: r270 and its fitted map, applied 2 times, are ")
    explorer.refuses({"element": 0}, "ValueError: element must be", cure=G("r90"))


INVARIANT = """
class Pooled(torch.nn.Module):
    def forward(self, x):
        return network(x).mean(2)

explorer = LearnedActionExplorer({"pooled": Pooled()}, images.test.images[:60], cyclic(4))
explorer"""


def test_what_does_not_move_is_not_called_right(open_notebook):
    notebook = open_notebook([SETUP + INVARIANT, ""], dark=True)
    notebook.run_all()
    explorer = Explorer(notebook)
    assert explorer.errors("pooled")[1:] == ["nothing moves"] * 2
    assert explorer.apart() == ["nothing moves"] and explorer.arrows() == []
    assert explorer.root.get_by_role("button", name="another kind").count() == 0
    explorer.says("nothing to fit and nothing to miss")
    notebook.assert_clean()
