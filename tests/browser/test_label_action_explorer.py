"""LabelActionExplorer in the real JupyterLab: every task, every element, every action, by mouse and keyboard."""

from hand import Hand, turned

ELEMENTS = ["e", "r90", "r180", "r270", "m", "r90 m", "r180 m", "r270 m"]
TRUE = {
    "rotation": "left",
    "relative location": "left",
    "jigsaw 2 x 2": "conjugation",
    "jigsaw 3 x 3": "conjugation",
}


class Explorer(Hand):
    name = "Label action explorer"

    def turn(self, element):
        self.press(f"turn by {element}")

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

    def picture(self, number):
        return self.pixels(self.root.locator("figure canvas").nth(number))


def test_every_control_does_what_it_says(open_notebook):
    explorer = Explorer.of(open_notebook, "LabelActionExplorer()", dark=True)
    notebook = explorer.notebook
    for task, true in TRUE.items():
        explorer.choose("Task", task)
        explorer.turn("r90")
        explorer.press(true)
        rows = explorer.rows()
        assert ("conjugation" in rows) == (task != "relative location")
        for row in rows.values():
            assert len(row) == 8 and row[0][1]  # the identity is always right
            # Right is what says the same as the picture; it is the true action, for every element.
            assert all(right == (label == rows[true][g][0]) for g, (label, right) in enumerate(row))
        assert all(right for _, right in rows[true]) and not all(right for _, right in rows["trivial"])
        assert explorer.verdict() == "✓ right"
        assert explorer.read_off() == rows[true][1][0]
        assert explorer.picture(2) == turned(explorer.picture(1))
        if task.startswith("jigsaw"):
            assert explorer.picture(3) == turned(explorer.picture(0))  # the turned picture is whole
        if task == "rotation":
            assert explorer.picture(3) == explorer.picture(0)
        explorer.press("trivial")
        assert explorer.verdict() == "✗ wrong"
        explorer.turn("e")
        assert explorer.verdict() == "✓ right"

    # Every element, by its button; the column is marked, and the label goes through its orbit.
    explorer.choose("Task", "jigsaw 2 x 2")
    seen = set()
    for g, element in enumerate(ELEMENTS):
        explorer.turn(element)
        assert explorer.button(f"turn by {element}").get_attribute("aria-pressed") == "true"
        assert explorer.read_off() == explorer.row("conjugation")[g][0]
        seen.add(explorer.read_off())
    explorer.root.locator(".eqssl-note").filter(has_text=f"has {len(seen)} labels").wait_for()

    # The slider of labels, by keyboard; rows and elements by keyboard.
    slider = explorer.slider("Label")
    label = int(slider.input_value())
    for key, count in (("ArrowRight", label + 2), ("End", 24)):  # counted from 1
        explorer.slide("Label", key)
        assert slider.get_attribute("aria-valuetext") == str(count)
    assert explorer.root.locator("figure").nth(1).locator("b").inner_text() == "3210"
    assert explorer.row("trivial") == explorer.row("conjugation")  # opposite tiles: the same from all sides
    for name, key in (("left", "Enter"), ("turn by r90", "Space")):
        explorer.button(name).press(key)
        explorer.rest()
    assert explorer.verdict() == "✗ wrong"

    # A cell steers it, a screen reader hears it, an error is seen.
    notebook.run_last_cell("explorer.set_state(task='jigsaw 3 x 3', label=3, element=5)")
    explorer.says("The conjugation action says")
    explorer.refuses({"label": 999}, "ValueError: label must be", cure="turn by m")
    notebook.assert_clean()
