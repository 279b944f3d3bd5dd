"""LabelActionExplorer in the real JupyterLab: every task, every element, every action, by mouse and keyboard."""

from accessibility import assert_accessible

CELLS = [
    "from eqssl_edu.widgets import LabelActionExplorer\n\nexplorer = LabelActionExplorer()\nexplorer",
    "",
]
ELEMENTS = ["e", "r90", "r180", "r270", "m", "r90 m", "r180 m", "r270 m"]
TRUE = {
    "rotation": "left",
    "relative location": "left",
    "jigsaw 2 x 2": "conjugation",
    "jigsaw 3 x 3": "conjugation",
}


class Explorer:
    def __init__(self, notebook):
        self.notebook, self.page = notebook, notebook.page
        self.root = notebook.output(0).get_by_role("group", name="Label action explorer")
        self.root.wait_for()
        self.rest()

    def rest(self):
        self.page.wait_for_function("root => root.dataset.busy === 'false'", arg=self.root.element_handle())

    def turn(self, element):
        self.root.get_by_role("button", name=f"turn by {element}", exact=True).click()
        self.rest()

    def act(self, action):
        self.root.get_by_role("button", name=action, exact=True).click()
        self.rest()

    def verdict(self):
        return self.root.locator(".eqssl-verdict").inner_text()

    def rows(self):
        """What each action says for each element, {action: [(label, right), ...]}; in one look at the page."""
        table = self.root.locator("tbody").evaluate(
            """body => [...body.rows].map((row) => [
                 row.dataset.action,
                 [...row.querySelectorAll("td[data-good]")].map((cell) => [
                   cell.querySelector("span").textContent,
                   cell.querySelector("b").textContent,
                   cell.dataset.good,
                 ]),
               ])"""
        )
        for _, cells in table:
            assert all((mark == "✓") == (good == "true") for _, mark, good in cells)
        return {action: [(label, mark == "✓") for label, mark, _ in cells] for action, cells in table}

    def row(self, action):
        return self.rows()[action]

    def read_off(self):
        return self.root.locator("figure").nth(2).locator("b").inner_text()

    def pixels(self, picture):
        return (
            self.root.locator("figure canvas")
            .nth(picture)
            .evaluate(
                "c => [...c.getContext('2d').getImageData(0, 0, c.width, c.height).data].filter((_, i) => i % 4 === 0)"
            )
        )


def turned(pixels):
    side = round(len(pixels) ** 0.5)
    return [pixels[side * column + side - 1 - row] for row in range(side) for column in range(side)]


def test_every_control_does_what_it_says(open_notebook):
    notebook = open_notebook("label_action.ipynb", CELLS, dark=True)
    notebook.run_all()
    explorer, page = Explorer(notebook), notebook.page
    menu = explorer.root.get_by_role("combobox", name="Task")
    for task, true in TRUE.items():
        menu.select_option(label=task)
        explorer.rest()
        explorer.turn("r90")
        explorer.act(true)
        rows = explorer.rows()
        assert ("conjugation" in rows) == (task != "relative location")
        for row in rows.values():
            assert len(row) == 8 and row[0][1]  # the identity is always right
            # Right is what says the same as the picture; it is the true action, for every element.
            assert all(right == (label == rows[true][g][0]) for g, (label, right) in enumerate(row))
        assert all(right for _, right in rows[true]) and not all(right for _, right in rows["trivial"])
        assert explorer.verdict() == "✓ right"
        assert explorer.read_off() == rows[true][1][0]
        assert explorer.pixels(2) == turned(explorer.pixels(1))
        if task.startswith("jigsaw"):
            assert explorer.pixels(3) == turned(explorer.pixels(0))  # the turned picture is whole
        if task == "rotation":
            assert explorer.pixels(3) == explorer.pixels(0)
        explorer.act("trivial")
        assert explorer.verdict() == "✗ wrong"
        explorer.turn("e")
        assert explorer.verdict() == "✓ right"

    # Every element, by its button; the column is marked, and the label goes through its orbit.
    menu.select_option(label="jigsaw 2 x 2")
    explorer.rest()
    seen = set()
    for g, element in enumerate(ELEMENTS):
        explorer.turn(element)
        assert (
            explorer.root.get_by_role("button", name=f"turn by {element}", exact=True).get_attribute(
                "aria-pressed"
            )
            == "true"
        )
        assert explorer.read_off() == explorer.row("conjugation")[g][0]
        seen.add(explorer.read_off())
    explorer.root.locator(".eqssl-note").filter(has_text=f"has {len(seen)} labels").wait_for()

    # The slider of labels, by keyboard; rows and elements by keyboard.
    slider = explorer.root.get_by_role("slider", name="Label")
    label = int(slider.input_value())
    slider.press("ArrowRight")
    explorer.rest()
    assert slider.get_attribute("aria-valuetext") == str(label + 2)  # counted from 1
    slider.press("End")
    explorer.rest()
    assert slider.get_attribute("aria-valuetext") == "24"
    assert explorer.root.locator("figure").nth(1).locator("b").inner_text() == "3210"
    assert explorer.row("trivial") == explorer.row("conjugation")  # opposite tiles: the same from all sides
    explorer.root.get_by_role("button", name="left", exact=True).press("Enter")
    explorer.rest()
    explorer.root.get_by_role("button", name="turn by r90", exact=True).press("Space")
    explorer.rest()
    assert explorer.verdict() == "✗ wrong"

    # A cell steers it, a screen reader hears it, an error is seen.
    notebook.run_last_cell("explorer.set_state(task='jigsaw 3 x 3', label=3, element=5)")
    explorer.root.get_by_role("status").filter(has_text="The conjugation action says").wait_for(
        state="attached"
    )
    notebook.run_last_cell("explorer.receive({'token': 'a', 'changes': {'label': 999}})")
    explorer.root.get_by_role("alert").filter(has_text="ValueError: label must be a label, 0 .. ").wait_for()
    explorer.turn("m")
    assert not explorer.root.get_by_role("alert").is_visible()
    assert_accessible(page, ".eqssl-la")
    notebook.assert_clean()
